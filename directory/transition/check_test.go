// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"errors"
	"net/netip"
	"testing"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
)

// forged is a child with leaves, dictionaries or header as a captured committee
// might sign them.
type forged struct {
	leaves []snapshot.Leaf
	dict   *snapshot.Dictionaries
	header snapshot.Header
}

func (f *forged) make(t *testing.T, p genesis.Params) *snapshot.Snapshot {
	t.Helper()
	table, err := snapshot.NewTable(f.leaves, f.dict)
	if err != nil {
		t.Fatal(err)
	}
	h := f.header
	h.LeafCount, h.DirRoot, h.DictRoot = uint64(table.Len()), table.DirRoot(), table.DictRoot()
	s, err := snapshot.New(&h, table, p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newcomer is a leaf that an honest ADD could have made, with a rid beyond all.
func newcomer(n byte, day int) snapshot.Leaf {
	return snapshot.Leaf{
		RID: record.RID{0xff, 0xff, n}, IPv4: netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, 0, n, 77}), 1),
		Flags: snapshot.FlagRunning, Bucket: 36, BirthDay: uint16(day), Protocol: 1,
	}
}

// Spec: TRN-9 (I5).
func TestSnapshotsThatNoSignatureMakesValid(t *testing.T) {
	p := rules(func(p *genesis.Params) { p.CapRelay, p.CapGroup, p.CapCohort = 0, 0, 0 })
	n := newNet(t, document(t, 60, p))
	n.skip(22)
	n.step(n.add(descriptor(80, 1), LaneOpen)) // epoch 23; the next is of a new day
	parent := n.now
	day := parent.snap.Day() + 1
	young, _ := parent.snap.Table().Index(rid(n.doc, 80))
	old, _ := parent.snap.Table().Index(rid(n.doc, 29))
	group := func(l snapshot.Leaf, f *forged) snapshot.Leaf {
		for i, g := range f.dict.Groups {
			if g == snapshot.GroupOf(l.IPv4, l.IPv6) {
				l.Group = uint16(i)
				return l
			}
		}
		t.Fatal("no such group")
		return l
	}
	admit := func(count int, change func(l *snapshot.Leaf)) func(f *forged) {
		return func(f *forged) {
			for i := range count {
				l := group(newcomer(byte(i+2), day), f)
				change(&l)
				f.leaves = append(f.leaves, l)
			}
		}
	}
	stop := func(share, of int) func(f *forged) {
		return func(f *forged) {
			for i := range f.leaves {
				if i != young && i%of < share {
					f.leaves[i].Flags &^= snapshot.FlagRunning
				}
			}
		}
	}
	same := func(*snapshot.Leaf) {}
	for name, v := range map[string]struct {
		change func(f *forged)
		want   error
	}{
		"nothing":                     {func(*forged) {}, nil},
		"another network":             {func(f *forged) { f.header.NetworkID[0] ^= 1 }, ErrHeader},
		"other parameters":            {func(f *forged) { f.header.ParamsDigest[0] ^= 1 }, ErrHeader},
		"another asmap":               {func(f *forged) { f.header.AsmapDigest[0] ^= 1 }, ErrHeader},
		"an index root":               {func(f *forged) { f.header.IdxRoot[0] ^= 1 }, ErrHeader},
		"the parent's epoch":          {func(f *forged) { f.header.Epoch = parent.Epoch() }, ErrOrder},
		"an older epoch":              {func(f *forged) { f.header.Epoch = 3 }, ErrOrder},
		"history stays":               {func(f *forged) { f.header.HistorySize = parent.snap.Header().HistorySize }, ErrOrder},
		"history jumps":               {func(f *forged) { f.header.HistorySize++ }, ErrOrder},
		"another parent":              {func(f *forged) { f.header.Parent[0] ^= 1 }, ErrOrder},
		"another beacon":              {func(f *forged) { f.header.Beacon[0] ^= 1 }, ErrBeacon},
		"another proof":               {func(f *forged) { f.header.VRFProof, _ = proof(99) }, ErrBeacon},
		"no proof":                    {func(f *forged) { f.header.VRFProof = [80]byte{0: 2, 40: 0xff, 79: 0xff} }, ErrBeacon},
		"list A exchanged":            {func(f *forged) { f.header.ListA[0] ^= 1 }, ErrCommittee},
		"list A gone":                 {func(f *forged) { f.header.ListA = [32]byte{} }, ErrCommittee},
		"list B becomes A":            {func(f *forged) { f.header.ListB = f.header.ListA }, ErrCommittee},
		"10 newcomers, one came":      {admit(9+1, same), nil},
		"newcomers beyond the quota":  {admit(12, same), ErrAdmission},
		"newcomer with age":           {admit(2, func(l *snapshot.Leaf) { l.BirthDay = 20 }), ErrReturns},
		"newcomer from the future":    {admit(1, func(l *snapshot.Leaf) { l.BirthDay++ }), ErrAge},
		"newcomer with bandwidth":     {admit(1, func(l *snapshot.Leaf) { l.Bucket = 38 }), ErrBucket},
		"newcomer as a founder":       {admit(1, func(l *snapshot.Leaf) { l.Flags |= snapshot.FlagFounder }), ErrAge},
		"relay becomes a founder":     {func(f *forged) { f.leaves[young].Flags |= snapshot.FlagFounder }, ErrAge},
		"born earlier":                {func(f *forged) { f.leaves[young].BirthDay = parent.snap.Table().At(young).BirthDay - 1 }, ErrAge},
		"born two days later":         {func(f *forged) { f.leaves[old].BirthDay += 2 }, ErrAge},
		"a bucket up":                 {func(f *forged) { f.leaves[young].Bucket = 37 }, nil},
		"two buckets up":              {func(f *forged) { f.leaves[young].Bucket = 38 }, ErrBucket},
		"beyond the cap":              {func(f *forged) { f.leaves[old].Bucket = 58 }, ErrBucket},
		"6 of 60 guards stop":         {stop(1, 12), nil},
		"a fifth of the guards stops": {stop(1, 5), ErrStopped},
		"one in five leaves": {func(f *forged) {
			var kept []snapshot.Leaf
			for i := range f.leaves {
				if i%5 != 1 {
					kept = append(kept, f.leaves[i])
				}
			}
			f.leaves = kept
		}, ErrStopped},
		"all on probation": {func(f *forged) {
			for i := range f.leaves {
				f.leaves[i].Flags |= snapshot.FlagProbation
			}
		}, ErrStopped},
		"three at an address": {admit(3, func(l *snapshot.Leaf) { l.IPv4 = netip.MustParseAddrPort("20.0.9.9:1") }), ErrAddressCap},
		"group of another":    {func(f *forged) { f.leaves[0].Group ^= 1 }, ErrDictionary},
		"unused family":       {func(f *forged) { k := public("x", 1); f.dict.Families = append(f.dict.Families, k[:]) }, ErrDictionary},
		"group twice": {func(f *forged) {
			f.dict.Groups = append(f.dict.Groups, f.dict.Groups[0])
			f.leaves[0].Group = uint16(len(f.dict.Groups) - 1)
		}, ErrDictionary},
	} {
		child, err := Next(n.doc, parent, n.input(nil))
		if err != nil {
			t.Fatal(err)
		}
		f := &forged{header: *child.snap.Header()}
		d := *child.snap.Table().Dictionaries()
		d.Groups, d.Families, d.Policies = append([]snapshot.Group{}, d.Groups...), append(d.Families[:0:0], d.Families...), append(d.Policies[:0:0], d.Policies...)
		f.dict = &d
		for i := range child.aux {
			f.leaves = append(f.leaves, child.snap.Table().At(i).Leaf)
		}
		f.leaves[young].Bucket = 36
		v.change(f)
		if err := Check(n.doc, parent.snap, f.make(t, p)); !errors.Is(err, v.want) {
			t.Errorf("%s: %v, want %v", name, err, v.want)
		}
	}
}

