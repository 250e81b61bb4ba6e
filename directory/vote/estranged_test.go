// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
)

// own returns what another process with the member's keys may have said in epoch 1,
// by class.
func (b *bench) own() map[byte][]byte {
	seat := b.ownSeat()
	votes := []*Vote{b.ballotOf(0, nil), b.ballotOf(1, nil), b.ballotOf(2, nil), b.ballotOf(3, nil)}
	p := b.proposalOf(seat, votes...)
	g, err := NewSignature(b.m.nid, b.keyOf(b.w.genesis().Owner(1), seat), 1, p.HeaderDigest(), seat)
	if err != nil {
		b.t.Fatal(err)
	}
	child := b.child(b.w.genesis(), 1, 1)
	return map[byte][]byte{
		record.ClassVote: b.ballotOf(seat, []byte("aaaa")).Encode(), record.ClassProposal: p.Encode(),
		record.ClassSignature: g.Encode(), record.ClassCertificate: b.sign(child, 0, 1, 2, 3).Encode(),
	}
}

// TestAnItemOfOurselvesThatTheMemoryDoesNotKnowStopsTheMember: of another process if it
// is newer than this one, else of a time that was forgotten. Spec: EPOCH-11.
func TestAnItemOfOurselvesThatTheMemoryDoesNotKnowStopsTheMember(t *testing.T) {
	now := func(b *bench) time.Time { return b.at(1, 100*time.Millisecond) }
	for class := range newBench(t, 4, nil).own() {
		for began, other := range map[uint64]bool{0: true, 1: false} {
			b := newBench(t, 4, nil)
			b.step(b.at(began, 0), Tick{})
			strange, ok := effect[Strange](b.give(now(b), class, b.own()[class]))
			if !ok || strange.Other != other {
				t.Errorf("class %d, begun in epoch %d: %v, %+v", class, began, ok, strange)
			}
			want := MemoryLost
			if other {
				want = OtherSelf
			}
			if s := b.m.Status(); s.Reason != want || s.Other != other || s.Old == other {
				t.Errorf("class %d, begun in epoch %d: %+v", class, began, s)
			}
			if b.voted(1) || b.voted(2) {
				t.Errorf("class %d, begun in epoch %d: votes", class, began)
			}
		}
		// Since goes on from member to member.
		b := newBench(t, 4, func(c *Config) { c.Since = c.Document.EpochStart(0) })
		if strange, _ := effect[Strange](b.give(now(b), class, b.own()[class])); !strange.Other {
			t.Errorf("class %d: a second member takes it for an old one", class)
		}
	}
	// What is known, or of somebody else, says nothing.
	b := newBench(t, 4, voted)
	for seat := range 4 {
		if out := b.give(now(b), record.ClassVote, b.ballotOf(seat, nil).Encode()); count[Strange](out) > 0 {
			t.Errorf("the vote of seat %d stops it", seat)
		}
	}
	if out := b.give(now(b), record.ClassVote, b.ballotOf(b.ownSeat(), []byte("aaaa")).Encode()); count[Strange](out) != 1 {
		t.Error("another vote than the one that is remembered says nothing")
	}
	later := newBench(t, 4, func(c *Config) {
		c.Memory = (&Memory{{Epoch: 2}, {Epoch: 2}, {Epoch: 2}}).Encode(c.Document.NetworkID(), c.RID)
	})
	for class, data := range later.own() {
		if out := later.give(now(later), class, data); count[Strange](out) > 0 {
			t.Errorf("class %d: what is older than the memory stops it", class)
		}
	}
	follower := newBench(t, 4, func(c *Config) { c.VRF, c.Keys = nil, nil })
	for class, data := range newBench(t, 4, nil).own() {
		if out := follower.give(now(follower), class, data); count[Strange](out) > 0 {
			t.Errorf("class %d stops a follower", class)
		}
	}
}

// TestAForgottenSignatureUnderTheHeadIsSeen at the first step. Spec: EPOCH-11.
func TestAForgottenSignatureUnderTheHeadIsSeen(t *testing.T) {
	for _, signs := range []bool{true, false} {
		b := newBench(t, 4, nil)
		one := b.child(b.w.genesis(), 1, 1)
		var seats []int
		for seat := range 4 {
			if signs == (seat == b.ownSeat()) || seat%2 == 0 && seat != b.ownSeat() {
				seats = append(seats, seat)
			}
		}
		cert := b.sign(one, seats...)
		again := newBench(t, 4, func(c *Config) { one.w = c.State.(*fakeState).w; c.State, c.Certificate = one, cert })
		if _, seen := effect[Strange](again.step(again.at(2, 0), Tick{})); seen != signs {
			t.Errorf("signed %v, seen %v", signs, seen)
		}
	}
}

