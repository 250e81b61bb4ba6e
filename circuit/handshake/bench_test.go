// SPDX-License-Identifier: BSD-3-Clause

package handshake

import (
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
