// SPDX-License-Identifier: BSD-3-Clause

package snapshot

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"chive/directory/record"
)

// holes has a free index in each dictionary.
func holes() *Dictionaries {
	one, two := public("family", 0), public("family", 1)
	return &Dictionaries{
		Groups:   []Group{"\x04\x14\x00", "", "\x06\x26\x06\x47\x00"},
		Families: []ed25519.PublicKey{nil, one[:], two[:]},
		Policies: [][]record.PortRange{{{Protocol: record.TCP, First: 1, Last: 65535}}, nil, {{Protocol: record.TCP, First: 80, Last: 80}, {Protocol: record.UDP, First: 53, Last: 53}}},
	}
}

// Spec: TRN-2.
func TestDictionariesRoundTrip(t *testing.T) {
	for name, d := range map[string]*Dictionaries{"none": {}, "full": dict(), "with holes": holes()} {
		b := d.Encode()
		got, err := DecodeDictionaries(b)
		if err != nil || !bytes.Equal(got.Encode(), b) || got.Root() != d.Root() {
			t.Fatalf("%s: %v", name, err)
		}
		for n := range b {
			if _, err := DecodeDictionaries(b[:n]); !errors.Is(err, ErrDictionaries) {
				t.Fatalf("%s cut to %d bytes: %v", name, n, err)
			}
		}
		if _, err := DecodeDictionaries(append(b, 0)); !errors.Is(err, ErrDictionaries) {
			t.Errorf("%s with a trailing byte: %v", name, err)
		}
	}
}

