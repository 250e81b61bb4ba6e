// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
)

// world is a network of machines in virtual time: one event loop, no goroutines.
type world struct {
	t      testing.TB
	now    time.Time
	queue  events
	order  uint64
	rng    *rand.Rand
	nodes  []*node
	byRID  map[record.RID]*node
	links  map[uint64]*wire
	linked uint64
	params genesis.Params
	view   View
	apart  func(a, b *node) bool // no link between them
	trace  hash.Hash             // nil: none
	names  map[string]Digest     // of all payloads, so that nothing is hashed twice
	frames [15]uint64
	most   int // bytes of the largest frame
}

type node struct {
	w      *world
	n      int
	rid    record.RID
	m      *Machine
	store  *store
	liar   bool
	wakeAt time.Time
	joins  []JoinAsked
	told   []JoinAnswered
	states []StateReceived
	heads  []HeadSeen
	closed map[Reason]int
	fixed  []record.RID
	repair []Repaired
}

// wire is a gossip stream between two nodes; end 0 has opened it.
type wire struct {
	ends [2]*node
	down [2]bool
}

type event struct {
	at    time.Time
	order uint64
	do    func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].order < q[j].order
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// store is an owner's Records in memory.
type store struct {
	w       *world
	held    map[Digest][]byte
	of      map[Digest]byte
	lists   map[byte][]Digest
	verdict func(class byte, data []byte) Verdict
}

func newStore(w *world) *store {
	return &store{w: w, held: make(map[Digest][]byte), of: make(map[Digest]byte), lists: make(map[byte][]Digest)}
}

func (s *store) Has(class byte, d Digest) bool       { return s.of[d] == class }
func (s *store) Count(class byte) int                { return len(s.lists[class]) }
func (s *store) Digests(class byte) iter.Seq[Digest] { return slices.Values(s.lists[class]) }
func (s *store) Get(class byte, d Digest) []byte     { return s.held[d] }

func (s *store) add(class byte, d Digest, data []byte) bool {
	if s.held[d] != nil {
		return false
	}
	s.held[d], s.of[d] = data, class
	s.lists[class] = append(s.lists[class], d)
	return true
}

func (s *store) Accept(now time.Time, from record.RID, class byte, data []byte) (Digest, Verdict) {
	v := VerdictNew
	if s.verdict != nil {
		v = s.verdict(class, data)
	}
	d := s.w.name(class, data)
	if v == VerdictNew && !s.add(class, d, data) {
		return d, VerdictKnown
	}
	return d, v
}

func (w *world) name(class byte, data []byte) Digest {
	key := string(class) + string(data)
	d, ok := w.names[key]
	if !ok {
		d = record.ItemDigest(class, data)
		w.names[key] = d
	}
	return d
}

func begin() time.Time { return time.Unix(1_800_000_000, 0) }

func beacon(n int) [32]byte { return sha256.Sum256(fmt.Append(nil, "beacon", n)) }

func nid() [32]byte { return sha256.Sum256([]byte("network")) }

func ridOf(n int) record.RID {
	h := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("rid"), uint64(n)))
	return record.RID(h[:16])
}

// listOf is a relay list of so many running relays in 40 groups.
func listOf(count int) []Relay {
	out := make([]Relay, count)
	for n := range out {
		out[n] = Relay{RID: ridOf(n), Group: uint16(n % 40), Running: true}
	}
	slices.SortFunc(out, func(a, b Relay) int { return a.RID.Compare(b.RID) })
	return out
}

func newWorld(t testing.TB, count int, seed uint64, p genesis.Params) *world {
	w := &world{
		t: t, now: begin(), rng: rand.New(rand.NewPCG(seed, 1)), byRID: make(map[record.RID]*node),
		links: make(map[uint64]*wire), params: p, names: make(map[string]Digest),
		view: View{Epoch: 1000, Head: Digest{1}, Beacon: beacon(1), DayBefore: beacon(0), Relays: listOf(count), Seats: min(count, 96), Entry: true},
	}
	for n := range count {
		w.addNode(n, seed)
	}
	for _, x := range w.nodes {
		x.step(w.view)
	}
	return w
}

func (w *world) addNode(n int, seed uint64) *node {
	x := &node{w: w, n: n, rid: ridOf(n), closed: make(map[Reason]int)}
	x.store = newStore(w)
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	binary.BigEndian.PutUint64(key[8:], uint64(n))
	x.m = New(Config{NetworkID: nid(), Self: x.rid, Params: w.params, Rand: rand.NewChaCha8(key), Records: x.store})
	w.nodes = append(w.nodes, x)
	w.byRID[x.rid] = x
	return x
}

