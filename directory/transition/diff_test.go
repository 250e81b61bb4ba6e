// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"chive/directory/record"
	"chive/directory/snapshot"
)

// twoTables returns a table and a later one that differs in every way.
func twoTables(t testing.TB) (from, to *snapshot.Table) {
	t.Helper()
	n := newNet(t, document(t, 12, rules(short)))
	from = n.now.snap.Table()
	moved := withSix(exit(2, 1, 7), 3)
	key := public("family", 40)
	moved.Family = &record.Family{Key: key[:], Signature: make([]byte, 64)}
	moved.Onion, moved.DeclaredRate, moved.Versions = onion("another", 2), 700, []byte{2}
	moved.Addresses[0] = place(77)
	n.step(n.update(2, moved), Op{Code: Drop, Index: n.at(4), Reason: DropRevoked}, Op{Code: Drop, Index: n.at(9), Reason: DropRevoked},
		n.add(withSix(descriptor(20, 1), 4), LaneOpen), n.add(exit(21, 1, 8), LaneOpen), Op{Code: Down, Index: n.at(1)},
		n.update(0, descriptor(0, 1)), Op{Code: Penalty, Index: n.at(5), Reason: PenaltyProbation})
	n.step(Op{Code: Down, Index: n.at(1)})
	for n.next < 14 {
		n.step()
	}
	return from, n.now.snap.Table()
}

// Spec: TRN-11.
func TestDiffTurnsOneTableIntoTheOther(t *testing.T) {
	from, to := twoTables(t)
	for _, pair := range [][2]*snapshot.Table{{from, to}, {to, from}, {from, from}} {
		diff, err := Diff(pair[0], pair[1])
		if err != nil {
			t.Fatal(err)
		}
		got, err := Apply(pair[0], diff)
		if err != nil || got.DirRoot() != pair[1].DirRoot() || got.DictRoot() != pair[1].DictRoot() {
			t.Fatalf("%v", err)
		}
		for i := range got.Len() {
			if got.At(i).Leaf != pair[1].At(i).Leaf || !slices.Equal(got.At(i).Addresses, pair[1].At(i).Addresses) || !slices.Equal(got.At(i).Policy, pair[1].At(i).Policy) {
				t.Fatalf("relay %d", i)
			}
		}
		for n := range diff {
			if _, err := Apply(pair[0], diff[:n]); !errors.Is(err, ErrDiff) {
				t.Fatalf("cut to %d of %d bytes: %v", n, len(diff), err)
			}
		}
		if _, err := Apply(pair[0], append(bytes.Clone(diff), 0)); !errors.Is(err, ErrDiff) {
			t.Errorf("trailing byte: %v", err)
		}
	}
	if same, _ := Diff(from, from); len(same) != 2+2+10+2*3 {
		t.Errorf("nothing changed: %d bytes", len(same))
	}
}

// withSix adds an IPv6 address.
func withSix(d *record.Descriptor, n byte) *record.Descriptor {
	six := snapshotAddress(n)
	d.Addresses = append(d.Addresses, six)
	return d
}

// Every byte of a diff matters: changed anyhow it is refused, or makes a table whose
// own diff it is.
func TestChangedDiffIsRefusedOrCanonical(t *testing.T) {
	from, to := twoTables(t)
	diff, err := Diff(from, to)
	if err != nil {
		t.Fatal(err)
	}
	for i := range diff {
		for _, x := range []byte{1, 2, 0x10, 0x80, 0xff} {
			other := bytes.Clone(diff)
			other[i] ^= x
			got, err := Apply(from, other)
			if err != nil {
				if !errors.Is(err, ErrDiff) {
					t.Fatalf("byte %d: %v", i, err)
				}
				continue
			}
			if again, err := Diff(from, got); err != nil || !bytes.Equal(again, other) {
				t.Fatalf("byte %d ^ %x: accepted, and not canonical", i, x)
			}
			if got.DirRoot() == to.DirRoot() && got.DictRoot() == to.DictRoot() {
				t.Fatalf("byte %d ^ %x: makes no difference", i, x)
			}
		}
	}
}

func TestDiffIsBounded(t *testing.T) {
	from, _ := twoTables(t)
	for name, diff := range map[string][]byte{
		"empty": nil, "version": {2, 12}, "larger than 8 MiB": append([]byte{1, 12}, make([]byte, MaxDiffSize)...),
		"leaves of another table":        {1, 13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0},
		"more removed than leaves":       {1, 12, 13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"more added than bytes":          {1, 12, 0, 0xff, 0xff, 0x3f, 0},
		"number too long":                {1, 12, 0x80, 0, 0, 0, 0},
		"number of 11 bytes":             {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
		"removed beyond the table":       {1, 12, 1, 12, 0, 0, 0},
		"column of a relay that is gone": {1, 12, 1, 0, 0, 0, 0, 0, 0, 1, 0, 9, 0, 0, 0, 0, 0},
	} {
		if _, err := Apply(from, diff); !errors.Is(err, ErrDiff) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDiffTooLargeIsRefused(t *testing.T) {
	const count = 130000 // 8 MiB / 66
	leaves := make([]snapshot.Leaf, count)
	for i := range leaves {
		leaves[i] = snapshot.Leaf{
			RID: record.RID{byte(i >> 16), byte(i >> 8), byte(i)}, IPv4: place(i), Flags: snapshot.FlagRunning, Protocol: 1,
		}
	}
	dict := &snapshot.Dictionaries{Groups: []snapshot.Group{"\x04\x14\x00"}}
	to, err := snapshot.NewTable(leaves, dict)
	if err != nil {
		t.Fatal(err)
	}
	from, err := snapshot.NewTable(nil, dict)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Diff(from, to); !errors.Is(err, ErrDiffTooLarge) {
		t.Errorf("%v", err)
	}
}

func TestDiffVectors(t *testing.T) {
	from, to := twoTables(t)
	there, err := Diff(from, to)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Diff(to, from)
	if err != nil {
		t.Fatal(err)
	}
	a, b := to.DirRoot(), to.DictRoot()
	golden(t, "diff.txt", "The tables of diff_test.go, and the diffs there and back.\nA changed line is a change of the protocol. Spec: directory §8.\n", [][2]string{
		{"from", hex.EncodeToString(from.Tile(0))}, {"from_dictionaries", hex.EncodeToString(from.Dictionaries().Encode())},
		{"to", hex.EncodeToString(to.Tile(0))}, {"to_dictionaries", hex.EncodeToString(to.Dictionaries().Encode())},
		{"to_dir_root", hex.EncodeToString(a[:])}, {"to_dict_root", hex.EncodeToString(b[:])},
		{"diff", hex.EncodeToString(there)}, {"diff_back", hex.EncodeToString(back)},
	})
}

func FuzzDiff(f *testing.F) {
	from, to := twoTables(f)
	for _, pair := range [][2]*snapshot.Table{{from, to}, {from, from}} {
		diff, err := Diff(pair[0], pair[1])
		if err != nil {
			f.Fatal(err)
		}
		f.Add(diff)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Apply(from, data)
		if err != nil {
			return
		}
		if again, err := Diff(from, got); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x became %x", data, again)
		}
	})
}
