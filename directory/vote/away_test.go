// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"errors"
	"testing"
	"time"

	"chive/directory/record"
	"chive/directory/transition"
)

// A member that was away while a list was drawn and installed judges by the old one what
// those who were there say by the new one: that is not the fault of who passes it on.
// What the list of the term itself does not bear out is. Spec: GOS-11.
func TestNobodyIsBlamedForAListThatWasMissed(t *testing.T) {
	b := newBench(t, 4, nil)
	p := b.w.doc.Params
	first := transition.TermStart(p, transition.OwnerName(0), 1)
	for transition.OwnerName(first) != transition.OwnerName(0) {
		first++
	}
	before := b.child(b.w.genesis(), first-uint64(p.DrawLead)-2, 1)
	drawn := b.child(before, first-uint64(p.DrawLead), 2)
	roster := drawn.Owner(first)
	if roster.List.Term != 1 || before.Owner(first).List.Term != 0 {
		t.Fatal("the list is not drawn in between")
	}
	items := func(parent *fakeState) map[byte][]byte {
		nid, seat, key := b.w.doc.NetworkID(), 1, b.keyOf(roster, 1)
		v, err1 := NewVote(nid, key, first, parent.digest, seat, nil)
		g, err2 := NewSignature(nid, key, first, [32]byte{1}, seat)
		child := b.child(drawn, first, 3)
		voters := NewSeats(4)
		h := *child.h
		h.ProposerSeat, h.Parent = uint64(seat), parent.digest
		for i := range 3 {
			voters.Add(i)
		}
		names := [][32]byte{{1}, {2}, {3}}
		h.VotesDigest = VotesDigest(voters, names)
		pr, err3 := NewProposal(nid, key, &h, voters, names)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		return map[byte][]byte{record.ClassVote: v.Encode(), record.ClassSignature: g.Encode(), record.ClassProposal: pr.Encode()}
	}
	now := b.at(first, 1200*time.Millisecond)
	stale := func() *bench { return newBench(t, 4, func(c *Config) { c.State = before }) }
	for class, data := range items(drawn) {
		if out := stale().give(now, class, data); count[Refuse](out)+count[Accept](out) != 0 {
			t.Errorf("%c under a list that was missed: %d refused, %d taken", class, count[Refuse](out), count[Accept](out))
		}
		if class == record.ClassProposal { // it has no proof
			continue
		}
		fresh := newBench(t, 4, func(c *Config) { c.State = drawn })
		if out := fresh.give(now, class, data); count[Refuse](out) != 0 {
			t.Errorf("%c under the list that was drawn: refused", class)
		}
	}
	// Who names our own newest snapshot as the parent has the lists that we have.
	for class, data := range items(before) {
		if out := stale().give(now, class, data); class != record.ClassSignature && count[Refuse](out) != 1 {
			t.Errorf("%c of another list with our parent: %d refused", class, count[Refuse](out))
		}
	}
	// Within the term of the installed list there is no other.
	v := b.ballotOf(1, nil)
	forged := *v
	forged.signed.signature[0] ^= 1
	forged.signed.raw = encodeSigned(&record.Signed{Alg: record.AlgEd25519, Signature: forged.signed.signature[:], Payload: forged.signed.payload})
	if out := newBench(t, 4, nil).give(b.at(1, time.Second), record.ClassVote, forged.Encode()); count[Refuse](out) != 1 {
		t.Error("a false signature under the list of the term is not refused")
	}
}
