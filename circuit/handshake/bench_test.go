// SPDX-License-Identifier: BSD-3-Clause

package handshake

import (
	"crypto/mlkem"
	"crypto/rand"
	"testing"
)

func BenchmarkHandshake(b *testing.B) {
	f := newFixture(b)
	public := f.onion.Public()
	b.Run("Start", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := Start(rand.Reader, f.rid, public, &f.cm); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Respond", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := Respond(rand.Reader, f.rid, []*OnionKey{f.onion}, f.create, f.reply); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Finish", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := f.finish(f.created); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("RespondForged", func(b *testing.B) {
		bad := append([]byte(nil), f.create...)
		bad[CreateSize-1] ^= 1
		for b.Loop() {
			if _, _, err := Respond(rand.Reader, f.rid, []*OnionKey{f.onion}, bad, f.reply); err != ErrHandshake {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkParts times what the standard library does in a handshake: three X25519
// for the relay, two and one for the client.
func BenchmarkParts(b *testing.B) {
	f := newFixture(b)
	c, _ := splitCreate(f.create)
	d, _ := splitCreated(f.created)
	seed := [32]byte(testBytes(32, "parts"))
	x := newPrivateKey(&seed)
	dk, err := mlkem.GenerateKey768()
	if err != nil {
		b.Fatal(err)
	}
	ek := dk.EncapsulationKey()
	for _, part := range []struct {
		name string
		do   func()
	}{
		{"X25519", func() { exchange(x, c.x) }},
		{"MLKEMKey", func() { _, _ = mlkem.NewDecapsulationKey768(dk.Bytes()) }},
		{"MLKEMRead", func() { _, _ = mlkem.NewEncapsulationKey768(c.ek) }},
		{"Encapsulate", func() { ek.Encapsulate() }},
		{"Decapsulate", func() { _, _ = dk.Decapsulate(d.ct) }},
		{"Hashes", func() {
			k := clientKeys(seed[:], c)
			k.sum(c)
			_, _, verify := circuitKeys(sharedSecrets{seed[:], seed[:], seed[:]}, c, d)
			authSum(&verify, c, d)
		}},
	} {
		b.Run(part.name, func(b *testing.B) {
			for b.Loop() {
				part.do()
			}
		})
	}
}

func BenchmarkFilter(b *testing.B) {
	f := newTestFilter(b, FilterCapacity)
	message := newMessage(CreateSize)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		message[68], message[69], message[70], message[71] = byte(n), byte(n>>8), byte(n>>16), byte(n>>24)
		f.Add(message)
	}
}
