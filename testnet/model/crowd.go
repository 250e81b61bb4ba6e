// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"chive/directory/genesis"
	"chive/directory/gossip"
	"chive/directory/record"
)

// crowd is a network of gossip machines alone, for more relays than full machines have
// memory for: the same frames, neighbours, batching, repair and penalties, over records
// that are made up and accepted as they are. What a committee and a table would do is
// played: who publishes what and when.
type crowd struct {
	seed   uint64
	params genesis.Params
	now    int64
	queue  queue
	seqs   []uint64
	nodes  []*member
	byRID  map[record.RID]*member
	wires  []*crowdWire
	delay  uint64
	view   gossip.View
	chance *rand.PCG

	assigned map[assignment][]record.RID
	records  []*crowdRecord
	byDigest map[gossip.Digest]int32
	byData   map[string]int32
	common   map[byte][]int32 // what everybody holds from the start
	honest   int

	// Votes that make a proposal and signatures that make a final, as members count them.
	quorum int
	final  func(m *member)

	trace    hash.Hash
	buffer   []byte
	events   uint64
	frames   [16]uint64 // by type
	sizes    [16]uint64
	began    time.Time
	told     time.Time
	progress func(string)
}

type assignment struct {
	beacon [32]byte
	caller record.RID
}

// crowdRecord is a record of the crowd.
type crowdRecord struct {
	travel
	digest gossip.Digest
	data   []byte
}

// crowdWire is a stream between two members.
type crowdWire struct {
	node    [2]*member
	up      [2]bool
	free    [2]int64
	session [32]byte
}

// member is one relay of a crowd. It is its own record store.
type member struct {
	c      *crowd
	n      int
	rid    record.RID
	m      *gossip.Machine
	net    *rand.PCG
	liar   bool
	own    [8][]int32 // records beyond the common ones, by class
	counts [8]int
	wakeAt int64
	tickAt int64
	out    []gossip.Effect
}

var _ gossip.Records = (*member)(nil)

const crowdClasses = "DCREVPGF"

func classAt(class byte) int {
	for i := range len(crowdClasses) {
		if crowdClasses[i] == class {
			return i
		}
	}
	return 0
}

// newCrowd makes so many relays; the first of every thousand-th part lie.
func newCrowd(seed uint64, count, lying, common int, p genesis.Params, progress func(string)) *crowd {
	c := &crowd{
		seed: seed, params: p, now: began.Add(2 * p.EpochLen / 3).UnixNano(), seqs: make([]uint64, count+1), byRID: map[record.RID]*member{},
		wires: []*crowdWire{nil}, delay: stream(seed, -1, "delays").Uint64(), chance: stream(seed, -1, "scenario"),
		assigned: map[assignment][]record.RID{}, byDigest: map[gossip.Digest]int32{}, byData: map[string]int32{},
		common: map[byte][]int32{}, trace: sha256.New(), began: time.Now(), progress: progress,
	}
	networks := stream(seed, -1, "people")
	for n := range count {
		s := seedOf(seed, n, "rid")
		m := &member{c: c, n: n, rid: record.RID(s[:record.RIDSize]), net: stream(seed, n, "net"), liar: int(mix(seed, uint64(n), 7)%1000) < lying}
		if !m.liar {
			c.honest++
		}
		c.nodes = append(c.nodes, m)
		c.byRID[m.rid] = m
		c.view.Relays = append(c.view.Relays, gossip.Relay{RID: m.rid, Group: uint16(below(networks, count/3+1)), Running: true})
	}
	slices.SortFunc(c.view.Relays, func(a, b gossip.Relay) int { return a.RID.Compare(b.RID) })
	c.view.Epoch, c.view.Seats, c.view.Entry = 1000, min(count, p.CommitteeMax), true
	c.view.Beacon = seedOf(seed, -1, "beacon")
	c.view.DayBefore, c.view.Head = c.view.Beacon, seedOf(seed, -1, "head")
	for range common {
		i := c.record(record.ClassDescriptor, 400)
		c.common[record.ClassDescriptor] = append(c.common[record.ClassDescriptor], i)
		c.records[i].holders = nil // everybody
	}
	for _, m := range c.nodes {
		m.counts[0] = common
		m.m = gossip.New(gossip.Config{
			Self: m.rid, Params: p, Rand: stream(seed, m.n, "machine"), Records: m, Assigned: c.assign,
		})
	}
	for _, m := range c.nodes {
		m.later(time.Duration(m.net.Uint64()%uint64(time.Second)), func() { m.step(c.view) })
	}
	return c
}

