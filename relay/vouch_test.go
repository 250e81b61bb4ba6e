// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"chive/directory"
	"chive/directory/genesis"
	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/sybil"
)

// vouches returns a voucher as the command of an operator makes it of a relay's status.
func (c *citizen) vouches(to *citizen) []byte {
	c.w.t.Helper()
	v := c.Status().Directory.Vouching
	if v.Why != "" {
		c.w.t.Fatalf("relay %d may not vouch: %s", c.n, v.Why)
	}
	text, err := record.NewVoucherText(c.w.doc.NetworkID(), c.identity, to.identity.Public().(ed25519.PublicKey), uint16(v.Day))
	if err != nil {
		c.w.t.Fatal(err)
	}
	again, err := record.ParseVoucherText(text.Encode())
	if err != nil {
		c.w.t.Fatal(err)
	}
	return again.Signed
}

// TestAVouchedRelayJoinsWhileAFloodHoldsTheOpenPlaces, with a public network's admission:
// its status says so meanwhile, and its sponsor's that it has vouched.
func TestAVouchedRelayJoinsWhileAFloodHoldsTheOpenPlaces(t *testing.T) {
	p, public := genesis.Testnet(), genesis.Public()
	p.AdmitRate, p.AdmitFloor, p.AdmitHold, p.VoucherShare, p.VoucherGap = public.AdmitRate, 2, public.AdmitHold, public.VoucherShare, public.VoucherGap
	inCity(t, 4, p, func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(1)
		sponsor := w.all[0]
		var flood []*citizen
		for range 5 {
			c := w.citizen()
			c.start()
			flood = append(flood, c)
		}
		guest := w.citizen()
		guest.voucher = sponsor.vouches(guest)
		guest.start()
		w.atEnd(4)
		d := guest.Status().Directory
		if d.Introduced != 3 || !strings.HasPrefix(d.Joining, "vouched, waiting: 3 of 3 relays introduce it; 1 place a day") {
			t.Errorf("on the first day: %+v", d)
		}
		if why := guest.Status().Directory.Vouching.Why; why != "it is not on the list" {
			t.Errorf("the newcomer may not vouch: %q", why)
		}
		day := time.Duration(p.Day) * p.EpochLen
		select {
		case <-guest.Listed():
		case <-time.After(2 * day):
			t.Fatalf("it is not on the list: %q", guest.Status().Directory.Joining)
		}
		in := 0
		for _, c := range flood {
			if c.Status().Directory.Listed {
				in++
			}
		}
		if in > 1 {
			t.Errorf("%d of the flood in a day", in)
		}
		w.atEnd(w.doc.EpochAt(time.Now()) + 1)
		if v := sponsor.Status().Directory.Vouching; !strings.Contains(v.Why, "may vouch again in 30 days") || v.From == 0 || v.Gap != 30 || v.Places != 1 {
			t.Errorf("the sponsor: %+v", v)
		}
	})
}

// TestJoiningWordsSayWhatBecomesOfAVoucher.
func TestJoiningWordsSayWhatBecomesOfAVoucher(t *testing.T) {
	for code, want := range map[gossip.JoinCode]string{
		0:                     "vouched, waiting: 2 of 3 relays introduce it; 5 places a day are for vouched relays",
		gossip.JoinVoucherOld: "refused: it has expired",
		gossip.JoinSponsor:    "refused: the sponsor may not vouch now",
		gossip.JoinSpent:      "refused: the sponsor has vouched for another relay",
	} {
		j := directory.Joining{Wanted: true, Offered: true, Accepted: 2, Vouched: code == 0, Voucher: code}
		if got := joiningWords(j, 5); !strings.Contains(got, want) {
			t.Errorf("%d: %q", code, got)
		}
	}
	if got := joiningWords(directory.Joining{Accepted: 1, Vouched: true}, sybil.Unlimited); !strings.HasSuffix(got, "the next list takes it") {
		t.Errorf("without a quota: %q", got)
	}
}
