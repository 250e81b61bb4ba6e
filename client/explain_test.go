// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"strings"
	"testing"
	"time"

	"chive/directory/path"
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
		if !strings.Contains(st.Committee.Text, "agreed by 7 relays in 7 networks, and 4 of them") || len(st.Notes) != 2 {
			t.Errorf("%q", st.Notes)
		}
	})
}
