// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"container/heap"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/transition"
)

// sim runs members in virtual time, in one goroutine. Everything random comes from
// its seed, and after every event the invariants of section 13 are checked.
type sim struct {
	t     testing.TB
	w     *world
	p     genesis.Params
	nid   [32]byte
	rng   *rand.Rand
	v     *cached
	now   time.Time
	seq   int
	queue queue
	nodes []*simNode
	items map[[32]byte]*simItem
	state map[[32]byte]State // by header
	side  func(node int) int // part of the network now
	trace hash.Hash

	promised map[promisedKey][32]byte
	finals   map[uint64]map[[32]byte]bool // epoch -> headers
	first    map[uint64]time.Duration     // epoch -> time to the first final
	accused  map[[32]byte]bool            // keys
	traitors int
	mayFork  bool                              // as many traitors as two finals need
	quiet    func(n *simNode, class byte) bool // what a node does not send now
	events   int
}

type promisedKey struct {
	node  int
	class byte
	epoch uint64
}

type simItem struct {
	class  byte
	data   []byte
	has    []bool // nodes
	flying []bool
}

type simNode struct {
	id     int
	m      *Member
	rng    *rand.Rand
	up     bool
	life   int // counts restarts
	wake   int // of the latest Wake
	skew   time.Duration
	bad    behaviour
	crashy int // one in so many stores ends in a crash

	// What is on disk.
	keys   map[uint64]ed25519.PrivateKey
	memory []byte
	head   State
	cert   *Certificate
	parent State
	lose   bool // the memory at the next start

	states map[[32]byte]bool
}

type simEvent struct {
	at  time.Time
	seq int
	run func()
}

type queue []simEvent

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || (q[i].at.Equal(q[j].at) && q[i].seq < q[j].seq)
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(simEvent)) }
func (q *queue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

// newSim has k members and so many followers.
func newSim(t testing.TB, k, followers int, seed uint64, p genesis.Params) *sim {
	w := newWorld(t, k, p)
	s := &sim{
		t: t, w: w, p: p, nid: w.doc.NetworkID(), rng: rand.New(rand.NewPCG(seed, 1)), v: newCached(), now: start(),
		items: map[[32]byte]*simItem{}, state: map[[32]byte]State{}, side: func(int) int { return 0 }, trace: sha256.New(),
		promised: map[promisedKey][32]byte{}, finals: map[uint64]map[[32]byte]bool{}, first: map[uint64]time.Duration{},
		accused: map[[32]byte]bool{},
	}
	zero := w.genesis()
	s.state[zero.digest] = zero
	for id := range k + followers {
		n := &simNode{
			id: id, rng: rand.New(rand.NewPCG(seed, uint64(100+id))), head: zero, states: map[[32]byte]bool{zero.digest: true},
			skew: time.Duration(s.rng.IntN(100)-50) * time.Millisecond,
		}
		if id < k {
			n.keys = map[uint64]ed25519.PrivateKey{}
			for term := range uint64(4) {
				n.keys[term] = committeeKey(term, id)
			}
		}
		s.nodes = append(s.nodes, n)
	}
	return s
}

func (s *sim) after(d time.Duration, run func()) {
	s.seq++
	heap.Push(&s.queue, simEvent{at: s.now.Add(d), seq: s.seq, run: run})
}

// run starts the nodes and lets so many epochs pass.
func (s *sim) run(epochs uint64) {
	s.t.Helper()
	for _, n := range s.nodes {
		s.boot(n)
	}
	s.more(epochs)
}

// more lets further epochs pass.
func (s *sim) more(epochs uint64) {
	s.t.Helper()
	end := s.now.Add(time.Duration(epochs) * s.p.EpochLen)
	for len(s.queue) > 0 && !s.queue[0].at.After(end) {
		e := heap.Pop(&s.queue).(simEvent)
		s.now = e.at
		s.events++
		e.run()
		if s.t.Failed() {
			s.t.FailNow()
		}
	}
	s.now = end
}

func (s *sim) boot(n *simNode) {
	n.up = true
	n.life++
	c := Config{
		Document: s.w.doc, RID: ridOf(s.w.doc, n.id), Rules: s.w, Verifier: s.v, Rand: source{n.rng},
		State: n.head, Certificate: n.cert, Parent: n.parent, Memory: n.memory, Doubts: Doubts{Lost: n.lose},
		UnsafeUnaware: n.bad != 0,
	}
	if n.keys != nil {
		c.VRF, c.Keys = vrfKey(n.id), map[uint64]ed25519.PrivateKey{}
		for term, k := range n.keys {
			c.Keys[term] = slices.Clone(k)
		}
	}
	m, err := New(c)
	if err != nil {
		s.t.Fatal(err)
	}
	n.m = m
	s.step(n, Tick{})
	s.hello(n, n.life)
}

// source makes random bytes of a generator.
type source struct{ r *rand.Rand }

func (s source) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(s.r.Uint32())
	}
	return len(b), nil
}

