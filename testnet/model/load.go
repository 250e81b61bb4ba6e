// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"time"

	"chive/directory"
	"chive/directory/genesis"
	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/sybil"
	"chive/directory/vote"
)

// siege is one full machine whose neighbours are all played: they bring it candidates as
// fast as its buckets take them, and take all that it passes on.
type siege struct {
	h     *house
	p     genesis.Params
	m     *directory.Machine
	nid   [32]byte
	now   time.Time
	wake  time.Time
	epoch uint64
	salt  [32]byte // beacon of the newest final snapshot
	stamp genesis.Params

	peers   []*besieger
	byLink  map[uint64]*besieger
	byName  map[record.RID]*person
	chance  *rand.PCG
	queue   []directory.Event
	links   uint64
	offered int
	checks  int
	probes  int
	sent    int
	bytes   [2]uint64 // in, out

	machine time.Duration // processor time of the machine
	work    time.Duration // of memory-hard work
}

// besieger is a neighbour.
type besieger struct {
	link    uint64
	session [32]byte
	has     map[gossip.ShortID][]byte // candidates that it has announced
	credit  float64
}

// floodLoad measures what a relay takes of a core while every neighbour brings as many
// new candidates as it lets one bring, each with good work, which is checked.
// Spec: directory §14 (G5).
func floodLoad(ctx context.Context, t task) (*outcome, error) {
	p := genesis.Public()
	h, err := houseOf(t, p, 2)
	if err != nil {
		return nil, err
	}
	s := &siege{
		h: h, p: p, nid: h.doc.NetworkID(), byLink: map[uint64]*besieger{}, byName: map[record.RID]*person{},
		chance: stream(t.seed, -1, "siege"), stamp: p,
	}
	s.stamp.WorkBits = 0
	for _, who := range h.all {
		identity := public(who.identity)
		s.byName[record.NewRID(s.nid, identity[:])] = who
	}
	head := h.past.states[h.past.epoch()]
	s.epoch, s.salt = head.Epoch(), head.Snapshot().Header().Beacon
	s.now = h.doc.EpochStart(s.epoch).Add(p.SignEnd + time.Minute)
	identity := public(h.all[0].identity)
	if s.m, err = directory.New(directory.Config{
		Document: h.doc, RID: record.NewRID(s.nid, identity[:]), VRF: h.all[0].vrf, Rand: bytesOf{stream(t.seed, 0, "machine")},
		Verifier: vote.Plain{}, Saved: h.read,
	}); err != nil {
		return nil, err
	}
	s.step(directory.Tick{})
	s.come(gossip.Hello{Version: gossip.Version, NetworkID: s.nid, Time: uint64(s.now.UnixMilli()), Epoch: s.epoch, Head: head.Digest()})
	s.pass(30 * time.Second)
	t.progress("the neighbours are there")

	window := 10 * time.Minute
	if t.short {
		window = 10 * time.Second
	}
	s.machine, s.work, s.checks, s.bytes = 0, 0, 0, [2]uint64{}
	stats, _ := s.m.Gossip()
	for passed := time.Duration(0); passed < window; passed += time.Second {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s.offer()
		s.pass(time.Second)
	}
	after, peers := s.m.Gossip()
	core := func(d time.Duration) float64 { return 100 * d.Seconds() / window.Seconds() }
	each := 0.0
	if s.checks > 0 {
		each = 1000 * s.work.Seconds() / float64(s.checks)
	}
	return &outcome{figures: []figure{
		show("neighbours that flood", "", float64(len(peers))),
		show("candidates brought", "1/h", float64(after.ItemsNew+after.ItemsKnown+after.ItemsLater-stats.ItemsNew-stats.ItemsKnown-stats.ItemsLater)/window.Hours()),
		show("of them taken to wait for a check", "1/h", float64(after.ItemsLater-stats.ItemsLater)/window.Hours()),
		show("checks of work", "1/s", float64(s.checks)/window.Seconds()),
		show("one check of work", "ms", each),
		show("gossip in, out", "MB/h", float64(s.bytes[0]+s.bytes[1])/1e6/window.Hours()),
		show("checks of work, of a core", "%", core(s.work)),
		show("gossip, signatures and the store of candidates, of a core", "%", core(s.machine)),
		atMost("directory under the flood, of a core", "%", core(s.machine+s.work), 5),
	}, notes: []string{
		"one full machine with all signatures; every neighbour brings what its bucket takes, and asks for all that is announced",
	}}, nil
}

// step gives the machine an event, and takes what it cost and what it asks for.
func (s *siege) step(ev directory.Event) {
	before := processorTime()
	effects := s.m.Step(s.now, ev, nil)
	s.machine += processorTime() - before
	for _, e := range effects {
		switch e := e.(type) {
		case directory.Send:
			s.bytes[1] += uint64(len(e.Body)) + 4
			s.hears(s.byLink[e.Link], e.Body)
		case directory.Open:
			s.links++
			s.up(e.RID, false)
		case directory.Close:
			delete(s.byLink, e.Link)
		case directory.Wake:
			s.wake = e.At
		case directory.Probe:
			s.probes++
			s.queue = append(s.queue, directory.ProbeDone{ID: e.ID, OK: true})
		case directory.Store:
			if e.Token != 0 {
				s.queue = append(s.queue, directory.Stored{Token: e.Token, OK: true})
			}
		case directory.CheckWork:
			before := processorTime()
			bits := e.Challenge.Bits(&e.Work)
			s.work += processorTime() - before
			s.checks++
			// Work that is good costs no more to check, and much more to make here.
			s.queue = append(s.queue, directory.WorkChecked{Digest: e.Digest, Work: e.Work, Bits: max(bits, s.p.WorkBits)})
		}
	}
}

