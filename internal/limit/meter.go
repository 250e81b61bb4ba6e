// SPDX-License-Identifier: BSD-3-Clause

package limit

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Meter bounds and counts the bytes that all its connections read from and write
// to their sockets: in any window t at most rate x t + burst in each direction.
// Who waits gets his turns in the order of asking, so busy connections share
// equally. The zero value counts, and bounds nothing.
//
// A turn is a 128th of a second's bytes, at least 2 KiB: where n connections are
// busy at once, each has one about every n/128 s.
//
// Spec: product §6 (REL-4).
type Meter struct {
	in, out flow

	mu       sync.Mutex
	count    Count  // of the bounds
	inBound  *bound // nil: none; both are one where the sum counts
	outBound *bound
}

// SetRate sets bytes per second and burst in bytes, each way, at once for every
// connection. A rate of 0 is no limit; a burst of 0 is one second's bytes. A read or
// write that is under way while a limit is first set passes, and is charged.
func (m *Meter) SetRate(rate, burst int64) {
	m.in.setRate(rate, burst)
	m.out.setRate(rate, burst)
}

// Rate returns what SetRate has set; 0 is no limit.
func (m *Meter) Rate() (rate, burst int64) {
	m.out.mu.Lock()
	defer m.out.mu.Unlock()
	if m.out.rate == 0 {
		return 0, 0
	}
	return m.out.rate, m.out.burst / nano
}

// Counted returns the bytes read and written since the start.
func (m *Meter) Counted() (in, out uint64) { return m.in.total.Load(), m.out.total.Load() }

// Waited returns for how long the rate has held something back since the start, reads and
// writes apart: for how long anybody waited for a turn.
func (m *Meter) Waited() (in, out time.Duration) { return m.in.waiting(), m.out.waiting() }

// Carrier carries links; link.Transport is one.
type Carrier interface {
	// Dial connects to addr; it ends early when ctx does.
	Dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	// Listen accepts connections at addr.
	Listen(addr netip.AddrPort) (net.Listener, error)
}

// Transport is a Carrier whose connections are under a Meter. It is a link.Transport
// by shape. Both fields must be set.
type Transport struct {
	Under Carrier
	Meter *Meter
}

// Dial connects to addr; it ends early when ctx does.
func (t Transport) Dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	c, err := t.Under.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return t.Meter.Conn(c), nil
}

// Listen accepts connections at addr.
func (t Transport) Listen(addr netip.AddrPort) (net.Listener, error) {
	l, err := t.Under.Listen(addr)
	if err != nil {
		return nil, err
	}
	return t.Meter.Listener(l), nil
}

// Listener puts what l accepts under the meter.
func (m *Meter) Listener(l net.Listener) net.Listener { return listener{l, m} }

type listener struct {
	net.Listener
	meter *Meter
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.meter.Conn(c), nil
}
