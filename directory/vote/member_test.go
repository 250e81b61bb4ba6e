// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"crypto/ed25519"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
)

// bench is one member alone, told what the test says.
type bench struct {
	t testing.TB
	w *world
	m *Member
}

func newBench(t testing.TB, k int, change func(c *Config)) *bench {
	w := newWorld(t, k, genesis.Testnet())
	c := Config{
		Document: w.doc, RID: ridOf(w.doc, 0), VRF: vrfKey(0), Keys: map[uint64]ed25519.PrivateKey{},
		Rules: w, Verifier: newCached(), Rand: source{rand.New(rand.NewPCG(1, 1))}, State: w.genesis(),
	}
	for term := range uint64(2) {
		c.Keys[term] = append(ed25519.PrivateKey(nil), committeeKey(term, 0)...)
	}
	if change != nil {
		change(&c)
	}
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t, w, m}
}

// at is a moment in an epoch.
func (b *bench) at(epoch uint64, d time.Duration) time.Time { return b.w.doc.EpochStart(epoch).Add(d) }

func (b *bench) step(now time.Time, ev Event) []Effect { return b.m.Step(now, ev) }

// certificate gives a certificate to the member.
func (b *bench) certificate(now time.Time, c *Certificate) []Effect {
	return b.step(now, Received{Class: record.ClassCertificate, Data: c.Encode()})
}

// child makes a child that nobody has voted on; mark makes another one.
func (b *bench) child(parent *fakeState, epoch uint64, mark byte) *fakeState {
	k := len(parent.Owner(epoch).Seats)
	in := Input{Epoch: epoch, VotesDigest: [32]byte{mark}, Ballots: make([]Ballot, k)}
	s, err := b.w.Next(parent, &in)
	if err != nil {
		b.t.Fatal(err)
	}
	return s.(*fakeState)
}

