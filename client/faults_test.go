// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"chive/directory/record"
	"chive/directory/snapshot"
	dirsync "chive/directory/sync"
	"chive/directory/transition"
	"chive/directory/vote"
	"chive/internal/strictcbor"
	"chive/link"
)

// TestAReplacedListRaisesNoAlarm has relays that know nothing of the time before, on
// whose list the one in use was replaced.
//
// Spec: protocol §7 (SYNC-8, BOOT-2)
func TestAReplacedListRaisesNoAlarm(t *testing.T) {
	inVillage(t, 6, func(t *testing.T, v *village) {
		common := v.chain().grow(17, 0)
		orphan := common.fork(17).grow(19, 1)
		main := common.fork(17)
		main.skip(1)
		main.grow(40, 0)
		for _, r := range v.relays {
			r.holds(orphan.server())
		}
		v.epoch(19)
		w := v.walk(nil)
		defer w.end()
		if err := w.obtain(t.Context(), 0); err != nil || w.held() != 18 {
			t.Fatalf("%v, holds epoch %d", err, w.held())
		}
		young := dirsync.NewServer(v.doc)
		for i := 18; i <= 20; i++ { // epochs 19 to 21
			young = young.With(dirsync.Final{State: main.states[i], Certificate: main.certs[i]})
		}
		for _, r := range v.relays {
			r.holds(young)
		}
		for _, e := range []uint64{21, 22, 24} {
			v.epoch(e)
			_ = w.obtain(t.Context(), 0)
			if st := w.Status(); st.Alarm != nil || len(w.dir.dropped) > 0 {
				t.Errorf("epoch %d: alarm %+v, %d dropped", e, st.Alarm, len(w.dir.dropped))
			}
		}
		for _, r := range v.relays {
			r.follows(main, 39)
		}
		v.epoch(30)
		if err := w.obtain(t.Context(), 0); err != nil || w.held() < 25 || w.Status().Alarm != nil {
			t.Errorf("%v, holds epoch %d", err, w.held())
		}
	})
}

// TestTheWallClockHasTheListFetched sets the clock on the wall forward while timers
// stand still, as a machine does that wakes up.
//
// Spec: protocol §7 (BOOT-5)
func TestTheWallClockHasTheListFetched(t *testing.T) {
	inVillage(t, 7, func(t *testing.T, v *village) {
		p := v.doc.Params
		p.ClientFetch, p.ClientJitter = 2*time.Hour, 30*time.Minute
		c := v.chain().grow(90, 0)
		for _, r := range v.relays {
			r.holds(c.fork(12).server())
		}
		v.epoch(12)
		d := *v.doc
		d.Params = p
		w := v.walk(nil)
		defer w.end()
		w.settleIn(t)
		w.doc = &d
		end := w.following(t)
		v.pass(time.Second)
		v.pass(checkLatest) // the first fetch
		next := w.Status().NextFetch
		if time.Until(next) < time.Hour {
			t.Fatalf("the next fetch is in %v", time.Until(next))
		}
		for _, r := range v.relays {
			r.holds(c.server())
		}
		end()
		woken := d
		woken.Time = d.Time.Add(-time.Duration(p.Refuse+5) * p.EpochLen)
		w.doc = &woken
		if !w.refusesAt(time.Now()) {
			t.Fatal("the list is not too old")
		}
		began := time.Now()
		if !w.awaitFetch(t.Context(), 2*time.Hour, false) || time.Since(began) > time.Minute {
			t.Errorf("a list that is too old was left for %v", time.Since(began))
		}
		// Who is refused a circuit has the list fetched, but not again and again.
		w.mu.Lock()
		w.dir.fetchedAt = time.Now()
		w.mu.Unlock()
		for range 3 {
			if _, _, err := w.choose(needWeb, nil); err == nil {
				t.Fatal("a circuit with a list that is too old")
			}
		}
		if len(w.dir.stir) != 0 {
			t.Error("a fetch a moment after one")
		}
		v.pass(refetchGap)
		_, _, _ = w.choose(needWeb, nil)
		if len(w.dir.stir) != 1 {
			t.Error("no fetch for a circuit that was refused")
		}
	})
}

