// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"chive/circuit/handshake"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	dirsync "chive/directory/sync"
	"chive/directory/transition"
)

// view makes snapshot 0 of a network with n founders, whose keys follow from seed.
func view(t *testing.T, seed byte, n int) snapshot.View {
	t.Helper()
	var founders []*record.Founder
	var keys []ed25519.PrivateKey
	for i := range n {
		var s [32]byte
		s[0], s[1] = seed, byte(i)
		key := ed25519.NewKeyFromSeed(s[:])
		public := [32]byte(key.Public().(ed25519.PublicKey))
		founders = append(founders, &record.Founder{
			Identity: key.Public().(ed25519.PublicKey), Onion: handshake.NewOnionKey(&s).Public(),
			VRF: public, Committee: [2][32]byte{public, public}, DeclaredRate: 1000, Roles: record.RoleGuard,
			Addresses: []netip.AddrPort{netip.MustParseAddrPort(fmt.Sprintf("127.0.0.1:%d", 9000+i))},
		})
		keys = append(keys, key)
	}
	doc, err := genesis.New("check", founders, true, time.Unix(1_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if err := doc.Sign(k); err != nil {
			t.Fatal(err)
		}
	}
	return transition.Genesis(doc).Snapshot()
}

// relayOf answers one directory question as a relay that holds v would.
type relayOf struct {
	v      snapshot.View
	garble bool
	out    bytes.Buffer
}

func (r *relayOf) Write(p []byte) (int, error) {
	body, err := dirsync.ReadRequest(bytes.NewReader(p))
	if err != nil {
		return 0, err
	}
	answer := dirsync.Busy()
	if r.v != nil {
		answer = dirsync.NewServer(r.v).Answer(body)
	}
	if r.garble {
		answer[20] ^= 1
	}
	r.out.Write(answer)
	return len(p), nil
}

func (r *relayOf) Read(p []byte) (int, error) { return r.out.Read(p) }

// TestAnotherTableIsNoticed compares what relays report with what the client holds
// (DIR-1 and the CHECK of the directory's design).
func TestAnotherTableIsNoticed(t *testing.T) {
	ours := view(t, 1, 5)
	c := &Client{view: ours}
	for _, r := range []struct {
		name  string
		relay *relayOf
		bad   bool
	}{
		{"the same table", &relayOf{v: ours}, false},
		{"busy", &relayOf{}, false},
		{"another network's table", &relayOf{v: view(t, 2, 5)}, true},
		{"a table of one relay less", &relayOf{v: view(t, 1, 4)}, true},
		{"garbage", &relayOf{v: ours, garble: true}, true},
	} {
		if err := c.checkOver(r.relay); errors.Is(err, errView) != r.bad {
			t.Errorf("%s: %v", r.name, err)
		}
	}
}
