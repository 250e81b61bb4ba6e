// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"crypto/ed25519"
	"errors"
	"net/netip"
	"time"

	"chive/internal/strictcbor"
)

// Bounds of a descriptor, in bytes unless the name says otherwise.
// Spec: directory §3.
const (
	MaxDescriptorSize    = 1024
	MaxCommitteeKeyCount = 3
	MaxVersionsSize      = 16
	MaxSoftwareSize      = 32
	MaxNicknameSize      = 19
	MaxContactSize       = 128
)

// DescriptorVersion is the version that this package reads and writes.
const DescriptorVersion = 1

// Roles are what a relay offers to be, one bit each.
type Roles uint8

// Spec: directory §3, key 11.
const (
	RoleGuard Roles = 1 << iota
	RoleExit
	RoleHSDir
	RoleRendezvous
	RoleMailbox

	// AllRoles has every bit that version 1 knows.
	AllRoles = RoleGuard | RoleExit | RoleHSDir | RoleRendezvous | RoleMailbox
)

var (
	// ErrDescriptor means a field of a descriptor that is out of its bounds.
	ErrDescriptor = errors.New("record: bad descriptor")
	// ErrExpired means a descriptor whose time is over.
	ErrExpired = errors.New("record: expired")
	// ErrAhead means a descriptor published too far ahead of the clock.
	ErrAhead = errors.New("record: published ahead of time")
	// ErrFamily means a family that the relay does not hold the key's word for.
	ErrFamily = errors.New("record: bad family signature")
)

// CommitteeKey is the Ed25519 key a relay votes with in one term.
type CommitteeKey struct {
	Term uint64
	Key  ed25519.PublicKey
}

// Family ties relays of one operator together: all hold the family's key, and no
// path uses two of them.
type Family struct {
	Key       ed25519.PublicKey
	Signature []byte // over the member's rid
}

// Descriptor is what a relay says about itself. Times are whole seconds.
type Descriptor struct {
	Identity     ed25519.PublicKey
	Seq          uint64
	Published    time.Time
	Expires      time.Time
	Onion        [KeySize]byte
	NextOnion    [KeySize]byte
	VRF          [KeySize]byte
	Committee    []CommitteeKey // by rising term
	Addresses    []netip.AddrPort
	DeclaredRate uint32 // kbit/s; 0: resting
	Roles        Roles
	Policy       []PortRange // in summary form; empty: no exit
	Family       *Family     // nil: none
	Versions     []byte      // protocol versions it speaks
	Software     string
	Nickname     string
	Contact      string
	Extra        strictcbor.Extra // later additions, kept and ignored
}

type wireCommitteeKey struct {
	_    struct{} `cbor:",toarray"`
	Term uint64
	Key  []byte
}

type wireFamily struct {
	_         struct{} `cbor:",toarray"`
	Key       []byte
	Signature []byte
}

type wireDescriptor struct {
	Version      uint64             `cbor:"0,keyasint"`
	Identity     []byte             `cbor:"1,keyasint"`
	Seq          uint64             `cbor:"2,keyasint"`
	Published    uint64             `cbor:"3,keyasint"`
	Expires      uint64             `cbor:"4,keyasint"`
	Onion        []byte             `cbor:"5,keyasint"`
	NextOnion    []byte             `cbor:"6,keyasint"`
	VRF          []byte             `cbor:"7,keyasint"`
	Committee    []wireCommitteeKey `cbor:"8,keyasint,omitempty"`
	Addresses    []wireAddress      `cbor:"9,keyasint"`
	DeclaredRate uint32             `cbor:"10,keyasint"`
	Roles        uint8              `cbor:"11,keyasint"`
	Policy       []byte             `cbor:"12,keyasint,omitempty"`
	Family       *wireFamily        `cbor:"13,keyasint,omitempty"`
	Versions     []byte             `cbor:"14,keyasint,omitempty"`
	Software     string             `cbor:"15,keyasint,omitempty"`
	Nickname     string             `cbor:"16,keyasint,omitempty"`
	Contact      string             `cbor:"17,keyasint,omitempty"`
}

