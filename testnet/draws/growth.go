// SPDX-License-Identifier: BSD-3-Clause

package draws

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"math/bits"
	"math/rand/v2"
	"slices"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/sybil"
	"chive/directory/transition"
	"chive/directory/vrf"
)

// Growth is a network that grows under an attack. The zero value of a field is the
// design's model.
type Growth struct {
	Seed    uint64
	Plan    Plan
	Relays  int  // honest ones at the start; 0: 1,000
	Days    int  // 0: 180
	Stride  int  // epochs between two snapshots; 0: 12
	Young   bool // the honest ones are founders and stay it, instead of an aged network
	Weeks   int  // by which the attack begins later in a cohort
	AllExit bool // every honest relay is an exit, as in the design's table; else those of two classes
	// Vouched and Open are how many honest newcomers ask in a hundred days, with a
	// voucher and without.
	Vouched, Open int
	At            []int // days to look at; none: those of the design's table
	Turned        int   // relays of the start that are the attacker's
	Evade         Evasion
}

// total is the capacity of a thousand honest relays, kbit/s. Spec: directory §7.
const total = 79e6

// tableDays are the days at which the design's table is.
var tableDays = []int{14, 30, 60, 90, 120, 180}

// errCheck means that the rules refuse what the rules made.
var errCheck = errors.New("draws: a snapshot breaks the rules")

// growth is a run.
type growth struct {
	Growth
	p       genesis.Params
	doc     *genesis.Document
	rng     *rand.Rand
	state   *transition.State
	first   uint64 // epoch of the first state
	nodes   map[record.RID]*node
	pending *sybil.Pending
	waiting []*node // who asked and is not in
	idle    []*node // the attacker's that have not asked, the most work first
	beacon  [32]byte
	prover  *vrf.SecretKey
	trace   hash.Hash
	waits   []wait
	owed    [2]int // hundredths of honest newcomers, open and vouched
	serial  int
	changed map[record.RID]transition.Seen
	evading *evasion // nil: nobody does
	out     Outcome
}

// wait is how long an honest newcomer waited.
type wait struct {
	asked   uint64 // epoch since the start
	hours   int    // -1: it still waits
	vouched bool
}

// Run lets the days pass. Errors: what ctx says; errCheck; the transition's.
func (g Growth) Run(ctx context.Context) (*Outcome, error) {
	s, err := newGrowth(g)
	if err != nil {
		return nil, err
	}
	for day := range s.Days {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for range s.p.Day / s.Stride {
			if err := s.step(); err != nil {
				return nil, fmt.Errorf("day %d: %w", day, err)
			}
		}
		s.look(day + 1)
	}
	s.finish()
	return &s.out, nil
}

func newGrowth(g Growth) (*growth, error) {
	if g.Relays == 0 {
		g.Relays = 1000
	}
	if g.Days == 0 {
		g.Days = 180
	}
	if g.Stride == 0 {
		g.Stride = 12
	}
	if g.At == nil {
		g.At = tableDays
	}
	s := &growth{
		Growth: g, p: genesis.Public(), rng: rand.New(rand.NewPCG(g.Seed, 1)), nodes: map[record.RID]*node{}, trace: sha256.New(),
		changed: map[record.RID]transition.Seen{},
	}
	var founders []*record.Founder
	var all []*node
	for i, at := range population(s.rng, g.Relays, total) {
		at.exit = at.exit || g.AllExit
		of := honest
		if i < g.Turned {
			of = hostile
		}
		r := s.make(at, of)
		all = append(all, r)
		founders = append(founders, r.founder(g.Seed))
	}
	var err error
	if s.doc, err = document(g.Seed, founders, s.p); err != nil {
		return nil, err
	}
	for _, r := range all {
		r.rid = record.NewRID(s.doc.NetworkID(), r.key[:])
		s.nodes[r.rid] = r
	}
	if g.Young {
		s.state = transition.Genesis(s.doc)
	} else if s.state, err = aged(s.doc, s.rng, g.Weeks); err != nil {
		return nil, err
	}
	s.first = s.state.Epoch()
	s.beacon = s.state.Snapshot().Header().Beacon
	secret := seeded(g.Seed, "proposer", 0)
	s.prover = vrf.NewSecretKey(&secret)
	s.pending = sybil.NewPending(s.p, g.Relays)
	for i := range g.Plan.Relays {
		r := s.make(g.Plan.relay(i), hostile)
		r.work += g.Plan.MoreWork
		s.idle = append(s.idle, r)
	}
	slices.SortStableFunc(s.idle, func(a, b *node) int { return cmp.Compare(b.work, a.work) })
	s.out = Outcome{Attack: g.Plan.Name, Honest: g.Relays - g.Turned}
	if g.Evade != (Evasion{}) {
		s.evading = s.newEvasion()
	}
	return s, nil
}

// make makes a relay that nobody knows yet. Its work is what a search finds that ends
// at the bits asked for: as often as not it has more.
func (s *growth) make(at place, of side) *node {
	r := &node{
		place: at, side: of, serial: s.serial, key: publicKey(s.Seed, "relay", s.serial),
		work: s.p.WorkBits + bits.TrailingZeros64(s.rng.Uint64()|1<<40),
	}
	s.serial++
	if s.doc != nil {
		r.rid = record.NewRID(s.doc.NetworkID(), r.key[:])
		s.nodes[r.rid] = r
	}
	return r
}

