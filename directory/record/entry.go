// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"crypto/ed25519"
	"errors"
	"net/netip"
	"slices"
	"time"

	"chive/internal/strictcbor"
)

// MaxEntrySize bounds a signed entry statement, in bytes: four addresses and a
// certificate fit with some room.
const MaxEntrySize = 448

// EntryVersion is the version that this package reads and writes.
const EntryVersion = 1

// ErrEntry means an entry statement that is malformed, another relay's, or about
// something else.
var ErrEntry = errors.New("record: bad entry statement")

// Entry is what the relay that a candidate joined through says: it dialled these
// addresses over fresh links, and the identity was proven on each.
// Spec: directory §3 (class C), §7.
type Entry struct {
	Entry     RID              // who says so
	Candidate RID              //
	Body      [32]byte         // body digest of the candidate's descriptor
	Addresses []netip.AddrPort // all of the descriptor's, in its order
	Epoch     uint64           // when
	Extra     strictcbor.Extra // later additions, kept and ignored
}

type wireEntry struct {
	Version   uint64        `cbor:"0,keyasint"`
	Entry     []byte        `cbor:"1,keyasint"`
	Candidate []byte        `cbor:"2,keyasint"`
	Body      []byte        `cbor:"3,keyasint"`
	Addresses []wireAddress `cbor:"4,keyasint"`
	Epoch     uint64        `cbor:"5,keyasint"`
}

// Encode returns the payload to be signed. Error: ErrAddress.
func (e *Entry) Encode() ([]byte, error) {
	if err := CheckAddresses(e.Addresses); err != nil {
		return nil, err
	}
	return strictcbor.MarshalExtra(wireEntry{
		Version: EntryVersion, Entry: e.Entry[:], Candidate: e.Candidate[:], Body: e.Body[:],
		Addresses: encodeAddresses(e.Addresses), Epoch: e.Epoch,
	}, e.Extra)
}

// DecodeEntry reads a statement's payload. The result does not share memory with
// data. Errors: ErrEntry, ErrAddress, and strictcbor's.
func DecodeEntry(payload []byte) (*Entry, error) {
	var w wireEntry
	extra, err := strictcbor.Unmarshal(payload, MaxEntrySize, &w)
	if err != nil {
		return nil, err
	}
	if w.Version != EntryVersion || len(w.Entry) != RIDSize || len(w.Candidate) != RIDSize || len(w.Body) != 32 {
		return nil, ErrEntry
	}
	e := &Entry{Entry: RID(w.Entry), Candidate: RID(w.Candidate), Body: [32]byte(w.Body), Epoch: w.Epoch, Extra: extra}
	e.Addresses, err = decodeAddresses(w.Addresses)
	return e, err
}

// SealEntry returns the statement signed and encoded. key is the entry relay's
// identity key, or the key that cert names. Errors: ErrAddress; ErrEntry beyond
// MaxEntrySize.
func SealEntry(e *Entry, nid [NetworkIDSize]byte, key ed25519.PrivateKey, cert *Cert) ([]byte, error) {
	payload, err := e.Encode()
	if err != nil {
		return nil, err
	}
	s := Sign(entryKind, nid, key, payload)
	s.Cert = cert
	return seal(&s, MaxEntrySize, ErrEntry)
}

// OpenEntry reads a signed statement; nothing is verified, since the entry
// relay's key is not in it. Errors: ErrEntry, ErrAddress, ErrSigned, strictcbor's.
func OpenEntry(data []byte) (*Entry, *Signed, error) {
	s, err := DecodeSigned(data, MaxEntrySize)
	if err != nil {
		return nil, nil, err
	}
	e, err := DecodeEntry(s.Payload)
	if err != nil {
		return nil, nil, err
	}
	return e, s, nil
}

// Verify reports whether the entry relay, whose identity key the caller knows,
// signed the statement s. Errors: ErrEntry, and Signed.Verify's.
func (e *Entry) Verify(s *Signed, nid [NetworkIDSize]byte, entry ed25519.PublicKey, now time.Time) error {
	if NewRID(nid, entry) != e.Entry {
		return ErrEntry
	}
	return s.Verify(entryKind, nid, entry, now)
}

// about reports whether the statement is about this descriptor.
func (e *Entry) about(rid RID, d *Descriptor, body [32]byte) bool {
	return e.Candidate == rid && e.Entry != rid && e.Body == body && slices.Equal(e.Addresses, d.Addresses)
}