func (w *world) after(d time.Duration, do func()) {
	w.order++
	heap.Push(&w.queue, event{w.now.Add(d), w.order, do})
}

// runUntil goes on until a time, or until done says so; it reports which.
func (w *world) runUntil(end time.Time, done func() bool) bool {
	for len(w.queue) > 0 && !w.queue[0].at.After(end) {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.do()
		if done != nil && done() {
			return true
		}
	}
	w.now = end
	return false
}

func (w *world) run(d time.Duration) { w.runUntil(w.now.Add(d), nil) }

// latency between two nodes is fixed: 25 to 125 ms one way, 75 on average.
func latency(a, b *node) time.Duration {
	x, y := min(a.n, b.n), max(a.n, b.n)
	h := uint64(x*1_000_003+y) * 0x9e3779b97f4a7c15
	return 25*time.Millisecond + time.Duration(h>>40)*(100*time.Millisecond)>>24
}

func (x *node) step(ev Event) {
	for _, e := range x.m.Step(x.w.now, ev, nil) {
		x.do(e)
	}
}

func (x *node) do(e Effect) {
	w := x.w
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%d %d %T %+v\n", w.now.UnixNano(), x.n, e, e)
	}
	switch e := e.(type) {
	case Send:
		x.sent(e)
	case Open:
		y := w.byRID[e.RID]
		w.after(3*latencyOr(x, y), func() { w.connect(x, y, e.RID) })
	case Close:
		x.closed[e.Reason]++
		w.cut(e.Link, x)
	case Wake:
		x.wakeAt = e.At
		at := e.At
		w.after(max(0, at.Sub(w.now)), func() {
			if x.wakeAt.Equal(at) {
				x.step(Tick{})
			}
		})
	case JoinAsked:
		x.joins = append(x.joins, e)
	case JoinAnswered:
		x.told = append(x.told, e)
	case StateReceived:
		x.states = append(x.states, e)
	case HeadSeen:
		x.heads = append(x.heads, e)
	case PrivateChanged:
		x.fixed = e.RIDs
	case Repaired:
		x.repair = append(x.repair, e)
	}
}

func latencyOr(x, y *node) time.Duration {
	if y == nil {
		return 100 * time.Millisecond
	}
	return latency(x, y)
}

func (x *node) sent(e Send) {
	w := x.w
	l := w.links[e.Link]
	if l == nil {
		w.t.Fatal("sent on a link that is closed")
	}
	w.frames[e.Body[1]]++
	w.most = max(w.most, len(e.Body))
	end := 0
	if l.ends[0] == x {
		end = 1
	}
	y := l.ends[end]
	if y.liar && e.Body[1] == typeGet {
		return // heard, and never answered
	}
	w.after(latency(x, y), func() {
		if !l.down[end] {
			y.step(Received{e.Link, e.Body})
		}
	})
}

func (w *world) connect(x, y *node, rid record.RID) {
	if y == nil || w.apart != nil && w.apart(x, y) {
		x.step(DialFailed{rid})
		return
	}
	w.linked++
	link := w.linked
	w.links[link] = &wire{ends: [2]*node{x, y}}
	session := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("session"), link))
	y.step(LinkUp{Link: link, RID: x.rid, Inbound: true, Session: session})
	if l := w.links[link]; l != nil && !l.down[0] {
		x.step(LinkUp{Link: link, RID: y.rid, Session: session})
	}
}

// cut ends a link: x knows, the other end hears of it.
func (w *world) cut(link uint64, x *node) {
	l := w.links[link]
	if l == nil {
		return // refused while it came up
	}
	for end, y := range l.ends {
		if y == x {
			l.down[end] = true
			continue
		}
		w.after(latency(x, y), func() {
			if !l.down[end] {
				l.down[end] = true
				y.step(LinkDown{link})
			}
			delete(w.links, link)
		})
	}
}

// publish makes a record that one node has, and all liars say they have.
func (w *world) publish(x *node, class byte, size int) Digest {
	data := make([]byte, size)
	for i := 0; i+8 <= size; i += 8 {
		binary.BigEndian.PutUint64(data[i:], w.rng.Uint64())
	}
	d := w.name(class, data)
	x.store.add(class, d, data)
	x.step(Announce{class, d})
	for _, y := range w.nodes {
		if y.liar && y != x {
			w.after(20*time.Millisecond, func() {
				if y.store.add(class, d, data) {
					y.step(Announce{class, d})
				}
			})
		}
	}
	return d
}

// everybody returns how many honest nodes hold a record, and how many there are.
func (w *world) holders(d Digest) (have, honest int) {
	for _, x := range w.nodes {
		if !x.liar {
			honest++
			if x.store.held[d] != nil {
				have++
			}
		}
	}
	return have, honest
}
