// SPDX-License-Identifier: BSD-3-Clause

package bootstrap

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"math/rand/v2"
	"strings"
	"time"

	"chive/directory/genesis"
	"chive/directory/snapshot"
	dirsync "chive/directory/sync"
	"chive/testnet/scenario"
)

// calendar is when things happen on a chain whose bytes are measured, in epochs.
type calendar struct {
	sizes    []int
	warm     uint64    // until then a snapshot each sixth epoch
	days     uint64    // after it, a snapshot each epoch
	two, six uint64    // how old the anchors are
	clients  int       // that follow
	testnets [2]uint64 // how old the testnets are that are joined
}

const warmStep = 6

func calendarOf(o scenario.Options) calendar {
	c := calendar{sizes: []int{1000, 10000}, warm: 66 * 24, days: 8, two: 14 * 24, six: 42 * 24, clients: 5, testnets: [2]uint64{30, 720}}
	if o.Short {
		c = calendar{sizes: []int{100}, warm: 10 * 24, days: 2, two: 3 * 24, six: 8 * 24, clients: 2, testnets: [2]uint64{30, 90}}
	}
	if o.Relays > 0 {
		c.sizes = []int{o.Relays}
	}
	return c
}

// bill is what clients of one size and seed paid, in bytes.
type bill struct {
	relays, running      float64
	two, six             []float64 // cold starts on the link
	twoRaw, sixRaw       []float64 // before padding and link
	day, dayAnswers      float64   // of one client, a day
	fetches              float64   // a day
	diff, proof, perSync float64   // mean of a fetch: diff, proof's answers, SYNC's answers
	steps                float64   // of hand-over, a day
	coldSteps, coldTable float64   // of a cold start from the older anchor
}

// follower is a client that is always on.
type follower struct {
	f    *dirsync.Follower
	next float64 // hour
	sum  traffic
	n    int
}

// raw is what stands in answers before padding.
func (t *traffic) raw() float64 {
	return float64(t.certificates + t.steps + t.diffs + t.tiles + t.proofs)
}

// measure builds a chain and has clients join and follow it.
func measure(ctx context.Context, seed uint64, relays int, cal calendar, trace hash.Hash) (*bill, error) {
	// Those who rest are listed too: so many founders make a table of about that size.
	c, err := newChain(seed, relays*100/105, genesis.Public())
	if err != nil {
		return nil, err
	}
	v := newVerifier()
	ahead := dirsync.NewFollower(c.doc, v)
	saved := map[uint64][]byte{}
	wanted := map[uint64]bool{}
	var arrivals []uint64
	for k := range cal.days {
		at := cal.warm + 24*k + warmStep*(k%4)
		arrivals = append(arrivals, at)
		wanted[at-cal.two+warmStep], wanted[at-cal.six+warmStep] = true, true
	}
	for e := uint64(warmStep); e <= cal.warm; e += warmStep {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if _, err := c.grow(e); err != nil {
			return nil, err
		}
		if !wanted[e] && e != cal.warm && e%(10*24) != 0 {
			continue
		}
		now := c.at(e, .5)
		if _, _, err := refresh(ahead, newHonest(c.server, now), now); err != nil {
			return nil, err
		}
		if wanted[e] { // an anchor of the epoch before
			saved[e-warmStep] = ahead.Encode()
		}
	}
	b := &bill{}
	r := stream(seed, "clients")
	clients, err := c.clients(ahead.Encode(), cal, v, r)
	if err != nil {
		return nil, err
	}
	for e := cal.warm; e < cal.warm+24*cal.days; e++ {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if e > cal.warm {
			if _, err := c.grow(e); err != nil {
				return nil, err
			}
		}
		for _, at := range arrivals {
			if at != e {
				continue
			}
			if err := c.colds(b, e, cal, saved, v, trace); err != nil {
				return nil, err
			}
		}
		if err := c.follow(clients, e, cal, r, trace); err != nil {
			return nil, err
		}
	}
	b.sum(clients, float64(cal.days-1))
	table := c.now.Snapshot().Table()
	b.relays = float64(table.Len())
	for i := range table.Len() {
		if table.At(i).Flags&snapshot.FlagRunning != 0 {
			b.running++
		}
	}
	return b, nil
}

// clients are those that follow, with a list of a moment ago.
func (c *chain) clients(saved []byte, cal calendar, v *verifier, r *rand.Rand) ([]*follower, error) {
	var out []*follower
	for range cal.clients {
		f, err := dirsync.LoadFollower(c.doc, v, saved)
		if err != nil {
			return nil, err
		}
		out = append(out, &follower{f: f, next: float64(cal.warm) + 1 + 2*r.Float64()})
	}
	return out, nil
}

