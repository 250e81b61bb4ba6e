// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"bytes"
	"crypto/sha256"
	"time"

	"chive/directory"
	"chive/directory/committee"
	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/transition"
	"chive/directory/vote"
)

// checker holds the network to the invariants of directory §13, from outside: it reads
// what travels and what becomes final.
//
//	I1  one vote, proposal and signature of an honest seat and epoch   every record sent
//	I2  additions, removals and updates have M votes of distinct seats  every final
//	I3  one final in an epoch                                           every final
//	I4  one header, one state, byte for byte (worlds that are alone)    every final
//	I5  every final obeys the rules, and its certificate holds          every final
//	I6  honest relays of one epoch hold one table: follows from I3, I4
//	I7  frames and streams within their caps                            every frame, epoch
//	I8  no path breaks a rule                                           every epoch, 400 paths
//	I9  finals resume within two epochs of a calm network               every epoch
//	I11 no guard changes because a client's network was down            every epoch
//
// I10, equal traces of equal seeds, is a test's: no run knows of another.
type checker struct {
	w        *world
	honest   int // relays
	traitors int // hostile members, for I3
	calm     func() bool
	calmFor  int // epochs

	said1  map[saying][32]byte
	votes  map[[32]byte]*vote.Vote
	props  map[[32]byte]*vote.Proposal // by header
	seen   map[[32]byte]bool           // records that were looked at
	states map[[32]byte]*transition.State
	sums   map[[32]byte][32]byte // of states, by header
	finals map[uint64]*final
	added  int // relays, by finals
	closed int // honest relays that an honest one closed for penalties

	clients *clients
}

type saying struct {
	class byte
	epoch uint64
	key   [32]byte // of the seat: who was away goes by another list for a while
}

// final is what is known of an epoch's snapshot.
type final struct {
	headers map[[32]byte]bool
	first   time.Duration // after the epoch's start
	have    int           // honest relays
	most    time.Duration // 99 % of them
	all     time.Duration
}

func newChecker(w *world) *checker {
	return &checker{
		w: w, said1: map[saying][32]byte{}, votes: map[[32]byte]*vote.Vote{}, props: map[[32]byte]*vote.Proposal{},
		seen: map[[32]byte]bool{}, states: map[[32]byte]*transition.State{}, sums: map[[32]byte][32]byte{}, finals: map[uint64]*final{},
		clients: newClients(w),
	}
}

// begin counts who is honest, and looks again at each epoch's end.
func (c *checker) begin() {
	c.honest = len(c.w.honest())
	zero := transition.Genesis(c.w.doc)
	c.states[zero.Digest()] = zero
	p := c.w.doc.Params
	next := c.w.doc.EpochStart(c.w.doc.EpochAt(c.w.time()) + 1)
	c.w.after(next.Sub(c.w.time())-p.CutOff-time.Second, func() {
		c.epochEnds()
		c.w.every(p.EpochLen, c.epochEnds)
	})
}

// owner is the list that owns an epoch, as the newest state of a relay tells.
func (c *checker) owner(n *node, epoch uint64) *transition.List {
	if n.head.State == nil {
		return nil
	}
	s := n.head.State
	if s.Epoch() >= epoch { // it has got there: its parent knows
		if p := c.states[s.Snapshot().Header().Parent]; p != nil && p.Epoch() < epoch {
			s = p
		}
	}
	return s.Owner(c.w.doc.Params, epoch)
}

// sent holds a frame of an honest relay to its bound (I7).
func (c *checker) sent(n *node, body []byte) {
	if len(body) > gossip.MaxFrameSize {
		c.w.breaks("I7", "relay %d sends a frame of %d bytes", n.n, len(body))
	}
}

