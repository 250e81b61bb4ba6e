// SPDX-License-Identifier: BSD-3-Clause

package sybil

import (
	"math"
	"slices"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
)

func start() time.Time { return time.Unix(1_800_000_000, 0) }

// waiting returns candidate n; each group of ten came through one entry relay.
func waiting(n int) Candidate {
	return Candidate{
		RID: ridOf(n), Digest: hashOf("digest", n), Seq: 1, Entry: ridOf(1_000_000 + n/10),
		Work: record.Work{Epoch: 100, Nonce: uint64(n)}, Expires: start().Add(7 * 24 * time.Hour),
	}
}

// checkAll answers every check with bits(n) of candidate n, and returns the time
// that it took.
func checkAll(s *Pending, now time.Time, bits func(nonce uint64) int) time.Time {
	for {
		c, again, ok := s.NextCheck(now)
		if !ok {
			if again.IsZero() {
				return now
			}
			now = again
			continue
		}
		s.Checked(c.Digest, bits(c.Work.Nonce))
	}
}

// Spec: ADM-6.
func TestPendingBoundsAndEviction(t *testing.T) {
	p := genesis.Public()
	s := NewPending(p, 100)
	now := start()
	taken := 0
	for n := range 2 * MinPending {
		if s.Put(waiting(n), 100, now) == Taken {
			taken++
		}
		if n == MinPending/waitingPart-1 {
			if all, unchecked := s.Len(); all != taken || unchecked != MinPending/waitingPart || taken != MinPending/waitingPart {
				t.Errorf("%d taken, %d held, %d unchecked", taken, all, unchecked)
			}
		}
	}
	if taken != MinPending/waitingPart {
		t.Errorf("%d unchecked taken: what costs nothing has driven something out", taken)
	}
	// Filled with work of 12 to 15 bits.
	n := 0
	for len(s.all)-len(s.waiting) < s.maxChecked() {
		for ; s.Put(waiting(n), 100, now) != Refused; n++ {
		}
		now = checkAll(s, now, func(nonce uint64) int { return 12 + int(nonce%4) })
	}
	all, unchecked := s.Len()
	if all != MinPending-MinPending/waitingPart || unchecked != 0 {
		t.Fatalf("%d held, %d unchecked", all, unchecked)
	}
	one := func(n, bits int) bool {
		c := waiting(n)
		if got := s.Put(c, 100, now); got != Taken {
			t.Fatalf("candidate %d: %d", n, got)
		}
		now = now.Add(CheckGap)
		if _, _, ok := s.NextCheck(now); !ok {
			t.Fatal("no check")
		}
		return s.Checked(c.Digest, bits)
	}
	if one(1<<20, 12) {
		t.Error("the least work, and newest: stayed")
	}
	newest := ridOf(0) // the newest with 12 bits
	for k := range n {
		if h := s.all[ridOf(k)]; h != nil && h.bits == 12 {
			newest = h.RID
		}
	}
	if !one(1<<20+100, 13) {
		t.Error("more work than the least was not taken")
	}
	if _, _, held := s.Get(newest); held {
		t.Error("somebody else than the newest of the least was driven out")
	}
	if one(1<<20+200, 11) {
		t.Error("too little work: stayed")
	}
	if all, _ := s.Len(); all != s.maxChecked() {
		t.Errorf("%d held", all)
	}
	s.Resize(MinPending)
	if s.bound != 2*MinPending {
		t.Errorf("bound of a larger table: %d", s.bound)
	}
	s.Resize(10)
	if all, _ := s.Len(); all != s.maxChecked() {
		t.Errorf("%d held after the table shrank", all)
	}
}

