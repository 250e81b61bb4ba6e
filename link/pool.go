// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

// Limits of a Pool. Spec: security B3, B10
const (
	// MaxLinks bounds the links of a Pool, and those of a Listener.
	MaxLinks = 8192
	// MaxDials bounds dials under way; a further Get fails with ErrBusy.
	MaxDials = 256
	// DialTimeout bounds one dial with its handshake.
	DialTimeout = 10 * time.Second
)

// PoolConfig says how a Pool works.
type PoolConfig struct {
	// Dial makes a link to the relay rid at one of addrs. It must see to it
	// that the peer is that relay (Config.Verify). Its context ends after
	// DialTimeout, when nobody waits for the link any more, or with the pool.
	Dial func(ctx context.Context, rid [16]byte, addrs []netip.AddrPort) (*Link, error)
	// Up, if not nil, is called once for every link that the pool takes, from
	// either direction, before Get returns it. It must not block.
	Up func(*Link)
	// MaxLinks bounds the links; 0 means MaxLinks.
	MaxLinks int
}

// Pool holds at most one link per relay and direction; the newest wins and the
// one before is closed. Links leave when they end. At the cap the link that has
// been without streams longest is closed; if all carry streams the newcomer is
// refused with ErrBusy. It is safe for concurrent use.
//
// Spec: protocol §1, security B3
type Pool struct {
	cfg    PoolConfig
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu     sync.Mutex
	closed bool
	links  map[poolKey]*Link
	dials  map[[16]byte]*poolDial
}

type poolKey struct {
	rid    [16]byte
	dialed bool
}

// poolDial is a dial under way, shared by all who want that relay.
type poolDial struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiters int // under Pool.mu
	link    *Link
	err     error
}

// NewPool makes an empty pool. It starts no goroutine.
func NewPool(cfg PoolConfig) *Pool {
	if cfg.MaxLinks <= 0 {
		cfg.MaxLinks = MaxLinks
	}
	p := &Pool{
		cfg:   cfg,
		links: make(map[poolKey]*Link),
		dials: make(map[[16]byte]*poolDial),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Get returns the link to the relay rid: the one we dialled, else the one it
// dialled, else a new one. Concurrent calls for one relay share a dial; the
// addrs of the first count. Errors: PoolConfig.Dial's, ctx's, ErrBusy, ErrClosed.
func (p *Pool) Get(ctx context.Context, rid [16]byte, addrs []netip.AddrPort) (*Link, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, ErrClosed
	}
	if l := p.findLocked(rid); l != nil {
		p.mu.Unlock()
		return l, nil
	}
	d := p.dials[rid]
	if d == nil {
		if len(p.dials) >= MaxDials {
			p.mu.Unlock()
			return nil, ErrBusy
		}
		d = &poolDial{done: make(chan struct{})}
		dctx, cancel := context.WithTimeout(p.ctx, DialTimeout)
		d.cancel = cancel
		p.dials[rid] = d
		p.tasks.Add(1)
		go p.dial(dctx, rid, addrs, d)
	}
	d.waiters++
	p.mu.Unlock()

	select {
	case <-d.done:
		return d.link, d.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.waiters--; d.waiters == 0 {
		d.cancel()
		if p.dials[rid] == d {
			delete(p.dials, rid) // a later caller must not join what was given up
		}
	}
	return nil, classify(ctx.Err())
}

// Lookup returns the link to the relay rid that Get would return, or nil.
func (p *Pool) Lookup(rid [16]byte) *Link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.findLocked(rid)
}

// Len returns the number of links.
func (p *Pool) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Dialed returns the links that we dialled, and the dials under way.
func (p *Pool) Dialed() (links, dials int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key := range p.links {
		if key.dialed {
			links++
		}
	}
	return links, len(p.dials)
}

func (p *Pool) findLocked(rid [16]byte) *Link {
	for _, dialed := range [...]bool{true, false} {
		if l := p.links[poolKey{rid, dialed}]; l != nil && l.Err() == nil {
			return l
		}
	}
	return nil
}

func (p *Pool) dial(ctx context.Context, rid [16]byte, addrs []netip.AddrPort, d *poolDial) {
	defer p.tasks.Done()
	defer d.cancel()
	l, err := p.cfg.Dial(ctx, rid, addrs)
	if err == nil {
		err = p.put(poolKey{rid, true}, l)
	}
	p.mu.Lock()
	if p.dials[rid] == d {
		delete(p.dials, rid)
	}
	if err == nil {
		d.link = l
	}
	d.err = err
	p.mu.Unlock()
	close(d.done)
}

// Adopt takes a link that the relay rid dialled. The caller must have derived
// rid from l.Peer. On an error l is closed.
func (p *Pool) Adopt(rid [16]byte, l *Link) error { return p.put(poolKey{rid, false}, l) }

func (p *Pool) put(key poolKey, l *Link) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		l.Close()
		return ErrClosed
	}
	goes := p.links[key]
	if goes == nil && len(p.links) >= p.cfg.MaxLinks {
		idle, ok := p.idlestLocked()
		if !ok {
			p.mu.Unlock()
			l.Close()
			return ErrBusy
		}
		goes = p.links[idle]
		delete(p.links, idle)
	}
	p.links[key] = l
	p.mu.Unlock()

	if goes != nil && goes != l {
		goes.Close()
	}
	l.whenEnded(func() { p.forget(key, l) })
	if p.cfg.Up != nil {
		p.cfg.Up(l)
	}
	return nil
}

// idlestLocked returns the link that has been without streams longest.
func (p *Pool) idlestLocked() (idlest poolKey, ok bool) {
	var since time.Time
	for key, l := range p.links {
		open, at := l.Streams()
		if open == 0 && (!ok || at.Before(since)) {
			idlest, since, ok = key, at, true
		}
	}
	return idlest, ok
}

func (p *Pool) forget(key poolKey, l *Link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.links[key] == l {
		delete(p.links, key)
	}
}

// Close closes all links, ends dials under way and waits for them. Later calls
// fail with ErrClosed.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	links := make([]*Link, 0, len(p.links))
	for _, l := range p.links {
		links = append(links, l)
	}
	p.mu.Unlock()
	p.cancel()
	for _, l := range links {
		l.Close()
	}
	p.tasks.Wait()
	return nil
}
