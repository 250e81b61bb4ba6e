// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"crypto/ed25519"
	"errors"
	"time"

	"chive/internal/strictcbor"
)

// MaxVoucherSize bounds a signed voucher, in bytes, and VoucherDays says for how
// many days of the network it is valid. Spec: directory §3.
const (
	MaxVoucherSize = 160
	VoucherDays    = 30
)

// VoucherVersion is the version that this package reads and writes.
const VoucherVersion = 1

// ErrVoucher means a voucher that is malformed, for somebody else, or not of this
// time.
var ErrVoucher = errors.New("record: bad voucher")

// Voucher is a sponsor's word for a candidate: a place in the vouched queue, no
// trust and no weight. Whether the sponsor may vouch is the transition's question.
type Voucher struct {
	Sponsor  RID
	Identity ed25519.PublicKey // the candidate's
	Day      uint16            // of issue, in the count of birth days
	Extra    strictcbor.Extra  // later additions, kept and ignored
}

type wireVoucher struct {
	Version  uint64 `cbor:"0,keyasint"`
	Sponsor  []byte `cbor:"1,keyasint"`
	Identity []byte `cbor:"2,keyasint"`
	Day      uint16 `cbor:"3,keyasint"`
}

// Encode returns the payload to be signed. Error: ErrKey.
func (v *Voucher) Encode() ([]byte, error) {
	if err := CheckSigningKey(v.Identity); err != nil {
		return nil, err
	}
	return strictcbor.MarshalExtra(wireVoucher{
		Version: VoucherVersion, Sponsor: v.Sponsor[:], Identity: v.Identity, Day: v.Day,
	}, v.Extra)
}

// DecodeVoucher reads a voucher's payload. The result does not share memory with
// data. Errors: ErrVoucher, ErrKey, and strictcbor's.
func DecodeVoucher(payload []byte) (*Voucher, error) {
	var w wireVoucher
	extra, err := strictcbor.Unmarshal(payload, MaxVoucherSize, &w)
	if err != nil {
		return nil, err
	}
	if w.Version != VoucherVersion || len(w.Sponsor) != RIDSize {
		return nil, ErrVoucher
	}
	if err := CheckSigningKey(w.Identity); err != nil {
		return nil, err
	}
	return &Voucher{Sponsor: RID(w.Sponsor), Identity: w.Identity, Day: w.Day, Extra: extra}, nil
}

// SealVoucher returns the voucher signed and encoded. The sponsor signs with its
// identity key: a certificate would not fit. Errors: ErrKey; ErrVoucher when it is
// another relay's key, or beyond MaxVoucherSize.
func SealVoucher(v *Voucher, nid [NetworkIDSize]byte, sponsor ed25519.PrivateKey) ([]byte, error) {
	payload, err := v.Encode()
	if err != nil {
		return nil, err
	}
	public, ok := sponsor.Public().(ed25519.PublicKey)
	if !ok || NewRID(nid, public) != v.Sponsor {
		return nil, ErrVoucher
	}
	s := Sign(voucherKind, nid, sponsor, payload)
	return seal(&s, MaxVoucherSize, ErrVoucher)
}

// OpenVoucher reads a signed voucher; nothing is verified, since the sponsor's key
// is not in it. Errors: ErrVoucher, ErrKey, ErrSigned, and strictcbor's.
func OpenVoucher(data []byte) (*Voucher, *Signed, error) {
	s, err := DecodeSigned(data, MaxVoucherSize)
	if err != nil {
		return nil, nil, err
	}
	if s.Cert != nil {
		return nil, nil, ErrVoucher
	}
	v, err := DecodeVoucher(s.Payload)
	if err != nil {
		return nil, nil, err
	}
	return v, s, nil
}

// Verify reports whether the sponsor, whose identity key the caller knows, signed
// the voucher s, on a day not after today and less than VoucherDays ago.
// Errors: ErrVoucher, and Signed.Verify's.
func (v *Voucher) Verify(s *Signed, nid [NetworkIDSize]byte, sponsor ed25519.PublicKey, today uint16, now time.Time) error {
	if NewRID(nid, sponsor) != v.Sponsor || v.Day > today || today-v.Day >= VoucherDays || s.Cert != nil {
		return ErrVoucher
	}
	return s.Verify(voucherKind, nid, sponsor, now)
}
