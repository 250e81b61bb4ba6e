// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"crypto/ed25519"
	"errors"
	"iter"
	"math/rand/v2"
	"time"

	"chive/directory/genesis"
	"chive/directory/gossip"
	"chive/directory/reconcile"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/sybil"
	"chive/directory/vote"
	"chive/directory/vrf"
)

// ErrConfig means a machine that cannot be made: something it needs is missing.
var ErrConfig = errors.New("directory: machine lacks a part")

// Rand is the machine's randomness: unpredictable in production, seeded in
// simulations. *rand.ChaCha8 is one.
type Rand interface {
	rand.Source
	Read(p []byte) (int, error)
}

// Config is what a machine is made for. All but the fields that say so are needed.
type Config struct {
	Document *genesis.Document
	RID      record.RID                    // of this relay
	VRF      *vrf.SecretKey                // nil: it takes no seat
	Keys     map[uint64]ed25519.PrivateKey // committee keys by term; the machine's afterwards, wiped in time; may be nil
	Rand     Rand
	Verifier vote.Verifier
	Catalog  *Catalog // nil but in simulations of many machines
	// Saved returns what was stored in a bucket, in the order of keys, for as long as
	// New runs. nil: nothing was.
	Saved func(b Bucket) iter.Seq2[[]byte, []byte]
	// MemoryLost says that a store there was cannot be read: the machine takes no seat
	// until the terms that run now are over.
	MemoryLost bool
	// OtherTill is as Doubts last said it of a machine before this one: it takes no seat
	// before this epoch. 0: no other process is known of.
	OtherTill uint64
	// UnsafeUnaware is vote.Config's: for simulated traitors.
	UnsafeUnaware bool
}

// Machine is one relay's directory. It belongs to one goroutine. See the package
// comment for what its owner does.
//
// Spec: directory §1.
type Machine struct {
	cfg Config
	doc *genesis.Document
	p   genesis.Params
	nid [32]byte

	now   time.Time
	began time.Time // the first step
	ready bool      // it was made
	out   []Effect

	rules  *vote.Transition
	member *vote.Member
	gossip *gossip.Machine
	todo   []vote.Effect  // of the member, to be carried out
	asks   []gossip.Event // for the gossip machine, to be told

	at      *bundle // the newest final state
	below   *bundle // its parent, if held; else nil
	serving []served

	descs   descriptors
	setFrom trie           // what set was made of
	set     *reconcile.Set // of the digests that repairs compare; nil: none kept
	claims  claims
	items   items
	memory  []byte // as last stored
	// Tokens go on from member to member: what one before has stored is no answer to
	// this one.
	tokens, tokensBefore uint64
	private              []record.RID

	pending  *sybil.Pending
	stored   map[record.RID][32]byte // candidates in BucketCand, by their digests
	checkAt  time.Time               // next check of work; zero: none waits
	joins    sybil.Joins
	entering []*entering
	joining  joining
	seen     *snapshot.Snapshot // newer than ours, from the role as a client

	missing   map[record.RID]bool // descriptors that the member waits for
	foundSome bool
	reach     reach
	own       publication
	heads     map[record.RID]head
	headsTo   uint64 // no head is of a later epoch
	loading   bool   // what is stored is being read
	around    vote.Neighbours
	told      bool // around was
	moved     bool // neighbours may have changed
	catch     *catchUp
	failed    failures
	caught    *bundle   // the latest one that was fetched
	fork      *Fork     // nil: none was met
	progress  time.Time // when the newest final state came

	gossipWake, memberWake, woken time.Time
	expireAt                      time.Time
}

