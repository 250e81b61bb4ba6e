// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"errors"
	"sync/atomic"
	"time"

	"chive/circuit"
	"chive/directory/gossip"
)

// counters are totals since the start. They name no peer and no circuit.
type counters struct {
	cells, circuits, refusals, replays, violations, overflows, exited atomic.Uint64
	hurried                                                           atomic.Uint64 // of refusals
	gossipIn, gossipOut                                               traffic
	gossipFull                                                        atomic.Uint64
	crowded                                                           atomic.Int64 // Unix seconds; 0: never
}

// traffic is a number of messages of each kind, and the bytes of all.
type traffic struct {
	messages [gossip.KindCount]atomic.Uint64
	bytes    atomic.Uint64
}

// add counts a message whose frame has that body.
func (t *traffic) add(body []byte) {
	t.messages[gossip.KindOf(body)].Add(1)
	t.bytes.Add(uint64(len(body) + 4))
}

// read returns the totals.
func (t *traffic) read() (all uint64, kinds [gossip.KindCount]uint64, bytes uint64) {
	for i := range t.messages {
		kinds[i] = t.messages[i].Load()
		all += kinds[i]
	}
	return all, kinds, t.bytes.Load()
}

func (c *counters) forwarded(cells int) { c.cells.Add(uint64(cells)) }
func (c *counters) carried(bytes int)   { c.exited.Add(uint64(bytes)) }
func (c *counters) created()            { c.circuits.Add(1) }
func (c *counters) refused()            { c.refusals.Add(1) }
func (c *counters) replayed()           { c.replays.Add(1) }

// tooOften counts a CREATE that is refused because its link asks too often.
func (c *counters) tooOften() {
	c.hurried.Add(1)
	c.refused()
}

// tooMany counts a CREATE that is refused because too many handshakes wait.
func (c *counters) tooMany(now time.Time) {
	c.crowded.Store(now.Unix())
	c.refused()
}

func (c *counters) violation(err error) {
	if errors.Is(err, circuit.ErrProtocol) {
		c.violations.Add(1)
		return
	}
	c.overflows.Add(1)
}

// Status is what a relay tells its operator: totals, never circuits or clients.
type Status struct {
	OpenCircuits    int // now
	Links           LinkStatus
	Overload        Overload
	CellsForwarded  uint64 // both directions, since the start
	CircuitsCreated uint64 // CREATE answered with CREATED
	Refused         uint64 // CREATE refused as busy
	TooOften        uint64 // of those, the ones of a link that asks too often
	Replayed        uint64 // CREATE seen before
	Violations      uint64 // circuits closed because a peer broke the protocol
	Overflows       uint64 // circuits closed at a bound of ours
	Carried         uint64 // bytes of streams and datagrams of an exit, both directions, since the start
	Memory          MemoryStatus
	Directory       DirectoryStatus
	Certified       *CertifiedStatus // of a relay whose identity is offline; else nil
	LinkEnds        time.Time        // when the certificate of the link key in use ends; zero: none yet
}

// LinkStatus counts links, of clients and of relays. It names none.
type LinkStatus struct {
	In, Out          int    // open: accepted, dialled
	OpeningIn, Dials int    // under way
	Refused          uint64 // connections and handshakes that ended at a bound of the listener, since the start
}

// Overload says what there was too much of in the last minute.
type Overload struct {
	Handshakes  bool // circuits were refused because too many waited for the processor
	Descriptors bool // links were refused because the process has too few file descriptors
}

// overloadFor is how long a refusal counts as too much: somebody who looks once a minute
// sees it.
const overloadFor = time.Minute

// linkStatus counts links. A relay that does not listen yet has none.
func (r *Relay) linkStatus(now time.Time) (s LinkStatus, o Overload) {
	if at := r.count.crowded.Load(); at != 0 {
		o.Handshakes = now.Sub(time.Unix(at, 0)) <= overloadFor
	}
	ln := r.listener.Load()
	if ln == nil {
		return s, o
	}
	s.In, s.OpeningIn = ln.Len()
	s.Out, s.Dials = r.pool.Dialed()
	s.Refused = uint64(max(0, ln.Refused()))
	if at := ln.Scarce(); !at.IsZero() {
		o.Descriptors = now.Sub(at) <= overloadFor
	}
	return s, o
}

// Status returns the totals, and how the relay stands in the directory.
func (r *Relay) Status() Status {
	r.mu.Lock()
	open := len(r.circuits)
	var linkEnds time.Time
	if r.identity != nil {
		linkEnds = r.identity.NotAfter()
	}
	r.mu.Unlock()
	s := Status{
		Certified: r.ends.Load(), LinkEnds: linkEnds,
		OpenCircuits:    open,
		CellsForwarded:  r.count.cells.Load(),
		CircuitsCreated: r.count.circuits.Load(),
		Refused:         r.count.refusals.Load(),
		Replayed:        r.count.replays.Load(),
		Violations:      r.count.violations.Load(),
		Overflows:       r.count.overflows.Load(),
		Carried:         r.count.exited.Load(),
		Memory:          r.memory.status(),
	}
	s.TooOften = r.count.hurried.Load()
	s.Links, s.Overload = r.linkStatus(time.Now())
	if d := r.directory.Load(); d != nil {
		s.Directory = *d
	}
	g, in, out := &s.Directory.Gossip, &r.count.gossipIn, &r.count.gossipOut
	g.MessagesIn, g.KindsIn, g.BytesIn = in.read()
	g.MessagesOut, g.KindsOut, g.BytesOut = out.read()
	g.ClosedFull = r.count.gossipFull.Load()
	return s
}
