// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"strings"
	"testing"
)

func voucherText(t testing.TB) *VoucherText {
	return must(NewVoucherText(nid(), signingKey("sponsor"), publicKey("identity"), today))(t)
}

// Spec: REC-8.
func TestVoucherTextRoundTrip(t *testing.T) {
	text := voucherText(t).Encode()
	for _, s := range []string{text, text + "\n", " \n" + text + "\r\n"} {
		got, err := ParseVoucherText(s)
		if err != nil {
			t.Fatal(err)
		}
		if got.Network != nid() || !got.Sponsor.Equal(publicKey("sponsor")) || !got.Voucher.Identity.Equal(publicKey("identity")) ||
			got.Voucher.Day != today || got.Voucher.Sponsor != ridOf("sponsor") || got.Encode() != text {
			t.Errorf("%+v", got)
		}
	}
	if len(text) > 320 {
		t.Errorf("%d characters", len(text))
	}
	if _, err := NewVoucherText(nid(), signingKey("sponsor"), publicKey("sponsor"), today); err == nil {
		t.Error("it vouches for itself")
	}
}

// Spec: REC-8.
func TestVoucherTextRefusesWhatWasChanged(t *testing.T) {
	text := voucherText(t).Encode()
	for n := range len(text) {
		if _, err := ParseVoucherText(text[:n]); err == nil {
			t.Fatalf("cut to %d: accepted", n)
		}
		if c := text[n]; c != 'A' {
			if _, err := ParseVoucherText(text[:n] + "A" + text[n+1:]); err == nil {
				t.Fatalf("character %d changed: accepted", n)
			}
		}
	}
	for name, s := range map[string]string{
		"a byte more": text + "A", "padding": text + "=", "a line inside": text[:60] + "\n" + text[60:],
		"a space inside": text[:60] + " " + text[60:], "too long": text + strings.Repeat(" ", MaxVoucherTextSize), "two": text + "\n" + text,
		"another network": (&VoucherText{Sponsor: publicKey("sponsor"), Signed: sealedVoucher(t)}).Encode(),
		"another sponsor": (&VoucherText{Network: nid(), Sponsor: publicKey("entry"), Signed: sealedVoucher(t)}).Encode(),
	} {
		if _, err := ParseVoucherText(s); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzVoucherText(f *testing.F) {
	f.Add(voucherText(f).Encode())
	f.Add("chive-voucher:AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVoucherText(s)
		if err == nil && v.Encode() != strings.TrimSpace(s) {
			t.Fatalf("became %s", v.Encode())
		}
	})
}