// New returns a machine that goes on from what was saved. It does nothing before its
// first step. Saved records that cannot be read are dropped; a memory that cannot be
// read counts as lost. Error: ErrConfig.
func New(c Config) (*Machine, error) {
	if c.Document == nil || c.Rand == nil || c.Verifier == nil {
		return nil, ErrConfig
	}
	m := &Machine{
		cfg: c, doc: c.Document, p: c.Document.Params, nid: c.Document.NetworkID(),
		descs:   descriptors{relays: trie{by: byRID}, digests: trie{by: byDigest}},
		claims:  claims{tombstones: map[[32]byte]*tombstone{}, of: map[record.RID][][32]byte{}, evidence: map[[32]byte]*accusation{}},
		items:   newItems(),
		heads:   map[record.RID]head{},
		missing: map[record.RID]bool{},
		stored:  map[record.RID][32]byte{},
		reach:   newReach(),
	}
	m.rules = &vote.Transition{Document: m.doc, Descriptor: m.descriptorBehind}
	m.loadStates()
	m.pending = m.newPending()
	if err := m.newMember(vote.Doubts{Lost: c.MemoryLost, OtherTill: c.OtherTill}); err != nil {
		return nil, err
	}
	m.gossip = gossip.New(gossip.Config{
		NetworkID: m.nid, Self: c.RID, Params: m.p, Rand: c.Rand, Records: records{m}, States: states{m}, Private: m.private,
		Assigned: c.Catalog.assigned(), Repaired: m.repairSet,
	})
	return m, nil
}

// newMember makes the member's machine for the newest state that is held.
func (m *Machine) newMember(doubts vote.Doubts) error {
	c := vote.Config{
		Document: m.doc, RID: m.cfg.RID, Keys: m.cfg.Keys, VRF: m.cfg.VRF, Rules: m.memberRules(), Verifier: m.cfg.Verifier,
		Rand: m.cfg.Rand, State: m.cfg.Catalog.state(m.rules, m.at.state), Certificate: m.at.certificate, Memory: m.memory, Doubts: doubts,
		Since: m.began, UnsafeUnaware: m.cfg.UnsafeUnaware,
	}
	if m.below != nil {
		c.Parent = m.cfg.Catalog.state(m.rules, m.below.state)
	}
	member, err := vote.New(c)
	if err != nil {
		return ErrConfig
	}
	m.member, m.told, m.moved = member, false, true
	m.tokensBefore = m.tokens
	m.memberWake = time.Time{}
	return nil
}

// Step takes one event and appends what is to be done to out, which it returns. Steps
// come in the order in which things happen, and now never goes back.
func (m *Machine) Step(now time.Time, ev Event, out []Effect) []Effect {
	m.now, m.out = now, out
	if !m.ready {
		m.begin()
	}
	m.take(ev)
	m.settle()
	if m.due() {
		m.settle()
	}
	m.keepCandidates()
	m.wake()
	out, m.out = m.out, nil
	return out
}

// begin does what waits for a clock.
func (m *Machine) begin() {
	m.ready, m.began, m.progress = true, m.now, m.now
	m.loadRecords()
	m.startPublishing()
	m.newView()
}

func (m *Machine) take(ev Event) {
	switch ev := ev.(type) {
	case LinkUp:
		m.contact(ev.RID)
		m.reach.links[ev.Link] = ev.RID
		m.moved = true
		m.tell(gossip.LinkUp{Link: ev.Link, RID: ev.RID, Inbound: ev.Inbound, Session: ev.Session, Source: ev.Source})
	case LinkDown:
		delete(m.reach.links, ev.Link)
		m.moved = true
		m.tell(gossip.LinkDown{Link: ev.Link})
	case DialFailed:
		m.tell(gossip.DialFailed{RID: ev.RID})
	case Frame:
		if rid, up := m.reach.links[ev.Link]; up {
			m.contact(rid)
			m.tell(gossip.Received{Link: ev.Link, Body: ev.Body})
		}
	case Contact:
		m.contact(ev.RID)
	case ProbeDone:
		m.probed(ev)
	case WorkChecked:
		m.workChecked(ev)
	case EntrySigned:
		m.entrySigned(ev)
	case Join:
		m.joining.wants(ev.Voucher)
	case Solved:
		m.joining.solving, m.joining.work = false, ev.Work
	case Seen:
		m.sawSnapshot(ev.Snapshot)
	case Stored:
		if ev.Token > m.tokensBefore {
			m.ask(vote.Stored{Token: ev.Token - m.tokensBefore, OK: ev.OK})
		}
	case Descriptor:
		m.published(ev.Data)
	case Renew:
		m.own.renew = true
	case Key:
		if m.cfg.Keys == nil {
			m.cfg.Keys = map[uint64]ed25519.PrivateKey{}
		}
		m.cfg.Keys[ev.Term] = ev.Key
		m.ask(vote.NewKey{Term: ev.Term, Key: ev.Key})
	case Evidence:
		if digest, verdict := m.acceptEvidence(ev.Data); verdict == gossip.VerdictNew {
			m.tell(gossip.Announce{Class: record.ClassEvidence, Digest: digest})
		}
	case Revocation:
		if digest, verdict := m.acceptTombstone(ev.Data); verdict == gossip.VerdictNew {
			m.tell(gossip.Announce{Class: record.ClassTombstone, Digest: digest})
		}
	}
}

