// SPDX-License-Identifier: BSD-3-Clause

package snapshot

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"chive/internal/strictcbor"
)

// fullHeader has another value in every field.
func fullHeader() *Header {
	h := &Header{Version: HeaderVersion, Epoch: 1 << 40, HistorySize: 1 << 39, LeafCount: MaxLeafCount, ProposerSeat: 95}
	var w wireHeader
	ours, _ := h.hashes(&w)
	for i := range ours {
		*ours[i] = public("header", i)
	}
	copy(h.VRFProof[:], bytes.Repeat([]byte{0x5a}, VRFProofSize))
	return h
}

func TestHeaderRoundTrip(t *testing.T) {
	for name, h := range map[string]*Header{"genesis": genesisView(t, document(t, founders(t, 5))).Header(), "full": fullHeader()} {
		b := h.Encode()
		t.Logf("%s: %d bytes", name, len(b))
		got, err := DecodeHeader(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(got.Encode(), b) || got.Digest() != h.Digest() {
			t.Errorf("%s: encodes otherwise", name)
		}
		for n := range b {
			if _, err := DecodeHeader(b[:n]); err == nil {
				t.Fatalf("%s cut to %d bytes: accepted", name, n)
			}
		}
		if _, err := DecodeHeader(append(bytes.Clone(b), 0)); err == nil {
			t.Errorf("%s with a trailing byte: accepted", name)
		}
	}
}

func TestHeaderForm(t *testing.T) {
	for name, change := range map[string]func(w *wireHeader){
		"version 0":      func(w *wireHeader) { w.Version = 0 },
		"version 2":      func(w *wireHeader) { w.Version = 2 },
		"too many leafs": func(w *wireHeader) { w.LeafCount = MaxLeafCount + 1 },
		"short proof":    func(w *wireHeader) { w.VRFProof = w.VRFProof[1:] },
		"short root":     func(w *wireHeader) { w.DirRoot = w.DirRoot[1:] },
		"long digest":    func(w *wireHeader) { w.VotesDigest = append(w.VotesDigest, 0) },
	} {
		var w wireHeader
		if _, err := strictcbor.Unmarshal(fullHeader().Encode(), MaxHeaderSize, &w); err != nil {
			t.Fatal(err)
		}
		change(&w)
		b, err := strictcbor.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeHeader(b); !errors.Is(err, ErrHeader) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHeaderKeepsAdditionsUpToItsSize(t *testing.T) {
	for _, size := range []int{MaxHeaderSize, MaxHeaderSize + 1} {
		h := fullHeader()
		fill := size - len(h.Encode()) - 5
		text := append([]byte{0xa1, 0x18, 0x40, 0x59, byte(fill >> 8), byte(fill)}, make([]byte, fill)...)
		var none struct{}
		var err error
		if h.Extra, err = strictcbor.Unmarshal(text, len(text), &none); err != nil {
			t.Fatal(err)
		}
		b := h.Encode()
		if len(b) != size {
			t.Fatalf("made %d bytes", len(b))
		}
		got, err := DecodeHeader(b)
		if (err == nil) != (size == MaxHeaderSize) {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if err == nil && (!bytes.Equal(got.Encode(), b) || got.Digest() == fullHeader().Digest()) {
			t.Error("an addition was lost")
		}
	}
}

func TestHeaderVectors(t *testing.T) {
	lines := [][2]string{}
	for _, v := range []struct {
		name string
		h    *Header
	}{{"bare_genesis", genesisView(t, document(t, founders(t, 5))).Header()}, {"full", fullHeader()}} {
		lines = append(lines, [2]string{v.name + "_header", hex.EncodeToString(v.h.Encode())},
			[2]string{v.name + "_digest", fmt.Sprintf("%x", v.h.Digest())})
	}
	golden(t, "header.txt", "Headers and their digests: what GenesisHeader says of snapshot 0, without the roots of lists and of\nwhat relays hold (the whole one is in transition), and one with another value in every field.\nA changed line is a change of the protocol. Spec: directory §5.\n", lines)
}

func FuzzHeader(f *testing.F) {
	f.Add(genesisView(f, document(f, founders(f, 5))).Header().Encode())
	f.Add(fullHeader().Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := DecodeHeader(data)
		if err != nil {
			return
		}
		if again := h.Encode(); !bytes.Equal(again, data) {
			t.Fatalf("%x became %x", data, again)
		}
	})
}