// Spec: ADM-6.
func TestPendingReplacesWhatIsNewer(t *testing.T) {
	p := genesis.Public()
	s, now := NewPending(p, 10), start()
	c := waiting(1)
	put := func(change func(c *Candidate), epoch uint64, now time.Time) Outcome {
		next := c
		change(&next)
		got := s.Put(next, epoch, now)
		if got == Taken {
			c = next
		}
		return got
	}
	if put(func(*Candidate) {}, 100, now) != Taken || put(func(*Candidate) {}, 100, now) != Known {
		t.Fatal("once, and again")
	}
	if !s.Checked(c.Digest, 12) || !s.Checked(c.Digest, 0) {
		t.Error("checked, and again")
	}
	later := now.Add(p.RepublishGap)
	next := func(c *Candidate) { c.Seq, c.Digest = 2, hashOf("digest", 100) }
	if got := put(next, 110, later.Add(-1)); got != Refused {
		t.Errorf("too soon: %d", got)
	}
	if got := put(next, 110, later); got != Taken {
		t.Errorf("a newer descriptor: %d", got)
	}
	if _, checked, _ := s.Get(c.RID); !checked {
		t.Error("the same work has to be checked again")
	}
	if got := s.Draw(hashOf("b", 1), 101, LaneOpen); !slices.Equal(got, []record.RID{c.RID}) {
		t.Errorf("its time began anew: %v", got)
	}
	if put(func(c *Candidate) { c.Seq = 1; c.Digest = hashOf("digest", 101) }, 120, later.Add(time.Hour)) != Known {
		t.Error("an older descriptor")
	}
	if put(func(c *Candidate) { c.Vouched, c.Digest = true, hashOf("digest", 102) }, 120, later.Add(time.Hour)) != Taken {
		t.Error("the same with a voucher")
	}
	if len(s.Draw(hashOf("b", 1), math.MaxUint64, LaneOpen)) != 0 || len(s.Draw(hashOf("b", 1), math.MaxUint64, LaneVouched)) != 1 {
		t.Error("a voucher moves to the other lane")
	}
	if put(func(c *Candidate) { c.Seq, c.Work.Nonce, c.Digest = 3, 99, hashOf("digest", 103) }, 130, later.Add(2*time.Hour)) != Taken {
		t.Error("other work")
	}
	if _, checked, ok := s.ByDigest(c.Digest); !ok || checked || slices.Contains(s.Digests(), c.Digest) {
		t.Error("other work passes unchecked")
	}
	if got, checked, _ := s.Get(c.RID); !checked || got.Seq != 2 {
		t.Error("what was checked stands until the other work is")
	}
	if len(s.all) != 1 || len(s.digests) != 2 || len(s.waiting) != 1 {
		t.Errorf("%d, %d, %d entries for one relay and one beside it", len(s.all), len(s.digests), len(s.waiting))
	}
	s.Remove(c.RID)
	s.Remove(c.RID)
	if all, unchecked := s.Len(); all != 0 || unchecked != 0 || len(s.digests) != 0 {
		t.Error("something left")
	}
	if s.Checked(c.Digest, 60) {
		t.Error("checked after it was removed")
	}
}

// Spec: ADM-7.
func TestChecksAreTwoASecond(t *testing.T) {
	s, now := NewPending(genesis.Public(), 10), start()
	for n := range 10 {
		s.Put(waiting(n), 100, now)
	}
	end := checkAll(s, now, func(uint64) int { return 12 })
	if got := end.Sub(now); got != 9*CheckGap {
		t.Errorf("ten checks took %v", got)
	}
	if len(s.Digests()) != 10 {
		t.Error("not all checked")
	}
	s.Put(waiting(11), 100, end)
	s.Put(waiting(12), 100, end)
	first, _, _ := s.NextCheck(end.Add(CheckGap))
	second, _, ok := s.NextCheck(end.Add(2 * CheckGap))
	if !ok || first.RID == second.RID {
		t.Error("a lost answer stops the others")
	}
}

// Spec: ADM-6, ADM-2.
func TestPendingPerEntryRelayAndExpiry(t *testing.T) {
	p := genesis.Public()
	s, now := NewPending(p, 10), start()
	count := func(from int, now time.Time) (taken int) {
		for n := range 30 {
			c := waiting(from + n)
			c.Entry = ridOf(77)
			if s.Put(c, 100, now) == Taken {
				taken++
			}
		}
		return taken
	}
	if got := count(0, now); got != JoinsPerHour {
		t.Errorf("%d of one entry relay", got)
	}
	if got := count(100, now.Add(time.Hour)); got != JoinsPerHour {
		t.Errorf("%d in the next hour", got)
	}
	checkAll(s, now, func(uint64) int { return 12 })
	s.Expire(100+SaltDays*24, now)
	if all, _ := s.Len(); all != 2*JoinsPerHour {
		t.Errorf("%d left while salts hold", all)
	}
	s.Expire(101+SaltDays*24, now)
	if all, _ := s.Len(); all != 0 {
		t.Errorf("%d left after their salts", all)
	}
	s.Put(waiting(1), 100, now)
	s.Expire(100, now.Add(7*24*time.Hour))
	if all, _ := s.Len(); all != 0 {
		t.Error("an expired descriptor stays")
	}
	free := NewPending(genesis.Testnet(), 10)
	for n := range 100 {
		c := waiting(n)
		c.Entry, c.Work = ridOf(77), record.Work{}
		if free.Put(c, 0, now) != Taken {
			t.Fatal("a testnet asks for nothing")
		}
	}
	if len(free.Draw(hashOf("b", 1), HeldBefore(genesis.Testnet(), 0), LaneOpen)) != 100 {
		t.Error("and nobody waits")
	}
}