// ask tells the member of an event; what it wants done is done by settle.
func (m *Machine) ask(ev vote.Event) { m.todo = append(m.todo, m.member.Step(m.now, ev)...) }

// tell has the gossip machine told of an event by settle.
func (m *Machine) tell(ev gossip.Event) { m.asks = append(m.asks, ev) }

func (m *Machine) emit(e Effect) { m.out = append(m.out, e) }

// keep stores a value without an answer, unless it comes from there.
func (m *Machine) keep(b Bucket, key, value []byte) {
	if m.loading {
		return
	}
	m.emit(Store{Bucket: b, Key: key, Value: value})
}

// settle goes on until the two machines below have nothing more to say. What the
// member wants comes first, since it is in the order of its promises.
func (m *Machine) settle() {
	for {
		switch {
		case len(m.todo) > 0:
			e := m.todo[0]
			m.todo = m.todo[1:]
			m.carry(e)
		case m.foundSome:
			m.foundSome = false
			m.ask(vote.Found{})
		case len(m.asks) > 0:
			ev := m.asks[0]
			m.asks = m.asks[1:]
			for _, e := range m.gossip.Step(m.now, ev, nil) {
				m.pass(e)
			}
		default:
			m.todo, m.asks = nil, nil
			return
		}
	}
}

// due does what the time has come for, and reports whether there was anything.
func (m *Machine) due() bool {
	any := false
	m.neighbours()
	if !m.memberWake.After(m.now) {
		m.memberWake = m.now.Add(m.p.EpochLen) // until it says otherwise
		m.ask(vote.Tick{})
		any = true
	}
	if !m.gossipWake.IsZero() && !m.gossipWake.After(m.now) {
		m.gossipWake = time.Time{}
		m.tell(gossip.Tick{})
		any = true
	}
	if !m.expireAt.After(m.now) {
		m.expireAt = m.now.Add(m.p.EpochLen)
		m.expire()
	}
	m.probe()
	m.publish()
	m.pursue()
	m.checkWork()
	m.lateEntries()
	m.join()
	return any || len(m.todo) > 0 || len(m.asks) > 0
}

// wake asks for the next Tick.
func (m *Machine) wake() {
	next := m.memberWake
	for _, t := range []time.Time{m.gossipWake, m.expireAt, m.probeAt(), m.publishAt(), m.pursueAt(), m.checkAt, m.entryAt(), m.joinAt()} {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	if !next.After(m.now) {
		next = m.now.Add(time.Millisecond)
	}
	if !next.Equal(m.woken) {
		m.woken = next
		m.emit(Wake{At: next})
	}
}

// expire forgets what is over.
func (m *Machine) expire() {
	m.expireClaims()
	m.expireDescriptors()
	m.expireFork()
	current := m.doc.EpochAt(m.now)
	m.items.expire(current - min(current, keptEpochs-1))
}

// table is that of the newest final state.
func (m *Machine) table() *snapshot.Table { return m.at.state.Snapshot().Table() }

// Head returns the newest final snapshot as the latest View has shown it.
func (m *Machine) Head() View { return m.view() }

// Status returns how the committee's work goes. Forked is as Fork says.
func (m *Machine) Status() vote.Status {
	s := m.member.Status()
	s.Forked = m.fork != nil
	return s
}

// Counts returns the member's running totals.
func (m *Machine) Counts() vote.Counts { return m.member.Counts() }

// Gossip returns the counters of gossip, and the relays with a stream.
func (m *Machine) Gossip() (gossip.Stats, []record.RID) { return m.gossip.Stats(), m.gossip.Peers() }
