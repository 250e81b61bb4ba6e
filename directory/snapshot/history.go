// SPDX-License-Identifier: BSD-3-Clause

package snapshot

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// ErrHistory means bytes that are not a history's.
var ErrHistory = errors.New("snapshot: not a history")

// maxHistoryPeaks is how many peaks a history can have.
const maxHistoryPeaks = 63

// History is the tree over the digests of all ancestors of a snapshot, oldest
// first, without the digests: the roots of its full subtrees, largest first. That
// is enough to append and to tell the root. The zero value has no leaves. It is
// immutable.
//
// Spec: directory §5 (history_root), protocol §7 (TRN-12), RFC 6962.
type History struct {
	size  uint64
	peaks [][32]byte
}

// Size returns the number of ancestors.
func (h History) Size() uint64 { return h.size }

// Append returns the history with one more digest.
func (h History) Append(digest [32]byte) History {
	n := History{size: h.size + 1, peaks: make([][32]byte, len(h.peaks), len(h.peaks)+1)}
	copy(n.peaks, h.peaks)
	hash := leafHash(digest[:])
	for bit := h.size; bit&1 == 1; bit >>= 1 {
		hash = nodeHash(n.peaks[len(n.peaks)-1], hash)
		n.peaks = n.peaks[:len(n.peaks)-1]
	}
	n.peaks = append(n.peaks, hash)
	return n
}

// Root returns the root of the tree.
func (h History) Root() [32]byte {
	if h.size == 0 {
		return emptyRoot()
	}
	hash := h.peaks[len(h.peaks)-1]
	for i := len(h.peaks) - 2; i >= 0; i-- {
		hash = nodeHash(h.peaks[i], hash)
	}
	return hash
}

// Encode returns the size in 8 bytes and the peaks, 32 bytes each.
func (h History) Encode() []byte {
	out := binary.BigEndian.AppendUint64(make([]byte, 0, 8+32*len(h.peaks)), h.size)
	for i := range h.peaks {
		out = append(out, h.peaks[i][:]...)
	}
	return out
}

// DecodeHistory reads what Encode wrote. Whether it is the history of a header is
// seen from its size and root. Error: ErrHistory.
func DecodeHistory(data []byte) (History, error) {
	if len(data) < 8 || len(data) > 8+32*maxHistoryPeaks {
		return History{}, ErrHistory
	}
	h := History{size: binary.BigEndian.Uint64(data)}
	data = data[8:]
	if h.size>>maxHistoryPeaks != 0 || len(data) != 32*bits.OnesCount64(h.size) {
		return History{}, ErrHistory
	}
	for ; len(data) > 0; data = data[32:] {
		h.peaks = append(h.peaks, [32]byte(data))
	}
	return h, nil
}

// HistoryProof returns the inclusion proof of one of the digests, from the leaf's
// sibling to the root's child: RFC 6962's audit path. It hashes all digests; nil
// when there is no such index. Spec: directory §8 (PROOF).
func HistoryProof(digests [][32]byte, index uint64) [][32]byte {
	if index >= uint64(len(digests)) {
		return nil
	}
	hashes := make([][32]byte, len(digests))
	for i := range digests {
		hashes[i] = leafHash(digests[i][:])
	}
	return auditPath(hashes, int(index))
}

func auditPath(hashes [][32]byte, index int) [][32]byte {
	if len(hashes) <= 1 {
		return nil
	}
	k := 1 << (bits.Len(uint(len(hashes)-1)) - 1)
	if index < k {
		return append(auditPath(hashes[:k], index), root(hashes[k:]))
	}
	return append(auditPath(hashes[k:], index-k), root(hashes[:k]))
}

// InHistory reports whether proof shows that the header with this digest is the
// ancestor number index (its own history size) of a header with that history size
// and root. Spec: directory §8 (READY), RFC 9162, 2.1.3.2.
func InHistory(digest [32]byte, index, size uint64, root [32]byte, proof [][32]byte) bool {
	if index >= size {
		return false
	}
	fn, sn := index, size-1
	hash := leafHash(digest[:])
	for i := range proof {
		if sn == 0 {
			return false
		}
		if fn&1 == 1 || fn == sn {
			hash = nodeHash(proof[i], hash)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			hash = nodeHash(hash, proof[i])
		}
		fn, sn = fn>>1, sn>>1
	}
	return sn == 0 && hash == root
}
