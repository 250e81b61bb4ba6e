// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"chive/directory"
	"chive/directory/record"
)

// lossTime is how long a link stays that nothing passes over: writes stall and the
// system gives up (protocol §4).
const lossTime = 30 * time.Second

// node is a relay: its machine, and what a role would own.
type node struct {
	*person
	w      *world
	rid    record.RID
	up     bool
	life   uint32 // counts processes
	m      *directory.Machine
	store  store
	links  []uint32 // ends of streams that are up, rising
	net    *rand.PCG
	skew   time.Duration
	away   *process // it is a real process; nil: a machine of this world
	side   int      // of a partition
	erased map[uint64]bool

	wakeAt int64 // asked for; 0: not
	tickAt int64 // a tick is in the queue

	head      directory.View
	stored    int64 // when the latest promise was durable
	reports   []directory.Report
	published int // own descriptors

	server server
	reader *reader // what its role reads as a client; nil: nothing so far
	saved  []byte  // of it, durable
	listed bool    // by the newest list that it knows

	crash  func(e directory.Store, before bool) bool // asked around every Store: die?
	lies   lie
	treats treason
	out    []directory.Effect
}

func (n *node) hostile() bool { return n.lies != 0 || n.treats != 0 }

// start starts the process, from what is stored.
func (n *node) start() {
	if n.up {
		return
	}
	n.life++
	keys := map[uint64]ed25519.PrivateKey{}
	for term := n.term() - min(n.term(), 1); term < n.term()+3; term++ {
		if !n.erased[term] {
			keys[term] = n.committeeKey(term)
		}
	}
	m, err := directory.New(directory.Config{
		Document: n.w.doc, RID: n.rid, VRF: n.vrf, Keys: keys, Verifier: n.w.verify, Catalog: n.w.catalog,
		Rand: bytesOf{stream(n.w.seed, n.n, "machine "+string(rune('0'+n.life)))}, Saved: n.store.saved,
		UnsafeUnaware: n.treats != 0,
	})
	must(err)
	n.m, n.up, n.links, n.wakeAt, n.tickAt = m, true, nil, 0, 0
	n.server.all, n.listed = nil, true
	n.step(directory.Tick{})
	if n.w.reads && n.up {
		n.later(time.Second, n.reads)
	}
}

// term is committee A's now.
func (n *node) term() uint64 {
	return n.w.doc.EpochAt(n.clock()) / uint64(n.w.doc.Params.Term)
}

// stop kills the process; its peers learn of it in time.
func (n *node) stop() {
	if !n.up {
		return
	}
	n.up, n.m = false, nil
	n.life++
	for _, link := range n.links {
		n.hangUp(link)
	}
	n.links = nil
}

// clock is the relay's.
func (n *node) clock() time.Time { return n.w.time().Add(n.skew) }

// later does something in this process.
func (n *node) later(d time.Duration, do func()) {
	n.w.push(n.n, d, event{node: int32(n.n), life: n.life, do: do})
}

// step gives the machine an event and does what it asks for.
func (n *node) step(ev directory.Event) {
	life := n.life
	effects := n.m.Step(n.clock(), ev, n.out[:0])
	n.out = nil // steps within steps have their own
	for _, e := range effects {
		if n.carry(e); !n.up || n.life != life {
			return
		}
	}
	clear(effects)
	n.out = effects[:0]
}

func (n *node) carry(e directory.Effect) {
	w := n.w
	switch e := e.(type) {
	case directory.Send:
		n.send(uint32(e.Link), e.Body)
	case directory.Open:
		n.dial(w.byRID[e.RID], e.RID)
	case directory.Close:
		n.drop(uint32(e.Link))
		n.hangUp(uint32(e.Link))
	case directory.Wake:
		n.wakes(e.At.Add(-n.skew).UnixNano())
	case directory.Store:
		n.keep(e)
	case directory.View:
		digest := e.State.Digest()
		w.noteMore(digest[:]...)
		w.check.final(n, e)
		n.head = e
		n.shows(e)
	case directory.Publish:
		n.publish(e)
	case directory.Erase:
		n.erased[e.Term] = true
	case directory.Report:
		n.reports = append(n.reports, e)
		w.check.report(n, e)
	case directory.Probe:
		n.probe(e)
	default:
		n.admit(e)
	}
}

