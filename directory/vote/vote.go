// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"crypto/ed25519"
	"errors"

	"chive/directory/record"
	"chive/internal/strictcbor"
)

// Version is the version of votes, proposals and signatures that this package
// reads and writes.
const Version = 1

// Bounds of a vote in bytes. Spec: directory §3 (class V), protocol §11 (VOTE-2).
const (
	// MaxVoteSize bounds a vote with its ops, whatever the table.
	MaxVoteSize = 60 << 10
	// MaxVoteOps bounds the ops, so that they fit a vote.
	MaxVoteOps    = MaxVoteSize - maxVoteSigned - 8
	maxVoteSigned = 256
)

var (
	// ErrVote means bytes that are not a vote, or not one with these ops.
	ErrVote = errors.New("vote: not a vote")
	// ErrCert means a vote, proposal or signature that is signed through a
	// certificate.
	ErrCert = errors.New("vote: signed through a certificate")
)

// Vote is what one seat wants changed in an epoch. What the ops mean is the
// transition's business. It is immutable.
type Vote struct {
	Epoch     uint64
	Parent    [32]byte // header digest of the snapshot that the ops are over
	Seat      int      // of the epoch's owner list
	OpsDigest [32]byte // H("ops", ops)
	Ops       []byte   // beside what is signed

	signed statement
	digest [32]byte
}

type wireVote struct {
	Version uint64 `cbor:"0,keyasint"`
	Epoch   uint64 `cbor:"1,keyasint"`
	Parent  []byte `cbor:"2,keyasint"`
	Seat    uint8  `cbor:"3,keyasint"`
	Ops     []byte `cbor:"4,keyasint"`
}

type wireVoteItem struct {
	_      struct{} `cbor:",toarray"`
	Signed []byte
	Ops    []byte
}

// OpsDigest is how a vote names its ops.
func OpsDigest(ops []byte) [32]byte { return record.Hash("ops", record.Sized(ops)) }

// NewVote signs a vote with the committee key of a seat. The ops belong to the vote
// afterwards. Errors: ErrSeat, ErrVote for ops that are too large.
func NewVote(nid [32]byte, key ed25519.PrivateKey, epoch uint64, parent [32]byte, seat int, ops []byte) (*Vote, error) {
	if seat < 0 || seat >= MaxSeatCount {
		return nil, ErrSeat
	}
	if len(ops) > MaxVoteOps {
		return nil, ErrVote
	}
	digest := OpsDigest(ops)
	payload := marshal(wireVote{Version: Version, Epoch: epoch, Parent: parent[:], Seat: uint8(seat), Ops: digest[:]})
	return &Vote{
		Epoch: epoch, Parent: parent, Seat: seat, OpsDigest: digest, Ops: ops,
		signed: sign(voteKind, nid, key, payload), digest: record.ItemDigest(record.ClassVote, payload),
	}, nil
}

// Encode returns the item: what is signed and the ops.
func (v *Vote) Encode() []byte { return marshal(wireVoteItem{Signed: v.signed.raw, Ops: v.Ops}) }

// Digest names the item. The ops are part of it through their digest.
func (v *Vote) Digest() [32]byte { return v.digest }

// Signed returns what is signed, for evidence. It must not be changed.
func (v *Vote) Signed() []byte { return v.signed.raw }

// Check returns what is to be verified under the key of the vote's seat.
func (v *Vote) Check(nid, key [32]byte) Check { return v.signed.check(voteKind, nid, key) }

// DecodeVote reads an item; its signature is not verified. The result does not share
// memory with data. Errors: ErrVote, ErrSeat, ErrCert, record's of signed records,
// strictcbor's.
func DecodeVote(data []byte) (*Vote, error) {
	var w wireVoteItem
	if _, err := strictcbor.Unmarshal(data, MaxVoteSize, &w); err != nil {
		return nil, err
	}
	if len(w.Ops) > MaxVoteOps {
		return nil, ErrVote
	}
	s, err := openStatement(w.Signed, maxVoteSigned)
	if err != nil {
		return nil, err
	}
	v, err := openVote(s.payload)
	if err != nil {
		return nil, err
	}
	if v.OpsDigest != OpsDigest(w.Ops) {
		return nil, ErrVote
	}
	v.Ops, v.signed = w.Ops, s
	return v, nil
}

// openVote reads what is signed.
func openVote(payload []byte) (*Vote, error) {
	var w wireVote
	if _, err := strictcbor.Unmarshal(payload, maxVoteSigned, &w); err != nil {
		return nil, err
	}
	if w.Version != Version || len(w.Parent) != 32 || len(w.Ops) != 32 {
		return nil, ErrVote
	}
	if w.Seat >= MaxSeatCount {
		return nil, ErrSeat
	}
	return &Vote{
		Epoch: w.Epoch, Parent: [32]byte(w.Parent), Seat: int(w.Seat), OpsDigest: [32]byte(w.Ops),
		digest: record.ItemDigest(record.ClassVote, payload),
	}, nil
}
