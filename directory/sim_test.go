// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"bytes"
	"container/heap"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"iter"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/sybil"
	"chive/directory/vote"
	"chive/directory/vrf"
)

// happening is something that the simulation does at a time.
type happening struct {
	at  time.Time
	seq int
	do  func()
}

type agenda []happening

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	if !a[i].at.Equal(a[j].at) {
		return a[i].at.Before(a[j].at)
	}
	return a[i].seq < a[j].seq
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(happening)) }
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// sim is a network of relays in virtual time.
type sim struct {
	t      testing.TB
	doc    *genesis.Document
	now    time.Time
	seq    int
	todo   agenda
	nodes  []*node
	rand   *rand.Rand
	verify *remembering
	shared *Catalog
	links  uint64
	cut    map[[2]int]bool // pairs that cannot talk
	trace  hash.Hash
	traced bool

	finals map[uint64]map[[32]byte]bool         // header digests by epoch
	bytes  map[[32]byte][32]byte                // hash of the encoded state by header digest
	said   map[uint64]map[int]map[[32]byte]bool // signatures: epoch, seat, headers
}

// node is a relay with what a role owns: a store, dialling, signing.
type node struct {
	s       *sim
	n       int
	rid     record.RID
	up      bool
	life    int // of the process: what was for an earlier one is lost
	m       *Machine
	store   [BucketCount]map[string][]byte
	conns   map[uint64]*conn
	wakeAt  time.Time
	ticks   int
	onion   int // version
	heads   []View
	reports []Report
	silent  bool                                   // sends no vote, proposal, signature
	crash   func(e Effect, before bool) (die bool) // asked around every Store
	garbles bool                                   // spoils states
	fails   bool                                   // stores fail
	lies    func(e Send) Send                      // what it sends instead
	probes  map[uint64][]record.RID                // by the epoch that they are for, if made
}

// conn is one end of a gossip stream.
type conn struct {
	link, far uint64
	peer      *node
	free      time.Time // when the last frame on the way arrives
	broken    bool
}

func newSim(t testing.TB, founders int, seed uint64) *sim {
	return newSimOf(t, founders, seed, genesis.Testnet())
}

func newSimOf(t testing.TB, founders int, seed uint64, p genesis.Params) *sim {
	s := &sim{
		t: t, doc: document(t, founders, p), rand: rand.New(rand.NewPCG(seed, 1)),
		verify: &remembering{map[[32]byte]bool{}, map[[32]byte][vrf.OutputSize]byte{}},
		cut:    map[[2]int]bool{}, trace: sha256.New(),
		finals: map[uint64]map[[32]byte]bool{}, bytes: map[[32]byte][32]byte{}, said: map[uint64]map[int]map[[32]byte]bool{},
	}
	s.now = s.doc.EpochStart(0).Add(time.Second)
	for range founders {
		s.add()
	}
	return s
}

// add adds a relay, beyond the founders a newcomer.
func (s *sim) add() *node {
	n := len(s.nodes)
	id := public(signingKey("identity", n))
	nd := &node{s: s, n: n, rid: record.NewRID(s.doc.NetworkID(), id[:])}
	for b := range nd.store {
		nd.store[b] = map[string][]byte{}
	}
	s.nodes = append(s.nodes, nd)
	return nd
}

// joins starts a newcomer whose role, as a client of the first relay, knows the
// snapshot before the newest.
func (n *node) joins() {
	n.start()
	n.asks()
}

// asks has a relay that runs join.
func (n *node) asks() {
	n.step(Join{})
	var look func()
	look = func() {
		if heads := n.s.nodes[0].heads; len(heads) > 1 {
			n.step(Seen{Snapshot: heads[len(heads)-2].State.Snapshot()})
		}
		n.later(5*time.Second, look)
	}
	look()
}

func (s *sim) at(t time.Time, do func()) {
	s.seq++
	heap.Push(&s.todo, happening{t, s.seq, do})
}

func (s *sim) after(d time.Duration, do func()) { s.at(s.now.Add(d), do) }

// until runs to a time after genesis.
func (s *sim) until(d time.Duration) {
	end := s.doc.EpochStart(0).Add(d)
	for len(s.todo) > 0 && !s.todo[0].at.After(end) {
		h := heap.Pop(&s.todo).(happening)
		s.now = h.at
		h.do()
	}
	s.now = end
}

