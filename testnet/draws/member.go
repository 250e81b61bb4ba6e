// SPDX-License-Identifier: BSD-3-Clause

package draws

import (
	"container/heap"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math/rand/v2"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/transition"
	"chive/directory/vote"
	"chive/directory/vrf"
)

// Members runs the machines of a committee that is all of its network, in virtual
// time and with the parameters of public networks: real keys, real signatures, the
// real transition. Items go straight to everybody, each after a delay of its own as
// long as gossip's.
type Members struct {
	Seed     uint64
	Size     int // seats
	Traitors int // the first ones
	Ways     Ways
	Epochs   int // at most 300: founders have keys for two terms
}

// Told is what came of it.
type Told struct {
	Epochs   int
	Final    int
	Skipped  int
	Double   int // epochs with two finals
	Inserted int // of ops that only traitors voted for, how many were applied
	Orphans  int
	Accused  int             // traitors that evidence names
	Innocent int             // honest members that it names
	Unnamed  int             // traitors that signed both finals of an epoch and that no evidence names
	Broken   []string        // what an honest member must never do or meet
	Times    []time.Duration // to the first final, at whoever has it first
	Last     []time.Duration // to when the last honest member has it
	Trace    string
}

// committeeSim is a run.
type committeeSim struct {
	Members
	doc   *genesis.Document
	p     genesis.Params
	nid   [32]byte
	rules *vote.Transition
	check *remembered
	rng   *rand.Rand
	now   time.Time
	queue events
	seq   int
	nodes []*member
	items map[[32]byte]*item
	state map[[32]byte]vote.State
	final map[uint64]map[[32]byte]*vote.Certificate
	after map[uint64]int // honest members that have a final of an epoch
	said  map[promise][32]byte
	named map[[32]byte]bool // keys
	evil  *record.Descriptor
	body  [32]byte
	trace hash.Hash
	out   Told
}

// promise is what an honest member says once.
type promise struct {
	node  int
	class byte
	epoch uint64
}

type member struct {
	id   int
	m    *vote.Member
	keys map[uint64]ed25519.PrivateKey
	vrf  *vrf.SecretKey
	rid  record.RID
	bad  Ways
	wake int
}

type item struct {
	class byte
	data  []byte
	has   map[int]bool // or on its way
}