// hello is what a neighbour says of its newest snapshot, once an epoch.
func (s *sim) hello(n *simNode, life int) {
	if n.life != life {
		return
	}
	o := s.nodes[s.rng.IntN(len(s.nodes))]
	if n.up && o.up && o.id != n.id && s.side(o.id) == s.side(n.id) && o.bad&withholdCertificate == 0 {
		if _, cert := o.m.Head(); cert != nil {
			s.step(n, Received{Class: record.ClassCertificate, Data: cert.Encode()})
		}
	}
	s.after(s.p.EpochLen/2+time.Duration(s.rng.Int64N(int64(s.p.EpochLen))), func() { s.hello(n, life) })
}

func (s *sim) crash(n *simNode) {
	n.up = false
	n.life++
	s.after(time.Duration(100+s.rng.IntN(2000))*time.Millisecond, func() { s.boot(n) })
}

// step gives an event to a node and does what it asks for.
func (s *sim) step(n *simNode, ev Event) {
	if !n.up {
		return
	}
	life := n.life
	for _, e := range n.m.Step(s.now.Add(n.skew), ev) {
		s.note(n.id, e)
		s.perform(n, e)
		if n.life != life {
			return // it crashed
		}
	}
}

// note adds an effect to the trace.
func (s *sim) note(node int, e Effect) {
	b := binary.BigEndian.AppendUint64(nil, uint64(s.now.UnixNano()))
	b = fmt.Appendf(b, "%d %T", node, e)
	switch e := e.(type) {
	case Send:
		b = append(b, e.Digest[:]...)
	case Accept:
		b = append(b, e.Digest[:]...)
	case Store:
		b = append(b, e.Memory...)
	case Final:
		d := e.State.Digest()
		b = append(b, d[:]...)
	case Wake:
		b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixNano()))
	}
	s.trace.Write(b)
}

func (s *sim) perform(n *simNode, e Effect) {
	life := n.life
	later := func(d time.Duration, ev Event) {
		s.after(d, func() {
			if n.life == life {
				s.step(n, ev)
			}
		})
	}
	switch e := e.(type) {
	case Store:
		crash := n.crashy > 0 && s.rng.IntN(n.crashy) == 0
		if crash && s.rng.IntN(2) == 0 {
			s.crash(n) // before it is durable
			return
		}
		n.memory = e.Memory
		if crash {
			s.crash(n) // after
			return
		}
		later(time.Millisecond, Stored{Token: e.Token, OK: true})
	case Send:
		if s.quiet == nil || !s.quiet(n, e.Class) {
			s.send(n, e)
		}
	case Accept:
		if n.bad&withholdCertificate != 0 && e.Class == record.ClassCertificate {
			return
		}
		s.spread(n, e.Digest, nil)
		s.misbehaveOn(n, e)
	case Refuse:
		if s.traitors == 0 {
			s.t.Errorf("node %d refused what honest nodes sent: class %c: %v", n.id, e.Class, e.Err)
		}
	case Fetch:
		for _, d := range e.Digests {
			if from := s.holder(n, d); from != nil {
				later(100*time.Millisecond, Received{Class: e.Class, Data: s.items[d].data})
			}
		}
	case FetchDescriptors:
		later(100*time.Millisecond, Found{})
	case Load:
		d := e.Certificate.HeaderDigest()
		for _, o := range s.nodes {
			if o.up && o.states[d] && o.bad == 0 && s.side(o.id) == s.side(n.id) {
				later(200*time.Millisecond, Loaded{State: s.state[d]})
				break
			}
		}
	case Observe:
		later(0, Observed{Epoch: e.Epoch, View: s.view(n, e.Epoch)})
	case Final:
		s.final(n, e)
	case Accuse:
		if n.bad == 0 {
			s.accuse(e.Evidence)
		}
	case Illegal:
		s.t.Errorf("node %d: illegal certificate: %v", n.id, e.Err)
	case Forked:
		if !s.mayFork {
			s.t.Errorf("node %d: forked", n.id)
		}
	case Erase:
		delete(n.keys, e.Term)
	case Wake:
		n.wake++
		wake := n.wake
		if !e.At.After(s.now.Add(n.skew)) {
			s.t.Fatalf("node %d: to be woken in the past", n.id)
		}
		s.after(e.At.Sub(s.now.Add(n.skew)), func() {
			if n.life == life && n.wake == wake {
				s.step(n, Tick{})
			}
		})
	}
}

