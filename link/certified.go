// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"bytes"
	"crypto/ecdh"
	"time"
)

// CertifiedIdentity makes an Identity of a link key and its certificate, which were made
// before: for relays whose identity key is kept offline. linkKey is the X25519 private
// key, nid the network; nothing of the slices is kept. The certificate's time is not
// looked at: see Identity.GoodAt. Errors: ErrConfig for no key; ErrHandshake for a
// certificate that does not hold, is another network's, or another key's.
//
// Spec: protocol §1 (LINK-4)
func CertifiedIdentity(nid [32]byte, linkKey *[32]byte, certificate []byte) (*Identity, error) {
	key, err := ecdh.X25519().NewPrivateKey(linkKey[:])
	if err != nil {
		return nil, ErrConfig
	}
	c, err := ParseCertificate(certificate, nid)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(key.PublicKey().Bytes(), c.LinkKey[:]) {
		return nil, ErrHandshake
	}
	return &Identity{identity: c.Identity, key: key, certificate: bytes.Clone(certificate), notAfter: c.NotAfter}, nil
}

// GoodAt reports whether others accept the identity at now: its certificate has not ended,
// and does not end more than MaxCertificateLife ahead.
func (i *Identity) GoodAt(now time.Time) bool {
	return (&Certificate{NotAfter: i.notAfter}).ValidAt(now, 0)
}
