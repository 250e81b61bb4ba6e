// SPDX-License-Identifier: BSD-3-Clause

package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
)

func digests(count int) (out [][32]byte) {
	for n := range count {
		out = append(out, public("digest", n))
	}
	return out
}

// Spec: TRN-12.
func TestHistoryIsTheTreeOverAllDigests(t *testing.T) {
	all := digests(130)
	var h History
	var hashes [][32]byte
	for n, d := range all {
		if h.Size() != uint64(n) || h.Root() != root(hashes) {
			t.Fatalf("%d digests: another root", n)
		}
		back, err := DecodeHistory(h.Encode())
		if err != nil || back.Root() != h.Root() || back.Size() != h.Size() {
			t.Fatalf("%d digests: %v", n, err)
		}
		before := h.Encode()
		next := h.Append(d)
		if h.Append(all[0]); !bytes.Equal(h.Encode(), before) {
			t.Fatal("Append changed its receiver")
		}
		h, hashes = next, append(hashes, leafHash(d[:]))
	}
}

// Spec: TRN-12.
func TestInclusionProofs(t *testing.T) {
	all := digests(70)
	var h History
	for size := 1; size <= len(all); size++ {
		h = h.Append(all[size-1])
		for i := range size {
			proof := HistoryProof(all[:size], uint64(i))
			if !InHistory(all[i], uint64(i), uint64(size), h.Root(), proof) {
				t.Fatalf("%d of %d: not proved", i, size)
			}
			if size > 40 && i%7 != 0 {
				continue
			}
			other := slices.Clone(proof)
			for n := range other {
				other[n][31] ^= 1
				if InHistory(all[i], uint64(i), uint64(size), h.Root(), other) {
					t.Fatal("a changed proof proves")
				}
				other[n][31] ^= 1
				if InHistory(all[i], uint64(i), uint64(size), h.Root(), proof[:n]) {
					t.Fatal("a cut proof proves")
				}
			}
			if InHistory(all[i], uint64(i), uint64(size), h.Root(), append(other, all[0])) {
				t.Fatal("a longer proof proves")
			}
			for j := range size {
				if j != i && InHistory(all[i], uint64(j), uint64(size), h.Root(), proof) {
					t.Fatalf("%d proves to be number %d of %d", i, j, size)
				}
			}
		}
		if HistoryProof(all[:size], uint64(size)) != nil || InHistory(all[0], uint64(size), uint64(size), h.Root(), nil) {
			t.Fatal("an index beyond the end")
		}
	}
}

func TestHistoryForm(t *testing.T) {
	var h History
	for _, d := range digests(7) {
		h = h.Append(d)
	}
	b := h.Encode()
	for n := range b {
		if _, err := DecodeHistory(b[:n]); !errors.Is(err, ErrHistory) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := DecodeHistory(append(b, 0)); !errors.Is(err, ErrHistory) {
		t.Errorf("trailing byte: %v", err)
	}
	for size, want := range map[uint64]bool{1<<63 - 1: true, 1 << 63: false} {
		b := append([]byte{byte(size >> 56), byte(size >> 48), byte(size >> 40), byte(size >> 32), byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size)}, make([]byte, 63*32)...)
		if !want {
			b = b[:8+32]
		}
		if _, err := DecodeHistory(b); (err == nil) != want {
			t.Errorf("size %d: %v", size, err)
		}
	}
}

func TestHistoryVectors(t *testing.T) {
	var lines [][2]string
	var h History
	all := digests(7)
	for n := range all {
		h = h.Append(all[n])
		lines = append(lines, [2]string{fmt.Sprintf("digest_%d", n), fmt.Sprintf("%x", all[n])},
			[2]string{fmt.Sprintf("root_of_%d", n+1), fmt.Sprintf("%x", h.Root())})
	}
	lines = append(lines, [2]string{"history_of_7", fmt.Sprintf("%x", h.Encode())})
	for i := range all {
		lines = append(lines, [2]string{fmt.Sprintf("proof_of_%d_in_7", i), fmt.Sprintf("%x", bytes.Join(flat(HistoryProof(all, uint64(i))), nil))})
	}
	golden(t, "history.txt", "History roots, the history of seven digests, and inclusion proofs in it.\nA changed line is a change of the protocol. Spec: directory §5.\n", lines)
}

func flat(hashes [][32]byte) (out [][]byte) {
	for i := range hashes {
		out = append(out, hashes[i][:])
	}
	return out
}

func FuzzHistory(f *testing.F) {
	var h History
	for _, d := range digests(6) {
		h = h.Append(d)
		f.Add(h.Encode())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := DecodeHistory(data)
		if err != nil {
			return
		}
		if !bytes.Equal(h.Encode(), data) || h.Append(h.Root()).Size() != h.Size()+1 {
			t.Fatalf("%x became %x", data, h.Encode())
		}
	})
}
