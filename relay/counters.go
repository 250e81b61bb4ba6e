// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"errors"
	"sync/atomic"
	"time"

	"chive/circuit"
)

// counters are totals since the start. They name no peer and no circuit.
type counters struct {
	cells, circuits, refusals, replays, violations, overflows, exited atomic.Uint64
	gossipIn, gossipOut                                               traffic
	gossipFull                                                        atomic.Uint64
}

// traffic is a number of messages, and their bytes.
type traffic struct{ messages, bytes atomic.Uint64 }

func (t *traffic) add(messages, bytes int) {
	t.messages.Add(uint64(messages))
	t.bytes.Add(uint64(bytes))
}

func (c *counters) forwarded(cells int) { c.cells.Add(uint64(cells)) }
func (c *counters) carried(bytes int)   { c.exited.Add(uint64(bytes)) }
func (c *counters) created()            { c.circuits.Add(1) }
func (c *counters) refused()            { c.refusals.Add(1) }
func (c *counters) replayed()           { c.replays.Add(1) }

func (c *counters) violation(err error) {
	if errors.Is(err, circuit.ErrProtocol) {
		c.violations.Add(1)
		return
	}
	c.overflows.Add(1)
}

// Status is what a relay tells its operator: totals, never circuits or clients.
type Status struct {
	OpenCircuits    int    // now
	CellsForwarded  uint64 // both directions, since the start
	CircuitsCreated uint64 // CREATE answered with CREATED
	Refused         uint64 // CREATE refused as busy
	Replayed        uint64 // CREATE seen before
	Violations      uint64 // circuits closed because a peer broke the protocol
	Overflows       uint64 // circuits closed at a bound of ours
	Carried         uint64 // bytes of streams and datagrams of an exit, both directions, since the start
	Memory          MemoryStatus
	Directory       DirectoryStatus
	Certified       *CertifiedStatus // of a relay whose identity is offline; else nil
	LinkEnds        time.Time        // when the certificate of the link key in use ends; zero: none yet
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
	if d := r.directory.Load(); d != nil {
		s.Directory = *d
	}
	g, in, out := &s.Directory.Gossip, &r.count.gossipIn, &r.count.gossipOut
	g.MessagesIn, g.BytesIn = in.messages.Load(), in.bytes.Load()
	g.MessagesOut, g.BytesOut = out.messages.Load(), out.bytes.Load()
	g.ClosedFull = r.count.gossipFull.Load()
	return s
}