// pass lets time pass.
func (s *siege) pass(d time.Duration) {
	for end := s.now.Add(d); ; {
		for len(s.queue) > 0 {
			ev := s.queue[0]
			s.queue = s.queue[1:]
			s.step(ev)
		}
		if s.wake.After(end) {
			s.now = end
			return
		}
		s.now = s.wake
		s.step(directory.Tick{})
	}
}

// come brings up the machine's own neighbours, which it has called by now, and those
// that may call it.
func (s *siege) come(hello gossip.Hello) {
	identity := public(s.h.all[0].identity)
	self := record.NewRID(s.nid, identity[:])
	state := s.h.past.states[s.h.past.epoch()]
	var relays []gossip.Relay
	for i := range state.Snapshot().Table().Len() {
		r := state.Snapshot().Table().At(i)
		relays = append(relays, gossip.Relay{RID: r.RID, Group: r.Leaf.Group, Running: true})
	}
	guests := gossip.MaxGuests
	for _, r := range relays {
		switch {
		case r.RID == self:
		case gossip.MayCall(s.salt, r.RID, self, relays):
			s.up(r.RID, true)
		case guests > 0:
			guests--
			s.up(r.RID, true)
		}
	}
	s.pass(time.Second)
	for _, b := range s.peers {
		if s.byLink[b.link] != nil {
			s.says(b, &hello)
		}
	}
}

func (s *siege) up(rid record.RID, inbound bool) {
	s.links++
	b := &besieger{link: s.links, session: seedOf(1, int(s.links), "session"), has: map[gossip.ShortID][]byte{}, credit: siegeBurst}
	s.peers, s.byLink[b.link] = append(s.peers, b), b
	s.queue = append(s.queue, directory.LinkUp{Link: b.link, RID: rid, Inbound: inbound, Session: b.session, Source: s.byName[rid].address.Addr()})
}

type encoder interface{ Encode() ([]byte, error) }

func (s *siege) says(b *besieger, f encoder) {
	body, err := f.Encode()
	must(err)
	s.bytes[0] += uint64(len(body)) + 4
	s.queue = append(s.queue, directory.Frame{Link: b.link, Body: body})
}

// siegeBurst is how much of a bucket's burst a neighbour uses up, siegeHourly what it
// brings afterwards: a bucket's rate, less what is used for it in tenths.
const (
	siegeBurst  = 2
	siegeHourly = 720
)

// offer has every neighbour announce as many new candidates as are let through.
func (s *siege) offer() {
	for _, b := range s.peers {
		if s.byLink[b.link] == nil {
			continue
		}
		var ids []gossip.ShortID
		for b.credit += siegeHourly / 3600.0; b.credit >= 1 && len(ids) < 2; b.credit-- {
			digest, data := s.candidate()
			id := gossip.NameOn(b.session, digest)
			b.has[id] = data
			ids = append(ids, id)
		}
		if len(ids) > 0 {
			s.says(b, &gossip.IDs{Type: frameInv, Class: record.ClassCandidate, IDs: ids})
		}
	}
}

// hears answers what is asked of a neighbour, and has it ask for all that is announced.
func (s *siege) hears(b *besieger, body []byte) {
	if b == nil {
		return
	}
	f, err := gossip.DecodeFrame(body)
	ids, ok := f.(*gossip.IDs)
	if err != nil || !ok {
		return
	}
	switch ids.Type {
	case frameInv:
		s.sent += len(ids.IDs)
		for at := 0; at < len(ids.IDs); at += 16 {
			s.says(b, &gossip.IDs{Type: frameGet, Class: ids.Class, IDs: ids.IDs[at:min(at+16, len(ids.IDs))]})
		}
	case frameGet:
		var none []gossip.ShortID
		for _, id := range ids.IDs {
			if data := b.has[id]; data != nil {
				s.says(b, &gossip.Item{Class: ids.Class, Data: data})
				delete(b.has, id)
			} else {
				none = append(none, id)
			}
		}
		if len(none) > 0 {
			s.says(b, &gossip.IDs{Type: frameNone, Class: ids.Class, IDs: none})
		}
	}
}

// candidate makes a new one, introduced by the next relay, with a good stamp.
func (s *siege) candidate() ([32]byte, []byte) {
	n := len(s.h.all) + s.offered
	entry := s.h.all[1+s.offered%(len(s.h.all)-1)]
	s.offered++
	p := newPerson(s.h.all[0].seed, n, 5000+n/200, n%200, 999, 5)
	p.address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{60, byte(n >> 16), byte(n >> 8), byte(n)}), 9240)
	published := s.now.Add(-time.Minute).Truncate(time.Second)
	data := p.descriptor(s.nid, uint64(published.Unix()), published, published.Add(s.p.DescriptorLife), nil)
	signed, err := record.DecodeSigned(data, record.MaxDescriptorSize)
	must(err)
	body, err := record.BodyDigest(signed.Payload)
	must(err)
	identity, by := public(p.identity), public(entry.identity)
	said, err := record.SealEntry(&record.Entry{
		Entry: record.NewRID(s.nid, by[:]), Candidate: record.NewRID(s.nid, identity[:]), Body: body, Addresses: []netip.AddrPort{p.address}, Epoch: s.h.doc.EpochAt(s.now),
	}, s.nid, entry.identity, nil)
	must(err)
	c := sybil.NewChallenge(s.stamp, s.nid, identity[:], s.epoch, s.salt)
	work, _ := sybil.NewSolver(c, s.chance.Uint64()).Step(1 << 20)
	out, err := (&record.Candidate{Descriptor: data, Work: work, Entry: said}).Encode()
	must(err)
	payload := record.ItemDigest(record.ClassDescriptor, signed.Payload)
	return record.ItemDigest(record.ClassCandidate, payload[:]), out
}
