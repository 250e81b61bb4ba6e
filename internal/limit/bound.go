// SPDX-License-Identifier: BSD-3-Clause

package limit

import (
	"errors"
	"sync"
)

// ErrSpent is returned by reads and writes when all that may pass has passed.
var ErrSpent = errors.New("limit: the quota is used up")

// mostBound keeps a sum within 63 bits.
const mostBound = 1 << 61

// bound is how many bytes its flows may pass, together, from the meter's start on.
// Bytes are taken before they may pass; so whenever they pass, the sum of what has
// passed and what is under way is within the bound.
type bound struct {
	flows []*flow

	mu       sync.Mutex
	most     int64
	underWay int64
}

// take grants at most want bytes; 0: nothing is left.
func (b *bound) take(want int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	left := b.most - b.underWay
	for _, f := range b.flows {
		left -= int64(min(f.total.Load(), mostBound))
	}
	n := min(want, left)
	if n <= 0 {
		return 0
	}
	b.underWay += n
	return n
}

// give ends a turn of n bytes. What passed of it is in its flow's total already, so
// for a moment it counts twice, and never not at all.
func (b *bound) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.underWay -= n
}

// Bound sets how far what Counted returns may go, as count says: the sum of both
// directions (to the sum of in and out), what is written (to out), or each direction.
// From there on reads and writes return ErrSpent, until it is set further.
//
// It holds at every moment: what is asked for but has not passed counts against it
// meanwhile, so in the end a turn or two may be left over. A read or write that is under
// way while a bound or another count is first set passes.
func (m *Meter) Bound(count Count, in, out int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	in, out = min(max(in, 0), mostBound), min(max(out, 0), mostBound)
	if count == CountSum {
		in, out = in+out, in+out
	}
	if m.inBound == nil || m.count != count {
		m.count = count
		m.inBound, m.outBound = &bound{flows: []*flow{&m.in}}, &bound{flows: []*flow{&m.out}}
		if count == CountSum {
			m.outBound.flows = append(m.outBound.flows, &m.in)
			m.inBound = m.outBound
		}
	}
	m.inBound.set(in)
	m.outBound.set(out)
	m.out.bound.Store(m.outBound)
	if count == CountOut {
		m.in.bound.Store(nil)
	} else {
		m.in.bound.Store(m.inBound)
	}
}

// Unbound takes away what Bound has set.
func (m *Meter) Unbound() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.in.bound.Store(nil)
	m.out.bound.Store(nil)
	m.inBound, m.outBound = nil, nil
}

func (b *bound) set(most int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.most = most
}