func TestPendingDependsOnNoMapOrder(t *testing.T) {
	run := func() (out []record.RID) {
		s, now := NewPending(genesis.Public(), 10), start()
		s.bound = 80
		for n := range 200 {
			s.Put(waiting(n), 100, now)
			now = checkAll(s, now.Add(time.Second), func(nonce uint64) int { return 12 + int(nonce*7%5) })
		}
		out = s.Draw(hashOf("b", 1), math.MaxUint64, LaneOpen)
		for _, d := range s.Digests() {
			out = append(out, record.RID(d[:16]))
		}
		return out
	}
	want := run()
	if len(want) != 140 {
		t.Fatalf("%d", len(want))
	}
	for range 5 {
		if !slices.Equal(run(), want) {
			t.Fatal("another run, another result")
		}
	}
}

// TestACopyTakesNobodysPlace: a candidate that was checked stays, with the time that it has
// waited, whatever copies of its descriptor come with work that is none, with a voucher or
// without, before or after its own next one. Spec: ADM-6.
func TestACopyTakesNobodysPlace(t *testing.T) {
	const none = 999 // a nonce that is no work
	p := genesis.Public()
	bits := func(nonce uint64) int {
		if nonce == none {
			return 0
		}
		return 12
	}
	mine := waiting(1)
	next := mine
	next.Seq, next.Digest, next.Work.Nonce = 2, hashOf("two", 1), 77
	copied := func(c Candidate, how func(c *Candidate)) Candidate {
		c.Entry, c.Work.Nonce = ridOf(78), none
		how(&c)
		return c
	}
	unasked := func(c *Candidate) { c.Vouched, c.Sponsor, c.Digest = true, ridOf(77), hashOf("unasked", int(c.Seq)) }
	for name, come := range map[string][]Candidate{
		"a copy with a voucher":           {copied(mine, unasked)},
		"a copy before the next":          {copied(next, func(*Candidate) {}), next},
		"a copy with a voucher before it": {copied(next, unasked), next},
		"a copy after the next":           {next, copied(next, unasked)},
	} {
		s, now := NewPending(p, 100), start()
		s.Put(mine, 100, now)
		now = checkAll(s, now, bits)
		now = now.Add(p.RepublishGap)
		honest := slices.DeleteFunc(slices.Clone(come), func(c Candidate) bool { return c.Work.Nonce == none })
		for _, come := range [][]Candidate{come, honest} { // what was refused comes again, by a repair
			for _, c := range come {
				s.Put(c, 172, now)
				if got, checked, _ := s.Get(mine.RID); !checked || got.Work.Nonce == none {
					t.Errorf("%s: what was checked does not stand", name)
				}
			}
			now = checkAll(s, now, bits)
		}
		got, checked, _ := s.Get(mine.RID)
		if r, ok := s.Receipt(mine.RID); !ok || r.Epoch != 100 || !checked || got.Vouched {
			t.Errorf("%s: %+v, receipt %+v", name, got, r)
		}
		if _, named := s.Sponsored(ridOf(77)); named {
			t.Errorf("%s: the sponsor has a candidate", name)
		}
		if (len(honest) > 0) != (got.Seq == 2) {
			t.Errorf("%s: seq %d", name, got.Seq)
		}
		if all, unchecked := s.Len(); all != 1 || unchecked != 0 || len(s.newer) != 0 || len(s.digests) != 1 {
			t.Errorf("%s: %d held, %d wait, %d beside", name, all, unchecked, len(s.newer))
		}
	}
	// What stands beside another takes its place when that goes, and goes with it.
	s, now := NewPending(p, 100), start()
	s.Put(mine, 100, now)
	now = checkAll(s, now, bits).Add(p.RepublishGap)
	s.Put(next, 172, now)
	s.drop(s.all[mine.RID])
	if got, checked, ok := s.Get(mine.RID); !ok || checked || got.Seq != 2 || len(s.newer) != 0 {
		t.Errorf("%+v, checked %v", got, checked)
	}
	checkAll(s, now, bits)
	if r, _ := s.Receipt(mine.RID); r.Epoch != 100 {
		t.Errorf("what took its place has waited since %d, and not since the first came", r.Epoch)
	}
	s.Put(mine, 172, now)
	s.Remove(mine.RID)
	if all, unchecked := s.Len(); all+unchecked+len(s.all)+len(s.newer)+len(s.named) != 0 {
		t.Error("something is left")
	}
}

