// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"bytes"
	"crypto/ed25519"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/transition"
)

// someBundle is that of a network that has run for a while.
func someBundle(t testing.TB, d time.Duration) (*sim, *bundle) {
	s := newSim(t, 4, 17)
	s.startAll()
	s.until(d)
	return s, s.nodes[0].m.at
}

func TestBundleIsReadBackAndRefusedWhenCut(t *testing.T) {
	s, b := someBundle(t, 95*time.Second)
	data := b.encode()
	again, err := decodeBundle(s.doc, data)
	if err != nil || again.state.Digest() != b.state.Digest() || !bytes.Equal(again.encode(), data) {
		t.Fatalf("%v", err)
	}
	if err := again.verify(s.doc, anchorOf(transition.Genesis(s.doc)), s.verify); err != nil {
		t.Error(err)
	}
	for cut := 0; cut < len(data); cut += 1 + cut/64 {
		if _, err := decodeBundle(s.doc, data[:cut]); err == nil {
			t.Fatalf("cut at %d is read", cut)
		}
	}
	if _, err := decodeBundle(s.doc, append(data, 0)); err == nil {
		t.Error("a trailing byte is read")
	}
}

// The chain reaches back to the day beacon of the day before, and no further.
func TestBundleKeepsTwoDaysOfAncestors(t *testing.T) {
	s, b := someBundle(t, 255*time.Second) // epoch 25, the second of day 4
	last := b.chain[len(b.chain)-1]
	if b.state.Epoch() != 25 || last.Epoch != 17 || len(b.chain) > maxChain(s.doc.Params) {
		t.Errorf("at %d the chain of %d ends at %d", b.state.Epoch(), len(b.chain), last.Epoch)
	}
	if b.beacon(23) != b.chain[1].Beacon || b.beacon(17) != last.Beacon {
		t.Error("wrong day beacons")
	}
	long := &bundle{state: b.state, certificate: b.certificate, steps: b.steps}
	for range maxChain(s.doc.Params) + 1 {
		long.chain = append(long.chain, last)
	}
	if _, err := decodeBundle(s.doc, long.encode()); err == nil {
		t.Error("more ancestors than may be are read")
	}
	broken := &bundle{state: b.state, certificate: b.certificate, chain: b.chain[1:]}
	if _, err := decodeBundle(s.doc, broken.encode()); err == nil {
		t.Error("ancestors with a gap are read")
	}
	bare := &bundle{state: b.state}
	if _, err := decodeBundle(s.doc, bare.encode()); err == nil {
		t.Error("a state without its certificate is read")
	}
}

// Where newcomers bring work it reaches back as far as work is good, and who has come with
// fewer ancestors goes on with those that it had.
// Spec: GOS-9, ADM-2.
func TestBundleKeepsTheBeaconsThatWorkIsSaltedWith(t *testing.T) {
	p := genesis.Testnet()
	p.StampBits, p.Day = 4, 1
	s := newSimOf(t, 4, 17, p)
	s.startAll()
	s.until(365 * time.Second)
	b := s.nodes[0].m.at
	last := b.chain[len(b.chain)-1]
	if b.state.Epoch() != 36 || last.Epoch != 6 || len(b.chain) > maxChain(p) {
		t.Fatalf("at %d the chain of %d ends at %d", b.state.Epoch(), len(b.chain), last.Epoch)
	}
	identity := signingKey("identity", 0).Public().(ed25519.PublicKey)
	for epoch, known := range map[uint64]bool{5: false, 6: true, 20: true, 36: true, 37: false} {
		if _, ok := s.nodes[0].m.challenge(identity, &record.Work{Epoch: epoch}); ok != known {
			t.Errorf("the beacon of epoch %d is known: %v", epoch, ok)
		}
	}
	if again, err := decodeBundle(s.doc, b.encode()); err != nil || len(again.chain) != len(b.chain) {
		t.Error("it is not read back")
	}
	short := *b
	for n := 2; n < len(b.chain); n += 5 {
		short.chain = b.chain[:n]
		older := &bundle{state: s.nodes[1].m.below.state, chain: b.chain[1:]}
		if got := short.over(p, older); len(got.chain) != len(b.chain) || got.chain[len(b.chain)-1] != last {
			t.Errorf("of %d ancestors there are %d", n, len(got.chain))
		}
	}
	short.chain = nil
	if got := short.over(p, &bundle{state: s.nodes[1].m.below.state, chain: b.chain[1:]}); len(got.chain) != len(b.chain) {
		t.Errorf("of none there are %d", len(got.chain))
	}
	if got := short.over(p, &bundle{state: transition.Genesis(s.doc)}); len(got.chain) != 0 {
		t.Error("what does not meet is put together")
	}
	if err := short.verify(s.doc, anchorOf(transition.Genesis(s.doc)), s.verify); err == nil {
		t.Error("a state without day beacons is taken")
	}
}

func FuzzBundle(f *testing.F) {
	s, b := someBundle(f, 35*time.Second)
	f.Add(b.encode())
	f.Add((&bundle{state: transition.Genesis(s.doc)}).encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if b, err := decodeBundle(s.doc, data); err == nil && !bytes.Equal(b.encode(), data) {
			t.Error("read, and written otherwise")
		}
	})
}

// TestWhatStandsInPlaceHandsOverItsOwnLists: a snapshot that draws a list is replaced by one of
// the next epoch, which draws another. The step to the first is none.
func TestWhatStandsInPlaceHandsOverItsOwnLists(t *testing.T) {
	bundles := func(skip bool) (parent, child *bundle) {
		s := newSim(t, 4, 3)
		s.startAll()
		p := s.doc.Params
		lead := time.Duration(p.Term/2-p.DrawLead-1) * p.EpochLen // of the first term of B
		s.until(lead + 9*time.Second)
		parent = s.nodes[0].m.at
		cut := func(is bool) {
			for i := range s.nodes {
				for j := range i {
					s.cut[[2]int{j, i}] = is
				}
			}
		}
		if skip {
			cut(true)
			s.until(lead + p.EpochLen + 8*time.Second)
			cut(false)
		}
		for s.nodes[0].m.at == parent {
			s.until(s.now.Sub(s.doc.EpochStart(0)) + time.Second)
		}
		return parent, s.nodes[0].m.at
	}
	parent, first := bundles(false)
	same, second := bundles(true)
	if parent.state.Digest() != same.state.Digest() || first.state.Epoch() >= second.state.Epoch() || len(first.steps) != 1 || len(second.steps) != 1 {
		t.Fatalf("epochs %d and %d after %d, %d: %d and %d steps", first.state.Epoch(), second.state.Epoch(), parent.state.Epoch(), same.state.Epoch(), len(first.steps), len(second.steps))
	}
	for name, c := range map[string]struct{ from, to *bundle }{"a later one": {first, second}, "an earlier one": {second, first}} {
		doc := newSim(t, 4, 3).doc
		got, ok := c.from.child(doc, c.to.state, c.to.certificate)
		if !ok || len(got.steps) != 1 || got.steps[0].Certificate.HeaderDigest() != c.to.state.Digest() {
			t.Errorf("%s: %v, %d steps", name, ok, len(got.steps))
		}
	}
}
