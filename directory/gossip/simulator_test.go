// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"testing"

	"chive/directory/genesis"
	"chive/directory/record"
)

// What simulators use is what machines do. Spec: GOS-3, GOS-4.
func TestSimulatorsSeeWhatMachinesDo(t *testing.T) {
	l := newLab(t, 60, genesis.Public())
	f := l.link(l.m.assigned[0], false)
	if d := digestOf("x"); NameOn(f.session, d) != f.name(d) {
		t.Error("another short id")
	}
	remembered := newLab(t, 60, genesis.Public()).m
	asked := 0
	remembered.cfg.Assigned = func(beacon [32]byte, caller record.RID, relays []Relay) []record.RID {
		asked++
		return Assigned(beacon, caller, relays)
	}
	remembered.setView(l.view)
	if len(remembered.assigned) != AssignedCount || asked == 0 {
		t.Error("it was not asked")
	}
	for _, r := range append(l.view.Relays, Relay{RID: ridOf(999), Running: true}) {
		if r.RID != ridOf(0) && remembered.mayCall(l.view.Beacon, r.RID) != l.m.mayCall(l.view.Beacon, r.RID) {
			t.Error("another answer")
		}
	}
}