// view is what a node saw: four in five of what there is to see.
func (s *sim) view(n *simNode, epoch uint64) []byte {
	var ops []byte
	for i := range 5 {
		if s.rng.IntN(5) > 0 {
			ops = append(ops, byte(i), byte(epoch>>8), byte(epoch), 0)
		}
	}
	return ops
}

// holder returns somebody who has an item and gives it.
func (s *sim) holder(n *simNode, digest [32]byte) *simNode {
	item := s.items[digest]
	if item == nil {
		return nil
	}
	at := s.rng.IntN(len(s.nodes))
	for i := range s.nodes {
		o := s.nodes[(at+i)%len(s.nodes)]
		if item.has[o.id] && o.up && o.bad&withholdCertificate == 0 && s.side(o.id) == s.side(n.id) {
			return o
		}
	}
	return nil
}

// publish makes an item known to the simulation.
func (s *sim) publish(n *simNode, class byte, digest [32]byte, data []byte) {
	if s.items[digest] == nil {
		s.items[digest] = &simItem{class: class, data: data, has: make([]bool, len(s.nodes)), flying: make([]bool, len(s.nodes))}
	}
	s.items[digest].has[n.id] = true
}

// spread delivers an item to whoever does not have it, of those that to names.
func (s *sim) spread(n *simNode, digest [32]byte, to func(node int) bool) {
	item := s.items[digest]
	if item == nil {
		return
	}
	item.has[n.id] = true
	for _, o := range s.nodes {
		if item.has[o.id] || item.flying[o.id] || s.side(o.id) != s.side(n.id) || (to != nil && !to(o.id)) {
			continue
		}
		item.flying[o.id] = true
		s.after(time.Duration(20+s.rng.IntN(150))*time.Millisecond, func() {
			item.flying[o.id] = false
			if s.side(o.id) == s.side(n.id) && o.up && !item.has[o.id] {
				item.has[o.id] = true
				s.step(o, Received{Class: item.class, Data: item.data})
			}
		})
	}
}

// said checks I1, and the same of votes and proposals: an honest member says one
// thing an epoch, whatever crashed.
func (s *sim) said(n *simNode, e Send) {
	var epoch uint64
	switch e.Class {
	case record.ClassVote:
		v, err := DecodeVote(e.Data)
		if err != nil {
			s.t.Fatal(err)
		}
		epoch = v.Epoch
	case record.ClassProposal:
		p, err := DecodeProposal(e.Data)
		if err != nil {
			s.t.Fatal(err)
		}
		if public(committeeKey(s.owner(p.Header.Epoch).List.Term, n.id)) != s.owner(p.Header.Epoch).Seats[p.Seat()].Key {
			return // another's, spread late
		}
		epoch = p.Header.Epoch
	case record.ClassSignature:
		g, err := DecodeSignature(e.Data)
		if err != nil {
			s.t.Fatal(err)
		}
		epoch = g.Epoch
		if now := s.now.Add(n.skew); now.Before(s.w.doc.EpochStart(epoch).Add(s.p.Sign)) || !now.Before(s.w.doc.EpochStart(epoch).Add(s.p.SignEnd)) {
			s.t.Errorf("node %d signs out of time", n.id)
		}
	default:
		return
	}
	at := promisedKey{n.id, e.Class, epoch}
	if was, known := s.promised[at]; known && was != e.Digest {
		s.t.Errorf("I1: node %d said two things of class %c in epoch %d", n.id, e.Class, epoch)
	}
	s.promised[at] = e.Digest
}

// owner returns the roster of an epoch in a world whose lists are always in time.
func (s *sim) owner(epoch uint64) *Roster {
	c := transition.OwnerName(epoch)
	return s.w.roster(c, transition.TermAt(s.p, c, epoch))
}

