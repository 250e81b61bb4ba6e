// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"slices"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
)

// A relay that hangs up before its HELLO, as one does that has no place for us or has
// had enough of us, is called with growing pauses; one that talks is called at once
// when the stream ends. Spec: GOS-2.
func TestWhoRefusesUsIsNotCalledAtOnce(t *testing.T) {
	l := newLab(t, 60, genesis.Public())
	rid := l.m.assigned[0]
	calls := func(d time.Duration, greets bool) (n int) {
		for end := l.now.Add(d); l.now.Before(end); {
			l.pass(100 * time.Millisecond)
			opened := l.opened
			l.opened = nil
			for range slices.DeleteFunc(opened, func(o record.RID) bool { return o != rid }) {
				n++
				f := l.link(rid, false)
				if greets {
					f.says(hello())
				}
				l.step(LinkDown{Link: f.link})
			}
		}
		return n
	}
	l.pass(time.Minute) // the first call is given up
	l.opened = nil
	f := l.link(rid, false)
	l.step(LinkDown{Link: f.link})
	if n := calls(time.Hour, false); n < 5 || n > 20 {
		t.Errorf("%d calls in an hour to a relay that refuses", n)
	}
	for _, d := range l.m.dials {
		if d.rid == rid && d.wait < l.m.cfg.Params.RepairPeriod {
			t.Error("pauses do not grow")
		}
	}
	if n := calls(12*time.Minute, true); n < 100 {
		t.Errorf("%d calls to a relay that talks", n)
	}
	if sooner(l.m.restDeadline(), l.m.dialDeadline()).Before(l.now) {
		t.Error("a deadline in the past")
	}
}
