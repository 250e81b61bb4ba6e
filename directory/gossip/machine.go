// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"math/rand/v2"
	"slices"
	"time"

	"chive/directory/genesis"
	"chive/directory/reconcile"
	"chive/directory/record"
)

// Bounds of a machine. Spec: protocol §7 (GOS-2, GOS-12).
const (
	MaxPeers       = 64               // links
	MaxStrangers   = 8                // callers that are not on the list
	strangersOfNet = 2                // of them from one source, IPv4 /24 or IPv6 /48
	maxQueued      = 4096             // records to be announced, per peer
	maxServing     = 64               // records asked for and not sent yet, per peer
	maxLate        = 512              // short ids that may still be delivered, per peer
	maxRecent      = 128              // digests of a class that are looked up first
	maxStateAsked  = 4                // parts asked of a peer
	maxStateLate   = 64               // parts that may still come, per peer
	maxJoins       = 8                // own requests to join under way
	helloTimeouts  = 10               // GET timeouts until a HELLO must have come
	stateTimeouts  = 20               // GET timeouts until a part must have come
	strangerPeriod = 5 * time.Minute  // the longest stay of a stranger or a visit
	strangerWait   = 30 * time.Second // that of a stranger without a JOIN that was taken
	dialTimeout    = time.Minute
)

// Config is what a machine is made for.
type Config struct {
	NetworkID [record.NetworkIDSize]byte
	Self      record.RID
	Params    genesis.Params
	// Rand decides delays, private neighbours and nonces. In production it is
	// unpredictable to peers; in simulations it makes runs repeatable.
	Rand rand.Source
	// Records is the owner's store.
	Records Records
	// States is the owner's relay-only tables; nil: none held.
	States States
	// Private are the private neighbours of before a restart.
	Private []record.RID
	// Assigned, if not nil, is the function of that name: simulators remember its
	// answers, which thousands of machines ask for. Nobody changes them.
	Assigned func(beacon [32]byte, caller record.RID, relays []Relay) []record.RID
	// Repaired, if not nil, returns the set of the digests that repairs compare, those of
	// descriptors, candidates and tombstones: for an owner that has it at hand. nil: it
	// is made of Records for each repair.
	Repaired func() *reconcile.Set
}

// Stats counts since the machine was made.
type Stats struct {
	ItemsNew, ItemsKnown, ItemsLater uint64 // payloads received, by verdict
	Invalid                          uint64
	Undelivered                      uint64 // asked for and not delivered in time
	Unasked                          uint64
	Dropped                          uint64 // short ids and pushes beyond a bucket or a cap
	Penalties                        uint64 // points
	FramesIn, BytesIn                uint64
	FramesOut, BytesOut              uint64
	Repairs, RepairsFailed           uint64
}

// Machine is one relay's gossip. It belongs to one goroutine.
type Machine struct {
	cfg   Config
	own   chance
	view  View
	ready bool // a View has come
	now   time.Time
	out   []Effect
	stats Stats

	peers     []*peer // by rising rid
	byLink    map[uint64]*peer
	standings map[record.RID]*standing
	callers   map[record.RID]*caller

	assigned []record.RID // today's out-neighbours
	leaving  []record.RID // those of before, for one more epoch
	leaveAt  uint64       // epoch
	private  []record.RID
	dials    []dial // under way or to be repeated
	visit    record.RID
	visiting bool

	recent   [classCount]ring
	repairAt time.Time
	repairs  uint64
	lastTurn record.RID // neighbour of the last repair

	asks  []AskJoin
	wants []*want
	woken time.Time
	clock uint64 // of offers
}

// New returns a machine that waits for its first View.
func New(cfg Config) *Machine {
	return &Machine{
		cfg: cfg, own: chance{cfg.Rand}, byLink: make(map[uint64]*peer),
		standings: make(map[record.RID]*standing), callers: make(map[record.RID]*caller), private: slices.Clone(cfg.Private),
	}
}

// Step takes one event and appends what is to be done to out, which it returns. now
// never goes back.
func (m *Machine) Step(now time.Time, ev Event, out []Effect) []Effect {
	m.now, m.out = now, out
	switch ev := ev.(type) {
	case View:
		m.setView(ev)
	case LinkUp:
		m.linkUp(ev)
	case LinkDown:
		if p := m.byLink[ev.Link]; p != nil {
			m.remove(p)
		}
	case DialFailed:
		m.dialFailed(ev.RID)
	case Received:
		m.received(ev)
	case Announce:
		if at(ev.Class) >= 0 {
			m.learnt(nil, ev.Class, ev.Digest)
		}
	case JoinAnswer:
		m.answerJoin(ev)
	case AskJoin:
		m.askJoin(ev)
	case AskState:
		m.askState(ev)
	case BadState:
		m.badState(ev)
	case Want:
		m.wantAll(ev)
	case RepairNow:
		m.repairNow()
	}
	rest := m.restDeadline()
	if next := sooner(rest, m.dialDeadline()); !next.IsZero() && !m.now.Before(next) {
		m.due()
		rest = m.restDeadline()
	}
	if m.ready {
		m.dialAll()
	}
	m.wake(sooner(rest, m.dialDeadline()))
	out, m.out = m.out, nil
	return out
}

