// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"crypto/ed25519"
	"errors"

	"chive/directory/record"
	"chive/internal/strictcbor"
)

// MaxSignatureSize bounds a signature with what it is over, in bytes.
// Spec: directory §3 (class G), protocol §11 (VOTE-4).
const MaxSignatureSize = 256

// ErrSignature means bytes that are not a signature of a seat.
var ErrSignature = errors.New("vote: not a signature")

// Signature is one seat's word for a header: its only one for the epoch. It is
// immutable.
type Signature struct {
	Epoch  uint64
	Header [32]byte // digest
	Seat   int      // of the epoch's owner list

	signed statement
	digest [32]byte
}

type wireSignature struct {
	Version uint64 `cbor:"0,keyasint"`
	Epoch   uint64 `cbor:"1,keyasint"`
	Header  []byte `cbor:"2,keyasint"`
	Seat    uint8  `cbor:"3,keyasint"`
}

// signaturePayload returns what a seat signs: from a certificate it is made again,
// so that it has one form and no additions.
func signaturePayload(epoch uint64, header [32]byte, seat int) []byte {
	return marshal(wireSignature{Version: Version, Epoch: epoch, Header: header[:], Seat: uint8(seat)})
}

// NewSignature signs a header with the committee key of a seat. Error: ErrSeat.
func NewSignature(nid [32]byte, key ed25519.PrivateKey, epoch uint64, header [32]byte, seat int) (*Signature, error) {
	if seat < 0 || seat >= MaxSeatCount {
		return nil, ErrSeat
	}
	payload := signaturePayload(epoch, header, seat)
	return &Signature{
		Epoch: epoch, Header: header, Seat: seat,
		signed: sign(signatureKind, nid, key, payload), digest: record.ItemDigest(record.ClassSignature, payload),
	}, nil
}

// Encode returns the item. It must not be changed.
func (s *Signature) Encode() []byte { return s.signed.raw }

// Digest names the item.
func (s *Signature) Digest() [32]byte { return s.digest }

// Bytes returns the signature alone, as certificates have it.
func (s *Signature) Bytes() [record.SignatureSize]byte { return s.signed.signature }

// Check returns what is to be verified under the key of the seat.
func (s *Signature) Check(nid, key [32]byte) Check { return s.signed.check(signatureKind, nid, key) }

// DecodeSignature reads an item; nothing is verified. The result does not share
// memory with data. Errors: ErrSignature, ErrSeat, ErrCert, those of signed records
// and strictcbor.
func DecodeSignature(data []byte) (*Signature, error) {
	st, err := openStatement(data, MaxSignatureSize)
	if err != nil {
		return nil, err
	}
	s, err := openSignature(st.payload)
	if err != nil {
		return nil, err
	}
	s.signed = st
	return s, nil
}

func openSignature(payload []byte) (*Signature, error) {
	var w wireSignature
	extra, err := strictcbor.Unmarshal(payload, MaxSignatureSize, &w)
	if err != nil {
		return nil, err
	}
	if w.Version != Version || len(w.Header) != 32 || extra.Count() > 0 {
		return nil, ErrSignature
	}
	if w.Seat >= MaxSeatCount {
		return nil, ErrSeat
	}
	return &Signature{
		Epoch: w.Epoch, Header: [32]byte(w.Header), Seat: int(w.Seat),
		digest: record.ItemDigest(record.ClassSignature, payload),
	}, nil
}
