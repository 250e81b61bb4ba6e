// SPDX-License-Identifier: BSD-3-Clause

package snapshot

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
)

// TestTreeIsThatOfRFC6962 uses the well-known test leaves of Certificate
// Transparency.
func TestTreeIsThatOfRFC6962(t *testing.T) {
	inputs := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	var hashes [][32]byte
	for n, want := range roots {
		if got := root(hashes); hex.EncodeToString(got[:]) != want {
			t.Errorf("%d leaves: %x", n, got)
		}
		if n < len(inputs) {
			b, err := hex.DecodeString(inputs[n])
			if err != nil {
				t.Fatal(err)
			}
			hashes = append(hashes, leafHash(b))
		}
	}
}

// Spec: DIR-9.
func TestTableDoesNotDependOnTheFoundersOrder(t *testing.T) {
	in := founders(t, 40)
	one := genesisView(t, document(t, in))
	for range 5 {
		slices.Reverse(in)
		in = append(in[7:], in[:7]...)
		other := genesisView(t, document(t, in))
		if !bytes.Equal(one.Table().Tile(0), other.Table().Tile(0)) || one.Header().Digest() != other.Header().Digest() ||
			one.Table().DictRoot() != other.Table().DictRoot() {
			t.Fatal("another order makes another table")
		}
	}
}

func TestFoundersInTheTable(t *testing.T) {
	doc := document(t, founders(t, 12))
	view := genesisView(t, doc)
	table := view.Table()
	if table.Len() != 12 || view.Epoch() != 0 || view.Header().LeafCount != 12 || view.Header().NetworkID != doc.NetworkID() ||
		view.Header().DirRoot != table.DirRoot() || view.Header().DictRoot != table.DictRoot() {
		t.Fatal("header and table do not fit")
	}
	for _, f := range doc.Founders {
		r, ok := table.Relay(record.NewRID(doc.NetworkID(), f.Identity))
		if !ok {
			t.Fatal("a founder is missing")
		}
		if r.Onion != f.Onion || r.Flags&(FlagRunning|FlagFounder) != FlagRunning|FlagFounder ||
			record.Roles(r.Flags) != f.Roles || r.Bucket != BucketOf(f.DeclaredRate) || r.BirthDay != 0 || r.Protocol != Protocol {
			t.Errorf("leaf %+v", r.Leaf)
		}
		if !slices.Equal(r.Policy, f.Policy) || len(r.Addresses) != len(f.Addresses) || !r.Addresses[0].Addr().Is4() {
			t.Errorf("relay %+v", r)
		}
		if (r.Family != 0) != (len(f.Family) > 0) || table.Dictionaries().Groups[r.Group] != GroupOf(r.IPv4, r.IPv6) {
			t.Errorf("family %d, group %d", r.Family, r.Group)
		}
		if r.Family != 0 && !table.Dictionaries().Families[r.Family-1].Equal(f.Family) {
			t.Error("another family")
		}
	}
	for i := 1; i < table.Len(); i++ {
		if table.At(i-1).RID.Compare(table.At(i).RID) >= 0 {
			t.Error("the table is not sorted")
		}
		if n, ok := table.Index(table.At(i).RID); !ok || n != i {
			t.Error("a relay is not found")
		}
	}
	if _, ok := table.Relay(record.RID{}); ok {
		t.Error("a stranger is found")
	}
}

