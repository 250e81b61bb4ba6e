// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"testing"

	"chive/directory/genesis"
)

// Who was slow is not called a liar: a part of a table that comes after its time is no
// more than late. Spec: GOS-11.
func TestALatePartIsNoUnaskedOne(t *testing.T) {
	l := newLab(t, 60, genesis.Public())
	may, _ := l.callers()
	f := l.up(may[0], true)
	l.step(AskState{RID: f.rid, Header: digestOf("state")})
	l.pass(stateTimeouts * l.m.cfg.Params.GetTimeout)
	late := &StatePart{Header: digestOf("state"), Count: 1, Data: []byte{1}}
	f.says(late)
	if got := l.score(f.rid); got != penaltyUndelivered {
		t.Errorf("score %d", got)
	}
	f.says(late)
	if got := l.score(f.rid); got != penaltyUndelivered+penaltyUnasked {
		t.Errorf("twice: score %d", got)
	}
	if _, closed := l.closed[f.link]; closed {
		t.Error("closed")
	}
}

// Of the parts that did not come in time the latest 64 may still come; one that is older
// is unasked. Spec: GOS-11.
func TestLatePartsBeyondTheBoundAreUnasked(t *testing.T) {
	l := newLab(t, 60, genesis.Public())
	may, _ := l.callers()
	f := l.up(may[0], true)
	for n := range uint32(65) {
		l.step(AskState{RID: f.rid, Header: digestOf("state"), Part: n})
		l.pass(stateTimeouts * l.m.cfg.Params.GetTimeout)
		l.m.standings[f.rid].score = 0 // the penalty for each is not what is looked at
	}
	late := func(n uint32) int {
		before := l.score(f.rid)
		f.says(&StatePart{Header: digestOf("state"), Part: n, Count: 65, Data: []byte{1}})
		return l.score(f.rid) - before
	}
	for n := uint32(1); n < 65; n++ {
		if got := late(n); got != 0 {
			t.Fatalf("part %d of the latest 64: %d points", n, got)
		}
	}
	if got := late(0); got != penaltyUnasked {
		t.Errorf("the one before them: %d points", got)
	}
}
