// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
)

// The merge of sorted votes counts like a plain count.
func TestMatchingOpsAreCounted(t *testing.T) {
	c := newChaos(t, document(t, 24, rules(wild)), 60, 11)
	for range 30 {
		plain := map[Op]int{}
		var votes opHeap
		for _, v := range c.votes() {
			ops := slices.CompactFunc(v.Ops, func(a, b Op) bool { return a.Compare(b) == 0 })
			if len(ops) > 0 {
				votes = append(votes, ops)
			}
			for _, o := range ops {
				plain[o]++
			}
		}
		for _, m := range []int{1, 2, 4, 7, 8} {
			got := slices.Clone(votes).matching(m)
			want := 0
			for _, n := range plain {
				if n >= m {
					want++
				}
			}
			if len(got) != want {
				t.Fatalf("%d ops with %d votes, want %d", len(got), m, want)
			}
			for i, o := range got {
				if plain[o] < m || (i > 0 && compareAll(&got[i-1], &got[i]) >= 0) {
					t.Fatal("an op without its votes, or out of order")
				}
			}
		}
	}
}

// A network of one: one seat, one vote.
func TestNetworkOfOne(t *testing.T) {
	n := newNet(t, document(t, 1, genesis.Testnet()))
	for i := range 30 {
		n.step(n.add(descriptor(20+i, 1), LaneOpen))
	}
	if n.now.snap.Table().Len() != 31 {
		t.Errorf("%d relays", n.now.snap.Table().Len())
	}
}

// everySeat gives each founder a seat.
func everySeat(p *genesis.Params) { off(p); p.SeatsPerFamily = 0 }

// Spec: TRN-1 (I2).
func TestOpNeedsMatchingVotesOfDistinctSeats(t *testing.T) {
	doc := document(t, 9, rules(everySeat))
	n := newNet(t, doc)
	list := n.now.Owner(doc.Params, 1)
	k := len(list.Seats)
	m, q := committee.Matching(k), committee.Quorum(k)
	op := Op{Code: Drop, Index: 4, Reason: DropExpired}
	like := Op{Code: Drop, Index: 4, Reason: DropEvidence} // the same, but for a byte
	for want := range m + 1 {
		in := n.input(nil)
		for seat := range k {
			in.Votes[seat].Ops = []Op{like}
			if seat < want {
				in.Votes[seat].Ops = []Op{op}
			}
		}
		in.Votes = in.Votes[:q]
		for i := want; i < q; i++ {
			if i%2 == 0 {
				in.Votes[i].Ops = nil
			}
		}
		child, err := Next(doc, n.now, in)
		if err != nil {
			t.Fatal(err)
		}
		if applied := child.snap.Table().Len() == 8; applied != (want >= m) {
			t.Errorf("%d of %d votes: applied %v", want, k, applied)
		}
	}
}

// At random: whatever was applied had its votes, byte for byte (I2).
func TestEveryChangeHadItsVotes(t *testing.T) {
	c := newChaos(t, document(t, 24, rules(wild)), 100, 7)
	c.run(150, func(parent, child *State, in Input) {
		m := committee.Matching(len(parent.Owner(c.doc.Params, in.Epoch).Seats))
		wanted := func(match func(o Op) bool) bool {
			votes := map[Op]int{}
			for _, v := range in.Votes {
				if canonical(v.Ops, len(parent.aux)) {
					for _, o := range v.Ops {
						votes[o]++
					}
				}
			}
			for o, n := range votes {
				if n >= m && match(o) {
					return true
				}
			}
			return false
		}
		for i := range parent.aux {
			id := parent.snap.Table().At(i).RID
			j, found := child.snap.Table().Index(id)
			if !found {
				if parent.aux[i].Idle < dormantAfter-1 && !wanted(func(o Op) bool { return o.Code == Drop && o.Index == uint32(i) }) {
					t.Fatalf("epoch %d: dropped without votes", in.Epoch)
				}
				continue
			}
			a := &child.aux[j]
			if a.Body != parent.aux[i].Body && !wanted(func(o Op) bool { return o.Code == Update && o.Index == uint32(i) && o.Body == [16]byte(a.Body[:16]) }) {
				t.Fatalf("epoch %d: updated without votes", in.Epoch)
			}
			if runs := running(&child.snap.Table().At(j).Leaf); runs != running(&parent.snap.Table().At(i).Leaf) &&
				!wanted(func(o Op) bool {
					return (o.Code == Up) == runs && (o.Code == Up || o.Code == Down) && o.Index == uint32(i)
				}) {
				t.Fatalf("epoch %d: stopped or started without votes", in.Epoch)
			}
			if (a.PenaltyEnd != parent.aux[i].PenaltyEnd || a.ProbationEnd != parent.aux[i].ProbationEnd) &&
				!wanted(func(o Op) bool { return o.Code == Penalty && o.Index == uint32(i) }) {
				t.Fatalf("epoch %d: a penalty without votes", in.Epoch)
			}
		}
		for j := range child.aux {
			id := child.snap.Table().At(j).RID
			if _, found := parent.snap.Table().Index(id); !found && !wanted(func(o Op) bool { return o.Code == Add && o.RID == id }) {
				t.Fatalf("epoch %d: admitted without votes", in.Epoch)
			}
		}
	})
}