// Stats returns the counters.
func (m *Machine) Stats() Stats { return m.stats }

// Peers returns the relays with a gossip stream that have said HELLO, by rising rid.
func (m *Machine) Peers() []record.RID {
	var out []record.RID
	for _, p := range m.peers {
		if p.greeted {
			out = append(out, p.rid)
		}
	}
	return out
}

// Trusted returns the relays whose word about the time and the newest snapshot counts,
// by rising rid: of those that have said HELLO the assigned ones, of either direction,
// and the private ones. Guests and strangers are not asked: anybody can take their
// places. Only where so few run that everybody talks to everybody, and none of these is
// there, all but strangers count.
// Spec: protocol §7 (GOS-14).
func (m *Machine) Trusted() []record.RID {
	var out []record.RID
	for _, p := range m.trusted() {
		out = append(out, p.rid)
	}
	return out
}

func (m *Machine) trusted() []*peer {
	var drawn, all []*peer
	for _, p := range m.peers {
		if !p.greeted || p.kind == stranger {
			continue
		}
		all = append(all, p)
		if p.drawn() {
			drawn = append(drawn, p)
		}
	}
	if len(drawn) == 0 && running(m.view.Relays) <= EverybodyUpTo {
		return all
	}
	return drawn
}

// ClockOffset returns the median of how far the clocks of the Trusted were ahead of ours
// when they said HELLO, and how many they are. Transit counts as being behind.
// Spec: directory §6 (a member whose clock is off), protocol §7 (GOS-14).
func (m *Machine) ClockOffset() (time.Duration, int) {
	var all []time.Duration
	for _, p := range m.trusted() {
		all = append(all, p.offset)
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], len(all)
}

func (m *Machine) emit(e Effect) { m.out = append(m.out, e) }

// send encodes a frame to a peer. Frames made here are within their bounds.
func (m *Machine) send(p *peer, f Frame) {
	body, err := f.Encode()
	if err != nil {
		return
	}
	m.stats.FramesOut++
	m.stats.BytesOut += uint64(len(body)) + headSize
	m.emit(Send{p.link, p.rid, body})
}

// received takes one frame.
func (m *Machine) received(ev Received) {
	p := m.byLink[ev.Link]
	if p == nil {
		return
	}
	m.stats.FramesIn++
	m.stats.BytesIn += uint64(len(ev.Body)) + headSize
	f, err := DecodeFrame(ev.Body)
	if err != nil {
		m.penalise(p, penaltyBroken)
		return
	}
	hello, first := f.(*Hello)
	if first == p.greeted { // a second HELLO, or something before it
		m.penalise(p, penaltyBroken)
		return
	}
	if first {
		m.greeted(p, hello)
		return
	}
	if p.kind == stranger {
		m.fromStranger(p, f)
		return
	}
	switch f := f.(type) {
	case *IDs:
		switch f.Type {
		case typeInv:
			m.offered(p, f)
		case typeGet:
			m.asked(p, f)
		default:
			m.denied(p, f)
		}
	case *Item:
		m.item(p, f)
	case *Repair:
		m.repairMessage(p, f.Message)
	case *Join:
		m.joinAsked(p, f)
	case *Joined:
		m.joinAnswered(p, f)
	case *State:
		m.stateAsked(p, f)
	case *StatePart:
		m.statePart(p, f)
	}
}

// fromStranger takes what somebody who is not on the list may say.
func (m *Machine) fromStranger(p *peer, f Frame) {
	switch f := f.(type) {
	case *Join:
		m.joinAsked(p, f)
	case *IDs:
		m.ignore(p, len(f.IDs))
	case *Item, *Repair:
		m.ignore(p, 1)
	case *State:
		// Likewise; it is to ask another.
		if m.mayAsk(p, 1) {
			m.send(p, &StatePart{Header: f.Header, Part: f.Part})
		}
	case *StatePart:
		m.statePart(p, f) // asked for when it was a neighbour by our list
	default:
		m.penalise(p, penaltyBroken)
	}
}

// ignore drops what a stranger sends that takes us for a neighbour: its list is newer
// than ours, or it does not know that it was dropped. It may send no more of that than a
// neighbour may.
func (m *Machine) ignore(p *peer, count int) {
	m.stats.Dropped += uint64(count)
	m.refill(p)
	if p.items.take(count) < count {
		m.penalise(p, penaltyExcess)
	}
}

// wake asks for a Tick at a deadline.
func (m *Machine) wake(next time.Time) {
	if !next.IsZero() && !next.Equal(m.woken) {
		m.woken = next
		m.emit(Wake{next})
	}
}
