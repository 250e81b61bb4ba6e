// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"bytes"
	"testing"
	"time"

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
