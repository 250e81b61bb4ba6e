// SPDX-License-Identifier: BSD-3-Clause

package nat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Our own limits.
const (
	// DefaultLease is asked for; routers forget a relay that is gone within it.
	DefaultLease = time.Hour
	// DefaultTimeout is how long each method may take: routers answer within a second.
	DefaultTimeout = 3 * time.Second
	// retryInterval is between tries while no renewal works.
	retryInterval = time.Minute
	// releaseTimeout bounds what the end of a process may wait for a router.
	releaseTimeout = 2 * time.Second
	// leaseName is what a router shows of a lease. It does not name the program.
	leaseName = "port mapping"
)

// Config says what to map, and where to ask.
type Config struct {
	// Port is the TCP port that the relay listens at, and External the one to have
	// outside; 0: the same. A router may give another one.
	Port, External uint16
	// Lease and Timeout are as the defaults if 0.
	Lease, Timeout time.Duration
	// Gateway is the router; zero: the one of the default route, where the system tells.
	Gateway netip.Addr
	// Search is where UPnP routers are looked for; zero: the group 239.255.255.250:1900.
	Search netip.AddrPort
	// Addresses returns this machine's own addresses; nil: those of its interfaces.
	Addresses func() ([]netip.Addr, error)
}

// Method is how a mapping was made.
type Method string

// Methods.
const (
	Public Method = "public" // the machine itself has the address
	NATPMP Method = "nat-pmp"
	UPnP   Method = "upnp"
)

// Mapping is where others reach this machine, as far as the router says.
type Mapping struct {
	Method   Method
	External netip.AddrPort
	Lease    time.Duration // 0: it does not end by itself
}

// Cause is why a method did not work.
type Cause string

// Causes.
const (
	NoAnswer  Cause = "no answer"
	NoGateway Cause = "the router's address is not known"
	NoPort    Cause = "the router does not answer, or it refuses"
	Refused   Cause = "the router refuses"
	BadAnswer Cause = "the router's answer cannot be understood"
	BehindNAT Cause = "the router has no public address itself"
	Private   Cause = "no interface has a public address"
	Canceled  Cause = "given up"
)

// Error says why nobody reaches this machine, and what to do.
type Error struct {
	Causes map[Method]Cause
	port   uint16
	local  netip.Addr
}

// Error says it without any address.
func (e *Error) Error() string { return "nat: no public address and no port mapping" }

// Text is the reason in sentences, for the operator.
func (e *Error) Text() string {
	var parts []string
	for _, m := range []Method{Public, NATPMP, UPnP} {
		if c, ok := e.Causes[m]; ok {
			parts = append(parts, name(m)+": "+string(c))
		}
	}
	return "Others cannot reach this machine by themselves (" + strings.Join(parts, "; ") + ")."
}

// Fix is what the operator can do. It names this machine's own address.
func (e *Error) Fix() string {
	host := "this host"
	if e.local.IsValid() {
		host += " (" + e.local.String() + ")"
	}
	fix := fmt.Sprintf("Forward TCP port %d on your router to %s, port %d, or allow NAT-PMP or UPnP there.", e.port, host, e.port)
	if e.Causes[NATPMP] == BehindNAT || e.Causes[UPnP] == BehindNAT {
		fix = "Your provider shares one address among several customers: ask it for a public IPv4 address, or use IPv6. A forwarded port on your router does not help."
	}
	return fix
}

func name(m Method) string {
	switch m {
	case NATPMP:
		return "NAT-PMP"
	case UPnP:
		return "UPnP"
	}
	return "own addresses"
}

// failure is a cause on its way up.
type failure struct{ cause Cause }

func (f failure) Error() string { return "nat: " + string(f.cause) }

// causeOf returns the cause of err.
func causeOf(err error) Cause {
	var f failure
	var n net.Error
	switch {
	case errors.As(err, &f):
		return f.cause
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.As(err, &n) && n.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return NoAnswer
	}
	return NoAnswer // refused or unreachable: nobody is there
}

// method asks one kind of router.
type method interface {
	// add makes or renews a mapping of the port.
	add(ctx context.Context, port, external uint16, lease time.Duration) (Mapping, error)
	// remove ends it.
	remove(ctx context.Context, port, external uint16) error
}

// Mapper holds a mapping until it is released.
type Mapper struct {
	cfg     Config
	mapping Mapping
	by      method // nil: the address is public
}

