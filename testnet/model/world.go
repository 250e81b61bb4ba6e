// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math/rand/v2"
	"runtime"
	"time"

	"chive/directory"
	"chive/directory/genesis"
	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/testnet/scenario"
)

// setting says what world is to be made.
type setting struct {
	seed   uint64
	relays int
	params genesis.Params
	// warm gives every relay what it has in a network that has run for long.
	warm bool
	// quiet makes warm descriptors so young that none is due for some hours: nothing
	// travels, and nobody meets a liar, before the scenario has it so.
	quiet bool
	// alone has every machine read, check and compute everything itself: without it I4
	// compares one state with itself.
	alone bool
	// brief keeps no stores: relays are not restarted.
	brief bool
	// reads has relays answer clients, and be some where they are on no list or far behind.
	reads  bool
	replay string // the command that runs this seed again
}

// world is a network of relays in virtual time: one event loop, no goroutine. After
// every event the invariants that it may have broken are checked.
type world struct {
	setting
	doc    *genesis.Document
	nid    [32]byte
	now    int64 // ns since 1970
	queue  queue
	seqs   []uint64 // by source + 1
	nodes  []*node
	byRID  map[record.RID]*node
	chance *rand.PCG // the scenario's
	wires  []*wire   // gossip streams, by number; nil: gone
	delay  uint64    // key of the delays between pairs
	parted func(a, b *node) bool

	verify   *verifier
	catalog  *directory.Catalog
	blocks   *blocks
	base     *base
	released *dirsync.AnchorFile // what begins anew begins with; nil: the document
	past     time.Duration       // of the network before the run; scenarios count from there
	before   *past               // same, of worlds that are warm

	trace   hash.Hash
	buffer  []byte
	events  uint64
	check   *checker
	spread  *tracker
	answers answers
	brain   *brain
	breach  *scenario.Breach

	began    time.Time // real
	progress func(string)
	told     time.Time // real, of the last line
}

// wire is a gossip stream. Its ends have the numbers 2i and 2i+1; the second was called.
type wire struct {
	node    [2]*node
	up      [2]bool
	free    [2]int64 // when the last frame on its way to that end arrives
	broken  bool
	life    uint32  // of the caller
	said    [2]bool // HELLO, by that end
	session [32]byte
	bytes   [2]uint64  // received by that end
	far     *farStream // its second end is a real process; nil: a node
}

// newWorld makes a network that has not started.
func newWorld(s setting, progress func(string)) (*world, error) {
	all := people(s.seed, s.relays)
	doc, err := document(all, s.params, began)
	if err != nil {
		return nil, fmt.Errorf("model: the genesis document is refused: %w", err)
	}
	w := worldOf(s, all, doc, progress)
	if s.warm {
		w.warmUp(nil)
	}
	return w, nil
}

// worldOf makes the network of a document.
func worldOf(s setting, all []*person, doc *genesis.Document, progress func(string)) *world {
	w := &world{
		setting: s, byRID: map[record.RID]*node{}, chance: stream(s.seed, -1, "scenario"),
		delay: stream(s.seed, -1, "delays").Uint64(), verify: newVerifier(), trace: sha256.New(), wires: []*wire{nil},
		blocks: &blocks{map[[32]byte][]byte{}}, began: time.Now(), progress: progress,
	}
	if !s.alone {
		w.catalog = directory.NewCatalog()
	}
	w.doc, w.nid = doc, doc.NetworkID()
	w.now = w.doc.EpochStart(0).Add(time.Second).UnixNano()
	w.check, w.spread, w.brain = newChecker(w), newTracker(w), newBrain(w)
	for _, p := range all {
		w.add(p)
	}
	return w
}

// add adds a relay, beyond the founders a newcomer.
func (w *world) add(p *person) *node {
	identity := public(p.identity)
	n := &node{
		person: p, w: w, rid: record.NewRID(w.nid, identity[:]), side: 0, store: store{shared: w.blocks},
		net: stream(w.seed, p.n, "net"), erased: map[uint64]bool{},
	}
	// Honest clocks differ a little.
	most := int64(min(w.doc.Params.ClockMember/20, 250*time.Millisecond))
	n.skew = time.Duration(int64(stream(w.seed, p.n, "clock").Uint64()%uint64(2*most+1)) - most)
	w.nodes = append(w.nodes, n)
	w.byRID[n.rid] = n
	w.seqs = append(w.seqs, 0)
	return n
}

func (w *world) time() time.Time { return time.Unix(0, w.now).UTC() }

// since is the virtual time after the past, or after genesis if there is none.
func (w *world) since() time.Duration { return w.time().Sub(w.doc.Time) - w.past }

// epoch counts as the scenario does: 0 is the newest of the past.
func (w *world) epoch(n int) uint64 { return uint64(n) + uint64(w.past/w.doc.Params.EpochLen) }

// push makes something happen later. source -1 is the scenario.
func (w *world) push(source int, d time.Duration, e event) {
	if source+1 >= len(w.seqs) {
		w.seqs = append(w.seqs, 0)
	}
	w.seqs[source+1]++
	e.at, e.source, e.seq = w.now+max(0, int64(d)), int32(source), w.seqs[source+1]
	w.queue.push(e)
}