// assign remembers gossip.Assigned.
func (c *crowd) assign(beacon [32]byte, caller record.RID, relays []gossip.Relay) []record.RID {
	at := assignment{beacon, caller}
	out, ok := c.assigned[at]
	if !ok {
		out = gossip.Assigned(beacon, caller, relays)
		c.assigned[at] = out
	}
	return out
}

// record makes one up.
func (c *crowd) record(class byte, size int) int32 {
	data := make([]byte, size)
	for i := 0; i+8 <= size; i += 8 {
		binary.BigEndian.PutUint64(data[i:], c.chance.Uint64())
	}
	i := int32(len(c.records))
	r := &crowdRecord{travel: travel{class: class, holders: make([]uint64, (len(c.nodes)+63)/64)}, digest: record.ItemDigest(class, data), data: data}
	c.records = append(c.records, r)
	c.byDigest[r.digest], c.byData[string(data)] = i, i
	return i
}

// publish has a relay make a record, which all liars announce a moment later.
func (c *crowd) publish(m *member, class byte, size int) *crowdRecord {
	r := c.records[c.record(class, size)]
	r.born, r.by = c.now, m.n
	c.announce(m, r)
	for _, o := range c.nodes {
		if o.liar && o != m {
			o.later(liarLag, func() { c.announce(o, r) })
		}
	}
	return r
}

func (c *crowd) announce(m *member, r *crowdRecord) {
	if m.take(r) {
		m.step(gossip.Announce{Class: r.class, Digest: r.digest})
	}
}

func (m *member) holds(r *crowdRecord) bool {
	return r.holders == nil || r.holders[m.n/64]>>(m.n%64)&1 == 1
}

// take holds a record and reports whether it is new.
func (m *member) take(r *crowdRecord) bool {
	if m.holds(r) {
		return false
	}
	c := m.c
	r.holders[m.n/64] |= 1 << (m.n % 64)
	at := classAt(r.class)
	m.own[at] = append(m.own[at], c.byDigest[r.digest])
	m.counts[at]++
	if m.liar {
		return true
	}
	r.have++
	if r.most == 0 && r.have*100 >= c.honest*99 {
		r.most = c.now
	}
	if r.have == c.honest {
		r.all = c.now
	}
	if c.final != nil && r.class == record.ClassSignature && m.counts[at] == c.quorum {
		m.later(0, func() { c.final(m) })
	}
	return true
}

// Has implements gossip.Records.
func (m *member) Has(class byte, d gossip.Digest) bool {
	i, ok := m.c.byDigest[d]
	return ok && m.c.records[i].class == class && m.holds(m.c.records[i])
}

// Count implements gossip.Records.
func (m *member) Count(class byte) int { return m.counts[classAt(class)] }

// Digests implements gossip.Records: the newest first, which is the fastest.
func (m *member) Digests(class byte) iter.Seq[gossip.Digest] {
	return func(yield func(gossip.Digest) bool) {
		for _, list := range [][]int32{m.own[classAt(class)], m.c.common[class]} {
			for i := len(list) - 1; i >= 0; i-- {
				if !yield(m.c.records[list[i]].digest) {
					return
				}
			}
		}
	}
}

// Get implements gossip.Records.
func (m *member) Get(class byte, d gossip.Digest) []byte {
	if !m.Has(class, d) {
		return nil
	}
	return m.c.records[m.c.byDigest[d]].data
}

