// SPDX-License-Identifier: BSD-3-Clause

package snapshot

import (
	"errors"

	"chive/directory/record"
	"chive/internal/strictcbor"
)

// HeaderVersion is the version that this package reads and writes.
const HeaderVersion = 1

// MaxHeaderSize bounds an encoded header in bytes, later additions included.
const MaxHeaderSize = 1024

// VRFProofSize is the size of a VRF proof in bytes.
const VRFProofSize = 80

// MaxLeafCount is the largest table. Spec: directory §10.
const MaxLeafCount = 1 << 20

// ErrHeader means bytes that are not a header.
var ErrHeader = errors.New("snapshot: not a header")

// Header commits to one snapshot. Its digest is what is signed, linked to and
// compared. In snapshot 0 everything that votes would bring is zero, and the
// history is empty.
type Header struct {
	Version      uint64
	NetworkID    [32]byte
	Epoch        uint64
	Parent       [32]byte // digest of the header before
	HistorySize  uint64
	HistoryRoot  [32]byte // tree over all ancestors' digests
	LeafCount    uint64
	DirRoot      [32]byte // tree over the leaves
	DictRoot     [32]byte // tree over the dictionaries
	AuxRoot      [32]byte
	IdxRoot      [32]byte
	ListA        [32]byte
	NextA        [32]byte
	ListB        [32]byte
	NextB        [32]byte
	ParamsDigest [32]byte
	AsmapDigest  [32]byte
	Beacon       [32]byte
	ProposerSeat uint64
	VRFProof     [VRFProofSize]byte
	VotesDigest  [32]byte
	Extra        strictcbor.Extra // later additions, kept and ignored
}

type wireHeader struct {
	Version      uint64 `cbor:"0,keyasint"`
	NetworkID    []byte `cbor:"1,keyasint"`
	Epoch        uint64 `cbor:"2,keyasint"`
	Parent       []byte `cbor:"3,keyasint"`
	HistorySize  uint64 `cbor:"4,keyasint"`
	HistoryRoot  []byte `cbor:"5,keyasint"`
	LeafCount    uint64 `cbor:"6,keyasint"`
	DirRoot      []byte `cbor:"7,keyasint"`
	DictRoot     []byte `cbor:"8,keyasint"`
	AuxRoot      []byte `cbor:"9,keyasint"`
	IdxRoot      []byte `cbor:"10,keyasint"`
	ListA        []byte `cbor:"11,keyasint"`
	NextA        []byte `cbor:"12,keyasint"`
	ListB        []byte `cbor:"13,keyasint"`
	NextB        []byte `cbor:"14,keyasint"`
	ParamsDigest []byte `cbor:"15,keyasint"`
	AsmapDigest  []byte `cbor:"16,keyasint"`
	Beacon       []byte `cbor:"17,keyasint"`
	ProposerSeat uint64 `cbor:"18,keyasint"`
	VRFProof     []byte `cbor:"19,keyasint"`
	VotesDigest  []byte `cbor:"20,keyasint"`
}

// hashes pairs the 32-byte fields of both forms.
func (h *Header) hashes(w *wireHeader) ([]*[32]byte, []*[]byte) {
	return []*[32]byte{
			&h.NetworkID, &h.Parent, &h.HistoryRoot, &h.DirRoot, &h.DictRoot, &h.AuxRoot, &h.IdxRoot, &h.ListA,
			&h.NextA, &h.ListB, &h.NextB, &h.ParamsDigest, &h.AsmapDigest, &h.Beacon, &h.VotesDigest,
		}, []*[]byte{
			&w.NetworkID, &w.Parent, &w.HistoryRoot, &w.DirRoot, &w.DictRoot, &w.AuxRoot, &w.IdxRoot, &w.ListA,
			&w.NextA, &w.ListB, &w.NextB, &w.ParamsDigest, &w.AsmapDigest, &w.Beacon, &w.VotesDigest,
		}
}

// Encode returns the header's bytes.
func (h *Header) Encode() []byte {
	w := wireHeader{
		Version: h.Version, Epoch: h.Epoch, HistorySize: h.HistorySize, LeafCount: h.LeafCount,
		ProposerSeat: h.ProposerSeat, VRFProof: h.VRFProof[:],
	}
	ours, wires := h.hashes(&w)
	for i := range ours {
		*wires[i] = ours[i][:]
	}
	b, err := strictcbor.MarshalExtra(w, h.Extra)
	if err != nil {
		panic("snapshot: a header always encodes")
	}
	return b
}

// DecodeHeader reads what Encode wrote. Errors: ErrHeader, and strictcbor's.
func DecodeHeader(data []byte) (*Header, error) {
	var w wireHeader
	extra, err := strictcbor.Unmarshal(data, MaxHeaderSize, &w)
	if err != nil {
		return nil, err
	}
	h := &Header{
		Version: w.Version, Epoch: w.Epoch, HistorySize: w.HistorySize, LeafCount: w.LeafCount,
		ProposerSeat: w.ProposerSeat, Extra: extra,
	}
	if w.Version != HeaderVersion || w.LeafCount > MaxLeafCount || len(w.VRFProof) != VRFProofSize {
		return nil, ErrHeader
	}
	h.VRFProof = [VRFProofSize]byte(w.VRFProof)
	ours, wires := h.hashes(&w)
	for i := range ours {
		if len(*wires[i]) != 32 {
			return nil, ErrHeader
		}
		*ours[i] = [32]byte(*wires[i])
	}
	return h, nil
}

// Digest names the header: H("header", encoded header).
func (h *Header) Digest() [32]byte { return record.Hash("header", record.Sized(h.Encode())) }
