// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"slices"

	"chive/directory/record"
	"chive/directory/snapshot"
)

// noRoomForExit reports whether the list withholds our exit flag because it has no room
// for one more exit policy. own is our descriptor, nil if there is none.
// Spec: directory §10 (dictionary full), protocol §7 (TRN-2).
func noRoomForExit(own *record.Descriptor, t *snapshot.Table, self record.RID) bool {
	r, listed := t.Relay(self)
	if own == nil || len(own.Policy) == 0 || !listed || r.Flags&snapshot.FlagExit != 0 {
		return false
	}
	for _, p := range t.Dictionaries().Policies {
		if len(p) == 0 || slices.Equal(p, own.Policy) {
			return false // a free place, or ours is there: the next list has the flag
		}
	}
	return len(t.Dictionaries().Policies) >= snapshot.MaxPolicyCount
}