// Accept implements gossip.Records: everything that was made holds.
func (m *member) Accept(_ time.Time, _ record.RID, class byte, data []byte) (gossip.Digest, gossip.Verdict) {
	i, ok := m.c.byData[string(data)]
	if !ok {
		return gossip.Digest{}, gossip.VerdictInvalid
	}
	r := m.c.records[i]
	if !m.liar {
		r.copies++
	}
	if !m.take(r) {
		return r.digest, gossip.VerdictKnown
	}
	return r.digest, gossip.VerdictNew
}

func (c *crowd) push(source int, d time.Duration, e event) {
	c.seqs[source+1]++
	e.at, e.source, e.seq = c.now+max(0, int64(d)), int32(source), c.seqs[source+1]
	c.queue.push(e)
}

func (c *crowd) after(d time.Duration, do func()) { c.push(-1, d, event{node: -1, do: do}) }

func (m *member) later(d time.Duration, do func()) {
	m.c.push(m.n, d, event{node: int32(m.n), do: do})
}

// run lets time pass, or until done says so, which is asked every tenth of a second.
func (c *crowd) run(ctx context.Context, d time.Duration, done func() bool) error {
	end := c.now + int64(d)
	ask := c.now
	for c.queue.len() > 0 && c.queue.all[0].at <= end {
		e := c.queue.pop()
		c.now = e.at
		c.events++
		if c.events%(1<<14) == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			c.tell()
		}
		c.note(&e)
		switch e.kind {
		case kindCall:
			e.do()
		case kindTick:
			c.nodes[e.node].ticked(e.at)
		case kindFrame:
			c.nodes[e.node].frame(&e)
		case kindArrived:
			c.nodes[e.node].arrived(&e)
		case kindUp:
			x := c.wires[e.link/2]
			if x != nil {
				x.up[0] = true
				c.nodes[e.node].step(gossip.LinkUp{Link: uint64(e.link), RID: x.node[1].rid, Session: x.session})
			}
		case kindDown:
			c.nodes[e.node].goesDown(&e)
		}
		if done != nil && c.now >= ask {
			if done() {
				return nil
			}
			ask = c.now + int64(100*time.Millisecond)
		}
	}
	c.now = end
	return nil
}

func (c *crowd) note(e *event) {
	b := binary.BigEndian.AppendUint64(c.buffer, uint64(e.at))
	b = binary.BigEndian.AppendUint64(b, e.seq)
	b = binary.BigEndian.AppendUint32(b, uint32(e.source))
	b = binary.BigEndian.AppendUint32(b, uint32(e.node))
	b = binary.BigEndian.AppendUint32(b, e.link)
	b = append(append(b, byte(e.kind)), e.body...)
	if c.buffer = b; len(b) > 1<<16 {
		c.trace.Write(b)
		c.buffer = b[:0]
	}
}

func (c *crowd) hash() string {
	c.trace.Write(c.buffer)
	c.buffer = c.buffer[:0]
	return hex.EncodeToString(c.trace.Sum(nil))
}

func (c *crowd) tell() {
	now := time.Now()
	if now.Sub(c.told) < time.Second {
		return
	}
	c.told = now
	passed := time.Unix(0, c.now).Sub(began.Add(2 * c.params.EpochLen / 3))
	c.progress(fmt.Sprintf("seed %d: %v of virtual time, %d events, %.1f times as fast as real, %d MiB",
		c.seed, passed.Truncate(time.Second), c.events, passed.Seconds()/now.Sub(c.began).Seconds(), residentMiB()))
}

func (c *crowd) latency(from, to *member) time.Duration {
	base := quantile(uint32(mix(c.delay, uint64(min(from.n, to.n)), uint64(max(from.n, to.n)))))
	return base - base/20 + time.Duration(from.net.Uint64()%uint64(base/10+1))
}