// colds has clients begin with old lists.
func (c *chain) colds(b *bill, e uint64, cal calendar, saved map[uint64][]byte, v *verifier, trace hash.Hash) error {
	for _, age := range []uint64{cal.two, cal.six} {
		f, err := dirsync.LoadFollower(c.doc, v, saved[e-age])
		if err != nil {
			return err
		}
		t, result, err := refresh(f, newHonest(c.server, c.at(e, .5)), c.at(e, .5))
		if err != nil || result != dirsync.Newer {
			return fmt.Errorf("bootstrap: a cold start ended with result %d: %w", result, err)
		}
		fmt.Fprintln(trace, e, age, *t)
		if age == cal.two {
			b.two, b.twoRaw = append(b.two, t.link()), append(b.twoRaw, t.raw())
		} else {
			b.six, b.sixRaw = append(b.six, t.link()), append(b.sixRaw, t.raw())
			b.coldSteps, b.coldTable = max(b.coldSteps, float64(t.steps)), max(b.coldTable, float64(t.tiles+t.diffs))
		}
	}
	return nil
}

// follow has clients fetch whose time lies in an epoch. Its final snapshot comes two
// minutes after its start. The first day is not counted.
func (c *chain) follow(clients []*follower, e uint64, cal calendar, r *rand.Rand, trace hash.Hash) error {
	p := c.doc.Params
	for _, k := range clients {
		for k.next < float64(e+1) {
			now := c.doc.EpochStart(0).Add(time.Duration(k.next * float64(time.Hour)))
			server := c.server
			if k.next-float64(e) < 120./3600 {
				server = c.before
			}
			t, _, err := refresh(k.f, newHonest(server, now), now)
			if err != nil {
				return err
			}
			if k.next >= float64(cal.warm+24) {
				k.sum.add(t)
				k.n++
				fmt.Fprintln(trace, k.next, *t)
			}
			wait := p.ClientFetch - p.ClientJitter + time.Duration(r.Float64()*2*float64(p.ClientJitter))
			k.next += wait.Hours()
		}
	}
	return nil
}

// sum is what followers paid a day.
func (b *bill) sum(clients []*follower, days float64) {
	var all traffic
	n := 0.
	for _, k := range clients {
		all.add(&k.sum)
		n += float64(k.n)
	}
	proofs := 0
	for _, code := range all.asked {
		if code == dirsync.CodeProof {
			proofs++
		}
	}
	each := days * float64(len(clients))
	b.day, b.dayAnswers, b.fetches = all.link()/each, float64(all.answers)/each, n/each
	b.diff, b.proof = float64(all.diffs)/n, float64(proofs*dirsync.PadSize)/n
	b.perSync, b.steps = float64(all.answers)/n-b.proof, float64(all.steps)/each
}

// joinTestnet is what a client pays that joins a testnet of ten relays after so many
// epochs.
func joinTestnet(seed uint64, epochs uint64) (*traffic, error) {
	c, err := newChain(seed, 10, genesis.Testnet())
	if err != nil {
		return nil, err
	}
	for e := uint64(1); e <= epochs; e++ {
		if _, err := c.grow(e); err != nil {
			return nil, err
		}
	}
	now := c.at(epochs, .5)
	t, result, err := refresh(dirsync.NewFollower(c.doc, newVerifier()), newHonest(c.server, now), now)
	if err != nil || result != dirsync.Newer {
		return nil, fmt.Errorf("bootstrap: joining a testnet ended with result %d: %w", result, err)
	}
	return t, nil
}

// goals of G4 by size, in bytes. Spec: directory §14.
type joinGoal struct{ cold, day float64 }

func goalOf(relays int) (g joinGoal, ok bool) {
	switch relays {
	case 1000:
		return joinGoal{100e3, .12e6}, true
	case 10000:
		return joinGoal{.75e6, .2e6}, true
	}
	return g, false
}

// modelled is the size that is not run, and its goal.
const (
	modelled    = 100000
	modelledDay = .8e6
)

// modelDay is what a client pays a day in a network of the size that is not run: as in
// the larger one that is, but for the diffs, which grow with the relays, and are padded
// by half a pad on average.
func modelDay(small, large *bill) float64 {
	slope := (large.diff - small.diff) / (large.relays - small.relays)
	diff := large.diff + slope*(modelled-large.relays)
	sync := certificateSize + diff + large.steps/large.fetches + dirsync.PadSize/2
	return large.day + large.fetches*(sync-large.perSync)*recordSize/recordData
}

// certificateSize is that of 96 seats, with what else stands in the answer to a SYNC.
const certificateSize = 4900

