// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"slices"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
)

// trio is a lab with three callers.
func trio(t testing.TB) (*lab, *far, *far, *far) {
	l := newLab(t, 60, genesis.Public())
	may, _ := l.callers()
	return l, l.up(may[0], true), l.up(may[1], true), l.up(may[2], true)
}

// Spec: GOS-5, GOS-6.
func TestARecordIsAskedForOnceAndPassedOn(t *testing.T) {
	l, a, b, c := trio(t)
	d, data := l.data('D', 1)
	a.inv('D', d)
	if got := a.ids(typeGet); !slices.Equal(got, []ShortID{a.name(d)}) {
		t.Fatalf("asked %v", got)
	}
	a.inv('D', d)
	b.inv('D', d) // another id, and nobody can know that it is the same
	if len(a.ids(typeGet)) != 0 || len(b.ids(typeGet)) != 0 {
		t.Error("asked twice")
	}
	a.says(&Item{Class: 'D', Data: data})
	if l.store.held[d] == nil {
		t.Fatal("not stored")
	}
	l.pass(time.Minute)
	if got := len(b.ids(typeGet)) + len(b.ids(typeInv)) + len(a.ids(typeInv)); got != 0 {
		t.Error("who had announced it was told, or asked")
	}
	if got := c.ids(typeInv); !slices.Equal(got, []ShortID{c.name(d)}) {
		t.Errorf("told %v", got)
	}
	c.inv('D', d)
	if len(c.ids(typeGet)) != 0 {
		t.Error("asked for what is held")
	}
	if s := l.m.Stats(); s.ItemsNew != 1 || s.ItemsKnown != 0 || s.Undelivered != 0 {
		t.Errorf("%+v", s)
	}
	// What was about to be told is not, once the other side says it.
	own, bytes := l.data('D', 2)
	l.store.add('D', own, bytes)
	l.step(Announce{'D', own})
	a.inv('D', own)
	l.pass(time.Minute)
	if len(a.ids(typeInv)) != 0 || len(b.ids(typeInv)) != 1 {
		t.Error("announcements that crossed")
	}
	if l.score(a.rid)+l.score(b.rid)+l.score(c.rid) != 0 {
		t.Error("somebody was blamed")
	}
}

// Spec: GOS-6, GOS-11.
func TestWhoDoesNotDeliverIsPassedOver(t *testing.T) {
	l, a, b, c := trio(t)
	d, data := l.data('D', 1)
	a.inv('D', d)
	b.inv('D', d)
	c.inv('D', d)
	a.ids(typeGet)
	timeout := l.m.cfg.Params.GetTimeout
	l.pass(timeout/2 - 1)
	if len(b.ids(typeGet)) != 0 {
		t.Error("the next was asked too soon")
	}
	l.pass(1)
	if got := b.ids(typeGet); len(got) != 1 || len(c.ids(typeGet)) != 0 {
		t.Error("after half the time the next, and only it")
	}
	l.pass(timeout / 2)
	if l.score(a.rid) != penaltyUndelivered || l.score(b.rid) != 0 {
		t.Errorf("scores %d, %d", l.score(a.rid), l.score(b.rid))
	}
	if got := c.ids(typeGet); len(got) != 1 {
		t.Error("then the third")
	}
	a.says(&Item{Class: 'D', Data: data}) // late, but it was asked
	if l.store.held[d] == nil || l.m.Stats().Unasked != 0 {
		t.Error("a late delivery was refused")
	}
	// One who has failed makes nobody wait, and is asked after the others.
	e, _ := l.data('D', 2)
	a.inv('D', e)
	if len(a.ids(typeGet)) != 1 {
		t.Error("it alone has it")
	}
	b.inv('D', e)
	if len(b.ids(typeGet)) != 1 {
		t.Error("b waits for one who has failed")
	}
	c.inv('D', e)
	if len(c.ids(typeGet)) != 0 {
		t.Error("c does not wait for b")
	}
	// One who has delivered is given the whole time.
	f, bytes := l.data('D', 3)
	l.pass(time.Minute)
	for _, x := range []*far{a, b, c} {
		x.heard()
	}
	l.m.peerOf(b.rid).doubt, l.m.peerOf(c.rid).doubt = 0, 0
	b.inv('D', f)
	b.says(&Item{Class: 'D', Data: bytes})
	g, _ := l.data('D', 4)
	b.inv('D', g)
	c.inv('D', g)
	l.pass(timeout - 1)
	if len(c.ids(typeGet)) != 0 {
		t.Error("one who has delivered was given half the time")
	}
	l.pass(1)
	if len(c.ids(typeGet)) != 1 {
		t.Error("and more than the whole")
	}
}