// TestFalseTimesOfGuardsStopNothing has two of three guards, which show false
// certificates and old lists.
//
// Spec: protocol §7 (BOOT-3)
func TestFalseTimesOfGuardsStopNothing(t *testing.T) {
	inVillage(t, 7, func(t *testing.T, v *village) {
		c := v.chain().grow(90, 0)
		for _, r := range v.relays {
			r.follows(c, 90)
		}
		v.epoch(10)
		w := v.walk(nil)
		defer w.end()
		w.settleIn(t)
		guards := w.Guards()
		for _, r := range v.relays {
			if i := slices.Index(guards, r.rid); i == 0 || i == 1 {
				r.stop()
				r.follows(c, 10)
			}
		}
		for _, g := range guards {
			if l := w.links.Lookup(g); l != nil {
				_ = l.Close()
			}
		}
		v.pass(time.Second)
		for _, r := range v.relays {
			if i := slices.Index(guards, r.rid); i == 0 || i == 1 {
				r.start(20 * 24 * time.Hour)
			}
		}
		end := w.following(t)
		defer end()
		for e := uint64(20); e < 90; e += 8 {
			v.epoch(e)
			if st := w.Status(); st.Epoch+8 < e || st.Clock != "" || st.Bootstrap.Cause != "" {
				t.Fatalf("epoch %d: holds %d, clock %q, %s", e, st.Epoch, st.Clock, st.Bootstrap.Cause)
			}
		}
	})
}

// TestAStallShowsAClientToFewRelays has a network that makes no lists any more, and no
// circuit that leads anywhere.
//
// Spec: protocol §7 (BOOT-5)
func TestAStallShowsAClientToFewRelays(t *testing.T) {
	inVillage(t, 40, func(t *testing.T, v *village) {
		c := v.chain().grow(12, 0)
		for _, r := range v.relays {
			r.holds(c.server())
		}
		v.epoch(12)
		w := v.walk(nil)
		defer w.end()
		w.settleIn(t)
		v.epoch(12 + uint64(v.doc.Params.Refuse) + 3)
		before := w.askLast
		w.askLast = func(context.Context, *snapshot.Relay, int, func(context.Context, stream) error) error { return errLost }
		known := func() (n int) {
			for _, r := range v.relays {
				if _, links := r.count(); links > 0 {
					n++
				}
			}
			return n
		}
		for range 40 {
			_ = w.round(t.Context())
		}
		if n := known(); n > 3+1+voices { // guards, the first source, strangers
			t.Errorf("%d of 40 relays were linked to", n)
		}
		kept := w.strangerSources(time.Now())
		// Those that are dead are replaced one by one.
		for _, r := range v.relays {
			if slices.ContainsFunc(kept, func(s source) bool { return s.rid == r.rid }) {
				r.stop()
				if l := w.links.Lookup(r.rid); l != nil {
					_ = l.Close()
				}
				v.net.Kill(r.addr.Addr())
			}
		}
		for range 2 * strangerFailures {
			_ = w.round(t.Context())
		}
		v.pass(v.doc.Params.EpochLen)
		now, same := w.strangerSources(time.Now()), 0
		for _, s := range now {
			if slices.ContainsFunc(kept, func(o source) bool { return o.rid == s.rid }) {
				same++
			}
		}
		if len(now) != voices || same != voices-1 {
			t.Errorf("%d strangers, %d of them as before", len(now), same)
		}
		// Where circuits are to be had nobody else is asked.
		links := known()
		for _, s := range kept { // those that are dead would be drawn as last hops otherwise
			w.avoidRelay(s.rid)
		}
		w.askLast = before
		w.dir.strangers, w.dir.renewed = nil, time.Time{}
		_ = w.round(t.Context())
		if len(w.dir.strangers) != 0 {
			t.Errorf("strangers were asked, %d relays know the client, %d before", known(), links)
		}
	})
}