func TestDictionariesForm(t *testing.T) {
	for name, change := range map[string]func(d *Dictionaries){
		"free group at the end":  func(d *Dictionaries) { d.Groups = append(d.Groups, "") },
		"free family at the end": func(d *Dictionaries) { d.Families = append(d.Families, nil) },
		"free policy at the end": func(d *Dictionaries) { d.Policies = append(d.Policies, nil) },
		"group of another kind":  func(d *Dictionaries) { d.Groups[0] = "\x05\x14\x00" },
		"short group":            func(d *Dictionaries) { d.Groups[0] = "\x04\x14" },
		"IPv4 group of 5 bytes":  func(d *Dictionaries) { d.Groups[2] = "\x04\x26\x06\x47\x00" },
		"short family":           func(d *Dictionaries) { d.Families[1] = d.Families[1][:31] },
		"policy out of order":    func(d *Dictionaries) { slices.Reverse(d.Policies[2]) },
		"families beyond 65,535": func(d *Dictionaries) { d.Families = slices.Repeat(d.Families[1:2], MaxFamilyCount+1) },
		"policies beyond 255":    func(d *Dictionaries) { d.Policies = slices.Repeat(d.Policies[:1], MaxPolicyCount+1) },
		"groups beyond 65,536":   func(d *Dictionaries) { d.Groups = slices.Repeat(d.Groups[:1], MaxGroupCount+1) },
	} {
		d := holes()
		change(d)
		if _, err := DecodeDictionaries(d.Encode()); !errors.Is(err, ErrDictionaries) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d := holes()
	d.Families, d.Policies, d.Groups = slices.Repeat(d.Families[1:2], MaxFamilyCount), slices.Repeat(d.Policies[:1], MaxPolicyCount), slices.Repeat(d.Groups[:1], MaxGroupCount)
	if _, err := DecodeDictionaries(d.Encode()); err != nil {
		t.Errorf("as many as indices reach: %v", err)
	}
}

// A free index is not in the tree: which indices are taken is.
func TestFreeIndexHasNoLeaf(t *testing.T) {
	d := holes()
	before := d.Root()
	d.Groups[1], d.Groups[0] = d.Groups[0], ""
	if d.Root() == before {
		t.Error("a value moved and the root stayed")
	}
	for name, l := range map[string]Leaf{"group": {Group: 1}, "family": {Family: 1}, "policy": {Policy: 2}} {
		table := leaves(1)
		table[0].Group, table[0].Family, table[0].Policy = l.Group, l.Family, l.Policy
		if _, err := NewTable(table, holes()); !errors.Is(err, ErrTable) {
			t.Errorf("a leaf points at a free %s: %v", name, err)
		}
	}
	if _, err := NewTable(leaves(1), &Dictionaries{Groups: []Group{"\x04\x14\x00", ""}}); !errors.Is(err, ErrTable) {
		t.Errorf("free group at the end: %v", err)
	}
}

func TestDictionaryVectors(t *testing.T) {
	r := holes().Root()
	golden(t, "dictionaries.txt", "Dictionaries with free indices.\nA changed line is a change of the protocol. Spec: directory §5.\n",
		[][2]string{{"dictionaries", hex.EncodeToString(holes().Encode())}, {"dict_root", hex.EncodeToString(r[:])}})
}

// A table made from another is the one made from nothing.
func TestNextTableIsTheSame(t *testing.T) {
	all := leaves(2600)
	old, err := NewTable(slices.Clone(all[:2500]), dict())
	if err != nil {
		t.Fatal(err)
	}
	changed := slices.Clone(all[100:])
	changed[3].Bucket ^= 1
	changed[1500].Onion[0] ^= 1
	changed[7].Family = 1
	for name, d := range map[string]*Dictionaries{"same dictionaries": old.Dictionaries(), "other dictionaries": dict()} {
		got, err := old.Next(slices.Clone(changed), d)
		if err != nil {
			t.Fatal(err)
		}
		want, err := NewTable(slices.Clone(changed), dict())
		if err != nil {
			t.Fatal(err)
		}
		if got.DirRoot() != want.DirRoot() || got.DictRoot() != want.DictRoot() || !slices.Equal(got.TileRoots(), want.TileRoots()) {
			t.Errorf("%s: other roots", name)
		}
		for i := range changed {
			if got.At(i).Leaf != want.At(i).Leaf || !slices.Equal(got.At(i).Addresses, want.At(i).Addresses) || !slices.Equal(got.At(i).Policy, want.At(i).Policy) {
				t.Fatalf("%s: relay %d", name, i)
			}
		}
	}
	if _, err := old.Next([]Leaf{all[1], all[0]}, dict()); !errors.Is(err, ErrTable) {
		t.Errorf("unsorted: %v", err)
	}
}

func TestAllTilesMakeTheTable(t *testing.T) {
	all := leaves(2500)
	table, err := NewTable(slices.Clone(all), dict())
	if err != nil {
		t.Fatal(err)
	}
	tiles := [][]byte{table.Tile(0), table.Tile(1), table.Tile(2)}
	if got, err := ParseTiles(tiles); err != nil || !slices.Equal(got, all) {
		t.Errorf("%v", err)
	}
	for name, bad := range map[string][][]byte{
		"short one first": {tiles[2], tiles[0]}, "empty": {tiles[0], nil}, "no tile": {tiles[0], {1, 2}},
		"too many": slices.Repeat(tiles[:1], MaxLeafCount/TileLeafCount+1),
	} {
		if _, err := ParseTiles(bad); !errors.Is(err, ErrTile) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHeaderOfAnotherTableIsRefused(t *testing.T) {
	doc := document(t, founders(t, 5))
	table := FromGenesis(doc)
	for name, change := range map[string]func(h *Header){
		"count": func(h *Header) { h.LeafCount++ }, "dir root": func(h *Header) { h.DirRoot[0] ^= 1 }, "dict root": func(h *Header) { h.DictRoot[0] ^= 1 },
	} {
		h := GenesisHeader(doc, table)
		change(h)
		if _, err := New(h, table, doc.Params); !errors.Is(err, ErrMismatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDictionaries(f *testing.F) {
	f.Add(holes().Encode())
	f.Add(dict().Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := DecodeDictionaries(data)
		if err != nil {
			return
		}
		if again := d.Encode(); !bytes.Equal(again, data) || !d.inBounds() {
			t.Fatalf("%x became %x", data, again)
		}
	})
}
