// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

const (
	maxAssociations = 16 // of one net.PacketConn; beyond it the oldest is closed
	packetQueue     = 64 // datagrams that nobody has read; beyond it the newest is dropped
)

// ListenPacket returns a net.PacketConn whose datagrams go through exits. network is
// udp, udp4 or udp6; address is ignored but for its form: an association has no port of
// its own here. Associations are opened by the first WriteTo to a port that no open one
// permits; that call waits for it, until the write deadline. Addresses to write to are
// any net.Addr whose String is host:port; those that ReadFrom returns are *net.UDPAddr.
//
// Spec: product §2 (CLI-12), §4.3.
func (d *Dialer) ListenPacket(_ context.Context, network, _ string) (net.PacketConn, error) {
	if network != "udp" && network != "udp4" && network != "udp6" {
		return nil, &net.OpError{Op: "listen", Net: network, Err: net.UnknownNetworkError(network)}
	}
	return newPackets(d, nil), nil
}

// packets is a net.PacketConn over any number of associations of one key.
type packets struct {
	d    *Dialer
	life context.Context
	end  context.CancelFunc
	got  chan packet

	mu       sync.Mutex
	open     []*PacketConn // the oldest first
	readBy   time.Time
	writeBy  time.Time
	readMove chan struct{} // closed and replaced when readBy changes
	closed   bool
}

type packet struct {
	b    []byte
	from netip.AddrPort
}

// newPackets returns one that begins with p, unless that is nil.
func newPackets(d *Dialer, p *PacketConn) *packets {
	life, end := context.WithCancel(context.Background())
	x := &packets{d: d, life: life, end: end, got: make(chan packet, packetQueue), readMove: make(chan struct{})}
	if p != nil {
		x.adopt(p)
	}
	return x
}

// adopt reads from an association from now on. It is false, and p closed, when x is
// closed or the client is.
func (x *packets) adopt(p *PacketConn) bool {
	if !x.d.c.begin() {
		_ = p.Close()
		return false
	}
	x.mu.Lock()
	gone := x.closed
	var oldest *PacketConn
	if !gone {
		x.open = append(x.open, p)
		if len(x.open) > maxAssociations {
			oldest, x.open = x.open[0], x.open[1:]
		}
	}
	x.mu.Unlock()
	if oldest != nil {
		_ = oldest.Close()
	}
	if gone {
		_ = p.Close()
	}
	go func() {
		defer x.d.c.tasks.Done()
		x.read(p)
	}()
	return !gone
}

// read takes an association's datagrams until it ends.
func (x *packets) read(p *PacketConn) {
	buf := make([]byte, 1<<11)
	for {
		n, from, err := p.ReadFrom(x.life, buf)
		if err != nil {
			x.mu.Lock()
			for i, o := range x.open {
				if o == p {
					x.open = append(x.open[:i:i], x.open[i+1:]...)
					break
				}
			}
			x.mu.Unlock()
			_ = p.Close()
			return
		}
		select {
		case x.got <- packet{append([]byte(nil), buf[:n]...), from}:
		default:
		}
	}
}

func (x *packets) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Err: err}
}

// take waits for a datagram.
func (x *packets) take() (packet, error) {
	var t *time.Timer // of the deadline as it was last seen
	defer func() {
		if t != nil {
			t.Stop()
		}
	}()
	for {
		x.mu.Lock()
		by, moved := x.readBy, x.readMove
		x.mu.Unlock()
		var late <-chan time.Time
		if !by.IsZero() {
			left := time.Until(by)
			if left <= 0 {
				return packet{}, x.fail("read", os.ErrDeadlineExceeded)
			}
			if t == nil {
				t = time.NewTimer(left)
			} else {
				t.Reset(left)
			}
			late = t.C
		}
		select {
		case p := <-x.got:
			return p, nil
		case <-x.life.Done():
			return packet{}, x.fail("read", net.ErrClosed)
		case <-x.d.c.over:
			return packet{}, x.fail("read", net.ErrClosed)
		case <-late:
			return packet{}, x.fail("read", os.ErrDeadlineExceeded)
		case <-moved:
		}
	}
}

