// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
)

var simRelays = flag.Int("relays", 200, "relays in the simulations")

// spread is how long records took to reach a part of the honest relays.
type spread struct {
	most, all time.Duration // 99 %, everybody
	copies    float64       // payloads received per relay and record
}

// measure publishes records one after another and follows each.
func measure(w *world, class byte, size, count int, gap time.Duration) spread {
	type progress struct {
		d         Digest
		from      time.Time
		most, all time.Duration
	}
	var before uint64
	for _, x := range w.nodes {
		s := x.m.Stats()
		before += s.ItemsNew + s.ItemsKnown
	}
	var items []*progress
	pending := 0
	for range count {
		x := w.nodes[w.rng.IntN(len(w.nodes))]
		for x.liar {
			x = w.nodes[w.rng.IntN(len(w.nodes))]
		}
		items = append(items, &progress{d: w.publish(x, class, size), from: w.now})
		pending++
		w.run(gap)
		pending -= follow(w, items, func(p *progress) (Digest, time.Time, *time.Duration, *time.Duration) {
			return p.d, p.from, &p.most, &p.all
		})
	}
	for end := w.now.Add(5 * time.Minute); pending > 0 && w.now.Before(end); {
		w.run(100 * time.Millisecond)
		pending -= follow(w, items, func(p *progress) (Digest, time.Time, *time.Duration, *time.Duration) {
			return p.d, p.from, &p.most, &p.all
		})
	}
	if pending > 0 {
		w.t.Fatalf("%d records did not reach everybody in 5 minutes", pending)
	}
	var out spread
	var most, all []time.Duration
	for _, p := range items {
		most, all = append(most, p.most), append(all, p.all)
	}
	slices.Sort(most)
	slices.Sort(all)
	out.most, out.all = most[len(most)-1], all[len(all)-1]
	honest := 0
	var after uint64
	for _, x := range w.nodes {
		if !x.liar {
			honest++
		}
		s := x.m.Stats()
		after += s.ItemsNew + s.ItemsKnown
	}
	out.copies = float64(after-before) / float64(honest*count)
	w.t.Logf("class %c, %d relays, %d honest: median 99 %% %v, all %v; worst 99 %% %v, all %v; %.3f copies",
		class, len(w.nodes), honest, most[len(most)/2], all[len(all)/2], out.most, out.all, out.copies)
	return out
}

// follow looks at records that have not reached everybody and returns how many now
// have.
func follow[P any](w *world, items []P, parts func(P) (Digest, time.Time, *time.Duration, *time.Duration)) int {
	finished := 0
	for _, p := range items {
		d, from, most, all := parts(p)
		if *all > 0 {
			continue
		}
		have, honest := w.holders(d)
		if *most == 0 && have*100 >= honest*99 {
			*most = w.now.Sub(from)
		}
		if have == honest {
			*all = w.now.Sub(from)
			finished++
		}
	}
	return finished
}

// Spec: GOS-5, GOS-6.
func TestARecordReachesEverybodyInOneCopy(t *testing.T) {
	w := newWorld(t, *simRelays, 1, genesis.Public())
	w.run(time.Minute)
	bulk := measure(w, record.ClassDescriptor, 400, 12, time.Second)
	if bulk.copies > 1.05 || bulk.most > 15*time.Second || bulk.all > time.Minute {
		t.Errorf("bulk: %+v", bulk)
	}
	fast := measure(w, record.ClassVote, 2000, 30, 100*time.Millisecond)
	if fast.copies > 1.05 || fast.most > 8*time.Second || fast.all > 20*time.Second {
		t.Errorf("urgent: %+v", fast)
	}
	checkCaps(w)
}

// Spec: GOS-6, GOS-11.
func TestAThirdThatNeverDeliversDoesNotStopIt(t *testing.T) {
	w := newWorld(t, *simRelays, 2, genesis.Public())
	for i, x := range w.nodes {
		x.liar = i%3 == 0
	}
	w.run(time.Minute)
	bulk := measure(w, record.ClassDescriptor, 400, 12, time.Second)
	if bulk.copies > 1.1 || bulk.most > 20*time.Second || bulk.all > time.Minute {
		t.Errorf("bulk: %+v", bulk)
	}
	fast := measure(w, record.ClassVote, 2000, 30, 100*time.Millisecond)
	if fast.copies > 1.1 || fast.most > 12*time.Second || fast.all > 30*time.Second {
		t.Errorf("urgent: %+v", fast)
	}
	var honest, liars int
	for _, x := range w.nodes {
		for rid, s := range x.m.standings {
			if x.liar || s.score < penaltyLimit {
				continue
			}
			if w.byRID[rid].liar {
				liars++
			} else {
				honest++
			}
		}
	}
	if honest > 0 {
		t.Errorf("%d honest relays were closed for lying", honest)
	}
	t.Logf("%d links to liars were closed", liars)
	checkCaps(w)
}

// Nobody has met a liar yet when the votes of an epoch come. Spec: GOS-6.
func TestVotesPassStrangersThatLie(t *testing.T) {
	w := newWorld(t, *simRelays, 4, genesis.Public())
	for i, x := range w.nodes {
		x.liar = i%3 == 0
	}
	w.run(time.Minute)
	fast := measure(w, record.ClassVote, 2000, 30, 100*time.Millisecond)
	if fast.copies > 1.1 || fast.most > 8*time.Second || fast.all > 20*time.Second {
		t.Errorf("urgent: %+v", fast)
	}
}

