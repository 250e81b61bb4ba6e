// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/netip"
	"runtime"
	"sync"

	"golang.org/x/time/rate"

	"chive/circuit"
	"chive/circuit/cell"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/link"
)

// errOtherRelay says that the far end proved another identity than the one named.
var errOtherRelay = errors.New("relay: another relay answered")

// workers is how many handshakes are computed at once now: half of the processors
// in use, so that a flood of CREATE leaves the other half to open circuits (B9).
func workers() int { return max(1, runtime.GOMAXPROCS(0)/2) }

// circuitParams takes the circuit's parameters out of the network's.
func circuitParams(p *genesis.Params) circuit.Params {
	return circuit.Params{
		WindowInit: p.WindowInit, WindowMin: p.WindowMin, WindowMax: p.WindowMax,
		AckEvery: p.AckEvery, Alpha: p.Alpha, Beta: p.Beta, Gamma: p.Gamma, Delta: p.Delta,
		CreditSize: p.StreamCredit,
	}
}

// linkConfig is this relay's side of any link.
func (r *Relay) linkConfig() link.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return link.Config{NetworkID: r.nid, Identity: r.identity, Rand: r.cfg.Rand, HalfLife: r.genesis.Params.EWMAHalfLife, Known: r.knows, Account: r.memory.buffers}
}

// dial opens a link to the relay rid at one of addrs.
func (r *Relay) dial(ctx context.Context, rid [16]byte, addrs []netip.AddrPort) (*link.Link, error) {
	cfg := r.linkConfig()
	cfg.Verify = r.expect(rid)
	var last error
	for _, a := range addrs {
		l, err := link.Dial(ctx, r.cfg.Transport, a, cfg)
		if err == nil {
			if r.cfg.Observer != nil {
				r.cfg.Observer.Link(rid)
			}
			return l, nil
		}
		last = err
	}
	return nil, last
}

// lists reports whether the newest list has a relay. A rid alone proves nothing:
// identities are made on the spot, and the zero one is a client's.
func (r *Relay) lists(rid record.RID) bool {
	_, listed := r.View().Table().Index(rid)
	return listed
}

// knows is lists, as links ask it.
func (r *Relay) knows(identity ed25519.PublicKey) bool {
	return r.lists(record.NewRID(r.nid, identity))
}

// acceptLinks takes links until the listener is closed.
func (r *Relay) acceptLinks(ctx context.Context, ln *link.Listener) {
	for {
		l, err := ln.Accept(ctx)
		if err != nil {
			return
		}
		rid := r.peerRID(l)
		if r.cfg.Observer != nil {
			r.cfg.Observer.Link(rid)
		}
		if r.lists(rid) {
			_ = r.pool.Adopt(rid, l) // serves it through Up, or closes it
			continue
		}
		r.tasks.Add(1)
		go func() {
			defer r.tasks.Done()
			r.serveLink(ctx, l)
		}()
	}
}

// neighbour is a link that is being served.
type neighbour struct {
	r       *Relay
	link    *link.Link
	rid     record.RID      // zero: a client
	ctx     context.Context // ends with the link
	admit   admission       // of CREATE
	dirs    *ration         // of the directory
	gossips chan struct{}   // tokens: gossip streams that the peer has opened
	tasks   sync.WaitGroup  // its streams, circuits included
}

// serveLink answers the streams the other side opens, until the link ends.
func (r *Relay) serveLink(ctx context.Context, l *link.Link) {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	rid := r.peerRID(l)
	n := &neighbour{
		r: r, link: l, rid: rid, ctx: ctx,
		admit: admission{Limiter: newAdmission(r.lists(rid), r.genesis.Testnet)},
		dirs:  newRation(), gossips: make(chan struct{}, maxGossipPerLink),
	}
	if rid != (record.RID{}) {
		n.dirs.caller = &caller{rid: rid, source: sourceOf(l.RemoteAddr())}
		r.contact(rid)
	}
	defer n.tasks.Wait()
	defer cancel()
	for {
		st, kind, err := l.Accept()
		if err != nil {
			return
		}
		switch kind {
		case link.StreamCircuit:
			n.tasks.Add(1) // until the circuit's end
			go n.serveCircuit(st)
		case link.StreamDirectory:
			n.tasks.Go(func() {
				defer st.Close()
				stop := context.AfterFunc(ctx, func() { st.Close() })
				defer stop()
				r.serveDirectory(ctx, st, n.dirs)
			})
		case link.StreamGossip:
			n.tasks.Go(func() { n.serveGossip(st) })
		default: // mailboxes are not served yet
			st.Close()
		}
	}
}

// admission is the token bucket for CREATE of one link (B8). Who was not on the list
// when the link came up may be by now: see neighbour.mayCreate.
type admission struct {
	*rate.Limiter
	once sync.Once // it was widened to a relay's
}

// newAdmission returns a link's bucket. In a testnet few relays carry the circuits of
// all, and all share one address: there it has no bound.
func newAdmission(isRelay, testnet bool) *rate.Limiter {
	switch {
	case testnet:
		return rate.NewLimiter(rate.Inf, 0)
	case isRelay:
		return rate.NewLimiter(createRateRelay, createBurstRelay)
	}
	return rate.NewLimiter(createRateClient, createBurstClient)
}

// mayCreate takes a token. A bucket that is empty becomes a relay's once the peer is
// on the list.
func (n *neighbour) mayCreate() bool {
	if n.admit.Allow() {
		return true
	}
	if !n.r.lists(n.rid) {
		return false
	}
	n.admit.once.Do(func() {
		n.admit.SetLimit(createRateRelay)
		n.admit.SetBurst(createBurstRelay)
	})
	return n.admit.Allow()
}

// buffer and release lend read buffers, so that idle circuits hold none.
func (r *Relay) buffer() *[]byte {
	r.memory.buffers.Add(readHeld)
	return r.cells.Get().(*[]byte)
}

func (r *Relay) release(b *[]byte) {
	r.memory.buffers.Add(-readHeld)
	r.cells.Put(b)
}

// oneCell is room for a cell that is made or answered once in a circuit's life.
type oneCell [cell.Size]byte

// cell and releaseCell lend it.
func (r *Relay) cell() *oneCell         { return r.single.Get().(*oneCell) }
func (r *Relay) releaseCell(c *oneCell) { r.single.Put(c) }

// observeCell tells the observer, if there is one.
func (r *Relay) observeCell(peer record.RID, arriving, towardsClient bool, c []byte) {
	if r.cfg.Observer != nil {
		r.cfg.Observer.Cell(peer, arriving, towardsClient, c[:cell.Size])
	}
}
