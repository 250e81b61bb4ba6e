// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"chive/circuit"
	"chive/internal/limit"
	"chive/internal/redact"
	"chive/link"
)

// What things count as in the account of memory, in bytes. They were measured, or are
// what is allocated; docs/performance.md.
const (
	circuitHeld  = 6 << 10               // an idle circuit's state, the multiplexer's two streams included
	readHeld     = readBuffer + 8<<10    // a side of a circuit that is being read, its goroutine included
	joinedHeld   = 56 << 10              // a stream that is joined to its destination
	listedHeld   = 4 << 10               // a relay on the list, with the machine's states for it
	memoryEvery  = time.Second           // between looks at what is not told
	memoryPause  = 10 * time.Millisecond // between two looks for circuits that go, at least
	idleLinkLife = 10 * time.Second      // a client's link without streams is left alone for so long
	shedWait     = memoryPause           // for those that go to give back what they hold; then others go
	shedLook     = memoryPause / 10      // between looks whether they have
	tightMessage = "memory is short: no new circuits are taken; see relay.memory"
)

// account is the relay's part in the account of memory: everything that it keeps on
// behalf of others. Who takes a lot for long tells it; below that it has constants.
//
// Spec: product §6 (REL-5), security B12.
type account struct {
	whole     *limit.Memory
	circuits  *limit.Pool // their state, and destinations
	queues    *limit.Pool // cells and bytes in circuits
	buffers   *limit.Pool // of links, and of whoever reads them
	directory *limit.Pool // the list, and answers that are being written
	listed    int64       // of directory, as last counted; the guard's

	refused, killed atomic.Uint64
	// since is when memory became short, last when a circuit was refused or closed for it,
	// in Unix seconds; 0: it is not, or none was.
	since, last atomic.Int64
}

func newAccount(whole *limit.Memory) *account {
	if whole == nil {
		whole = limit.NewMemory(0)
	}
	return &account{whole: whole, circuits: whole.Pool(), queues: whole.Pool(), buffers: whole.Pool(), directory: whole.Pool()}
}

// close gives everything back: the relay has ended. What comes back later, when the last
// of its streams is put away, was given back by that: the account is the next relay's.
func (a *account) close() {
	for _, p := range []*limit.Pool{a.circuits, a.queues, a.buffers, a.directory} {
		p.Close()
	}
}

// admits reports whether a new circuit may be taken.
func (a *account) admits() bool {
	if a.whole.Level() == limit.Roomy {
		return true
	}
	a.refused.Add(1)
	a.last.Store(time.Now().Unix())
	return false
}

// times notes since when memory is short.
func (a *account) times(level limit.Level, now time.Time) {
	if level == limit.Roomy {
		a.since.Store(0)
		return
	}
	a.since.CompareAndSwap(0, now.Unix())
}

// moment is a time in Unix seconds; 0 is none.
func moment(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(at, 0)
}

// MemoryStatus is the account of memory, in bytes.
type MemoryStatus struct {
	Most                                 int64 // 0: no bound
	Used                                 int64
	Circuits, Queues, Buffers, Directory int64 // parts of Used
	Level                                limit.Level
	Refused                              uint64    // CREATE refused since the start, for memory
	Killed                               uint64    // circuits closed since the start, for memory
	Tight                                int64     // from so much on no circuits are taken
	Since, Last                          time.Time // it is short since then; a circuit was refused or closed for it; zero: not so
}

func (a *account) status() MemoryStatus {
	return MemoryStatus{
		Most: max(0, a.whole.Most()), Used: a.whole.Used(), Level: a.whole.Level(),
		Circuits: a.circuits.Used(), Queues: a.queues.Used(), Buffers: a.buffers.Used(), Directory: a.directory.Used(),
		Refused: a.refused.Load(), Killed: a.killed.Load(), Tight: a.whole.Tight(), Since: moment(a.since.Load()), Last: moment(a.last.Load()),
	}
}

