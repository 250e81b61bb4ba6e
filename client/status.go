// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"slices"
	"time"

	"chive/directory/path"
	"chive/directory/record"
	dirsync "chive/directory/sync"
)

// CircuitStatus is what a client shows its own user about one circuit.
type CircuitStatus struct {
	Path    []record.RID // guard first
	Opened  time.Time
	InUse   bool // carries, or has carried, streams of one isolation key
	Streams int  // open now
}

// Circuits returns the open circuits, the oldest first.
func (c *Client) Circuits() []CircuitStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]CircuitStatus, len(c.open))
	for i, q := range c.open {
		out[i] = CircuitStatus{Path: q.rids(), Opened: q.openedAt, InUse: q.taken, Streams: q.streams}
	}
	return out
}

// Guards returns the client's guards in their order.
func (c *Client) Guards() []record.RID {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []record.RID
	if c.guards == nil {
		return nil // Run has not read them yet
	}
	for _, g := range c.guards.List(time.Now()) {
		out = append(out, g.RID)
	}
	return out
}

// State is where a client stands with the list of relays. Spec: directory §8.
type State string

// States.
const (
	StateCold    State = "cold"    // looks for a relay to ask
	StateChain   State = "chain"   // asks for the newest list and verifies who signed it
	StateTable   State = "table"   // fetches the list itself
	StateCheck   State = "check"   // asks relays apart whether they hold the same
	StateReady   State = "ready"   // has a fresh list, refetched now and then
	StateStale   State = "stale"   // goes on with an old list, and asks for a newer one
	StateRefused State = "refused" // the list is too old, or this clock slow for certain: no new circuits
	StateDown    State = "down"    // no circuit is open, and for 20 s no guard could be reached
)

// Status is what a client shows its own user. Spec: product §4, directory §6, §8.
type Status struct {
	Bootstrap Progress // the last step
	State     State
	Text      string // what stands in the way, for a person; empty: nothing

	Epoch     uint64    // of the list used
	DirRoot   [32]byte  // of that list: what all who hold it have in common
	Current   uint64    // of this clock
	Freshness string    // a sentence
	Fetched   time.Time // a relay last answered with something that verified; zero: none yet
	NextFetch time.Time // zero: not planned
	Checked   time.Time // relays apart last said that they hold this very list; zero: not yet

	Committee  CommitteeStatus
	Unmeasured bool // no running relay was measured
	Stalled    bool // by this clock; relays apart agree that there was no newer list for too long
	Forked     bool // a relay had a history that this list is not part of: see Alarms
	Unasked    bool // nobody could be asked which list it holds, several times in a row
	Notes      []string
	Alarm      *Alarm  // the worst; nil: none
	Alarms     []Alarm // all that are kept, the first one first
	Clock      string  // what is wrong with this machine's clock; empty: nothing known
	NoExit     string  // why requests find no exit, where the client is of use otherwise; empty: they may

	Guards   []GuardExplained
	Circuits []CircuitExplained
	Relays   RelayCounts
	Traffic  TrafficStatus
}

// TrafficStatus counts the bytes of streams and datagrams since the start, without what
// carries them, and the streams and associations that are open now.
type TrafficStatus struct {
	Up, Down uint64
	Streams  int
}

// CommitteeStatus says who agrees on the list.
type CommitteeStatus struct {
	K, M, Q  int // seats; of them must agree to change something; to make a list final
	Eligible int // relays that can be drawn, as far as the list tells
	Groups   int // in which these are
	Young    bool
	Text     string // what it means to be young; empty: it is not
}

// RelayCounts says what the list holds. Guards and Exits count running relays with
// that role.
type RelayCounts struct{ Listed, Running, Guards, Exits int }

// Status returns a picture of the client. It may be called at any time, by any
// goroutine.
func (c *Client) Status() Status {
	now := time.Now()
	t := c.current()
	eligible, groups := t.eligible()
	s := Status{
		Epoch: t.view.Epoch(), DirRoot: t.view.Table().DirRoot(), Current: c.doc.EpochAt(now), Freshness: c.freshnessWords(t, now, c.isLagging()),
		Unmeasured: t.unmeasured(), Relays: t.counts(),
		Traffic: TrafficStatus{c.stories.up.Load(), c.stories.down.Load(), int(c.stories.streams.Load())},
	}
	if err := c.clockWrong(now); err != nil {
		s.Clock = err.Error()
		s.Freshness = "How old the list of relays is cannot be told: this clock is wrong."
	}

	type shown struct {
		q *circ
		e CircuitExplained
	}
	c.mu.Lock()
	d := &c.dir
	s.Bootstrap, s.State, s.Text = c.withUnsaved(d.step), c.stateAt(now), c.trouble
	if s.State == StateDown {
		s.Bootstrap = c.withOutage(d.step)
		s.Text = s.Bootstrap.Text
	}
	if s.Bootstrap.Cause == causeDisk {
		s.Text = s.Bootstrap.Text
	}
	s.Fetched, s.NextFetch, s.Checked = d.fetched, d.nextFetch, d.checked
	s.Stalled = d.stalled && !dirsync.ServedFresh(c.doc.Params, s.Epoch, s.Current) // a fast clock may have been set
	s.Alarms = slices.Clone(d.alarms)
	s.Forked = slices.ContainsFunc(s.Alarms, func(a Alarm) bool { return a.Kind == AlarmForked })
	s.Alarm = worst(s.Alarms)
	s.Unasked = d.unasked >= unaskedLimit
	s.Committee = committeeStatus(d.seats, eligible, groups)
	var guards []path.GuardStatus
	var usable []record.RID
	if c.guards != nil {
		guards, usable = c.guards.List(now), c.guardsAt(now)
	}
	circuits := make([]shown, len(c.open))
	for i, q := range c.open {
		circuits[i] = shown{q, CircuitExplained{ID: q.id, Purpose: q.need.purpose(), Opened: q.openedAt, Took: q.took, InUse: q.taken, Streams: q.streams}}
	}
	c.mu.Unlock()

	carries := make(map[record.RID]int)
	for _, x := range circuits {
		if len(x.q.path) > 0 {
			carries[x.q.path[0].RID]++
		}
	}
	s.Guards = explainGuards(t, guards, usable, carries, s.State == StateDown)
	for _, x := range circuits {
		if x.q.table != nil {
			x.e.Epoch = x.q.table.view.Epoch()
		}
		x.e.Hops = explainCircuit(x.q, guards)
		s.Circuits = append(s.Circuits, x.e)
	}
	if s.Text == "" && (s.State == StateStale || s.State == StateRefused) {
		if s.Text = s.Freshness; s.Clock != "" {
			s.Text = s.Clock
		}
	}
	if s.State == StateReady || s.State == StateStale {
		s.NoExit = c.noExit(t, now)
	}
	s.Notes = s.notes()
	return s
}
