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

// MaxDatagramSize is the largest payload sent or received, in bytes.
const MaxDatagramSize = 1_770

// Bounds of an association. Spec: product UDP-3, security B18.
const (
	maxQueued = 64               // datagrams that wait for Receive
	maxWait   = 2 * time.Second  // the longest they wait
	maxIdle   = 60 * time.Second // without a datagram either way
	maxFaults = 16               // failed reads in a row before a socket counts as broken
)

// Association is one UDP association: a socket for IPv4 and one for IPv6, each
// opened when it is first needed.
//
// Spec: product UDP-2 to UDP-4.
type Association struct {
	circuit *Circuit
	idle    *time.Timer
	stop    *stop
	wake    chan struct{} // holds a token while the queue may hold something
	done    chan struct{} // closed at the end

	mu      sync.Mutex
	sockets [2]net.PacketConn // IPv4, IPv6
	peers   peers
	queue   []received // the oldest first
	used    time.Time  // of the last datagram either way
	err     error      // why it ended
}

type received struct {
	payload []byte
	from    netip.AddrPort
	at      time.Time
}

// OpenUDP opens an association. It does not wait. Errors are of type Error:
// ReasonPolicy when the exit permits no UDP, ReasonBusy at a cap.
//
// Spec: protocol §6, security B18.
func (c *Circuit) OpenUDP() (*Association, error) {
	if !c.exit.policy.Load().permitsSome(record.UDP, 0) {
		return nil, c.exit.count.denied()
	}
	if err := c.take(associations); err != nil {
		return nil, err
	}
	a := &Association{circuit: c, wake: make(chan struct{}, 1), done: make(chan struct{}), used: time.Now()}
	a.stop = &stop{func() { a.end(Error{ReasonReset}) }}
	a.mu.Lock() // expire looks at idle
	a.idle = time.AfterFunc(maxIdle, a.expire)
	a.mu.Unlock()
	c.enter(a.stop)
	return a, nil
}

// Send sends one datagram to a port of a host, as Dial reads it; payload may be
// reused afterwards. A name goes to the first of its addresses that takes the
// datagram, IPv4 first. Policy and judge see every datagram.
//
// It waits for a look-up of a name that is not cached, five seconds at most, or
// until ctx or the circuit ends; otherwise it does not wait. Errors are of
// type Error and leave the association open: ReasonProtocol for port 0 or a
// payload above MaxDatagramSize, ReasonPolicy, or what look-up and sending failed
// of. After the end the error is that of the end.
//
// Spec: product UDP-4.
func (a *Association) Send(ctx context.Context, host string, port uint16, payload []byte) error {
	if err := a.ended(); err != nil {
		return err
	}
	if len(payload) > MaxDatagramSize {
		return Error{ReasonProtocol}
	}
	targets, err := a.circuit.targets(ctx, record.UDP, host, port)
	if err != nil {
		return err
	}
	reason := ReasonInternal
	for _, t := range targets {
		err := a.sendTo(ctx, t, payload)
		if err == nil {
			a.circuit.exit.count.out.Add(1)
			return nil
		}
		if failed := ReasonOf(err); failed.worth() >= reason.worth() {
			reason = failed
		}
	}
	if err := a.ended(); err != nil {
		return err
	}
	return Error{reason}
}

// sendTo sends to an address that policy and judge let pass.
func (a *Association) sendTo(ctx context.Context, to netip.AddrPort, payload []byte) error {
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	s, err := a.socket(ctx, to.Addr().Is6())
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.peers.add(to) // before it is sent: the answer may be quick
	a.used = time.Now()
	a.mu.Unlock()
	_, err = s.WriteTo(payload, net.UDPAddrFromAddrPort(to))
	return err
}

// socket returns the socket of an IP version, and opens it the first time.
func (a *Association) socket(ctx context.Context, six bool) (net.PacketConn, error) {
	i, local := 0, netip.IPv4Unspecified()
	if six {
		i, local = 1, netip.IPv6Unspecified()
	}
	a.mu.Lock()
	s, err := a.sockets[i], a.err
	a.mu.Unlock()
	if s != nil || err != nil {
		return s, err
	}
	fresh, err := a.circuit.exit.net.ListenUDP(ctx, local)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	s, err = a.sockets[i], a.err
	if s == nil && err == nil {
		s, a.sockets[i] = fresh, fresh
	}
	a.mu.Unlock()
	if err != nil || s != fresh { // the end, or another Send, came first
		_ = fresh.Close()
		return s, err
	}
	go a.read(fresh)
	return fresh, nil
}

