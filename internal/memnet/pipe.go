// SPDX-License-Identifier: BSD-3-Clause

package memnet

import (
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// pieceSize bounds one entry of the FIFO. Under a rate limit it is also the
// grain in which bytes arrive.
const pieceSize = 4096

// piece is a run of bytes that arrives at one instant.
type piece struct {
	sent time.Time // leaves the sender's queue
	due  time.Time // reaches the reader
	data []byte
	buf  *[pieceSize]byte // data's memory, to be given back
}

// pipe is one direction of a connection.
type pipe struct {
	net      *Network
	from, to *Host
	path     Path
	window   int
	rng      *rand.Rand
	tap      func(b []byte)

	mu      sync.Mutex
	cond    sync.Cond // anything changed
	queue   []piece
	head    int // of queue
	unsent  int // first piece whose sent time has not come, index into queue
	waiting int // bytes in queue[unsent:]
	held    int // bytes in queue[head:]
	free    time.Time
	lastDue time.Time

	writing  bool // a Write is under way
	fin      bool // the writer closed
	finDue   time.Time
	closed   bool  // the reader closed
	wclosed  error // what Write returns, once it may not
	failed   error // reset: what both sides return
	cut      bool  // black hole
	readDL   time.Time
	writeDL  time.Time
	readTmr  *time.Timer
	writeTmr *time.Timer
}

func (p *pipe) wake() {
	p.mu.Lock()
	p.cond.Broadcast()
	p.mu.Unlock()
}

// sleepLocked waits for a change or until the earliest of at and deadline.
// Waiters on one side always compute the same instant, so they share a timer.
func (p *pipe) sleepLocked(timer **time.Timer, now, at, deadline time.Time) {
	if at.IsZero() || (!deadline.IsZero() && deadline.Before(at)) {
		at = deadline
	}
	if !at.IsZero() {
		d := at.Sub(now)
		if *timer == nil {
			*timer = time.AfterFunc(d, p.wake)
		} else {
			(*timer).Reset(d)
		}
	}
	p.cond.Wait()
}

func expired(deadline, now time.Time) bool { return !deadline.IsZero() && !now.Before(deadline) }

// read implements Conn.Read.
func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.closed {
			return 0, net.ErrClosed
		}
		if p.failed != nil {
			return 0, p.failed
		}
		now := time.Now()
		if expired(p.readDL, now) {
			return 0, os.ErrDeadlineExceeded
		}
		if len(b) == 0 {
			return 0, nil
		}
		var at time.Time
		if !p.cut {
			if n := p.takeLocked(b, now); n > 0 {
				p.cond.Broadcast()
				return n, nil
			}
			if p.head < len(p.queue) {
				at = p.queue[p.head].due
			} else if p.fin {
				if !now.Before(p.finDue) {
					return 0, io.EOF
				}
				at = p.finDue
			}
		}
		p.sleepLocked(&p.readTmr, now, at, p.readDL)
	}
}

// takeLocked copies what is due.
func (p *pipe) takeLocked(b []byte, now time.Time) (n int) {
	p.settleLocked(now)
	for p.head < len(p.queue) && n < len(b) {
		q := &p.queue[p.head]
		if q.due.After(now) {
			break
		}
		k := copy(b[n:], q.data)
		n += k
		q.data = q.data[k:]
		p.held -= k
		if len(q.data) > 0 {
			break
		}
		p.dropHeadLocked()
	}
	return n
}

func (p *pipe) dropHeadLocked() {
	q := &p.queue[p.head]
	if q.buf != nil {
		p.net.pool.Put(q.buf)
	}
	*q = piece{}
	p.head++
	if p.unsent < p.head {
		p.unsent = p.head
	}
	if p.head == len(p.queue) {
		p.queue, p.head, p.unsent = p.queue[:0], 0, 0
		if cap(p.queue) > 16 {
			p.queue = nil
		}
	} else if p.head >= 32 && p.head*2 >= len(p.queue) {
		n := copy(p.queue, p.queue[p.head:])
		clear(p.queue[n:])
		p.unsent -= p.head
		p.queue, p.head = p.queue[:n], 0
	}
}

// settleLocked moves pieces from the sender's queue onto the wire.
func (p *pipe) settleLocked(now time.Time) {
	for p.unsent < len(p.queue) && !p.queue[p.unsent].sent.After(now) {
		p.waiting -= len(p.queue[p.unsent].data)
		p.unsent++
	}
}

