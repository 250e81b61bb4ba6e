// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"errors"
	"maps"
	"slices"
	"time"

	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/transition"
	"chive/directory/vote"
)

// Bounds of catching up.
const (
	partsAtOnce = 3       // asked of one relay at once
	maxFailures = 64      // (relay, header) pairs that are not asked again
	baseBundle  = 4 << 20 // bytes of a bundle, and for each relay of the table
	leafBundle  = 4 << 10
	behindBy    = 2 // epochs by which a neighbour must be ahead
)

// head is what a neighbour has as its newest final snapshot.
type head struct {
	epoch  uint64
	digest [32]byte
}

// catchUp is a state that is being fetched, of one relay at a time: a relay that
// sends what does not hold costs one attempt.
type catchUp struct {
	head
	member bool // the member asked for it; else nobody has verified its certificate
	rid    record.RID
	busy   bool // rid is asked
	parts  [][]byte
	asked  int // parts
	have   int
	tried  []record.RID
}

// failure is a relay that did not give what a header promises.
type failure struct {
	rid    record.RID
	digest [32]byte
}

type failures []failure

func (f *failures) add(rid record.RID, digest [32]byte) {
	if *f = append(*f, failure{rid, digest}); len(*f) > maxFailures {
		*f = (*f)[1:]
	}
}

// headSeen notes what a neighbour says.
func (m *Machine) headSeen(rid record.RID, epoch uint64, digest [32]byte) {
	m.moved = true
	if epoch > m.doc.EpochAt(m.now.Add(m.p.ClockAhead)) {
		return // not of this time
	}
	if old, ok := m.heads[rid]; !ok || epoch > old.epoch {
		m.heads[rid] = head{epoch, digest}
		m.headsTo = max(m.headsTo, epoch)
	}
}

// heard notes that a relay has passed on a certificate, whether it holds or not.
func (m *Machine) heard(from record.RID, it *item) { m.headSeen(from, it.epoch, it.header) }

// neighbours tells the member what the neighbours say, when that has changed.
func (m *Machine) neighbours() {
	if !m.moved {
		return
	}
	m.moved = false
	var rids []record.RID
	for _, rid := range m.gossip.Peers() {
		if _, listed := m.newest().Table().Index(rid); listed {
			rids = append(rids, rid)
		}
	}
	maps.DeleteFunc(m.heads, func(rid record.RID, _ head) bool { return !slices.Contains(rids, rid) })
	var epochs []uint64
	for _, rid := range m.gossip.Trusted() { // not of guests, who could all be one
		if slices.Contains(rids, rid) {
			epochs = append(epochs, m.heads[rid].epoch)
		}
	}
	slices.Sort(epochs)
	around := vote.Neighbours{Count: len(epochs)}
	if len(epochs) > 0 {
		around.Head = epochs[len(epochs)/2]
	}
	if m.seen != nil { // a quorum has signed it, whatever those around us know
		around.Head = max(around.Head, m.seen.Epoch())
	}
	around.Clock, _ = m.gossip.ClockOffset()
	if m.told && around == m.around {
		return
	}
	m.around, m.told = around, true
	m.ask(around)
}

// load fetches the state of a certificate that the member holds and follows.
func (m *Machine) load(c *vote.Certificate) {
	if m.caught != nil && m.caught.state.Digest() == c.HeaderDigest() {
		m.ask(vote.Loaded{State: m.cfg.Catalog.state(m.rules, m.caught.state)})
		return
	}
	if m.catch != nil && m.catch.digest == c.HeaderDigest() {
		m.catch.member = true
		return
	}
	m.catch = &catchUp{head: head{c.Header.Epoch, c.HeaderDigest()}, member: true}
}

// rejoin fetches a state so far ahead that the member cannot follow.
func (m *Machine) rejoin(c *vote.Certificate) {
	if m.catch == nil || m.catch.epoch < c.Header.Epoch {
		m.catch = &catchUp{head: head{c.Header.Epoch, c.HeaderDigest()}}
	}
}

