// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"time"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/transition"
	"chive/directory/vrf"
)

// ErrConfig means a member that cannot be made: something it needs is missing.
var ErrConfig = errors.New("vote: member lacks a part")

// Config is what a member starts from. All but the fields that say so are needed.
type Config struct {
	Document *genesis.Document
	RID      record.RID                    // of this relay
	Keys     map[uint64]ed25519.PrivateKey // committee keys by term; the member wipes them in time. nil: a follower
	VRF      *vrf.SecretKey                // nil: a follower
	Rules    Rules
	Verifier Verifier
	Rand     io.Reader // 8 bytes an epoch, for the moment of voting

	State       State        // newest final snapshot that was kept
	Certificate *Certificate // its certificate; nil: snapshot 0
	Parent      State        // as in the Final that brought it, if kept

	Memory []byte // as last stored; empty: nothing was ever promised
	Doubts Doubts // why it is to abstain; the zero value: nothing is known
	// Since is when this process began to use the memory, which it may have done
	// with a member before this one. Zero: the first step.
	Since time.Time
	// UnsafeUnaware has the member go on when it meets itself: for simulated traitors,
	// who sign twice and know it.
	UnsafeUnaware bool
}

// Member is one relay's machine: it votes, proposes and signs when the relay has a
// seat, and follows the final snapshots in any case. It belongs to one goroutine.
// See the package comment for what a driver does.
//
// Spec: directory §6, protocol §12.
type Member struct {
	Config
	p   genesis.Params
	nid [32]byte

	now  time.Time
	out  []Effect
	head State
	cert *Certificate // of head
	// below is the nearest ancestor of head that is held, its parent unless head was
	// loaded across a gap; nil: none.
	below     State
	belowCert *Certificate

	rounds    []*round // the two latest epochs at most, rising
	links     []*link  // certificates that lead on from head or its parent, or beside head
	load      load
	made      []State // the latest that one's own signature was for
	memory    Memory
	lost      bool
	lostTill  map[committee.Name]uint64 // abstains before this epoch
	otherTill uint64                    // same, of both
	stepped   bool
	tokens    uint64
	pending   []promise
	views     []Observed // the two latest epochs at most
	observed  uint64     // epoch that was asked for
	around    *Neighbours
	illegal   [][32]byte // headers refused for good, the latest few
	forked    [][32]byte // tips reported, the latest few
	old       [][32]byte // second certificates of the epoch before, the latest few
	counts    Counts
}

// Counts are running totals since the member was made.
type Counts struct {
	Finals   uint64 // snapshots that became the newest one
	Orphans  uint64 // of these, how many were replaced by another
	Accused  uint64
	Refused  uint64
	Illegal  uint64
	Forks    uint64
	Abandons uint64 // promises that could not be made durable
}

// maxRemembered bounds the digests of refused and reported headers.
const maxRemembered = 16

// New returns a member. It does nothing before its first step. Error: ErrConfig.
func New(c Config) (*Member, error) {
	if c.Document == nil || c.Rules == nil || c.Verifier == nil || c.Rand == nil || c.State == nil ||
		(c.Certificate != nil && c.Certificate.digest != c.State.Digest()) {
		return nil, ErrConfig
	}
	m := &Member{
		Config: c, p: c.Document.Params, nid: c.Document.NetworkID(),
		head: c.State, cert: c.Certificate, below: c.Parent,
		lost: c.Doubts.Lost, lostTill: c.Doubts.LostTill, otherTill: c.Doubts.OtherTill,
	}
	if len(c.Memory) > 0 {
		// One that is old, or of a time that was lost, still binds.
		var err error
		if m.memory, err = DecodeMemory(c.Memory, m.nid, c.RID); err != nil {
			m.lost = true
		}
	}
	keys := make(map[uint64]ed25519.PrivateKey, len(c.Keys))
	for term, k := range c.Keys {
		keys[term] = k
	}
	m.Keys = keys
	return m, nil
}

// Step tells the member of an event and returns what is to be done, in order, a Wake
// last. Steps come in the order in which things happen; now is the wall clock. The
// slice belongs to the caller.
func (m *Member) Step(now time.Time, ev Event) []Effect {
	m.now, m.out = now, nil
	if m.lost && m.lostTill == nil {
		m.forget()
	}
	if !m.stepped {
		m.stepped, m.Since = true, since(&m.Config, now)
		m.otherTill = min(m.otherTill, m.quietTill()) // a clock that was ahead may have said more
		m.checkHead()
	}
	m.openRounds()
	switch ev := ev.(type) {
	case Received:
		m.receive(ev)
	case Observed:
		m.observe(ev)
	case Stored:
		m.stored(ev)
	case Loaded:
		m.loaded(ev.State)
	case Neighbours:
		m.around = &ev
	case Estranged:
		m.estrange(ev.Other)
	case NewKey:
		m.Keys[ev.Term] = ev.Key
		for _, r := range m.rounds {
			m.sit(r)
		}
	}
	m.act()
	m.out = append(m.out, Wake{At: m.next()})
	return m.out
}

// Wipe destroys the member's committee keys, which the maps that it was made of share. It
// ends the member.
func (m *Member) Wipe() {
	for _, key := range m.Keys {
		clear(key)
	}
}

