// SPDX-License-Identifier: BSD-3-Clause

package draws

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"slices"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/transition"
	"chive/directory/weight"
)

// Placement is how the hostile relays lie among the eligible ones.
type Placement byte

const (
	// Alike has them be any of the relays: weights and networks as those of others.
	Alike Placement = iota
	// Thin has them be a relay in a network of its own each, of equal weight, beside
	// the honest ones: no cap of seats ever stops them.
	Thin
	// Equal has relays of one weight, and no caps: what the binomial numbers are about.
	Equal
)

// Seats draws the two committees for so many epochs and has an adversary do what its
// seats allow in each of them.
type Seats struct {
	Seed      uint64
	Share     float64 // of the eligible weight
	Epochs    int
	Relays    int // eligible; with Thin the honest ones; 0: 1,000
	Placement Placement
	Offline   int // honest seats that are away in an epoch, of a thousand

	base *network // nil: its own
}

// Agreed is what came of it.
type Agreed struct {
	Draws    int
	Hostile  []int   // draws by hostile seats
	Mean     float64 // hostile part of the seats
	Fork     int     // draws with seats enough for two finals
	Insert   int     // draws with seats enough to change the table alone
	Stall    int     // draws whose hostile seats can keep an epoch from being final with nobody away
	Ground   int     // draws with seats enough for two finals, had each been chosen by withheld outputs
	Choices  int     // beacons that there were to choose from for these
	Epochs   int
	Final    int // one final
	Spoiled  int // skipped: the lowest output was hostile
	Stalled  int // skipped: too few honest seats are there
	Orphan   int // of the stalled, those for which the adversary alone can make a certificate and show it later
	Double   int // two finals
	Inserted int // finals with content that no honest seat wants
	Times    []int
	Trace    string
}

// pool is who can be drawn.
type pool struct {
	candidates []committee.Candidate
	bad        []bool
	caps       committee.Caps
	total      float64
}

// seats is a run.
type seats struct {
	Seats
	p     genesis.Params
	nid   [32]byte
	rng   *rand.Rand
	pool  pool
	lists [2]roster
	out   Agreed
}

// roster is a list in force: its seats and which are hostile.
type roster struct {
	term uint64
	bad  []bool
	n    int // hostile
}

// Run draws and plays. Errors: what ctx says; genesis's and committee's.
func (c Seats) Run(ctx context.Context) (*Agreed, error) {
	if c.Relays == 0 {
		c.Relays = 1000
	}
	s := &seats{Seats: c, p: genesis.Public(), rng: rand.New(rand.NewPCG(c.Seed, 2))}
	if err := s.gather(); err != nil {
		return nil, err
	}
	s.out.Hostile = make([]int, s.p.CommitteeMax+1)
	trace := sha256.New()
	e := newEpochs(s)
	first := uint64(s.p.Term)
	for epoch := first; epoch < first+uint64(c.Epochs); epoch++ {
		if epoch%1000 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		for i, name := range []committee.Name{committee.A, committee.B} {
			if term := transition.TermAt(s.p, name, epoch); s.lists[i].bad == nil || term != s.lists[i].term {
				if err := s.draw(i, name, term); err != nil {
					return nil, err
				}
			}
		}
		owner := 0
		if transition.OwnerName(epoch) == committee.B {
			owner = 1
		}
		e.play(&s.lists[owner])
	}
	o := &s.out
	o.Epochs = c.Epochs
	var sum float64
	for n, count := range o.Hostile {
		sum += float64(n * count)
	}
	o.Mean = sum / float64(o.Draws*s.p.CommitteeMax)
	for _, n := range slices.Concat(o.Hostile, []int{o.Fork, o.Insert, o.Ground, o.Final, o.Spoiled, o.Stalled, o.Orphan, o.Double, o.Inserted}) {
		trace.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
	}
	o.Trace = hex.EncodeToString(trace.Sum(nil))
	return o, nil
}

// network is a pool without anybody hostile, which runs over one share after another
// have in common.
type network struct {
	pool
	nid [32]byte
}

// newNetwork is an aged network of so many relays.
func newNetwork(seed uint64, relays int) (*network, error) {
	p, rng := genesis.Public(), rand.New(rand.NewPCG(seed, 5))
	var founders []*record.Founder
	for i, at := range population(rng, relays, total) {
		r := &node{place: at, serial: i, key: publicKey(seed, "relay", i)}
		founders = append(founders, r.founder(seed))
	}
	doc, err := document(seed, founders, p)
	if err != nil {
		return nil, err
	}
	state, err := aged(doc, rng, 0)
	if err != nil {
		return nil, err
	}
	n := &network{nid: doc.NetworkID()}
	n.caps = committee.CapsOf(p)
	table := state.Snapshot().Table()
	weights := weight.Guards(table, p, state.Snapshot().Day(), true)
	for i := range table.Len() {
		r := table.At(i)
		n.add(r.RID, weights[i], int(r.Group), r.IPv4.Addr())
	}
	return n, nil
}