func (s *sim) node(rid record.RID) *node {
	i := slices.IndexFunc(s.nodes, func(n *node) bool { return n.rid == rid })
	if i < 0 {
		return nil
	}
	return s.nodes[i]
}

func (s *sim) delay() time.Duration { return time.Duration(20+s.rand.IntN(60)) * time.Millisecond }

func (s *sim) apart(a, b *node) bool {
	return s.cut[[2]int{min(a.n, b.n), max(a.n, b.n)}]
}

// start starts a relay from its store.
func (n *node) start() {
	keys := map[uint64]ed25519.PrivateKey{}
	for term := range uint64(3) {
		keys[term] = slices.Clone(committeeKey(term, n.n))
	}
	n.life++
	seed := seedOf("rand", n.n*1000+n.life)
	m, err := New(Config{
		Document: n.s.doc, RID: n.rid, VRF: vrfKey(n.n), Keys: keys, Rand: rand.NewChaCha8(seed), Verifier: n.s.verify, Catalog: n.s.shared,
		Saved: func(b Bucket) iter.Seq2[[]byte, []byte] {
			return func(yield func(k, v []byte) bool) {
				for _, k := range slices.Sorted(maps.Keys(n.store[b])) {
					if !yield([]byte(k), n.store[b][k]) {
						return
					}
				}
			}
		},
	})
	if err != nil {
		n.s.t.Fatal(err)
	}
	n.m, n.up, n.conns, n.wakeAt, n.heads = m, true, map[uint64]*conn{}, time.Time{}, nil
	n.step(Tick{})
}

// stop kills a relay; its peers learn of it in time.
func (n *node) stop() {
	n.up = false
	n.life++
	for _, link := range slices.Sorted(maps.Keys(n.conns)) {
		n.hangUp(n.conns[link])
	}
	n.conns = nil
}

func (n *node) hangUp(c *conn) {
	peer, life := c.peer, c.peer.life
	n.s.after(50*time.Millisecond, func() {
		if peer.life == life && peer.up && peer.conns[c.far] != nil {
			delete(peer.conns, c.far)
			peer.step(LinkDown{Link: c.far})
		}
	})
}

// later does something unless the process has ended.
func (n *node) later(d time.Duration, do func()) {
	life := n.life
	n.s.after(d, func() {
		if n.up && n.life == life {
			do()
		}
	})
}

func (n *node) step(ev Event) {
	s := n.s
	for _, e := range n.m.Step(s.now, ev, nil) {
		s.note(n, e)
		if !n.carry(e) {
			return
		}
	}
}

// note puts an effect into the trace.
func (s *sim) note(n *node, e Effect) {
	if !s.traced {
		return
	}
	fmt.Fprintf(s.trace, "%d %d %T ", s.now.UnixNano(), n.n, e)
	switch e := e.(type) {
	case View:
		digest := e.State.Digest()
		s.trace.Write(digest[:])
	case Send:
		fmt.Fprint(s.trace, e.Link)
		s.trace.Write(e.Body)
	case Store:
		fmt.Fprint(s.trace, e.Token, e.Bucket)
		s.trace.Write(e.Key)
		s.trace.Write(e.Value)
	case SignEntry:
		fmt.Fprint(s.trace, *e.Entry)
	default:
		fmt.Fprint(s.trace, e)
	}
}

