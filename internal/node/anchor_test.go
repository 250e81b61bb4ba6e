// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/directory/transition"
	"chive/directory/vote"
	"chive/directory/vrf"
	"chive/internal/control"
	"chive/internal/store"
)

// elder is a network of one founder with lists of some epochs, and a limit on anchors.
type elder struct {
	dir    string
	file   string // its document
	doc    *genesis.Document
	states []*transition.State
	certs  []*vote.Certificate
}

// newElder makes one whose newest list is of now, and its document of long ago.
func newElder(t *testing.T, name string, epochs int) *elder {
	t.Helper()
	e := &elder{dir: t.TempDir()}
	seed := func(use byte) []byte { return append([]byte{use}, make([]byte, 31)...) }
	identity := ed25519.NewKeyFromSeed(seed(1))
	keys := []ed25519.PrivateKey{ed25519.NewKeyFromSeed(seed(2)), ed25519.NewKeyFromSeed(seed(3))}
	secret := vrf.NewSecretKey((*[32]byte)(seed(4)))
	p := genesis.Testnet()
	p.Term, p.DrawLead = 2000, 10
	p.AnchorAge = 20 * p.EpochLen
	f := &record.Founder{
		Identity: identity.Public().(ed25519.PublicKey), Onion: [32]byte{9}, VRF: secret.Public(), DeclaredRate: 1000, Roles: record.RoleGuard,
		Committee: [2][32]byte{[32]byte(keys[0].Public().(ed25519.PublicKey)), [32]byte(keys[1].Public().(ed25519.PublicKey))},
		Addresses: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:9299")},
	}
	start := time.Now().Truncate(p.EpochLen).Add(-time.Duration(epochs) * p.EpochLen)
	doc, err := genesis.Plan{Name: name, Testnet: true, Params: &p, Founders: []*record.Founder{f}, Time: start}.Document()
	if err == nil {
		err = doc.Sign(identity)
	}
	if err != nil {
		t.Fatal(err)
	}
	e.doc, e.states, e.certs = doc, []*transition.State{transition.Genesis(doc)}, []*vote.Certificate{nil}
	for epoch := uint64(1); epoch <= uint64(epochs); epoch++ {
		head := e.states[len(e.states)-1]
		in := transition.Input{Epoch: epoch, Votes: []transition.Vote{{Seat: 0}}, Proof: secret.Prove([]byte{byte(epoch)})}
		if in.Output, err = vrf.ProofToHash(in.Proof); err != nil {
			t.Fatal(err)
		}
		next, err := transition.Next(doc, head, in)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := vote.NewSignature(doc.NetworkID(), keys[0], epoch, next.Digest(), 0)
		if err != nil {
			t.Fatal(err)
		}
		seats := vote.NewSeats(1)
		seats.Add(0)
		cert, err := vote.NewCertificate(next.Snapshot().Header(), seats, [][record.SignatureSize]byte{sig.Bytes()})
		if err != nil {
			t.Fatal(err)
		}
		e.states, e.certs = append(e.states, next), append(e.certs, cert)
	}
	if e.file, err = WriteGenesis(e.dir, doc); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *elder) final(epoch int) dirsync.Final {
	return dirsync.Final{State: e.states[epoch], Certificate: e.certs[epoch]}
}