// Map looks for a public address and, without one, asks the router for a mapping. The
// mapping lasts for its lease: call Run. It takes at most about two timeouts.
// Errors: *Error; context.Canceled.
func Map(ctx context.Context, cfg Config) (*Mapper, error) {
	if cfg.External == 0 {
		cfg.External = cfg.Port
	}
	if cfg.Lease <= 0 {
		cfg.Lease = DefaultLease
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Addresses == nil {
		cfg.Addresses = interfaceAddrs
	}
	m := &Mapper{cfg: cfg}
	if err := m.find(ctx); err != nil {
		return nil, err
	}
	return m, nil
}

// Mapping returns what holds now.
func (m *Mapper) Mapping() Mapping { return m.mapping }

// find tries each method.
func (m *Mapper) find(ctx context.Context) error {
	own, err := m.cfg.Addresses()
	if err != nil {
		own = nil
	}
	e := &Error{Causes: map[Method]Cause{Public: Private}, port: m.cfg.Port}
	var six netip.Addr
	for _, a := range own {
		switch a = a.Unmap(); {
		case IsPublic(a) && a.Is4():
			m.by, m.mapping = nil, Mapping{Method: Public, External: netip.AddrPortFrom(a, m.cfg.Port)}
			return nil
		case IsPublic(a) && !six.IsValid():
			six = a
		}
	}
	gateway := m.cfg.Gateway
	if !gateway.IsValid() {
		gateway = defaultGateway()
	}
	e.local = localToward(gateway)
	for _, try := range []struct {
		name Method
		make func() method
	}{
		{NATPMP, func() method { return newNATPMP(gateway, m.cfg.Timeout) }},
		{UPnP, func() method { return newUPnP(gateway, e.local, m.cfg.Search) }},
	} {
		if try.name == NATPMP && !gateway.IsValid() {
			e.Causes[NATPMP] = NoGateway
			continue
		}
		by := try.make()
		mapping, err := m.add(ctx, by, m.cfg.External)
		if err == nil {
			m.by, m.mapping = by, mapping
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		e.Causes[try.name] = causeOf(err)
	}
	if six.IsValid() { // better than nothing: those with IPv6 reach it
		m.by, m.mapping = nil, Mapping{Method: Public, External: netip.AddrPortFrom(six, m.cfg.Port)}
		return nil
	}
	return e
}

// add asks by one method. A router that is behind another one is of no use: what it
// gave is given back.
func (m *Mapper) add(ctx context.Context, by method, external uint16) (Mapping, error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	mapping, err := by.add(ctx, m.cfg.Port, external, m.cfg.Lease)
	if err != nil {
		return Mapping{}, err
	}
	if !IsPublic(mapping.External.Addr()) {
		_ = by.remove(ctx, m.cfg.Port, mapping.External.Port()) // it ends by itself, too
		return Mapping{}, failure{BehindNAT}
	}
	return mapping, nil
}

// Run renews the mapping until ctx ends, then releases it. changed is called when
// another address or port holds, or (with the error) when none does any more; nil is
// allowed. It returns when all is done.
func (m *Mapper) Run(ctx context.Context, changed func(Mapping, error)) {
	lost := false
	for {
		wait := m.cfg.Lease / 2
		if m.by != nil && m.mapping.Lease > 0 {
			wait = m.mapping.Lease / 2
		}
		if lost {
			wait = min(wait, retryInterval)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			m.release(context.WithoutCancel(ctx))
			return
		}
		before := m.mapping
		err := m.Renew(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil && !lost || err == nil && (lost || m.mapping.External != before.External):
			lost = err != nil
			if changed != nil {
				changed(m.mapping, err)
			}
		}
	}
}

// Renew renews the lease, or finds another way if that fails. Errors: as Map.
func (m *Mapper) Renew(ctx context.Context) error {
	if m.by != nil {
		if mapping, err := m.add(ctx, m.by, m.mapping.External.Port()); err == nil {
			m.mapping = mapping
			return nil
		}
	}
	return m.find(ctx)
}

// Release ends the lease at the router. Who calls Run need not call it.
func (m *Mapper) Release(ctx context.Context) { m.release(ctx) }

func (m *Mapper) release(ctx context.Context) {
	if m.by == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	_ = m.by.remove(ctx, m.cfg.Port, m.mapping.External.Port()) // it ends by itself, too
	m.by, m.mapping = nil, Mapping{}
}