// step makes the next snapshot, as all honest members would.
func (s *growth) step() error {
	epoch := s.state.Epoch() + uint64(s.Stride)
	now := s.doc.EpochStart(epoch).Add(-s.p.CutOff)
	day := uint64(s.p.Day)
	if epoch/day != s.state.Epoch()/day { // the last of its day
		s.beacon = s.state.Snapshot().Header().Beacon
	}
	s.ask(epoch-uint64(s.Stride), now)
	if err := s.renew(epoch); err != nil {
		return err
	}
	seen := &transition.Observations{Descriptors: s.changed}
	var err error
	if s.evading != nil {
		if seen.Reached, err = s.evade(epoch, now); err != nil {
			return err
		}
	}
	if seen.Candidates, err = s.candidates(epoch); err != nil {
		return err
	}
	ops := transition.Propose(s.doc, s.state, epoch, seen)
	in := transition.Input{Epoch: epoch, Descriptor: s.descriptor}
	in.Proof = s.prover.Prove(binary.BigEndian.AppendUint64(s.beacon[:], epoch))
	if in.Output, err = vrf.ProofToHash(in.Proof); err != nil {
		return err
	}
	owner := s.state.Owner(s.p, epoch)
	if owner == nil {
		return errCheck
	}
	for seat := range committee.Quorum(len(owner.Seats)) {
		in.Votes = append(in.Votes, transition.Vote{Seat: seat, Ops: ops})
	}
	child, err := transition.Next(s.doc, s.state, in)
	if err != nil {
		return err
	}
	if err := transition.Check(s.doc, s.state.Snapshot(), child.Snapshot()); err != nil {
		return errors.Join(errCheck, err)
	}
	if s.evading != nil {
		s.evaded(child, seen.Reached)
	}
	s.settle(child)
	return nil
}

// settle moves on to a snapshot: who came in waits no longer, whose keys were recorded
// has nothing new to say.
func (s *growth) settle(child *transition.State) {
	table := child.Snapshot().Table()
	for i := range table.Len() {
		a := child.Aux(i)
		if a.Admitted == child.Epoch() {
			r := s.nodes[table.At(i).RID]
			r.joined = child.Epoch()
			s.pending.Remove(r.rid)
			s.out.Admitted[r.side]++
			if r.side == honest {
				s.waits = append(s.waits, wait{r.asked - s.first, int(child.Epoch() - r.asked), r.vouched})
			}
		}
	}
	for rid, seen := range s.changed {
		if i, listed := table.Index(rid); !listed || child.Aux(i).Body == seen.Body {
			delete(s.changed, rid)
		}
	}
	s.state = child
	digest := child.Digest()
	s.trace.Write(digest[:])
}

// descriptor is what members have at hand.
func (s *growth) descriptor(rid record.RID, body [16]byte) *record.Descriptor {
	r := s.nodes[rid]
	if r == nil || r.desc == nil || [16]byte(r.body[:16]) != body {
		return nil
	}
	return r.desc
}

// renew has each listed relay publish once a term, spread over the term's snapshots,
// the keys of this term and the next two, if it can be eligible in them.
func (s *growth) renew(epoch uint64) error {
	per := s.p.Term / s.Stride
	turn := int(epoch) / s.Stride % per
	table := s.state.Snapshot().Table()
	for i := range table.Len() {
		r := s.nodes[table.At(i).RID]
		old := s.dayOf(epoch)-int(table.At(i).BirthDay)+3*s.p.Term/s.p.Day >= s.p.CommitteeAge
		if r.serial%per != turn || !old {
			continue
		}
		if err := r.publish(s.Seed, transition.TermAt(s.p, committee.A, epoch), true); err != nil {
			return err
		}
		s.changed[r.rid] = transition.Seen{Body: r.body, Descriptor: r.desc}
	}
	return nil
}

// mostDrawn bounds the candidates of each lane in an epoch.
const mostDrawn = 32

// candidates returns those whose turn it is, all of whom are there when they are
// dialled.
func (s *growth) candidates(epoch uint64) ([]transition.Candidate, error) {
	if slots := s.state.Slots(s.p, epoch); slots[sybil.LaneOpen]+slots[sybil.LaneVouched]+slots[sybil.LaneReturning] == 0 {
		return nil, nil
	}
	var out []transition.Candidate
	var turns []record.RID
	slots, lanes := s.state.Slots(s.p, epoch), s.state.Drawn(s.p, epoch, s.beacon, s.pending)
	for _, lane := range []sybil.Lane{sybil.LaneVouched, sybil.LaneOpen, sybil.LaneReturning} {
		most := min(mostDrawn, max(slots[lane], slots[sybil.LaneReturning])) // a little more: caps keep some out
		turns = append(turns, lanes[lane][:min(len(lanes[lane]), most)]...)
	}
	for _, rid := range turns {
		r := s.nodes[rid]
		if r.desc == nil {
			if err := r.publish(s.Seed, 0, false); err != nil {
				return nil, err
			}
		}
		c, _, _ := s.pending.Get(rid)
		lane := transition.LaneOpen
		if c.Vouched {
			lane = transition.LaneVouched
		}
		out = append(out, transition.Candidate{
			RID: rid, Seen: transition.Seen{Body: r.body, Descriptor: r.desc}, Lane: lane, Sponsor: c.Sponsor,
		})
	}
	return out, nil
}

// dayOf is the network's day at an epoch.
func (s *growth) dayOf(epoch uint64) int { return snapshot.Day(s.p, epoch) }
