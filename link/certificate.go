// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"time"

	"chive/internal/strictcbor"
)

// certificateLabel starts what an identity signs, so that the signature means
// nothing elsewhere.
const certificateLabel = "chive link certificate v1"

// Certificate is a relay's statement that a link key speaks for its identity.
// It is immutable.
//
// Spec: protocol §1
type Certificate struct {
	NetworkID [32]byte          // the network it is valid in
	Identity  ed25519.PublicKey // who signed it
	LinkKey   [32]byte          // X25519, the Noise static key
	NotAfter  time.Time         // end of validity, whole seconds
}

// certificateBody is the signed CBOR map.
type certificateBody struct {
	NetworkID []byte `cbor:"0,keyasint"`
	Identity  []byte `cbor:"1,keyasint"`
	LinkKey   []byte `cbor:"2,keyasint"`
	NotAfter  uint64 `cbor:"3,keyasint"`
}

// SignCertificate makes an encoded certificate, at most MaxCertificateSize
// bytes: signature, then body. Spec: protocol §1
func SignCertificate(identity ed25519.PrivateKey, nid, linkKey [32]byte, notAfter time.Time) ([]byte, error) {
	if len(identity) != ed25519.PrivateKeySize {
		return nil, ErrConfig
	}
	body, err := strictcbor.Marshal(certificateBody{
		NetworkID: nid[:],
		Identity:  identity.Public().(ed25519.PublicKey),
		LinkKey:   linkKey[:],
		NotAfter:  uint64(max(0, notAfter.Unix())),
	})
	if err != nil {
		return nil, ErrConfig
	}
	return append(ed25519.Sign(identity, labelled(body)), body...), nil
}

func labelled(body []byte) []byte { return append([]byte(certificateLabel), body...) }

// ParseCertificate decodes and checks a certificate: form, network, key, and
// signature, but not its time. The result shares no memory with b.
// Every fault is ErrHandshake. Spec: protocol §1
func ParseCertificate(b []byte, nid [32]byte) (*Certificate, error) {
	if len(b) <= ed25519.SignatureSize || len(b) > MaxCertificateSize {
		return nil, ErrHandshake
	}
	sig, raw := b[:ed25519.SignatureSize], b[ed25519.SignatureSize:]
	var body certificateBody
	if _, err := strictcbor.Unmarshal(raw, MaxCertificateSize, &body); err != nil {
		return nil, ErrHandshake
	}
	switch {
	case !bytes.Equal(body.NetworkID, nid[:]),
		len(body.Identity) != ed25519.PublicKeySize,
		len(body.LinkKey) != 32,
		body.NotAfter > 1<<40,
		weakIdentity(body.Identity),
		!ed25519.Verify(body.Identity, labelled(raw), sig):
		return nil, ErrHandshake
	}
	return &Certificate{
		NetworkID: nid,
		Identity:  bytes.Clone(body.Identity),
		LinkKey:   [32]byte(body.LinkKey),
		NotAfter:  time.Unix(int64(body.NotAfter), 0),
	}, nil
}

// ValidAt reports whether the certificate holds at now, on a clock that may be
// wrong by skew: it has not ended and does not end more than MaxCertificateLife
// ahead.
func (c *Certificate) ValidAt(now time.Time, skew time.Duration) bool {
	left := c.NotAfter.Sub(now)
	return left > -skew && left <= MaxCertificateLife+skew
}

// weakIdentity reports whether an Ed25519 key is not canonical or of small
// order; under such a key anyone can sign.
func weakIdentity(k []byte) bool {
	y := [32]byte(k)
	y[31] &= 0x7f
	// Little-endian y >= p = 2^255 - 19.
	high := y[31] == 0x7f && y[0] >= 0xed
	for _, b := range y[1:31] {
		high = high && b == 0xff
	}
	if high {
		return true
	}
	for _, weak := range [...][32]byte{
		{},                // order 4
		{0: 1},            // order 1
		smallOrderMinus(), // order 2
		{0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
			0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05}, // order 8
		{0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
			0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a}, // order 8
	} {
		if y == weak {
			return true
		}
	}
	return false
}

// smallOrderMinus is y = -1.
func smallOrderMinus() (y [32]byte) {
	for i := range y {
		y[i] = 0xff
	}
	y[0], y[31] = 0xec, 0x7f
	return y
}

// Identity is what a relay proves in handshakes: a link key and the certificate
// of its identity for it. It is immutable; a relay makes a new one every day.
type Identity struct {
	identity    ed25519.PublicKey
	key         *ecdh.PrivateKey
	certificate []byte
	notAfter    time.Time
}

// NewIdentity makes a link key from rand (nil: crypto/rand) and signs it until
// MaxCertificateLife after now. It keeps no reference to the identity's private key.
func NewIdentity(random io.Reader, nid [32]byte, identity ed25519.PrivateKey, now time.Time) (*Identity, error) {
	key, err := newStatic(random)
	if err != nil {
		return nil, err
	}
	notAfter := now.Add(MaxCertificateLife).Truncate(time.Second)
	cert, err := SignCertificate(identity, nid, [32]byte(key.PublicKey().Bytes()), notAfter)
	if err != nil {
		return nil, err
	}
	return &Identity{
		identity:    bytes.Clone(identity.Public().(ed25519.PublicKey)),
		key:         key,
		certificate: cert,
		notAfter:    notAfter,
	}, nil
}

// Public returns the identity's public key; it must not be changed.
func (i *Identity) Public() ed25519.PublicKey { return i.identity }

// NotAfter returns the end of the certificate's validity.
func (i *Identity) NotAfter() time.Time { return i.notAfter }

// newStatic makes an X25519 key. ecdh's own generator ignores its reader.
func newStatic(random io.Reader) (*ecdh.PrivateKey, error) {
	if random == nil {
		random = rand.Reader
	}
	var seed [32]byte
	defer clear(seed[:])
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, ErrConfig
	}
	return ecdh.X25519().NewPrivateKey(seed[:])
}