// Spec: GOS-11.
func TestTwentyFailuresClose(t *testing.T) {
	l, a, _, _ := trio(t)
	for n := range 21 {
		if _, closed := l.closed[a.link]; closed != (n == 20) {
			t.Fatalf("after %d failures: closed %v", n, closed)
		}
		if n == 20 {
			break
		}
		d, _ := l.data('D', n)
		a.inv('D', d)
		l.pass(l.m.cfg.Params.GetTimeout)
	}
	if l.closed[a.link] != ReasonPenalty {
		t.Error("closed for another reason")
	}
	// However much is overdue together is one failure.
	l, a, _, _ = trio(t)
	var all []Digest
	for n := range MaxGetCount {
		d, _ := l.data('D', n)
		all = append(all, d)
	}
	a.inv('D', all...)
	l.pass(l.m.cfg.Params.GetTimeout)
	if l.score(a.rid) != penaltyUndelivered || l.m.Stats().Undelivered != MaxGetCount {
		t.Errorf("score %d for %d", l.score(a.rid), l.m.Stats().Undelivered)
	}
}

// Spec: GOS-6, GOS-11.
func TestNoneAndStrangeItems(t *testing.T) {
	l, a, b, c := trio(t)
	d, _ := l.data('D', 1)
	a.inv('D', d)
	b.inv('D', d)
	a.says(&IDs{Type: typeNone, Class: 'D', IDs: []ShortID{a.name(d)}})
	if len(b.ids(typeGet)) != 1 || l.score(a.rid) != penaltyNone {
		t.Error("one who has not, and the next")
	}
	_, other := l.data('D', 2)
	c.says(&Item{Class: 'D', Data: other})
	if l.score(c.rid) != penaltyUnasked || l.m.Stats().ItemsNew != 0 {
		t.Error("an item that nobody asked for was taken for free")
	}
	b.says(&Item{Class: 'D', Data: other})
	if l.score(b.rid) != penaltyUnasked || l.m.Stats().Unasked != 2 {
		t.Error("another item than was asked for")
	}
	l.store.verdict = func(byte, []byte) Verdict { return VerdictInvalid }
	b.says(&Item{Class: 'D', Data: []byte("bad")})
	if why, closed := l.closed[b.link]; !closed || why != ReasonBroken {
		t.Error("an invalid record does not close")
	}
}

// Spec: GOS-6.
func TestAtMostThirtyTwoAreOutstanding(t *testing.T) {
	l, a, _, _ := trio(t)
	var all []Digest
	for n := range 100 {
		d, _ := l.data('D', n)
		all = append(all, d)
	}
	a.inv('D', all...)
	if got := a.ids(typeGet); len(got) != MaxGetCount {
		t.Fatalf("%d outstanding", len(got))
	}
	for n := range 16 {
		if got := a.ids(typeGet); len(got) != 0 {
			t.Errorf("%d asked after %d came", len(got), n)
		}
		_, data := l.data('D', n)
		a.says(&Item{Class: 'D', Data: data})
	}
	if got := a.ids(typeGet); len(got) != 16 {
		t.Errorf("%d asked after half came", len(got))
	}
	// It makes progress, so it is given time.
	for n := 16; n < 90; n++ {
		l.pass(l.m.cfg.Params.GetTimeout - time.Millisecond)
		_, data := l.data('D', n)
		a.says(&Item{Class: 'D', Data: data})
	}
	if l.score(a.rid) != 0 || l.m.Stats().ItemsNew != 90 {
		t.Errorf("score %d, %d records", l.score(a.rid), l.m.Stats().ItemsNew)
	}
}

