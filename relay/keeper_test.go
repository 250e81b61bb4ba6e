// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/netip"
	"testing"
	"time"

	"chive/directory"
	"chive/directory/record"
)

// noneCertified is an offline identity whose keeper fails.
type noneCertified struct{ public ed25519.PublicKey }

func (n noneCertified) Public() ed25519.PublicKey      { return n.public }
func (n noneCertified) Certified() (*Certified, error) { return nil, errors.New("gone") }

// TestStatementsWaitForTheSigner: what is to be signed while nothing can be is signed
// when it can again, the newest of it where that is much.
func TestStatementsWaitForTheSigner(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	r := &Relay{cfg: Config{Certified: noneCertified{key.Public().(ed25519.PublicKey)}}}
	k := &keeper{d: &replica{r: r, ctx: context.Background(), in: make(chan input, 1000)}, wake: make(chan struct{}, 1)}
	const asked = maxUnsigned + 10
	for i := range asked {
		k.sign(&record.Entry{Candidate: record.RID{byte(i), byte(i >> 8)}, Addresses: []netip.AddrPort{netip.MustParseAddrPort("1.2.3.4:5")}})
		if i%50 == 49 {
			if err := k.signAll(time.Now()); !errors.Is(err, ErrUncertified) {
				t.Fatal(err)
			}
		}
	}
	if err := k.signAll(time.Now()); !errors.Is(err, ErrUncertified) || len(k.entries) != maxUnsigned {
		t.Fatalf("%d statements wait: %v", len(k.entries), err)
	}
	r.cfg.Certified, r.cfg.Identity = nil, key
	if err := k.signAll(time.Now()); err != nil || len(k.entries) != 0 || len(k.d.in) != maxUnsigned {
		t.Fatalf("%d are signed: %v", len(k.d.in), err)
	}
	first := (<-k.d.in).event.(directory.EntrySigned)
	if want := (record.RID{byte(asked - maxUnsigned)}); first.RID != want {
		t.Errorf("the first is %x, want %x", first.RID, want)
	}
}
