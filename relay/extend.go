// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"chive/circuit"
	"chive/circuit/cell"
	"chive/circuit/handshake"
	"chive/directory/record"
	"chive/link"
)

// extend reaches the next relay and tells the client how it went.
func (c *circ) extend(ctx context.Context, e cell.Extend) {
	one := c.r.cell()
	defer c.r.releaseCell(one)
	next, code := c.reach(ctx, e, one)
	if code != circuit.ReasonNone {
		_ = c.car.Do(func() error { return c.hop.Truncated(code) })
		return
	}
	c.mu.Lock()
	over := c.over
	if !over {
		c.next, c.to = next, e.RID
	}
	c.mu.Unlock()
	if over || c.car.Do(func() error { return c.hop.Extended(one[1 : 1+handshake.CreatedSize]) }) != nil {
		next.Close()
		return
	}
	next.Handle((*nextSide)(c))
	c.r.warm.touch(c) // EXTENDED made it so
}

// reach opens a circuit stream to the relay named in e and does CREATE with it, in
// one, which holds CREATED afterwards.
func (c *circ) reach(ctx context.Context, e cell.Extend, one *oneCell) (*link.Stream, circuit.Reason) {
	rid := record.RID(e.RID)
	if rid == c.r.rid || rid == c.from.rid {
		return nil, circuit.ReasonRefused
	}
	// The addresses are those of the table: a dial is shared by everybody who
	// extends to that relay, so no client may choose where it goes.
	known, ok := c.r.View().Table().Relay(rid)
	if !ok {
		return nil, circuit.ReasonUnreachable
	}
	addrs := c.r.permitted(known.Addresses)
	if len(addrs) == 0 || len(e.Handshake) != handshake.CreateSize {
		return nil, circuit.ReasonRefused
	}
	ctx, cancel := context.WithTimeout(ctx, onwardTimeout)
	defer cancel()
	l, err := c.r.linkTo(ctx, rid, addrs)
	if err != nil {
		if errors.Is(err, link.ErrBusy) {
			return nil, circuit.ReasonBusy
		}
		return nil, circuit.ReasonUnreachable
	}
	next, err := l.Open(link.StreamCircuit)
	if err != nil {
		return nil, circuit.ReasonLinkLost
	}
	if code := createAt(ctx, next, e.Handshake, one); code != circuit.ReasonNone {
		next.Close()
		return nil, code
	}
	return next, circuit.ReasonNone
}

// createAt sends CREATE and waits for CREATED, both in one.
func createAt(ctx context.Context, next *link.Stream, create []byte, one *oneCell) circuit.Reason {
	stop := context.AfterFunc(ctx, func() { next.Close() })
	defer stop()
	if cell.PutHandshake(one[:], cell.Create, create) != nil {
		return circuit.ReasonInternal
	}
	if next.WriteControl(one[:]) != nil {
		return circuit.ReasonLinkLost
	}
	cells, err := next.ReadCells(one[:])
	if err != nil {
		return circuit.ReasonLinkLost
	}
	switch {
	case cell.Command(cells[0]) == cell.Destroy:
		if code := circuit.Reason(cells[1]); code != circuit.ReasonNone {
			return code
		}
		return circuit.ReasonProtocol // an answer has a reason
	case cell.Command(cells[0]) != cell.Created || next.Buffered() > 0:
		return circuit.ReasonProtocol // nothing follows before we send more
	case !stop():
		return circuit.ReasonLinkLost // too late: it is being closed, and nobody would hear of that
	}
	return circuit.ReasonNone
}

// permitted returns the addresses a relay may extend to: public ones, and in a
// testnet loopback and whatever else its genesis allows.
func (r *Relay) permitted(addrs []netip.AddrPort) []netip.AddrPort {
	if r.genesis.Testnet {
		return addrs
	}
	var out []netip.AddrPort
	for _, a := range addrs {
		if record.Public(a.Addr()) && a != r.Addr() {
			out = append(out, a)
		}
	}
	return out
}

// peerRID returns the rid of the relay at the other end of l, or the zero RID for
// a client.
func (r *Relay) peerRID(l *link.Link) record.RID {
	id, isRelay := l.Peer()
	if !isRelay {
		return record.RID{}
	}
	return record.NewRID(r.nid, id)
}

// linkTo returns a link to the relay rid, an existing one if there is one. Those
// who wait for a dial are bounded.
func (r *Relay) linkTo(ctx context.Context, rid record.RID, addrs []netip.AddrPort) (*link.Link, error) {
	if l := r.pool.Lookup(rid); l != nil {
		return l, nil
	}
	select {
	case r.dials <- struct{}{}:
		defer func() { <-r.dials }()
	default:
		return nil, link.ErrBusy
	}
	return r.pool.Get(ctx, rid, addrs)
}

// enterWork waits for one of the handshake workers; false: too many wait, or none
// came free in time.
func (r *Relay) enterWork(ctx context.Context) bool {
	r.mu.Lock()
	if r.waiting >= maxHandshakes {
		r.mu.Unlock()
		return false
	}
	r.waiting++
	defer func() {
		r.waiting--
		more := r.waiting > 0
		r.mu.Unlock()
		if more {
			r.workFree() // whoever waits sees for itself
		}
	}()
	if r.computing < workers() {
		r.computing++
		return true
	}
	t := time.NewTimer(handshakeWait)
	defer t.Stop()
	for {
		r.mu.Unlock()
		late := false
		select {
		case <-r.work:
		case <-t.C:
			late = true
		case <-ctx.Done():
			late = true
		}
		r.mu.Lock()
		switch {
		case late:
			return false
		case r.computing < workers():
			r.computing++
			return true
		}
	}
}

func (r *Relay) leaveWork() {
	r.mu.Lock()
	r.computing--
	r.mu.Unlock()
	r.workFree()
}

// workFree wakes one who waits for a handshake worker.
func (r *Relay) workFree() {
	select {
	case r.work <- struct{}{}:
	default:
	}
}
