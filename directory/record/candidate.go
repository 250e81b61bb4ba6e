// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"errors"
	"time"

	"chive/internal/strictcbor"
)

// MaxCandidateSize bounds a candidate, in bytes. Spec: directory §3.
const MaxCandidateSize = 2048

// CandidateVersion is the version that this package reads and writes.
const CandidateVersion = 1

// ErrCandidate means a candidate whose parts are malformed or do not belong
// together.
var ErrCandidate = errors.New("record: bad candidate")

// Work is a newcomer's proof of work; package sybil makes and checks it.
type Work struct {
	Epoch uint64 // the snapshot whose beacon salts it
	Nonce uint64 // of the Argon2id work
	Stamp uint64 // of the stamp, over the work's nonce
}

// Candidate is a newcomer that asks to be on the list. It carries no signature of
// its own: its parts do.
type Candidate struct {
	Descriptor []byte // signed
	Work       *Work  // nil: none, as where a network asks for none
	Voucher    []byte // signed; nil: none
	Entry      []byte // signed; nil: on the way to the entry relay (JOIN)
}

type wireWork struct {
	_     struct{} `cbor:",toarray"`
	Epoch uint64
	Nonce uint64
	Stamp uint64
}

type wireCandidate struct {
	Version    uint64    `cbor:"0,keyasint"`
	Descriptor []byte    `cbor:"1,keyasint"`
	Work       *wireWork `cbor:"2,keyasint,omitempty"`
	Voucher    []byte    `cbor:"3,keyasint,omitempty"`
	Entry      []byte    `cbor:"4,keyasint,omitempty"`
}

// Encode returns the candidate's bytes. Error: ErrCandidate when a part is missing
// or beyond its bound.
func (c *Candidate) Encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	w := wireCandidate{Version: CandidateVersion, Descriptor: c.Descriptor, Voucher: c.Voucher, Entry: c.Entry}
	if c.Work != nil {
		w.Work = &wireWork{Epoch: c.Work.Epoch, Nonce: c.Work.Nonce, Stamp: c.Work.Stamp}
	}
	b, err := strictcbor.Marshal(w)
	if err != nil {
		return nil, err
	}
	if len(b) > MaxCandidateSize {
		return nil, ErrCandidate
	}
	return b, nil
}

func (c *Candidate) check() error {
	if len(c.Descriptor) == 0 || len(c.Descriptor) > MaxDescriptorSize || len(c.Voucher) > MaxVoucherSize || len(c.Entry) > MaxEntrySize {
		return ErrCandidate
	}
	return nil
}

// DecodeCandidate reads a candidate's bytes; its parts are left as they are. Keys
// of later versions are refused: nobody signs the whole, so that anybody on the
// way could add some. The result does not share memory with data.
// Errors: ErrCandidate, and strictcbor's.
func DecodeCandidate(data []byte) (*Candidate, error) {
	var w wireCandidate
	extra, err := strictcbor.Unmarshal(data, MaxCandidateSize, &w)
	if err != nil {
		return nil, err
	}
	if w.Version != CandidateVersion || extra.Count() > 0 {
		return nil, ErrCandidate
	}
	c := &Candidate{Descriptor: w.Descriptor, Voucher: w.Voucher, Entry: w.Entry}
	if w.Work != nil {
		c.Work = &Work{Epoch: w.Work.Epoch, Nonce: w.Work.Nonce, Stamp: w.Work.Stamp}
	}
	return c, c.check()
}

// Opened is a candidate with its parts read. The candidate's own signature has
// been verified; those of sponsor and entry relay need keys that only the relay
// list has: see Voucher.Verify and Entry.Verify.
type Opened struct {
	RID        RID
	Digest     [32]byte // names the item
	Body       [32]byte // body digest of the descriptor
	Descriptor *Descriptor
	Signed     *Signed // the descriptor's
	Work       *Work   // nil: none
	Voucher    *Voucher
	VouchedBy  *Signed // nil: no voucher
	Entry      *Entry
	EnteredBy  *Signed // nil: on the way to the entry relay
}

// OpenCandidate reads a candidate and its parts, verifies the descriptor and that
// voucher and entry statement are about it.
// Errors: DecodeCandidate's, OpenDescriptor's, OpenVoucher's, OpenEntry's;
// ErrVoucher, ErrEntry for a part about another relay.
func OpenCandidate(data []byte, nid [NetworkIDSize]byte, now time.Time, t Times) (*Opened, error) {
	c, err := DecodeCandidate(data)
	if err != nil {
		return nil, err
	}
	o := &Opened{Work: c.Work}
	if o.Descriptor, o.Signed, err = OpenDescriptor(c.Descriptor, nid, now, t); err != nil {
		return nil, err
	}
	if o.Body, err = BodyDigest(o.Signed.Payload); err != nil {
		return nil, err
	}
	o.RID = NewRID(nid, o.Descriptor.Identity)
	if len(c.Voucher) > 0 {
		if o.Voucher, o.VouchedBy, err = OpenVoucher(c.Voucher); err != nil {
			return nil, err
		}
		if !o.Voucher.Identity.Equal(o.Descriptor.Identity) || o.Voucher.Sponsor == o.RID {
			return nil, ErrVoucher
		}
	}
	if len(c.Entry) > 0 {
		if o.Entry, o.EnteredBy, err = OpenEntry(c.Entry); err != nil {
			return nil, err
		}
		if !o.Entry.about(o.RID, o.Descriptor, o.Body) {
			return nil, ErrEntry
		}
	}
	o.Digest = candidateDigest(o.Signed.Payload, o.VouchedBy)
	return o, nil
}

// candidateDigest names a candidate by its descriptor and its voucher: one that
// came through three entry relays is one item, and one whose voucher somebody took
// off is another.
func candidateDigest(descriptor []byte, voucher *Signed) [32]byte {
	d := ItemDigest(ClassDescriptor, descriptor)
	payload := d[:]
	if voucher != nil {
		w := ItemDigest(ClassVoucher, voucher.Payload)
		payload = append(payload, w[:]...)
	}
	return ItemDigest(ClassCandidate, payload)
}
