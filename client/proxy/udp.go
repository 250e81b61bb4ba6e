// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxLegs         = 8  // exits that one association uses at once; the least lately used goes
	maxToldRefusals = 8  // of one association; further ones are counted only
	maxReadErrors   = 16 // in a row, before the socket counts as broken
)

// association is one UDP ASSOCIATE: a socket towards the program and a leg for
// each exit in use.
//
// Spec: product §4.3 (UDP-1 to UDP-5).
type association struct {
	c      *session
	iso    Isolation
	socket packetSocket
	client netip.Addr

	port atomic.Uint32 // the program's source port; 0 until its first datagram
	last atomic.Int64  // when a datagram last passed, in Unix nanoseconds

	refused []byte // header of the last datagram whose refusal was told; receive's goroutine
	told    int    // how many were; the same

	mu   sync.Mutex
	over bool
	legs []*leg // the least lately used first
}

// associate serves UDP ASSOCIATE until the connection ends or nothing has
// passed for the idle time. announced is the source port the program named, or
// 0. An error is one to be answered.
func (s *Server) associate(c *session, iso Isolation, announced uint16) error {
	if s.cfg.ListenPacket == nil || !c.localAddr.IsValid() || !c.clientAddr.IsValid() {
		return refusal(reasonUnknownCommand)
	}
	pc, err := s.cfg.ListenPacket(c.localAddr.Unmap())
	if err != nil {
		return refusal(reasonNetworkDown)
	}
	bound := addrOf(pc.LocalAddr())
	if plain(bound.Addr()) != plain(c.localAddr) || bound.Port() == 0 {
		pc.Close()
		return refusal(reasonNetworkDown)
	}
	if !c.attach(pc) {
		return nil
	}
	a := &association{c: c, iso: iso, socket: packetSocket{pc}, client: plain(c.clientAddr)}
	a.port.Store(uint32(announced))
	a.touch()
	if c.write(appendSOCKS5Reply(nil, 0, address{ip: plain(bound.Addr()), port: bound.Port()})) != nil {
		c.abort()
		return nil
	}
	s.count.streams.Add(1)
	defer a.closeLegs()
	c.spawn(a.receive)
	a.watch()
	c.end(false)
	return nil
}

func (a *association) touch() { a.last.Store(time.Now().UnixNano()) }

// watch returns when the program's connection ends or the association has been
// silent for too long. What the program sends on the connection means nothing.
func (a *association) watch() {
	idle := a.c.s.limits.UDPIdle
	buf := a.c.s.small.get()
	defer a.c.s.small.put(buf)
	for {
		until := time.Unix(0, a.last.Load()).Add(idle)
		if !time.Now().Before(until) {
			return
		}
		a.c.client.SetReadDeadline(until)
		_, err := a.c.in.Read(*buf)
		var timeout net.Error
		if err != nil && !(errors.As(err, &timeout) && timeout.Timeout()) {
			return
		}
	}
}

// receive takes the program's datagrams. Only the client's address is served,
// and of it only the source port that came first or was announced.
func (a *association) receive() {
	buf := make([]byte, maxUDPHeader+MaxDatagram+1)
	var lastHeader []byte
	var lastTarget Target
	drop := func() { a.c.s.count.datagramsDropped.Add(1) }
	for failures := 0; failures < maxReadErrors; {
		n, from, err := a.socket.readFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // some systems report a program's closed port here
			failures++
			continue
		}
		failures = 0
		if plain(from.Addr()) != a.client || a.port.Load() != 0 && a.port.Load() != uint32(from.Port()) {
			drop()
			continue
		}
		to, size, err := parseUDPHeader(buf[:n])
		if err != nil {
			drop()
			continue
		}
		if n-size > MaxDatagram { // what is more was not even read
			a.refuse(buf[:size], to, told{reasonBadRequest, sayDatagram})
			a.c.s.count.datagramsTooLarge.Add(1)
			drop()
			continue
		}
		a.port.CompareAndSwap(0, uint32(from.Port()))
		if !bytes.Equal(buf[:size], lastHeader) {
			t, err := a.c.s.judge(a.client, to)
			if err != nil {
				a.refuse(buf[:size], to, err)
				drop()
				continue
			}
			lastHeader, lastTarget = append(lastHeader[:0], buf[:size]...), t
			if Mapped(to.ip) { // each use counts
				lastHeader = lastHeader[:0]
			}
		}
		a.touch()
		a.send(datagram{t: lastTarget, payload: bytes.Clone(buf[size:n]), at: time.Now()})
	}
	a.c.abort()
}

// refuse tells of a datagram with that header that was refused here, unless it is like the
// one before it, or many were. receive's goroutine.
func (a *association) refuse(header []byte, to address, err error) {
	if !bytes.Equal(header, a.refused) && a.told < maxToldRefusals {
		a.told++
		a.refused = append(a.refused[:0], header...)
		a.c.s.tellRefused(RefusedUDP, to, err)
	}
}

// send queues d on the leg that carries its target.
func (a *association) send(d datagram) {
	l, evicted := a.legFor(d.t)
	if evicted != nil {
		evicted.close()
	}
	if l != nil {
		a.c.s.count.datagramsDropped.Add(uint64(l.out.put(d)))
	}
}

// legFor finds or makes the leg for t; nil when the association is over. Port 53
// never shares one (UDP-5), nor do targets that the listener keeps apart (ISO-1).
func (a *association) legFor(t Target) (l, evicted *leg) {
	iso := a.c.s.cfg.narrowed(a.iso, t.Host, t.Port)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return nil, nil
	}
	for i, l := range a.legs {
		if l.iso == iso && l.carries(t) {
			copy(a.legs[i:], a.legs[i+1:])
			a.legs[len(a.legs)-1] = l
			return l, nil
		}
	}
	if len(a.legs) == maxLegs {
		evicted = a.legs[0]
		a.legs = append(a.legs[:0], a.legs[1:]...)
	}
	l = newLeg(a, iso, t)
	a.legs = append(a.legs, l)
	a.c.spawn(l.run)
	return l, evicted
}

func (a *association) closeLegs() {
	a.mu.Lock()
	legs := a.legs
	a.legs, a.over = nil, true
	a.mu.Unlock()
	for _, l := range legs {
		l.close()
	}
}

// deliver sends one datagram to the program. buf has maxUDPHeader bytes of room
// before the payload.
func (a *association) deliver(buf []byte, n int, from Target) {
	port := a.port.Load()
	var space [maxUDPHeader]byte
	header, ok := appendUDPHeader(space[:0], from)
	if !ok || port == 0 {
		return
	}
	start := maxUDPHeader - len(header)
	copy(buf[start:], header)
	a.socket.writeTo(buf[start:maxUDPHeader+n], netip.AddrPortFrom(a.c.clientAddr.Unmap(), uint16(port)))
	a.touch()
}

// packetSocket reads and writes without an allocation where the socket can.
type packetSocket struct{ net.PacketConn }

func (p packetSocket) readFrom(b []byte) (int, netip.AddrPort, error) {
	if u, ok := p.PacketConn.(*net.UDPConn); ok {
		return u.ReadFromUDPAddrPort(b)
	}
	n, from, err := p.ReadFrom(b)
	return n, addrOf(from), err
}

func (p packetSocket) writeTo(b []byte, to netip.AddrPort) error {
	if u, ok := p.PacketConn.(*net.UDPConn); ok {
		_, err := u.WriteToUDPAddrPort(b, to)
		return err
	}
	_, err := p.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return err
}
