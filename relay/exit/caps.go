// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"time"

	"chive/internal/limit"
)

// resource is something a circuit may hold only so much of.
type resource byte

const (
	streams      resource = iota // TCP streams, from Dial to Close
	connects                     // connects under way, one socket each
	lookups                      // questions put to the resolver
	associations                 // UDP associations
	resourceCount
)

// caps per circuit and in all. Spec: security B15 to B18.
var caps = [resourceCount]struct{ circuit, total int }{
	streams:      {256, 4_096},
	connects:     {32, 512},
	lookups:      {16, 256},
	associations: {16, 1_024},
}

// Rate of Dial on one circuit. Spec: security B16.
const (
	dialsPerSecond = 100
	dialBurst      = 200
)

// Circuit is one circuit's part in an exit. It costs little until it is used.
type Circuit struct {
	exit *Exit

	// Under exit.mu.
	inUse  [resourceCount]int
	dials  limit.Bucket
	closed bool
	stops  map[*stop]struct{} // what ends with the circuit; made when needed
}

// stop ends something that belongs to a circuit. end may be called twice.
type stop struct{ end func() }

// NewCircuit returns the part of a new circuit. Close it with the circuit.
func (e *Exit) NewCircuit() *Circuit {
	return &Circuit{exit: e, dials: limit.NewBucket(dialsPerSecond, dialBurst)}
}

// Close ends what the circuit still has: connections are closed, dials and
// look-ups given up, associations closed. Later calls fail.
func (c *Circuit) Close() {
	e := c.exit
	e.mu.Lock()
	c.closed = true
	stops := c.stops
	c.stops = nil
	e.mu.Unlock()
	for s := range stops {
		s.end()
	}
}

// take takes one unit of a resource. Error: ReasonBusy at a cap, ReasonReset
// once the circuit is closed.
func (c *Circuit) take(r resource) error {
	e := c.exit
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case c.closed:
		return Error{ReasonReset}
	case c.inUse[r] >= caps[r].circuit, e.inUse[r] >= caps[r].total:
		e.count.capped.Add(1)
		return Error{ReasonBusy}
	}
	c.inUse[r]++
	e.inUse[r]++
	return nil
}

// give gives one unit back.
func (c *Circuit) give(r resource) {
	e := c.exit
	e.mu.Lock()
	c.inUse[r]--
	e.inUse[r]--
	e.mu.Unlock()
}

// mayBegin takes one of the circuit's dials. Error: ReasonBusy.
func (c *Circuit) mayBegin() error {
	now := time.Now()
	e := c.exit
	e.mu.Lock()
	defer e.mu.Unlock()
	if !c.dials.Take(now, 1) {
		e.count.capped.Add(1)
		return Error{ReasonBusy}
	}
	return nil
}

// enter lets Close end s; leave must be called once it has ended by itself. On a
// closed circuit s ends at once.
func (c *Circuit) enter(s *stop) {
	e := c.exit
	e.mu.Lock()
	closed := c.closed
	if !closed {
		if c.stops == nil {
			c.stops = make(map[*stop]struct{})
		}
		c.stops[s] = struct{}{}
	}
	e.mu.Unlock()
	if closed {
		s.end()
	}
}

// leave forgets what enter was given.
func (c *Circuit) leave(s *stop) {
	e := c.exit
	e.mu.Lock()
	delete(c.stops, s)
	e.mu.Unlock()
}