// Spec: GOS-7.
func TestServingHasABudget(t *testing.T) {
	l, a, _, _ := trio(t)
	var ids []ShortID
	for n := range 2 * maxServing {
		data := make([]byte, 60<<10)
		data[0], data[1] = byte(n), 1
		d := l.store.w.name('V', data)
		l.store.add('V', d, data)
		ids = append(ids, a.name(d))
	}
	count := func() (items, none int) {
		for _, x := range a.heard() {
			switch x := x.(type) {
			case *Item:
				items++
			case *IDs:
				none += len(x.IDs)
			}
		}
		return items, none
	}
	for chunk := range slices.Chunk(ids, MaxGetCount) {
		a.says(&IDs{Type: typeGet, Class: 'V', IDs: chunk})
	}
	items, none := count()
	if items != ServeBurst/(60<<10)+1 || none != 2*maxServing-maxServing-items {
		t.Errorf("%d at once, %d denied", items, none)
	}
	before := l.now
	for items < maxServing {
		l.pass(100 * time.Millisecond)
		more, _ := count()
		items += more
	}
	seconds := l.now.Sub(before).Seconds()
	if rate := float64((maxServing-5)*(60<<10)) / seconds; rate < 0.95*ServePerSecond || rate > 1.05*ServePerSecond {
		t.Errorf("%.0f bytes a second", rate)
	}
	a.says(&IDs{Type: typeGet, Class: 'D', IDs: ids[:1]})
	if items, none := count(); items != 0 || none != 1 {
		t.Error("served under another class")
	}
}

// Spec: GOS-7, GOS-11.
func TestAskingForWhatIsNotThereCosts(t *testing.T) {
	l, a, _, _ := trio(t)
	denied, frames := 0, 0
	for frames < 10_000 {
		if _, closed := l.closed[a.link]; closed {
			break
		}
		a.says(&IDs{Type: typeGet, Class: 'D', IDs: idsOf(MaxGetCount)})
		denied += len(a.ids(typeNone))
		frames++
	}
	if most := 2 * ServeBurst / askCost; denied > most+MaxGetCount || denied < most {
		t.Errorf("%d denied", denied)
	}
	if want := denied/MaxGetCount + penaltyLimit; frames != want {
		t.Errorf("closed after %d frames, not %d", frames, want)
	}
	l, a, _, _ = trio(t)
	for range 600 { // as fast as the budget allows, nobody is blamed
		a.says(&IDs{Type: typeGet, Class: 'D', IDs: idsOf(MaxGetCount)})
		a.says(&State{})
		l.pass(40 * time.Millisecond)
	}
	if l.score(a.rid) != 0 || l.m.Stats().Dropped != 0 {
		t.Errorf("score %d", l.score(a.rid))
	}
}

// Nothing that a peer sends makes others hear of it but a new record that holds.
// Spec: GOS-5.
func TestNothingButWhatIsNewIsPassedOn(t *testing.T) {
	for name, f := range frames() {
		for _, verdict := range []Verdict{VerdictKnown, VerdictLater, VerdictInvalid} {
			l, a, b, c := trio(t)
			l.store.verdict = func(byte, []byte) Verdict { return verdict }
			if x, ok := f.(*Item); ok {
				a.inv(x.Class, l.store.w.name(x.Class, x.Data))
			}
			a.says(f)
			l.pass(10 * time.Second)
			if got := len(b.heard()) + len(c.heard()); got != 0 {
				t.Errorf("%s, verdict %d: %d frames to others", name, verdict, got)
			}
		}
	}
}

// Spec: GOS-5.
func TestPushedRecordsGoToEverybodyAtOnce(t *testing.T) {
	for _, class := range []byte{record.ClassCertificate, record.ClassTombstone, record.ClassEvidence} {
		l, a, b, c := trio(t)
		_, data := l.data(class, 1)
		a.says(&Item{Pushed: true, Class: class, Data: data})
		for _, x := range []*far{b, c} {
			got := x.heard()
			if len(got) != 1 || !got[0].(*Item).Pushed {
				t.Errorf("class %c: %v", class, got)
			}
		}
		if len(a.heard()) != 0 {
			t.Error("pushed back")
		}
		b.says(&Item{Pushed: true, Class: class, Data: data})
		if len(a.heard())+len(c.heard()) != 0 {
			t.Error("a known record was pushed on")
		}
	}
	l, _, _, _ := trio(t)
	may, _ := l.callers()
	l.store.add(record.ClassCertificate, l.view.Head, []byte{9})
	old := hello()
	old.Epoch = 999
	f := l.link(may[3], true)
	f.says(old)
	if got := f.heard(); len(got) != 2 || got[1].(*Item).Class != record.ClassCertificate {
		t.Error("one who is behind is not told of the newest certificate")
	}
}