// Receive returns the next datagram from somebody the association has sent to,
// and where it came from, never as a mapped address. The payload is the
// caller's. Datagrams that waited for two seconds, or that 64 newer ones follow,
// are gone.
//
// It waits until ctx or the association ends. Errors are of type Error:
// ReasonDone after Close, ReasonTimeout after 60 s without a datagram either way
// or at ctx's deadline, ReasonReset when circuit or ctx was ended.
func (a *Association) Receive(ctx context.Context) (payload []byte, from netip.AddrPort, err error) {
	for {
		a.mu.Lock()
		a.dropOldLocked(time.Now())
		err := a.err
		if err == nil && len(a.queue) > 0 {
			r := a.queue[0]
			a.queue[0] = received{}
			a.queue = a.queue[1:]
			more := len(a.queue) > 0
			a.mu.Unlock()
			if more {
				a.signal()
			}
			return r.payload, r.from, nil
		}
		a.mu.Unlock()
		if err != nil {
			return nil, netip.AddrPort{}, err
		}
		select {
		case <-a.wake:
		case <-a.done:
		case <-ctx.Done():
			return nil, netip.AddrPort{}, Error{ReasonOf(ctx.Err())}
		}
	}
}

// Close ends the association and its sockets. Calls under way end.
func (a *Association) Close() error {
	a.end(Error{ReasonDone})
	return nil
}

// read takes datagrams from a socket until it is closed or broken.
func (a *Association) read(s net.PacketConn) {
	buf := make([]byte, MaxDatagramSize+1) // one more tells what was too large
	faults := 0
	for {
		n, from, err := readFrom(s, buf)
		switch {
		case err == nil:
			faults = 0
			a.accept(buf[:n], from)
		case errors.Is(err, net.ErrClosed), a.ended() != nil:
			return
		default: // an earlier datagram's fate, on some systems
			if faults++; faults >= maxFaults {
				a.end(Error{ReasonOf(err)})
				return
			}
		}
	}
}

// readFrom spares the real socket an allocation for each address.
func readFrom(s net.PacketConn, buf []byte) (int, netip.AddrPort, error) {
	if u, ok := s.(*net.UDPConn); ok {
		return u.ReadFromUDPAddrPort(buf)
	}
	n, from, err := s.ReadFrom(buf)
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	if u, ok := from.(*net.UDPAddr); ok {
		return n, u.AddrPort(), nil
	}
	return n, netip.AddrPort{}, nil // nobody we have sent to
}

// accept queues a copy of a datagram from somebody we have sent to.
func (a *Association) accept(payload []byte, from netip.AddrPort) {
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	count := &a.circuit.exit.count
	now := time.Now()
	a.mu.Lock()
	if a.err != nil || len(payload) > MaxDatagramSize || !a.peers.has(from) {
		a.mu.Unlock()
		count.fromForeign.Add(1)
		return
	}
	a.used = now
	a.dropOldLocked(now)
	if len(a.queue) >= maxQueued {
		a.dropFirstLocked()
	}
	a.queue = append(a.queue, received{append(make([]byte, 0, len(payload)), payload...), from, now})
	a.mu.Unlock()
	count.in.Add(1)
	a.signal()
}

func (a *Association) dropOldLocked(now time.Time) {
	for len(a.queue) > 0 && now.Sub(a.queue[0].at) >= maxWait {
		a.dropFirstLocked()
	}
}

func (a *Association) dropFirstLocked() {
	a.queue[0] = received{}
	a.queue = a.queue[1:]
	a.circuit.exit.count.dropped.Add(1)
}

// signal wakes a Receive, now or next time.
func (a *Association) signal() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// expire ends the association if it was idle long enough, and looks again later
// if not.
func (a *Association) expire() {
	a.mu.Lock()
	rest := maxIdle - time.Since(a.used)
	again := a.err == nil && rest > 0
	if again {
		a.idle.Reset(rest)
	}
	a.mu.Unlock()
	if !again {
		a.end(Error{ReasonTimeout})
	}
}

// ended returns why the association ended, or nil.
func (a *Association) ended() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// end ends the association, once.
func (a *Association) end(why error) {
	a.mu.Lock()
	first := a.err == nil
	if first {
		a.err, a.queue = why, nil
		a.idle.Stop()
	}
	sockets := a.sockets
	a.mu.Unlock()
	if !first {
		return
	}
	close(a.done)
	for _, s := range sockets {
		if s != nil {
			_ = s.Close()
		}
	}
	a.circuit.leave(a.stop)
	a.circuit.give(associations)
}
