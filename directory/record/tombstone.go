// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"crypto/ed25519"
	"errors"
	"time"

	"chive/internal/strictcbor"
)

// MaxTombstoneSize bounds a signed tombstone, in bytes. A tombstone of a signing
// key speaks for at most MaxCertLife, that of an identity for at most
// MaxTombstoneLife: by then the relay is long forgotten and a thief who brings the
// key back is a newcomer. Spec: directory §3.
const (
	MaxTombstoneSize = 160
	MaxTombstoneLife = 366 * 24 * time.Hour
)

// TombstoneVersion is the version that this package reads and writes.
const TombstoneVersion = 1

// ErrTombstone means a tombstone that is malformed or speaks for too long.
var ErrTombstone = errors.New("record: bad tombstone")

// Tombstone is an identity's revocation of itself, or of a signing key that it
// certified.
type Tombstone struct {
	Identity ed25519.PublicKey
	Key      ed25519.PublicKey // the signing key; nil: the identity itself
	Until    time.Time         // whole seconds; it is kept until then
	Extra    strictcbor.Extra  // later additions, kept and ignored
}

type wireTombstone struct {
	Version  uint64 `cbor:"0,keyasint"`
	Identity []byte `cbor:"1,keyasint"`
	Key      []byte `cbor:"2,keyasint,omitempty"`
	Until    uint64 `cbor:"3,keyasint"`
}

// Encode returns the payload to be signed. Errors: ErrKey, ErrTombstone.
func (r *Tombstone) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return strictcbor.MarshalExtra(wireTombstone{
		Version: TombstoneVersion, Identity: r.Identity, Key: r.Key, Until: uint64(r.Until.Unix()),
	}, r.Extra)
}

func (r *Tombstone) check() error {
	if err := CheckSigningKey(r.Identity); err != nil {
		return err
	}
	if len(r.Key) > 0 {
		if err := CheckSigningKey(r.Key); err != nil {
			return err
		}
	}
	if until := r.Until.Unix(); until < 0 || until > maxUnix {
		return ErrTombstone
	}
	return nil
}

// DecodeTombstone reads a tombstone's payload. The result does not share memory
// with data. Errors: ErrTombstone, ErrKey, and strictcbor's.
func DecodeTombstone(payload []byte) (*Tombstone, error) {
	var w wireTombstone
	extra, err := strictcbor.Unmarshal(payload, MaxTombstoneSize, &w)
	if err != nil {
		return nil, err
	}
	if w.Version != TombstoneVersion || w.Until > maxUnix {
		return nil, ErrTombstone
	}
	r := &Tombstone{Identity: w.Identity, Key: w.Key, Until: time.Unix(int64(w.Until), 0).UTC(), Extra: extra}
	return r, r.check()
}

// Revokes reports whether the tombstone speaks against a record signed by this
// identity through this certificate (nil: by the identity key itself) at now.
func (r *Tombstone) Revokes(identity ed25519.PublicKey, cert *Cert, now time.Time) bool {
	if !r.Identity.Equal(identity) || !now.Before(r.Until) {
		return false
	}
	return len(r.Key) == 0 || (cert != nil && r.Key.Equal(cert.Key))
}

// SealTombstone returns the tombstone signed and encoded. Only the identity key
// revokes: a signing key that could be stolen revokes nothing.
// Errors: ErrKey when identity is another key; ErrTombstone.
func SealTombstone(r *Tombstone, nid [NetworkIDSize]byte, identity ed25519.PrivateKey) ([]byte, error) {
	if !r.Identity.Equal(identity.Public()) {
		return nil, ErrKey
	}
	payload, err := r.Encode()
	if err != nil {
		return nil, err
	}
	s := Sign(tombstoneKind, nid, identity, payload)
	return seal(&s, MaxTombstoneSize, ErrTombstone)
}

// OpenTombstone reads and verifies a signed tombstone.
// Errors: those of DecodeSigned, DecodeTombstone and Signed.Verify; ErrExpired;
// ErrTombstone when it speaks for too long or is signed through a certificate.
func OpenTombstone(data []byte, nid [NetworkIDSize]byte, now time.Time) (*Tombstone, *Signed, error) {
	s, err := DecodeSigned(data, MaxTombstoneSize)
	if err != nil {
		return nil, nil, err
	}
	r, err := DecodeTombstone(s.Payload)
	if err != nil {
		return nil, nil, err
	}
	life := MaxTombstoneLife
	if len(r.Key) > 0 {
		life = MaxCertLife
	}
	switch {
	case !now.Before(r.Until):
		return nil, nil, ErrExpired
	case s.Cert != nil, r.Until.Sub(now) > life:
		return nil, nil, ErrTombstone
	}
	if err := s.Verify(tombstoneKind, nid, r.Identity, now); err != nil {
		return nil, nil, err
	}
	return r, s, nil
}

// seal encodes a signed record and holds it to its size.
func seal(s *Signed, most int, tooLarge error) ([]byte, error) {
	b, err := s.Encode()
	if err != nil {
		return nil, err
	}
	if len(b) > most {
		return nil, tooLarge
	}
	return b, nil
}