// Spec: GOS-7.
func TestExcessIsDropped(t *testing.T) {
	l, a, _, _ := trio(t)
	send := func(from, count int) {
		for n := from; n < from+count; n += 100 {
			var ds []Digest
			for k := range 100 {
				d, _ := l.data('D', n+k)
				ds = append(ds, d)
			}
			a.inv('D', ds...)
		}
	}
	send(0, BurstItems)
	if l.m.Stats().Dropped != 0 {
		t.Errorf("%d of the burst dropped", l.m.Stats().Dropped)
	}
	send(BurstItems, 500)
	if got := l.m.Stats().Dropped; got != 500 || l.score(a.rid) != 5*penaltyExcess {
		t.Errorf("%d dropped, score %d", got, l.score(a.rid))
	}
	p := l.m.peerOf(a.rid)
	perHour := RateFactor * itemsHourly(l.m.cfg.Params, 60, 20)
	l.m.now = l.now.Add(30 * time.Minute)
	l.m.refill(p)
	if got := p.items.tokens / milli; got < perHour/2-1 || got > perHour/2+1 {
		t.Errorf("%d tokens in half an hour at %d an hour", got, perHour)
	}
	if perHour != 3*(60+0+0+44) {
		t.Errorf("%d an hour", perHour)
	}
	for n := range 1000 { // small steps lose nothing
		l.m.now = l.now.Add(30*time.Minute + time.Duration(n)*1800*time.Millisecond)
		l.m.refill(p)
	}
	if got := p.items.tokens / milli; got < perHour-3 || got > perHour+1 {
		t.Errorf("%d tokens in an hour of small steps", got)
	}
}

// Spec: GOS-12.
func TestOffersAndQueuesAreBounded(t *testing.T) {
	l, a, b, _ := trio(t)
	most := minOffers + 60*offersPerRelay
	may, _ := l.callers()
	all := 0
	for i, rid := range append(slices.Clone(may[:1]), l.m.assigned...) {
		x := a
		if i > 0 {
			x = l.up(rid, false)
		}
		p := l.m.peerOf(x.rid)
		p.items.grant(100_000)
		for n := 0; n < 2*most; n += MaxInvCount {
			var ids []ShortID
			for k := range MaxInvCount {
				ids = append(ids, ShortID(n+k+1))
			}
			x.says(&IDs{Type: typeInv, Class: 'D', IDs: ids})
		}
		if i == 0 && p.offers.len() != most {
			t.Errorf("%d offers", p.offers.len())
		}
		all += p.offers.len()
	}
	if all != peersOfOffers*most {
		t.Errorf("%d offers of all", all)
	}
	l.m.cfg.Params.InvMeanIn = 1000 * time.Hour
	for n := range maxQueued + 10 {
		d, data := l.data('C', n)
		l.store.add('C', d, data)
		l.step(Announce{'C', d})
	}
	p := l.m.peerOf(b.rid)
	if first, _ := l.data('C', 10); len(p.queue[0]) != maxQueued || p.queue[0][0].digest != first {
		t.Errorf("%d queued", len(p.queue[0]))
	}
}

// Spec: GOS-5.
func TestWhatIsForLaterIsAnnouncedWhenItHolds(t *testing.T) {
	l, a, b, _ := trio(t)
	l.store.verdict = func(byte, []byte) Verdict { return VerdictLater }
	d, data := l.data('C', 1)
	a.inv('C', d)
	b.inv('C', d)
	l.store.add('C', d, data) // the owner keeps it
	a.says(&Item{Class: 'C', Data: data})
	l.pass(time.Minute)
	if len(b.ids(typeGet)) != 0 || l.m.Stats().ItemsLater != 1 {
		t.Error("asked for again")
	}
	l.step(Announce{'C', d})
	l.pass(time.Minute)
	if len(b.ids(typeInv)) != 1 {
		t.Error("not announced when it held")
	}
}

// What a new neighbour missed and repair does not compare.
func TestVotesAreToldToNewNeighbours(t *testing.T) {
	l, _, _, _ := trio(t)
	for n, class := range []byte("VPGE") {
		d, data := l.data(class, n)
		l.store.add(class, d, data)
		l.step(Announce{class, d})
	}
	may, _ := l.callers()
	f := l.up(may[3], true)
	l.pass(time.Minute)
	if got := f.ids(typeInv); len(got) != 4 {
		t.Errorf("told of %d", len(got))
	}
}

