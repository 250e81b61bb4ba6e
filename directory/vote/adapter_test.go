// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"crypto/ed25519"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/transition"
)

// net is a few members and a follower over the real transition, with messages that
// arrive at the next tick.
type net struct {
	t     testing.TB
	doc   *genesis.Document
	rules *Transition
	nodes []*Member
	inbox [][]Event
	seen  func(node int, epoch uint64) *transition.Observations
	deaf  map[int]bool // does not get V, P, G
	chain []*transition.State
	known map[[32]byte]State
	asked []Want
}

func newNet(t testing.TB, k int, p genesis.Params) *net {
	doc := document(t, k, p)
	n := &net{t: t, doc: doc, rules: &Transition{Document: doc}, inbox: make([][]Event, k+1), deaf: map[int]bool{}, known: map[[32]byte]State{}}
	zero := transition.Genesis(doc)
	n.chain = []*transition.State{zero}
	n.seen = func(int, uint64) *transition.Observations { return &transition.Observations{} }
	for id := range k + 1 {
		c := Config{
			Document: doc, RID: ridOf(doc, id), Rules: n.rules, Verifier: newCached(), Rand: source{rand.New(rand.NewPCG(1, uint64(id)))},
			State: n.rules.State(zero),
		}
		if id < k {
			c.VRF = vrfKey(id)
			c.Keys = map[uint64]ed25519.PrivateKey{
				0: append(ed25519.PrivateKey(nil), committeeKey(0, id)...), 1: append(ed25519.PrivateKey(nil), committeeKey(1, id)...),
			}
		}
		m, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		n.nodes = append(n.nodes, m)
	}
	return n
}

// run lets time pass until an epoch begins.
func (n *net) run(from, until uint64) {
	for now := n.doc.EpochStart(from); now.Before(n.doc.EpochStart(until)); now = now.Add(50 * time.Millisecond) {
		for id := range n.nodes {
			events := append(n.inbox[id], Tick{})
			n.inbox[id] = nil
			for _, ev := range events {
				for _, e := range n.nodes[id].Step(now, ev) {
					n.perform(id, e)
				}
			}
		}
	}
}

func (n *net) tell(id int, ev Event) { n.inbox[id] = append(n.inbox[id], ev) }

func (n *net) perform(id int, e Effect) {
	switch e := e.(type) {
	case Store:
		n.tell(id, Stored{Token: e.Token, OK: true})
	case Observe:
		n.tell(id, Observed{Epoch: e.Epoch, View: n.seen(id, e.Epoch)})
	case Send:
		for to := range n.nodes {
			if to != id && (!n.deaf[to] || e.Class == record.ClassCertificate) {
				n.tell(to, Received{Class: e.Class, Data: e.Data})
			}
		}
	case Refuse:
		n.t.Errorf("node %d refuses: %v", id, e.Err)
	case FetchDescriptors:
		n.asked = append(n.asked, e.Wants...)
	case Load:
		if s := n.known[e.Certificate.HeaderDigest()]; s != nil {
			// As it would come from others: in pieces, checked against the header.
			again, err := transition.Decode(n.doc, Inner(s).Encode())
			if err != nil {
				n.t.Fatal(err)
			}
			n.tell(id, Loaded{State: n.rules.State(again)})
		}
	case Illegal:
		n.t.Errorf("node %d: illegal: %v", id, e.Err)
	case Final:
		n.known[e.State.Digest()] = e.State
		if s := Inner(e.State); s.Epoch() > n.chain[len(n.chain)-1].Epoch() {
			if err := transition.CheckState(n.doc, n.chain[len(n.chain)-1], s); err != nil {
				n.t.Errorf("epoch %d: %v", s.Epoch(), err)
			}
			n.chain = append(n.chain, s)
		}
	}
}

func (n *net) newest() *transition.State { return n.chain[len(n.chain)-1] }

func (n *net) running(relay int) bool {
	r, _ := n.newest().Snapshot().Table().Relay(ridOf(n.doc, relay))
	return r != nil && r.Flags&snapshot.FlagRunning != 0
}