// anchor writes one of an epoch's list.
func (e *elder) anchor(t *testing.T, epoch int, change func([]byte)) string {
	t.Helper()
	a, err := e.final(epoch).AnchorFile()
	if err != nil {
		t.Fatal(err)
	}
	data := a.Encode()
	if change != nil {
		change(data)
	}
	path := filepath.Join(t.TempDir(), "anchor")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// saved is what a client has that holds an epoch's list.
func (e *elder) saved(epoch int) []byte {
	return dirsync.SeedFollower(e.doc, vote.Plain{}, e.final(epoch)).Encode()
}

// TestWhatAnAnchorIsTakenFor: where it is needed it must hold, and where it is not it
// stands in nobody's way. Spec: protocol §7 (ANC-2).
func TestWhatAnAnchorIsTakenFor(t *testing.T) {
	e, now := newElder(t, "elder", 40), time.Now()
	other := newElder(t, "other", 30)
	none, young := func() uint64 { return 0 }, func() uint64 { return 35 }
	if a, note, err := takeAnchor(e.anchor(t, 38, nil), e.doc, none, now); a == nil || note != "" || err != nil {
		t.Errorf("a new one: %q %v", note, err)
	}
	if a, note, err := takeAnchor(e.anchor(t, 27, nil), e.doc, none, now); a == nil || !strings.Contains(note, "is getting old") || err != nil {
		t.Errorf("one of more than half the limit: %q %v", note, err)
	}
	for _, epoch := range []int{27, 5} {
		if a, note, err := takeAnchor(e.anchor(t, epoch, nil), e.doc, young, now); a != nil || note != "" || err != nil {
			t.Errorf("an old one that is not needed: %q %v", note, err)
		}
	}
	if a, _, err := takeAnchor("", e.doc, none, now); a != nil || err != nil {
		t.Error("none is named")
	}
	for code, path := range map[string]string{
		"anchor_old":     e.anchor(t, 5, nil),
		"anchor_damaged": e.anchor(t, 38, func(b []byte) { b[200]++ }),
		"anchor_network": other.anchor(t, 28, nil),
		"file_missing":   filepath.Join(e.dir, "nothing"),
		"file_too_large": bigFile(t),
		"anchor_forged": e.anchor(t, 38, func(b []byte) {
			a, err := e.final(38).AnchorFile()
			if err != nil {
				t.Fatal(err)
			}
			at := bytes.LastIndex(b, a.Certificate.Signatures[0][:])
			b[at+5]++
			body := b[:len(b)-32]
			sum := record.Hash("anchor", record.Sized(body))
			copy(b[len(body):], sum[:])
		}),
	} {
		_, _, err := takeAnchor(path, e.doc, none, now)
		wantFault(t, err, code)
	}
	_, _, err := takeAnchor(e.anchor(t, 38, nil), e.doc, none, now.Add(-time.Hour))
	wantFault(t, err, "clock_skew")
	if err := CheckAnchor(other.anchor(t, 28, nil)); err != nil {
		t.Error(err)
	}
}

func bigFile(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(path, make([]byte, dirsync.MaxAnchorSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAnAnchorIsMadeOfAStateFolder, a client's or a relay's.
func TestAnAnchorIsMadeOfAStateFolder(t *testing.T) {
	e, now := newElder(t, "elder", 40), time.Now()
	s := stateOf(t, filepath.Join(e.dir, "state"))
	out := filepath.Join(e.dir, "made")
	_, err := s.StoredAnchor("", out, now)
	wantFault(t, err, "genesis_missing")
	_, err = s.StoredAnchor(e.file, out, now)
	wantFault(t, err, "no_anchor")
	_, err = ShowAnchor("some.anchor", "", time.Now())
	wantFault(t, err, "genesis_missing")
	if _, err := s.folder(clientFolder); err != nil {
		t.Fatal(err)
	}
	keep := func(epoch int) {
		if err := store.WriteFile(s.path(clientTableFile), e.saved(epoch)); err != nil {
			t.Fatal(err)
		}
	}
	keep(5)
	_, err = s.StoredAnchor(e.file, out, now)
	wantFault(t, err, "anchor_old")
	keep(37)
	info, err := s.StoredAnchor(e.file, out, now)
	if err != nil || info.Epoch != 37 || info.Network != "elder" || info.Relays != 1 || info.Until.IsZero() {
		t.Fatalf("%+v %v", info, err)
	}
	digest := e.certs[37].HeaderDigest()
	if shown, err := ShowAnchor(out, e.file, now); err != nil || shown.Digest != hex.EncodeToString(digest[:]) {
		t.Errorf("%+v %v", shown, err)
	}
	_, err = ShowAnchor(out, e.file, now.Add(time.Hour))
	wantFault(t, err, "anchor_old")
	_, err = s.StoredAnchor(e.file, out, now)
	wantFault(t, err, "file_exists")

	// As the control socket gives it.
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(e.dir, "again")
	if info, err := WriteAnchor(&control.Anchor{Epoch: 37, Digest: "aa", Data: data}, "", again, now); err != nil || info.Epoch != 37 {
		t.Errorf("%+v %v", info, err)
	}
	_, err = WriteAnchor(&control.Anchor{Data: data}, newElder(t, "other", 2).file, filepath.Join(e.dir, "third"), now)
	wantFault(t, err, "anchor_network")
	if _, err := (&Sources{Document: e.doc}).Anchor(context.Background()); err == nil {
		t.Error("a process without roles makes one")
	}
}

// TestAClientIsPreparedWithAnAnchor only where it needs it.
func TestAClientIsPreparedWithAnAnchor(t *testing.T) {
	e := newElder(t, "elder", 40)
	dir := filepath.Join(e.dir, "state")
	prepared := func(path string) (*clientRun, error) {
		r, err := prepareClient(ClientOptions{State: dir, Genesis: e.file, Anchor: path, Socks: SocksOptions{Addrs: []string{"127.0.0.1:0"}}})
		if err == nil {
			r.state.Close()
		}
		return r, err
	}
	if r, err := prepared(e.anchor(t, 27, nil)); err != nil || r.noted == "" {
		t.Fatal(err)
	}
	_, err := prepared(e.anchor(t, 5, nil))
	wantFault(t, err, "anchor_old")
	s := stateOf(t, dir)
	if _, err := s.folder(clientFolder); err != nil {
		t.Fatal(err)
	}
	if err := store.WriteFile(s.path(clientTableFile), e.saved(36)); err != nil {
		t.Fatal(err)
	}
	if r, err := prepared(e.anchor(t, 5, nil)); err != nil || r.noted != "" {
		t.Errorf("with a list of its own: %v", err)
	}
	relay, _ := newcomer(t, "127.0.0.1:9298")
	o := RelayOptions{State: relay.Dir(), Genesis: e.file, Listen: "127.0.0.1:0", Anchor: e.anchor(t, 38, nil)}
	r, err := prepareRelay(t.Context(), o, relay)
	if err != nil || r.anchor == nil {
		t.Fatal(err)
	}
	r.close()
	relay.Close()
	o.Anchor = e.anchor(t, 5, nil)
	_, err = prepareRelay(t.Context(), o, relay)
	wantFault(t, err, "anchor_old")
}