// TestWhoTricklesHoldsABootstrapUpForSecondsOnly has nobody but such sources.
//
// Spec: protocol §7 (BOOT-2)
func TestWhoTricklesHoldsABootstrapUpForSecondsOnly(t *testing.T) {
	inVillage(t, 9, func(t *testing.T, v *village) {
		s := v.chain().grow(12, 0).server()
		for _, r := range v.relays {
			r.holds(s)
			r.pace = 9 * time.Second
		}
		v.epoch(12)
		w := v.walk(nil)
		defer w.end()
		began := time.Now()
		if err := w.obtain(t.Context(), 0); err == nil {
			t.Error("a list was obtained")
		}
		if took := time.Since(began); took > 9*(fetchPatience+time.Second) {
			t.Errorf("nine sources took %v", took)
		}
	})
}

// TestPatienceGrowsWithTheTable bounds all of a fetch.
func TestPatienceGrowsWithTheTable(t *testing.T) {
	p := &patient{began: time.Unix(0, 0)}
	last := time.Duration(0)
	for _, parts := range []int{0, 1, 3, 1 << 30} {
		p.expect(parts)
		d := p.end.Sub(p.began)
		if d <= last && parts > 0 || d > fetchLimit || parts == 0 && d != fetchBase {
			t.Errorf("%d parts: %v", parts, d)
		}
		last = d
	}
}

// answerFrames are an answer that no Server would make.
func answerFrames(t *testing.T, a *dirsync.Answer) []byte {
	t.Helper()
	body, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	frame, err := strictcbor.Marshal(struct {
		_    struct{} `cbor:",toarray"`
		Code dirsync.Code
		Left uint8
		Data []byte
	}{Code: dirsync.Code(body[0]), Data: body[1:]})
	if err != nil {
		t.Fatal(err)
	}
	out := append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)
	return append(out, make([]byte, (dirsync.PadSize-len(out)%dirsync.PadSize)%dirsync.PadSize)...)
}

