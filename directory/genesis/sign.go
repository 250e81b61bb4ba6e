// SPDX-License-Identifier: BSD-3-Clause

package genesis

import (
	"bytes"
	"crypto/ed25519"
	"slices"

	"chive/directory/record"
)

// founderKind labels a founder's signature over the network id.
const founderKind = "founder"

// Sign adds the signature of the founder that this identity key belongs to.
// Error: ErrNotFounder.
func (d *Document) Sign(identity ed25519.PrivateKey) error {
	if len(identity) != ed25519.PrivateKeySize {
		return ErrNotFounder
	}
	public, _ := identity.Public().(ed25519.PublicKey)
	i, found := d.founder(public)
	if !found {
		return ErrNotFounder
	}
	d.signatures[i] = ed25519.Sign(identity, record.SigningInput(founderKind, d.nid, nil))
	return nil
}

// Verify refuses a document that lacks a founder's signature.
// Errors: ErrUnsigned, ErrSignature.
func (d *Document) Verify() error {
	if err := d.checkSignatures(); err != nil {
		return err
	}
	if len(d.Missing()) > 0 {
		return ErrUnsigned
	}
	return nil
}

// checkSignatures verifies the signatures that are there.
func (d *Document) checkSignatures() error {
	message := record.SigningInput(founderKind, d.nid, nil)
	for i, f := range d.Founders {
		if len(d.signatures[i]) > 0 && !ed25519.Verify(f.Identity, message, d.signatures[i]) {
			return ErrSignature
		}
	}
	return nil
}

// Missing returns the indices of the founders that have not signed yet.
func (d *Document) Missing() []int {
	var out []int
	for i, s := range d.signatures {
		if len(s) == 0 {
			out = append(out, i)
		}
	}
	return out
}

func sortFounders(in []*record.Founder) []*record.Founder {
	out := slices.Clone(in)
	slices.SortFunc(out, func(a, b *record.Founder) int { return bytes.Compare(a.Identity, b.Identity) })
	return out
}

// founder finds a founder by identity key.
func (d *Document) founder(identity ed25519.PublicKey) (int, bool) {
	return slices.BinarySearchFunc(d.Founders, identity, func(f *record.Founder, id ed25519.PublicKey) int {
		return bytes.Compare(f.Identity, id)
	})
}
