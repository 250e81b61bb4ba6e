// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	portDNS  = 53
	legRetry = time.Second // between two tries to open a leg
)

// leg is an association's way through one exit: a queue, a goroutine that opens
// the exit's side and empties the queue, and one that brings answers.
type leg struct {
	a      *association
	iso    Isolation
	dns    bool // for port 53 only
	out    *queue
	ctx    context.Context // ends with the leg
	cancel context.CancelFunc

	port atomic.Uint32 // what it was made or last opened for; its exit permits it

	retry time.Time // run's goroutine: not opened again before

	mu     sync.Mutex
	pc     PacketConn // nil while not open
	closed bool
}

func newLeg(a *association, iso Isolation, t Target) *leg {
	l := &leg{a: a, iso: iso, dns: t.Port == portDNS, out: newQueue()}
	l.ctx, l.cancel = context.WithCancel(a.c.ctx)
	l.port.Store(uint32(t.Port))
	return l
}

// carries reports that datagrams to t go this way. Before the leg is open this
// is a guess, which run corrects.
func (l *leg) carries(t Target) bool {
	if l.dns != (t.Port == portDNS) {
		return false
	}
	if uint32(t.Port) == l.port.Load() {
		return true
	}
	l.mu.Lock()
	pc := l.pc
	l.mu.Unlock()
	p, ok := pc.(interface{ Permits(Target) bool })
	return !ok || p.Permits(t)
}

// run sends what is queued until the leg is closed.
func (l *leg) run() {
	dropped := &l.a.c.s.count.datagramsDropped
	for {
		d, n, ok := l.out.take()
		dropped.Add(uint64(n))
		if !ok {
			l.close()
			return
		}
		pc := l.opened(d.t)
		if pc == nil || time.Since(d.at) > queueAge {
			dropped.Add(1)
			continue
		}
		if !l.carries(d.t) {
			l.a.send(d)
			continue
		}
		err := pc.WriteTo(d.payload, d.t)
		if err == nil {
			continue
		}
		dropped.Add(1)
		var r interface{ Reason() string }
		if !errors.As(err, &r) {
			l.forget(pc)
		}
	}
}

// opened returns the exit's side, opening it if need be; nil when it cannot be
// had now.
func (l *leg) opened(t Target) PacketConn {
	l.mu.Lock()
	pc := l.pc
	l.mu.Unlock()
	if pc != nil || time.Now().Before(l.retry) {
		return pc
	}
	c := l.a.c
	ctx, cancel := context.WithTimeout(l.ctx, c.s.limits.DialTimeout)
	defer cancel()
	pc, err := c.s.cfg.Dialer.OpenUDP(ctx, l.iso, t)
	l.retry = time.Now().Add(legRetry)
	if err != nil {
		return nil
	}
	if !c.attach(pc) {
		return nil
	}
	l.mu.Lock()
	closed := l.closed
	if !closed {
		l.pc = pc
		l.port.Store(uint32(t.Port))
	}
	l.mu.Unlock()
	if closed {
		c.drop(pc)
		return nil
	}
	c.spawn(func() { l.receive(pc) })
	return pc
}

// receive brings answers to the program until the exit's side ends.
func (l *leg) receive(pc PacketConn) {
	defer l.forget(pc)
	buf := make([]byte, maxUDPHeader+MaxDatagram)
	for {
		n, from, err := pc.ReadFrom(buf[maxUDPHeader:])
		if err != nil {
			return
		}
		l.a.deliver(buf, n, from)
	}
}

// forget closes the exit's side; the next datagram opens another.
func (l *leg) forget(pc PacketConn) {
	l.mu.Lock()
	if l.pc == pc {
		l.pc = nil
	}
	l.mu.Unlock()
	l.a.c.drop(pc)
}

// close ends the leg.
func (l *leg) close() {
	l.cancel()
	l.out.close()
	l.mu.Lock()
	pc := l.pc
	l.pc, l.closed = nil, true
	l.mu.Unlock()
	if pc != nil {
		l.a.c.drop(pc)
	}
}
