// SPDX-License-Identifier: BSD-3-Clause

package path

import "chive/directory/snapshot"

// Entering returns a Selector of the same snapshot for Guards.Update, which draws new
// guards only among the relays that may be reached, as may says. Paths are chosen with
// s itself. Spec: product §7 (NET-2).
func (s *Selector) Entering(may func(*snapshot.Relay) bool) *Selector {
	weights := make([]uint64, s.table.Len())
	for i := range weights {
		if may(s.table.At(i)) {
			weights[i] = s.weights[Guard].weight(i)
		}
	}
	out := *s
	out.weights[Guard] = newSampler(weights)
	return &out
}
