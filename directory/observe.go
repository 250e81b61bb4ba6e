// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"chive/directory/record"
	"chive/directory/transition"
)

// observations is what is known as of the cut-off of an epoch: what an honest member
// votes on. It shares nothing that changes. Spec: directory §6 (one epoch, 1 and 2),
// protocol §10 (TRN-10).
func (m *Machine) observations(epoch uint64) *transition.Observations {
	seen := &transition.Observations{
		Descriptors: make(map[record.RID]transition.Seen, m.descs.len()),
		Reached:     m.reached(m.cutOff(epoch - 1)),
		Gone:        map[record.RID]uint8{},
		Evidence:    m.accusations(),
		Candidates:  m.wantAdmission(epoch),
	}
	for d := range m.descs.relays.all() {
		if m.now.Before(d.Expires) {
			seen.Descriptors[d.rid] = transition.Seen{Body: d.body, Descriptor: d.Descriptor}
		}
	}
	for _, t := range m.claims.tombstones {
		if len(t.Key) == 0 && m.now.Before(t.Until) {
			seen.Gone[t.rid] = transition.DropRevoked
		}
	}
	for i := range m.table().Len() {
		if rid := m.table().At(i).RID; seen.Gone[rid] == 0 && rid != m.cfg.RID && m.over(rid) {
			seen.Gone[rid] = transition.DropExpired
		}
	}
	return seen
}
