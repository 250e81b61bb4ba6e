// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
)

// stored is a small state with everything in it.
func stored(t testing.TB) (*genesis.Document, *State) {
	t.Helper()
	n := newNet(t, document(t, 5, rules(func(p *genesis.Params) { short(p); p.Term, p.DrawLead = 40, 8 })))
	n.step(n.add(withKeys(withSix(exit(20, 1, 5), 1), 20, 0, 1, 2), LaneOpen), n.add(descriptor(21, 1), LaneOpen), n.add(descriptor(22, 1), LaneOpen))
	n.serve()
	n.step(Op{Code: Drop, Index: n.at(21), Reason: DropExpired}, Op{Code: Drop, Index: n.at(22), Reason: DropExpired})
	n.skip(10)
	n.step(Op{Code: Down, Index: n.at(1)})
	return n.doc, n.now
}

// Spec: TRN-5.
func TestStateSurvivesStorage(t *testing.T) {
	doc, s := stored(t)
	b := s.Encode()
	got, err := Decode(doc, b)
	if err != nil || got.Digest() != s.Digest() || !bytes.Equal(got.Encode(), b) || len(got.Dormants()) != 2 {
		t.Fatalf("%v", err)
	}
	for n := range b {
		if _, err := Decode(doc, b[:n]); err == nil {
			t.Fatalf("cut to %d of %d bytes: accepted", n, len(b))
		}
	}
	if _, err := Decode(doc, append(bytes.Clone(b), 0)); !errors.Is(err, ErrState) {
		t.Errorf("trailing byte: %v", err)
	}
	// Whatever bit is wrong, the header does not fit, or is another one.
	for i := range b {
		other := bytes.Clone(b)
		other[i] ^= 1 << (i % 8)
		if got, err := Decode(doc, other); err == nil && got.Digest() == s.Digest() {
			t.Fatalf("byte %d makes no difference", i)
		}
	}
}

