// SPDX-License-Identifier: BSD-3-Clause

package genesis

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"filippo.io/edwards25519"
)

func successorPlan(t testing.TB, heirs int) Plan {
	p := Plan{Name: "second", Time: time.Unix(1_800_000_000, 0), Founders: founders(t, 7), Predecessor: &Predecessor{NetworkID: [32]byte{1}, Header: [32]byte{2}}}
	for n := range heirs {
		p.Heirs = append(p.Heirs, Heir{Identity: heirKeys(n), Age: n % 91})
	}
	return p
}

// heirKeys makes identities by adding the base point to itself: keys cost more than what is
// tested.
var heirKeys = func() func(n int) []byte {
	var all [][]byte
	at := edwards25519.NewGeneratorPoint()
	return func(n int) []byte {
		for len(all) <= n {
			at = new(edwards25519.Point).Add(at, edwards25519.NewGeneratorPoint())
			all = append(all, at.Bytes())
		}
		return all[n]
	}
}()

// Spec: DIR-16.
func TestASuccessorNamesItsHeirs(t *testing.T) {
	d, err := successorPlan(t, 40).Document()
	if err != nil {
		t.Fatal(err)
	}
	data, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseDraft(data)
	if err != nil || again.NetworkID() != d.NetworkID() || len(again.Heirs) != 40 || again.Params.Heirs != 40 || *again.Predecessor != *d.Predecessor {
		t.Fatalf("%+v %v", again, err)
	}
	for i, h := range again.Heirs {
		if !h.Identity.Equal(d.Heirs[i].Identity) || h.Age != d.Heirs[i].Age {
			t.Errorf("heir %d became another", i)
		}
	}
	if again.ParamsDigest() != d.ParamsDigest() {
		t.Error("heirs are a parameter")
	}
	// However they were ordered it is the same document: who holds the same list makes it again.
	p := successorPlan(t, 40)
	p.Heirs[3], p.Heirs[30] = p.Heirs[30], p.Heirs[3]
	if other, err := p.Document(); err != nil || other.NetworkID() != d.NetworkID() {
		t.Error("the order counts")
	}
	most, err := successorPlan(t, MaxHeirs).Document()
	if err != nil {
		t.Fatal(err)
	}
	if data, err := most.Encode(); err != nil || len(data) > MaxSuccessorSize {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	refused := func(name, why string, change func(p *Plan)) {
		t.Helper()
		p := successorPlan(t, 5)
		change(&p)
		_, err := p.Document()
		var r *RefusedError
		if !errors.As(err, &r) || !strings.Contains(r.Error(), why) {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused("without a predecessor", "no predecessor", func(p *Plan) { p.Predecessor = nil })
	refused("twice", "twice", func(p *Plan) { p.Heirs = append(p.Heirs, p.Heirs[0]) })
	refused("a founder", "founder", func(p *Plan) { p.Heirs = append(p.Heirs, Heir{Identity: p.Founders[0].Identity}) })
	refused("too old", "beyond guard_full", func(p *Plan) { p.Heirs[0].Age = 91 })
	refused("no key", "identity", func(p *Plan) { p.Heirs[0].Identity = make([]byte, 32) })
	refused("too many", "more than", func(p *Plan) { *p = successorPlan(t, MaxHeirs+1) })
}

// Bytes that are not in order are no document.
func TestHeirsAreReadStrictly(t *testing.T) {
	d, err := successorPlan(t, 2).Document()
	if err != nil {
		t.Fatal(err)
	}
	one, two := d.Heirs[0].Identity, d.Heirs[1].Identity
	raw := bytes.Clone(d.raw)
	a, b := bytes.Index(raw, one), bytes.Index(raw, two)
	copy(raw[a:], two)
	copy(raw[b:], one)
	if _, err := decode(raw); !errors.Is(err, ErrDocument) {
		t.Errorf("out of order: %v", err)
	}
	copy(raw[a:], one)
	if _, err := decode(raw); !errors.Is(err, ErrDocument) {
		t.Errorf("twice: %v", err)
	}
}

func TestSuccessorVectors(t *testing.T) {
	d, err := successorPlan(t, 3).Document()
	if err != nil {
		t.Fatal(err)
	}
	nid := d.NetworkID()
	golden(t, "successor.txt", "An unsigned successor's document with three heirs. Keys: SHA-256 of purpose and number as seed.\n"+
		"A changed line is a change of the protocol. Spec: directory §2, protocol §7 (DIR-16).\n", [][2]string{
		{"document", hex.EncodeToString(d.raw)}, {"nid", hex.EncodeToString(nid[:])},
	})
}