// gather fills the pool.
func (s *seats) gather() error {
	if s.Placement == Equal {
		s.pool.caps = committee.Caps{Most: s.p.CommitteeMax}
		for i := range s.Relays {
			s.pool.add(record.RID(first16(seeded(s.Seed, "equal", i))), 1, i, netip.Addr{})
		}
		s.nid = seeded(s.Seed, "network", 0)
		return nil
	}
	base := s.base
	if base == nil {
		var err error
		if base, err = newNetwork(s.Seed, s.Relays); err != nil {
			return err
		}
	}
	s.nid, s.pool = base.nid, base.pool
	s.pool.candidates, s.pool.bad = slices.Clone(base.candidates), slices.Clone(base.bad)
	if s.Placement != Thin {
		return nil
	}
	count := int(float64(s.Relays)*s.Share/(1-s.Share) + 0.5)
	each := uint64(s.pool.total * s.Share / (1 - s.Share) / float64(max(count, 1)))
	for i := range count {
		s.pool.add(record.RID(first16(seeded(s.Seed, "thin", i))), each, firstHostileGroup+i, address(firstHostileGroup+i, 0).Addr())
		s.pool.bad[len(s.pool.bad)-1] = true
	}
	return nil
}

func first16(b [32]byte) [16]byte { return [16]byte(b[:16]) }

func (p *pool) add(rid record.RID, weight uint64, group int, ip netip.Addr) {
	p.candidates = append(p.candidates, committee.Candidate{RID: rid, Weight: weight, Group: uint16(group), IPv4: ip})
	p.bad = append(p.bad, false)
	p.total += float64(max(weight, 1))
}

// corrupt makes relays hostile, in a random order, until they hold their share. It is
// done anew for each draw, so that a run does not measure which relays it began with.
func (s *seats) corrupt() {
	if s.Placement == Thin {
		return
	}
	clear(s.pool.bad)
	left := s.Share * s.pool.total
	for _, i := range s.rng.Perm(len(s.pool.bad)) {
		w := float64(max(s.pool.candidates[i].Weight, 1))
		if left < w/2 {
			if s.Placement == Equal {
				return
			}
			continue
		}
		s.pool.bad[i], left = true, left-w
	}
}

// draw draws a list. Whatever beacons the adversary had to choose from by withholding,
// the list is that of the first; how many seats the best would have given is counted.
func (s *seats) draw(i int, name committee.Name, term uint64) error {
	s.corrupt()
	options := 1
	if leading := s.leading(&s.lists[i]); leading > 0 {
		options = leading + 2 // each of its outputs, that of the first honest seat, and none at all
	}
	most := 0
	for option := range options {
		beacon := seeded(s.Seed, "beacon "+string(name), int(term)<<8|option)
		drawn, err := committee.Draw(committee.Lottery{NetworkID: s.nid, Committee: name, Term: term, Beacon: beacon}, s.pool.candidates, s.pool.caps)
		if err != nil {
			return err
		}
		list := roster{term: term, bad: make([]bool, len(drawn))}
		for seat, c := range drawn {
			if s.pool.bad[c] {
				list.bad[seat] = true
				list.n++
			}
		}
		most = max(most, list.n)
		if option > 0 {
			continue
		}
		s.lists[i] = list
		k := len(drawn)
		s.out.Draws++
		s.out.Hostile[list.n]++
		s.out.Fork += one(list.n >= forks(k))
		s.out.Insert += one(list.n >= committee.Matching(k))
		s.out.Stall += one(k-list.n < committee.Quorum(k))
	}
	s.out.Choices += options
	s.out.Ground += one(most >= forks(len(s.lists[i].bad)))
	return nil
}

// leading returns how many of the lowest outputs of an epoch of a list are hostile.
func (s *seats) leading(l *roster) int {
	n := 0
	for _, seat := range s.rng.Perm(len(l.bad)) {
		if !l.bad[seat] {
			break
		}
		n++
	}
	return n
}

// forks is how many seats two finals in one epoch need. Spec: directory §6.
func forks(k int) int { return 2*committee.Quorum(k) - k }

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
