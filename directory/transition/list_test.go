// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"bytes"
	"errors"
	"testing"

	"chive/directory/committee"
	"chive/directory/genesis"
)

// Spec: TRN-8.
func TestTermsAreShiftedByHalf(t *testing.T) {
	p := genesis.Public() // terms of 168 epochs
	for _, v := range []struct {
		name                committee.Name
		epoch, term, starts uint64
	}{
		{committee.A, 0, 0, 0}, {committee.A, 167, 0, 0}, {committee.A, 168, 1, 168}, {committee.A, 335, 1, 168}, {committee.A, 336, 2, 336},
		{committee.B, 0, 0, 0}, {committee.B, 83, 0, 0}, {committee.B, 84, 1, 84}, {committee.B, 251, 1, 84}, {committee.B, 252, 2, 252},
	} {
		if got := TermAt(p, v.name, v.epoch); got != v.term || TermStart(p, v.name, v.term) != v.starts {
			t.Errorf("%c at %d: term %d from %d", v.name, v.epoch, got, TermStart(p, v.name, v.term))
		}
	}
	for e := range uint64(20) {
		if want := map[bool]committee.Name{true: committee.B, false: committee.A}[e%5 == 4]; OwnerName(e) != want {
			t.Errorf("epoch %d belongs to %c", e, OwnerName(e))
		}
	}
}

// Spec: TRN-8.
func TestListsAreDrawnAheadAndInstalledOnTime(t *testing.T) {
	n := newNet(t, document(t, 12, rules(func(p *genesis.Params) { off(p); p.Term, p.DrawLead, p.SeatsPerFamily = 20, 4, 0 })))
	keys := func() (ops []Op) { // new keys before they are needed
		term := n.next / 20
		for i := range 12 {
			ops = append(ops, n.update(i, withKeys(descriptor(i, int(n.next)), i, term, term+1, term+2)))
		}
		return ops
	}
	first := n.now.Owner(n.doc.Params, 1)
	for n.next < 60 {
		e := n.next
		if e%10 == 5 {
			n.step(keys()...)
		} else {
			n.step()
		}
		for i, name := range []committee.Name{committee.A, committee.B} {
			at := e + uint64(10*i) // terms of B begin 10 epochs earlier
			now, next := n.now.List(name)
			if now.Term != at/20 || (next != nil) != (at%20 >= 16) || (next != nil && next.Term != now.Term+1) {
				t.Fatalf("epoch %d, list %c: term %d, next %v", e, name, now.Term, next)
			}
		}
		// Who signs the child of this snapshot.
		owner := n.now.Owner(n.doc.Params, n.next)
		if want := TermAt(n.doc.Params, owner.Name, n.next); owner.Term != want || owner.Name != OwnerName(n.next) {
			t.Fatalf("epoch %d is of list %c of term %d", n.next, owner.Name, owner.Term)
		}
	}
	if now, _ := n.now.List(committee.A); now.Root() == first.Root() {
		t.Error("the list is the first still")
	}
	// A stall beyond whole terms: the list of term 3 was drawn and stays.
	_, old := n.now.List(committee.A)
	n.skip(43) // epoch 103, in term 5 of A and of B
	if got := n.now.Owner(n.doc.Params, n.next); got != old && got.Name == committee.A {
		t.Fatal("another list owns the epoch after the stall")
	}
	// Recorded keys reach to term 4: nobody can be drawn for term 5, and the old lists
	// stay until new keys are there.
	n.step(keys()...)
	if now, next := n.now.List(committee.A); now != old || next != nil {
		t.Errorf("%+v, %+v", now, next)
	}
	n.step()
	now, next := n.now.List(committee.A)
	if now != old || next == nil || next.Term != 5 {
		t.Fatalf("%+v, %+v", now, next)
	}
	if owner := n.now.Owner(n.doc.Params, 106); owner != next {
		t.Error("a list whose term has begun is not in force at once")
	}
	n.step()
	if now, _ := n.now.List(committee.A); now != next {
		t.Error("not installed")
	}
}

func TestOnlyEligibleRelaysAreDrawn(t *testing.T) {
	n := newNet(t, document(t, 12, rules(func(p *genesis.Params) { off(p); p.SeatsPerFamily = 0 })))
	n.step(n.add(withKeys(descriptor(20, 1), 20, 0, 1, 2), LaneOpen), // too young
		Op{Code: Penalty, Index: n.at(1), Reason: PenaltySeat}, Op{Code: Penalty, Index: n.at(2), Reason: PenaltyProbation},
		Op{Code: Down, Index: n.at(3)}, n.update(5, withKeys(descriptor(5, 1), 5, 3)))
	n.step(Op{Code: Down, Index: n.at(3)})
	list := n.now.draw(n.doc, committee.B, 1)
	seats := map[int]bool{}
	for i := range 21 {
		for _, s := range list.Seats {
			if s.RID == rid(n.doc, i) {
				seats[i] = true
			}
		}
	}
	for _, i := range []int{1, 2, 3, 20} {
		if seats[i] {
			t.Errorf("relay %d has a seat", i)
		}
	}
	if !seats[0] || !seats[5] || len(seats) != 9 {
		t.Errorf("seats %v", seats)
	}
	if n.now.draw(n.doc, committee.B, 9) != nil {
		t.Error("a term for which nobody has a key has a list")
	}
}

func TestListRoundTrip(t *testing.T) {
	n := newNet(t, document(t, 12, rules(nil)))
	l, none := n.now.List(committee.A)
	b := l.Encode()
	got, err := DecodeList(b)
	if err != nil || got.Root() != l.Root() || !bytes.Equal(got.Encode(), b) {
		t.Fatalf("%v", err)
	}
	if root, err := l.ForClients().Root(); err != nil || root != n.now.snap.Header().ListA {
		t.Errorf("clients hold another list: %v", err)
	}
	for cut := 1; cut < len(b); cut++ {
		if _, err := DecodeList(b[:cut]); !errors.Is(err, ErrList) {
			t.Fatalf("cut to %d bytes: %v", cut, err)
		}
	}
	for name, bad := range map[string][]byte{
		"trailing byte": append(bytes.Clone(b), 0), "no seats": append(bytes.Clone(b[:9]), 0, 0), "committee C": append([]byte{'C'}, b[1:]...),
		"97 seats": append(append(bytes.Clone(b[:9]), 0, 97), make([]byte, 97*seatSize)...),
	} {
		if _, err := DecodeList(bad); !errors.Is(err, ErrList) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := DecodeList(append(append(bytes.Clone(b[:9]), 0, 96), make([]byte, 96*seatSize)...)); err != nil || len(got.Seats) != 96 {
		t.Errorf("96 seats: %v", err)
	}
	if got, err := DecodeList(none.Encode()); err != nil || got != nil || none.Root() != [32]byte{} || none.ForClients() != nil {
		t.Errorf("no list: %v", err)
	}
}