// sign makes a certificate of the seats.
func (b *bench) sign(s *fakeState, seats ...int) *Certificate {
	roster := s.parent.Owner(s.h.Epoch)
	signers := NewSeats(len(roster.Seats))
	var signatures [][64]byte
	for _, seat := range seats {
		g, err := NewSignature(b.w.doc.NetworkID(), b.keyOf(roster, seat), s.h.Epoch, s.digest, seat)
		if err != nil {
			b.t.Fatal(err)
		}
		signers.Add(seat)
		signatures = append(signatures, g.Bytes())
	}
	c, err := NewCertificate(s.h, signers, signatures)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// keyOf is the private key of a seat.
func (b *bench) keyOf(r *Roster, seat int) ed25519.PrivateKey {
	for n := range b.w.k {
		if key := committeeKey(r.List.Term, n); public(key) == r.Seats[seat].Key {
			return key
		}
	}
	b.t.Fatal("no such seat")
	return nil
}

// effect returns the first effect of a type.
func effect[T Effect](all []Effect) (T, bool) {
	for _, e := range all {
		if e, ok := e.(T); ok {
			return e, true
		}
	}
	var none T
	return none, false
}

func count[T Effect](all []Effect) int {
	n := 0
	for _, e := range all {
		if _, ok := e.(T); ok {
			n++
		}
	}
	return n
}

// follow gives a certificate and then the state that is asked for.
func (b *bench) follow(now time.Time, s *fakeState, c *Certificate) []Effect {
	b.t.Helper()
	load, ok := effect[Load](b.certificate(now, c))
	if !ok || load.Certificate.HeaderDigest() != s.digest {
		b.t.Fatal("the state is not asked for")
	}
	out := b.step(now, Loaded{State: s})
	if final, ok := effect[Final](out); !ok || final.State.Digest() != s.digest {
		b.t.Fatal("not followed")
	}
	return out
}

// Spec: EPOCH-9.
func TestFollowsWhatDescends(t *testing.T) {
	b := newBench(t, 4, nil)
	g := b.w.genesis()
	one := b.child(g, 1, 1)
	out := b.follow(b.at(1, 4*time.Second), one, b.sign(one, 0, 1, 2))
	if final, _ := effect[Final](out); final.Orphan != nil {
		t.Error("replaced something")
	}
	if out := b.certificate(b.at(1, 5*time.Second), b.sign(one, 1, 2, 3)); len(out) != 1 {
		t.Errorf("other signers of the same header: %d effects", len(out))
	}
	for name, c := range map[string]*Certificate{
		"of too few":    b.sign(b.child(one, 2, 1), 0, 1),
		"of false keys": falsify(b.sign(b.child(one, 2, 1), 0, 1, 2)),
	} {
		if out := b.certificate(b.at(2, 4*time.Second), c); count[Refuse](out) != 1 || count[Load](out) > 0 {
			t.Errorf("%s: not refused", name)
		}
	}
	if out := b.certificate(b.at(2, 0), b.sign(b.child(one, 9, 1), 0, 1, 2)); len(out) != 2 {
		// Observe is not due; Wake, and nothing for the certificate of a later epoch.
		if _, ok := effect[Accept](out); ok {
			t.Error("a certificate from the future was taken")
		}
	}
}

func falsify(c *Certificate) *Certificate {
	c.Signatures[1][5] ^= 1
	return c
}

// Spec: EPOCH-9.
func TestReplacesOnlyTheNewest(t *testing.T) {
	now := func(b *bench) time.Time { return b.at(6, 4*time.Second) }
	t.Run("sibling of a later epoch", func(t *testing.T) {
		b := newBench(t, 4, nil)
		g := b.w.genesis()
		one, two := b.child(g, 1, 1), b.child(g, 2, 2)
		cert := b.sign(one, 0, 1, 2)
		b.follow(now(b), one, cert)
		out := b.follow(now(b), two, b.sign(two, 0, 1, 2))
		if final, _ := effect[Final](out); final.Orphan == nil || final.Orphan.HeaderDigest() != one.digest || b.m.Counts().Orphans != 1 {
			t.Error("no orphan")
		}
		// And what builds on the orphan again.
		three := b.child(one, 3, 3)
		if out := b.certificate(now(b), b.sign(three, 0, 1, 2)); count[Fetch](out) != 1 {
			t.Error("the orphan's certificate is not asked for")
		}
		if load, ok := effect[Load](b.certificate(now(b), cert)); !ok || load.Certificate.HeaderDigest() != three.digest {
			t.Error("the higher one on the orphan is not followed")
		}
		if out := b.step(now(b), Loaded{State: three}); count[Final](out) != 1 {
			t.Error("not followed")
		}
	})
	t.Run("sibling of an earlier epoch", func(t *testing.T) {
		b := newBench(t, 4, nil)
		g := b.w.genesis()
		one, two := b.child(g, 1, 1), b.child(g, 2, 2)
		b.follow(now(b), two, b.sign(two, 0, 1, 2))
		if out := b.certificate(now(b), b.sign(one, 0, 1, 2)); count[Load](out) > 0 || count[Final](out) > 0 || count[Forked](out) > 0 {
			t.Error("a lower one is followed")
		}
	})
	t.Run("deeper", func(t *testing.T) {
		b := newBench(t, 4, nil)
		g := b.w.genesis()
		one := b.child(g, 1, 1)
		two := b.child(one, 2, 1)
		b.follow(now(b), one, b.sign(one, 0, 1, 2))
		b.follow(now(b), two, b.sign(two, 0, 1, 2))
		other := b.child(g, 3, 1)
		b.certificate(now(b), b.sign(other, 0, 1, 2))
		third := b.child(other, 5, 1)
		out := b.certificate(now(b), b.sign(third, 0, 1, 2))
		fork, ok := effect[Forked](out)
		if !ok || fork.Ours.HeaderDigest() != two.digest || fork.Theirs.HeaderDigest() != third.digest {
			t.Fatal("no fork reported")
		}
		if head, _ := b.m.Head(); head.Digest() != two.digest || count[Load](out) > 0 {
			t.Error("followed")
		}
		if out := b.certificate(now(b), b.sign(third, 0, 1, 2)); count[Forked](out) > 0 {
			t.Error("reported twice")
		}
		// Ours goes on.
		six := b.child(two, 6, 1)
		b.follow(now(b), six, b.sign(six, 0, 1, 2))
	})
}

// Spec: EPOCH-9.
func TestCatchesUpSeveralEpochs(t *testing.T) {
	b := newBench(t, 4, nil)
	s := b.w.genesis()
	var states []*fakeState
	for e := uint64(1); e <= 3*maxAhead; e++ {
		s = b.child(s, e, 1)
		states = append(states, s)
	}
	now := b.at(uint64(len(states)), 4*time.Second)
	out := b.certificate(now, b.sign(states[5], 0, 1, 2))
	for i := 4; i >= 0; i-- {
		fetch, ok := effect[Fetch](out)
		if !ok || fetch.Digests[0] != CertificateDigest(states[i].digest) || count[Load](out) > 0 {
			t.Fatalf("certificate %d is not asked for", i)
		}
		out = b.certificate(now, b.sign(states[i], 0, 1, 2))
	}
	if load, ok := effect[Load](out); !ok || load.Certificate.HeaderDigest() != states[5].digest {
		t.Fatal("the newest state is not asked for")
	}
	if out := b.step(now, Loaded{State: states[4]}); count[Final](out) > 0 {
		t.Error("another state was taken")
	}
	if out := b.step(now, Loaded{State: states[5]}); count[Final](out) != 1 {
		t.Error("not followed")
	}
	// Asked again after a while.
	b.certificate(now, b.sign(states[7], 0, 1, 2))
	if out := b.step(now.Add(time.Second), Tick{}); count[Fetch](out) > 0 {
		t.Error("asked again at once")
	}
	if out := b.step(now.Add(4*time.Second), Tick{}); count[Fetch](out) != 1 {
		t.Error("not asked again")
	}
	// Too far ahead.
	far := states[7+maxAhead] // of an epoch of A, whose list is still the same
	if out := b.certificate(now, b.sign(far, 0, 1, 2)); count[Rejoin](out) != 1 || count[Fetch](out) > 0 {
		t.Error("no hint that it is too far")
	}
}

// picky refuses every state that was not recomputed.
type picky struct{ *world }

func (picky) Check(_, _ State) error { return errors.New("illegal") }

// Spec: EPOCH-9.
func TestIllegalSnapshotIsRefusedWhoeverSigned(t *testing.T) {
	b := newBench(t, 4, func(c *Config) { c.Rules = picky{c.Rules.(*world)} })
	one := b.child(b.w.genesis(), 1, 1)
	c := b.sign(one, 0, 1, 2, 3)
	now := b.at(1, 4*time.Second)
	b.certificate(now, c)
	if out := b.step(now, Loaded{State: one}); count[Illegal](out) != 1 || count[Final](out) > 0 {
		t.Error("not refused")
	}
	if out := b.certificate(now, c); len(out) != 1 {
		t.Error("looked at again")
	}
}

// Spec: VOTE-7.
func TestTwoCertificatesOfOneEpoch(t *testing.T) {
	b := newBench(t, 4, nil)
	g := b.w.genesis()
	one, other := b.child(g, 1, 1), b.child(g, 1, 2)
	now := b.at(1, 4*time.Second)
	b.follow(now, one, b.sign(one, 0, 1, 2))
	out := b.certificate(now, b.sign(other, 1, 2, 3))
	if count[Accuse](out) != 2 || count[Final](out) > 0 || count[Load](out) > 0 {
		t.Errorf("%d accused", count[Accuse](out))
	}
	for _, e := range out {
		if a, ok := e.(Accuse); ok {
			if err := a.Evidence.Verify(b.w.doc.NetworkID(), now, record.Times{}, EvidenceRules()); err != nil {
				t.Error(err)
			}
		}
	}
}

// A second certificate of the epoch before, with a false signature first: who sent it is
// refused, and the true one still accuses. Spec: VOTE-7.
func TestFalseSignaturesHideNoSecondCertificate(t *testing.T) {
	b := newBench(t, 4, nil)
	g := b.w.genesis()
	one, other := b.child(g, 1, 1), b.child(g, 1, 2)
	two := b.child(one, 2, 1)
	now := b.at(2, 4*time.Second)
	b.follow(now, one, b.sign(one, 0, 1, 2))
	b.follow(now, two, b.sign(two, 0, 1, 2))
	second := b.sign(other, 1, 2, 3)
	forged := *second
	forged.Signatures = slices.Clone(second.Signatures)
	forged.Signatures[2][0] ^= 1
	if out := b.certificate(now, &forged); count[Refuse](out) != 1 || count[Accuse](out) > 0 {
		t.Errorf("false: %d refused, %d accused", count[Refuse](out), count[Accuse](out))
	}
	if out := b.certificate(now, second); count[Refuse](out) > 0 || count[Accuse](out) != 2 {
		t.Errorf("true: %d refused, %d accused", count[Refuse](out), count[Accuse](out))
	}
	if out := b.certificate(now, second); count[Refuse](out)+count[Accuse](out) > 0 {
		t.Error("looked at again")
	}
}

// voted reports whether the member makes a promise in the epoch's vote window.
func (b *bench) voted(epoch uint64) bool {
	return count[Store](b.step(b.at(epoch, 500*time.Millisecond), Tick{})) > 0
}

// Spec: EPOCH-3, EPOCH-11.
func TestAbstains(t *testing.T) {
	for name, test := range map[string]struct {
		change func(c *Config)
		around *Neighbours
		votes  bool
	}{
		"a member":              {nil, nil, true},
		"in order":              {nil, &Neighbours{Count: 3, Clock: time.Second, Head: 4}, true},
		"clock ahead":           {nil, &Neighbours{Count: 3, Clock: time.Second + 1}, false},
		"clock behind":          {nil, &Neighbours{Count: 3, Clock: -time.Second - 1}, false},
		"alone":                 {nil, &Neighbours{}, false},
		"behind":                {nil, &Neighbours{Count: 3, Head: 5}, false},
		"without a key":         {func(c *Config) { c.Keys = nil }, nil, false},
		"with another key":      {func(c *Config) { c.Keys[0] = committeeKey(0, 1) }, nil, false},
		"a follower":            {func(c *Config) { c.VRF, c.Keys = nil, nil }, nil, false},
		"penalty":               {func(c *Config) { c.State.(*fakeState).ignored = map[record.RID]bool{c.RID: true} }, nil, false},
		"unreadable memory":     {func(c *Config) { c.Memory = []byte{1} }, nil, false},
		"another's memory":      {func(c *Config) { c.Memory = (&Memory{}).Encode(c.Document.NetworkID(), record.RID{1}) }, nil, false},
		"lost memory":           {func(c *Config) { c.Doubts.Lost = true }, nil, false},
		"voted otherwise":       {remembering(Mark{Epoch: 1, Digest: [32]byte{1}}), nil, false},
		"voted in a later one":  {remembering(Mark{Epoch: 2}), nil, false},
		"voted in an older one": {remembering(Mark{Epoch: 0}), nil, true},
	} {
		b := newBench(t, 4, test.change)
		if test.around != nil {
			b.step(b.at(0, 5*time.Second), *test.around)
		}
		if b.voted(1) != test.votes {
			t.Errorf("%s: votes: %t", name, !test.votes)
		}
	}
	alone := newBench(t, 1, nil)
	alone.step(alone.at(0, 5*time.Second), Neighbours{})
	if !alone.voted(1) {
		t.Error("the only member waits for neighbours")
	}
	late := newBench(t, 4, nil)
	if count[Store](late.step(late.at(1, time.Second), Tick{})) > 0 {
		t.Error("votes when proposals are due")
	}
	ahead := newBench(t, 4, nil)
	one := ahead.child(ahead.w.genesis(), 1, 1)
	ahead.certificate(ahead.at(2, 0), ahead.sign(one, 0, 1, 2))
	if ahead.voted(2) {
		t.Error("votes over a snapshot that is not the newest it knows of")
	}
	if !ahead.voted(3) {
		t.Error("waits for ever for a snapshot that nobody has")
	}
}

func remembering(m Mark) func(c *Config) {
	return func(c *Config) { c.Memory = (&Memory{m, m, m}).Encode(c.Document.NetworkID(), c.RID) }
}

// Nothing is said that is not durable, and a promise that comes too late is not
// kept. Spec: EPOCH-4, EPOCH-6.
func TestSaysOnlyWhatIsStored(t *testing.T) {
	b := newBench(t, 4, nil)
	out := b.step(b.at(1, 500*time.Millisecond), Tick{})
	store, _ := effect[Store](out)
	if count[Send](out) > 0 {
		t.Fatal("sent before it was stored")
	}
	if out := b.step(b.at(1, 501*time.Millisecond), Stored{Token: store.Token + 1, OK: true}); count[Send](out) > 0 {
		t.Error("sent for another token")
	}
	if out := b.step(b.at(1, 501*time.Millisecond), Stored{Token: store.Token, OK: true}); count[Send](out) != 1 {
		t.Error("not sent")
	}
	if out := b.step(b.at(1, 502*time.Millisecond), Stored{Token: store.Token, OK: true}); count[Send](out) > 0 {
		t.Error("sent twice")
	}
	// A restart says the same again.
	again := newBench(t, 4, func(c *Config) { c.Memory = store.Memory })
	if out := again.step(again.at(1, 500*time.Millisecond), Tick{}); count[Send](out) != 1 || count[Store](out) > 0 {
		t.Error("the vote that was stored is not sent again")
	}
	broken := newBench(t, 4, nil)
	store, _ = effect[Store](broken.step(broken.at(1, 500*time.Millisecond), Tick{}))
	if out := broken.step(broken.at(1, 501*time.Millisecond), Stored{Token: store.Token}); count[Send](out) > 0 || broken.m.Counts().Abandons != 1 {
		t.Error("sent although it could not be stored")
	}
	if out := broken.step(broken.at(1, 600*time.Millisecond), Tick{}); count[Store](out) > 0 {
		t.Error("tried another vote")
	}
	slow := newBench(t, 4, nil)
	store, _ = effect[Store](slow.step(slow.at(1, 500*time.Millisecond), Tick{}))
	if out := slow.step(slow.at(2, 0), Stored{Token: store.Token, OK: true}); count[Send](out) > 0 {
		t.Error("sent in the next epoch")
	}
}

// The vote is of what was seen by the cut-off. Spec: EPOCH-2.
func TestViewIsFrozenAtTheCutOff(t *testing.T) {
	b := newBench(t, 4, nil)
	if out := b.step(b.at(1, -3*time.Second), Tick{}); count[Observe](out) > 0 {
		t.Error("before the cut-off")
	}
	if o, ok := effect[Observe](b.step(b.at(1, -2*time.Second), Tick{})); !ok || o.Epoch != 1 {
		t.Error("not asked at the cut-off")
	}
	if out := b.step(b.at(1, -time.Second), Tick{}); count[Observe](out) > 0 {
		t.Error("asked twice")
	}
	b.step(b.at(1, -time.Second), Observed{Epoch: 1, View: []byte{1, 2, 3, 4}})
	b.step(b.at(1, -time.Second), Observed{Epoch: 1, View: []byte{5, 6, 7, 8}})
	store, _ := effect[Store](b.step(b.at(1, 500*time.Millisecond), Tick{}))
	send, _ := effect[Send](b.step(b.at(1, 501*time.Millisecond), Stored{Token: store.Token, OK: true}))
	v, err := DecodeVote(send.Data)
	if err != nil {
		t.Fatal(err)
	}
	if string(v.Ops) != "\x01\x02\x03\x04" {
		t.Errorf("votes %x", v.Ops)
	}
}

// Spec: EPOCH-11.
func TestStatus(t *testing.T) {
	b := newBench(t, 4, nil)
	b.step(b.at(4, 0), Tick{})
	if s := b.m.Status(); s != (Status{Seats: 4, Seat: true}) {
		t.Errorf("at the start: %+v", s)
	}
	b.step(b.at(5, 0), Neighbours{Count: 3, Clock: time.Minute})
	if s := b.m.Status(); s != (Status{Seats: 4, Seat: true, Stalled: true, Reason: ClockOff}) {
		t.Errorf("later: %+v", s)
	}
	f := newBench(t, 4, func(c *Config) { c.VRF, c.Keys = nil, nil })
	if out := f.step(f.at(1, -time.Second), Tick{}); count[Observe](out) > 0 {
		t.Error("a follower is to observe")
	}
	if s := f.m.Status(); s.Seat || s.Reason != NoSeat {
		t.Errorf("a follower: %+v", s)
	}
	for _, c := range []Config{{}, {Document: b.w.doc, Rules: b.w, Verifier: Plain{}, Rand: source{}}} {
		if _, err := New(c); !errors.Is(err, ErrConfig) {
			t.Errorf("lacking parts: %v", err)
		}
	}
}

// The times that are shares of others are those of the design's table.
// Spec: EPOCH-3, EPOCH-5, EPOCH-6.
func TestTimes(t *testing.T) {
	for _, test := range []struct {
		p            genesis.Params
		margin, most time.Duration
	}{{genesis.Public(), 15 * time.Second, 5 * time.Second}, {genesis.Testnet(), 500 * time.Millisecond, time.Second / 6}} {
		b := newBench(t, 4, nil)
		b.m.p = test.p
		if b.m.margin() != test.margin {
			t.Errorf("margin %s", b.m.margin())
		}
		for range 100 {
			if d := b.m.voteDelay(); d < 0 || d >= test.most {
				t.Errorf("votes after %s", d)
			}
		}
		for u, steps := range map[byte]int{0: 0, 0x3f: 0, 0x40: 1, 0xff: 3} {
			want := b.m.start(1).Add(test.p.Propose + time.Duration(steps)*test.p.HoldOffStep)
			if got := b.m.holdOff(1, 4, [64]byte{u, 0xff}); !got.Equal(want) {
				t.Errorf("u = %#x: proposes at %s", u, got.Sub(b.m.start(1)))
			}
		}
		if got := b.m.holdOff(1, 96, [64]byte{0xff}); !got.Equal(b.m.start(1).Add(test.p.Propose + test.p.HoldOffMax)) {
			t.Errorf("the last proposes at %s", got.Sub(b.m.start(1)))
		}
	}
}
