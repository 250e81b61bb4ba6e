// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"errors"

	"chive/directory/committee"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/transition"
	"chive/internal/strictcbor"
)

// MaxCertificateSize bounds a certificate in bytes.
// Spec: directory §3 (class F), protocol §11 (VOTE-5).
const MaxCertificateSize = 8 << 10

var (
	// ErrCertificate means bytes that are not a certificate.
	ErrCertificate = errors.New("vote: not a certificate")
	// ErrList means a certificate that is to be verified with another list.
	ErrList = errors.New("vote: signed by another list")
	// ErrQuorum means fewer signatures than make a snapshot final.
	ErrQuorum = errors.New("vote: too few signatures")
	// ErrFalse means a certificate with a signature that does not verify.
	ErrFalse = errors.New("vote: false signature")
)

// Certificate makes a snapshot final: its header with the signatures of at least a
// quorum of the seats that own its epoch. It is immutable.
type Certificate struct {
	Header     *snapshot.Header
	Signers    Seats
	Signatures [][record.SignatureSize]byte // by rising seat

	raw    []byte // the header's bytes
	digest [32]byte
}

type wireCertificate struct {
	_          struct{} `cbor:",toarray"`
	Header     []byte
	Signers    []byte
	Signatures []byte
}

// ownerRoot returns the root of the list that must have signed a header: that of its
// committee which it commits to itself. A list that is installed by a snapshot signs
// it.
func ownerRoot(h *snapshot.Header) [32]byte {
	if transition.OwnerName(h.Epoch) == committee.B {
		return h.ListB
	}
	return h.ListA
}

// NewCertificate joins a header and signatures, one for each signer by rising seat.
// The arguments belong to the certificate afterwards; nothing is verified. Error:
// ErrCertificate.
func NewCertificate(h *snapshot.Header, signers Seats, signatures [][record.SignatureSize]byte) (*Certificate, error) {
	raw := h.Encode()
	c := &Certificate{Header: h, Signers: signers, Signatures: signatures, raw: raw, digest: headerDigest(raw)}
	if !signers.inBounds(len(signatures)) || len(c.Encode()) > MaxCertificateSize {
		return nil, ErrCertificate
	}
	return c, nil
}

// Encode returns the certificate's bytes.
func (c *Certificate) Encode() []byte {
	sigs := make([]byte, 0, record.SignatureSize*len(c.Signatures))
	for i := range c.Signatures {
		sigs = append(sigs, c.Signatures[i][:]...)
	}
	return marshal(wireCertificate{Header: c.raw, Signers: c.Signers, Signatures: sigs})
}

// DecodeCertificate reads what Encode wrote; nothing is verified. The result does
// not share memory with data. Errors: ErrCertificate, those of headers and
// strictcbor.
func DecodeCertificate(data []byte) (*Certificate, error) {
	var w wireCertificate
	if _, err := strictcbor.Unmarshal(data, MaxCertificateSize, &w); err != nil {
		return nil, err
	}
	h, err := snapshot.DecodeHeader(w.Header)
	if err != nil {
		return nil, err
	}
	count := len(w.Signatures) / record.SignatureSize
	c := &Certificate{Header: h, Signers: w.Signers, raw: w.Header, digest: headerDigest(w.Header)}
	if len(w.Signatures)%record.SignatureSize != 0 || !c.Signers.inBounds(count) {
		return nil, ErrCertificate
	}
	c.Signatures = make([][record.SignatureSize]byte, count)
	for i := range c.Signatures {
		c.Signatures[i] = [record.SignatureSize]byte(w.Signatures[i*record.SignatureSize:])
	}
	return c, nil
}

// HeaderDigest returns the digest of the header: what the signatures are over.
func (c *Certificate) HeaderDigest() [32]byte { return c.digest }

// Digest names the item: by its header alone, whoever signed.
func (c *Certificate) Digest() [32]byte { return CertificateDigest(c.digest) }

// CertificateDigest is the item digest of the certificates of a header.
// Spec: protocol §11 (VOTE-5).
func CertificateDigest(header [32]byte) [32]byte {
	return record.ItemDigest(record.ClassCertificate, header[:])
}

// Verify reports whether the certificate makes its header final in the network: the
// list is that of the epoch's owner which the header commits to, and at least a
// quorum of its seats signed. One false signature refuses all of it. Whether the
// list may be believed is the caller's question. The work is bounded by the list.
// Errors: ErrCertificate, ErrList, ErrSeat, ErrQuorum, ErrFalse.
func (c *Certificate) Verify(nid [32]byte, list *committee.List, v Verifier) error {
	if c.Header.NetworkID != nid {
		return ErrCertificate
	}
	root, err := list.Root()
	if err != nil || list.Committee != transition.OwnerName(c.Header.Epoch) || root != ownerRoot(c.Header) {
		return ErrList
	}
	k := len(list.Keys)
	if k > MaxSeatCount || !c.Signers.fits(k) {
		return ErrSeat
	}
	if len(c.Signatures) < committee.Quorum(k) {
		return ErrQuorum
	}
	batch := make([]Check, 0, len(c.Signatures))
	for i, seat := range c.Signers.Members() {
		payload := signaturePayload(c.Header.Epoch, c.digest, seat)
		batch = append(batch, Check{
			Key: list.Keys[seat], Message: record.SigningInput(signatureKind, nid, payload), Signature: c.Signatures[i],
		})
	}
	if !v.Signatures(batch) {
		return ErrFalse
	}
	return nil
}

// Trim returns the certificate with the signatures of the first count signers alone,
// as hand-over steps carry it: c itself if it has no more.
func (c *Certificate) Trim(count int) *Certificate {
	if len(c.Signatures) <= count {
		return c
	}
	t := &Certificate{Header: c.Header, Signers: make(Seats, len(c.Signers)), Signatures: c.Signatures[:count], raw: c.raw, digest: c.digest}
	for _, seat := range c.Signers.Members()[:count] {
		t.Signers.Add(seat)
	}
	return t
}

// signature returns what one signer signed, as a signed record.
func (c *Certificate) signature(seat int) []byte {
	for i, s := range c.Signers.Members() {
		if s == seat {
			return encodeSigned(&record.Signed{
				Alg: record.AlgEd25519, Signature: c.Signatures[i][:], Payload: signaturePayload(c.Header.Epoch, c.digest, seat),
			})
		}
	}
	return nil
}