// carry does what a role does, and reports whether the process still lives.
func (n *node) carry(e Effect) bool {
	s := n.s
	switch e := e.(type) {
	case Send:
		if n.lies != nil {
			e = n.lies(e)
		}
		n.send(e)
	case Open:
		n.dial(e)
	case Close:
		if c := n.conns[e.Link]; c != nil {
			delete(n.conns, e.Link)
			n.hangUp(c)
		}
	case Probe:
		target := s.node(e.RID)
		if n.probes != nil {
			n.probes[n.m.windowEpoch()] = append(n.probes[n.m.windowEpoch()], e.RID)
		}
		n.later(2*s.delay(), func() {
			ok := target != nil && target.up && !s.apart(n, target) && slices.Equal(e.Addresses, []netip.AddrPort{addressOf(target.n)})
			n.step(ProbeDone{ID: e.ID, OK: ok})
		})
	case Store:
		if n.crash != nil && n.crash(e, true) {
			n.stop()
			return false
		}
		if !n.fails {
			if e.Value == nil {
				delete(n.store[e.Bucket], string(e.Key))
			} else {
				n.store[e.Bucket][string(e.Key)] = slices.Clone(e.Value)
			}
		}
		if n.crash != nil && n.crash(e, false) {
			n.stop()
			return false
		}
		if e.Token != 0 {
			ok := !n.fails
			n.later(time.Millisecond, func() { n.step(Stored{Token: e.Token, OK: ok}) })
		}
	case Wake:
		n.wakeAt = e.At
		n.later(e.At.Sub(s.now), func() {
			if n.wakeAt.Equal(s.now) {
				n.ticks++
				n.step(Tick{})
			}
		})
	case View:
		n.final(e)
	case Publish:
		n.later(time.Millisecond, func() {
			for _, term := range e.Terms {
				n.step(Key{Term: term, Key: slices.Clone(committeeKey(term, n.n))})
			}
			n.step(Descriptor{Data: n.descriptor(e)})
		})
	case CheckWork:
		n.later(10*time.Millisecond, func() { n.step(WorkChecked{Digest: e.Digest, Work: e.Work, Bits: e.Challenge.Bits(&e.Work)}) })
	case Solve:
		work, ok := sybil.NewSolver(e.Challenge, uint64(n.n)<<32).Step(1000)
		if !ok {
			s.t.Fatal("not solved")
		}
		n.later(time.Second, func() { n.step(Solved{Work: work}) })
	case SignEntry:
		data, err := record.SealEntry(e.Entry, s.doc.NetworkID(), signingKey("identity", n.n), nil)
		if err != nil {
			s.t.Fatal(err)
		}
		n.later(time.Millisecond, func() { n.step(EntrySigned{RID: e.Entry.Candidate, Data: data}) })
	case Report:
		n.reports = append(n.reports, e)
	}
	return true
}

func (n *node) descriptor(p Publish) []byte {
	identity := signingKey("identity", n.n)
	d := &record.Descriptor{
		Identity: identity.Public().(ed25519.PublicKey), Seq: p.Seq, Published: p.Published, Expires: p.Expires,
		Onion: onionKey(n.s.t, fmt.Sprint("onion", n.onion, " "), n.n), NextOnion: onionKey(n.s.t, fmt.Sprint("onion", n.onion+1, " "), n.n),
		VRF: vrfKey(n.n).Public(), Addresses: []netip.AddrPort{addressOf(n.n)}, DeclaredRate: 10000, Roles: record.RoleGuard,
	}
	for _, term := range p.Terms {
		key := public(committeeKey(term, n.n))
		d.Committee = append(d.Committee, record.CommitteeKey{Term: term, Key: key[:]})
	}
	data, err := record.SealDescriptor(d, n.s.doc.NetworkID(), identity, nil)
	if err != nil {
		n.s.t.Fatal(err)
	}
	return data
}

func (n *node) dial(e Open) {
	s, target := n.s, n.s.node(e.RID)
	d := s.delay()
	n.later(d, func() {
		if target == nil || !target.up || s.apart(n, target) {
			n.step(DialFailed{RID: e.RID})
			return
		}
		s.links += 2
		a, b := s.links, s.links+1
		session := sha256.Sum256(binary.BigEndian.AppendUint64(nil, a))
		n.conns[a] = &conn{link: a, far: b, peer: target}
		target.conns[b] = &conn{link: b, far: a, peer: n}
		target.step(LinkUp{Link: b, RID: n.rid, Inbound: true, Session: session, Source: addressOf(n.n).Addr()})
		if n.conns[a] != nil {
			n.step(LinkUp{Link: a, RID: e.RID, Session: session})
		}
	})
}

