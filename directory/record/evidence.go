// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"time"

	"chive/internal/strictcbor"
)

// MaxEvidenceSize bounds a piece of evidence, in bytes. Spec: directory §3.
const MaxEvidenceSize = 4096

// EvidenceVersion is the version that this package reads and writes.
const EvidenceVersion = 1

var (
	// ErrEvidence means evidence that is malformed or not in its one order.
	ErrEvidence = errors.New("record: bad evidence")
	// ErrNoConflict means two payloads that may well exist both.
	ErrNoConflict = errors.New("record: evidence of nothing")
	// ErrRule means evidence of a kind for which no rule is known.
	ErrRule = errors.New("record: no rule for this evidence")
)

// Evidence is two signed payloads that must not both exist. It convinces everybody
// who knows whose key Signer is, whoever brings it. It carries no signature of its
// own.
type Evidence struct {
	Kind   byte              // class of both: ClassDescriptor, ClassVote, ClassProposal, ClassSignature
	Signer ed25519.PublicKey // identity key for descriptors, else the committee key
	First  []byte            // signed; has the lower item digest
	Second []byte            // signed
}

type wireEvidence struct {
	Version uint64 `cbor:"0,keyasint"`
	Kind    uint8  `cbor:"1,keyasint"`
	Signer  []byte `cbor:"2,keyasint"`
	First   []byte `cbor:"3,keyasint"`
	Second  []byte `cbor:"4,keyasint"`
}

// NewEvidence puts two signed records of one kind and signer into their order.
// The slices belong to the evidence afterwards. Errors: ErrEvidence, ErrSigned,
// and strictcbor's.
func NewEvidence(kind byte, signer ed25519.PublicKey, a, b []byte) (*Evidence, error) {
	e := &Evidence{Kind: kind, Signer: signer, First: a, Second: b}
	one, two, err := e.digests()
	if err != nil {
		return nil, err
	}
	if bytes.Compare(one[:], two[:]) > 0 {
		e.First, e.Second = b, a
	}
	return e, e.check()
}

// Encode returns the evidence's bytes. Errors: ErrEvidence, ErrKey, ErrSigned.
func (e *Evidence) Encode() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	b, err := strictcbor.Marshal(wireEvidence{
		Version: EvidenceVersion, Kind: e.Kind, Signer: e.Signer, First: e.First, Second: e.Second,
	})
	if err != nil {
		return nil, err
	}
	if len(b) > MaxEvidenceSize {
		return nil, ErrEvidence
	}
	return b, nil
}

// DecodeEvidence reads what Encode wrote; nothing is verified. The result does not
// share memory with data. Errors: ErrEvidence, ErrKey, ErrSigned, strictcbor's.
func DecodeEvidence(data []byte) (*Evidence, error) {
	var w wireEvidence
	extra, err := strictcbor.Unmarshal(data, MaxEvidenceSize, &w)
	if err != nil {
		return nil, err
	}
	if w.Version != EvidenceVersion || extra.Count() > 0 {
		return nil, ErrEvidence
	}
	e := &Evidence{Kind: w.Kind, Signer: w.Signer, First: w.First, Second: w.Second}
	return e, e.check()
}

func (e *Evidence) check() error {
	if err := CheckSigningKey(e.Signer); err != nil {
		return err
	}
	one, two, err := e.digests()
	if err != nil {
		return err
	}
	if bytes.Compare(one[:], two[:]) >= 0 {
		return ErrEvidence
	}
	return nil
}

// digests returns the item digests of both payloads.
func (e *Evidence) digests() (one, two [32]byte, err error) {
	a, err := DecodeSigned(e.First, MaxEvidenceSize)
	if err != nil {
		return one, two, err
	}
	b, err := DecodeSigned(e.Second, MaxEvidenceSize)
	if err != nil {
		return one, two, err
	}
	return ItemDigest(e.Kind, a.Payload), ItemDigest(e.Kind, b.Payload), nil
}

// Digest names the item: H("item", 'E', kind 1 | signer 32 | item digests of both
// payloads). Other signatures on the same payloads are the same item.
// Errors: ErrEvidence, ErrKey, ErrSigned.
func (e *Evidence) Digest() ([32]byte, error) {
	if err := e.check(); err != nil {
		return [32]byte{}, err
	}
	one, two, err := e.digests()
	if err != nil {
		return [32]byte{}, err
	}
	payload := append([]byte{e.Kind}, e.Signer...)
	payload = append(payload, one[:]...)
	return ItemDigest(ClassEvidence, append(payload, two[:]...)), nil
}

// A Rule says when two payloads of one kind, under one key, must not both exist.
type Rule struct {
	Label string // of the kind's signatures: "vote", "proposal", "signature"
	// Conflict is given two payloads that differ and whose signatures hold. It
	// returns nil when they exclude each other, ErrNoConflict when not, or the error
	// that stands against one of them. It keeps neither slice.
	Conflict func(a, b []byte) error
}

// Rules holds the rule of each kind but descriptors, whose rule is built in.
type Rules map[byte]Rule

// Verify reports whether the evidence holds: both signatures are the signer's, and
// the payloads exclude each other. Descriptors must both be valid at now: evidence
// does not outlive them. Whose key Signer is, and since when, is the caller's
// question. Errors: ErrRule, ErrNoConflict, ErrEvidence; what is wrong with a part.
func (e *Evidence) Verify(nid [NetworkIDSize]byte, now time.Time, t Times, rules Rules) error {
	if err := e.check(); err != nil {
		return err
	}
	if e.Kind == ClassDescriptor {
		return e.verifyDescriptors(nid, now, t)
	}
	rule, ok := rules[e.Kind]
	if !ok {
		return ErrRule
	}
	var payloads [2][]byte
	for i, data := range [][]byte{e.First, e.Second} {
		s, err := DecodeSigned(data, MaxEvidenceSize)
		if err != nil {
			return err
		}
		if s.Cert != nil {
			return ErrEvidence
		}
		if err := s.Verify(rule.Label, nid, e.Signer, now); err != nil {
			return err
		}
		payloads[i] = s.Payload
	}
	return rule.Conflict(payloads[0], payloads[1])
}

func (e *Evidence) verifyDescriptors(nid [NetworkIDSize]byte, now time.Time, t Times) error {
	var seqs [2]uint64
	for i, data := range [][]byte{e.First, e.Second} {
		d, _, err := OpenDescriptor(data, nid, now, t)
		if err != nil {
			return err
		}
		if !d.Identity.Equal(e.Signer) {
			return ErrEvidence
		}
		seqs[i] = d.Seq
	}
	if seqs[0] != seqs[1] {
		return ErrNoConflict
	}
	return nil
}
