// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"testing"
	"time"

	"chive/directory/genesis"
)

func joined(f *far) []JoinCode {
	var out []JoinCode
	for _, x := range f.heard() {
		if x, ok := x.(*Joined); ok {
			out = append(out, x.Code)
		}
	}
	return out
}

// Spec: GOS-10.
func TestEntryRelaysTakeJoins(t *testing.T) {
	l := newLab(t, 60, genesis.Public())
	f := l.up(ridOf(1000), true)
	f.says(&Join{[]byte("candidate")})
	asked := report[JoinAsked](l)
	if len(asked) != 1 || asked[0].RID != ridOf(1000) || string(asked[0].Data) != "candidate" {
		t.Fatalf("%+v", asked)
	}
	f.says(&Join{[]byte("candidate")})
	if l.score(f.rid) != penaltyUnasked {
		t.Error("a second one before the answer")
	}
	l.step(JoinAnswer{f.link, JoinTaken})
	l.step(JoinAnswer{f.link, JoinRefused})
	if got := joined(f); len(got) != 1 || got[0] != JoinTaken {
		t.Errorf("answered %v", got)
	}
	f.says(&Join{[]byte("again")})
	l.step(JoinAnswer{f.link, JoinKnown})
	if got := joined(f); len(got) != 1 || got[0] != JoinKnown || l.score(f.rid) != penaltyUnasked+penaltyInVain {
		t.Errorf("answered %v; score %d", got, l.score(f.rid))
	}
	f.inv('D', digestOf("x"))
	if _, closed := l.closed[f.link]; closed || len(f.heard()) != 0 {
		t.Error("a stranger's announcements are ignored")
	}
	f.says(&Joined{}) // which nobody asked it
	if why, closed := l.closed[f.link]; !closed || why != ReasonBroken {
		t.Error("a stranger may say what it likes")
	}
	young := l.view
	young.Entry = false
	l.step(young)
	g := l.up(ridOf(1001), true)
	g.says(&Join{[]byte("candidate")})
	if got := joined(g); len(got) != 1 || got[0] != JoinNotEntry {
		t.Errorf("a young relay answered %v", got)
	}
	g.says(&Joined{JoinTaken})
	if l.score(g.rid) != penaltyBroken {
		t.Error("an answer from a stranger")
	}
}

// Who sends JOINs that do not hold is answered ten times, and then waits an epoch; what a
// relay has no place for costs its sender a hundredth of the limit, so that asking again
// each hour costs nothing in the end.
// Spec: GOS-11.
func TestGarbageJoinsEndWithTheirSender(t *testing.T) {
	l := newLab(t, 60, genesis.Public())
	for _, kind := range []struct {
		code JoinCode
		asks int
	}{{JoinRefused, penaltyLimit / penaltyRefused}, {JoinBusy, penaltyLimit}, {JoinKnown, penaltyLimit}} {
		f := l.up(ridOf(1000+int(kind.code)), true)
		for n := range kind.asks {
			if _, closed := l.closed[f.link]; closed {
				t.Fatalf("code %d: closed after %d", kind.code, n)
			}
			f.says(&Join{[]byte("garbage")})
			l.step(JoinAnswer{f.link, kind.code})
		}
		if got := joined(f); len(got) != kind.asks {
			t.Errorf("code %d: %d answers", kind.code, len(got))
		}
		if why, closed := l.closed[f.link]; !closed || why != ReasonPenalty {
			t.Errorf("code %d: closed %v, %v", kind.code, closed, why)
		}
	}
	f := l.up(ridOf(2000), true)
	for range penaltyLimit {
		f.says(&Join{[]byte("candidate")})
		l.step(JoinAnswer{f.link, JoinTaken})
	}
	if l.score(f.rid) != 0 {
		t.Error("who is taken is charged")
	}
}

// Spec: GOS-10.
func TestANewcomerAsksEntryRelays(t *testing.T) {
	w := newWorld(t, 40, 5, genesis.Public())
	x := w.addNode(40, 5) // on nobody's list
	x.step(w.view)
	if len(x.m.dials) != 0 || len(x.m.Peers()) != 0 {
		t.Error("who is not on the list has neighbours")
	}
	w.run(time.Minute)
	for n := range 3 {
		x.step(AskJoin{ridOf(n), []byte("candidate")})
	}
	x.step(AskJoin{ridOf(0), []byte("candidate")})
	x.step(AskJoin{ridOf(777), []byte("candidate")}) // nobody there
	w.run(10 * time.Second)
	if len(x.told) != 2 || x.told[0].Sent || x.told[1].Sent {
		t.Errorf("told %+v", x.told)
	}
	for n := range 2 {
		y := w.nodes[n]
		if len(y.joins) != 1 || y.joins[0].RID != x.rid {
			t.Fatalf("relay %d was asked %+v", n, y.joins)
		}
		y.step(JoinAnswer{y.joins[0].Link, JoinTaken})
	}
	w.run(10 * time.Second)
	if len(x.told) != 4 || !x.told[3].Sent || x.told[3].Code != JoinTaken {
		t.Errorf("told %+v", x.told)
	}
	w.run(2 * strangerPeriod) // the third never answers
	if len(x.told) != 5 || x.told[4].Sent || len(x.m.asks) != 0 {
		t.Errorf("told %+v", x.told)
	}
	if len(x.m.peers) != 0 {
		t.Error("streams stay")
	}
	for n := range maxJoins + 1 {
		x.step(AskJoin{ridOf(n), []byte("candidate")})
	}
	if len(x.told) != 6 || x.told[5].Sent {
		t.Error("more at once than there may be")
	}
}