func TestPartsOfAnotherStateAreRefused(t *testing.T) {
	doc, s := stored(t)
	other := document(t, 6, rules(nil))
	if _, err := Decode(other, s.Encode()); !errors.Is(err, ErrHeader) {
		t.Errorf("another network: %v", err)
	}
	for name, v := range map[string]struct {
		change func(p *Parts)
		want   error
	}{
		"no aux tiles":          {func(p *Parts) { p.Aux = nil }, ErrState},
		"without counters":      {func(p *Parts) { p.Aux = p.Aux[:2] }, ErrState},
		"without dormants":      {func(p *Parts) { p.Aux = [][]byte{p.Aux[0], p.Aux[2]} }, ErrState},
		"dormants first":        {func(p *Parts) { p.Aux[0], p.Aux[1] = p.Aux[1], p.Aux[0] }, ErrState},
		"counters twice":        {func(p *Parts) { p.Aux = append(p.Aux, p.Aux[2]) }, ErrState},
		"an aux record more":    {func(p *Parts) { p.Aux[0] = append(p.Aux[0], p.Aux[0][:auxSize]...) }, nil},
		"too many tiles":        {func(p *Parts) { p.Aux = append(make([][]byte, 2*maxTileCount+1), p.Aux...) }, ErrState},
		"list A as next A":      {func(p *Parts) { p.Lists[0], p.Lists[1] = nil, p.Lists[0] }, ErrState},
		"list A as B":           {func(p *Parts) { p.Lists[2] = p.Lists[0] }, ErrList},
		"history of the parent": {func(p *Parts) { p.History = snapshot.History{}.Encode() }, ErrState},
		"no leaves":             {func(p *Parts) { p.Tiles = nil }, ErrState},
		"dictionaries":          {func(p *Parts) { p.Dictionaries = make([]byte, 12) }, snapshot.ErrTable},
	} {
		p := s.Parts()
		v.change(p)
		_, err := Assemble(doc, p)
		if err == nil || (v.want != nil && !errors.Is(err, v.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Assemble(doc, s.Parts()); err != nil {
		t.Errorf("its own parts: %v", err)
	}
}

// Spec: TRN-5.
func TestAuxTiles(t *testing.T) {
	_, s := stored(t)
	roots := s.AuxTileRoots()
	if len(roots) != 3 || snapshot.TreeRoot(roots) != s.snap.Header().AuxRoot {
		t.Fatalf("%d tiles", len(roots))
	}
	for n := range roots {
		tile := s.AuxTile(n)
		if err := CheckAuxTile(tile, roots[n]); err != nil {
			t.Errorf("tile %d: %v", n, err)
		}
		for cut := range tile {
			if err := CheckAuxTile(tile[:cut], roots[n]); !errors.Is(err, ErrTile) {
				t.Fatalf("tile %d cut to %d bytes: %v", n, cut, err)
			}
		}
		if err := CheckAuxTile(append(tile, 0), roots[n]); !errors.Is(err, ErrTile) {
			t.Errorf("tile %d with a trailing byte: %v", n, err)
		}
	}
	if s.AuxTile(3) != nil || s.AuxTile(-1) != nil {
		t.Error("a tile too many")
	}
	// Tiles hold 1,024 records.
	large := State{aux: make([]Aux, 1025), dormant: make([]Dormant, 2049)}
	for i := range large.dormant {
		large.dormant[i].RID = record.RID{0: byte(i >> 8), 1: byte(i)}
	}
	large.auxTiles = large.hashAux()
	if len(large.auxTiles) != 2+3+1 {
		t.Fatalf("%d tiles", len(large.auxTiles))
	}
	for n, want := range []int{1024 * auxSize, auxSize, 1024 * dormantSize, 1024 * dormantSize, dormantSize, countersSize} {
		if tile := large.AuxTile(n); len(tile) != want || CheckAuxTile(tile, large.auxTiles[n]) != nil {
			t.Errorf("tile %d: %d bytes", n, len(tile))
		}
	}
	if _, err := parseAuxTile(append(large.AuxTile(0), large.AuxTile(1)...)); !errors.Is(err, ErrTile) {
		t.Error("a tile of 1,025 records")
	}
}

func TestAuxForm(t *testing.T) {
	key := public("key", 1)
	keys := func(terms ...uint64) (out []record.CommitteeKey) {
		for _, term := range terms {
			out = append(out, record.CommitteeKey{Term: term, Key: key[:]})
		}
		return out
	}
	for name, v := range map[string]struct {
		aux Aux
		ok  bool
	}{
		"zero": {Aux{}, true}, "all at the bound": {Aux{Target: 127, Reach: 1, Idle: 6, Uptime: maxUptime, Lane: 3, Committee: keys(1, 2, 3)}, true},
		"target": {Aux{Target: 128}, false}, "reach": {Aux{Reach: 2}, false}, "idle": {Aux{Idle: 7}, false}, "uptime": {Aux{Uptime: maxUptime + 1}, false},
		"lane": {Aux{Lane: 4}, false}, "four keys": {Aux{Committee: keys(1, 2, 3, 4)}, false}, "one term twice": {Aux{Committee: keys(1, 1)}, false},
		"terms fall": {Aux{Committee: keys(2, 1)}, false},
	} {
		b := v.aux.append(nil)
		got, size, err := parseAux(b)
		if (err == nil) != v.ok || (v.ok && (size != len(b) || !bytes.Equal(got.append(nil), b))) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := parseDormant((&Dormant{Uptime: maxUptime + 1}).append(nil)); !errors.Is(err, ErrAux) {
		t.Errorf("an uptime above the highest: %v", err)
	}
	if _, _, err := parseDormant((&Dormant{Birth: 2, Since: 1}).append(nil)); !errors.Is(err, ErrAux) {
		t.Errorf("born after it left: %v", err)
	}
	for n, ok := range map[uint32]bool{maxDormantCount: true, maxDormantCount + 1: false} {
		if _, err := parseCounters((&counters{dormants: n}).append(nil)); (err == nil) != ok {
			t.Errorf("%d dormant relays: %v", n, err)
		}
	}
}

func TestTooManyDormantsForgetsTheOldest(t *testing.T) {
	all := make([]Dormant, maxDormantCount+2)
	for i := range all {
		all[i] = Dormant{RID: record.RID{byte(i >> 16), byte(i >> 8), byte(i)}, Since: 5}
	}
	all[7].Since, all[maxDormantCount].Since = 4, 3
	got := settleDormants(all)
	if len(got) != maxDormantCount {
		t.Fatalf("%d", len(got))
	}
	for _, d := range got {
		if d.Since != 5 {
			t.Error("one that left first is remembered")
		}
	}
}

func FuzzAuxTile(f *testing.F) {
	_, s := stored(f)
	for n := range s.AuxTileRoots() {
		f.Add(s.AuxTile(n))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tile, err := parseAuxTile(data)
		if err != nil {
			return
		}
		var again []byte
		for i := range tile.aux {
			again = tile.aux[i].append(again)
		}
		for i := range tile.dormant {
			again = tile.dormant[i].append(again)
		}
		if tile.counters != nil {
			again = tile.counters.append(again)
		}
		if !bytes.Equal(again, data) {
			t.Fatalf("%x became %x", data, again)
		}
	})
}

func FuzzState(f *testing.F) {
	doc, s := stored(f)
	f.Add(s.Encode())
	f.Add(Genesis(doc).Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Decode(doc, data)
		if err != nil {
			return
		}
		if !bytes.Equal(got.Encode(), data) {
			t.Fatal("other bytes")
		}
	})
}

func FuzzList(f *testing.F) {
	_, s := stored(f)
	f.Add(s.lists.now[listA].Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := DecodeList(data)
		if err == nil && !bytes.Equal(l.Encode(), data) {
			t.Fatalf("%x became %x", data, l.Encode())
		}
	})
}

// The largest tile that there can be is taken, and is as large as the bound. Spec: TRN-5.
func TestTheLargestAuxTile(t *testing.T) {
	key := public("key", 1)
	var keys []record.CommitteeKey
	for term := range uint64(record.MaxCommitteeKeyCount) {
		keys = append(keys, record.CommitteeKey{Term: term, Key: key[:]})
	}
	large := State{aux: slices.Repeat([]Aux{{Committee: keys}}, snapshot.TileLeafCount)}
	large.auxTiles = large.hashAux()
	tile := large.AuxTile(0)
	if len(tile) != MaxAuxTileSize || CheckAuxTile(tile, large.auxTiles[0]) != nil {
		t.Errorf("%d bytes, want %d and to be taken", len(tile), MaxAuxTileSize)
	}
	if _, err := parseAuxTile(append(tile, tile[:maxAuxSize]...)); !errors.Is(err, ErrTile) {
		t.Errorf("a record more: %v", err)
	}
}