// stuckAt is when a relay that hears of newer snapshots and does not get on takes
// things into its own hands.
func (m *Machine) stuckAt() time.Time { return m.progress.Add(m.p.EpochLen / 2) }

// pursue goes on catching up. Spec: directory §10 (relay joins or wakes).
func (m *Machine) pursue() {
	c := m.catch
	if c != nil && c.epoch <= m.at.state.Epoch() {
		m.catch, c = nil, nil // the member has got there by itself
	}
	if c != nil && (!c.member && m.tooOld() || c.epoch < m.newest().Epoch()) {
		m.catch, c = nil, nil // the role has seen a later one, as a client
	}
	if c == nil && !m.now.Before(m.stuckAt()) {
		if best, ok := m.best(); ok {
			c = &catchUp{head: best}
			m.catch = c
		}
	}
	if c == nil || c.busy {
		return
	}
	for _, rid := range m.gossip.Peers() {
		if h, ok := m.heads[rid]; !ok || h.epoch < c.epoch || slices.Contains(c.tried, rid) || slices.Contains(m.failed, failure{rid, c.digest}) {
			continue
		}
		c.rid, c.busy, c.parts, c.asked, c.have = rid, true, nil, 1, 0
		c.tried = append(c.tried, rid)
		m.tell(gossip.AskState{RID: rid, Header: c.digest})
		return
	}
	// Nobody has it. The member asks again, and so does the next who is ahead.
	m.catch = nil
}

// tooOld reports whether our newest state is older than the network lets anybody start
// from: who signed then may have lost the keys since, so that no hand-over is followed
// from it. A newer release is needed, as for clients. What the member follows by itself,
// certificate by certificate, is not meant. Spec: directory §8.
func (m *Machine) tooOld() bool {
	age := m.p.AnchorAge
	return age > 0 && m.now.Sub(m.doc.EpochStart(m.newest().Epoch())) > age
}

// verified follows the hand-over to a state from what is trusted: the lists that the header of
// the snapshot commits to which the role, as a client, has verified; without one, our own. Of
// lists a client has itself so few that a relay's steps need not lead on from there.
// Errors: bundle.verify's. Spec: directory §10 (relay joins or wakes).
func (m *Machine) verified(b *bundle) error {
	from := anchorOf(m.at.state)
	if m.seen != nil {
		var ok bool
		if from, ok = b.committed(m.seen.Header(), append(from.Lists, anchorOf(transition.Genesis(m.doc)).Lists...)); !ok {
			return vote.ErrHandOver
		}
	}
	return b.verify(m.doc, from, m.cfg.Verifier)
}

// unproven reports whether an error says no more than that no hand-over leads from old lists
// to a state, which is nobody's fault.
func unproven(err error) bool {
	return errors.Is(err, vote.ErrHandOver) || errors.Is(err, vote.ErrList)
}

// anchorOf returns what clients would believe of a state.
func anchorOf(s *transition.State) *vote.Anchor {
	a := &vote.Anchor{Epoch: s.Epoch()}
	for _, l := range s.Lists() {
		if l != nil {
			a.Lists = append(a.Lists, l.ForClients())
		}
	}
	return a
}

// pursueAt is when catching up is to be looked at.
func (m *Machine) pursueAt() time.Time {
	if m.catch != nil {
		return time.Time{}
	}
	if _, ok := m.best(); !ok {
		return time.Time{}
	}
	if at := m.stuckAt(); at.After(m.now) {
		return at
	}
	return m.now.Add(m.p.GetTimeout)
}

// best returns the newest head that a neighbour has and that is well ahead of ours.
func (m *Machine) best() (out head, ok bool) {
	var of record.RID // of equals the lowest rid's: the order of a map decides nothing
	least := max(m.at.state.Epoch()+behindBy, m.newest().Epoch())
	if m.headsTo < least || m.tooOld() {
		return head{}, false
	}
	for rid, h := range m.heads {
		if h.epoch < least || ok && (h.epoch < out.epoch || h.epoch == out.epoch && rid.Compare(of) > 0) ||
			slices.Contains(m.failed, failure{rid, h.digest}) {
			continue
		}
		out, of, ok = h, rid, true
	}
	return out, ok
}

