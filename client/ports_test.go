// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"net/netip"
	"strings"
	"testing"

	"chive/directory/record"
	"chive/directory/snapshot"
)

// TestOnlyAddressesWithPortsThatPassAreTried (NET-2).
func TestOnlyAddressesWithPortsThatPassAreTried(t *testing.T) {
	inVillage(t, 7, func(t *testing.T, v *village) {
		other := netip.MustParseAddrPort("20.9.9.9:443")
		w := v.walk(func(c *Config) { c.Ports = []uint16{80, 443} })
		defer w.end()
		if got := w.sources(); len(got) != 0 {
			t.Errorf("%d relays would be asked on other ports", len(got))
		}
		err := w.obtain(t.Context(), 0)
		if cause, text := w.troubleOf(err); err == nil || cause != "filtered" || !strings.Contains(text, "80, 443") {
			t.Errorf("%v: %s, %s", err, cause, text)
		}
		if err := w.updateGuards(); err != nil || len(w.Guards()) != 0 {
			t.Errorf("%v, %d guards were drawn that cannot be reached", err, len(w.Guards()))
		}
		if _, err := w.linkTo(t.Context(), w.current().view.Table().At(0)); err != errPorts {
			t.Errorf("a link on another port: %v", err)
		}
		w.cfg.Peers = []Peer{{RID: record.RID{1}, Addresses: []netip.AddrPort{placeFor(1), other}}}
		if got := w.sources(); len(got) != 1 || len(got[0].addrs) != 1 || got[0].addrs[0] != other {
			t.Errorf("of a peer with two addresses are tried %v", got)
		}
		if w.portsShut() {
			t.Error("a peer can be reached, and the ports are said to be in the way")
		}

		free := v.walk(func(c *Config) { c.Ports = []uint16{443, 9240} })
		defer free.end()
		free.settleIn(t)
		if len(free.Guards()) != 3 {
			t.Errorf("%d guards", len(free.Guards()))
		}
	})
}

func TestNewGuardsAreDrawnAmongThoseThatCanBeReached(t *testing.T) {
	inVillage(t, 9, func(t *testing.T, v *village) {
		w := v.walk(nil)
		defer w.end()
		all := w.current().view.Table()
		may := map[record.RID]bool{all.At(2).RID: true, all.At(5).RID: true}
		w.dir.table = &table{view: w.dir.table.view, params: w.dir.table.params,
			selector: w.current().selector.Entering(func(r *snapshot.Relay) bool { return may[r.RID] })}
		if err := w.updateGuards(); err != nil {
			t.Fatal(err)
		}
		guards := w.Guards()
		for _, g := range guards {
			if !may[g] {
				t.Error("a guard that cannot be reached was drawn")
			}
		}
		if len(guards) != len(may) {
			t.Errorf("%d guards", len(guards))
		}
	})
}
