// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/link"
)

// Limits of dialling relays back: who asks for it must not make this relay knock at
// doors. Spec: protocol §7 (REACH-2).
const (
	dialBackTimeout  = 5 * time.Second  // of one dial with its handshake
	dialBacksAtOnce  = 32               // under way, in all
	dialBackBurst    = 8                // of one asker: all its addresses, twice
	dialBackEvery    = 30 * time.Second // and then one so often
	dialBackNetBurst = 16               // of all askers in one IPv4 /24 or IPv6 /48
	dialBackNetEvery = 10 * time.Second
	dialBackAllBurst = 64 // of everybody
	dialBackAllEvery = 250 * time.Millisecond
	maxDialBackNotes = 4096 // askers, and networks, remembered: those of whom nothing is left to remember go, then who is new waits
	net4Bits         = 24
	net6Bits         = 48
)

// caller is a relay that may ask over its link to be dialled back.
type caller struct {
	rid    record.RID
	source netip.Addr // that the link comes from; zero: not known
}

// dialBacks bounds dials for others.
type dialBacks struct {
	mu     sync.Mutex
	all    *rate.Limiter
	under  int
	asking map[record.RID]bool // those with one under way
	askers map[record.RID]*rate.Limiter
	nets   map[netip.Prefix]*rate.Limiter
}

func newDialBacks() *dialBacks {
	return &dialBacks{
		all:    rate.NewLimiter(rate.Every(dialBackAllEvery), dialBackAllBurst),
		asking: map[record.RID]bool{}, askers: map[record.RID]*rate.Limiter{}, nets: map[netip.Prefix]*rate.Limiter{},
	}
}

// enter takes a dial for a. false: it has had enough lately, or everybody has.
func (d *dialBacks) enter(a *caller, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.under >= dialBacksAtOnce || d.asking[a.rid] {
		return false
	}
	one := noted(d.askers, a.rid, rate.Every(dialBackEvery), dialBackBurst, now)
	some := noted(d.nets, sourceNet(a.source), rate.Every(dialBackNetEvery), dialBackNetBurst, now)
	if one == nil || some == nil {
		return false
	}
	// What one of them refuses must not cost the others.
	if one.TokensAt(now) < 1 || some.TokensAt(now) < 1 || !d.all.AllowN(now, 1) {
		return false
	}
	one.AllowN(now, 1)
	some.AllowN(now, 1)
	d.under++
	d.asking[a.rid] = true
	return true
}

func (d *dialBacks) leave(a *caller) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.under--
	delete(d.asking, a.rid)
}

// noted returns the limiter of a key, or nil when there is no room for one more.
func noted[K comparable](all map[K]*rate.Limiter, key K, each rate.Limit, burst int, now time.Time) *rate.Limiter {
	if l := all[key]; l != nil {
		return l
	}
	if len(all) >= maxDialBackNotes {
		for k, l := range all {
			if l.TokensAt(now) >= float64(burst) {
				delete(all, k)
			}
		}
		if len(all) >= maxDialBackNotes {
			return nil
		}
	}
	l := rate.NewLimiter(each, burst)
	all[key] = l
	return l
}

// sourceNet is what counts as one source.
func sourceNet(a netip.Addr) netip.Prefix {
	bits := net6Bits
	if a.Is4() {
		bits = net4Bits
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// dialBack answers a REACH: it dials the asker at an address over a fresh link, which
// must prove the asker's identity. nil: the request is none, or nobody may ask it here.
func (r *Relay) dialBack(ctx context.Context, a *caller, body []byte) []byte {
	if a == nil {
		return nil
	}
	q, err := dirsync.DecodeRequest(body)
	if err != nil || q.Code != dirsync.CodeReach {
		return nil
	}
	if !r.mayDialBack(a, q.Address) {
		return dirsync.Reply(dirsync.ReachNotAllowed, a.source)
	}
	if r.draining() || !r.dialBacks.enter(a, time.Now()) {
		return dirsync.Reply(dirsync.ReachBusy, a.source)
	}
	defer r.dialBacks.leave(a)
	ctx, cancel := context.WithTimeout(ctx, dialBackTimeout)
	defer cancel()
	cfg := r.linkConfig()
	cfg.Identity = nil       // a throw-away key: the links between the two stay
	cfg.ClockSkew = anyClock // a relay whose clock is wrong is there; whose identity it has is looked at all the same
	cfg.Verify = r.expect(a.rid)
	l, err := link.Dial(ctx, r.cfg.Transport, q.Address, cfg)
	if err == nil {
		_ = l.Close()
	}
	return dirsync.Reply(reachOf(err), a.source)
}

// mayDialBack reports whether an address is the asker's as far as is known here: its
// link comes from there, or the newest table says so.
func (r *Relay) mayDialBack(a *caller, at netip.AddrPort) bool {
	if len(r.permitted([]netip.AddrPort{at})) == 0 || a.rid == r.rid {
		return false
	}
	return at.Addr() == a.source || slices.Contains(addressesOf(r.View().Table(), a.rid), at)
}

// reachOf says what became of a dial.
func reachOf(err error) dirsync.Reach {
	switch {
	case err == nil:
		return dirsync.Reached
	case errors.Is(err, link.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return dirsync.ReachTimeout
	case errors.Is(err, link.ErrUnreachable):
		return dirsync.ReachUnreachable
	case errors.Is(err, errOtherRelay), errors.Is(err, link.ErrHandshake), errors.Is(err, link.ErrSelf), errors.Is(err, link.ErrCertificateTime):
		return dirsync.ReachOther
	case errors.Is(err, link.ErrRefused), errors.Is(err, link.ErrConnection), errors.Is(err, link.ErrPeerClosed):
		return dirsync.ReachRefused
	}
	return dirsync.ReachBusy // a fault of this machine
}