// Encode returns the payload to be signed. Errors: Check's.
func (d *Descriptor) Encode() ([]byte, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	w := wireDescriptor{
		Version: DescriptorVersion, Identity: d.Identity, Seq: d.Seq,
		Published: uint64(d.Published.Unix()), Expires: uint64(d.Expires.Unix()),
		Onion: d.Onion[:], NextOnion: d.NextOnion[:], VRF: d.VRF[:],
		Committee: encodeCommittee(d.Committee), Addresses: encodeAddresses(d.Addresses),
		DeclaredRate: d.DeclaredRate, Roles: uint8(d.Roles), Policy: EncodePolicy(d.Policy),
		Versions: d.Versions, Software: d.Software, Nickname: d.Nickname, Contact: d.Contact,
	}
	if d.Family != nil {
		w.Family = &wireFamily{Key: d.Family.Key, Signature: d.Family.Signature}
	}
	return strictcbor.MarshalExtra(w, d.Extra)
}

// DecodeDescriptor reads a descriptor's payload and checks it without a network
// or a clock. The result does not share memory with data.
// Errors: Check's, and strictcbor's.
func DecodeDescriptor(payload []byte) (*Descriptor, error) {
	var w wireDescriptor
	extra, err := strictcbor.Unmarshal(payload, MaxDescriptorSize, &w)
	if err != nil {
		return nil, err
	}
	if w.Version != DescriptorVersion || w.Published > maxUnix || w.Expires > maxUnix ||
		len(w.Onion) != KeySize || len(w.NextOnion) != KeySize || len(w.VRF) != KeySize ||
		len(w.Committee) > MaxCommitteeKeyCount {
		return nil, ErrDescriptor
	}
	d := &Descriptor{
		Identity: w.Identity, Seq: w.Seq,
		Published: time.Unix(int64(w.Published), 0).UTC(), Expires: time.Unix(int64(w.Expires), 0).UTC(),
		Onion: [KeySize]byte(w.Onion), NextOnion: [KeySize]byte(w.NextOnion), VRF: [KeySize]byte(w.VRF),
		Committee: decodeCommittee(w.Committee), DeclaredRate: w.DeclaredRate, Roles: Roles(w.Roles),
		Versions: w.Versions, Software: w.Software, Nickname: w.Nickname, Contact: w.Contact, Extra: extra,
	}
	if d.Addresses, err = decodeAddresses(w.Addresses); err != nil {
		return nil, err
	}
	if d.Policy, err = DecodePolicy(w.Policy); err != nil {
		return nil, err
	}
	if w.Family != nil {
		d.Family = &Family{Key: w.Family.Key, Signature: w.Family.Signature}
	}
	return d, d.Check()
}

// Check refuses what no relay may publish at any time in any network.
// Errors: ErrDescriptor, ErrKey, ErrAddress, ErrPolicy, ErrFamily.
func (d *Descriptor) Check() error {
	if err := CheckSigningKey(d.Identity); err != nil {
		return err
	}
	if err := CheckSigningKey(d.VRF[:]); err != nil {
		return err
	}
	if CheckExchangeKey(d.Onion[:]) != nil || CheckExchangeKey(d.NextOnion[:]) != nil {
		return ErrKey
	}
	if err := CheckCommittee(d.Committee); err != nil {
		return err
	}
	if err := CheckAddresses(d.Addresses); err != nil {
		return err
	}
	if err := CheckPolicy(d.Policy); err != nil {
		return err
	}
	if d.Family != nil {
		if err := CheckSigningKey(d.Family.Key); err != nil {
			return err
		}
		if len(d.Family.Signature) != SignatureSize {
			return ErrFamily
		}
	}
	published, expires := d.Published.Unix(), d.Expires.Unix()
	switch {
	case published < 0, expires > maxUnix, published >= expires,
		d.Roles&^AllRoles != 0, (d.Roles&RoleExit != 0) != (len(d.Policy) > 0),
		len(d.Versions) > MaxVersionsSize, len(d.Software) > MaxSoftwareSize,
		len(d.Nickname) > MaxNicknameSize, len(d.Contact) > MaxContactSize:
		return ErrDescriptor
	}
	return nil
}

