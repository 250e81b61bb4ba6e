// SPDX-License-Identifier: BSD-3-Clause

package agefile

import (
	"bytes"
	"errors"
	"os"
	"testing"
)

// chunkSize is how much of the contents age seals at a time.
const chunkSize = 64 << 10

func seal(t testing.TB, data []byte) []byte {
	t.Helper()
	out, err := Seal([]byte("correct horse"), data, 1)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWhatIsSealedOpens(t *testing.T) {
	for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 3 * chunkSize, MaxSize} {
		data := bytes.Repeat([]byte{7}, size)
		file := seal(t, data)
		got, err := Open([]byte("correct horse"), file)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: %v", size, err)
		}
		if _, err := Open([]byte("battery staple"), file); !errors.Is(err, ErrPassphrase) {
			t.Errorf("another passphrase: %v", err)
		}
	}
	if _, err := Seal(nil, make([]byte, MaxSize+1), 1); !errors.Is(err, ErrSize) {
		t.Error(err)
	}
	if _, err := Seal(nil, nil, MaxWorkFactor+1); !errors.Is(err, ErrSize) {
		t.Error(err)
	}
}

// TestFilesOfAgeOpen: testdata has what version 1.3.1 of age has made of a passphrase.
func TestFilesOfAgeOpen(t *testing.T) {
	file, err := os.ReadFile("testdata/age.bin")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Open([]byte("correct horse battery staple"), file)
	if err != nil || string(got) != "made by age\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestEveryOtherByteIsRefused: a file that is cut, lengthened or changed anywhere opens
// to nothing, and none is taken for another file.
func TestEveryOtherByteIsRefused(t *testing.T) {
	file := seal(t, []byte("secret"))
	refused := func(name string, at int, changed []byte) {
		t.Helper()
		if got, err := Open([]byte("correct horse"), changed); err == nil || got != nil {
			t.Errorf("%s at %d: opened", name, at)
		}
	}
	for i := range file {
		refused("cut", i, file[:i])
		changed := bytes.Clone(file)
		changed[i] ^= 1
		if i != bytes.Index(file, []byte(" 1\n"))+1 { // another work factor costs time
			refused("changed", i, changed)
		}
	}
	refused("lengthened", len(file), append(bytes.Clone(file), 0))
	long := seal(t, make([]byte, 2*chunkSize))
	refused("a chunk less", 0, long[:len(long)-chunkSize-16])
	refused("too much work", 0, bytes.Replace(file, []byte(" 1\n"), []byte(" 21\n"), 1))
	refused("padded work", 0, bytes.Replace(file, []byte(" 1\n"), []byte(" 01\n"), 1))
	if _, err := Open(nil, make([]byte, 2*MaxSize)); !errors.Is(err, ErrSize) {
		t.Error(err)
	}
}
