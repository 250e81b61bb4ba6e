// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"chive/directory/record"
	"chive/internal/config"
	"chive/internal/nat"
	"chive/relay"
)

// NATOptions say how a relay finds out where others reach it when nobody says it: by a
// public address of this machine, or by a port that the router forwards. The relay's port
// is put in; zero: the router that this machine's routes name.
type NATOptions struct {
	nat.Config
	Testnet bool // in a testnet, too: those are on one machine as a rule
}

// NATOf returns what a configuration says about it; nil: nobody is asked.
func NATOf(cfg *config.Config) *NATOptions {
	if !cfg.Relay.NAT {
		return nil
	}
	return &NATOptions{Testnet: cfg.Given("relay.nat")}
}

// missingCode is the fault of a relay that nobody would reach.
const missingCode = "address_missing"

// place is where others reach a relay whose operator has not said it. It is found anew at
// each start, and is not kept.
type place struct {
	mapper *nat.Mapper                      // nil: the operator has said it
	at     atomic.Pointer[[]netip.AddrPort] // nil: same
	how    atomic.Pointer[string]           // what the router does; nil: nothing
}

// forwarded says what the router does; empty: nothing is asked of one.
func (p *place) forwarded() string {
	if how := p.how.Load(); how != nil {
		return *how
	}
	return ""
}

// release ends a lease at the router. It is not called while the mapper runs.
func (p *place) release() {
	if p.mapper != nil {
		p.mapper.Release(context.Background())
	}
}

// addresses are where others reach a relay that declares d: as its operator says, or as
// was found.
func (r *relayRun) addresses(d *declared) []netip.AddrPort {
	if at := r.place.at.Load(); len(d.Addresses) == 0 && at != nil {
		return *at
	}
	return d.Addresses
}

// asks reports whether a router may be asked for a port.
func (r *relayRun) asks() bool {
	at, n := r.listen.Addr(), r.o.NAT
	return n != nil && (!r.doc.Testnet || n.Testnet) && r.listen.Port() != 0 && (at.IsUnspecified() || !at.IsLoopback() && !record.Public(at))
}

// locate finds where others reach the relay. What it returns is to be kept as if it had
// been said; nothing: the place is found anew at each start, and followed. Fault:
// address_missing. Spec: product REL-8.
func (r *relayRun) locate(ctx context.Context) ([]netip.AddrPort, error) {
	if r.place.at.Load() != nil {
		return nil, nil
	}
	own, err := ownAddress(r.listen)
	if !r.asks() {
		if f := (*Fault)(nil); r.doc.Testnet && errors.As(err, &f) {
			f.Fix = "In a testnet on one machine have the relay listen there: --listen 127.0.0.1:PORT. Between machines say the address of this one: --address IP:PORT. Or go on without: --no-relay."
		}
		return []netip.AddrPort{own}, err
	}
	tell := teller(r.o.Tell)
	if err != nil || !record.Public(own.Addr()) {
		tell("This machine has no public address of its own: the router is asked to forward TCP port " + strconv.Itoa(int(r.listen.Port())) + ".")
	}
	cfg := r.o.NAT.Config
	cfg.Port = r.listen.Port()
	cfg.Addresses = r.interfaces
	m, err := r.ask(ctx, cfg)
	if err != nil {
		return nil, err
	}
	r.place.mapper = m
	r.settle(m.Mapping())
	if text := r.place.forwarded(); text != "" {
		tell(text)
	}
	return nil, nil
}

// How long after a router that forwarded nothing it is asked again: at first, and at most.
// systemd gives a start more time with each (startExtension).
const (
	askAgain = 15 * time.Second
	askMost  = 90 * time.Second
)

// ask asks for a port, again and again where the options say so: a router may start later
// than this machine, or be told later that it may forward. Fault: address_missing.
func (r *relayRun) ask(ctx context.Context, cfg nat.Config) (*nat.Mapper, error) {
	for wait := cmp.Or(r.o.AskAgain, askAgain); ; wait = min(2*wait, askMost) {
		m, err := nat.Map(ctx, cfg)
		var none *nat.Error
		if !errors.As(err, &none) {
			return m, err
		}
		f := fault(Usage, missingCode, none.Fix()+" Then say where others reach it: chive relay init --address IP:PORT.",
			"%s", "This machine has no public address of its own, and no router forwards a port to it, so nobody would reach a relay on it. "+strings.TrimSuffix(none.Text(), "."))
		f.later = true
		if r.o.Waits == nil {
			return nil, f
		}
		r.o.Waits(f)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		}
	}
}

// forwardText says what a router does.
func forwardText(m nat.Mapping) string {
	how := "NAT-PMP"
	if m.Method == nat.UPnP {
		how = "UPnP"
	}
	text := "The router forwards " + m.External.String() + " to this machine (" + how + ")."
	if m.Lease == 0 {
		text += " It knows no leases: the entry, \"port mapping\", is removed when the relay ends in order, and stays after a crash until it runs again or you remove it in the router."
	}
	return text
}

// interfaces are those of this machine's addresses at which the relay listens, and which last.
func (r *relayRun) interfaces() ([]netip.Addr, error) {
	own := func() ([]netip.Addr, error) {
		lasting, _, err := lastingAddrs()
		return lasting, err
	}
	if r.o.NAT.Addresses != nil {
		own = r.o.NAT.Addresses
	}
	all, err := own()
	at := r.listen.Addr()
	return slices.DeleteFunc(all, func(a netip.Addr) bool {
		a = a.Unmap()
		return at.Is4() && !a.Is4() || !at.IsUnspecified() && at.Unmap() != a
	}), err
}

// settle takes where the relay is. One that has a public IPv6 address and listens there is
// reached at that, too.
func (r *relayRun) settle(m nat.Mapping) {
	r.place.how.Store(nil)
	if m.Method != nat.Public {
		text := forwardText(m)
		r.place.how.Store(&text)
	}
	at := []netip.AddrPort{m.External}
	if own, err := r.interfaces(); err == nil && m.External.Addr().Is4() {
		if i := slices.IndexFunc(own, func(a netip.Addr) bool { return a.Is6() && record.Public(a) }); i >= 0 {
			at = append(at, netip.AddrPortFrom(own[i], r.listen.Port()))
		}
	}
	r.place.at.Store(&at)
}

// stay renews the lease, and follows it where it goes, until ctx ends; then it ends it.
func (r *relayRun) stay(ctx context.Context, tell func(string)) {
	if r.place.mapper == nil {
		return
	}
	r.place.mapper.Run(ctx, func(m nat.Mapping, err error) {
		var none *nat.Error
		if errors.As(err, &none) {
			tell("No router forwards a port to this relay any more, so others do not reach it. It goes on trying. " + none.Text() + " " + none.Fix())
			return
		}
		if err == nil {
			r.move(m)
			tell("Others reach this relay at " + m.External.String() + " from now on; it is tested, and published then.")
		}
	})
}

// move has the relay say where it is now.
func (r *relayRun) move(m nat.Mapping) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settle(m)
	to := r.addresses(r.declares())
	if checkPublic(r.doc, to) == nil {
		_ = r.live.Load().ChangeAbout(func(a *relay.About) { a.Addresses = to }) // it keeps what it said if that cannot be said
	}
}
