// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"time"
)

// MaxVoucherTextSize bounds what ParseVoucherText reads, in bytes.
const MaxVoucherTextSize = 512

const (
	voucherTextPrefix = "chive-voucher:"
	// voucherTextVersion is the first byte behind the prefix.
	voucherTextVersion = 1
	voucherTextHead    = 1 + NetworkIDSize + ed25519.PublicKeySize
)

// VoucherText is a voucher as people hand it on: with the network that it is for and
// with its sponsor's key, so that who is given it can verify it alone.
//
//	"chive-voucher:" base64url( version 1 | nid 32 | sponsor's identity 32 | signed voucher )
//
// Spec: protocol §7 (REC-8).
type VoucherText struct {
	Network [NetworkIDSize]byte
	Sponsor ed25519.PublicKey
	Signed  []byte // as in a candidate
	Voucher *Voucher
}

// voucherTextCode has no padding and takes no bits that are not used.
func voucherTextCode() *base64.Encoding { return base64.RawURLEncoding.Strict() }

// NewVoucherText seals a voucher of the sponsor's for a candidate, given on a day of the
// network. Errors: SealVoucher's.
func NewVoucherText(nid [NetworkIDSize]byte, sponsor ed25519.PrivateKey, candidate ed25519.PublicKey, day uint16) (*VoucherText, error) {
	public, ok := sponsor.Public().(ed25519.PublicKey)
	if !ok || public.Equal(candidate) {
		return nil, ErrVoucher
	}
	v := &Voucher{Sponsor: NewRID(nid, public), Identity: candidate, Day: day}
	signed, err := SealVoucher(v, nid, sponsor)
	if err != nil {
		return nil, err
	}
	return &VoucherText{Network: nid, Sponsor: public, Signed: signed, Voucher: v}, nil
}

// Encode returns the text, one line without its end.
func (t *VoucherText) Encode() string {
	data := append([]byte{voucherTextVersion}, t.Network[:]...)
	data = append(append(data, t.Sponsor...), t.Signed...)
	return voucherTextPrefix + voucherTextCode().EncodeToString(data)
}

// ParseVoucherText reads what Encode wrote, white space around it aside, and verifies
// that the sponsor signed it for that network. Whether it is of this time, and whether
// the sponsor may vouch, is not looked at. Error: ErrVoucher.
func ParseVoucherText(text string) (*VoucherText, error) {
	if len(text) > MaxVoucherTextSize {
		return nil, ErrVoucher
	}
	code, ok := strings.CutPrefix(strings.TrimSpace(text), voucherTextPrefix)
	if !ok || strings.ContainsAny(code, "\r\n") { // which base64 would skip
		return nil, ErrVoucher
	}
	data, err := voucherTextCode().DecodeString(code)
	if err != nil || len(data) <= voucherTextHead || data[0] != voucherTextVersion {
		return nil, ErrVoucher
	}
	t := &VoucherText{
		Network: [NetworkIDSize]byte(data[1:]), Sponsor: ed25519.PublicKey(data[1+NetworkIDSize : voucherTextHead : voucherTextHead]),
		Signed: data[voucherTextHead:],
	}
	v, signed, err := OpenVoucher(t.Signed)
	if err != nil || CheckSigningKey(t.Sponsor) != nil || v.Identity.Equal(t.Sponsor) {
		return nil, ErrVoucher
	}
	if v.Verify(signed, t.Network, t.Sponsor, v.Day, time.Time{}) != nil { // without a cert no time matters
		return nil, ErrVoucher
	}
	t.Voucher = v
	return t, nil
}