// Members agree over the real transition: a relay that most do not reach is stopped
// after two snapshots, one that a few do not reach goes on; the follower recomputes.
// Spec: EPOCH-3..7.
func TestMembersWithTheTransition(t *testing.T) {
	n := newNet(t, 5, genesis.Testnet())
	unreached := ridOf(n.doc, 4)
	slandered := ridOf(n.doc, 3)
	n.seen = func(node int, epoch uint64) *transition.Observations {
		o := &transition.Observations{Reached: map[record.RID]bool{unreached: false}}
		if node < 2 {
			o.Reached[slandered] = false
		}
		return o
	}
	n.deaf[5] = true // the follower: gets certificates alone, and loads
	n.run(0, 5)
	if len(n.chain) != 5 {
		t.Fatalf("%d snapshots", len(n.chain))
	}
	if n.running(4) || !n.running(3) {
		t.Errorf("running: %t, %t", n.running(4), n.running(3))
	}
	for id, m := range n.nodes {
		if head, _ := m.Head(); head.Digest() != n.newest().Digest() {
			t.Errorf("node %d has another newest snapshot", id)
		}
	}
}

// An agreed op whose descriptor is not at hand is not signed, and the descriptor is
// asked for. Spec: EPOCH-6.
func TestMissingDescriptorStopsTheEpoch(t *testing.T) {
	n := newNet(t, 4, genesis.Testnet())
	d := &record.Descriptor{
		Identity: signingKey("identity", 0).Public().(ed25519.PublicKey), Seq: 1, Published: start(), Expires: start().Add(time.Minute),
		VRF: vrfKey(0).Public(), DeclaredRate: 99, Roles: record.RoleGuard, Nickname: "new",
	}
	r, _ := transition.Genesis(n.doc).Snapshot().Table().Relay(ridOf(n.doc, 0))
	d.Onion, d.NextOnion = r.Onion, public(signingKey("other", 0))
	d.Addresses = append(d.Addresses, r.IPv4)
	body, err := transition.Body(d)
	if err != nil {
		t.Fatal(err)
	}
	n.seen = func(int, uint64) *transition.Observations {
		return &transition.Observations{Descriptors: map[record.RID]transition.Seen{ridOf(n.doc, 0): {Body: body, Descriptor: d}}}
	}
	n.run(0, 3)
	if len(n.chain) != 1 {
		t.Errorf("%d snapshots without the descriptor", len(n.chain))
	}
	if len(n.asked) == 0 || n.asked[0] != (Want{RID: ridOf(n.doc, 0), Body: [16]byte(body[:16])}) {
		t.Errorf("asked for %v", n.asked)
	}
	n.rules.Descriptor = func(rid record.RID, b [16]byte) *record.Descriptor {
		if rid == ridOf(n.doc, 0) && b == [16]byte(body[:16]) {
			return d
		}
		return nil
	}
	n.run(3, 5)
	if len(n.chain) < 2 || n.newest().Aux(0) == nil {
		t.Errorf("%d snapshots with it", len(n.chain))
	}
}

// Ops that are none change nothing, and states of other rules are refused.
func TestTransitionAsRules(t *testing.T) {
	doc := document(t, 4, genesis.Testnet())
	rules := &Transition{Document: doc}
	zero := rules.State(transition.Genesis(doc))
	if rules.Propose(zero, 1, nil) != nil {
		t.Error("ops of nothing seen")
	}
	alpha := ProposeInput(doc.NetworkID(), 1, zero.Header().Beacon)
	proof := vrfKey(0).Prove(alpha)
	out, err := Plain{}.Proof(vrfKey(0).Public(), alpha, proof)
	if err != nil {
		t.Fatal(err)
	}
	in := &Input{Epoch: 1, Proof: proof, Output: out, Ballots: []Ballot{{0, []byte{0xff}}, {1, []byte{0xff}}, {2, []byte{0xff}}, {3, nil}}}
	child, err := rules.Next(zero, in)
	if err != nil {
		t.Fatal(err)
	}
	if err := rules.Check(zero, child); err != nil {
		t.Error(err)
	}
	if lists := child.Rosters(); lists[0].Root != child.Header().ListA || lists[2].Root != child.Header().ListB || lists[1] != nil {
		t.Error("lists are not those of the header")
	}
	if r := zero.Owner(4); r == nil || r.List.Committee != committee.B {
		t.Error("epoch 4 is not B's")
	}
	w := newWorld(t, 4, genesis.Testnet())
	if _, err := rules.Next(w.genesis(), in); !errors.Is(err, ErrState) {
		t.Errorf("next: %v", err)
	}
	if err := rules.Check(w.genesis(), child); !errors.Is(err, ErrState) {
		t.Errorf("check: %v", err)
	}
}
