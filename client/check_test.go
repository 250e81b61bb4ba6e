// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"net/netip"
	"testing"
	"time"

	"chive/directory/record"
)

// Spec: protocol §7 (BOOT-7)
func TestTheSameListElsewhereIsAllThatIsAsked(t *testing.T) {
	inVillage(t, 6, func(t *testing.T, v *village) {
		s := v.chain().grow(20, 0).server()
		for _, r := range v.relays {
			r.holds(s)
		}
		v.epoch(20)
		w := v.walk(nil)
		defer w.end()
		if err := w.obtain(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if err := w.crossCheck(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := w.Status(); st.Alarm != nil || st.Checked.IsZero() || w.unchecked() {
			t.Errorf("%+v", st)
		}
	})
}

// Spec: protocol §7 (BOOT-7)
func TestASplitViewIsAnAlarmThatStays(t *testing.T) {
	inVillage(t, 9, func(t *testing.T, v *village) {
		common := v.chain().grow(18, 0)
		ours, theirs := common.fork(18).grow(21, 1).server(), common.fork(18).grow(21, 2).server()
		for _, r := range v.relays {
			r.holds(theirs)
		}
		v.relays[4].holds(ours)
		v.epoch(21)
		w := v.walk(func(c *Config) {
			c.Peers = []Peer{{RID: v.relays[4].rid, Addresses: []netip.AddrPort{v.relays[4].addr}}}
		})
		defer w.end()
		if err := w.obtain(t.Context(), 0); err != nil || w.held() != 20 {
			t.Fatalf("%v, holds epoch %d", err, w.held())
		}
		mine := w.current().view.Header().Digest()
		_ = w.crossCheck(t.Context())
		st := w.Status()
		if st.Alarm == nil || st.Alarm.Kind != AlarmSplit || st.Alarm.Ours != mine || st.Alarm.Theirs == mine || st.Alarm.Text == "" {
			t.Fatalf("%+v", st.Alarm)
		}
		w.sendEvidence(t.Context())
		took := 0
		for _, r := range v.relays {
			r.mu.Lock()
			for _, e := range r.evidence {
				rec, err := record.DecodeEvidence(e)
				if err != nil {
					t.Errorf("not evidence: %v", err)
				} else if _, err := rec.Digest(); err != nil {
					t.Error(err)
				}
			}
			took += min(len(r.evidence), 1)
			r.mu.Unlock()
		}
		if took != evidenceCircuits {
			t.Errorf("%d relays apart were given the proof, want %d", took, evidenceCircuits)
		}
		w.sendEvidence(t.Context())

		again := v.walk(func(c *Config) { c.Directory = w.mem })
		defer again.end()
		if a := again.Status().Alarm; a == nil || a.Kind != AlarmSplit || a.Epoch != 20 {
			t.Errorf("after a restart: %+v", a)
		}
	})
}

// TestAForkIsAnAlarmThatStays: the certificate of the other history is on the disk beside
// ours, after fresh lists of ours and a restart too, and an anchor decides.
// Spec: protocol §7 (SYNC-8, BOOT-4), directory §6 (choice).
func TestAForkIsAnAlarmThatStays(t *testing.T) {
	inVillage(t, 6, func(t *testing.T, v *village) {
		common := v.chain().grow(16, 0)
		ours, theirs := common.fork(16).grow(40, 1), common.fork(16)
		theirs.skip(10)
		theirs.grow(31, 2)
		for _, r := range v.relays {
			r.follows(ours, 22)
		}
		v.epoch(21)
		w := v.walk(nil)
		defer w.end()
		if err := w.obtain(t.Context(), 0); err != nil || w.Status().Forked {
			t.Fatal(err)
		}
		for _, r := range v.relays {
			r.holds(theirs.server())
		}
		v.epoch(31)
		_ = w.obtain(t.Context(), 0)
		st := w.Status()
		if st.Alarm == nil || st.Alarm.Kind != AlarmForked || !st.Forked || st.Alarm.Ours != w.current().view.Header().Digest() || st.Alarm.Theirs == st.Alarm.Ours {
			t.Fatalf("%+v", st.Alarm)
		}
		for _, r := range v.relays {
			r.follows(ours, 40)
		}
		v.epoch(38)
		if err := w.obtain(t.Context(), 0); err != nil || w.held() < 36 || !w.Status().Forked {
			t.Errorf("a fresh list of ours: %v, holds epoch %d, forked %v", err, w.held(), w.Status().Forked)
		}
		again := v.walk(func(c *Config) { c.Directory = w.mem })
		defer again.end()
		if a := again.Status(); !a.Forked || a.Alarm.Ours != st.Alarm.Ours || a.Alarm.Theirs != st.Alarm.Theirs {
			t.Errorf("after a restart: %+v", a.Alarm)
		}
		decided := v.walk(func(c *Config) { c.Directory, c.Anchor = w.mem, ours.anchor(39) })
		defer decided.end()
		if decided.Status().Forked {
			t.Error("an anchor does not decide")
		}
	})
}

// Spec: protocol §7 (BOOT-7)
func TestWhoLiesAboutTheListIsDropped(t *testing.T) {
	inVillage(t, 5, func(t *testing.T, v *village) {
		c := v.chain().grow(17, 0)
		lie := c.fork(17)
		s := c.grow(20, 0).server()
		lie.forged = true // certificates that nobody signed
		liar := lie.grow(20, 9).server()
		for _, r := range v.relays {
			r.holds(s)
		}
		v.epoch(20)
		w := v.walk(nil)
		defer w.end()
		if err := w.obtain(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		v.relays[0].forges(s)
		v.relays[1].holds(liar)
		v.relays[2].holds(liar)
		// Until each has been asked: two by chance each time, so that one of the five
		// is missed by 64 rounds once in 10^14.
		for range 64 {
			if err := w.crossCheck(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for i, r := range v.relays {
			if w.isDropped(r.rid) != (i < 3) {
				t.Errorf("relay %d: dropped %v", i, w.isDropped(r.rid))
			}
		}
		if w.Status().Alarm != nil {
			t.Error("an alarm without a signature")
		}
	})
}

// Spec: protocol §7 (BOOT-7)
func TestAHigherChainIsFollowedWhereOursWasSkipped(t *testing.T) {
	inVillage(t, 6, func(t *testing.T, v *village) {
		common := v.chain().grow(18, 0)
		// Epoch 19 was made final late, and only one relay had it; the others went on
		// from 18.
		late := common.fork(18).grow(19, 1)
		late.grow(20, 1)
		main := common.fork(18)
		main.skip(2)
		main.grow(25, 0)
		most := main.server()
		for _, r := range v.relays {
			r.holds(most)
		}
		v.relays[2].holds(late.server())
		v.epoch(23)
		w := v.walk(func(c *Config) {
			c.Peers = []Peer{{RID: v.relays[2].rid, Addresses: []netip.AddrPort{v.relays[2].addr}}}
		})
		defer w.end()
		if err := w.obtain(t.Context(), 0); err != nil || w.held() != 19 {
			t.Fatalf("%v, holds epoch %d", err, w.held())
		}
		// Their list is the child of the one in place of ours: that shows too little.
		if err := w.crossCheck(t.Context()); err == nil || w.held() != 19 || len(w.dir.dropped) > 0 || w.Status().Alarm != nil {
			t.Fatalf("%v, holds epoch %d, %d dropped, alarm %v", err, w.held(), len(w.dir.dropped), w.Status().Alarm)
		}
		v.epoch(24)
		if err := w.crossCheck(t.Context()); err != nil {
			t.Fatalf("%v, holds epoch %d", err, w.held())
		}
		if w.held() != 23 || w.Status().Alarm != nil {
			t.Errorf("holds epoch %d, alarm %v", w.held(), w.Status().Alarm)
		}
	})
}

// Spec: protocol §7 (BOOT-7)
func TestSilentRelaysHoldUpTheFirstRequestForAWhileOnly(t *testing.T) {
	inVillage(t, 5, func(t *testing.T, v *village) {
		s := v.chain().grow(20, 0).server()
		for _, r := range v.relays {
			r.holds(s)
		}
		v.epoch(20)
		w := v.walk(nil)
		defer w.end()
		if err := w.obtain(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		for _, r := range v.relays {
			r.does(nil)
		}
		began := time.Now()
		w.firstCheck(t.Context())
		if took := time.Since(began); took > firstPatience+time.Second {
			t.Errorf("it took %v", took)
		}
		if !w.unchecked() {
			t.Error("nobody answered, and the list counts as compared")
		}
	})
}