// wakes asks for a tick. One that is in the queue already may come too early: it asks
// again.
func (n *node) wakes(at int64) {
	n.wakeAt = at
	if n.tickAt == 0 || at < n.tickAt {
		n.tickAt = at
		n.w.push(n.n, time.Duration(at-n.w.now), event{node: int32(n.n), life: n.life, kind: kindTick})
	}
}

func (n *node) ticked(at int64) {
	if at != n.tickAt {
		return // another was asked for since, and comes
	}
	n.tickAt = 0
	if n.wakeAt > at {
		n.wakes(n.wakeAt)
		return
	}
	n.step(directory.Tick{})
}

// keep carries out a Store, or dies around it.
func (n *node) keep(e directory.Store) {
	if n.crash != nil && n.crash(e, true) {
		n.stop()
		return
	}
	w := n.w
	ok := true
	if !w.brief || e.Bucket == directory.BucketSelf {
		ok = n.store.put(e)
	}
	if ok && e.Bucket == directory.BucketDesc && len(e.Key) > 0 && e.Key[0] == record.ClassDescriptor && e.Value != nil {
		w.spread.holds(n, record.ClassDescriptor, e.Value)
	}
	if n.crash != nil && n.crash(e, false) {
		n.stop()
		return
	}
	if e.Token != 0 {
		n.later(time.Millisecond, func() {
			n.stored = w.now
			n.step(directory.Stored{Token: e.Token, OK: ok})
		})
	}
}

// publish answers with a signed descriptor.
func (n *node) publish(e directory.Publish) {
	n.later(time.Millisecond, func() {
		for _, term := range e.Terms {
			life := n.life
			if n.step(directory.Key{Term: term, Key: n.committeeKey(term)}); n.life != life {
				return
			}
		}
		n.published++
		data := n.descriptor(n.w.nid, e.Seq, e.Published, e.Expires, e.Terms)
		n.w.spread.born(n, record.ClassDescriptor, data, n.w.now)
		n.step(directory.Descriptor{Data: data})
	})
}

// renew has the relay say something new: another onion key.
func (n *node) renew() {
	n.onion++
	if n.up {
		n.step(directory.Renew{})
	}
}

func (n *node) probe(e directory.Probe) {
	w, target := n.w, n.w.byRID[e.RID]
	if target != nil && target.away != nil {
		target.away.probed(n, e.ID)
		return
	}
	d := 100 * time.Millisecond
	if target != nil {
		d = 4 * w.latency(n, target)
	}
	n.later(d, func() {
		ok := target != nil && target.up && !w.apart(n, target) && len(e.Addresses) == 1 && e.Addresses[0] == target.address
		n.step(directory.ProbeDone{ID: e.ID, OK: ok})
	})
}

// dial calls a relay: connection, handshake, stream.
func (n *node) dial(target *node, rid record.RID) {
	w := n.w
	if target != nil && target.away != nil {
		target.away.called(n)
		return
	}
	if target == nil || !target.up || w.apart(n, target) {
		n.later(time.Second, func() { n.step(directory.DialFailed{RID: rid}) })
		return
	}
	d := w.latency(n, target)
	w.wires = append(w.wires, &wire{node: [2]*node{n, target}, life: n.life})
	link := uint32(2 * (len(w.wires) - 1))
	w.push(n.n, 3*d, event{node: int32(target.n), link: link + 1, kind: kindArrived})
}

// arrived is the called end of a call.
func (n *node) arrived(e *event) {
	w := n.w
	x := w.wires[e.link/2]
	caller := x.node[0]
	d := w.latency(n, caller)
	w.push(n.n, d, event{node: int32(caller.n), link: e.link - 1, kind: kindUp})
	if !n.up || !caller.up || w.apart(n, caller) {
		x.broken = true
		return
	}
	x.session = sha256.Sum256(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, w.seed), uint64(e.link/2)))
	x.free[0] = w.now + int64(d)
	n.linked(e.link, x, true)
}