// said looks at a record of the committee, once. I1: an honest seat says one thing of
// a kind in an epoch, whatever crashed.
func (c *checker) said(n *node, class byte, data []byte) {
	name := sha256.Sum256(data)
	if c.seen[name] || class == record.ClassEvidence {
		return
	}
	c.seen[name] = true
	var epoch uint64
	var seat int
	var digest [32]byte
	var check func(nid, key [32]byte) vote.Check
	switch class {
	case record.ClassVote:
		v, err := vote.DecodeVote(data)
		if err != nil {
			return // garbage
		}
		epoch, seat, digest, check = v.Epoch, v.Seat, v.Digest(), v.Check
		c.votes[digest] = v
	case record.ClassProposal:
		p, err := vote.DecodeProposal(data)
		if err != nil {
			return
		}
		epoch, seat, digest, check = p.Header.Epoch, p.Seat(), p.Digest(), p.Check
		c.props[p.HeaderDigest()] = p
	case record.ClassSignature:
		g, err := vote.DecodeSignature(data)
		if err != nil {
			return
		}
		epoch, seat, digest, check = g.Epoch, g.Seat, g.Digest(), g.Check
	}
	l := c.owner(n, epoch)
	if l == nil || seat >= len(l.Seats) {
		return
	}
	who := c.w.byRID[l.Seats[seat].RID]
	if who == nil || who.hostile() || !c.w.verify.Signatures([]vote.Check{check(c.w.nid, l.Seats[seat].Key)}) {
		return
	}
	at := saying{class, epoch, l.Seats[seat].Key}
	if was, before := c.said1[at]; before && was != digest {
		c.w.breaks("I1", "seat %d, relay %d, says two things of class %c in epoch %d", seat, who.n, class, epoch)
	}
	c.said1[at] = digest
}

// final looks at a snapshot that a relay takes for the newest final one.
func (c *checker) final(n *node, v directory.View) {
	if v.Certificate == nil || n.hostile() || v.State.Epoch() <= c.w.epoch(0) {
		return // of the past, which nobody has signed
	}
	w, s := c.w, v.State
	epoch, digest := s.Epoch(), s.Digest()
	f := c.finals[epoch]
	if f == nil {
		f = &final{headers: map[[32]byte]bool{}, first: w.time().Sub(w.doc.EpochStart(epoch))}
		c.finals[epoch] = f
	}
	if n.head.State == nil || n.head.State.Epoch() < epoch { // not one that it had before a restart
		since := w.time().Sub(w.doc.EpochStart(epoch))
		if f.have++; f.most == 0 && f.have*100 >= c.honest*99 {
			f.most = since
		}
		if f.have == c.honest {
			f.all = since
		}
	}
	if w.alone {
		sum := sha256.Sum256(s.Encode())
		if old, known := c.sums[digest]; known && old != sum {
			w.breaks("I4", "two states of one header in epoch %d", epoch)
		}
		c.sums[digest] = sum
	}
	if f.headers[digest] {
		return
	}
	f.headers[digest] = true
	if len(f.headers) > 1 && !c.mayFork(s) {
		w.breaks("I3", "two finals in epoch %d", epoch)
	}
	c.states[digest] = s
	c.clients.final(s)
	parent := c.states[s.Snapshot().Header().Parent]
	if parent == nil {
		return // it was reached by a jump over states that nobody honest has shown
	}
	l := parent.Owner(w.doc.Params, epoch)
	if err := v.Certificate.Verify(w.nid, l.ForClients(), w.verify); err != nil || v.Certificate.HeaderDigest() != digest {
		w.breaks("I5", "a final of epoch %d without a certificate", epoch)
	}
	if err := transition.CheckState(w.doc, parent, s); err != nil {
		w.breaks("I5", "a final of epoch %d breaks a rule: %v", epoch, err)
	}
	c.applied(parent, s, l)
}

// mayFork reports whether enough members are traitors for two finals.
func (c *checker) mayFork(s *transition.State) bool {
	k := len(s.Owner(c.w.doc.Params, s.Epoch()+1).Seats)
	return c.traitors >= 2*committee.Quorum(k)-k
}

