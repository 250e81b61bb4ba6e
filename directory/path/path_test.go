// SPDX-License-Identifier: BSD-3-Clause

package path

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
)

// seeded returns a deterministic source.
func seeded(seed uint64) *rand.ChaCha8 {
	var s [32]byte
	binary.BigEndian.PutUint64(s[:], seed)
	return rand.NewChaCha8(s)
}

func testFounder(t testing.TB, n uint64, addr string, roles record.Roles, policy []record.PortRange) (*record.Founder, ed25519.PrivateKey) {
	t.Helper()
	key := func(purpose uint64) ed25519.PrivateKey {
		var seed [32]byte
		binary.BigEndian.PutUint64(seed[:], n)
		binary.BigEndian.PutUint64(seed[8:], purpose)
		return ed25519.NewKeyFromSeed(seed[:])
	}
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], n+1)
	onion, err := ecdh.X25519().NewPrivateKey(seed[:])
	if err != nil {
		t.Fatal(err)
	}
	f := &record.Founder{
		Identity: key(0).Public().(ed25519.PublicKey), Onion: [32]byte(onion.PublicKey().Bytes()),
		VRF:       [32]byte(key(1).Public().(ed25519.PublicKey)),
		Committee: [2][32]byte{[32]byte(key(2).Public().(ed25519.PublicKey)), [32]byte(key(3).Public().(ed25519.PublicKey))},
		Addresses: []netip.AddrPort{netip.MustParseAddrPort(addr)}, DeclaredRate: 10000, Roles: roles, Policy: policy,
	}
	return f, key(0)
}

func TestTestnetOfTenChoosesPaths(t *testing.T) {
	start := time.Now()
	var founders []*record.Founder
	var keys []ed25519.PrivateKey
	for i := range uint64(10) {
		roles, policy := record.RoleGuard|record.RoleHSDir, []record.PortRange(nil)
		if i < 3 {
			roles |= record.RoleExit
			policy = []record.PortRange{{Protocol: record.TCP, First: 1, Last: 65535}}
		}
		f, k := testFounder(t, i, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(9000+i)).String(), roles, policy)
		founders, keys = append(founders, f), append(keys, k)
	}
	doc, err := genesis.New("testnet", founders, true, time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if err := doc.Sign(k); err != nil {
			t.Fatal(err)
		}
	}
	b, err := doc.Encode()
	if err != nil {
		t.Fatal(err)
	}
	doc2, err := genesis.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if doc2.NetworkID() != doc.NetworkID() {
		t.Fatal("ids differ")
	}
	view := snapshot.Genesis(doc2)
	s := NewSelector(view, doc2.Params)
	t.Log("setup took", time.Since(start), "bytes", len(b), "header", len(view.Header().Encode()))
	r := seeded(1)
	start = time.Now()
	for range 1000 {
		p, err := s.Choose(r, Request{Hops: 3, FreshGuard: true, Target: Exit(record.TCP, 80)})
		if err != nil {
			t.Fatal(err)
		}
		if len(p) != 3 || p[2].Flags&snapshot.FlagExit == 0 {
			t.Fatal("bad path")
		}
	}
	t.Log("1000 paths", time.Since(start))
	if _, err := s.Choose(r, Request{Hops: 3, FreshGuard: true, Target: Exit(record.UDP, 80)}); err == nil {
		t.Fatal("no udp exit")
	} else {
		t.Log(err)
	}
	if p, err := s.Choose(r, Request{Hops: 8, FreshGuard: true}); err != nil || len(p) != 8 {
		t.Fatal(err)
	}
}
