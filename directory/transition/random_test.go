// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/sybil"
)

// chaos makes votes at random, honest or not: any op for anybody.
type chaos struct {
	*net
	rand    *rand.Rand
	relays  int // names in use
	version int
	numbers map[record.RID]int
}

// family is shared by four; exits come in waves of few policies.
func (c *chaos) descriptor(n int) *record.Descriptor {
	c.version++
	d := descriptor(n, c.version)
	r := c.rand
	if r.IntN(3) == 0 {
		d.Roles |= record.RoleExit
		d.Policy = policy(r.IntN(12))
	}
	if r.IntN(2) == 0 {
		key := public("family", n/4+r.IntN(2))
		d.Family = &record.Family{Key: key[:], Signature: make([]byte, record.SignatureSize)}
	}
	if r.IntN(6) == 0 { // crowded places
		d.Addresses = []netip.AddrPort{place(r.IntN(20))}
	}
	if r.IntN(4) == 0 {
		six := [16]byte{0x26, 0x06, byte(r.IntN(3)), 5: byte(r.IntN(6)), 15: byte(n)}
		d.Addresses = append(d.Addresses, netip.AddrPortFrom(netip.AddrFrom16(six), 9240))
	}
	d.DeclaredRate = uint32(r.IntN(40000))
	term := TermAt(c.doc.Params, committee.A, c.net.next)
	return withKeys(d, n, term, term+1, term+2)
}

// ops makes a vote's worth of changes.
func (c *chaos) ops(most int) []Op {
	r, leaves := c.rand, len(c.now.aux)
	var ops []Op
	for range r.IntN(most + 1) {
		o := Op{Index: uint32(r.IntN(leaves))}
		who := c.numberOf(c.now.snap.Table().At(int(o.Index)).RID)
		switch k := r.IntN(20); {
		case k == 0:
			o.Code, o.Reason = Drop, uint8(1+r.IntN(3))
		case k < 5:
			o = c.update(who, c.descriptor(who))
		case k < 13:
			o = c.add(c.descriptor(r.IntN(c.relays)), uint8(r.IntN(2)))
			if o.Lane == LaneVouched {
				o.Sponsor = uint32(r.IntN(leaves))
			}
			if _, dormant := c.now.Dormant(o.RID); dormant && r.IntN(4) > 0 {
				o.Lane, o.Sponsor = LaneReturning, 0
			}
		case k < 15:
			o.Code = Down
		case k < 19:
			o.Code = Up
		default:
			o.Code, o.Reason = Penalty, uint8(1+r.IntN(2))
			o.Evidence[0] = byte(r.IntN(256))
		}
		if o.Code == Penalty && r.IntN(6) > 0 {
			continue
		}
		ops = append(ops, o)
	}
	// Whoever was said to be down is, mostly, said so again.
	for i := range c.now.aux {
		if c.now.aux[i].Reach == 1 && r.IntN(4) > 0 {
			code := Up
			if c.now.snap.Table().At(i).Flags&snapshot.FlagRunning != 0 {
				code = Down
			}
			ops = append(ops, Op{Code: code, Index: uint32(i)})
		}
	}
	slices.SortFunc(ops, Op.Compare)
	return slices.CompactFunc(ops, func(a, b Op) bool { return a.Compare(b) == 0 })
}

func (c *chaos) numberOf(id record.RID) int { return c.numbers[id] }

func newChaos(t testing.TB, doc *genesis.Document, relays int, seed uint64) *chaos {
	c := &chaos{net: newNet(t, doc), rand: rand.New(rand.NewPCG(seed, 0)), relays: relays, numbers: map[record.RID]int{}}
	for n := range relays {
		c.numbers[rid(doc, n)] = n
	}
	return c
}

