// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	dirsync "chive/directory/sync"
)

// Spec: protocol §7 (BOOT-2, BOOT-8)
func TestANewClientTakesTheNewestListAndSavesItFirst(t *testing.T) {
	inVillage(t, 5, func(t *testing.T, v *village) {
		s := v.chain().grow(30, 0).server()
		for _, r := range v.relays {
			r.holds(s)
		}
		v.epoch(30)
		w := v.walk(nil)
		defer w.end()
		if w.fresh(time.Now()) {
			t.Fatal("snapshot 0 is taken for fresh")
		}
		if err := w.obtain(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if w.held() != 29 || !w.fresh(time.Now()) || w.mem.saves != 1 || !w.unchecked() {
			t.Errorf("holds epoch %d, saved %d times", w.held(), w.mem.saves)
		}
		if st := w.Status(); st.Committee.K != 5 || st.Committee.M != 3 || st.Committee.Q != 4 || !st.Committee.Young || !st.Unmeasured || st.Stalled {
			t.Errorf("%+v", st.Committee)
		}
		asked := 0
		for _, r := range v.relays {
			n, _ := r.count()
			asked += min(n, 1)
		}
		if asked != 1 {
			t.Errorf("%d relays were asked where one had it", asked)
		}

		// After a restart nobody need be asked.
		again := v.walk(func(c *Config) { c.Directory = w.mem })
		defer again.end()
		if again.held() != 29 || !again.fresh(time.Now()) || again.unchecked() {
			t.Errorf("goes on from epoch %d", again.held())
		}
	})
}

// Spec: protocol §7 (BOOT-2)
func TestOneHonestSourceIsEnough(t *testing.T) {
	for _, kind := range []string{"stale", "forged", "busy", "silent", "dead", "all kinds"} {
		t.Run(kind, func(t *testing.T) {
			inVillage(t, 9, func(t *testing.T, v *village) {
				c := v.chain().grow(36, 0)
				old, now := c.fork(20).server(), c.server()
				for i, r := range v.relays[:8] {
					what := kind
					if kind == "all kinds" {
						what = []string{"stale", "forged", "busy", "silent", "dead"}[i%5]
					}
					switch what {
					case "stale":
						r.holds(old)
					case "forged":
						r.forges(now)
					case "busy":
						r.does(func(time.Time, []byte) []byte { return dirsync.Busy() })
					case "silent":
						r.does(nil)
					case "dead":
						v.net.Kill(r.addr.Addr())
					}
				}
				v.relays[8].holds(now)
				v.epoch(36)
				w := v.walk(nil)
				defer w.end()
				rounds := 0
				for ; rounds < 20 && w.held() != 35; rounds++ {
					_ = w.obtain(t.Context(), rounds)
					if h := w.held(); h != 0 && h != 19 && h < 35 {
						t.Fatalf("holds epoch %d, which nobody served", h)
					}
				}
				if w.held() != 35 {
					t.Fatalf("holds epoch %d after %d rounds", w.held(), rounds)
				}
				if kind != "stale" && kind != "all kinds" && rounds != 1 {
					t.Errorf("%d rounds", rounds)
				}
				for _, r := range v.relays {
					n, _ := r.count()
					if w.isDropped(r.rid) && n > 3 {
						t.Errorf("who forged was asked %d times", n)
					}
					if w.isDropped(r.rid) != (n > 0 && slices.Contains([]int{1, 6}, r.n)) && kind == "all kinds" {
						t.Errorf("relay %d: dropped %v", r.n, w.isDropped(r.rid))
					}
				}
			})
		})
	}
}

func TestWithEverySeedDeadOneKnownPeerIsEnough(t *testing.T) {
	inVillage(t, 7, func(t *testing.T, v *village) {
		s := v.chain().grow(40, 0).server()
		for _, r := range v.relays {
			v.net.Kill(r.addr.Addr())
		}
		peer := v.settle(50) // no founder
		peer.holds(s)
		v.epoch(40)
		w := v.walk(func(c *Config) { c.Peers = []Peer{{RID: peer.rid, Addresses: []netip.AddrPort{peer.addr}}} })
		defer w.end()
		if err := w.obtain(t.Context(), 0); err != nil || w.held() != 39 {
			t.Fatalf("%v, holds epoch %d", err, w.held())
		}
		if _, links := v.relays[0].count(); links != 0 {
			t.Error("a dead relay was linked to")
		}
	})
}

// Spec: protocol §7 (BOOT-2)
func TestAnOldListIsGoneOnWithAndATooOldOneRefused(t *testing.T) {
	inVillage(t, 5, func(t *testing.T, v *village) {
		p := v.doc.Params
		s := v.chain().grow(30, 0).server()
		for _, r := range v.relays {
			r.holds(s)
		}
		v.epoch(29 + uint64(p.Warn)/2)
		w := v.walk(nil)
		defer w.end()
		if err := w.obtain(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		w.arrive()
		st := w.Status()
		if st.State != StateStale || !st.Stalled || len(st.Notes) < 3 {
			t.Errorf("%s, stalled %v, %q", st.State, st.Stalled, st.Notes)
		}
		asked := 0
		for _, r := range v.relays {
			n, _ := r.count()
			asked += min(n, 1)
		}
		if asked != voices {
			t.Errorf("%d relays in different places were asked, want %d", asked, voices)
		}
		if err := w.updateGuards(); err != nil || len(w.Guards()) != 3 {
			t.Fatalf("%v, %d guards", err, len(w.Guards()))
		}
		if _, _, err := w.choose(needWeb, nil); err != nil {
			t.Errorf("no circuit with an old list: %v", err)
		}

		v.epoch(29 + uint64(p.Refuse) + 1)
		var f *Failure
		if _, _, err := w.choose(needWeb, nil); !errors.As(err, &f) || f.Reason() != "network_down" {
			t.Errorf("a circuit with a list that is too old: %v", err)
		}
		if st := w.Status(); st.State != StateRefused {
			t.Errorf("the state is %s", st.State)
		}
		if err := w.round(t.Context()); !errors.Is(err, errStale) {
			t.Errorf("a round: %v", err)
		}
		if cause, text := w.troubleOf(errStale); cause != "directory_stale" || text == "" {
			t.Errorf("%s: %s", cause, text)
		}
		s = v.chain().grow(29+uint64(p.Refuse)+1, 0).server()
		for _, r := range v.relays {
			r.holds(s)
		}
		if err := w.round(t.Context()); err != nil || w.Status().State != StateReady {
			t.Errorf("with a newer list: %v, %s", err, w.Status().State)
		}
	})
}

// Spec: protocol §7 (BOOT-1)
func TestANetworkThatJustBeganIsJoinedWithoutAQuestion(t *testing.T) {
	inVillage(t, 5, func(t *testing.T, v *village) {
		w := v.walk(nil)
		defer w.end()
		v.epoch(2)
		if !w.fresh(time.Now()) || w.unchecked() {
			t.Error("snapshot 0 is what everybody has, and was not taken for it")
		}
		v.epoch(uint64(v.doc.Params.Fresh) + 1)
		if w.fresh(time.Now()) {
			t.Error("snapshot 0 is taken for fresh for ever")
		}
	})
}

// Spec: directory §14 (G7)
func TestTwoThirdsHostileFirstPeersDelayAClientAndNoMore(t *testing.T) {
	inVillage(t, 9, func(t *testing.T, v *village) {
		c := v.chain().grow(40, 0)
		now, old := c.server(), c.fork(20).server()
		fake := c.fork(38)
		fake.forged = true
		lie := fake.grow(40, 7).server()
		for i, r := range v.relays {
			switch i % 9 {
			case 0, 1, 2:
				r.holds(now)
			case 3, 4:
				r.holds(old)
			case 5:
				r.holds(lie)
			case 6:
				r.forges(now)
			case 7, 8:
				v.net.Kill(r.addr.Addr())
			}
		}
		v.epoch(40)
		var rounds []int
		for range 15 {
			w := v.walk(nil)
			n := 0
			for w.held() != 39 && n < 20 {
				_ = w.obtain(t.Context(), n)
				n++
				if h := w.held(); h != 0 && h != 19 && h != 39 {
					t.Fatalf("holds epoch %d", h)
				}
			}
			if w.held() == 39 && w.current().view.Header().Digest() != c.states[39].Digest() {
				t.Fatal("a forged list was accepted")
			}
			rounds = append(rounds, n)
			w.end()
		}
		slices.Sort(rounds)
		if rounds[len(rounds)/2] > 3 || rounds[len(rounds)-1] >= 20 {
			t.Errorf("tries: %v", rounds)
		}
	})
}

func TestADamagedStateIsBegunAnew(t *testing.T) {
	inVillage(t, 5, func(t *testing.T, v *village) {
		for _, r := range v.relays {
			r.holds(v.chain().grow(12, 0).server())
		}
		v.epoch(12)
		mem := &memory{state: []byte("what a disk may do")}
		w := v.walk(func(c *Config) { c.Directory = mem })
		defer w.end()
		if w.held() != 0 {
			t.Fatalf("goes on from epoch %d", w.held())
		}
		if err := w.obtain(t.Context(), 0); err != nil || w.held() != 11 || mem.saves != 1 {
			t.Errorf("%v, holds epoch %d", err, w.held())
		}
	})
}

func TestPercentOnlyRisesAndTroubleStandsWhereItIs(t *testing.T) {
	inVillage(t, 5, func(t *testing.T, v *village) {
		var told []Progress
		w := v.walk(func(c *Config) { c.Progress = func(p Progress) { told = append(told, p) } })
		defer w.end()
		w.progress(Progress{Percent: 5, Tag: "connecting"})
		w.progress(Progress{Percent: 20, Tag: "loading_checkpoint"})
		w.stuck(errNoSource)
		w.progress(Progress{Percent: 5, Tag: "connecting"})
		w.progress(Progress{Percent: 30, Tag: "loading_directory"})
		if len(told) != 4 || told[2].Percent != 20 || told[2].Cause != "no_peers" || told[2].Text == "" || told[3].Percent != 30 {
			t.Errorf("%+v", told)
		}
		if st := w.Status(); st.Bootstrap != told[3] || st.Text != "" {
			t.Errorf("%+v, %q", st.Bootstrap, st.Text)
		}
	})
}

// TestWhoCannotProveTheWayIsBelievedOnlyTogether has relays that have all forgotten
// what came before.
// Spec: protocol §7 (BOOT-4)
func TestWhoCannotProveTheWayIsBelievedOnlyTogether(t *testing.T) {
	inVillage(t, 6, func(t *testing.T, v *village) {
		c := v.chain().grow(30, 0)
		young := dirsync.NewServer(v.doc)
		for i := 27; i <= 30; i++ {
			young = young.With(dirsync.Final{State: c.states[i], Certificate: c.certs[i]})
		}
		for _, r := range v.relays {
			r.holds(c.fork(12).server())
		}
		v.epoch(12)
		w := v.walk(nil)
		defer w.end()
		if err := w.obtain(t.Context(), 0); err != nil || w.held() != 11 {
			t.Fatalf("%v, holds epoch %d", err, w.held())
		}
		for _, r := range v.relays {
			r.holds(young)
		}
		before := make([]int, len(v.relays))
		for i, r := range v.relays {
			before[i], _ = r.count()
		}
		v.epoch(30)
		if err := w.obtain(t.Context(), 0); err != nil || w.held() != 29 {
			t.Fatalf("%v, holds epoch %d", err, w.held())
		}
		asked := 0
		for i, r := range v.relays {
			if n, _ := r.count(); n > before[i] {
				asked++
			}
		}
		if asked != voices {
			t.Errorf("believed after %d relays, want %d", asked, voices)
		}
	})
}

// TestAnotherHistoryIsNotFollowed has a client on a branch that the network left.
// Spec: protocol §7 (BOOT-4)
func TestAnotherHistoryIsNotFollowed(t *testing.T) {
	inVillage(t, 6, func(t *testing.T, v *village) {
		common := v.chain().grow(10, 0)
		left, kept := common.fork(10).grow(14, 1), common.fork(10)
		kept.skip(4)
		most := kept.grow(22, 0).server()
		for _, r := range v.relays {
			r.holds(left.server())
		}
		v.epoch(14)
		w := v.walk(nil)
		defer w.end()
		if err := w.obtain(t.Context(), 0); err != nil || w.held() != 13 {
			t.Fatalf("%v, holds epoch %d", err, w.held())
		}
		for _, r := range v.relays {
			r.holds(most)
		}
		v.epoch(22)
		_ = w.obtain(t.Context(), 0)
		if st := w.Status(); w.held() != 13 || !st.Forked || len(w.dir.dropped) != 0 {
			t.Errorf("holds epoch %d, forked %v, %d dropped", w.held(), st.Forked, len(w.dir.dropped))
		}
	})
}
