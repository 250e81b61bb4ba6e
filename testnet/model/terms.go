// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"context"
	"math/rand/v2"
	"time"

	"chive/directory"
	"chive/directory/genesis"
	dirsync "chive/directory/sync"
)

// ages is a network that grows old: every relay reads lists as the role does, and real
// clients stand beside them.
type ages struct {
	*world
	chance  *rand.PCG
	asked   map[*node]uint64 // newcomers, since which epoch they ask
	waited  int              // epochs, of the newcomer that waited longest
	left    int
	lost    int
	readers []*sleeper
	paused  int
}

// sleeper is a client that fetches lists, now and then after a long sleep.
type sleeper struct {
	*reader
	next uint64 // epoch
}

// termsRelays runs a network for several terms: newcomers come at any age of it, relays leave
// for good, lose what they have stored, and are away for longer than a term; once half of them
// are gone for half a term, and newcomers come then and while it resumes. Clients begin in each
// term, and sleep for up to a term and a half. What is older than two terms is too old to begin
// from: whoever is new begins with the document at first, with the anchor of a release then.
// Nobody lies: nobody is to be blamed.
// Spec: directory §8 (hand-over), §10 (relay joins or wakes), protocol §7 (GOS-9, SYNC-6).
func termsRelays(ctx context.Context, t task) (*outcome, error) {
	terms := 8
	if t.short {
		terms = 4
	}
	return aged(ctx, t, genesis.Testnet(), terms)
}

// weeksRelays is the same under public parameters, but for the work of newcomers.
func weeksRelays(ctx context.Context, t task) (*outcome, error) {
	p := genesis.Public()
	p.WorkBits, p.StampBits = 0, 0
	terms := 4
	if t.short {
		terms, p.Term, p.DrawLead = 3, 48, 8
	}
	return aged(ctx, t, p, terms)
}

func aged(ctx context.Context, t task, params genesis.Params, terms int) (*outcome, error) {
	params.AnchorAge = 2 * time.Duration(params.Term) * params.EpochLen
	w, err := newWorld(setting{seed: t.seed, relays: t.relays, params: params, reads: true, replay: t.replay}, t.progress)
	if err != nil {
		return nil, err
	}
	p := w.doc.Params
	a := &ages{world: w, chance: stream(w.seed, -1, "ages"), asked: map[*node]uint64{}}
	term := time.Duration(p.Term) * p.EpochLen
	for k := range 2 * terms { // each half term
		half := time.Duration(k) * term / 2
		w.at(half, a.releases)
		w.at(half+term/8, func() { a.joins(1) })
		w.at(half+term/6, a.loses)
		w.at(half+term/4, func() { a.reads(2) })
		if k%2 == 1 {
			w.at(half+term/3, a.leaves)
		}
	}
	// One is away for more than a term, again and again.
	for k := 1; k < terms-2; k += 3 {
		w.at(time.Duration(k)*term, func() { a.sleeps(term + term/3) })
	}
	stop := time.Duration(terms/2)*term + term/5
	w.at(stop, a.stops)
	w.at(stop+term/3, func() { a.joins(1) })
	w.at(stop+term/2, func() { a.resumes(); a.joins(1) })
	for k := range 4 {
		w.at(stop+term/2+time.Duration(k)*p.EpochLen, func() { a.joins(1) })
	}
	w.every(p.EpochLen, a.epochEnds)
	w.check.begin()
	w.startAll()
	end := time.Duration(terms) * term
	if err := w.until(ctx, end); err != nil {
		return w.ended(&outcome{}), err
	}
	// All who still ask have had time by then.
	if err := w.until(ctx, end+20*p.EpochLen+p.EpochLen*9/10); err != nil {
		return w.ended(&outcome{}), err
	}
	blamed, late := 0, 0
	for _, n := range w.nodes {
		for _, r := range n.reports {
			if r.What == directory.ReportBadState {
				blamed++
			}
		}
	}
	newest := w.newest()
	for _, c := range a.readers {
		c.round(nil, w.time)
		if c.f.Snapshot().Epoch()+uint64(p.Fresh) < newest.Epoch() {
			late++
		}
	}
	waiting := 0
	for n := range a.asked {
		if n.up {
			waiting++
		}
	}
	skipped, _ := w.check.skipped(1, w.epoch(terms*p.Term))
	out := &outcome{figures: []figure{
		show("epochs", "", float64(terms*p.Term)),
		show("relays at the end", "", float64(newest.Snapshot().Table().Len())),
		show("relays that left for good", "", float64(a.left)),
		show("stores that were lost", "", float64(a.lost)),
		show("epochs without a final", "%", 100*float64(skipped)/float64(terms*p.Term)),
		show("of these while half of the relays were gone", "%", 100*float64(a.paused)/float64(terms*p.Term)),
		show("epochs until a newcomer was listed, at most", "", float64(a.waited)),
		atMost("newcomers that were not listed", "", float64(waiting), 0),
		atMost("honest relays that were blamed for a state", "", float64(blamed), 0),
		atMost("streams between honest relays that were closed for lying", "", float64(w.check.closed), 0),
		atMost("relays that are up and not at the newest final", "", float64(w.stragglers()), 0),
		atMost("honest answers that a client took for false", "", float64(w.answers.refused), 0),
		show("answers of relays that came too late to lead a client on", "", float64(w.answers.apart)),
		atMost("clients without a fresh list", "", float64(late), 0),
	}}
	return w.ended(out), nil
}

