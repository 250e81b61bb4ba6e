// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"errors"
	"testing"
)

func TestAPreparedHandshakeServesOneCircuit(t *testing.T) {
	_, target := onion(0)
	p, err := Prepare(random(1), target)
	if err != nil {
		t.Fatal(err)
	}
	_, other := onion(1)
	if !p.For(target) || p.For(other) {
		t.Error("it does not tell whom it is with")
	}
	var b Buffers
	fresh := func() *Origin {
		o, err := NewOrigin(DefaultParams(), &b, random(2))
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	busy := fresh()
	if err := busy.Extend(target); err != nil {
		t.Fatal(err)
	}
	if err := busy.ExtendPrepared(p); !errors.Is(err, ErrState) || !p.For(target) {
		t.Errorf("a circuit that awaits another hop: %v", err)
	}
	if err := fresh().ExtendPrepared(p); err != nil || p.For(target) {
		t.Errorf("the first circuit: %v", err)
	}
	if err := fresh().ExtendPrepared(p); !errors.Is(err, ErrState) {
		t.Errorf("a second circuit: %v", err)
	}
	if p, err = Prepare(random(3), target); err != nil {
		t.Fatal(err)
	}
	p.Wipe()
	p.Wipe()
	if err := fresh().ExtendPrepared(p); !errors.Is(err, ErrState) {
		t.Errorf("after Wipe: %v", err)
	}
	target.Onion = [32]byte{} // a point of low order
	if _, err := Prepare(random(4), target); err == nil {
		t.Error("a handshake with no key was begun")
	}
}