type event struct {
	at  time.Time
	seq int
	run func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || (q[i].at.Equal(q[j].at) && q[i].seq < q[j].seq)
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

// remembered is a verifier that asks Plain once: many members ask the same.
type remembered struct {
	signatures map[[32]byte]bool
	proofs     map[[32]byte][]byte
}

func question(parts ...[]byte) [32]byte {
	h := sha256.New()
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

// Signatures reports whether all hold.
func (v *remembered) Signatures(batch []vote.Check) bool {
	for i := range batch {
		c := &batch[i]
		at := question(c.Key[:], c.Message, c.Signature[:])
		ok, known := v.signatures[at]
		if !known {
			ok = vote.Plain{}.Signatures(batch[i : i+1])
			v.signatures[at] = ok
		}
		if !ok {
			return false
		}
	}
	return true
}

// Proof verifies a VRF proof.
func (v *remembered) Proof(key [32]byte, alpha []byte, proof [vrf.ProofSize]byte) ([vrf.OutputSize]byte, error) {
	at := question(key[:], alpha, proof[:])
	out, known := v.proofs[at]
	if !known {
		if o, err := (vote.Plain{}).Proof(key, alpha, proof); err == nil {
			out = o[:]
		}
		v.proofs[at] = out
	}
	if out == nil {
		return [vrf.OutputSize]byte{}, vrf.ErrProof
	}
	return [vrf.OutputSize]byte(out), nil
}

// Run runs the machines. Errors: what ctx says; genesis's and vote's.
func (c Members) Run(ctx context.Context) (*Told, error) {
	s, err := newCommitteeSim(c)
	if err != nil {
		return nil, err
	}
	end := s.doc.EpochStart(uint64(c.Epochs) + 1).Add(-s.p.CutOff)
	for n := 0; len(s.queue) > 0 && s.queue[0].at.Before(end); n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		e := heap.Pop(&s.queue).(event)
		s.now = e.at
		e.run()
	}
	s.finish()
	return &s.out, nil
}

func newCommitteeSim(c Members) (*committeeSim, error) {
	s := &committeeSim{
		Members: c, p: genesis.Public(), rng: rand.New(rand.NewPCG(c.Seed, 4)),
		check: &remembered{map[[32]byte]bool{}, map[[32]byte][]byte{}},
		items: map[[32]byte]*item{}, state: map[[32]byte]vote.State{}, final: map[uint64]map[[32]byte]*vote.Certificate{},
		after: map[uint64]int{}, said: map[promise][32]byte{}, named: map[[32]byte]bool{}, trace: sha256.New(),
	}
	var founders []*record.Founder
	for id := range c.Size {
		n := &member{id: id, keys: map[uint64]ed25519.PrivateKey{}}
		if id < c.Traitors {
			n.bad = c.Ways
		}
		secret := seeded(c.Seed, "vrf", id)
		n.vrf = vrf.NewSecretKey(&secret)
		f := (&node{place: place{rate: 10000, group: id}, serial: id, key: publicKey(c.Seed, "identity", id)}).founder(c.Seed)
		f.VRF = n.vrf.Public()
		for term := range f.Committee {
			b := seeded(c.Seed, fmt.Sprint("committee ", term), id)
			n.keys[uint64(term)] = ed25519.NewKeyFromSeed(b[:])
			f.Committee[term] = [32]byte(n.keys[uint64(term)].Public().(ed25519.PublicKey))
		}
		founders = append(founders, f)
		s.nodes = append(s.nodes, n)
	}
	var err error
	if s.doc, err = document(c.Seed, founders, s.p); err != nil {
		return nil, err
	}
	s.nid = s.doc.NetworkID()
	evil := &node{place: place{rate: 10000, group: c.Size}, serial: c.Size, key: publicKey(c.Seed, "identity", c.Size)}
	if err := evil.publish(c.Seed, 0, false); err != nil {
		return nil, err
	}
	s.evil, s.body = evil.desc, evil.body
	s.rules = &vote.Transition{Document: s.doc, Descriptor: func(rid record.RID, _ [16]byte) *record.Descriptor {
		if rid == record.NewRID(s.nid, s.evil.Identity) {
			return s.evil
		}
		return nil
	}}
	zero := s.rules.State(transition.Genesis(s.doc))
	s.state[zero.Digest()] = zero
	s.now = s.doc.Time
	for i, n := range s.nodes {
		n.rid = record.NewRID(s.nid, founders[i].Identity)
		n.m, err = vote.New(vote.Config{
			Document: s.doc, RID: n.rid, Keys: n.keys, VRF: n.vrf, Rules: s.rules, Verifier: s.check,
			Rand: bytesOf{rand.New(rand.NewPCG(c.Seed, uint64(100+i)))}, State: zero, UnsafeUnaware: n.bad != 0,
		})
		if err != nil {
			return nil, err
		}
	}
	for _, n := range s.nodes {
		s.step(n, vote.Tick{})
		s.hello(n)
	}
	return s, nil
}

func (s *committeeSim) in(d time.Duration, run func()) {
	s.seq++
	heap.Push(&s.queue, event{at: s.now.Add(d), seq: s.seq, run: run})
}

// hello is what a neighbour says of its newest snapshot, once an epoch.
func (s *committeeSim) hello(n *member) {
	o := s.nodes[s.rng.IntN(len(s.nodes))]
	if _, cert := o.m.Head(); cert != nil && o.bad&WithholdCertificate == 0 {
		s.step(n, vote.Received{Class: record.ClassCertificate, Data: cert.Encode()})
	}
	s.in(s.p.EpochLen/2+time.Duration(s.rng.Int64N(int64(s.p.EpochLen))), func() { s.hello(n) })
}

// step gives an event to a member and does what it asks for.
func (s *committeeSim) step(n *member, ev vote.Event) {
	for _, e := range n.m.Step(s.now, ev) {
		s.perform(n, e)
	}
}

func (s *committeeSim) later(n *member, d time.Duration, ev vote.Event) {
	s.in(d, func() { s.step(n, ev) })
}

func (s *committeeSim) perform(n *member, e vote.Effect) {
	switch e := e.(type) {
	case vote.Store:
		s.later(n, time.Millisecond, vote.Stored{Token: e.Token, OK: true})
	case vote.Send:
		s.send(n, e)
	case vote.Accept:
		s.spread(n, e.Digest, nil)
		if e.Class == record.ClassProposal {
			s.signAll(n, e.Digest)
		}
	case vote.Fetch:
		for _, d := range e.Digests {
			if it := s.items[d]; it != nil && s.served(n, it) {
				s.later(n, time.Second, vote.Received{Class: e.Class, Data: it.data})
			}
		}
	case vote.FetchDescriptors:
		s.later(n, time.Second, vote.Found{})
	case vote.Load:
		if state := s.state[e.Certificate.HeaderDigest()]; state != nil {
			s.later(n, 5*time.Second, vote.Loaded{State: state})
		}
	case vote.Observe:
		s.later(n, 0, vote.Observed{Epoch: e.Epoch, View: s.view(e.Epoch)})
	case vote.Final:
		s.adopted(n, e)
	case vote.Accuse:
		s.accused(n, e.Evidence)
	case vote.Illegal:
		s.broken(n, "an illegal snapshot has a certificate")
	case vote.Forked:
		if s.Traitors < forks(s.Size) {
			s.broken(n, "two histories have certificates")
		}
	case vote.Refuse:
		if s.Traitors == 0 {
			s.broken(n, "refused what honest members send")
		}
	case vote.Wake:
		n.wake++
		wake := n.wake
		s.in(e.At.Sub(s.now), func() {
			if n.wake == wake {
				s.step(n, vote.Tick{})
			}
		})
	}
}

func (s *committeeSim) broken(n *member, what string) {
	if n.bad == 0 && len(s.out.Broken) < 8 {
		s.out.Broken = append(s.out.Broken, fmt.Sprintf("member %d at %v: %s", n.id, s.now.Sub(s.doc.Time), what))
	}
}

// view is what everybody saw: one relay away for an epoch, which changes nothing and
// gives the votes something to say.
func (s *committeeSim) view(epoch uint64) *transition.Observations {
	return &transition.Observations{Reached: map[record.RID]bool{s.nodes[int(epoch)%s.Size].rid: false}}
}

// adopted notes a final snapshot.
func (s *committeeSim) adopted(n *member, e vote.Final) {
	h, digest := e.State.Header(), e.State.Digest()
	s.state[digest] = e.State
	s.trace.Write(digest[:])
	s.trace.Write(binary.BigEndian.AppendUint64(nil, uint64(s.now.Sub(s.doc.Time))))
	if n.bad != 0 {
		return
	}
	s.out.Orphans += one(e.Orphan != nil)
	if s.final[h.Epoch] == nil {
		s.final[h.Epoch] = map[[32]byte]*vote.Certificate{}
		s.out.Times = append(s.out.Times, s.now.Sub(s.doc.EpochStart(h.Epoch)))
	}
	if s.final[h.Epoch][digest] == nil {
		s.final[h.Epoch][digest] = e.Certificate
		if _, listed := vote.Inner(e.State).Snapshot().Table().Index(record.NewRID(s.nid, s.evil.Identity)); listed {
			s.out.Inserted++
		}
	}
	if s.after[h.Epoch]++; s.after[h.Epoch] == s.Size-s.Traitors {
		s.out.Last = append(s.out.Last, s.now.Sub(s.doc.EpochStart(h.Epoch)))
	}
}

// accused notes whom evidence names, if it holds.
func (s *committeeSim) accused(n *member, e *record.Evidence) {
	if err := e.Verify(s.nid, s.now, record.Times{}, vote.EvidenceRules()); err != nil {
		s.broken(n, "evidence that does not hold")
		return
	}
	s.named[[32]byte(e.Signer)] = true
}

// finish counts epochs and names.
func (s *committeeSim) finish() {
	o := &s.out
	o.Epochs = s.Epochs
	of := map[[32]byte]*member{}
	seen := map[int]bool{}
	for _, n := range s.nodes {
		for term := range n.keys {
			b := seeded(s.Seed, fmt.Sprint("committee ", term), n.id)
			of[[32]byte(ed25519.NewKeyFromSeed(b[:]).Public().(ed25519.PublicKey))] = n
		}
	}
	for key := range s.named {
		if n := of[key]; n != nil && n.bad != 0 {
			seen[n.id] = true
		} else {
			o.Innocent++
		}
	}
	o.Accused = len(seen)
	for epoch := uint64(1); epoch <= uint64(s.Epochs); epoch++ {
		switch finals := s.final[epoch]; len(finals) {
		case 0:
			o.Skipped++
		case 1:
			o.Final++
		default:
			o.Final++
			o.Double++
			o.Unnamed += s.unnamed(finals, seen)
		}
	}
	o.Trace = hex.EncodeToString(s.trace.Sum(nil))
}

// unnamed counts who signed two finals of an epoch and is not named by evidence.
func (s *committeeSim) unnamed(finals map[[32]byte]*vote.Certificate, seen map[int]bool) int {
	times := map[record.RID]int{}
	for _, c := range finals {
		owner := s.state[c.Header.Parent].Owner(c.Header.Epoch)
		for _, seat := range c.Signers.Members() {
			times[owner.Seats[seat].RID]++
		}
	}
	count := 0
	for _, n := range s.nodes {
		count += one(times[n.rid] > 1 && !seen[n.id])
	}
	return count
}
