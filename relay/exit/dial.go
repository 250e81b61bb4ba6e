// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"chive/directory/record"
)

// Times of a dial. Spec: protocol §6, security B16.
const (
	dialTimeout = 10 * time.Second       // from Dial to its result, look-up included
	stagger     = 250 * time.Millisecond // between attempts at one name's addresses
)

// Conn is a connection to a destination. Close gives its place back.
type Conn struct {
	net.Conn
	addr  netip.AddrPort
	once  sync.Once
	leave func()
}

// Target returns the address connected to, never a mapped one.
func (c *Conn) Target() netip.AddrPort { return c.addr }

// Close closes both directions. Reads and writes under way end.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.leave)
	return err
}

// CloseWrite says that no more is sent; reading goes on. Where the network
// cannot say that the error is errors.ErrUnsupported.
func (c *Conn) CloseWrite() error {
	if h, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SetLinger with 0 makes Close a reset. Where the network cannot do that the
// error is errors.ErrUnsupported.
func (c *Conn) SetLinger(seconds int) error {
	if l, ok := c.Conn.(interface{ SetLinger(int) error }); ok {
		return l.SetLinger(seconds)
	}
	return errors.ErrUnsupported
}

// Dial connects to a port of a host: a name, which is resolved here, or the text
// of an address, IPv6 with or without brackets. Several addresses are tried a
// quarter of a second apart, versions in turn, IPv4 first unless preferIPv6.
//
// It waits ten seconds at most, or until ctx or the circuit ends. Errors are of
// type Error: ReasonPolicy, ReasonBusy at a cap, ReasonProtocol for port 0, or what
// look-up and connecting failed of.
//
// Spec: protocol §6, product REL-3, security B15, B16.
func (c *Circuit) Dial(ctx context.Context, host string, port uint16, preferIPv6 bool) (*Conn, error) {
	conn, err := c.dial(ctx, host, port, preferIPv6)
	c.exit.count.streams[ReasonOf(err)].Add(1)
	return conn, err
}

func (c *Circuit) dial(ctx context.Context, host string, port uint16, preferIPv6 bool) (*Conn, error) {
	if err := c.mayBegin(); err != nil {
		return nil, err
	}
	if err := c.take(streams); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	under := &stop{cancel}
	c.enter(under)
	won, err := c.reach(ctx, host, port, preferIPv6)
	c.leave(under)
	if err != nil {
		c.give(streams)
		return nil, Error{ReasonOf(err)}
	}
	conn := &Conn{Conn: won.conn, addr: netip.AddrPortFrom(won.to.Addr().Unmap(), won.to.Port())}
	open := &stop{func() { _ = conn.Close() }}
	conn.leave = func() {
		c.leave(open)
		c.give(streams)
	}
	c.enter(open)
	return conn, nil
}

// reach resolves, judges and connects.
func (c *Circuit) reach(ctx context.Context, host string, port uint16, preferIPv6 bool) (attempt, error) {
	targets, err := c.targets(ctx, record.TCP, host, port)
	if err != nil {
		return attempt{}, err
	}
	return c.race(ctx, interleave(targets, preferIPv6))
}

// targets returns what may be contacted for a host and port, at least one.
func (c *Circuit) targets(ctx context.Context, protocol byte, host string, port uint16) ([]netip.AddrPort, error) {
	e := c.exit
	if port == 0 {
		return nil, Error{ReasonProtocol}
	}
	if !e.policy.Load().permitsSome(protocol, port) {
		return nil, e.count.denied()
	}
	d, err := e.parseHost(host)
	if err != nil {
		return nil, err
	}
	addrs := []netip.Addr{d.addr}
	if d.name != "" {
		a, err := c.ask(ctx, question{name: d.name})
		if err != nil {
			return nil, err
		}
		addrs = a.addrs
	}
	return e.permitted(protocol, addrs, port)
}

// interleave orders addresses so that the versions take turns.
func interleave(targets []netip.AddrPort, preferIPv6 bool) []netip.AddrPort {
	var first, second []netip.AddrPort
	for _, t := range targets {
		if t.Addr().Is6() == preferIPv6 {
			first = append(first, t)
		} else {
			second = append(second, t)
		}
	}
	var out []netip.AddrPort
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			out = append(out, first[i])
		}
		if i < len(second) {
			out = append(out, second[i])
		}
	}
	return out
}

// attempt is the result of one connect.
type attempt struct {
	conn net.Conn
	to   netip.AddrPort
	err  error
}

// race connects to the targets in turn, the next one when a quarter of a second
// has passed or an attempt failed, and returns the first connection. Each
// attempt under way holds a unit of connects; where none is free, only the first
// attempt's absence is an error.
func (c *Circuit) race(ctx context.Context, targets []netip.AddrPort) (attempt, error) {
	if err := c.take(connects); err != nil {
		return attempt{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan attempt)
	over := make(chan struct{}) // attempts that end later clean up after themselves
	defer close(over)
	begin := func() { // with a unit of connects in hand
		to := targets[0]
		targets = targets[1:]
		go func() {
			conn, err := c.exit.net.DialTCP(ctx, to)
			select {
			case results <- attempt{conn, to, err}:
			case <-over:
				if err == nil {
					_ = conn.Close()
				}
				c.give(connects)
			}
		}()
	}
	begin()
	running := 1
	next := time.NewTimer(stagger)
	defer next.Stop()
	reason := ReasonInternal
	for {
		select {
		case r := <-results:
			if r.err == nil {
				c.give(connects)
				return r, nil
			}
			if failed := ReasonOf(r.err); failed.worth() >= reason.worth() {
				reason = failed
			}
			if len(targets) > 0 {
				begin() // with the unit of the one that failed
				next.Reset(stagger)
				continue
			}
			c.give(connects)
			running--
			if running == 0 {
				return attempt{}, Error{reason}
			}
		case <-next.C:
			if len(targets) == 0 {
				continue
			}
			if c.take(connects) == nil {
				begin()
				running++
			}
			next.Reset(stagger)
		case <-ctx.Done():
			if failed := ReasonOf(ctx.Err()); failed.worth() >= reason.worth() {
				reason = failed
			}
			return attempt{}, Error{reason}
		}
	}
}