// A flood of better work closes the open lane, not the one that vouchers keep open: who
// has a voucher is taken into a full store, checked soon, and goes last. Of one sponsor
// one candidate is held. Spec: ADM-6.
func TestPendingKeepsTheVouched(t *testing.T) {
	p := genesis.Public()
	s, now := NewPending(p, 100), start()
	vouched := func(n, sponsor int) Candidate {
		c := waiting(n)
		c.Vouched, c.Sponsor = true, ridOf(2_000_000+sponsor)
		return c
	}
	n := 0
	for len(s.all)-len(s.waiting) < s.maxChecked() {
		for ; s.Put(waiting(n), 100, now) != Refused; n++ {
		}
		now = checkAll(s, now, func(uint64) int { return 20 })
	}
	for ; s.Put(waiting(n), 100, now) != Refused; n++ {
	}
	newest := ridOf(n - 1)
	all, unchecked := s.Len()
	c := vouched(1<<20, 1)
	if got := s.Put(c, 100, now); got != Taken {
		t.Fatalf("a vouched candidate, with everything full: %d", got)
	}
	if a, w := s.Len(); a != all || w != unchecked {
		t.Errorf("%d held, %d unchecked; %d and %d before", a, w, all, unchecked)
	}
	if _, _, held := s.Get(newest); held {
		t.Error("somebody else than the newest unchecked one gave way")
	}
	now = now.Add(CheckGap)
	first, _, ok := s.NextCheck(now)
	now = now.Add(CheckGap)
	second, _, _ := s.NextCheck(now)
	if !ok || (first.RID == c.RID) == (second.RID == c.RID) {
		t.Error("of two checks one is of who has a voucher, the other of who waits longest")
	}
	if !s.Checked(c.Digest, p.WorkBits) {
		t.Error("a vouched candidate was driven out by work")
	}
	if s.Put(vouched(1<<20+20, 1), 100, now) != Refused {
		t.Error("two candidates of one sponsor")
	}
	again := c
	again.Seq, again.Digest = 2, hashOf("digest again", 1)
	if s.Put(again, 101, now.Add(p.RepublishGap)) != Taken {
		t.Error("a vouched candidate cannot publish again")
	}
	s.Remove(c.RID)
	if s.Put(vouched(1<<20+20, 1), 101, now.Add(p.RepublishGap)) != Taken {
		t.Error("a sponsor is not free once its candidate went")
	}
	// When all that wait have vouchers nobody gives way to a further one.
	s = NewPending(p, 100)
	for n = 0; s.Put(vouched(n, n), 100, now) == Taken; n++ {
	}
	if n != MinPending/waitingPart {
		t.Errorf("%d unchecked with vouchers", n)
	}
	free := NewPending(genesis.Testnet(), 100)
	if free.Put(vouched(1, 1), 100, now) != Taken || free.Put(vouched(2, 1), 100, now) != Taken {
		t.Error("vouchers are counted where sponsors have as many as they like")
	}
}

// filled returns a store that is full for a table of n relays: of unchecked candidates
// and of checked ones, one in five with a voucher.
func filled(t testing.TB, n int) *Pending {
	s := NewPending(genesis.Public(), n)
	now := start()
	put := func(i int) bool {
		c := waiting(i)
		if c.Vouched = i%5 == 0; c.Vouched {
			c.Sponsor = ridOf(2_000_000 + i)
		}
		return s.Put(c, 100, now) == Taken
	}
	i := 0
	for ; len(s.all)-len(s.waiting) < s.maxChecked(); i++ {
		if !put(i) || !s.Checked(waiting(i).Digest, 12+i*7919%9) {
			t.Fatalf("%d is not taken", i)
		}
	}
	for ; len(s.waiting) < s.maxWaiting(); i++ {
		if !put(i) {
			t.Fatalf("%d is not taken", i)
		}
	}
	return s
}

// A table that shrinks at once leaves the candidates that one that shrinks bit by bit
// does, in their order.
func TestPendingResizedAtOnceOrInSteps(t *testing.T) {
	once, steps := filled(t, 6000), filled(t, 6000)
	once.Resize(100)
	for n := 6000; n > 100; n -= 50 {
		steps.Resize(n)
	}
	steps.Resize(100)
	if all, unchecked := once.Len(); all != MinPending || unchecked != MinPending/waitingPart || len(once.digests) != all || len(once.named) == 0 {
		t.Fatalf("%d held, %d unchecked, %d digests", all, unchecked, len(once.digests))
	}
	if !slices.Equal(once.Digests(), steps.Digests()) || !slices.EqualFunc(once.waiting, steps.waiting, func(a, b *held) bool { return a.RID == b.RID }) {
		t.Error("they differ")
	}
	for _, h := range once.waiting {
		if once.all[h.RID] != h {
			t.Fatal("one waits that is not held")
		}
	}
	for sponsor, rid := range once.named {
		if once.all[rid] == nil || once.all[rid].Sponsor != sponsor {
			t.Fatal("a sponsor of one who is gone is named")
		}
	}
}

func BenchmarkPendingResize(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s := filled(b, 10_000)
		b.StartTimer()
		s.Resize(100)
	}
}