// votes gives each of the listed seats the ops, apart from some that it leaves out
// and some that nobody else wants.
func (c *chaos) votes() []Vote {
	list := c.now.Owner(c.doc.Params, c.net.next)
	common := c.ops(6)
	var out []Vote
	for seat := range list.Seats {
		mine := slices.DeleteFunc(slices.Clone(common), func(Op) bool { return c.rand.IntN(5) == 0 })
		if c.rand.IntN(3) == 0 {
			mine = append(mine, c.ops(1)...)
		}
		slices.SortFunc(mine, Op.Compare)
		if c.rand.IntN(30) > 0 { // else two of one number for one relay may be left: a void vote
			mine = slices.CompactFunc(mine, func(a, b Op) bool { return a.Compare(b) == 0 })
		}
		out = append(out, Vote{Seat: seat, Ops: mine})
	}
	c.rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// wild are rules under which much happens in little time.
func wild(p *genesis.Params) {
	p.Day, p.Term, p.DrawLead = 6, 20, 4
	p.CommitteeMax, p.CommitteeAge, p.CommitteeUptime = 7, 2, 500
	p.SeatsPerGroup, p.SeatsPerFamily, p.SeatsPerNet = 3, 2, 3
	p.AdmitRate, p.AdmitFloor, p.VoucherGap = 100, 6, 3
	p.GuardFrom, p.GuardFull, p.ExitAge, p.Cohort, p.CapRelay = 1, 6, 1, 3, 100
	p.BWStep = 3
}

// run makes epochs of chaos and looks at each.
func (c *chaos) run(epochs int, look func(parent, child *State, in Input)) {
	c.t.Helper()
	for range epochs {
		if c.rand.IntN(12) == 0 {
			c.skip(1 + c.rand.IntN(15))
		}
		in := c.input(nil)
		in.Votes = c.votes()
		in.VotesDigest[0] = byte(c.version)
		parent := c.now
		child, err := Next(c.doc, parent, in)
		if err != nil {
			c.t.Fatalf("epoch %d: %v", in.Epoch, err)
		}
		check(c.t, c.doc, parent, child)
		look(parent, child, in)
		c.now, c.next = child, c.next+1
	}
}

// Every child of any votes is valid, its diff gives the same table, it survives
// storage, and no cap is broken (I5, TRN-9, TRN-11).
func TestRandomEpochsStayValid(t *testing.T) {
	c := newChaos(t, document(t, 24, rules(wild)), 60, 1)
	var counts struct{ in, out, started, stopped, returned, installed int }
	old := []*State{c.now}
	epochs := 2000
	if raceOn {
		epochs = 200
	}
	c.run(epochs, func(parent, child *State, in Input) {
		checkCounters(t, c.doc, child)
		if child.Epoch()%100 == 0 {
			again, err := Decode(c.doc, child.Encode())
			if err != nil || again.Digest() != child.Digest() || !bytes.Equal(again.Encode(), child.Encode()) {
				t.Fatalf("epoch %d: stored and read: %v", in.Epoch, err)
			}
		}
		for _, o := range old[:min(len(old), 1+len(old)*int(child.Epoch()%8/7))] {
			if err := Check(c.doc, o.snap, child.snap); err != nil {
				t.Fatalf("from %d to %d: %v", o.Epoch(), child.Epoch(), err)
			}
			diff, err := Diff(o.snap.Table(), child.snap.Table())
			if err != nil {
				t.Fatal(err)
			}
			if got, err := Apply(o.snap.Table(), diff); err != nil || got.DirRoot() != child.snap.Header().DirRoot || got.DictRoot() != child.snap.Header().DictRoot {
				t.Fatalf("from %d to %d: %v", o.Epoch(), child.Epoch(), err)
			}
		}
		if old = append(old, child); len(old) > 4 {
			old = append(old[:0:0], old[1:]...)
		}
		for i := range child.aux {
			r := child.snap.Table().At(i)
			j, was := parent.snap.Table().Index(r.RID)
			switch {
			case !was && child.aux[i].Lane == LaneReturning:
				counts.returned++
			case !was:
				counts.in++
			case r.Flags&snapshot.FlagRunning < parent.snap.Table().At(j).Flags&snapshot.FlagRunning:
				counts.stopped++
			case r.Flags&snapshot.FlagRunning > parent.snap.Table().At(j).Flags&snapshot.FlagRunning:
				counts.started++
			}
		}
		counts.out += max(0, len(parent.aux)-len(child.aux))
		if now, _ := child.List(committee.A); now.Term > 0 {
			if was, _ := parent.List(committee.A); was.Term != now.Term {
				counts.installed++
			}
		}
	})
	t.Logf("%+v, %d relays, %d dormant at the end", counts, len(c.now.aux), len(c.now.dormant))
	if raceOn {
		return
	}
	if counts.in < 100 || counts.stopped < 100 || counts.started < 30 || counts.returned < 20 || counts.installed < 20 {
		t.Error("too little happened")
	}
}

// checkCounters is what must hold of a state by itself.
func checkCounters(t *testing.T, doc *genesis.Document, s *State) {
	t.Helper()
	if slots := sybil.Slots(doc.Params, len(s.aux), s.Epoch()); slots[LaneOpen] != sybil.Unlimited {
		for i := range s.aux {
			if a := &s.aux[i]; a.Lane < laneFounder && a.Admitted+uint64(doc.Params.Day) > s.Epoch() {
				slots[a.Lane]--
			}
		}
		if slots[LaneOpen] < -1 || slots[LaneVouched] < -1 || slots[LaneReturning] < -1 { // the table may have shrunk by some
			t.Fatalf("epoch %d: slots %v", s.Epoch(), slots)
		}
	}
	for i := range s.aux {
		r, a := s.snap.Table().At(i), &s.aux[i]
		if len(a.Committee) > record.MaxCommitteeKeyCount || a.Uptime > maxUptime || r.Bucket > a.Target || int(r.BirthDay) > s.snap.Day() {
			t.Fatalf("epoch %d: %+v %+v", s.Epoch(), r.Leaf, a)
		}
		if (r.Flags&snapshot.FlagProbation != 0) != (a.ProbationEnd > s.Epoch()) {
			t.Fatalf("epoch %d: flag and end of probation disagree", s.Epoch())
		}
	}
	for _, d := range s.dormant {
		if _, found := s.snap.Table().Index(d.RID); found {
			t.Fatal("a relay is in the table and dormant")
		}
	}
}