// The same bytes whatever the order of votes and descriptors, and whether the parent
// was computed or read from storage (I4, TRN-1).
func TestOrderMakesNoDifference(t *testing.T) {
	c := newChaos(t, document(t, 24, rules(wild)), 100, 3)
	r := rand.New(rand.NewPCG(9, 9))
	c.run(120, func(parent, child *State, in Input) {
		r.Shuffle(len(in.Votes), func(i, j int) { in.Votes[i], in.Votes[j] = in.Votes[j], in.Votes[i] })
		stored, err := Decode(c.doc, parent.Encode())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []*State{parent, stored} {
			again, err := Next(c.doc, p, in)
			if err != nil || again.Digest() != child.Digest() || !bytes.Equal(again.Encode(), child.Encode()) {
				t.Fatalf("epoch %d: another child: %v", in.Epoch, err)
			}
		}
	})
}

func TestVotesThatNoProposalMayList(t *testing.T) {
	doc := document(t, 9, rules(everySeat))
	n := newNet(t, doc)
	for name, v := range map[string]struct {
		change func(in *Input)
		want   error
	}{
		"epoch of the parent":       {func(in *Input) { in.Epoch = 0 }, ErrEpoch},
		"one below the quorum":      {func(in *Input) { in.Votes = in.Votes[:6] }, ErrVotes},
		"the quorum":                {func(in *Input) { in.Votes = in.Votes[:7] }, nil},
		"a seat twice":              {func(in *Input) { in.Votes[8].Seat = 0 }, ErrVotes},
		"a seat beyond the list":    {func(in *Input) { in.Votes[8].Seat = 9 }, ErrVotes},
		"a seat below 0":            {func(in *Input) { in.Votes[8].Seat = -1 }, ErrVotes},
		"proposer beyond the list":  {func(in *Input) { in.Seat = 9 }, ErrVotes},
		"output of another proof":   {func(in *Input) { in.Output[3] ^= 1 }, ErrProof},
		"proof that is none":        {func(in *Input) { in.Proof = [80]byte{79: 0xff, 40: 0xff}; in.Proof[0] = 2 }, ErrProof},
		"a descriptor not at hand":  {func(in *Input) { in.all(Op{Code: Update, Index: 2, Body: [16]byte{1}}) }, ErrMissing},
		"no descriptors at all":     {func(in *Input) { in.all(Op{Code: Add}); in.Descriptor = nil }, ErrMissing},
		"of a relay that is gone":   {func(in *Input) { in.all(Op{Code: Drop, Index: 2, Reason: 1}, Op{Code: Update, Index: 2}) }, nil},
		"void vote of two like ops": {func(in *Input) { in.Votes[0].Ops = []Op{{Code: Up}, {Code: Up}} }, nil},
		"a code that is reserved":   {func(in *Input) { in.Votes[0].Ops = []Op{{Code: 8}} }, nil},
	} {
		in := n.input(nil)
		v.change(&in)
		if _, err := Next(doc, n.now, in); !errors.Is(err, v.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A descriptor of another relay, or of another body, is none.
	for name, d := range map[string]*record.Descriptor{"another relay": descriptor(3, 1), "another body": descriptor(2, 2)} {
		o := n.update(2, descriptor(2, 1))
		in := n.input([]Op{o})
		in.Descriptor = func(record.RID, [16]byte) *record.Descriptor { return d }
		if _, err := Next(doc, n.now, in); !errors.Is(err, ErrMissing) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// All that is missing is named at once, so that it can be fetched at once.
func TestAllMissingDescriptorsAreNamed(t *testing.T) {
	n := newNet(t, document(t, 9, rules(everySeat)))
	there, gone := n.update(2, descriptor(2, 1)), n.update(4, descriptor(4, 1))
	stranger := n.add(descriptor(20, 1), LaneOpen)
	delete(n.cat[rid(n.doc, 4)], gone.Body)
	delete(n.cat[stranger.RID], stranger.Body)
	_, err := Next(n.doc, n.now, n.input(sorted([]Op{there, gone, stranger})))
	var missing *MissingError
	if !errors.As(err, &missing) || !slices.Equal(missing.Wants, []Want{{rid(n.doc, 4), gone.Body}, {stranger.RID, stranger.Body}}) {
		t.Errorf("%v: %+v", err, missing)
	}
}

// all has every seat want ops.
func (in *Input) all(ops ...Op) {
	for i := range in.Votes {
		in.Votes[i].Ops = ops
	}
}

// A void vote changes nothing, and not even what it says rightly counts.
func TestVoidVoteDoesNotCount(t *testing.T) {
	doc := document(t, 9, rules(everySeat))
	n := newNet(t, doc)
	op := Op{Code: Drop, Index: 4, Reason: DropExpired}
	in := n.input(nil)
	for i := range 5 {
		in.Votes[i].Ops = []Op{op}
	}
	in.Votes[4].Ops = []Op{op, {Code: Up, Index: 1}, {Code: Up, Index: 1}}
	child, err := Next(doc, n.now, in)
	if err != nil || child.snap.Table().Len() != 9 {
		t.Errorf("a void vote was the fifth: %v", err)
	}
	// Nor does the vote of a seat that has a penalty.
	list := n.now.Owner(doc.Params, n.next)
	i, _ := n.now.snap.Table().Index(list.Seats[0].RID)
	n.step(Op{Code: Penalty, Index: uint32(i), Reason: PenaltySeat})
	in = n.input(nil)
	for i := range 5 {
		in.Votes[i].Ops = []Op{op}
	}
	if child, err = Next(doc, n.now, in); err != nil || child.snap.Table().Len() != 9 {
		t.Errorf("an ignored seat was the fifth: %v", err)
	}
}

// Next leaves its arguments as they are.
func TestParentStaysAsItIs(t *testing.T) {
	c := newChaos(t, document(t, 24, rules(wild)), 100, 5)
	c.run(60, func(parent, child *State, in Input) {
		before := parent.Encode()
		votes := make([]Vote, len(in.Votes))
		for i, v := range in.Votes {
			votes[i] = Vote{v.Seat, slices.Clone(v.Ops)}
		}
		if _, err := Next(c.doc, parent, in); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(parent.Encode(), before) {
			t.Fatal("the parent changed")
		}
		for i := range votes {
			if !slices.Equal(votes[i].Ops, in.Votes[i].Ops) || votes[i].Seat != in.Votes[i].Seat {
				t.Fatal("a vote changed")
			}
		}
	})
}

// Vectors of a chain: 20 epochs of fixed votes under rules that make much happen
// (TRN-1, TRN-5).
func TestChainVectors(t *testing.T) {
	c := newChaos(t, document(t, 24, rules(wild)), 60, 20)
	lines := [][2]string{{"header_0", fmt.Sprintf("%x", c.now.snap.Header().Encode())}, {"digest_0", fmt.Sprintf("%x", c.now.Digest())}}
	c.run(20, func(_, child *State, in Input) {
		lines = append(lines, [2]string{fmt.Sprintf("digest_%d", in.Epoch), fmt.Sprintf("%x", child.Digest())})
	})
	lines = append(lines, [2]string{"last_header", fmt.Sprintf("%x", c.now.snap.Header().Encode())},
		[2]string{"last_history", fmt.Sprintf("%x", c.now.History().Encode())})
	golden(t, "chain.txt", "Digests of the headers of 20 epochs of the votes that chaos of random_test.go makes of seed 20,\n"+
		"with the first and the last header and the last history.\nA changed line is a change of the protocol. Spec: directory §5.\n", lines)
}

// Vectors of aux records and state roots (TRN-5).
func TestAuxVectors(t *testing.T) {
	a := Aux{
		Body: public("body", 1), VRF: public("vrf", 1), Target: 57, Reach: 1, Idle: 6, Uptime: 61773, DayRunning: 12, Admitted: 1 << 40,
		Lane: LaneVouched, VoucherDay: 91, PenaltyEnd: 1 << 41, ProbationEnd: 77,
	}
	bare := a.append(nil)
	for term := range uint64(3) {
		key := public("committee", int(term))
		a.Committee = append(a.Committee, record.CommitteeKey{Term: 7 + term, Key: key[:]})
	}
	d := Dormant{RID: record.RID{9, 15: 1}, Birth: 100, Since: 200, VoucherDay: 3, PenaltyEnd: 5, ProbationEnd: 6, Uptime: 40000}
	k := counters{dormants: 3, snapshots: 23, stopped: 123456}
	lines := [][2]string{
		{"aux_without_keys", fmt.Sprintf("%x", bare)}, {"aux_with_3_keys", fmt.Sprintf("%x", a.append(nil))},
		{"dormant", fmt.Sprintf("%x", d.append(nil))}, {"counters", fmt.Sprintf("%x", k.append(nil))},
	}
	n := newNet(t, document(t, 5, rules(off)))
	for n.next < 4 {
		n.step(n.add(descriptor(20+int(n.next), 1), LaneOpen))
	}
	n.serve()
	n.step(Op{Code: Drop, Index: n.at(21), Reason: DropExpired})
	for i := range n.now.AuxTileRoots() {
		lines = append(lines, [2]string{fmt.Sprintf("tile_%d", i), fmt.Sprintf("%x", n.now.AuxTile(i))},
			[2]string{fmt.Sprintf("tile_root_%d", i), fmt.Sprintf("%x", n.now.AuxTileRoots()[i])})
	}
	lines = append(lines, [2]string{"aux_root", fmt.Sprintf("%x", n.now.snap.Header().AuxRoot)})
	for i, l := range []*List{n.now.lists.now[listA], n.now.lists.now[listB]} {
		lines = append(lines, [2]string{"list_" + string("ab"[i]), fmt.Sprintf("%x", l.Encode())},
			[2]string{"list_root_" + string("ab"[i]), fmt.Sprintf("%x", l.Root())})
	}
	golden(t, "aux.txt", "Records under aux_root, the tiles, roots and lists of a small state.\n"+
		"A changed line is a change of the protocol. Spec: directory §5.\n", lines)
}

// Snapshot 0 (DIR-9, TRN-1).
func TestGenesisState(t *testing.T) {
	doc := document(t, 30, genesis.Public())
	s := Genesis(doc)
	h := s.snap.Header()
	want := snapshot.GenesisHeader(doc, snapshot.FromGenesis(doc))
	want.AuxRoot, want.ListA, want.NextA, want.ListB, want.NextB = h.AuxRoot, h.ListA, h.NextA, h.ListB, h.NextB
	if s.Digest() != want.Digest() || s.Epoch() != 0 || s.History().Size() != 0 {
		t.Error("header")
	}
	for _, name := range []committee.Name{committee.A, committee.B} {
		now, next := s.List(name)
		if now == nil || next != nil || now.Name != name || now.Term != 0 || len(now.Seats) == 0 {
			t.Fatalf("list %c: %+v, %+v", name, now, next)
		}
		for _, seat := range now.Seats {
			i, found := s.snap.Table().Index(seat.RID)
			if key, has := s.Aux(i).key(0); !found || !has || key != seat.Key || s.Aux(i).VRF != seat.VRF {
				t.Error("a seat is not that of a founder")
			}
		}
	}
	if h.ListA == h.ListB || h.ListA == [32]byte{} || h.NextA != [32]byte{} || h.NextB != [32]byte{} || h.AuxRoot == [32]byte{} {
		t.Errorf("roots %+v", h)
	}
	// The order of founders makes no difference.
	var all []*record.Founder
	for n := range 30 {
		all = append(all, founder(29-n))
	}
	if Genesis(documentOf(t, all, genesis.Public())).Digest() != s.Digest() {
		t.Error("the order of founders makes a difference")
	}
}