// Head returns the newest final snapshot and its certificate, nil for snapshot 0.
func (m *Member) Head() (State, *Certificate) { return m.head, m.cert }

// Counts returns the running totals.
func (m *Member) Counts() Counts { return m.counts }

func (m *Member) emit(e Effect) { m.out = append(m.out, e) }

// refuse says that a peer sent what nobody honest sends, unless it may be this relay
// that lags behind.
func (m *Member) refuse(class byte, err error) {
	m.counts.Refused++
	if !m.behind() {
		m.emit(Refuse{Class: class, Err: err})
	}
}

// maxBehind is how many epochs a member may lag behind its neighbours and still
// vote. Spec: directory §10.
const maxBehind = 4

func (m *Member) behind() bool {
	return m.around != nil && m.around.Head > m.epoch()+maxBehind
}

// epoch is the newest final one.
func (m *Member) epoch() uint64 { return m.head.Header().Epoch }

// forget makes a member whose memory is lost abstain until the terms that run now
// are over, as far as it may have promised something in them.
func (m *Member) forget() {
	now := m.Document.EpochAt(m.now)
	m.lostTill = map[committee.Name]uint64{}
	for _, c := range []committee.Name{committee.A, committee.B} {
		m.lostTill[c] = transition.TermStart(m.p, c, transition.TermAt(m.p, c, now)+1)
	}
}

// observe keeps what was seen by the cut-off of an epoch that is still to come or
// has just begun.
func (m *Member) observe(ev Observed) {
	if ev.Epoch+1 < m.Document.EpochAt(m.now) || ev.Epoch > m.Document.EpochAt(m.now)+1 {
		return
	}
	for i := range m.views {
		if m.views[i].Epoch == ev.Epoch {
			return // frozen
		}
	}
	if m.views = append(m.views, ev); len(m.views) > 2 {
		m.views = m.views[1:]
	}
}

func (m *Member) view(epoch uint64) View {
	for i := range m.views {
		if m.views[i].Epoch == epoch {
			return m.views[i].View
		}
	}
	return nil
}

// Times of an epoch. Spec: directory §6 (one epoch), protocol §12 (EPOCH-3..6).

// margin is by how much a proposal must come before the time to sign: a sixth of it.
// That is the 15 s of a public network and the 0.5 s of a testnet.
func (m *Member) margin() time.Duration { return m.p.Sign / 6 }

func (m *Member) start(epoch uint64) time.Time    { return m.Document.EpochStart(epoch) }
func (m *Member) cutOff(epoch uint64) time.Time   { return m.start(epoch).Add(-m.p.CutOff) }
func (m *Member) voteEnd(epoch uint64) time.Time  { return m.start(epoch).Add(m.p.Propose) }
func (m *Member) deadline(epoch uint64) time.Time { return m.signFrom(epoch).Add(-m.margin()) }
func (m *Member) signFrom(epoch uint64) time.Time { return m.start(epoch).Add(m.p.Sign) }
func (m *Member) signEnd(epoch uint64) time.Time  { return m.start(epoch).Add(m.p.SignEnd) }

// HoldOff returns how long after `propose` the seat with this output proposes, out of k
// seats. Spec: directory §6 (3), protocol §12 (EPOCH-5).
func HoldOff(p genesis.Params, k int, output [vrf.OutputSize]byte) time.Duration {
	steps, _ := bits.Mul64(uint64(k), vrf.Fraction(output))
	return min(time.Duration(steps)*p.HoldOffStep, p.HoldOffMax)
}

// holdOff is when the proposer with this output proposes, out of k seats.
func (m *Member) holdOff(epoch uint64, k int, output [vrf.OutputSize]byte) time.Time {
	return m.start(epoch).Add(m.p.Propose + HoldOff(m.p, k, output))
}

// voteDelay draws how long after the epoch's start a member votes: up to a sixth of
// the delay of proposals.
func (m *Member) voteDelay() time.Duration {
	var b [8]byte
	if _, err := io.ReadFull(m.Rand, b[:]); err != nil {
		return 0
	}
	hi, _ := bits.Mul64(binary.BigEndian.Uint64(b[:]), uint64(m.p.Propose/6))
	return time.Duration(hi)
}

// next returns when something is due without any event.
func (m *Member) next() time.Time {
	c := m.Document.EpochAt(m.now)
	at := m.start(c + 1)
	due := func(t time.Time) {
		if t.After(m.now) && t.Before(at) {
			at = t
		}
	}
	due(m.cutOff(c + 1))
	due(m.start(c + 1).Add(-m.p.ClockMember))
	for _, r := range m.rounds {
		if r.seat >= 0 && r.epoch == c {
			due(m.start(c).Add(r.delay))
			due(r.holdOff)
			due(m.deadline(c))
			due(m.signFrom(c))
		}
		for _, p := range r.proposals {
			if !p.asked.IsZero() {
				due(p.asked.Add(m.p.GetTimeout))
			}
		}
	}
	for _, l := range m.links {
		due(l.at.Add(m.margin()))
		if !l.asked.IsZero() {
			due(l.asked.Add(m.p.Sign))
		}
	}
	if !m.load.asked.IsZero() {
		due(m.load.asked.Add(m.p.Sign))
	}
	return at
}