// guardMemory keeps the account within its bound until ctx ends: from 80 % on idle
// buffers shrink, and from 95 % on circuits go, those first whose oldest cell has waited
// longest, until 85 %.
func (r *Relay) guardMemory(ctx context.Context, ln *link.Listener) {
	t := time.NewTicker(memoryEvery)
	defer t.Stop()
	var shrunk time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.memory.whole.Wake():
		case <-t.C:
		}
		began := time.Now()
		r.memory.countListed(r.View().Table().Len())
		level := r.memory.whole.Level()
		r.memory.times(level, began)
		if level == limit.Roomy {
			continue
		}
		r.memoryLine.Do(func() {
			r.cfg.Log.Warn().EmbedObject(redact.RoleRelay).EmbedObject(redact.Event("memory")).Msg(tightMessage)
		})
		if shrunk.IsZero() || began.Sub(shrunk) >= memoryEvery {
			shrunk = began
			r.shrinkIdle(ln)
		}
		if level != limit.Critical {
			continue
		}
		for r.shed(ctx) && r.memory.whole.Excess() > 0 && ctx.Err() == nil {
		}
		if r.memory.whole.Level() != limit.Critical {
			continue
		}
		// It is not cells that fill memory: to look for them again and again must not
		// become all that the relay does.
		pause := time.NewTimer(max(memoryPause, 3*time.Since(began)))
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
}

// countListed tells the account of a list of n relays.
func (a *account) countListed(n int) {
	held := int64(n) * listedHeld
	a.directory.Add(held - a.listed)
	a.listed = held
}

// shrinkIdle takes back what idle circuits and links can do without, and ends links of
// clients that carry nothing.
func (r *Relay) shrinkIdle(ln *link.Listener) {
	for _, c := range r.openCircuits() {
		if c.warmth.state.Load() != hot {
			c.shrink()
		}
	}
	ln.Shrink(idleLinkLife)
}

func (r *Relay) openCircuits() []*circ {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*circ, 0, len(r.circuits))
	for c := range r.circuits {
		out = append(out, c)
	}
	return out
}

// shed ends circuits until 85 % are used, or none holds cells; then it reports false. It
// knows what each gives back, and waits a moment for that.
func (r *Relay) shed(ctx context.Context) bool {
	type victim struct {
		c      *circ
		oldest uint64
	}
	var all []victim
	for _, c := range r.openCircuits() {
		if oldest := c.oldest(); oldest != 0 && !c.killed.Load() {
			all = append(all, victim{c, oldest})
		}
	}
	slices.SortFunc(all, func(a, b victim) int { return cmp.Compare(a.oldest, b.oldest) })
	over := r.memory.whole.Excess()
	goes := 0
	for ; goes < len(all) && over > 0; goes++ {
		over -= all[goes].c.held()
		all[goes].c.kill()
	}
	if goes == 0 {
		return false
	}
	by := time.Now().Add(shedWait)
	look := time.NewTicker(shedLook)
	defer look.Stop()
	for r.memory.whole.Excess() > 0 && time.Now().Before(by) {
		select {
		case <-ctx.Done():
			return true
		case <-look.C:
		}
	}
	return true
}

// oldest returns the order of the oldest cell that this circuit holds, in whatever
// queue; 0: it holds none. See circuit.End.Oldest.
func (c *circ) oldest() uint64 {
	oldest := c.car.Oldest()
	for i := range c.reads {
		if o := c.reads[i].Load(); o != 0 && (oldest == 0 || o < oldest) {
			oldest = o
		}
	}
	return oldest
}

// held is what the circuit's end gives back to the account.
func (c *circ) held() int64 {
	n := c.car.Held() + c.prev.Held() + circuitHeld
	c.mu.Lock()
	next := c.next
	c.mu.Unlock()
	if next != nil {
		n += next.Held()
	}
	for i := range c.reads {
		if c.reads[i].Load() != 0 {
			n += readHeld
		}
	}
	return n
}

// kill ends the circuit to free its memory. Nobody is waited for: neither a peer that
// does not read nor a destination.
func (c *circ) kill() {
	if !c.killed.CompareAndSwap(false, true) {
		return
	}
	c.r.memory.killed.Add(1)
	c.r.memory.last.Store(time.Now().Unix())
	c.car.Fail(circuit.EndReset)
	c.free()
	c.prev.Stop() // clientSide ends the rest
}