// BenchmarkInv is an INV of one new descriptor at a relay that holds 10,000.
func BenchmarkInv(b *testing.B) {
	l, a, _, _ := trio(b)
	for n := range 10_000 {
		d, data := l.data('D', n)
		l.store.add('D', d, data)
	}
	p := l.m.peerOf(a.rid)
	n := uint64(0)
	for b.Loop() {
		n++
		p.items.grant(1)
		p.offers, p.gets = offers{}, nil
		l.m.offered(p, &IDs{Type: typeInv, Class: 'D', IDs: []ShortID{ShortID(n)}})
		l.m.out = nil
	}
}

// BenchmarkItem is a delivered record of 400 bytes at a relay with 16 neighbours.
func BenchmarkItem(b *testing.B) {
	l := newLab(b, 17, genesis.Public())
	var peers []*far
	for _, r := range l.view.Relays {
		if r.RID != ridOf(0) {
			peers = append(peers, l.up(r.RID, true))
		}
	}
	n := 0
	for b.Loop() {
		n++
		d, data := l.data('D', n)
		l.m.peerOf(peers[0].rid).items.grant(1)
		peers[0].inv('D', d)
		peers[0].says(&Item{Class: 'D', Data: data})
		if n%64 == 0 {
			l.pass(10 * time.Second)
			clear(l.frames)
		}
	}
}

// A relay that has learnt a lot at once tells its neighbours no faster than they take
// it, and news before what is old. Spec: GOS-7.
func TestAnnouncingKeepsToThePeersBucket(t *testing.T) {
	l, a, _, _ := trio(t)
	const count = 3000
	ids := map[ShortID]int{}
	for n := range count {
		d, data := l.data('D', n)
		ids[a.name(d)] = n
		l.store.add('D', d, data)
		l.step(Announce{'D', d})
	}
	l.pass(20 * time.Second)
	first := a.ids(typeInv)
	if len(first) < BurstItems*8/10 || len(first) > BurstItems {
		t.Errorf("%d at once", len(first))
	}
	d, data := l.data('D', count)
	ids[a.name(d)] = count
	l.store.add('D', d, data)
	l.step(Announce{'D', d})
	l.pass(5 * time.Minute)
	if second := a.ids(typeInv); len(second) == 0 || ids[second[0]] != count {
		t.Errorf("%d more, not the news first", len(second))
	}
	before := l.now
	told := len(first)
	for told < count*6/10 {
		l.pass(time.Hour)
		told += len(a.ids(typeInv))
	}
	perHour := RateFactor * itemsHourly(l.m.cfg.Params, 60, 20)
	if hours := int64(l.now.Sub(before) / time.Hour); int64(told-len(first)) > (hours+1)*perHour {
		t.Errorf("%d in %d hours", told-len(first), hours)
	}
}

func TestOffersInOrder(t *testing.T) {
	var o offers
	for n := range uint64(10) {
		o.add(named{"DC"[n%2], ShortID(n)}, n+1)
	}
	if !o.remove(named{'D', 0}) || o.remove(named{'D', 0}) || o.remove(named{'D', 1}) || o.len() != 9 {
		t.Error("removed what is not there, or not what is")
	}
	o.add(named{'D', 0}, 11) // again, and so the newest
	if order, ok := o.oldest('D'); !ok || order != 3 {
		t.Errorf("oldest %d", order)
	}
	if got := o.take('D', 3); !slices.Equal(got, []ShortID{2, 4, 6}) {
		t.Errorf("took %v", got)
	}
	if got := o.take('D', 9); !slices.Equal(got, []ShortID{8, 0}) || o.len() != 5 {
		t.Errorf("then %v", got)
	}
	if got := o.take('C', 9); len(got) != 5 || o.len() != 0 || o.order != nil {
		t.Error("something is left")
	}
	if _, ok := o.oldest('D'); ok {
		t.Error("something is old")
	}
	o.add(named{'D', 1}, 1) // stays, so that what comes and goes lies behind it
	for n := range uint64(10_000) {
		o.add(named{'D', 2}, n+2)
		o.remove(named{'D', 2})
	}
	if got := len(o.lists[at('D')]); got > 100 {
		t.Errorf("%d entries for one", got)
	}
}
