// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata/vectors/*.txt anew")

// signingKey returns a fixed key for a purpose.
func signingKey(purpose string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(purpose))
	return ed25519.NewKeyFromSeed(seed[:])
}

func publicKey(purpose string) ed25519.PublicKey {
	return signingKey(purpose).Public().(ed25519.PublicKey)
}

func exchangeKey(t testing.TB, purpose string) [32]byte {
	t.Helper()
	seed := sha256.Sum256([]byte(purpose))
	k, err := ecdh.X25519().NewPrivateKey(seed[:])
	if err != nil {
		t.Fatal(err)
	}
	return [32]byte(k.PublicKey().Bytes())
}

func nid() [32]byte { return sha256.Sum256([]byte("network")) }

func addrs(text ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range text {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}

// web is the policy of product.md's preset of that name.
func web() []PortRange {
	return []PortRange{{TCP, 80, 80}, {TCP, 443, 443}, {UDP, 53, 53}, {UDP, 443, 443}}
}

// fullPolicy has as many ranges as fit.
func fullPolicy() []PortRange {
	var out []PortRange
	for i := range uint16(MaxPolicyCount) {
		out = append(out, PortRange{TCP, 1 + 10*i, 5 + 10*i})
	}
	return out
}

const published = 1767225600 // 2026-01-01

func limits() Times { return Times{Life: 7 * 24 * time.Hour, Ahead: 10 * time.Minute} }

// typical is a descriptor as most relays have one.
func typical(t testing.TB) *Descriptor {
	return &Descriptor{
		Identity: publicKey("identity"), Seq: 7,
		Published: time.Unix(published, 0).UTC(), Expires: time.Unix(published, 0).UTC().Add(7 * 24 * time.Hour),
		Onion: exchangeKey(t, "onion"), NextOnion: exchangeKey(t, "next onion"), VRF: [32]byte(publicKey("vrf")),
		Addresses: addrs("192.0.2.7:9240"), DeclaredRate: 100000, Roles: RoleGuard | RoleHSDir,
		Versions: []byte{1}, Software: "chive 0.1.0", Nickname: "typical",
	}
}

// full is a descriptor with every field at its bound.
func full(t testing.TB) *Descriptor {
	d := typical(t)
	d.Seq, d.DeclaredRate, d.Roles = 1<<63, 1<<32-1, AllRoles
	for term := range uint64(MaxCommitteeKeyCount) {
		d.Committee = append(d.Committee, CommitteeKey{Term: 1000 + term, Key: publicKey(fmt.Sprint("committee", term))})
	}
	d.Addresses = addrs("192.0.2.7:9240", "198.51.100.9:443", "[2001:db8::7]:9240", "[2001:db8:1::7]:443")
	d.Policy = fullPolicy()
	d.Family = &Family{Key: publicKey("family"), Signature: SignFamily(signingKey("family"), nid(), NewRID(nid(), d.Identity))}
	d.Versions = bytes.Repeat([]byte{1}, MaxVersionsSize)
	d.Software = strings.Repeat("s", MaxSoftwareSize)
	d.Nickname = strings.Repeat("n", MaxNicknameSize)
	d.Contact = strings.Repeat("c", MaxContactSize)
	return d
}

func sealed(t testing.TB, d *Descriptor) []byte {
	t.Helper()
	b, err := SealDescriptor(d, nid(), signingKey("identity"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func founder(t testing.TB) *Founder {
	return &Founder{
		Identity: publicKey("identity"), Onion: exchangeKey(t, "onion"), VRF: [32]byte(publicKey("vrf")),
		Committee: [2][32]byte{[32]byte(publicKey("committee0")), [32]byte(publicKey("committee1"))},
		Addresses: addrs("192.0.2.7:9240"), DeclaredRate: 100000, Roles: RoleGuard | RoleExit, Policy: web(),
	}
}

func fullFounder(t testing.TB) *Founder {
	f := founder(t)
	f.Addresses = full(t).Addresses
	f.DeclaredRate, f.Roles, f.Policy, f.Family = 1<<32-1, AllRoles, fullPolicy(), publicKey("family")
	return f
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

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