func (m *member) step(ev gossip.Event) {
	effects := m.m.Step(time.Unix(0, m.c.now).UTC(), ev, m.out[:0])
	m.out = nil
	for _, e := range effects {
		switch e := e.(type) {
		case gossip.Send:
			m.send(uint32(e.Link), e.Body)
		case gossip.Open:
			m.dial(m.c.byRID[e.RID])
		case gossip.Close:
			m.hangUp(uint32(e.Link))
		case gossip.Wake:
			m.wakes(e.At.UnixNano())
		}
	}
	clear(effects)
	m.out = effects[:0]
}

func (m *member) wakes(at int64) {
	m.wakeAt = at
	if m.tickAt == 0 || at < m.tickAt {
		m.tickAt = at
		m.c.push(m.n, time.Duration(at-m.c.now), event{node: int32(m.n), kind: kindTick})
	}
}

func (m *member) ticked(at int64) {
	if at != m.tickAt {
		return
	}
	m.tickAt = 0
	if m.wakeAt > at {
		m.wakes(m.wakeAt)
		return
	}
	m.step(gossip.Tick{})
}

func (m *member) dial(target *member) {
	c := m.c
	c.wires = append(c.wires, &crowdWire{node: [2]*member{m, target}})
	c.push(m.n, 3*c.latency(m, target), event{node: int32(target.n), link: uint32(2*len(c.wires) - 1), kind: kindArrived})
}

func (m *member) arrived(e *event) {
	c := m.c
	x := c.wires[e.link/2]
	d := c.latency(m, x.node[0])
	x.session = sha256.Sum256(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, c.seed), uint64(e.link/2)))
	x.free[0] = c.now + int64(d)
	x.up[1] = true
	c.push(m.n, d, event{node: int32(x.node[0].n), link: e.link - 1, kind: kindUp})
	m.step(gossip.LinkUp{Link: uint64(e.link), RID: x.node[0].rid, Inbound: true, Session: x.session})
}

func (m *member) hangUp(link uint32) {
	c, x := m.c, m.c.wires[link/2]
	if x == nil {
		return
	}
	far := link ^ 1
	x.up[link%2] = false
	peer := x.node[far%2]
	d := time.Duration(max(0, x.free[far%2]-c.now)) + c.latency(m, peer)
	c.push(m.n, d, event{node: int32(peer.n), link: far, kind: kindDown})
}

func (m *member) goesDown(e *event) {
	x := m.c.wires[e.link/2]
	if x == nil {
		return
	}
	was := x.up[e.link%2]
	x.up[e.link%2] = false
	if !x.up[1-e.link%2] {
		m.c.wires[e.link/2] = nil
	}
	if was {
		m.step(gossip.LinkDown{Link: uint64(e.link)})
	}
}

func (m *member) send(link uint32, body []byte) {
	c, x := m.c, m.c.wires[link/2]
	if x == nil || !x.up[link%2] {
		return
	}
	if m.liar && len(body) > 1 && (body[1] == frameItem || body[1] == frameNone) {
		return
	}
	c.frames[body[1]%16]++
	c.sizes[body[1]%16] += uint64(len(body)) + 4
	far := link ^ 1
	peer := x.node[far%2]
	at := max(c.now+int64(c.latency(m, peer)), x.free[far%2])
	x.free[far%2] = at
	c.push(m.n, time.Duration(at-c.now), event{node: int32(peer.n), link: far, kind: kindFrame, body: body})
}

func (m *member) frame(e *event) {
	x := m.c.wires[e.link/2]
	if x != nil && x.up[e.link%2] {
		m.step(gossip.Received{Link: uint64(e.link), Body: e.body})
	}
}

// times of some records: to 99 % and to all honest relays, in seconds, each rising, and
// payloads received per honest relay and record.
func (c *crowd) times(all []*crowdRecord) (most, every []float64, copies float64, unfinished int) {
	received := 0
	for _, r := range all {
		received += r.copies
		if r.all == 0 {
			unfinished++
			continue
		}
		most = append(most, time.Duration(r.most-r.born).Seconds())
		every = append(every, time.Duration(r.all-r.born).Seconds())
	}
	slices.Sort(most)
	slices.Sort(every)
	return most, every, float64(received) / float64(max(1, len(all)*(c.honest-1))), unfinished
}