// TestInventedListsDoNotMakeAClientGiveUp has relays that name lists nobody drew.
//
// Spec: protocol §7 (SYNC-6, BOOT-2)
func TestInventedListsDoNotMakeAClientGiveUp(t *testing.T) {
	inVillage(t, 6, func(t *testing.T, v *village) {
		c := v.chain().grow(12, 0)
		for _, r := range v.relays {
			r.holds(c.server())
		}
		v.epoch(12)
		w := v.walk(nil)
		defer w.end()
		if err := w.obtain(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		fetched := w.Status().Fetched
		v.epoch(30)
		_ = w.obtain(t.Context(), 0)
		if got := w.Status().Fetched; fetched.IsZero() || !got.Equal(fetched) {
			t.Error("what was not verified counts as fetched")
		}
		for _, later := range []bool{true, false} {
			h := *c.certs[12].Header
			if h.Epoch, h.HistorySize = 22, 22; later {
				h.Epoch += 3 * uint64(v.doc.Params.Term)
			}
			for transition.OwnerName(h.Epoch) != transition.OwnerName(12) {
				h.Epoch++
			}
			h.ListA[0] ^= 1
			h.ListB[0] ^= 1
			cert, err := vote.NewCertificate(&h, c.certs[12].Signers, c.certs[12].Signatures)
			if err != nil {
				t.Fatal(err)
			}
			lie := answerFrames(t, &dirsync.Answer{Code: dirsync.CodeSync, Working: dirsync.WorkingOther, Certificate: cert.Encode()})
			for _, r := range v.relays {
				r.does(func(time.Time, []byte) []byte { return lie })
			}
			err = w.obtain(t.Context(), 0)
			if dropped := len(w.dir.dropped); errors.Is(err, errAnchor) || (dropped == 6) == later {
				t.Errorf("later %v: %v, %d dropped", later, err, dropped)
			}
		}
		// They are asked again a day later.
		if len(w.sources()) != 0 {
			t.Error("who forged is asked again")
		}
		v.pass(dropEpochs * v.doc.Params.EpochLen)
		if len(w.sources()) != 6 {
			t.Error("who forged is not asked again for ever")
		}
	})
}

// Spec: protocol §7 (BOOT-2)
func TestCircuitsLeadThroughWhoForged(t *testing.T) {
	inVillage(t, 5, func(t *testing.T, v *village) {
		w := v.walk(nil)
		defer w.end()
		w.settleIn(t)
		for _, r := range v.relays {
			w.drop(r.rid)
		}
		if _, _, err := w.choose(needWeb, nil); err != nil {
			t.Error(err)
		}
	})
}

// TestWhoseListWasReplacedMeanwhileIsNotDropped has relays that name a header, and do
// not have it any more when they are asked for its certificate.
//
// Spec: protocol §7 (BOOT-7)
func TestWhoseListWasReplacedMeanwhileIsNotDropped(t *testing.T) {
	for _, again := range []bool{false, true} {
		inVillage(t, 6, func(t *testing.T, v *village) {
			common := v.chain().grow(18, 0)
			ours, theirs := common.fork(18).grow(21, 1).server(), common.fork(18).grow(21, 2).server()
			for _, r := range v.relays {
				r.holds(ours)
			}
			v.epoch(21)
			w := v.walk(nil)
			defer w.end()
			if err := w.obtain(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			for _, r := range v.relays {
				headers := 0
				r.does(func(now time.Time, body []byte) []byte {
					s := ours
					if q, err := dirsync.DecodeRequest(body); err == nil && q.Code == dirsync.CodeHeader {
						if headers++; headers == 1 || again {
							s = theirs
						}
					}
					out, _ := s.Answer(now, body)
					return out
				})
			}
			err := w.crossCheck(t.Context())
			if dropped := len(w.dir.dropped); (err != nil) != again || (dropped > 0) != again || w.Status().Alarm != nil {
				t.Errorf("again %v: %v, %d dropped", again, err, dropped)
			}
		})
	}
}

// TestNoGuardsNoProbe has a client that has nobody yet.
//
// Spec: protocol §7 (BOOT-1)
func TestNoGuardsNoProbe(t *testing.T) {
	inVillage(t, 8, func(t *testing.T, v *village) {
		v.epoch(12)
		w := v.walk(nil)
		defer w.end()
		for range 4 {
			w.probe(t.Context())
			v.pass(probePause + time.Second)
		}
		links := 0
		for _, r := range v.relays {
			_, n := r.count()
			links += n
		}
		if links > 0 || len(w.Guards()) > 0 {
			t.Errorf("%d links, %d guards", links, len(w.Guards()))
		}
	})
}

// TestNothingStaysBorrowed ends rounds by an error.
func TestNothingStaysBorrowed(t *testing.T) {
	inVillage(t, 8, func(t *testing.T, v *village) {
		for _, r := range v.relays {
			r.holds(v.chain().grow(12, 0).server())
		}
		v.epoch(12)
		w := v.walk(nil)
		defer w.end()
		w.settleIn(t)
		rid := func() record.RID { // no guard's
			for _, r := range v.relays {
				if !slices.Contains(w.Guards(), r.rid) {
					return r.rid
				}
			}
			return record.RID{}
		}()
		one, _ := w.current().view.Table().Relay(rid)
		l, err := w.links.Get(t.Context(), rid, one.Addresses)
		if err != nil {
			t.Fatal(err)
		}
		w.borrow(rid, l)
		w.carry(l, 1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w.dir.fetchedAt = time.Time{}
		if err := w.round(ctx); err == nil || w.dir.fetchedAt.IsZero() {
			t.Errorf("%v, a round at %v", err, w.dir.fetchedAt)
		}
		if l.Err() != nil {
			t.Error("a link that carries a circuit was closed")
		}
		w.carry(l, -1)
		_ = w.round(ctx)
		if !errors.Is(l.Err(), link.ErrClosed) || len(w.carrying) != 0 || len(w.dir.borrowed) != 0 {
			t.Errorf("a link to a relay that is no guard is left: %v", l.Err())
		}
	})
}

// TestEveryKindOfAlarmIsShown keeps the first ones, and shows the worst where there is
// room for one.
func TestEveryKindOfAlarmIsShown(t *testing.T) {
	inVillage(t, 5, func(t *testing.T, v *village) {
		w := v.walk(nil)
		defer w.end()
		for _, a := range []Alarm{{Kind: AlarmIllegal, Epoch: 9}, {Kind: AlarmSplit, Epoch: 4}, {Kind: AlarmSplit, Epoch: 4}, {Kind: AlarmSplit, Epoch: 5}, {Kind: AlarmIllegal, Epoch: 10}, {Kind: AlarmIllegal, Epoch: 11}} {
			w.raise(a)
		}
		st := w.Status()
		if len(st.Alarms) != maxAlarms || st.Alarms[0].Epoch != 9 || st.Alarm.Kind != AlarmSplit || st.Alarm.Epoch != 5 {
			t.Errorf("%+v, %+v", st.Alarms, st.Alarm)
		}
	})
}

// TestAKnownFindingIsNotSavedAgain meets one split view many times.
//
// Spec: protocol §7 (BOOT-8)
func TestAKnownFindingIsNotSavedAgain(t *testing.T) {
	inVillage(t, 6, func(t *testing.T, v *village) {
		common := v.chain().grow(18, 0)
		for _, r := range v.relays {
			r.holds(common.fork(18).grow(21, 1).server())
		}
		v.epoch(21)
		w := v.walk(nil)
		defer w.end()
		w.settleIn(t)
		for _, r := range v.relays {
			r.holds(common.fork(18).grow(21, 2).server())
		}
		_ = w.crossCheck(t.Context())
		saves := w.mem.saves
		for range 4 {
			_ = w.crossCheck(t.Context())
			_ = w.round(t.Context())
		}
		if w.Status().Alarm == nil || w.mem.saves != saves {
			t.Errorf("alarm %v, saved %d times, then %d", w.Status().Alarm != nil, saves, w.mem.saves)
		}
	})
}

// TestNobodyToAskIsToldAfterAWhile has a CHECK that never reaches anybody, and sees
// through which guards it goes.
//
// Spec: protocol §7 (BOOT-7)
func TestNobodyToAskIsToldAfterAWhile(t *testing.T) {
	inVillage(t, 12, func(t *testing.T, v *village) {
		s := v.chain().grow(12, 0).server()
		for _, r := range v.relays {
			r.holds(s)
		}
		v.epoch(12)
		w := v.walk(nil)
		defer w.end()
		w.settleIn(t)
		guards := make(chan int, 64)
		lost := func(_ context.Context, _ *snapshot.Relay, guard int, _ func(context.Context, stream) error) error {
			guards <- guard
			return errLost
		}
		before := w.askLast
		w.askLast = lost
		for n := range unaskedLimit {
			if w.Status().Unasked {
				t.Errorf("told after %d", n)
			}
			if err := w.crossCheck(t.Context()); err == nil {
				t.Fatal("somebody was asked")
			}
			v.pass(failedLife + time.Second)
		}
		if st := w.Status(); !st.Unasked || !slices.ContainsFunc(st.Notes, func(s string) bool { return len(s) > 0 && s[:8] == "No relay" }) {
			t.Errorf("%q", st.Notes)
		}
		if a, b := <-guards, <-guards; a+b != 1 {
			t.Errorf("the first two circuits began at guards %d and %d", a, b)
		}
		w.askLast = before
		if err := w.crossCheck(t.Context()); err != nil || w.Status().Unasked {
			t.Errorf("%v, told %v", err, w.Status().Unasked)
		}
	})
}