// releases has whoever begins from now on begin with an anchor of now.
func (a *ages) releases() {
	for _, n := range a.nodes {
		if n.up && n.head.Certificate != nil {
			f, err := dirsync.Final{State: n.head.State, Certificate: n.head.Certificate, Steps: n.head.Steps}.AnchorFile()
			must(err)
			a.released = f
			return
		}
	}
}

// joins adds newcomers.
func (a *ages) joins(count int) {
	for range count {
		i := len(a.nodes)
		n := a.add(newPerson(a.seed, i, 5000+i, 0, 999, 5))
		a.check.honest++
		a.asked[n] = a.doc.EpochAt(a.time())
		n.start()
	}
}

// any is a relay that is up and listed.
func (a *ages) any() *node {
	for range 1000 {
		n := a.nodes[below(a.chance, len(a.nodes))]
		if _, asks := a.asked[n]; n.up && !asks {
			return n
		}
	}
	return nil
}

// gone is how many of the listed relays run no more, of how many.
func (a *ages) gone() (count, of int) {
	table := a.newest().Snapshot().Table()
	for i := range table.Len() {
		if n := a.byRID[table.At(i).RID]; n == nil || !n.up {
			count++
		}
	}
	return count, table.Len()
}

func (a *ages) leaves() {
	if count, of := a.gone(); 5*(count+1) > of {
		return // the committee's majority stays
	}
	if n := a.any(); n != nil {
		n.stop()
		a.left++
	}
}

// loses has a relay lose everything but its keys.
func (a *ages) loses() {
	n := a.any()
	if n == nil {
		return
	}
	n.stop()
	n.store.clear()
	n.reader, n.saved, n.server, n.head = nil, nil, server{}, directory.View{}
	a.lost++
	a.push(n.n, 2*time.Second, event{node: int32(n.n), do: n.start})
}

func (a *ages) sleeps(d time.Duration) {
	if n := a.any(); n != nil {
		n.stop()
		a.push(n.n, d, event{node: int32(n.n), do: n.start})
	}
}

// stops stops half of the relays, and resumes starts them again, one after another.
func (a *ages) stops() {
	for i, n := range a.nodes {
		if i%2 == 0 && n.up {
			n.stop()
		}
	}
}

func (a *ages) resumes() {
	p := a.doc.Params
	for i, n := range a.nodes {
		if i%2 == 0 && !n.up {
			a.push(n.n, time.Duration(a.chance.Uint64()%uint64(6*p.EpochLen)), event{node: int32(n.n), do: n.start})
		}
	}
}

func (a *ages) reads(count int) {
	for range count {
		a.readers = append(a.readers, &sleeper{reader: a.newReader(len(a.readers), "client reader", nil)})
	}
}

// epochEnds has clients fetch whose turn it is, and looks who is listed.
func (a *ages) epochEnds() {
	now := a.doc.EpochAt(a.time())
	for _, c := range a.readers {
		if now < c.next {
			continue
		}
		c.round(nil, a.time)
		c.next = now + 1 + uint64(below(c.chance, 4))
		if below(c.chance, 20) == 0 {
			c.next = now + uint64(below(c.chance, 3*a.doc.Params.Term/2))
		}
	}
	table := a.newest().Snapshot().Table()
	for n, since := range a.asked {
		if _, listed := table.Index(n.rid); listed {
			a.waited = max(a.waited, int(now-since))
			delete(a.asked, n)
		}
	}
	up := 0
	for _, n := range a.nodes {
		if n.up {
			up++
		}
	}
	if 3*up < 2*len(a.nodes) && a.check.finals[now-1] == nil {
		a.paused++
	}
}