// Relays see a list that was not drawn.
func TestRelaysCheckTheDraw(t *testing.T) {
	n := newNet(t, document(t, 12, rules(func(p *genesis.Params) { p.Term, p.DrawLead = 20, 4 })))
	for n.next < 6 {
		n.step()
	}
	parent := n.now
	child, err := Next(n.doc, parent, n.input(nil)) // epoch 6: B's term 1 is drawn
	if err != nil || child.lists.next[listB] == nil {
		t.Fatalf("%v", err)
	}
	if err := CheckState(n.doc, parent, child); err != nil {
		t.Error(err)
	}
	other := *child
	other.lists.next[listB] = &List{Name: 'B', Term: 1, Seats: child.lists.next[listB].Seats[1:]}
	h := *child.snap.Header()
	bad := newState(n.doc.Params, &h, child.snap.Table(), other)
	if err := Check(n.doc, parent.snap, bad.snap); err != nil {
		t.Errorf("clients cannot know: %v", err)
	}
	if err := CheckState(n.doc, parent, bad); !errors.Is(err, ErrCommittee) {
		t.Errorf("%v", err)
	}
	if err := CheckState(n.doc, Genesis(n.doc), child); !errors.Is(err, ErrOrder) {
		t.Errorf("not the parent: %v", err)
	}
}

// TestReturnsOfATableThatGrewWithinTheDay: from 100 relays on two may return in a day, and
// the hundredth came on the same day. Each child holds against its parent, and so does the
// last one against the first. Spec: protocol §7 (TRN-9).
func TestReturnsOfATableThatGrewWithinTheDay(t *testing.T) {
	n := newNet(t, document(t, 97, rules(nil)))
	n.step(n.add(descriptor(200, 1), LaneOpen), n.add(descriptor(201, 1), LaneOpen))
	for range 10 {
		n.skip(23)
		n.step()
	}
	n.step(Op{Code: Drop, Index: n.at(200), Reason: DropExpired}, Op{Code: Drop, Index: n.at(201), Reason: DropExpired})
	n.step(n.add(descriptor(202, 1), LaneOpen), n.add(descriptor(203, 1), LaneOpen))
	n.skip(30)
	old := n.step()
	n.step(n.add(descriptor(204, 1), LaneOpen), n.add(descriptor(200, 1), LaneReturning))
	next := n.step(n.add(descriptor(201, 1), LaneReturning))
	if old.snap.Table().Len() >= 100 || next.snap.Table().Len() <= 100 || !n.has(200) || !n.has(201) {
		t.Fatalf("from %d to %d relays, returned %v, %v", old.snap.Table().Len(), next.snap.Table().Len(), n.has(200), n.has(201))
	}
	if err := Check(n.doc, old.snap, next.snap); err != nil {
		t.Error(err)
	}
}

// A stretched gap stays bounded work, whatever a header says of its epoch.
func TestCheckAcrossAnyGap(t *testing.T) {
	n := newNet(t, document(t, 12, rules(nil)))
	old := n.now.snap
	n.step()
	n.step()
	f := &forged{header: *n.now.snap.Header(), dict: n.now.snap.Table().Dictionaries()}
	for i := range n.now.aux {
		f.leaves = append(f.leaves, n.now.snap.Table().At(i).Leaf)
	}
	for _, epoch := range []uint64{2, 1 << 40, 1<<64 - 1} {
		f.header.Epoch = epoch
		if err := Check(n.doc, old, f.make(t, n.doc.Params)); err != nil {
			t.Errorf("epoch %d: %v", epoch, err)
		}
	}
}
