// SPDX-License-Identifier: BSD-3-Clause

package snapshot

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
)

var update = flag.Bool("update", false, "write testdata/vectors/*.txt anew")

func public(purpose string, n int) [32]byte {
	seed := sha256.Sum256(fmt.Append(nil, purpose, n))
	return [32]byte(ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey))
}

// founder returns founder n: IPv6 too for one in four, a family for each pair, an
// exit one in three, with two policies in turn.
func founder(t testing.TB, n int) *record.Founder {
	t.Helper()
	seed := sha256.Sum256(fmt.Append(nil, "onion", n))
	onion, err := ecdh.X25519().NewPrivateKey(seed[:])
	if err != nil {
		t.Fatal(err)
	}
	identity, family := public("identity", n), public("family", n/2)
	f := &record.Founder{
		Identity: identity[:], Onion: [32]byte(onion.PublicKey().Bytes()), VRF: public("vrf", n),
		Committee:    [2][32]byte{public("committee a", n), public("committee b", n)},
		Addresses:    []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, byte(n % 7), byte(n >> 8), byte(n)}), 9240)},
		DeclaredRate: uint32(1000 * (n + 1)), Roles: record.RoleGuard,
	}
	if n%4 == 0 {
		six := [16]byte{0x26, 0x06, 0x47, byte(n % 5), 15: byte(n)}
		f.Addresses = append([]netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom16(six), 9240)}, f.Addresses...)
	}
	if n%4 < 2 {
		f.Family = family[:]
	}
	if n%3 == 0 {
		f.Roles |= record.RoleExit
		f.Policy = []record.PortRange{{Protocol: record.TCP, First: 80, Last: 80 + uint16(n%2)}}
	}
	return f
}

func netAddr(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }

func document(t testing.TB, founders []*record.Founder) *genesis.Document {
	t.Helper()
	d, err := genesis.New("example", founders, true, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func founders(t testing.TB, count int) []*record.Founder {
	t.Helper()
	var out []*record.Founder
	for n := range count {
		out = append(out, founder(t, n))
	}
	return out
}

// genesisView joins the table of snapshot 0 and what its header says of it.
func genesisView(t testing.TB, doc *genesis.Document) *Snapshot {
	t.Helper()
	table := FromGenesis(doc)
	s, err := New(GenesisHeader(doc, table), table, doc.Params)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// leaf returns leaf n of a made-up table, one in three with IPv6.
func leaf(n int) Leaf {
	h := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
	l := Leaf{
		RID: record.RID(h[:16]), Onion: sha256.Sum256(h[:]),
		IPv4:  netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, h[0], h[1], 1 | h[2]}), 9240),
		Flags: FlagGuard | FlagRunning, Bucket: h[3] & 63, BirthDay: uint16(n), Protocol: 1,
	}
	if n%3 == 0 {
		l.IPv6 = netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x26, h[4], 15: 1}), 9240)
		l.Flags |= FlagIPv6
	}
	return l
}

func leaves(count int) []Leaf {
	out := make([]Leaf, count)
	for n := range out {
		out[n] = leaf(n)
	}
	slices.SortFunc(out, func(a, b Leaf) int { return a.RID.Compare(b.RID) })
	return out
}

// dict is one group, one family, one policy.
func dict() *Dictionaries {
	family := public("family", 0)
	return &Dictionaries{
		Groups: []Group{"\x04\x14\x00"}, Families: []ed25519.PublicKey{family[:]},
		Policies: [][]record.PortRange{{{Protocol: record.TCP, First: 1, Last: 65535}}},
	}
}

// golden compares lines of name and bytes with a file of testdata/vectors.
func golden(t *testing.T, file, head string, lines [][2]string) {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(head) {
		b.WriteString("# " + line)
	}
	for _, l := range lines {
		fmt.Fprintf(&b, "%s = %s\n", l[0], l[1])
	}
	path := filepath.Join("testdata", "vectors", file)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != b.String() {
		t.Errorf("%s: the bytes changed, and with them the protocol", file)
	}
}