// Spec: GOS-8.
func TestAPartitionHealsThroughRepair(t *testing.T) {
	w := newWorld(t, *simRelays, 3, genesis.Public())
	w.run(time.Minute)
	split := true
	w.apart = func(a, b *node) bool { return split && (a.n%2 == 0) != (b.n%2 == 0) }
	for link := uint64(1); link <= w.linked; link++ {
		if l := w.links[link]; l != nil && w.apart(l.ends[0], l.ends[1]) {
			for end, x := range l.ends {
				l.down[end] = true
				x.step(LinkDown{link})
			}
			delete(w.links, link)
		}
	}
	var items []Digest
	for range 30 {
		items = append(items, w.publish(w.nodes[w.rng.IntN(len(w.nodes))], record.ClassDescriptor, 400))
		w.run(time.Minute)
	}
	whole := func() bool {
		for _, d := range items {
			if have, honest := w.holders(d); have < honest {
				return false
			}
		}
		return true
	}
	if whole() {
		t.Fatal("there was no partition")
	}
	split = false
	healed := w.now
	for !whole() && w.now.Sub(healed) < 20*time.Minute {
		w.run(5 * time.Second)
	}
	if !whole() {
		t.Fatal("not healed after 20 minutes")
	}
	var repairs, failed, new, known uint64
	for _, x := range w.nodes {
		s := x.m.Stats()
		repairs, failed, new, known = repairs+s.Repairs, failed+s.RepairsFailed, new+s.ItemsNew, known+s.ItemsKnown
	}
	t.Logf("%d relays: healed after %v; %d repairs, %d failed; %.3f copies", len(w.nodes), w.now.Sub(healed), repairs, failed, float64(new+known)/float64(new))
	if failed*20 > repairs {
		t.Errorf("%d of %d repairs failed among honest relays", failed, repairs)
	}
	checkCaps(w)
}

// A relay that comes with nothing has the whole list from one neighbour, at the pace
// that a neighbour serves, and is a nuisance to none. Spec: GOS-7, GOS-8.
func TestARelayThatJoinsLearnsEverything(t *testing.T) {
	const records = 2000
	w := newWorld(t, 40, 6, genesis.Public())
	x := w.nodes[7]
	for n := range records {
		data := fmt.Appendf(make([]byte, 0, 400), "%0400d", n)
		d := w.name(record.ClassDescriptor, data)
		for _, y := range w.nodes {
			if y != x {
				y.store.add(record.ClassDescriptor, d, data)
			}
		}
	}
	w.run(2 * time.Second)
	start := w.now
	whole := func() bool { return x.store.Count(record.ClassDescriptor) == records }
	if !w.runUntil(w.now.Add(2*time.Minute), whole) {
		t.Fatalf("%d records after two minutes", x.store.Count(record.ClassDescriptor))
	}
	s := x.m.Stats()
	t.Logf("%d records of 400 bytes in %v, %d known ones among them", records, w.now.Sub(start), s.ItemsKnown)
	if s.ItemsKnown > records/20 {
		t.Errorf("%d came twice", s.ItemsKnown)
	}
	w.run(20 * time.Minute)
	for _, y := range w.nodes {
		if s := y.m.Stats(); s.Penalties > 0 {
			t.Errorf("%d points", s.Penalties)
		}
	}
	checkCaps(w)
}

// Invariant I10 of directory §13.
func TestSameSeedSameTrace(t *testing.T) {
	run := func(seed uint64) string {
		w := newWorld(t, 40, seed, genesis.Testnet())
		w.trace = sha256.New()
		for i, x := range w.nodes {
			x.liar = i%5 == 0
		}
		w.run(3 * time.Second)
		for range 20 {
			w.publish(w.nodes[1+5*w.rng.IntN(7)], record.ClassDescriptor, 400)
			w.publish(w.nodes[1+5*w.rng.IntN(7)], record.ClassVote, 400)
			w.run(100 * time.Millisecond)
		}
		view := w.view
		view.Epoch, view.Beacon, view.DayBefore = 1002, beacon(2), beacon(1)
		for _, x := range w.nodes {
			x.step(view)
		}
		w.run(8 * time.Second)
		return fmt.Sprintf("%x", w.trace.Sum(nil))
	}
	a, b, c := run(7), run(7), run(8)
	if a != b {
		t.Error("two runs of one seed differ")
	}
	if a == c {
		t.Error("two seeds give one trace")
	}
}

// checkCaps holds every machine and every frame to its bounds.
func checkCaps(w *world) {
	w.t.Helper()
	if w.most > MaxFrameSize {
		w.t.Errorf("a frame of %d bytes", w.most)
	}
	for _, x := range w.nodes {
		m := x.m
		if len(m.peers) > MaxPeers || len(m.standings) > maxStandings || len(m.dials) > MaxPeers {
			w.t.Errorf("%d peers, %d standings, %d dials", len(m.peers), len(m.standings), len(m.dials))
		}
		for _, p := range m.peers {
			if len(p.gets) > MaxGetCount || p.offers.len() > minOffers+offersPerRelay*len(m.view.Relays) || len(p.late) > maxLate || len(p.serving) > maxServing ||
				len(p.queue[0]) > maxQueued || len(p.queue[1]) > maxQueued {
				w.t.Errorf("a peer beyond its caps")
			}
		}
	}
}