// CheckCommittee refuses more than three committee keys, keys out of the order of
// their terms, and bad keys. Errors: ErrDescriptor, ErrKey.
func CheckCommittee(keys []CommitteeKey) error {
	if len(keys) > MaxCommitteeKeyCount {
		return ErrDescriptor
	}
	for i, k := range keys {
		if i > 0 && k.Term <= keys[i-1].Term {
			return ErrDescriptor
		}
		if err := CheckSigningKey(k.Key); err != nil {
			return err
		}
	}
	return nil
}

// Times are the bounds that a network sets to a descriptor's times.
type Times struct {
	Life  time.Duration // from published to expires, at most
	Ahead time.Duration // how far published may be ahead of the clock
}

// CheckTime refuses a descriptor that is not of this time.
// Errors: ErrExpired, ErrAhead, ErrDescriptor (it would live too long).
func (d *Descriptor) CheckTime(now time.Time, t Times) error {
	switch {
	case !now.Before(d.Expires):
		return ErrExpired
	case d.Published.Sub(now) > t.Ahead:
		return ErrAhead
	case d.Expires.Sub(d.Published) > t.Life:
		return ErrDescriptor
	}
	return nil
}

// SignFamily returns the family key's signature over a member.
// Spec: directory §3, key 13.
func SignFamily(family ed25519.PrivateKey, nid [NetworkIDSize]byte, rid RID) []byte {
	return ed25519.Sign(family, SigningInput("family", nid, rid[:]))
}

// SealDescriptor returns the descriptor signed and encoded. key is the identity
// key, or the key that cert names. Errors: Check's; ErrDescriptor when the whole
// is beyond MaxDescriptorSize, as one can be that has every field full and a
// certificate too.
func SealDescriptor(d *Descriptor, nid [NetworkIDSize]byte, key ed25519.PrivateKey, cert *Cert) ([]byte, error) {
	payload, err := d.Encode()
	if err != nil {
		return nil, err
	}
	s := Sign(descriptorKind, nid, key, payload)
	s.Cert = cert
	b, err := s.Encode()
	if err != nil {
		return nil, err
	}
	if len(b) > MaxDescriptorSize {
		return nil, ErrDescriptor
	}
	return b, nil
}

// OpenDescriptor reads and verifies a signed descriptor of at most
// MaxDescriptorSize bytes: form, bounds, signature, family, time.
// Errors: those of DecodeSigned, DecodeDescriptor, Signed.Verify, CheckTime.
func OpenDescriptor(data []byte, nid [NetworkIDSize]byte, now time.Time, t Times) (*Descriptor, *Signed, error) {
	s, err := DecodeSigned(data, MaxDescriptorSize)
	if err != nil {
		return nil, nil, err
	}
	d, err := DecodeDescriptor(s.Payload)
	if err != nil {
		return nil, nil, err
	}
	if err := d.CheckTime(now, t); err != nil {
		return nil, nil, err
	}
	if err := s.Verify(descriptorKind, nid, d.Identity, now); err != nil {
		return nil, nil, err
	}
	if d.Family != nil {
		rid := NewRID(nid, d.Identity)
		if !ed25519.Verify(d.Family.Key, SigningInput("family", nid, rid[:]), d.Family.Signature) {
			return nil, nil, ErrFamily
		}
	}
	return d, s, nil
}

func encodeCommittee(keys []CommitteeKey) []wireCommitteeKey {
	out := make([]wireCommitteeKey, 0, len(keys))
	for _, k := range keys {
		out = append(out, wireCommitteeKey{Term: k.Term, Key: k.Key})
	}
	return out
}

func decodeCommittee(wire []wireCommitteeKey) []CommitteeKey {
	var out []CommitteeKey
	for _, w := range wire {
		out = append(out, CommitteeKey{Term: w.Term, Key: w.Key})
	}
	return out
}