// ReadFrom returns the next datagram, of which it copies at most len(b) bytes.
func (x *packets) ReadFrom(b []byte) (int, net.Addr, error) {
	p, err := x.take()
	if err != nil {
		return 0, nil, err
	}
	return copy(b, p.b), net.UDPAddrFromAddrPort(p.from), nil
}

// WriteTo sends a datagram.
func (x *packets) WriteTo(b []byte, to net.Addr) (int, error) {
	host, port, err := splitAddress("udp", to.String())
	if err != nil {
		return 0, x.fail("write", err)
	}
	if host, err = x.d.c.outside(context.Background(), KindUDP, host, port); err != nil {
		return 0, x.fail("write", err)
	}
	p, err := x.forPort(host, port)
	if err == nil {
		err = p.WriteTo(b, host, port)
	}
	if err != nil {
		return 0, x.fail("write", err)
	}
	return len(b), nil
}

// forPort returns an association that permits port; host is for the story of a new one.
func (x *packets) forPort(host string, port uint16) (*PacketConn, error) {
	x.mu.Lock()
	by, closed := x.writeBy, x.closed
	for i := len(x.open) - 1; i >= 0 && !closed; i-- {
		if p := x.open[i]; p.Permits(port) {
			x.mu.Unlock()
			return p, nil
		}
	}
	x.mu.Unlock()
	if closed {
		return nil, net.ErrClosed
	}
	ctx, cancel := x.life, context.CancelFunc(func() {})
	if !by.IsZero() {
		ctx, cancel = context.WithDeadline(x.life, by)
	}
	defer cancel()
	p, err := x.d.c.OpenUDP(ctx, x.d.key, host, port)
	switch {
	case x.life.Err() != nil:
		if p != nil {
			_ = p.Close()
		}
		return nil, net.ErrClosed
	case errors.Is(err, context.DeadlineExceeded):
		return nil, os.ErrDeadlineExceeded
	case err != nil:
		return nil, err
	case !x.adopt(p):
		return nil, net.ErrClosed
	}
	return p, nil
}

// Close ends all associations.
func (x *packets) Close() error {
	x.mu.Lock()
	again, open := x.closed, x.open
	x.closed, x.open = true, nil
	x.mu.Unlock()
	if again {
		return x.fail("close", net.ErrClosed)
	}
	x.end()
	for _, p := range open {
		_ = p.Close()
	}
	return nil
}

// LocalAddr says nothing about this machine.
func (x *packets) LocalAddr() net.Addr { return Addr{"udp", ownEnd} }

// SetDeadline sets both deadlines.
func (x *packets) SetDeadline(t time.Time) error {
	_ = x.SetWriteDeadline(t)
	return x.SetReadDeadline(t)
}

// SetReadDeadline bounds waiting reads, those under way included.
func (x *packets) SetReadDeadline(t time.Time) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.readBy = t
	close(x.readMove)
	x.readMove = make(chan struct{})
	return nil
}

// SetWriteDeadline bounds writes that have yet to begin: they wait only while an
// association is opened.
func (x *packets) SetWriteDeadline(t time.Time) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.writeBy = t
	return nil
}

// packetStream is what DialContext returns for udp: it writes to one place and takes
// what comes back.
type packetStream struct {
	*packets
	remote Addr
}

// Read returns the next datagram.
func (s *packetStream) Read(b []byte) (int, error) {
	n, _, err := s.packets.ReadFrom(b)
	return n, err
}

// Write sends a datagram.
func (s *packetStream) Write(b []byte) (int, error) { return s.packets.WriteTo(b, s.remote) }

// RemoteAddr says what the program asked for.
func (s *packetStream) RemoteAddr() net.Addr { return s.remote }
