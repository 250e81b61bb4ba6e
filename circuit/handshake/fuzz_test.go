// SPDX-License-Identifier: BSD-3-Clause

package handshake

import (
	"bytes"
	"testing"
)

// patched is a copy of message with patch written over it at offset, then cut
// or extended with zeros to size. Fuzz targets change a good message so,
// because the fuzzer spends its time on shortening inputs of a kilobyte.
func patched(message []byte, offset uint16, patch []byte, size uint16) []byte {
	out := make([]byte, max(len(message), int(size)))
	copy(out, message)
	copy(out[min(int(offset), len(out)):], patch)
	return out[:size]
}

// FuzzRespond offers the relay any bytes, as they are and with a right MAC. A
// relay that answers must have been given this very rid and onion key, and its
// answer has the right size.
func FuzzRespond(f *testing.F) {
	create := readVector(f, "create")
	f.Add(uint16(0), []byte{}, uint16(CreateSize), false)
	f.Add(uint16(1284), []byte{1, 2, 3}, uint16(CreateSize), true) // enc(CM)
	f.Add(uint16(0), []byte{0, 2}, uint16(CreateSize), true)       // type
	f.Add(uint16(20), []byte{1}, uint16(CreateSize), true)         // ID
	f.Add(uint16(36), []byte{1}, uint16(CreateSize), true)         // B
	f.Add(uint16(100), []byte{0xff, 0xff, 0xff}, uint16(CreateSize), true)
	f.Add(uint16(0), []byte{}, uint16(100), false)
	f.Add(uint16(0), []byte{}, uint16(CreateSize+1), true)
	for _, p := range lowOrderPoints(f) {
		f.Add(uint16(68), p[:], uint16(CreateSize), true)
	}
	fix := newFixture(f)
	f.Fuzz(func(t *testing.T, offset uint16, patch []byte, size uint16, seal bool) {
		message := patched(create, offset, patch, size)
		if seal {
			fix.seal(message)
		}
		before := bytes.Clone(message)
		// Fixed encapsulation, because the fuzzer looks for repeatable paths.
		answer, k, err := respond(testRandom("fuzz"), fix.rid, []*OnionKey{fix.onion}, message, fix.reply, fixedEncapsulation("fuzz"))
		if !bytes.Equal(message, before) {
			t.Fatal("the message was changed")
		}
		switch err {
		case nil:
			public := fix.onion.Public()
			if !bytes.Equal(message[4:20], fix.rid[:]) || !bytes.Equal(message[36:68], public[:]) {
				t.Fatal("answered somebody else's CREATE")
			}
			if !seal && !bytes.Equal(message, create) {
				t.Fatal("answered a forged MAC")
			}
			if len(answer) != CreatedSize || k == nil {
				t.Fatal("no answer")
			}
		case ErrHandshake, ErrUnknownKey:
			if answer != nil || k != nil {
				t.Fatal("refused, with an answer")
			}
		default:
			t.Fatal("another error")
		}
	})
}

// FuzzFinish offers the client any bytes, as they are and with a right AUTH.
func FuzzFinish(f *testing.F) {
	created := readVector(f, "created")
	f.Add(uint16(0), []byte{}, uint16(CreatedSize), false)
	f.Add(uint16(1156), []byte{1, 2, 3}, uint16(CreatedSize), true) // enc(SM)
	f.Add(uint16(0), []byte{0, 2}, uint16(CreatedSize), true)       // type
	f.Add(uint16(36), []byte{1}, uint16(CreatedSize), true)         // ct
	f.Add(uint16(0), []byte{}, uint16(36), false)
	f.Add(uint16(0), []byte{}, uint16(CreatedSize+1), true)
	for _, p := range lowOrderPoints(f) {
		f.Add(uint16(4), p[:], uint16(CreatedSize), true)
	}
	fix := newFixture(f)
	f.Fuzz(func(t *testing.T, offset uint16, patch []byte, size uint16, authenticate bool) {
		message := patched(created, offset, patch, size)
		if authenticate {
			fix.authenticate(message)
		}
		before := bytes.Clone(message)
		switch err := fix.finish(message); err {
		case nil:
			if len(message) != CreatedSize || (!authenticate && !bytes.Equal(message, created)) {
				t.Fatal("took a forged AUTH")
			}
		case ErrHandshake:
		default:
			t.Fatal(err)
		}
		if !bytes.Equal(message, before) {
			t.Fatal("the message was changed")
		}
	})
}