// TestTheHeadIsMetOnce: a network that stands still because of the member has the same head
// at its next start, which must not silence it anew. Spec: EPOCH-11.
func TestTheHeadIsMetOnce(t *testing.T) {
	b := newBench(t, 4, nil)
	one := b.child(b.w.genesis(), 1, 1)
	cert := b.sign(one, b.ownSeat(), (b.ownSeat()+1)%4, (b.ownSeat()+2)%4)
	var memory []byte
	for i, epoch := range []uint64{2, 2, 1000} {
		again := newBench(t, 4, func(c *Config) {
			one.w = c.State.(*fakeState).w
			c.State, c.Certificate, c.Memory = one, cert, memory
		})
		out := again.step(again.at(epoch, 0), Tick{})
		store, stored := effect[Store](out)
		if _, seen := effect[Strange](out); seen != (i == 0) || stored != (i == 0) {
			t.Errorf("start %d: strange %v, stored %v", i, seen, stored)
		}
		if stored {
			memory = store.Memory
		}
	}
}

// TestAnotherProcessSilencesTheMemberAtOnceUntilItIsQuiet: even a promise that is being
// stored is not kept, and the next member goes on abstaining. Spec: EPOCH-11.
func TestAnotherProcessSilencesTheMemberAtOnceUntilItIsQuiet(t *testing.T) {
	b := newBench(t, 4, nil)
	b.step(b.at(0, 5*time.Second), Tick{})
	store, ok := effect[Store](b.step(b.at(1, 500*time.Millisecond), Tick{}))
	if !ok {
		t.Fatal("does not vote")
	}
	if out := b.step(b.at(1, 501*time.Millisecond), Estranged{Other: true}); count[Strange](out) != 1 {
		t.Error("not said")
	}
	if out := b.step(b.at(1, 502*time.Millisecond), Stored{Token: store.Token, OK: true}); count[Send](out) > 0 {
		t.Error("it votes nevertheless")
	}
	quiet := Quiet(b.w.doc.Params)
	b.step(b.at(3, 0), Estranged{Other: true}) // it is still there
	if till := b.m.Doubts().OtherTill; till != 4+quiet {
		t.Fatalf("abstains until %d, quiet is %d", till, quiet)
	}
	next := newBench(t, 4, func(c *Config) { c.Doubts = b.m.Doubts() })
	next.step(next.at(3, 0), Tick{})
	if next.voted(3+quiet) || next.m.Status().Reason != OtherSelf {
		t.Error("votes too early")
	}
	if !next.voted(4+quiet) || next.m.Status().Other {
		t.Error("never votes again")
	}
	// A clock that was years ahead when it was seen does not bar the member for years.
	far := newBench(t, 4, func(c *Config) { c.Doubts.OtherTill = 1 << 40 })
	far.step(far.at(3, 0), Tick{})
	if till := far.m.Doubts().OtherTill; till != 4+quiet {
		t.Errorf("with a clock that was ahead: until %d", till)
	}
}

// TestAnOldMemoryIsSaidOnce, and binds all the same. Spec: EPOCH-11.
func TestAnOldMemoryIsSaidOnce(t *testing.T) {
	b := newBench(t, 4, voted)
	b.step(b.at(1, 0), Tick{})
	if out := b.step(b.at(1, 0), Estranged{}); count[Strange](out) != 1 {
		t.Error("not said")
	}
	if out := b.step(b.at(1, 0), Estranged{}); count[Strange](out) != 0 {
		t.Error("said again")
	}
	if b.voted(1) || b.m.memory[KindVote].Epoch != 1 || !b.m.Doubts().Lost {
		t.Error("forgotten")
	}
	lost := newBench(t, 4, func(c *Config) { c.Doubts.Lost = true })
	if out := lost.give(lost.at(1, 0), record.ClassVote, lost.own()[record.ClassVote]); count[Strange](out) != 0 {
		t.Error("said of a memory that is known to be lost")
	}
}

// TestQuietIsLongerThanDescriptorsTake in both presets, and at least a term.
func TestQuietIsLongerThanDescriptorsTake(t *testing.T) {
	for _, p := range []genesis.Params{genesis.Public(), genesis.Testnet()} {
		if q := Quiet(p); q < uint64(p.Term) || time.Duration(q)*p.EpochLen <= p.Republish+p.RepublishJitter {
			t.Errorf("quiet is %d epochs", q)
		}
	}
}
