// SPDX-License-Identifier: BSD-3-Clause

package limit

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a turn: what one connection may move before the next one may. A
// 128th of a second's bytes keeps the wait short where many connections queue.
const (
	turnsPerSecond = 128
	leastTurnSize  = 2 << 10
	mostTurnSize   = 64 << 10
	// soloTurnSize is a turn while nobody else waits: one large write then stays one.
	soloTurnSize = 256 << 10
)

// flow is one direction of a Meter: a bucket, and a queue of those who wait for it.
//
// Bytes are taken from the bucket before they may pass, and while they are under
// way the bucket is smaller by as much. So whenever they pass, at most
// rate x t + burst bytes do so in any window t.
type flow struct {
	total   atomic.Uint64         // bytes that passed
	limited atomic.Bool           // rate is not 0; read without the lock
	bound   atomic.Pointer[bound] // of the total; nil: none

	mu       sync.Mutex
	rate     int64 // bytes per second; 0: no limit
	burst    int64 // nano-bytes
	held     int64 // nano-bytes at the time last; below 0 after what passed unasked
	underWay int64 // nano-bytes taken and not yet settled
	turn     int64 // bytes
	last     time.Time
	queue    list.List // of *waiter
	timer    *time.Timer
	since    time.Time     // from when on somebody waits; zero: nobody does
	waited   time.Duration // for which somebody did, before since
}

// waiter waits for a turn of at most want bytes.
type waiter struct {
	want    int64
	granted chan int64 // of room 1
	place   *list.Element
}

// setRate changes the limit for what passes from now on. rate and burst are bytes.
func (f *flow) setRate(rate, burst int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fillLocked()
	before := f.rate
	f.rate = max(rate, 0)
	if burst <= 0 {
		burst = f.rate
	}
	f.burst = min(max(burst, 1), maxBurst-1) * nano
	f.turn = min(max(f.rate/turnsPerSecond, leastTurnSize), mostTurnSize, f.burst/nano)
	if before == 0 {
		f.held = f.burst
	}
	f.held = min(f.held, f.burst-f.underWay)
	f.last = time.Now()
	f.limited.Store(f.rate > 0)
	f.dispatchLocked()
}

// take asks for a turn of at most want bytes. It grants it at once, or returns 0
// and a waiter: then the turn comes through its channel, unless leave comes first.
func (f *flow) take(want int64) (int64, *waiter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := &waiter{want: want}
	if f.queue.Len() == 0 {
		f.fillLocked()
		if n := f.grantLocked(w); n > 0 {
			return n, nil
		}
	}
	w.granted = make(chan int64, 1)
	w.place = f.queue.PushBack(w)
	if f.queue.Len() == 1 {
		f.since = time.Now()
		f.dispatchLocked()
	}
	return 0, w
}

// leave gives up waiting, and whatever was granted meanwhile.
func (f *flow) leave(w *waiter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case n := <-w.granted:
		f.settleLocked(n, 0)
	default:
		f.queue.Remove(w.place)
		f.dispatchLocked()
	}
}

// settle ends a turn of n bytes of which passed have passed.
func (f *flow) settle(n, passed int64) {
	f.total.Add(uint64(passed))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settleLocked(n, passed)
}

func (f *flow) settleLocked(n, passed int64) {
	f.fillLocked()
	f.underWay -= n * nano
	f.held = min(f.held+(n-passed)*nano, f.burst-f.underWay)
	f.dispatchLocked()
}

// charge ends a turn of n bytes as if all had passed, without counting them.
func (f *flow) charge(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settleLocked(n, n)
}

// passed counts bytes that passed without a turn. If a limit was set meanwhile, it
// is charged with them.
func (f *flow) passed(n int) {
	f.total.Add(uint64(n))
	if !f.limited.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fillLocked()
	f.held -= int64(n) * nano
}

// fillLocked adds what time has brought.
func (f *flow) fillLocked() {
	now := time.Now()
	elapsed := int64(now.Sub(f.last))
	if elapsed <= 0 {
		return
	}
	f.last = now
	missing := f.burst - f.underWay - f.held
	if f.rate == 0 || missing <= 0 {
		return
	}
	if elapsed > missing/f.rate {
		f.held += missing
		return
	}
	f.held += elapsed * f.rate
}

// grantLocked takes a turn for w from the bucket, or returns 0.
func (f *flow) grantLocked(w *waiter) int64 {
	n := w.want
	if f.rate > 0 {
		n = min(w.want, f.turn)
		if f.held < n*nano {
			return 0
		}
		if f.queue.Len() <= 1 { // nobody else waits
			n = min(w.want, max(f.turn, soloTurnSize), f.held/nano)
		}
	}
	f.held -= n * nano
	f.underWay += n * nano
	return n
}

// dispatchLocked grants turns in the order of asking, and sees to it that it is
// called again when the next one can be granted.
func (f *flow) dispatchLocked() {
	f.fillLocked()
	for f.queue.Len() > 0 {
		w := f.queue.Front().Value.(*waiter)
		n := f.grantLocked(w)
		if n == 0 {
			break
		}
		f.queue.Remove(w.place)
		w.granted <- n
	}
	if f.queue.Len() == 0 {
		if !f.since.IsZero() {
			f.waited += time.Since(f.since)
			f.since = time.Time{}
		}
		if f.timer != nil {
			f.timer.Stop()
		}
		return
	}
	need := min(f.queue.Front().Value.(*waiter).want, f.turn) * nano
	if f.burst-f.underWay < need {
		return // only a turn's end brings enough, and it dispatches
	}
	wait := time.Duration((need - f.held + f.rate - 1) / f.rate)
	if f.timer == nil {
		f.timer = time.AfterFunc(wait, f.wake)
		return
	}
	f.timer.Reset(wait)
}

// waiting is for how long somebody has waited for the rate.
func (f *flow) waiting() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.since.IsZero() {
		return f.waited
	}
	return f.waited + time.Since(f.since)
}

func (f *flow) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dispatchLocked()
}
