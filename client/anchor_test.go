// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	dirsync "chive/directory/sync"
)

// anchor makes one of the chain's state of an epoch.
func (c *chain) anchor(epoch int) *dirsync.AnchorFile {
	c.v.t.Helper()
	a, err := dirsync.Final{State: c.states[epoch], Certificate: c.certs[epoch]}.AnchorFile()
	if err != nil {
		c.v.t.Fatal(err)
	}
	return a
}

// A client whose genesis document is older than the network's limit does not start; with
// an anchor it does, and goes on from its own state afterwards.
// Spec: protocol §7 (ANC-2, BOOT-2), directory §8 (COLD).
func TestAnAnchorStartsAClientWhoseGenesisIsTooOld(t *testing.T) {
	inVillage(t, 5, func(t *testing.T, v *village) {
		v.doc.Params.AnchorAge = 20 * v.doc.Params.EpochLen
		c := v.chain().grow(40, 0)
		for _, r := range v.relays {
			r.holds(c.server())
		}
		v.epoch(40)
		w := v.walk(nil)
		if err := w.obtain(t.Context(), 0); !errors.Is(err, errAnchor) {
			t.Fatalf("without: %v", err)
		}
		if _, text := w.troubleOf(errAnchor); text == "" {
			t.Error("nothing is said")
		}
		w.end()

		w = v.walk(func(cfg *Config) { cfg.Anchor = c.anchor(30) })
		if !w.dir.grounded || len(w.fallbacks()) != 5 {
			t.Fatal("it does not begin with the anchor")
		}
		if err := w.obtain(t.Context(), 0); err != nil || w.held() != 39 {
			t.Fatalf("with: %v, at %d", err, w.held())
		}
		if w.fallbacks() != nil || w.mem.saves != 1 {
			t.Error("the anchor is asked on")
		}
		made, err := w.Client.Anchor(t.Context())
		if err != nil || made.Epoch() != 39 {
			t.Errorf("an anchor of it: %v", err)
		}
		w.end()

		again := v.walk(func(cfg *Config) { cfg.Directory, cfg.Anchor = w.mem, c.anchor(30) })
		if again.held() != 39 || again.dir.grounded {
			t.Errorf("the saved list is not preferred: epoch %d", again.held())
		}
		again.end()

		late := v.walk(func(cfg *Config) { cfg.Anchor = c.anchor(10) })
		if err := late.obtain(t.Context(), 0); !errors.Is(err, errAnchor) {
			t.Errorf("from an anchor beyond the limit: %v", err)
		}
		late.end()
		other := document(t, "other", 5)
		if _, err := New(Config{Genesis: other, Transport: v.net.Host(placeFor(1).Addr()), Rand: zeros{}, Anchor: c.anchor(30)}); !errors.Is(err, dirsync.ErrAnchorNetwork) {
			t.Errorf("the anchor of another network: %v", err)
		}
	})
}

// Where the founders are gone, the anchor's relays are there to be asked.
func TestAnAnchorsRelaysAreAskedWhereTheFoundersAreGone(t *testing.T) {
	inVillage(t, 5, func(t *testing.T, v *village) {
		c := v.chain().grow(30, 0)
		for _, r := range v.relays {
			r.holds(c.server())
		}
		v.epoch(30)
		a := c.anchor(25)
		moved := *a // as if one had moved since genesis
		moved.Fallback = slices.Clone(a.Fallback)
		home := netip.AddrPortFrom(netip.AddrFrom4([4]byte{77, 1, 0, 1}), 9240)
		for i := range moved.Fallback {
			if moved.Fallback[i].RID == v.relays[4].rid {
				moved.Fallback[i].Addresses = []netip.AddrPort{home}
			}
		}
		for _, r := range v.relays {
			v.net.Kill(r.addr.Addr())
		}
		v.relays[4].addr = home
		v.relays[4].start(0)
		w := v.walk(func(cfg *Config) { cfg.Anchor = &moved })
		defer w.end()
		began := time.Now()
		if err := w.obtain(t.Context(), 0); err != nil || w.held() != 29 {
			t.Errorf("%v after %v, at %d", err, time.Since(began), w.held())
		}
	})
}
