// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// sweepEvery is how long a circuit keeps, after its last cell, what it could do
// without; at most twice that. To have it again costs less than a tenth of what one
// cell costs, while most circuits of a relay were built ahead of need and wait.
const sweepEvery = 500 * time.Millisecond

// warmth says whether a circuit holds what only busy ones need.
type warmth struct{ state atomic.Uint32 }

const (
	cold    uint32 = iota // nothing to take, not in the list
	cooling               // in the list, no cell since the last sweep
	hot                   // in the list
)

// warm are the circuits that have had cells lately.
type warm struct {
	mu   sync.Mutex
	list []*circ
	some chan struct{} // a token when the list is no longer empty
}

// touch says that c has cells.
func (w *warm) touch(c *circ) {
	if c.warmth.state.Load() == hot || c.warmth.state.Swap(hot) != cold {
		return
	}
	w.mu.Lock()
	w.list = append(w.list, c)
	first := len(w.list) == 1
	w.mu.Unlock()
	if first {
		select {
		case w.some <- struct{}{}:
		default:
		}
	}
}

// any says whether circuits had cells lately: within twice sweepEvery.
func (w *warm) any() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.list) > 0
}

// sweep returns the circuits that had no cell since the last sweep, which leave the
// list, and whether there are others.
func (w *warm) sweep() (idle []*circ, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.list[:0]
	for _, c := range w.list {
		if c.warmth.state.CompareAndSwap(cooling, cold) {
			idle = append(idle, c)
			continue
		}
		c.warmth.state.Store(cooling)
		kept = append(kept, c)
	}
	clear(w.list[len(kept):])
	if w.list = kept; len(kept) == 0 {
		w.list = nil
	}
	return idle, len(kept) > 0
}

// sweep takes from idle circuits the memory that only busy ones need. It sleeps
// while there is none to take.
func (r *Relay) sweep(ctx context.Context) {
	t := time.NewTimer(sweepEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.warm.some:
		}
		for more := true; more; {
			t.Reset(sweepEvery)
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			var idle []*circ
			idle, more = r.warm.sweep()
			for _, c := range idle {
				c.shrink()
			}
		}
	}
}