// runJoin is the scenario join.
func runJoin(ctx context.Context, o scenario.Options, progress func(string)) (*scenario.Result, error) {
	cal := calendarOf(o)
	if o.Relays != 0 && (o.Relays < 100 || o.Relays > 16000) {
		return nil, fmt.Errorf("%w: 100 to 16000 relays", scenario.ErrOption)
	}
	res := &scenario.Result{Seeds: seeds(o, 3)}
	bills := map[int][]*bill{}
	var early, late []float64
	trace := sha256.New()
	for _, seed := range res.Seeds {
		for _, size := range cal.sizes {
			start := time.Now()
			b, err := measure(ctx, seed, size, cal, trace)
			if err != nil {
				return nil, err
			}
			bills[size] = append(bills[size], b)
			progress(fmt.Sprintf("seed %d, %d relays: %v", seed, size, time.Since(start).Round(time.Second)))
		}
		for i, at := range cal.testnets {
			t, err := joinTestnet(seed, at)
			if err != nil {
				return nil, err
			}
			if i == 0 {
				early = append(early, t.link())
			} else {
				late = append(late, t.link())
			}
		}
	}
	for _, size := range cal.sizes {
		res.Rows = append(res.Rows, billRows(size, bills[size])...)
	}
	if len(cal.sizes) == 2 {
		var days []float64
		small, large := bills[cal.sizes[0]], bills[cal.sizes[1]]
		for i := range small {
			days = append(days, modelDay(small[i], large[i])/1e6)
		}
		res.Rows = append(res.Rows, scenario.AtMost("100000 relays, by model: always on, a day", "MB", days, modelledDay/1e6))
	}
	res.Rows = append(res.Rows,
		scenario.AtMost(fmt.Sprintf("testnet of 10, %d epochs old: list", cal.testnets[0]), "kB", kilo(early), 10),
		scenario.Show(fmt.Sprintf("testnet of 10, %d epochs old: list", cal.testnets[1]), "kB", kilo(late)),
		scenario.Show("link handshake, beside all of these", "kB", kilo([]float64{handshakeOut + handshakeIn})),
	)
	res.TraceHash = hex.EncodeToString(trace.Sum(nil))
	res.Notes = []string{
		"Counted: both directions of the stream, requests, answers with padding, multiplexer heads, records of 2,112 B, each request and answer beginning one, one each way for the end of the stream. Not counted: CHECK, the link's handshake (a row) and its idle padding, TCP.",
		fmt.Sprintf("Chains: K = 96, %d days with a final snapshot each six hours, then %d with one each hour; relays come, rest, return and leave as tor2019 (testnet §4), turn onion keys each 28 d, publish each 72 h; quotas, caps and ages as in public.", cal.warm/24, cal.days),
		fmt.Sprintf("Anchors are lists saved %d and %d days before; a relay holds no table so old, so the whole one is fetched. The list that comes with the anchor is not counted.", cal.two/24, cal.six/24),
		"By model: the larger size that is run, with diffs on a line through both, and half a pad.",
	}
	return res, nil
}

// kilo is bytes in kB.
func kilo(bytes []float64) (out []float64) {
	for _, b := range bytes {
		out = append(out, b/1000)
	}
	return out
}

func mean(v []float64) float64 {
	sum := 0.
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// billRows are the rows of one size.
func billRows(size int, bills []*bill) (rows []scenario.Row) {
	each := func(f func(b *bill) float64) (out []float64) {
		for _, b := range bills {
			out = append(out, f(b))
		}
		return out
	}
	goal, judged := goalOf(size)
	add := func(metric, unit string, values []float64, limit float64) {
		metric = fmt.Sprintf("%d relays: %s", size, metric)
		if judged && limit > 0 {
			rows = append(rows, scenario.AtMost(metric, unit, values, limit))
			return
		}
		rows = append(rows, scenario.Show(metric, unit, values))
	}
	kB := func(f func(b *bill) float64) []float64 { return kilo(each(f)) }
	add("listed", "", each(func(b *bill) float64 { return b.relays }), 0)
	add("running", "", each(func(b *bill) float64 { return b.running }), 0)
	add("cold start, younger anchor", "kB", kB(func(b *bill) float64 { return mean(b.two) }), goal.cold/1000)
	add("same, before padding and link", "kB", kB(func(b *bill) float64 { return mean(b.twoRaw) }), 0)
	add("cold start, older anchor", "kB", kB(func(b *bill) float64 { return mean(b.six) }), 0)
	add("same, before padding and link", "kB", kB(func(b *bill) float64 { return mean(b.sixRaw) }), 0)
	add("same, of which hand-over", "kB", kB(func(b *bill) float64 { return b.coldSteps }), 0)
	add("same, of which table", "kB", kB(func(b *bill) float64 { return b.coldTable }), 0)
	add("always on, a day", "MB", kilo(kB(func(b *bill) float64 { return b.day })), goal.day/1e6)
	add("same, answers alone with padding", "MB", kilo(kB(func(b *bill) float64 { return b.dayAnswers })), 0)
	add("same, fetches", "", each(func(b *bill) float64 { return b.fetches }), 0)
	add("same, hand-over", "kB", kB(func(b *bill) float64 { return b.steps }), 0)
	add("a fetch: diff", "kB", kB(func(b *bill) float64 { return b.diff }), 0)
	add("a fetch: SYNC's answer", "kB", kB(func(b *bill) float64 { return b.perSync }), 0)
	add("a fetch: PROOF's answer", "kB", kB(func(b *bill) float64 { return b.proof }), 0)
	for i := range rows {
		if base, ok := strings.CutPrefix(rows[i].Metric, fmt.Sprintf("%d relays: same, ", size)); ok {
			rows[i].Metric = fmt.Sprintf("%d relays:   %s", size, base)
		}
	}
	return rows
}