// write implements Conn.Write.
func (p *pipe) write(b []byte) (total int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.writing { // writes are atomic, as on a socket
		if err := p.writeErrLocked(time.Now()); err != nil {
			return 0, err
		}
		p.cond.Wait()
	}
	p.writing = true
	defer func() {
		p.writing = false
		p.cond.Broadcast()
	}()
	for {
		now := time.Now()
		if err := p.writeErrLocked(now); err != nil {
			return total, err
		}
		if len(b) == 0 {
			return total, nil
		}
		p.settleLocked(now)
		var at time.Time
		if p.waiting >= p.net.cfg.SendQueue {
			at = p.queue[p.unsent].sent
		} else if p.held-p.waiting < p.window {
			n := min(len(b), pieceSize)
			p.appendLocked(b[:n], now)
			b, total = b[n:], total+n
			if len(b) == 0 || p.waiting >= p.net.cfg.SendQueue {
				p.cond.Broadcast()
			}
			continue
		}
		p.cond.Broadcast() // the reader may take what there is
		p.sleepLocked(&p.writeTmr, now, at, p.writeDL)
	}
}

func (p *pipe) writeErrLocked(now time.Time) error {
	switch {
	case p.wclosed != nil:
		return p.wclosed
	case p.failed != nil:
		return p.failed
	case p.closed && !p.cut: // behind a cut nobody can say so
		return os.NewSyscallError("write", syscall.EPIPE)
	case expired(p.writeDL, now):
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (p *pipe) appendLocked(b []byte, now time.Time) {
	q := piece{}
	if len(b) > pieceSize/4 {
		q.buf, _ = p.net.pool.Get().(*[pieceSize]byte)
		if q.buf == nil {
			q.buf = new([pieceSize]byte)
		}
		q.data = q.buf[:copy(q.buf[:], b)]
	} else {
		q.data = append([]byte(nil), b...)
	}
	if p.tap != nil {
		p.tap(b)
	}
	q.sent, q.due = p.scheduleLocked(len(b), now)
	p.queue = append(p.queue, q)
	p.waiting += len(b)
	p.held += len(b)
}

// scheduleLocked says when n bytes handed over now are on the wire and when
// they arrive. Never earlier than what was sent before.
func (p *pipe) scheduleLocked(n int, now time.Time) (sent, due time.Time) {
	sent = p.net.transmit(p, n, now)
	delay := p.path.Latency
	if p.path.Jitter > 0 {
		z := max(-3, min(3, p.rng.NormFloat64()))
		delay = time.Duration(float64(delay) * math.Exp(p.path.Jitter*z))
	}
	if p.path.Loss > 0 && p.rng.Float64() < p.path.Loss {
		delay += 2 * p.path.Latency
		if p.rng.IntN(10) == 0 {
			delay += 200 * time.Millisecond
		}
	}
	due = sent.Add(delay)
	if due.Before(p.lastDue) {
		due = p.lastDue
	}
	p.lastDue = due
	return sent, due
}

// transmit reserves the connection's rate and the shares of both hosts.
func (n *Network) transmit(p *pipe, size int, now time.Time) time.Time {
	n.rateMu.Lock()
	defer n.rateMu.Unlock()
	start := now
	up, down := p.from.up, p.to.down8
	if p.from == p.to {
		up, down = 0, 0
	}
	if p.path.Rate > 0 && p.free.After(start) {
		start = p.free
	}
	if up > 0 && p.from.upFree.After(start) {
		start = p.from.upFree
	}
	if down > 0 && p.to.downFree.After(start) {
		start = p.to.downFree
	}
	end := start
	for _, r := range [...]struct {
		rate int64
		free *time.Time
	}{{p.path.Rate, &p.free}, {up, &p.from.upFree}, {down, &p.to.downFree}} {
		if r.rate > 0 {
			*r.free = start.Add(time.Duration(int64(size) * int64(time.Second) / r.rate))
			if r.free.After(end) {
				end = *r.free
			}
		}
	}
	return end
}

// closeWrite lets the reader see the end after everything written.
func (p *pipe) closeWrite(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wclosed == nil {
		p.fin = true
		now := time.Now()
		_, p.finDue = p.scheduleLocked(0, now)
	}
	p.wclosed = cause
	if p.writeTmr != nil {
		p.writeTmr.Stop()
	}
	p.cond.Broadcast()
}

// closeRead drops what was not read.
func (p *pipe) closeRead() {
	p.mu.Lock()
	p.closed = true
	p.dropLocked()
	p.mu.Unlock()
}

// fail is a reset seen by both sides.
func (p *pipe) fail(err error) {
	p.mu.Lock()
	if p.failed == nil {
		p.failed = err
	}
	p.dropLocked()
	p.mu.Unlock()
}

func (p *pipe) dropLocked() {
	for p.head < len(p.queue) {
		p.dropHeadLocked()
	}
	p.waiting, p.held = 0, 0
	if p.readTmr != nil {
		p.readTmr.Stop()
	}
	p.cond.Broadcast()
}

func (p *pipe) hold(cut bool) {
	p.mu.Lock()
	p.cut = cut
	p.cond.Broadcast()
	p.mu.Unlock()
}

func (p *pipe) setDeadline(which *time.Time, t time.Time) {
	p.mu.Lock()
	*which = t
	p.cond.Broadcast()
	p.mu.Unlock()
}