// applied is I2. Votes are counted from what was sent, not by the rules.
func (c *checker) applied(parent, child *transition.State, l *transition.List) {
	w := c.w
	p := c.props[child.Digest()]
	if p == nil {
		w.breaks("I2", "nobody has sent the proposal of epoch %d", child.Epoch())
		return
	}
	type change struct {
		code transition.OpCode
		rid  record.RID
		body [16]byte
	}
	counts := map[change]int{}
	table := parent.Snapshot().Table()
	for i, seat := range p.Voters.Members() {
		v := c.votes[p.Votes[i]]
		if v == nil || v.Seat != seat || v.Epoch != child.Epoch() || v.Parent != parent.Digest() ||
			!w.verify.Signatures([]vote.Check{v.Check(w.nid, l.Seats[seat].Key)}) {
			w.breaks("I2", "a listed vote of epoch %d is none", child.Epoch())
			return
		}
		ops, err := transition.ParseOps(v.Ops, table.Len())
		if err != nil {
			continue
		}
		for _, o := range ops {
			at := change{code: o.Code, rid: o.RID, body: o.Body}
			if o.Code != transition.Add {
				at.rid = table.At(int(o.Index)).RID
			}
			counts[at]++
		}
	}
	need := committee.Matching(len(l.Seats))
	old, now := map[record.RID]int{}, child.Snapshot().Table()
	for i := range table.Len() {
		old[table.At(i).RID] = i
	}
	for i := range now.Len() {
		rid := now.At(i).RID
		body := [16]byte(child.Aux(i).Body[:16])
		j, was := old[rid]
		delete(old, rid)
		switch {
		case !was:
			c.added++
			if counts[change{transition.Add, rid, body}] < need {
				w.breaks("I2", "epoch %d adds a relay with %d votes", child.Epoch(), counts[change{transition.Add, rid, body}])
			}
		case !bytes.Equal(parent.Aux(j).Body[:], child.Aux(i).Body[:]) && counts[change{transition.Update, rid, body}] < need:
			w.breaks("I2", "epoch %d updates a relay with %d votes", child.Epoch(), counts[change{transition.Update, rid, body}])
		}
	}
	for rid, j := range old {
		if counts[change{code: transition.Drop, rid: rid}] < need && table.At(j).Flags&snapshot.FlagRunning != 0 {
			w.breaks("I2", "epoch %d drops a relay with %d votes", child.Epoch(), counts[change{code: transition.Drop, rid: rid}])
		}
	}
}

// report looks at what an honest relay tells its operator.
func (c *checker) report(n *node, r directory.Report) {
	if n.hostile() {
		return
	}
	switch r.What {
	case directory.ReportForked, directory.ReportIllegal:
		if c.traitors == 0 {
			c.w.breaks("I3", "relay %d reports a fork or an illegal certificate (%d) among honest members", n.n, r.What)
		}
	case directory.ReportEvidence:
		if who := c.w.byRID[r.RID]; who != nil && !who.hostile() {
			c.w.breaks("I1", "relay %d holds evidence against relay %d, which is honest", n.n, who.n)
		}
	case directory.ReportClosed, directory.ReportLeft:
		if who := c.w.byRID[r.RID]; who != nil && !who.hostile() {
			c.closed++
		}
	}
}

// epochEnds looks at the whole network, after the epoch's committee is done.
func (c *checker) epochEnds() {
	w := c.w
	epoch := w.doc.EpochAt(w.time())
	c.clients.epochEnds()
	for _, n := range w.nodes {
		if !n.up || n.hostile() {
			continue
		}
		if _, peers := n.m.Gossip(); len(peers) > gossip.MaxPeers || len(n.links) > gossip.MaxPeers+gossip.MaxStrangers {
			w.breaks("I7", "relay %d has %d streams", n.n, len(n.links))
		}
	}
	if c.calm != nil {
		if c.calmFor++; !c.calm() {
			c.calmFor = 0
		}
		if c.calmFor > 2 && c.finals[epoch] == nil && c.finals[epoch-1] == nil {
			w.breaks("I9", "no final in epochs %d and %d of a calm network", epoch-1, epoch)
		}
	}
	if epoch%catalogEpochs == 0 {
		c.forget(epoch)
		w.verify.forget()
		w.blocks.all = map[[32]byte][]byte{}
	}
}

// catalogEpochs is how often what is over is forgotten.
const catalogEpochs = 4

func (c *checker) forget(epoch uint64) {
	clear(c.seen)
	for at := range c.said1 {
		if at.epoch+catalogEpochs < epoch {
			delete(c.said1, at)
		}
	}
	for d, v := range c.votes {
		if v.Epoch+2 < epoch {
			delete(c.votes, d)
		}
	}
	for d, p := range c.props {
		if p.Header.Epoch+2 < epoch {
			delete(c.props, d)
		}
	}
	for d, s := range c.states {
		if s.Epoch()+40 < epoch {
			delete(c.states, d)
			delete(c.sums, d)
		}
	}
}

// skipped is how many epochs of a range have no final snapshot, and how many in a row.
func (c *checker) skipped(from, to uint64) (count, longest int) {
	run := 0
	for e := from; e <= to; e++ {
		if c.finals[e] != nil {
			run = 0
			continue
		}
		count++
		run++
		longest = max(longest, run)
	}
	return count, longest
}