func TestFounderOfAPublicNetworkIsOldAndCapped(t *testing.T) {
	in := founders(t, 13)
	for i, f := range in {
		f.Addresses[len(f.Addresses)-1] = netAddr(fmt.Sprintf("20.%d.1.1:9240", i))
		f.DeclaredRate = 1 << 30
	}
	doc, err := genesis.New("example", in, false, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	view := genesisView(t, doc)
	for i := range view.Table().Len() {
		r := view.Table().At(i)
		if age := view.Day() - int(r.BirthDay); age != doc.Params.GuardFull {
			t.Errorf("age %d", age)
		}
		if r.Bucket != 57 {
			t.Errorf("bucket %d", r.Bucket)
		}
	}
	if Day(doc.Params, 23) != 90 || Day(doc.Params, 24) != 91 || Day(doc.Params, 1<<63) < 0 {
		t.Error("days do not follow epochs")
	}
}

func TestFullPolicyDictionaryCostsTheExitFlag(t *testing.T) {
	var in []*record.Founder
	for n := range MaxPolicyCount + 5 {
		f := founder(t, n)
		f.Roles |= record.RoleExit
		f.Policy = []record.PortRange{{Protocol: record.TCP, First: uint16(1 + n), Last: uint16(1 + n)}}
		in = append(in, f)
	}
	table := FromGenesis(document(t, in))
	exits := 0
	for i := range table.Len() {
		r := table.At(i)
		if (r.Flags&FlagExit != 0) != (len(r.Policy) > 0) {
			t.Fatal("flag and policy disagree")
		}
		if r.Flags&FlagExit != 0 {
			exits++
		}
	}
	if exits != MaxPolicyCount {
		t.Errorf("%d exits", exits)
	}
}

// Spec: DIR-8.
func TestTilesAreInnerNodesOfTheTree(t *testing.T) {
	for _, count := range []int{1, 1023, 1024, 1025, 2048, 2500} {
		all := leaves(count)
		table, err := NewTable(slices.Clone(all), dict())
		if err != nil {
			t.Fatal(err)
		}
		var hashes [][32]byte
		for i := range all {
			hashes = append(hashes, leafHash(all[i].Append(nil)))
		}
		if table.DirRoot() != root(hashes) || RootOfTiles(table.TileRoots()) != table.DirRoot() {
			t.Fatalf("%d leaves: the tiles' roots make another root", count)
		}
		var back []Leaf
		for n, want := range table.TileRoots() {
			part, err := ParseTile(table.Tile(n), want)
			if err != nil {
				t.Fatalf("%d leaves, tile %d: %v", count, n, err)
			}
			back = append(back, part...)
		}
		if !slices.Equal(back, all) {
			t.Errorf("%d leaves: others came back", count)
		}
		if table.Tile(len(table.TileRoots())) != nil || table.Tile(-1) != nil {
			t.Error("a tile too many")
		}
	}
}

func TestTileForm(t *testing.T) {
	table, err := NewTable(leaves(1024), dict())
	if err != nil {
		t.Fatal(err)
	}
	b, want := table.Tile(0), table.TileRoots()[0]
	if len(b) > MaxTileSize {
		t.Errorf("%d bytes", len(b))
	}
	first := int(b[0]) + 1
	second := first + int(b[first]) + 1
	swapped := append(append(bytes.Clone(b[first:second]), b[:first]...), b[second:]...)
	for name, data := range map[string][]byte{
		"empty": nil, "cut": b[:len(b)-1], "one less": b[first:], "trailing byte": append(bytes.Clone(b), 0),
		"one more": append(bytes.Clone(b), b[:first]...), "swapped": swapped, "too long": make([]byte, MaxTileSize+1),
	} {
		if _, err := ParseTile(data, want); !errors.Is(err, ErrTile) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseTile(b, [32]byte{}); !errors.Is(err, ErrTile) {
		t.Errorf("another root: %v", err)
	}
	small, err := NewTable(leaves(3), dict())
	if err != nil {
		t.Fatal(err)
	}
	tile := small.Tile(0)
	for n := range tile {
		if _, err := ParseTile(tile[:n], small.TileRoots()[0]); !errors.Is(err, ErrTile) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestLeavesThatMakeNoTableAreRefused(t *testing.T) {
	for name, change := range map[string]func(l []Leaf) []Leaf{
		"unsorted":                    func(l []Leaf) []Leaf { l[0], l[1] = l[1], l[0]; return l },
		"twice":                       func(l []Leaf) []Leaf { l[1] = l[0]; return l },
		"group beyond dictionary":     func(l []Leaf) []Leaf { l[0].Group = 1; return l },
		"family beyond dictionary":    func(l []Leaf) []Leaf { l[0].Family = 2; return l },
		"policy beyond dictionary":    func(l []Leaf) []Leaf { l[0].Policy = 2; return l },
		"more than the largest table": func([]Leaf) []Leaf { return make([]Leaf, MaxLeafCount+1) },
	} {
		if _, err := NewTable(change(leaves(3)), dict()); !errors.Is(err, ErrTable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	full := dict()
	full.Policies = make([][]record.PortRange, MaxPolicyCount+1)
	if _, err := NewTable(leaves(3), full); !errors.Is(err, ErrTable) {
		t.Errorf("too many policies: %v", err)
	}
	if empty, err := NewTable(nil, &Dictionaries{}); err != nil || empty.Len() != 0 || empty.DirRoot() != emptyRoot() {
		t.Errorf("no leaves: %v", err)
	}
}

func TestTableVectors(t *testing.T) {
	table := FromGenesis(document(t, founders(t, 5)))
	lines := [][2]string{}
	for i := range table.Len() {
		lines = append(lines, [2]string{fmt.Sprintf("leaf_%d", i), hex.EncodeToString(table.At(i).Append(nil))})
	}
	lines = append(lines, [2]string{"dir_root", fmt.Sprintf("%x", table.DirRoot())},
		[2]string{"dict_root", fmt.Sprintf("%x", table.DictRoot())})
	large, err := NewTable(leaves(2500), dict())
	if err != nil {
		t.Fatal(err)
	}
	lines = append(lines, [2]string{"dir_root_of_2500", fmt.Sprintf("%x", large.DirRoot())})
	golden(t, "table.txt", "The table of a testnet of five founders, and the root of one of 2500 made-up leaves.\n"+
		"A changed line is a change of the protocol. Spec: directory §5.\n", lines)
}
