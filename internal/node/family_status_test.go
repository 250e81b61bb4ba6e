// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"crypto/ed25519"
	"net/netip"
	"strings"
	"testing"

	"chive/directory/record"
	"chive/directory/snapshot"
)

// TestAFamilyIsShown: which it is, and whether the list shows it, which alone keeps two of its
// relays out of one circuit.
func TestAFamilyIsShown(t *testing.T) {
	key, other := ed25519.PublicKey(bytes.Repeat([]byte{1}, 32)), ed25519.PublicKey(bytes.Repeat([]byte{2}, 32))
	leaf := func(n byte, family uint16) snapshot.Leaf {
		return snapshot.Leaf{RID: record.RID{n}, Family: family, IPv4: netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, n, 0, 1}), 9240)}
	}
	table, err := snapshot.NewTable([]snapshot.Leaf{leaf(1, 1), leaf(2, 2), leaf(3, 1), leaf(4, 0)},
		&snapshot.Dictionaries{Groups: []snapshot.Group{"g"}, Families: []ed25519.PublicKey{key, other}})
	if err != nil {
		t.Fatal(err)
	}
	if got := familyText(table, record.RID{1}, nil); got != "" {
		t.Errorf("none: %q", got)
	}
	for n, want := range map[byte]string{1: "the list shows it, with 1 other relay: no circuit", 2: "does not show it yet", 4: "does not show it yet", 9: "it counts once the relay is on the list"} {
		got := familyText(table, record.RID{n}, &familyWord{Key: key})
		if !strings.HasPrefix(got, "0101010101010101...; ") || !strings.Contains(got, want) {
			t.Errorf("relay %d: %q", n, got)
		}
	}
}
