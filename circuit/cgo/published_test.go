// SPDX-License-Identifier: BSD-3-Clause

package cgo

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// published has the parameters of the vectors that came with Tor's proposal
// 359: POLYVAL, AES-128, 509-byte cells, six cleared bits and 31 blocks.
type published struct{}

func (published) keySize() int                   { return 16 }
func (published) payloadSize() int               { return 493 }
func (published) firstCounter(last, t byte) byte { return last&0xc0 + 31*t }
func (published) newKeys() expanded              { return publishedKeys() }

// publishedKeys is what TestPublishedVectors computes with.
var publishedKeys = standardPublishedKeys

func standardPublishedKeys() expanded {
	return &standardKeys{newHash: func(key []byte) universalHash { return polyval(key) }}
}

// polyval is POLYVAL (RFC 8452 §3), bit by bit and not in constant time.
type polyval [16]byte

func (k polyval) sum(x []byte) [TagSize]byte {
	h0, h1 := binary.LittleEndian.Uint64(k[:]), binary.LittleEndian.Uint64(k[8:])
	var s0, s1 uint64
	for len(x) > 0 {
		var block [16]byte
		x = x[copy(block[:], x):]
		s0 ^= binary.LittleEndian.Uint64(block[:])
		s1 ^= binary.LittleEndian.Uint64(block[8:])
		s0, s1 = polyvalDot(s0, s1, h0, h1)
	}
	var out [TagSize]byte
	binary.LittleEndian.PutUint64(out[:], s0)
	binary.LittleEndian.PutUint64(out[8:], s1)
	return out
}

// polyvalDot is a * b * x^-128 modulo x^128 + x^127 + x^126 + x^121 + 1.
func polyvalDot(a0, a1, b0, b1 uint64) (r0, r1 uint64) {
	for i := range 128 {
		bit := b0 >> i & 1
		if i >= 64 {
			bit = b1 >> (i - 64) & 1
		}
		if bit == 1 {
			r0, r1 = r0^a0, r1^a1
		}
		odd := r0 & 1
		if odd == 1 {
			r1 ^= 1<<63 | 1<<62 | 1<<57
		}
		r0, r1 = r0>>1|r1<<63, r1>>1|odd<<63
	}
	return r0, r1
}

func TestPolyvalReference(t *testing.T) {
	// RFC 8452, appendix A.
	key, _ := hex.DecodeString("25629347589242761d31f826ba4b757b")
	x, _ := hex.DecodeString("4f4f95668c83dfb6401762bb2d01a262d1a24ddd2721d006bbe45f20d3c9f362")
	if sum := polyval(key).sum(x); hex.EncodeToString(sum[:]) != "f7a3b47b846119fae5b7866cf5e5b77e" {
		t.Fatal("POLYVAL reference is wrong")
	}
}

// hexBytes decodes JSON strings of hexadecimal digits.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.AppendDecode(nil, text)
	*h = b
	return err
}

type publishedState struct {
	Keys    hexBytes
	Nonce   hexBytes
	LastTag hexBytes `json:"last_tag"`
}

func (s publishedState) layer() *layer {
	l := newLayer(published{}, append(bytes.Clone(s.Keys), s.Nonce...))
	l.chain = [TagSize]byte(s.LastTag)
	return &l
}

func (s publishedState) is(l *layer) bool {
	return bytes.Equal(l.seed[:80], append(bytes.Clone(s.Keys), s.Nonce...)) && bytes.Equal(l.chain[:], s.LastTag)
}

// cellOf joins command, tag and payload.
func cellOf(cmd byte, left, right []byte) []byte {
	return append(append([]byte{cmd}, left...), right...)
}