// standsUp is the calling end.
func (n *node) standsUp(e *event) {
	x := n.w.wires[e.link/2]
	switch {
	case x == nil: // over already
	case !n.up || n.life != x.life:
		n.hangUp(e.link)
	case x.broken || n.w.apart(n, x.node[1]):
		x.broken = true
		n.step(directory.DialFailed{RID: x.node[1].rid})
	default:
		n.linked(e.link, x, false)
	}
}

func (n *node) linked(link uint32, x *wire, inbound bool) {
	end := link % 2
	x.up[end] = true
	at, _ := slices.BinarySearch(n.links, link)
	n.links = slices.Insert(n.links, at, link)
	peer := x.node[1-end]
	ev := directory.LinkUp{Link: uint64(link), RID: peer.rid, Inbound: inbound, Session: x.session}
	if inbound {
		ev.Source = peer.address.Addr()
	}
	n.step(ev)
}

// drop forgets an end.
func (n *node) drop(link uint32) {
	if at, ok := slices.BinarySearch(n.links, link); ok {
		n.links = slices.Delete(n.links, at, at+1)
	}
}

// hangUp ends a stream: the other end learns of it behind what was sent.
func (n *node) hangUp(link uint32) {
	w, x := n.w, n.w.wires[link/2]
	if x == nil {
		return
	}
	far := link ^ 1
	x.up[link%2] = false
	if x.far != nil {
		x.far.finish()
		w.wires[link/2] = nil
		return
	}
	peer := x.node[far%2]
	d := time.Duration(max(0, x.free[far%2]-w.now)) + w.latency(n, peer)
	w.push(n.n, d, event{node: int32(peer.n), link: far, kind: kindDown})
}

// goesDown is the end of a stream at this end.
func (n *node) goesDown(e *event) {
	w, x := n.w, n.w.wires[e.link/2]
	if x == nil {
		return
	}
	end := e.link % 2
	was := x.up[end]
	x.up[end] = false
	if !x.up[1-end] && was {
		w.wires[e.link/2] = nil
	}
	if was && n.up {
		n.drop(e.link)
		n.step(directory.LinkDown{Link: uint64(e.link)})
	}
}

// send puts a frame on its way, unless the relay is one that tampers.
func (n *node) send(link uint32, body []byte) {
	x := n.w.wires[link/2]
	if x == nil || !x.up[link%2] {
		return
	}
	if n.hostile() {
		n.w.brain.sends(n, link, x, body)
		return
	}
	n.w.check.sent(n, body)
	if x.far != nil {
		x.far.put(body)
		return
	}
	n.transmit(link, x, body, 0)
}

// transmit puts bytes on their way. A stream keeps its order.
func (n *node) transmit(link uint32, x *wire, body []byte, extra time.Duration) {
	w := n.w
	far := link ^ 1
	peer := x.node[far%2]
	at := max(w.now+int64(w.latency(n, peer)+extra), x.free[far%2])
	x.free[far%2] = at
	if len(body) > 1 && body[1] == frameHello {
		x.said[link%2] = true
	}
	w.spread.sends(n, body)
	w.push(n.n, time.Duration(at-w.now), event{node: int32(peer.n), link: far, kind: kindFrame, body: body})
}

// frame is a frame that arrives.
func (n *node) frame(e *event) {
	w, x := n.w, n.w.wires[e.link/2]
	if x == nil || !n.up || !x.up[e.link%2] || x.broken {
		return
	}
	if w.apart(n, x.node[1-e.link%2]) { // a stream has no holes: it ends
		x.broken = true
		for end, o := range x.node {
			w.push(n.n, w.lossTime(), event{node: int32(o.n), link: e.link&^1 | uint32(end), kind: kindDown})
		}
		return
	}
	x.bytes[e.link%2] += uint64(len(e.body)) + 4
	w.spread.arrives(n, e.body)
	body := e.body
	if n.hostile() {
		if body = w.brain.hears(n, e.link, x, body); body == nil {
			return
		}
	}
	n.step(directory.Frame{Link: uint64(e.link), Body: body})
}

// lossTime is how long a dead link stays in this network.
func (w *world) lossTime() time.Duration { return min(lossTime, w.doc.Params.EpochLen/4) }