// maxBundle bounds what is fetched, in bytes.
func (m *Machine) maxBundle() int {
	return baseBundle + maxChain(m.p)*snapshot.MaxHeaderSize + leafBundle*m.table().Len()
}

// stateReceived takes a part of a state.
func (m *Machine) stateReceived(e gossip.StateReceived) {
	c := m.catch
	if c == nil || !c.busy || e.RID != c.rid || e.Header != c.digest {
		return
	}
	count := int64(e.Count)
	fits := count > 0 && count <= int64(m.maxBundle()/gossip.MaxStatePartSize+1) && int64(e.Part) < count && len(e.Data) > 0
	if fits && c.parts == nil {
		c.parts = make([][]byte, count)
	}
	if !fits || int64(len(c.parts)) != count {
		if fits { // it said another count before
			m.badState(c, errBundle)
		}
		c.busy = false // and another is asked
		return
	}
	if c.parts[e.Part] != nil {
		return // it was asked for before, when this relay's turn had come earlier
	}
	c.parts[e.Part] = e.Data
	if c.have++; c.have == len(c.parts) {
		m.assemble(c)
		return
	}
	for c.asked < len(c.parts) && c.asked-c.have < partsAtOnce {
		m.tell(gossip.AskState{RID: c.rid, Header: c.digest, Part: uint32(c.asked)})
		c.asked++
	}
}

// assemble takes a state that has come whole.
func (m *Machine) assemble(c *catchUp) {
	c.busy = false
	b, err := decodeBundle(m.doc, slices.Concat(c.parts...))
	c.parts = nil
	if err == nil && b.state.Digest() != c.digest {
		err = errBundle
	}
	if err == nil {
		err = m.verified(b)
	}
	if err != nil {
		m.badState(c, err)
		return
	}
	m.catch = nil
	b = b.over(m.p, m.at)
	m.cfg.Catalog.same(m.rules, b)
	m.caught = b
	if c.member {
		m.ask(vote.Loaded{State: m.cfg.Catalog.state(m.rules, b.state)})
		return
	}
	m.jump(b)
}

// badState is what follows from a state that does not hold: it is not asked of that relay
// again, which is charged for it. From lists as old as ours an honest hand-over may not
// lead there. Spec: directory §10.
func (m *Machine) badState(c *catchUp, err error) {
	m.failed.add(c.rid, c.digest)
	m.tell(gossip.BadState{RID: c.rid, Forged: !unproven(err)})
	m.emit(Report{What: ReportBadState, RID: c.rid})
}

// jump goes to a final state that the member cannot follow step by step, with a new
// member that remembers what was promised.
func (m *Machine) jump(b *bundle) {
	if b.state.Epoch() <= m.at.state.Epoch() {
		return
	}
	if !b.follows(m.at.state) {
		m.failed.add(m.failedBy(b))
		m.forked(m.at.certificate, b.certificate)
		return
	}
	if err := transition.Check(m.doc, m.at.state.Snapshot(), b.state.Snapshot()); err != nil {
		m.failed.add(m.failedBy(b))
		m.keepBoth(b.certificate)
		m.emit(Report{What: ReportIllegal})
		return
	}
	m.follow(b)
	invariant(m.newMember(m.member.Doubts()) == nil) // the same parts made the last one
	m.ask(vote.Tick{})
}

// failedBy names whoever has that head, so that it is not fetched again.
func (m *Machine) failedBy(b *bundle) (record.RID, [32]byte) {
	digest := b.state.Digest()
	rids := slices.SortedFunc(maps.Keys(m.heads), record.RID.Compare)
	for _, rid := range rids {
		if m.heads[rid].digest == digest && !slices.Contains(m.failed, failure{rid, digest}) {
			return rid, digest
		}
	}
	return record.RID{}, digest
}
