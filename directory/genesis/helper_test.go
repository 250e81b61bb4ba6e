// SPDX-License-Identifier: BSD-3-Clause

package genesis

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chive/directory/record"
)

var update = flag.Bool("update", false, "write testdata/vectors/*.txt anew")

func signingKey(purpose string, n int) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Append(nil, purpose, n))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(purpose string, n int) [32]byte {
	return [32]byte(signingKey(purpose, n).Public().(ed25519.PublicKey))
}

// founder returns founder n, alone in its /16, one in three an exit.
func founder(t testing.TB, n int) *record.Founder {
	t.Helper()
	seed := sha256.Sum256(fmt.Append(nil, "onion", n))
	onion, err := ecdh.X25519().NewPrivateKey(seed[:])
	if err != nil {
		t.Fatal(err)
	}
	identity := public("identity", n)
	f := &record.Founder{
		Identity: identity[:], Onion: [32]byte(onion.PublicKey().Bytes()), VRF: public("vrf", n),
		Committee:    [2][32]byte{public("committee a", n), public("committee b", n)},
		Addresses:    []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(20 + n/200), byte(n % 200), 3, 4}), 9240)},
		DeclaredRate: 10000, Roles: record.RoleGuard | record.RoleHSDir,
	}
	if n%3 == 0 {
		f.Roles |= record.RoleExit
		f.Policy = []record.PortRange{{Protocol: record.TCP, First: 80, Last: 80}, {Protocol: record.UDP, First: 53, Last: 53}}
	}
	return f
}

func founders(t testing.TB, count int) []*record.Founder {
	t.Helper()
	var out []*record.Founder
	for n := range count {
		out = append(out, founder(t, n))
	}
	return out
}

// start is a multiple of every preset's epoch.
func start() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

func signAll(t testing.TB, d *Document) []byte {
	t.Helper()
	for n := range d.Founders {
		if err := d.Sign(signingKey("identity", n)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// signed returns a signed document of so many founders.
func signed(t testing.TB, count int, testnet bool) (*Document, []byte) {
	t.Helper()
	d, err := New("example", founders(t, count), testnet, start())
	if err != nil {
		t.Fatal(err)
	}
	return d, signAll(t, d)
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
