// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"time"

	"chive/directory"
	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/directory/vote"
)

const (
	sourcesAsked = 6 // in a round, one after another
	adoptFrom    = 3 // relays that say the same
	farBehind    = 4 // epochs: beyond, a relay asks as clients do
)

// server is what a relay tells clients, as its role keeps it over restarts: from the newest
// final state on, with the one before it and what it has stored of the past.
type server struct {
	all  *dirsync.Server // nil: it has shown nothing since its start
	past []byte          // durable
}

// shows goes on with a final state, in worlds that have clients.
func (n *node) shows(v directory.View) {
	if !n.w.reads || v.Certificate == nil {
		return
	}
	s := &n.server
	restarted := s.all == nil
	if restarted {
		s.all = dirsync.NewServer(n.w.doc)
		if p, held := n.m.Parent(); held {
			s.all = s.all.With(dirsync.Final{State: p.State, Certificate: p.Certificate, Steps: p.Steps})
		}
	}
	s.all = s.all.With(dirsync.Final{State: v.State, Certificate: v.Certificate, Steps: v.Steps})
	if restarted {
		var certs []*vote.Certificate
		for _, data := range n.store.saved(directory.BucketCert) {
			c, err := vote.DecodeCertificate(data)
			must(err)
			certs = append(certs, c)
		}
		s.all = s.all.WithPast(s.past, certs)
	}
	s.past = s.all.Past()
}

// reader fetches the list as clients do: one of them, or what a relay is while it is on no
// list or far behind.
type reader struct {
	w      *world
	n      int
	chance *rand.PCG
	f      *dirsync.Follower
	first  []dirsync.Fallback // of the anchor that it began from; asked while it has no table
}

// answers counts what readers could do nothing with, of whatever life.
type answers struct {
	refused int // of honest relays, and taken for false
	apart   int // of relays that know no way from the reader's lists
}

// newReader goes on from what was saved, else from the anchor that comes with the newest
// release, else from the document.
func (w *world) newReader(n int, purpose string, saved []byte) *reader {
	f, err := dirsync.Resume(w.doc, w.verify, saved, w.released, w.time())
	must(err)
	r := &reader{w: w, n: n, chance: stream(w.seed, n, purpose), f: f}
	if f.Grounded() {
		r.first = w.released.Fallback
	}
	return r
}

// source is a relay to be asked.
func (r *reader) source() *node {
	if r.f.Grounded() && len(r.first) > 0 {
		return r.w.byRID[r.first[below(r.chance, len(r.first))].RID]
	}
	table := r.f.Snapshot().Table()
	return r.w.byRID[table.At(below(r.chance, table.Len())).RID]
}

// round asks relays of the list that is known until one has a fresh one. It reports whether
// any has answered, and whether the list is another now.
func (r *reader) round(self *node, clock func() time.Time) (answered, newer bool) {
	w, said := r.w, map[record.RID]bool{}
	for range sourcesAsked {
		n := r.source()
		if n == nil || n == self || !n.up || n.hostile() || n.server.all == nil || self != nil && w.apart(n, self) {
			continue
		}
		result, err := r.f.Fetch(&exchange{server: n.server.all, clock: n.clock}, clock, nil)
		switch {
		case errors.Is(err, dirsync.ErrBusy) || errors.Is(err, dirsync.ErrAbsent):
			continue
		case errors.Is(err, dirsync.ErrTooOld): // this one came too late to lead on from there
			w.answers.apart++
			continue
		case err != nil:
			w.answers.refused++
			continue
		}
		answered = true
		switch result {
		case dirsync.Newer:
			newer = true
		case dirsync.Unproven:
			if said[n.rid] = true; len(said) >= adoptFrom && r.f.Adopt() {
				newer = true
			}
		}
		if dirsync.ServedFresh(w.doc.Params, r.f.Snapshot().Epoch(), w.doc.EpochAt(clock())) {
			break
		}
	}
	return answered, newer
}

// exchange is a directory stream to a relay, without time: what is written is answered at
// once.
type exchange struct {
	server *dirsync.Server
	clock  func() time.Time
	answer bytes.Buffer
}

func (x *exchange) Write(p []byte) (int, error) {
	body, err := dirsync.ReadRequest(bytes.NewReader(p))
	if err != nil {
		return 0, err
	}
	out, _ := x.server.Answer(x.clock(), body)
	x.answer.Write(out)
	return len(p), nil
}

func (x *exchange) Read(p []byte) (int, error) { return x.answer.Read(p) }

// reads has a relay that is on no list, or far behind, fetch one as a client and ask to join
// if it is not on it, as its role does.
func (n *node) reads() {
	n.reader = n.w.newReader(n.n, "reader "+string(rune('0'+n.life)), n.saved)
	life := n.life
	if s := n.reader.f.Snapshot(); s.Epoch() > 0 {
		if n.step(directory.Seen{Snapshot: s}); n.life != life {
			return
		}
	}
	if n.asks(); n.life == life {
		n.looks()
	}
}

// asks tells the machine that no list has it.
func (n *node) asks() {
	_, listed := n.m.Newest().Table().Index(n.rid)
	if listed == n.listed {
		return
	}
	if n.listed = listed; !listed {
		n.step(directory.Join{})
	}
}

func (n *node) looks() {
	w, life := n.w, n.life
	half := w.doc.Params.EpochLen / 2
	now := w.doc.EpochAt(n.clock())
	if _, listed := n.m.Newest().Table().Index(n.rid); !listed || n.head.State == nil || now > n.head.State.Epoch()+farBehind {
		n.advance()
		answered, newer := n.reader.round(n, n.clock)
		if !answered {
			half /= 4
		}
		if newer {
			n.saved = n.reader.f.Encode()
			if n.step(directory.Seen{Snapshot: n.reader.f.Snapshot()}); n.life != life {
				return
			}
		}
	}
	if n.asks(); n.life != life {
		return
	}
	n.later(half, n.looks)
}

// advance has the client go on from what the machine has verified, where that is newer.
func (n *node) advance() {
	if s := n.head.State; s != nil && n.head.Certificate != nil && s.Epoch() > n.reader.f.Anchor().Epoch {
		own := dirsync.Final{State: s, Certificate: n.head.Certificate, Steps: n.head.Steps}
		n.reader.f = dirsync.SeedFollower(n.w.doc, n.w.verify, own)
	}
}