// TestPublishedVectors runs all of them on the same code that production uses.
// Spec: protocol §3 (CGO-1).
func TestPublishedVectors(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "vectors", "cgo-published.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		ET []struct {
			Encrypt    bool
			Key, Tweak hexBytes
			In, Out    hexBytes
		}
		PRF []struct {
			Key     hexBytes
			T       byte
			In, Out hexBytes
		}
		UIV []struct {
			Encrypt     bool
			Keys, Tweak hexBytes
			Left, Right hexBytes
			OutLeft     hexBytes `json:"out_left"`
			OutRight    hexBytes `json:"out_right"`
		}
		UIVUpdate []struct {
			Keys, Nonce hexBytes
			OutKeys     hexBytes `json:"out_keys"`
			OutNonce    hexBytes `json:"out_nonce"`
		} `json:"uiv_update"`
		Relay []struct {
			Backward    bool
			State       publishedState
			Cmd         hexBytes
			Left, Right hexBytes
			OutState    publishedState `json:"out_state"`
			OutLeft     hexBytes       `json:"out_left"`
			OutRight    hexBytes       `json:"out_right"`
		}
		RelayOriginate []struct {
			State    publishedState
			Cmd      hexBytes
			Message  hexBytes
			OutState publishedState `json:"out_state"`
			OutLeft  hexBytes       `json:"out_left"`
			OutRight hexBytes       `json:"out_right"`
		} `json:"relay_originate"`
		ClientOriginate []struct {
			States    []publishedState
			Hop       int
			Cmd       hexBytes
			Message   hexBytes
			OutStates []publishedState `json:"out_states"`
			OutLeft   hexBytes         `json:"out_left"`
			OutRight  hexBytes         `json:"out_right"`
		} `json:"client_originate"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	count := 0
	expect := func(section string, i int, ok bool) {
		t.Helper()
		count++
		if !ok {
			t.Errorf("%s %d differs", section, i)
		}
	}
	zero := make([]byte, 80)

	for i, v := range file.ET {
		// ET is UIV+ with a key stream of no effect on the tag: in encryption the
		// payload is the tweak's, in decryption it is so after the key stream.
		seed := append(append(bytes.Clone(v.Key), zero[:32]...), zero[:16]...)
		l := newLayer(published{}, seed)
		l.chain = [TagSize]byte(v.Tweak)
		c := cellOf(v.Tweak[16], v.In, v.Tweak[17:])
		if v.Encrypt {
			l.encrypt(c)
		} else {
			l.expand()
			l.mask(c)
			l.decrypt(c)
		}
		expect("et", i, bytes.Equal(c[1:headerSize], v.Out))
	}
	for i, v := range file.PRF {
		l := newLayer(published{}, append(append(bytes.Clone(zero[:32]), v.Key...), zero[:16]...))
		l.expand()
		out := make([]byte, len(v.Out))
		l.keys.xorKeyStream(out, l.counter(v.In, v.T))
		expect("prf", i, bytes.Equal(out, v.Out))
	}
	for i, v := range file.UIV {
		l := newLayer(published{}, append(bytes.Clone(v.Keys), zero[:16]...))
		l.chain = [TagSize]byte(v.Tweak)
		c := cellOf(v.Tweak[16], v.Left, v.Right)
		if v.Encrypt {
			l.encrypt(c)
		} else {
			l.decrypt(c)
		}
		expect("uiv", i, bytes.Equal(c[1:], append(v.OutLeft, v.OutRight...)))
	}
	for i, v := range file.UIVUpdate {
		l := newLayer(published{}, append(v.Keys, v.Nonce...))
		l.update()
		expect("uiv_update", i, bytes.Equal(l.seed[:80], append(v.OutKeys, v.OutNonce...)))
	}
	recognised := 0
	for i, v := range file.Relay {
		c := cellOf(v.Cmd[0], v.Left, v.Right)
		var l *layer
		if v.Backward {
			r := &RelayBackward{*v.State.layer()}
			r.Pass(c)
			l = &r.layer
		} else {
			r := &RelayForward{*v.State.layer()}
			if r.Open(c) {
				recognised++
			}
			l = &r.layer
		}
		expect("relay", i, bytes.Equal(c[1:], append(v.OutLeft, v.OutRight...)) && v.OutState.is(l))
	}
	for i, v := range file.RelayOriginate {
		c := cellOf(v.Cmd[0], zero[:16], v.Message)
		r := &RelayBackward{*v.State.layer()}
		r.Originate(c)
		expect("relay_originate", i, bytes.Equal(c[1:], append(v.OutLeft, v.OutRight...)) && v.OutState.is(&r.layer))
	}
	for i, v := range file.ClientOriginate {
		c := cellOf(v.Cmd[0], zero[:16], v.Message)
		var f ClientForward
		for _, s := range v.States {
			f.hops = append(f.hops, s.layer())
		}
		f.Seal(c, v.Hop-1)
		ok := bytes.Equal(c[1:], append(v.OutLeft, v.OutRight...))
		for j, s := range v.OutStates {
			ok = ok && s.is(f.hops[j])
		}
		expect("client_originate", i, ok)
	}
	if count != 94 {
		t.Errorf("%d published vectors, want 94", count)
	}
	t.Logf("%d vectors, %d cells recognised", count, recognised)
}
