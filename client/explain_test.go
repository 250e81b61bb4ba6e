// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"strings"
	"testing"
	"time"

	"chive/directory/path"
	"chive/directory/snapshot"
)

// TestEveryRelayIsExplained looks at a client whose circuit has three relays.
func TestEveryRelayIsExplained(t *testing.T) {
	inVillage(t, 7, func(t *testing.T, v *village) {
		w := v.walk(nil)
		defer w.end()
		if err := w.updateGuards(); err != nil {
			t.Fatal(err)
		}
		n := need{protocol: 6, port: 443}
		w.cfg.Hops = DefaultHops
		relays, table, err := w.choose(n, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.open = append(w.open, &circ{path: relays, table: table, need: n, openedAt: time.Now()})
		st := w.Status()
		if len(st.Guards) != 3 || len(st.Circuits) != 1 || len(st.Circuits[0].Hops) != 3 {
			t.Fatalf("%d guards, %d circuits", len(st.Guards), len(st.Circuits))
		}
		for i, g := range st.Guards {
			if g.Why == "" || g.Share <= 0 || g.Share > 1 || g.Until.IsZero() || (g.State == "in use") != (i == 0) {
				t.Errorf("%+v", g)
			}
		}
		if p := st.Circuits[0].Purpose; p != "TCP port 443, or what else its exit permits" {
			t.Errorf("it is said to be for %s alone", p) // any port of its exit's shares it
		}
		for i, h := range st.Circuits[0].Hops {
			if h.Position != []string{"guard", "middle", "last"}[i] || h.Share < 0 || h.Share > 1 || h.Why == "" {
				t.Errorf("%+v", h)
			}
		}
		if why := st.Circuits[0].Hops[2].Why; !strings.Contains(why, "TCP port 443") || !strings.Contains(why, "network") {
			t.Errorf("the last hop: %s", why)
		}
		if !strings.Contains(st.Circuits[0].Hops[0].Why, " of 3, the first that") {
			t.Errorf("the guard: %s", st.Circuits[0].Hops[0].Why)
		}
		sum := 0.0
		for i := range table.view.Table().Len() {
			sum += table.share(table.view.Table().At(i).RID, path.Last)
		}
		if sum < 0.999 || sum > 1.001 {
			t.Errorf("the exits' shares make %v", sum)
		}
		if st.Relays != (RelayCounts{Listed: 7, Running: 7, Guards: 7, Exits: 3}) {
			t.Errorf("%+v", st.Relays)
		}
		if root := w.current().view.Table().DirRoot(); st.DirRoot != root || root == [32]byte{} {
			t.Errorf("the list's digest is %x, want %x", st.DirRoot, root)
		}
		if !strings.Contains(st.Committee.Text, "agreed by 7 relays in 7 networks, and 4 of them") || len(st.Notes) != 2 {
			t.Errorf("%q", st.Notes)
		}
	})
}

// TestGuardWordsFollowTheState: what is said of a guard fits the circuits that are shown
// below it, whatever became of the guard since they were built.
func TestGuardWordsFollowTheState(t *testing.T) {
	inVillage(t, 7, func(t *testing.T, v *village) {
		w := v.walk(nil)
		defer w.end()
		if err := w.updateGuards(); err != nil {
			t.Fatal(err)
		}
		guards := w.usableGuards()
		for _, g := range []int{1, 1, 2} { // the first was away when they were built
			w.open = append(w.open, &circ{path: []*snapshot.Relay{guards[g]}, table: w.current(), openedAt: time.Now()})
		}
		w.guards.LinkUp(time.Now(), guards[0].RID)
		w.guards.LinkFailed(time.Now(), guards[2].RID)
		for i, want := range [][2]string{
			{"in use", "New circuits begin here: it is the first guard that can be used; no circuit is open through it now."},
			{"ready", "or the rules of the path leave them out; 2 open circuits begin here."},
			{"unreachable", "The last new link to it failed; it is tried again in a while, and kept. 1 circuit that was built before begins here, and stays open."},
		} {
			if g := w.Status().Guards[i]; g.State != want[0] || !strings.HasSuffix(g.Why, want[1]) {
				t.Errorf("guard %d is %s: %s", i+1, g.State, g.Why)
			}
		}
		// The first failed, and is to be tried again: the second is in use meanwhile.
		w.guards.LinkFailed(time.Now(), guards[0].RID)
		v.pass(5 * time.Second)
		if first := w.usableGuards()[0]; first != guards[0] {
			t.Fatal("the first is not to be tried again")
		}
		for i, want := range []string{"unreachable", "in use", "unreachable"} {
			if g := w.Status().Guards[i]; g.State != want {
				t.Errorf("guard %d is %s, want %s", i+1, g.State, want)
			}
		}
	})
	for _, c := range []struct {
		state   string
		first   bool
		carries int
		want    []string
	}{
		{"in use", true, 1, []string{"New circuits begin here", "1 open circuit begins here"}},
		{"failing", true, 0, []string{"tried here first, and fail"}},
		{"failing", false, 1, []string{"where those before it fail, and fail for now", "1 circuit that was built before"}},
		{"ready", false, 0, []string{"New circuits begin here only where", "none is open"}},
		{"unreachable", true, 0, []string{"tried again with the next circuit"}},
		{"unreachable", false, 0, []string{"tried again in a while"}},
		{"absent", false, 3, []string{"no new circuits begin here", "3 circuits that were built before"}},
		{"last", false, 2, []string{"only where no other can be used", "2 circuits that were built before"}},
	} {
		words := guardWords(c.state, c.first, c.carries)
		for _, want := range c.want {
			if !strings.Contains(words, want) {
				t.Errorf("%+v: %q", c, words)
			}
		}
		if c.carries == 0 && strings.Contains(words, "stay") {
			t.Errorf("%+v: %q", c, words)
		}
	}
}