// final checks I2 and I3 and keeps the snapshot.
func (s *sim) final(n *simNode, e Final) {
	h := e.State.Header()
	n.head, n.cert, n.parent = e.State, e.Certificate, e.Parent
	if p := e.Parent; p == nil || p.Header().HistorySize >= h.HistorySize {
		s.t.Errorf("node %d: no ancestor of the newest snapshot", n.id)
	}
	n.states[e.State.Digest()] = true
	if n.bad != 0 {
		return
	}
	s.state[e.State.Digest()] = e.State
	roster := e.State.(*fakeState).parent.Owner(h.Epoch)
	if err := e.Certificate.Verify(s.nid, roster.List, s.v); err != nil || e.Certificate.HeaderDigest() != e.State.Digest() {
		s.t.Errorf("node %d: final without a certificate: %v", n.id, err)
	}
	s.publish(n, record.ClassCertificate, e.Certificate.Digest(), e.Certificate.Encode())
	if s.finals[h.Epoch] == nil {
		s.finals[h.Epoch] = map[[32]byte]bool{}
		s.first[h.Epoch] = s.now.Sub(s.w.doc.EpochStart(h.Epoch))
	}
	if !s.finals[h.Epoch][e.State.Digest()] {
		s.finals[h.Epoch][e.State.Digest()] = true
		s.checkOps(e.State.(*fakeState), roster)
	}
	if len(s.finals[h.Epoch]) > 1 && !s.mayFork {
		s.t.Errorf("I3: two finals in epoch %d", h.Epoch)
	}
}

// checkOps is I2: each applied op has votes of enough distinct seats. The votes are
// counted from the items, not by the rules.
func (s *sim) checkOps(state *fakeState, roster *Roster) {
	var p *Proposal
	for _, item := range s.items {
		if item.class == record.ClassProposal {
			if q, err := DecodeProposal(item.data); err == nil && q.HeaderDigest() == state.digest {
				p = q
			}
		}
	}
	if p == nil {
		s.t.Errorf("I2: no proposal of epoch %d", state.h.Epoch)
		return
	}
	votes := map[[4]byte]map[[32]byte]bool{}
	for i, seat := range p.Voters.Members() {
		item := s.items[p.Votes[i]]
		if item == nil {
			s.t.Errorf("I2: a listed vote of epoch %d does not exist", state.h.Epoch)
			return
		}
		v, err := DecodeVote(item.data)
		if err != nil || v.Seat != seat || v.Epoch != state.h.Epoch || v.Parent != state.h.Parent ||
			!s.v.Signatures([]Check{v.Check(s.nid, roster.Seats[seat].Key)}) {
			s.t.Errorf("I2: a listed vote of epoch %d is none", state.h.Epoch)
			return
		}
		for o := 0; o+4 <= len(v.Ops); o += 4 {
			op := [4]byte(v.Ops[o:])
			if votes[op] == nil {
				votes[op] = map[[32]byte]bool{}
			}
			votes[op][roster.Seats[seat].Key] = true
		}
	}
	for _, op := range state.applied {
		if len(votes[op]) < committee.Matching(len(roster.Seats)) {
			s.t.Errorf("I2: an op of epoch %d was applied with %d votes", state.h.Epoch, len(votes[op]))
		}
	}
}

// accuse checks that evidence holds and is against a traitor.
func (s *sim) accuse(e *record.Evidence) {
	if s.accused[[32]byte(e.Signer)] && s.rng.IntN(10) > 0 {
		return // the like was checked before
	}
	if err := e.Verify(s.nid, s.now, record.Times{}, EvidenceRules()); err != nil {
		s.t.Errorf("evidence: %v", err)
	}
	if _, err := e.Encode(); err != nil {
		s.t.Errorf("evidence: %v", err)
	}
	s.accused[[32]byte(e.Signer)] = true
	for _, n := range s.nodes {
		for term := range uint64(4) {
			if n.bad == 0 && n.id < s.w.k && public(committeeKey(term, n.id)) == [32]byte(e.Signer) {
				s.t.Errorf("node %d is honest and accused", n.id)
			}
		}
	}
}

// heads returns how many nodes have which newest snapshot.
func (s *sim) heads() map[[32]byte]int {
	out := map[[32]byte]int{}
	for _, n := range s.nodes {
		if n.bad == 0 {
			out[n.head.Digest()]++
		}
	}
	return out
}

// gaps returns the longest run of epochs without a final from one epoch to another.
func (s *sim) gaps(from, to uint64) (longest, skipped int) {
	run := 0
	for e := from; e <= to; e++ {
		if len(s.finals[e]) > 0 {
			run = 0
			continue
		}
		run++
		skipped++
		longest = max(longest, run)
	}
	return longest, skipped
}

// median returns the median time to the first final.
func (s *sim) median() time.Duration {
	if len(s.first) == 0 {
		return 0
	}
	all := slices.Sorted(maps.Values(s.first))
	return all[len(all)/2]
}
