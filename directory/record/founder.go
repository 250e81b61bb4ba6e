// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"crypto/ed25519"
	"errors"
	"net/netip"

	"chive/internal/strictcbor"
)

// MaxFounderSize bounds a founder's record, and MaxFounderFileSize the signed file
// that carries it to whoever puts a genesis document together.
const (
	MaxFounderSize     = 640
	MaxFounderFileSize = 768
)

// FounderVersion is the version that this package reads and writes.
const FounderVersion = 1

// ErrFounder means a field of a founder's record that is out of its bounds.
var ErrFounder = errors.New("record: bad founder record")

// Founder is one relay that a network begins with. Its record has the fields of a
// descriptor under the same numbers, apart from 13, which is the family's key
// alone: the network id that a family signs over does not exist yet, and every
// founder signs the finished document instead. Spec: directory §2.
type Founder struct {
	Identity     ed25519.PublicKey
	Onion        [KeySize]byte
	VRF          [KeySize]byte
	Committee    [2][KeySize]byte // for the terms 0 and 1
	Addresses    []netip.AddrPort
	DeclaredRate uint32 // kbit/s
	Roles        Roles
	Policy       []PortRange       // in summary form; empty: no exit
	Family       ed25519.PublicKey // nil: none
	Extra        strictcbor.Extra  // later additions, kept and ignored
}

type wireFounder struct {
	Version      uint64             `cbor:"0,keyasint"`
	Identity     []byte             `cbor:"1,keyasint"`
	Onion        []byte             `cbor:"5,keyasint"`
	VRF          []byte             `cbor:"7,keyasint"`
	Committee    []wireCommitteeKey `cbor:"8,keyasint"`
	Addresses    []wireAddress      `cbor:"9,keyasint"`
	DeclaredRate uint32             `cbor:"10,keyasint"`
	Roles        uint8              `cbor:"11,keyasint"`
	Policy       []byte             `cbor:"12,keyasint,omitempty"`
	Family       []byte             `cbor:"13,keyasint,omitempty"`
}

// Encode returns the record's bytes. Errors: Check's.
func (f *Founder) Encode() ([]byte, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	return strictcbor.MarshalExtra(wireFounder{
		Version: FounderVersion, Identity: f.Identity, Onion: f.Onion[:], VRF: f.VRF[:],
		Committee: []wireCommitteeKey{{Term: 0, Key: f.Committee[0][:]}, {Term: 1, Key: f.Committee[1][:]}},
		Addresses: encodeAddresses(f.Addresses), DeclaredRate: f.DeclaredRate, Roles: uint8(f.Roles),
		Policy: EncodePolicy(f.Policy), Family: f.Family,
	}, f.Extra)
}

// DecodeFounder reads what Encode wrote. The result does not share memory with
// data. Errors: Check's, and strictcbor's.
func DecodeFounder(data []byte) (*Founder, error) {
	var w wireFounder
	extra, err := strictcbor.Unmarshal(data, MaxFounderSize, &w)
	if err != nil {
		return nil, err
	}
	if w.Version != FounderVersion || len(w.Onion) != KeySize || len(w.VRF) != KeySize || len(w.Committee) != 2 {
		return nil, ErrFounder
	}
	f := &Founder{
		Identity: w.Identity, Onion: [KeySize]byte(w.Onion), VRF: [KeySize]byte(w.VRF),
		DeclaredRate: w.DeclaredRate, Roles: Roles(w.Roles), Family: w.Family, Extra: extra,
	}
	for i, k := range w.Committee {
		if k.Term != uint64(i) || len(k.Key) != KeySize {
			return nil, ErrFounder
		}
		f.Committee[i] = [KeySize]byte(k.Key)
	}
	if f.Addresses, err = decodeAddresses(w.Addresses); err != nil {
		return nil, err
	}
	if f.Policy, err = DecodePolicy(w.Policy); err != nil {
		return nil, err
	}
	return f, f.Check()
}

// Check refuses what no founder may be.
// Errors: ErrFounder, ErrKey, ErrAddress, ErrPolicy.
func (f *Founder) Check() error {
	for _, key := range [][]byte{f.Identity, f.VRF[:], f.Committee[0][:], f.Committee[1][:]} {
		if err := CheckSigningKey(key); err != nil {
			return err
		}
	}
	if err := CheckExchangeKey(f.Onion[:]); err != nil {
		return err
	}
	if len(f.Family) > 0 {
		if err := CheckSigningKey(f.Family); err != nil {
			return err
		}
	}
	if err := CheckAddresses(f.Addresses); err != nil {
		return err
	}
	if err := CheckPolicy(f.Policy); err != nil {
		return err
	}
	if f.Roles&^AllRoles != 0 || (f.Roles&RoleExit != 0) != (len(f.Policy) > 0) {
		return ErrFounder
	}
	return nil
}

// founderKind labels the signature of a founder's file. It is made before a
// network exists, so that its network id is 32 zero bytes.
const founderKind = "founder entry"

// SignFile returns the founder's file: the record, signed by the identity it
// names. Errors: Check's; ErrKey when identity is another key.
func (f *Founder) SignFile(identity ed25519.PrivateKey) ([]byte, error) {
	if !f.Identity.Equal(identity.Public()) {
		return nil, ErrKey
	}
	payload, err := f.Encode()
	if err != nil {
		return nil, err
	}
	s := Sign(founderKind, [NetworkIDSize]byte{}, identity, payload)
	return s.Encode()
}

// ParseFounderFile reads and verifies a founder's file.
// Errors: those of DecodeSigned and DecodeFounder; ErrAlgorithm, ErrSignature.
func ParseFounderFile(data []byte) (*Founder, error) {
	s, err := DecodeSigned(data, MaxFounderFileSize)
	if err != nil {
		return nil, err
	}
	f, err := DecodeFounder(s.Payload)
	if err != nil {
		return nil, err
	}
	if s.Alg != AlgEd25519 || s.Cert != nil {
		return nil, ErrAlgorithm
	}
	if !ed25519.Verify(f.Identity, SigningInput(founderKind, [NetworkIDSize]byte{}, s.Payload), s.Signature) {
		return nil, ErrSignature
	}
	return f, nil
}
