// SPDX-License-Identifier: BSD-3-Clause

package limit

import (
	"math"
	"sync/atomic"
)

// Level is how full memory is.
type Level byte

// Levels. Spec: product §6 (REL-5).
const (
	Roomy    Level = iota // below 80 %
	Tight                 // from 80 %: no new circuits, idle buffers shrink
	Critical              // from 95 %: circuits with the oldest queued cell go, until 85 %
)

// Shares of the whole, in percent.
const (
	tightPercent    = 80
	shedPercent     = 85
	criticalPercent = 95
)

// Bounds of what AutoMemory returns.
const (
	leastMemory = 128 << 20
	mostMemory  = 4 << 30
)

// AutoMemory returns what "auto" means where a machine or its control group has so many
// bytes: a quarter, at least 128 MiB, at most 4 GiB.
func AutoMemory(machine uint64) int64 {
	return int64(min(max(machine/4, leastMemory), mostMemory))
}

// Memory is one account for everything that a relay keeps on behalf of others. It
// counts, and never refuses: who takes asks [Memory.Level] first. Make it with
// NewMemory. Safe for concurrent use.
//
// Spec: product §6 (REL-5).
type Memory struct {
	most            atomic.Int64
	tight, critical atomic.Int64 // bytes from which a level begins
	wake            chan struct{}

	used atomic.Int64
}

// NewMemory returns an account of most bytes; 0 or less is no bound.
func NewMemory(most int64) *Memory {
	m := &Memory{wake: make(chan struct{}, 1)}
	m.SetMost(most)
	return m
}

// Pool is a part of the account with a total of its own, for metrics.
type Pool struct {
	of   *Memory
	used atomic.Int64
}

// Pool returns a new part of the account.
func (m *Memory) Pool() *Pool { return &Pool{of: m} }

// closedPool is what a pool has used that is closed.
const closedPool = math.MinInt64

// Close gives back whatever the pool has, for good: what is added or given back afterwards
// counts for nothing.
func (p *Pool) Close() {
	if used := p.used.Swap(closedPool); used != closedPool {
		p.of.used.Add(-used)
	}
}

// Add takes n bytes, or gives them back if n is below 0.
func (p *Pool) Add(n int64) {
	for {
		had := p.used.Load()
		if had == closedPool {
			return
		}
		if p.used.CompareAndSwap(had, had+n) {
			break
		}
	}
	used := p.of.used.Add(n)
	if n <= 0 || used < p.of.tight.Load() {
		return
	}
	if used-n < p.of.tight.Load() || used >= p.of.critical.Load() {
		p.of.token()
	}
}

// Used returns the bytes of this part.
func (p *Pool) Used() int64 {
	if used := p.used.Load(); used != closedPool {
		return used
	}
	return 0
}

// SetMost changes the bound; 0 or less is none.
func (m *Memory) SetMost(most int64) {
	m.most.Store(most)
	m.tight.Store(share(most, tightPercent))
	m.critical.Store(share(most, criticalPercent))
	m.token()
}

// Most returns the bound; 0 or less is none.
func (m *Memory) Most() int64 { return m.most.Load() }

// Wake has a token when memory has become tight, for as long as more is taken while it
// is critical, and after SetMost: for the one goroutine that looks after it.
func (m *Memory) Wake() <-chan struct{} { return m.wake }

func (m *Memory) token() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Used returns the bytes of all parts.
func (m *Memory) Used() int64 { return m.used.Load() }

// Level returns how full it is.
func (m *Memory) Level() Level {
	switch {
	case m.used.Load() >= m.critical.Load():
		return Critical
	case m.used.Load() >= m.tight.Load():
		return Tight
	}
	return Roomy
}

// Tight returns the bytes from which the level is Tight.
func (m *Memory) Tight() int64 { return m.tight.Load() }

// Excess returns the bytes that must go until 85 % are used; 0 if less are. Once a
// Critical level was seen, circuits are closed until it is 0.
func (m *Memory) Excess() int64 {
	return max(0, m.used.Load()-share(m.most.Load(), shedPercent))
}

// share returns a part of the whole in bytes.
func share(most, percent int64) int64 {
	if most <= 0 {
		return math.MaxInt64
	}
	return most/100*percent + most%100*percent/100
}
