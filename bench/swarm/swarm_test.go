// SPDX-License-Identifier: BSD-3-Clause

package swarm

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
)

// network writes the document of a network whose relays take links at ports.
func network(t *testing.T, ports ...uint16) string {
	t.Helper()
	var founders []*record.Founder
	var keys []ed25519.PrivateKey
	random := func() (b [32]byte) {
		_, _ = rand.Read(b[:])
		return b
	}
	for _, p := range ports {
		seed := random()
		key := ed25519.NewKeyFromSeed(seed[:])
		keys = append(keys, key)
		public := func() [32]byte {
			s := random()
			return [32]byte(ed25519.NewKeyFromSeed(s[:]).Public().(ed25519.PublicKey))
		}
		onion, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		founders = append(founders, &record.Founder{
			Identity: key.Public().(ed25519.PublicKey), Onion: [32]byte(onion.PublicKey().Bytes()), VRF: public(),
			Committee: [2][32]byte{public(), public()}, DeclaredRate: 1000, Roles: record.RoleGuard,
			Addresses: []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), p)},
		})
	}
	doc, err := genesis.New("swarm", founders, true, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if err := doc.Sign(k); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "genesis")
	data, err := doc.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestRelaysAreFoundByTheirPort(t *testing.T) {
	s, err := Open(network(t, 7001, 7002, 7003))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r, err := s.Relay(7002)
	if err != nil || r.Addresses[0].Port() != 7002 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := s.Relay(7004); !errors.Is(err, ErrRelay) {
		t.Errorf("a port of nobody: %v", err)
	}
}

func TestWhatIsNoDocumentIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x")
	if _, err := Open(file); !errors.Is(err, ErrGenesis) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); !errors.Is(err, ErrGenesis) {
		t.Errorf("garbage: %v", err)
	}
}

func TestNobodyThereEndsBuilding(t *testing.T) {
	s, err := Open(network(t, 1, 2, 3)) // nothing listens on these ports
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r, err := s.Relay(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Build(t.Context(), 100, 4, r); err == nil {
		t.Error("circuits were built through nobody")
	}
	if s.Len() != 0 || s.Alive() != 0 || len(s.Circuits()) != 0 {
		t.Errorf("%d circuits", s.Len())
	}
}
