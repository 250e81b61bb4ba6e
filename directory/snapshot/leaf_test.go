// SPDX-License-Identifier: BSD-3-Clause

package snapshot

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
)

func TestLeafRoundTrip(t *testing.T) {
	six := leaf(0)
	onlySix := leaf(3)
	onlySix.IPv4 = netip.AddrPort{}
	exit := leaf(1)
	exit.Flags |= FlagExit
	exit.Policy, exit.Group, exit.Family, exit.BirthDay, exit.Bucket = 255, 65535, 65535, 65535, MaxBucket
	for name, l := range map[string]Leaf{"IPv4": leaf(1), "both": six, "IPv6": onlySix, "exit, all at the bound": exit} {
		b := l.Append(nil)
		want := LeafSize
		if l.IPv6.IsValid() {
			want = LeafSizeV6
		}
		if len(b) != want {
			t.Errorf("%s: %d bytes", name, len(b))
		}
		got, err := ParseLeaf(b)
		if err != nil || got != l {
			t.Errorf("%s became %v: %v", name, got, err)
		}
		for n := range b {
			if _, err := ParseLeaf(b[:n]); !errors.Is(err, ErrLeaf) {
				t.Fatalf("%s cut to %d bytes: %v", name, n, err)
			}
		}
		if _, err := ParseLeaf(append(bytes.Clone(b), 0)); !errors.Is(err, ErrLeaf) {
			t.Errorf("%s with a trailing byte: %v", name, err)
		}
	}
}

func TestLeafForm(t *testing.T) {
	const flags, flags6 = 54, 72
	for name, test := range map[string]struct {
		n      int // leaf 0 has IPv6, leaf 1 has not
		change func(b []byte)
	}{
		"no address at all":      {1, func(b []byte) { clear(b[48:54]) }},
		"address without port":   {1, func(b []byte) { clear(b[52:54]) }},
		"port without address":   {1, func(b []byte) { clear(b[48:52]) }},
		"IPv6 without port":      {0, func(b []byte) { clear(b[70:72]) }},
		"IPv6 unspecified":       {0, func(b []byte) { clear(b[54:70]) }},
		"IPv6 mapped":            {0, func(b []byte) { copy(b[54:70], make([]byte, 10)); b[64], b[65] = 0xff, 0xff }},
		"flag for IPv6 missing":  {0, func(b []byte) { b[flags6] &^= byte(FlagIPv6 >> 8) }},
		"flag for IPv6 too many": {1, func(b []byte) { b[flags] |= byte(FlagIPv6 >> 8) }},
		"unknown role":           {1, func(b []byte) { b[flags+1] |= 1 << 5 }},
		"unknown flag":           {1, func(b []byte) { b[flags] |= 1 << 5 }},
		"bucket 128":             {1, func(b []byte) { b[flags+2] = 128 }},
		"exit without policy":    {1, func(b []byte) { b[flags+1] |= byte(FlagExit) }},
		"policy without exit":    {1, func(b []byte) { b[flags+9] = 1 }},
	} {
		l := leaf(test.n)
		b := l.Append(nil)
		test.change(b)
		if _, err := ParseLeaf(b); !errors.Is(err, ErrLeaf) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzLeaf(f *testing.F) {
	for n := range 4 {
		l := leaf(n)
		f.Add(l.Append(nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := ParseLeaf(data)
		if err != nil {
			return
		}
		if again := l.Append(nil); !bytes.Equal(again, data) {
			t.Fatalf("%x became %x", data, again)
		}
	})
}

func FuzzTile(f *testing.F) {
	table, err := NewTable(leaves(5), dict())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(table.Tile(0))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := ParseTile(data, table.TileRoots()[0]); err == nil && !bytes.Equal(data, table.Tile(0)) {
			t.Fatalf("%x has the root of another tile", data)
		}
	})
}