// after is the scenario's.
func (w *world) after(d time.Duration, do func()) { w.push(-1, d, event{node: -1, do: do}) }

// at is the scenario's, at a time as since counts.
func (w *world) at(t time.Duration, do func()) { w.after(t-w.since(), do) }

// every does something again and again, from now on.
func (w *world) every(d time.Duration, do func()) {
	w.after(d, func() { do(); w.every(d, do) })
}

// skipTo lets time pass before anything starts.
func (w *world) skipTo(t time.Duration) { w.now = w.doc.Time.Add(w.past + t).UnixNano() }

// startAll starts all relays, spread over a second.
func (w *world) startAll() {
	for _, n := range w.nodes {
		if n.away != nil {
			continue
		}
		w.push(n.n, time.Duration(n.net.Uint64()%uint64(time.Second)), event{node: int32(n.n), do: n.start})
	}
}

// until runs to a time as since counts. Errors: a *scenario.Breach, ctx's.
func (w *world) until(ctx context.Context, t time.Duration) error {
	return w.untilDone(ctx, t, nil)
}

// untilDone is until that ends when done says so, which is asked after every event.
func (w *world) untilDone(ctx context.Context, t time.Duration, done func() bool) error {
	end := w.doc.Time.Add(w.past + t).UnixNano()
	for w.queue.len() > 0 && w.queue.all[0].at <= end {
		e := w.queue.pop()
		w.now = e.at
		w.events++
		if w.events%(1<<14) == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			w.tell()
		}
		w.note(&e)
		w.handle(&e)
		if w.breach != nil {
			return w.breach
		}
		if done != nil && done() {
			return nil
		}
	}
	w.now = max(w.now, end)
	return nil
}

// note puts an event into the trace.
func (w *world) note(e *event) {
	b := binary.BigEndian.AppendUint64(w.buffer, uint64(e.at))
	b = binary.BigEndian.AppendUint64(b, e.seq)
	b = binary.BigEndian.AppendUint32(b, uint32(e.source))
	b = binary.BigEndian.AppendUint32(b, uint32(e.node))
	b = binary.BigEndian.AppendUint32(b, e.link)
	b = append(b, byte(e.kind))
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.body)))
	b = append(b, e.body...)
	if w.buffer = b; len(b) > 1<<16 {
		w.flush()
	}
}

// noteMore puts something else into the trace.
func (w *world) noteMore(b ...byte) { w.buffer = append(w.buffer, b...) }

func (w *world) flush() {
	w.trace.Write(w.buffer)
	w.buffer = w.buffer[:0]
}

// hash is the SHA-256 of the trace so far, in hex.
func (w *world) hash() string {
	w.flush()
	return hex.EncodeToString(w.trace.Sum(nil))
}

func (w *world) handle(e *event) {
	var n *node
	if e.node >= 0 {
		if n = w.nodes[e.node]; e.life != 0 && (!n.up || n.life != e.life) {
			return
		}
	}
	switch e.kind {
	case kindCall:
		e.do()
	case kindTick:
		n.ticked(e.at)
	case kindFrame:
		n.frame(e)
	case kindArrived:
		n.arrived(e)
	case kindUp:
		n.standsUp(e)
	case kindDown:
		n.goesDown(e)
	}
}

// breaks ends the run: an invariant does not hold.
func (w *world) breaks(invariant, format string, args ...any) {
	if w.breach == nil {
		w.breach = &scenario.Breach{
			Invariant: invariant, Text: fmt.Sprintf(format, args...), Seed: w.seed, At: w.since(), Replay: w.replay,
		}
	}
}

// tell prints how far the run is, once a second.
func (w *world) tell() {
	now := time.Now()
	if now.Sub(w.told) < time.Second {
		return
	}
	w.told = now
	real := now.Sub(w.began)
	w.progress(fmt.Sprintf("seed %d: %v of virtual time, %d events, %.0f times as fast as real, %d MiB",
		w.seed, w.since().Truncate(time.Second), w.events, w.since().Seconds()/real.Seconds(), residentMiB()))
}

// residentMiB is the memory that the program has from the system, without what it has
// given back.
func residentMiB() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return (m.Sys - m.HeapReleased) >> 20
}

// latency is the one-way delay between two relays: a fixed one, and up to 5 % more or
// less for each frame.
func (w *world) latency(from, to *node) time.Duration {
	base := quantile(uint32(mix(w.delay, uint64(min(from.n, to.n)), uint64(max(from.n, to.n)))))
	return base - base/20 + time.Duration(from.net.Uint64()%uint64(base/10+1))
}

// apart reports whether nothing passes between two relays now.
func (w *world) apart(a, b *node) bool { return w.parted != nil && w.parted(a, b) }

// honest returns the relays that are.
func (w *world) honest() []*node {
	var out []*node
	for _, n := range w.nodes {
		if !n.hostile() {
			out = append(out, n)
		}
	}
	return out
}
