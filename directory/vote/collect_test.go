// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"bytes"
	"testing"
	"time"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/transition"
	"chive/directory/vrf"
)

// ballotOf is a seat's vote over snapshot 0 in epoch 1.
func (b *bench) ballotOf(seat int, ops []byte) *Vote {
	r := b.w.genesis().Owner(1)
	v, err := NewVote(b.w.doc.NetworkID(), b.keyOf(r, seat), 1, b.w.genesis().digest, seat, ops)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// proposalOf is a seat's proposal in epoch 1 of the votes.
func (b *bench) proposalOf(seat int, votes ...*Vote) *Proposal {
	g := b.w.genesis()
	r := g.Owner(1)
	voters := NewSeats(len(r.Seats))
	in := Input{Epoch: 1, Seat: seat}
	var names [][32]byte
	for _, v := range votes {
		voters.Add(v.Seat)
		names = append(names, v.Digest())
		in.Ballots = append(in.Ballots, Ballot{Seat: v.Seat, Ops: v.Ops})
	}
	in.VotesDigest = VotesDigest(voters, names)
	in.Proof = b.prover(r, seat).Prove(ProposeInput(b.w.doc.NetworkID(), 1, g.h.Beacon))
	out, err := vrf.ProofToHash(in.Proof)
	if err != nil {
		b.t.Fatal(err)
	}
	in.Output = out
	child, err := b.w.Next(g, &in)
	if err != nil {
		b.t.Fatal(err)
	}
	p, err := NewProposal(b.w.doc.NetworkID(), b.keyOf(r, seat), child.Header(), voters, names)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func (b *bench) prover(r *Roster, seat int) *vrf.SecretKey {
	for n := range b.w.k {
		if vrfKey(n).Public() == r.Seats[seat].VRF {
			return vrfKey(n)
		}
	}
	b.t.Fatal("no such seat")
	return nil
}

func (b *bench) give(now time.Time, class byte, data []byte) []Effect {
	return b.step(now, Received{Class: class, Data: data})
}

// ownSeat is the member's seat in epoch 1.
func (b *bench) ownSeat() int {
	for i, s := range b.w.genesis().Owner(1).Seats {
		if s.RID == b.m.RID {
			return i
		}
	}
	return -1
}

// One vote of a seat is kept, and a second one if a proposal lists it.
// Spec: EPOCH-8, VOTE-7.
func TestOneVoteOfASeat(t *testing.T) {
	b := newBench(t, 4, func(c *Config) { c.VRF, c.Keys = nil, nil })
	now := b.at(1, 400*time.Millisecond)
	first, second, third := b.ballotOf(1, []byte("aaaa")), b.ballotOf(1, []byte("bbbb")), b.ballotOf(1, []byte("cccc"))
	if out := b.give(now, record.ClassVote, first.Encode()); count[Accept](out) != 1 {
		t.Error("first: not taken")
	}
	if out := b.give(now, record.ClassVote, first.Encode()); count[Accept](out)+count[Accuse](out) > 0 {
		t.Error("first again: taken")
	}
	if out := b.give(now, record.ClassVote, second.Encode()); count[Accept](out) > 0 || count[Accuse](out) != 1 {
		t.Error("second: taken, or nobody accused")
	}
	if out := b.give(now, record.ClassVote, third.Encode()); count[Accept](out)+count[Accuse](out)+count[Refuse](out) > 0 {
		t.Error("third: looked at")
	}
	p := b.proposalOf(0, b.ballotOf(0, nil), third, b.ballotOf(2, nil))
	if out := b.give(b.at(1, 1500*time.Millisecond), record.ClassProposal, p.Encode()); count[Accept](out) != 1 {
		t.Error("proposal: not taken")
	}
	if out := b.give(now, record.ClassVote, third.Encode()); count[Accept](out) != 1 || count[Accuse](out) > 0 {
		t.Error("third, listed: not taken")
	}
	if out := b.give(now, record.ClassVote, second.Encode()); count[Accept](out) > 0 {
		t.Error("second, not listed: taken")
	}
	forged := b.ballotOf(2, nil)
	forged.Seat = 3
	bad := *forged
	bad.signed.raw = bytes.Clone(forged.signed.raw)
	bad.signed.raw[5] ^= 1
	if out := b.give(now, record.ClassVote, bad.Encode()); count[Refuse](out) != 1 {
		t.Error("forged: not refused")
	}
	if out := b.give(now, record.ClassVote, []byte{1}); count[Refuse](out) != 1 {
		t.Error("garbage: not refused")
	}
}

// Items of other epochs than this and the one before are not taken, and those of
// seats that the list does not have are refused. Spec: EPOCH-8.
func TestOnlyThisEpochAndTheOneBefore(t *testing.T) {
	b := newBench(t, 4, nil)
	r := b.w.genesis().Owner(3)
	for _, test := range []struct {
		at   time.Time
		take bool
	}{
		{b.at(2, 8*time.Second), false}, {b.at(3, -time.Second-1), false}, {b.at(3, -time.Second), true},
		{b.at(3, 5*time.Second), true}, {b.at(4, 8*time.Second), true}, {b.at(5, 0), false},
	} {
		b := newBench(t, 4, nil)
		v, err := NewVote(b.w.doc.NetworkID(), b.keyOf(r, 1), 3, b.w.genesis().digest, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		out := b.give(test.at, record.ClassVote, v.Encode())
		if (count[Accept](out) == 1) != test.take || count[Refuse](out) > 0 {
			t.Errorf("at %s of epoch 3: taken: %t", test.at.Sub(b.at(3, 0)), !test.take)
		}
	}
	v, err := NewVote(b.w.doc.NetworkID(), b.keyOf(r, 1), 3, b.w.genesis().digest, 4, nil)
	if err != nil {
		t.Fatal(err)
	}
	if out := b.give(b.at(3, 0), record.ClassVote, v.Encode()); count[Refuse](out) != 1 {
		t.Error("seat beyond the list: not refused")
	}
	b.step(b.at(3, 0), Neighbours{Count: 3, Head: 9})
	if out := b.give(b.at(3, 0), record.ClassVote, v.Encode()); count[Refuse](out) > 0 {
		t.Error("blamed by a relay that lags behind")
	}
}

// Ops beyond what the parent's table allows are refused. Spec: VOTE-2.
func TestOpsInBounds(t *testing.T) {
	for extra := range 2 {
		b := newBench(t, 4, nil)
		v := b.ballotOf(1, make([]byte, transition.MaxOpsSize(4)+extra))
		if out := b.give(b.at(1, 0), record.ClassVote, v.Encode()); count[Refuse](out) != extra || count[Accept](out) != 1-extra {
			t.Errorf("%d bytes too many: refused: %d", extra, count[Refuse](out))
		}
	}
}

// Three proposals of lowest output are kept, and late ones take no place of theirs.
// Spec: EPOCH-8.
func TestThreeProposalsOfLowestOutput(t *testing.T) {
	const k = 13
	b := newBench(t, k, func(c *Config) { c.VRF, c.Keys = nil, nil })
	var votes []*Vote
	for seat := range committee.Quorum(k) {
		votes = append(votes, b.ballotOf(seat, nil))
	}
	deadline := b.at(1, 2500*time.Millisecond)
	for seat := range 7 {
		b.give(deadline.Add(-1), record.ClassProposal, b.proposalOf(seat, votes...).Encode())
	}
	kept := func() (timely, late []*proposed) {
		for _, p := range b.m.round(1).proposals {
			if p.late {
				late = append(late, p)
			} else {
				timely = append(timely, p)
			}
		}
		return
	}
	before, _ := kept()
	if len(before) != maxProposals {
		t.Fatalf("%d kept", len(before))
	}
	lower := 0
	for seat := range 7 {
		out, err := b.proposalOf(seat, votes...).Output(b.m.nid, b.w.genesis().Owner(1).Seats[seat].VRF, b.w.genesis().h.Beacon, Plain{})
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Compare(out[:], before[2].output[:]) <= 0 {
			lower++
		}
	}
	if lower != maxProposals {
		t.Errorf("%d have an output as low as the third that was kept", lower)
	}
	for seat := 7; seat < k; seat++ {
		b.give(deadline, record.ClassProposal, b.proposalOf(seat, votes...).Encode())
	}
	after, late := kept()
	if len(late) != maxProposals {
		t.Errorf("%d late ones kept", len(late))
	}
	for i := range before {
		if after[i] != before[i] {
			t.Error("a late proposal took the place of a timely one")
		}
	}
}

// A proposal of too few votes, of a false proof, or of a seat with a penalty.
// Spec: EPOCH-5.
func TestProposalsRefused(t *testing.T) {
	b := newBench(t, 4, nil)
	votes := []*Vote{b.ballotOf(0, nil), b.ballotOf(1, nil), b.ballotOf(2, nil)}
	good := b.proposalOf(1, votes...)
	r := b.w.genesis().Owner(1)
	h := *good.Header
	other := b.prover(r, 2).Prove(ProposeInput(b.w.doc.NetworkID(), 1, b.w.genesis().h.Beacon))
	h.VRFProof = other
	false1, err := NewProposal(b.w.doc.NetworkID(), b.keyOf(r, 1), &h, good.Voters, good.Votes)
	if err != nil {
		t.Fatal(err)
	}
	few := *good.Header
	fewSeats := NewSeats(4)
	fewSeats.Add(0)
	fewSeats.Add(1)
	few.VotesDigest = VotesDigest(fewSeats, good.Votes[:2])
	false2, err := NewProposal(b.w.doc.NetworkID(), b.keyOf(r, 1), &few, fewSeats, good.Votes[:2])
	if err != nil {
		t.Fatal(err)
	}
	now := b.at(1, 1200*time.Millisecond)
	for name, p := range map[string]*Proposal{"false proof": false1, "too few votes": false2} {
		b := newBench(t, 4, nil)
		if out := b.give(now, record.ClassProposal, p.Encode()); count[Refuse](out) != 1 || count[Accept](out) > 0 {
			t.Errorf("%s: not refused", name)
		}
	}
	punished := newBench(t, 4, func(c *Config) { c.State.(*fakeState).ignored = map[record.RID]bool{r.Seats[1].RID: true} })
	if out := punished.give(now, record.ClassProposal, good.Encode()); count[Accept](out)+count[Refuse](out) > 0 {
		t.Error("of a seat with a penalty: looked at")
	}
	if out := punished.give(now, record.ClassVote, votes[1].Encode()); count[Accept](out) != 1 {
		t.Error("the vote of a seat with a penalty counts toward the quorum")
	}
}

// The whole of an epoch, from one seat's side: what is missing is asked for, and the
// signature comes at its time, once. Spec: EPOCH-6.
func TestFetchesRecomputesAndSigns(t *testing.T) {
	b := newBench(t, 4, nil)
	own := b.ownSeat()
	var votes []*Vote
	for seat := range 4 {
		if seat != own && len(votes) < 3 {
			votes = append(votes, b.ballotOf(seat, []byte("aaaa")))
		}
	}
	p := b.proposalOf((own+1)%4, votes...)
	b.step(b.at(1, 999*time.Millisecond), Tick{})
	b.give(b.at(1, 1100*time.Millisecond), record.ClassProposal, p.Encode())
	out := b.step(b.at(1, 2500*time.Millisecond), Tick{})
	fetch, ok := effect[Fetch](out)
	if !ok || len(fetch.Digests) != 3 || fetch.Class != record.ClassVote {
		t.Fatal("the listed votes are not asked for")
	}
	for _, v := range votes[:2] {
		b.give(b.at(1, 2600*time.Millisecond), record.ClassVote, v.Encode())
	}
	if out := b.step(b.at(1, 2900*time.Millisecond), Tick{}); count[Fetch](out) > 0 {
		t.Error("asks again at once")
	}
	if out := b.step(b.at(1, 3*time.Second), Tick{}); count[Store](out) > 0 {
		t.Error("signs without a listed vote")
	}
	if out := b.step(b.at(1, 4600*time.Millisecond), Tick{}); count[Fetch](out) != 1 {
		t.Error("does not ask again")
	}
	store, ok := effect[Store](b.give(b.at(1, 5*time.Second), record.ClassVote, votes[2].Encode()))
	if !ok {
		t.Fatal("does not sign when all is there")
	}
	send, ok := effect[Send](b.step(b.at(1, 5*time.Second+1), Stored{Token: store.Token, OK: true}))
	if !ok || send.Class != record.ClassSignature {
		t.Fatal("no signature")
	}
	if out := b.step(b.at(1, 6*time.Second), Tick{}); count[Store](out)+count[Send](out) > 0 {
		t.Error("signs twice")
	}
	// Two more make it final, for whoever holds them.
	var last []Effect
	for _, seat := range []int{(own + 1) % 4, (own + 2) % 4} {
		g, err := NewSignature(b.m.nid, b.keyOf(b.w.genesis().Owner(1), seat), 1, p.HeaderDigest(), seat)
		if err != nil {
			t.Fatal(err)
		}
		last = b.give(b.at(1, 6*time.Second), record.ClassSignature, g.Encode())
	}
	if final, ok := effect[Final](last); !ok || final.State.Digest() != p.HeaderDigest() {
		t.Error("not final")
	}
	if send, ok := effect[Send](last); !ok || send.Class != record.ClassCertificate {
		t.Error("the certificate is not pushed")
	}
}

// voted makes a member that remembers its empty vote of epoch 1.
func voted(c *Config) {
	b := &bench{w: c.State.(*fakeState).w, m: &Member{Config: *c, nid: c.Document.NetworkID(), head: c.State}}
	v := b.ballotOf(b.ownSeat(), nil)
	c.Memory = (&Memory{KindVote: {Epoch: 1, Digest: v.digest}}).Encode(c.Document.NetworkID(), c.RID)
}

// A certificate that comes when votes and proposal are long gone is followed by
// whoever signed for it. Spec: EPOCH-9.
func TestSignedSnapshotIsKept(t *testing.T) {
	b := newBench(t, 4, voted)
	votes := []*Vote{b.ballotOf(0, nil), b.ballotOf(1, nil), b.ballotOf(2, nil), b.ballotOf(3, nil)}
	for _, v := range votes {
		b.give(b.at(1, 1050*time.Millisecond), record.ClassVote, v.Encode())
	}
	p := b.proposalOf((b.ownSeat()+1)%4, votes...)
	b.give(b.at(1, 1100*time.Millisecond), record.ClassProposal, p.Encode())
	store, ok := effect[Store](b.step(b.at(1, 3*time.Second), Tick{}))
	if !ok {
		t.Fatal("does not sign")
	}
	b.step(b.at(1, 3*time.Second), Stored{Token: store.Token, OK: true})
	child := b.m.made[0].(*fakeState)
	out := b.certificate(b.at(4, 0), b.sign(child, 0, 1, 2))
	if final, ok := effect[Final](out); !ok || final.State.Digest() != child.digest || count[Load](out) > 0 {
		t.Error("asks others for what it signed itself")
	}
}

// After the end nobody signs, whatever arrives then. Spec: EPOCH-6.
func TestNothingIsSignedAfterTheEnd(t *testing.T) {
	b := newBench(t, 4, voted)
	votes := []*Vote{b.ballotOf(0, nil), b.ballotOf(1, nil), b.ballotOf(2, nil), b.ballotOf(3, nil)}
	p := b.proposalOf((b.ownSeat()+1)%4, votes...)
	b.give(b.at(1, 1100*time.Millisecond), record.ClassProposal, p.Encode())
	for _, v := range votes[:3] {
		b.give(b.at(1, 1200*time.Millisecond), record.ClassVote, v.Encode())
	}
	if out := b.give(b.at(1, 8*time.Second), record.ClassVote, votes[3].Encode()); count[Store](out) > 0 {
		t.Error("signs after the end")
	}
	slow := newBench(t, 4, voted)
	for _, v := range votes {
		slow.give(slow.at(1, 1050*time.Millisecond), record.ClassVote, v.Encode())
	}
	slow.give(slow.at(1, 1100*time.Millisecond), record.ClassProposal, p.Encode())
	store, ok := effect[Store](slow.step(slow.at(1, 3*time.Second), Tick{}))
	if !ok {
		t.Fatal("does not sign")
	}
	if out := slow.step(slow.at(1, 8*time.Second), Stored{Token: store.Token, OK: true}); count[Send](out) > 0 {
		t.Error("signs after the end, since the store was slow")
	}
}

// Descriptors that are missing are asked for, and the epoch goes on when they are
// there. Spec: EPOCH-6.
func TestMissingDescriptors(t *testing.T) {
	s := newSim(t, 4, 1, 1, genesis.Testnet())
	want, asked := Want{RID: record.RID{1}}, 0
	s.w.lacking = func([]Ballot) []Want {
		if asked++; asked%3 == 0 {
			return nil
		}
		return []Want{want}
	}
	s.run(5)
	if _, skipped := s.gaps(1, 4); skipped > 0 {
		t.Errorf("%d skipped", skipped)
	}
	s.w.lacking = func([]Ballot) []Want { return []Want{want} }
	s.more(5)
	if len(s.finals[6])+len(s.finals[7]) > 0 {
		t.Error("final although descriptors are missing")
	}
}
