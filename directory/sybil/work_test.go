// SPDX-License-Identifier: BSD-3-Clause

package sybil

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chive/directory/genesis"
	"chive/directory/record"
)

var update = flag.Bool("update", false, "write testdata/vectors/*.txt anew")

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

func hashOf(purpose string, n int) [32]byte {
	return sha256.Sum256(binary.BigEndian.AppendUint64([]byte(purpose), uint64(n)))
}

func ridOf(n int) record.RID {
	h := hashOf("rid", n)
	return record.RID(h[:16])
}

// params are a public network's, with work that a test can afford.
func params(stampBits, workBits int) genesis.Params {
	p := genesis.Public()
	p.StampBits, p.WorkBits = stampBits, workBits
	return p
}

func challenge(p genesis.Params, n int) Challenge {
	identity, beacon := hashOf("identity", n), hashOf("beacon", 1)
	return NewChallenge(p, hashOf("network", 0), identity[:], 100, beacon)
}

func solve(t testing.TB, c Challenge, nonce uint64) *record.Work {
	t.Helper()
	s := NewSolver(c, nonce)
	for range 1000 {
		if w, done := s.Step(1); done {
			return w
		}
	}
	t.Fatal("no solution in 1000 tries")
	return nil
}

// Spec: ADM-1.
func TestWorkIsSolvedAndVerified(t *testing.T) {
	p := params(10, 3)
	c := challenge(p, 1)
	s := NewSolver(c, 0)
	if _, done := s.Step(0); done || s.Tries() != 0 {
		t.Error("a budget of nothing did something")
	}
	w := solve(t, c, 0)
	if err := c.Verify(w); err != nil {
		t.Fatal(err)
	}
	if again, done := s.Step(1000); !done || *again != *w {
		t.Errorf("another budget finds other work: %v", again)
	}
	if again, done := s.Step(1); !done || *again != *w {
		t.Errorf("what was found is lost: %v", again)
	}
	for name, test := range map[string]struct {
		c    Challenge
		w    *record.Work
		want error
	}{
		"none":                {c, nil, ErrStamp},
		"another's":           {challenge(p, 2), w, ErrStamp},
		"another epoch":       {c, &record.Work{Epoch: 101, Nonce: w.Nonce, Stamp: w.Stamp}, ErrStamp},
		"another nonce":       {c, &record.Work{Epoch: 100, Nonce: w.Nonce + 1, Stamp: w.Stamp}, ErrStamp},
		"another stamp":       {c, &record.Work{Epoch: 100, Nonce: w.Nonce, Stamp: w.Stamp + 1}, ErrStamp},
		"work of a few bits":  {challenge(params(10, 200), 1), w, ErrWork},
		"none is asked for":   {challenge(params(0, 0), 1), nil, nil},
		"only a stamp, none":  {challenge(params(1, 0), 1), nil, ErrStamp},
		"only a stamp":        {challenge(params(10, 0), 1), w, nil},
		"only work":           {challenge(params(0, 3), 1), w, nil},
		"only work, and none": {challenge(params(0, 3), 1), nil, ErrWork},
	} {
		if err := test.c.Verify(test.w); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w, done := NewSolver(challenge(params(0, 0), 1), 7).Step(1); !done || w.Nonce != 7 {
		t.Error("nothing asked for takes tries")
	}
	if Needed(params(0, 0)) || !Needed(params(1, 0)) || !Needed(params(0, 1)) || Needed(genesis.Testnet()) {
		t.Error("who needs work")
	}
}

// Spec: ADM-2.
func TestSaltAge(t *testing.T) {
	p := genesis.Public()
	for _, v := range []struct {
		salt, now uint64
		ok        bool
	}{{0, 0, true}, {0, 720, true}, {0, 721, false}, {100, 820, true}, {100, 821, false}, {101, 100, false}, {1 << 63, 5, false}} {
		if err := CheckSalt(p, v.salt, v.now); (err == nil) != v.ok {
			t.Errorf("salt of %d at %d: %v", v.salt, v.now, err)
		}
	}
}

func TestLeadingZeros(t *testing.T) {
	for bit := range 257 {
		var h [32]byte
		if bit < 256 {
			h[bit/8] = 0x80 >> (bit % 8)
		}
		if got := leadingZeros(h); got != bit {
			t.Errorf("%d: %d", bit, got)
		}
	}
}

// Spec: ADM-1, ADM-3.
func TestWorkVectors(t *testing.T) {
	c := challenge(params(10, 3), 1)
	w := solve(t, c, 0)
	ticket := Ticket(hashOf("beacon", 1), ridOf(1))
	golden(t, "work.txt", "Work of 3 bits with a stamp of 10, and a lottery ticket, of made-up relays.\nA changed line is a change of the protocol. Spec: directory §7.\n", [][2]string{
		{"salt", fmt.Sprintf("%x", c.salt)},
		{"nonce", fmt.Sprintf("%016x", w.Nonce)},
		{"bits", fmt.Sprintf("%02x", c.Bits(w))},
		{"stamp", fmt.Sprintf("%016x", w.Stamp)},
		{"rid", fmt.Sprintf("%x", ridOf(1))},
		{"ticket", fmt.Sprintf("%x", ticket)},
	})
}

func BenchmarkVerifyWork(b *testing.B) {
	c := challenge(params(0, 3), 1)
	b.ReportAllocs()
	for n := range b.N {
		c.bits(uint64(n))
	}
}

func BenchmarkCheckStamp(b *testing.B) {
	c := challenge(params(16, 12), 1)
	w := &record.Work{Epoch: 100}
	for b.Loop() {
		_ = c.CheckStamp(w)
	}
}