func (n *node) send(e Send) {
	s, c := n.s, n.conns[e.Link]
	if c == nil {
		return
	}
	n.look(e.Body)
	if n.silent && isVoting(e.Body) {
		return
	}
	if n.garbles {
		e.Body = garbled(e.Body)
	}
	at := s.now.Add(s.delay())
	if at.Before(c.free) {
		at = c.free
	}
	c.free = at
	peer, life, far := c.peer, c.peer.life, c.far
	s.at(at, func() {
		switch {
		case !peer.up || peer.life != life || peer.conns[far] == nil || c.broken:
		case s.apart(n, peer): // a stream has no holes: it ends when its frames do not come through
			c.broken, peer.conns[far].broken = true, true
			n.later(3*time.Second, func() { n.lose(c.link) })
			peer.later(3*time.Second, func() { peer.lose(far) })
		default:
			peer.step(Frame{Link: far, Body: e.Body})
		}
	})
}

func (n *node) lose(link uint64) {
	if n.conns[link] != nil {
		delete(n.conns, link)
		n.step(LinkDown{Link: link})
	}
}

// garbled spoils the parts of states.
func garbled(body []byte) []byte {
	if f, err := gossip.DecodeFrame(body); err == nil {
		if p, ok := f.(*gossip.StatePart); ok && len(p.Data) > 0 {
			p.Data[len(p.Data)-1] ^= 1
			if spoilt, err := p.Encode(); err == nil {
				return spoilt
			}
		}
	}
	return body
}

func isVoting(body []byte) bool {
	f, err := gossip.DecodeFrame(body)
	if err != nil {
		return false
	}
	var class byte
	switch f := f.(type) {
	case *gossip.Item:
		class = f.Class
	case *gossip.IDs:
		if f.Type == 2 { // INV: who announces and does not deliver is closed
			class = f.Class
		}
	}
	return class == record.ClassVote || class == record.ClassProposal || class == record.ClassSignature
}

// look notes every signature that travels, for I1.
func (n *node) look(body []byte) {
	f, err := gossip.DecodeFrame(body)
	if err != nil {
		return
	}
	it, ok := f.(*gossip.Item)
	if !ok || it.Class != record.ClassSignature {
		return
	}
	g, err := vote.DecodeSignature(it.Data)
	if err != nil {
		n.s.t.Fatal(err)
	}
	said := n.s.said
	if said[g.Epoch] == nil {
		said[g.Epoch] = map[int]map[[32]byte]bool{}
	}
	if said[g.Epoch][g.Seat] == nil {
		said[g.Epoch][g.Seat] = map[[32]byte]bool{}
	}
	said[g.Epoch][g.Seat][g.Header] = true
	if len(said[g.Epoch][g.Seat]) > 1 {
		n.s.t.Fatalf("seat %d signed twice for epoch %d (I1)", g.Seat, g.Epoch)
	}
}

// final checks a snapshot that a node takes for final, for I3 and I4.
func (n *node) final(v View) {
	s := n.s
	n.heads = append(n.heads, v)
	epoch, digest := v.State.Epoch(), v.State.Digest()
	if s.finals[epoch] == nil {
		s.finals[epoch] = map[[32]byte]bool{}
	}
	if s.finals[epoch][digest] = true; len(s.finals[epoch]) > 1 {
		s.t.Fatalf("two finals in epoch %d (I3)", epoch)
	}
	sum := sha256.Sum256(v.State.Encode())
	if old, known := s.bytes[digest]; known && old != sum {
		s.t.Fatalf("two states of one header in epoch %d (I4)", epoch)
	}
	s.bytes[digest] = sum
}

func (n *node) epoch() uint64 { return n.m.Head().State.Epoch() }

func (s *sim) startAll() {
	for _, n := range s.nodes {
		n.start()
	}
}

// skipped returns the epochs from one to another that have no final snapshot.
func (s *sim) skipped(from, to uint64) (out []uint64) {
	for e := from; e <= to; e++ {
		if len(s.finals[e]) == 0 {
			out = append(out, e)
		}
	}
	return out
}

func (s *sim) partition(group ...int) {
	for i := range s.nodes {
		for j := i + 1; j < len(s.nodes); j++ {
			if slices.Contains(group, i) != slices.Contains(group, j) {
				s.cut[[2]int{i, j}] = true
			}
		}
	}
}

func (s *sim) heal() { clear(s.cut) }

func (n *node) running(rid record.RID) bool {
	r, ok := n.m.Head().State.Snapshot().Table().Relay(rid)
	return ok && r.Flags&(1<<8) != 0
}

func sameBytes(a, b View) bool { return bytes.Equal(a.State.Encode(), b.State.Encode()) }
