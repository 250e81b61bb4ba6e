// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"time"

	"chive/internal/strictcbor"
)

// Signature algorithms. 2 is reserved for ML-DSA-44.
const AlgEd25519 = 1

// MaxCertLife is the longest time from now to the end of an offline identity's
// signing key.
const MaxCertLife = 30 * 24 * time.Hour

var (
	// ErrSigned means an array that is not [alg, sig, payload, ?cert].
	ErrSigned = errors.New("record: not a signed record")
	// ErrAlgorithm means a signature algorithm this version does not verify.
	ErrAlgorithm = errors.New("record: unknown signature algorithm")
	// ErrSignature means that a signature does not verify.
	ErrSignature = errors.New("record: bad signature")
	// ErrCert means a signing key that its identity did not certify for now.
	ErrCert = errors.New("record: bad signing certificate")
)

// Signed is a record as it travels. Payload is never encoded anew.
type Signed struct {
	Alg       byte
	Signature []byte // 64 bytes
	Payload   []byte
	Cert      *Cert // nil: signed by the identity key itself
}

// Cert lets a signing key speak for an identity key that is kept offline.
type Cert struct {
	Key       ed25519.PublicKey
	NotAfter  time.Time // whole seconds
	Signature []byte    // the identity's, 64 bytes
}

type wireCert struct {
	_         struct{} `cbor:",toarray"`
	Key       []byte
	NotAfter  uint64
	Signature []byte
}

// SigningInput returns the bytes that a signature of this kind is over.
// Spec: directory §1 (signatures).
func SigningInput(kind string, nid [NetworkIDSize]byte, payload []byte) []byte {
	label := "chive " + kind + " v1"
	out := make([]byte, 0, len(label)+len(nid)+len(payload))
	out = append(out, label...)
	out = append(out, nid[:]...)
	return append(out, payload...)
}

// Sign signs a payload with the identity key. The payload is not copied.
func Sign(kind string, nid [NetworkIDSize]byte, identity ed25519.PrivateKey, payload []byte) Signed {
	return Signed{
		Alg:       AlgEd25519,
		Signature: ed25519.Sign(identity, SigningInput(kind, nid, payload)),
		Payload:   payload,
	}
}

// NewCert certifies a signing key until notAfter, which is cut to the second.
func NewCert(nid [NetworkIDSize]byte, identity ed25519.PrivateKey, key ed25519.PublicKey, notAfter time.Time) *Cert {
	c := &Cert{Key: key, NotAfter: notAfter.UTC().Truncate(time.Second)}
	c.Signature = ed25519.Sign(identity, SigningInput("signing key", nid, c.statement()))
	return c
}

// statement is what the identity signs: key 32 | not-after 8.
func (c *Cert) statement() []byte {
	return binary.BigEndian.AppendUint64(bytes.Clone(c.Key), uint64(c.NotAfter.Unix()))
}

// Verify reports whether identity, or a key it certified for now, signed the
// record. Errors: ErrAlgorithm, ErrKey, ErrCert, ErrSignature.
func (s *Signed) Verify(kind string, nid [NetworkIDSize]byte, identity ed25519.PublicKey, now time.Time) error {
	if s.Alg != AlgEd25519 {
		return ErrAlgorithm
	}
	if err := CheckSigningKey(identity); err != nil {
		return err
	}
	key := identity
	if s.Cert != nil {
		if CheckSigningKey(s.Cert.Key) != nil || !now.Before(s.Cert.NotAfter) || s.Cert.NotAfter.Sub(now) > MaxCertLife ||
			!ed25519.Verify(identity, SigningInput("signing key", nid, s.Cert.statement()), s.Cert.Signature) {
			return ErrCert
		}
		key = s.Cert.Key
	}
	if !ed25519.Verify(key, SigningInput(kind, nid, s.Payload), s.Signature) {
		return ErrSignature
	}
	return nil
}

// Encode returns the record's bytes.
func (s *Signed) Encode() ([]byte, error) {
	parts := []any{uint64(s.Alg), s.Signature, s.Payload}
	if s.Cert != nil {
		parts = append(parts, wireCert{Key: s.Cert.Key, NotAfter: uint64(s.Cert.NotAfter.Unix()), Signature: s.Cert.Signature})
	}
	return strictcbor.Marshal(parts)
}

// DecodeSigned reads a record of at most maxSize bytes; nothing is verified. The
// result does not share memory with data. Errors: ErrSigned, and strictcbor's.
func DecodeSigned(data []byte, maxSize int) (*Signed, error) {
	var parts []strictcbor.Raw
	if _, err := strictcbor.Unmarshal(data, maxSize, &parts); err != nil {
		return nil, err
	}
	if len(parts) != 3 && len(parts) != 4 {
		return nil, ErrSigned
	}
	var s Signed
	for i, into := range []any{&s.Alg, &s.Signature, &s.Payload} {
		if _, err := strictcbor.Unmarshal(parts[i], maxSize, into); err != nil {
			return nil, err
		}
	}
	if len(s.Signature) != SignatureSize {
		return nil, ErrSigned
	}
	if len(parts) == 4 {
		var w wireCert
		if _, err := strictcbor.Unmarshal(parts[3], maxSize, &w); err != nil {
			return nil, err
		}
		if len(w.Key) != KeySize || len(w.Signature) != SignatureSize || w.NotAfter > maxUnix {
			return nil, ErrSigned
		}
		s.Cert = &Cert{Key: w.Key, NotAfter: time.Unix(int64(w.NotAfter), 0).UTC(), Signature: w.Signature}
	}
	return &s, nil
}

// maxUnix is the last second of the year 9999; later times are refused so that
// arithmetic on them cannot overflow.
const maxUnix = 253402300799
