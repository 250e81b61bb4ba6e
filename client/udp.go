// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"

	"chive/circuit"
	"chive/circuit/carrier"
	"chive/circuit/cell"
)

// PacketConn is a UDP association at an exit. Datagrams may be lost, as ever. Where no
// exit permits UDP to port 53, that of this port is none: questions are answered by
// Resolve and ResolveAddr.
type PacketConn struct {
	refused func(host string) *Failure
	s       *carrier.Stream // nil: it answers questions
	q       *circ
	names   *answerer
	story   *story
	done    func(broke *Failure)
}

// OpenUDP opens an association at an exit that permits UDP to port. host is where the
// first datagram goes, for the story of the association, which may carry others elsewhere;
// a private address is refused. The error is a *Failure, or ctx's.
// Spec: product §4.3 (UDP-2, UDP-5), §4.6.
func (c *Client) OpenUDP(ctx context.Context, key Isolation, host string, port uint16) (*PacketConn, error) {
	story := c.stories.begin(ctx, KindUDP, net.JoinHostPort(host, strconv.Itoa(int(port))))
	if f := c.refused(host); f != nil {
		c.counts.stream(f)
		story.refused(f)
		return nil, f
	}
	var conn *PacketConn
	err := c.try(ctx, story, key, need{protocol: 17, port: port}, func(ctx context.Context, q *circ) (keep bool, err error) {
		s, err := q.open(func() (*circuit.Stream, error) { return q.o.BeginUDP() })
		if err != nil {
			return false, err
		}
		if err := q.await(ctx, story, openPatience, s.waitOpen); err != nil {
			return false, err
		}
		conn = &PacketConn{refused: c.refused, s: s.Stream, q: q, story: story, done: c.releaser(q, story)}
		return true, nil
	})
	var f *Failure
	if port == dnsPort && errors.As(err, &f) && f.reason == errPolicy.reason {
		story.tried(TryExplained{Phase: phaseExit, Text: "questions are answered by looking names up at an exit instead"})
		var once sync.Once
		conn = &PacketConn{refused: c.refused, names: c.newAnswerer(ctx, key), story: story}
		conn.done, err = func(*Failure) { once.Do(func() { story.closed(nil) }) }, nil
	}
	c.counts.stream(err)
	if err != nil {
		story.answered(err)
		return nil, err
	}
	story.opened()
	return conn, nil
}

// Permits reports whether datagrams to port may go through this association.
func (p *PacketConn) Permits(port uint16) bool {
	if p.s == nil {
		return port == dnsPort
	}
	return serves(p.q.last(), need{protocol: 17, port: port})
}

// ReadFrom returns the next datagram and where it came from. It copies at most
// len(p) bytes of it. One reader at a time.
func (p *PacketConn) ReadFrom(ctx context.Context, b []byte) (n int, from netip.AddrPort, err error) {
	if p.s == nil {
		a, err := p.names.next(ctx)
		if err != nil {
			return 0, netip.AddrPort{}, err
		}
		p.story.took(len(a.text))
		return copy(b, a.text), a.from, nil
	}
	d, err := p.s.ReceiveDatagram(ctx)
	if err != nil {
		p.story.heard(err)
		return 0, netip.AddrPort{}, err
	}
	p.story.took(len(d.Payload))
	addr, err := netip.ParseAddr(d.Host)
	if err != nil {
		return 0, netip.AddrPort{}, net.ErrClosed
	}
	return copy(b, d.Payload), netip.AddrPortFrom(addr, d.Port), nil
}

// WriteTo sends b, at most cell.MaxDatagram bytes, to host:port. Error: a *Failure
// concerns this datagram alone.
func (p *PacketConn) WriteTo(b []byte, host string, port uint16) error {
	if p.s != nil {
		if f := p.refused(host); f != nil {
			return f
		}
	}
	if p.s == nil {
		if port != dnsPort {
			return errPolicy
		}
		p.story.gave(len(b))
		return p.names.ask(b, host)
	}
	err := p.s.SendDatagram(cell.Datagram{Host: host, Port: port, Payload: b})
	if err == nil {
		p.story.gave(len(b))
	}
	return err
}

// Close ends the association. It may be called again.
func (p *PacketConn) Close() error {
	if p.s == nil {
		p.names.stop()
		p.done(nil)
		return nil
	}
	broke := p.q.broke(p.s)
	err := p.s.Close()
	p.done(broke)
	return err
}
