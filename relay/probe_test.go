// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"net/netip"
	"testing"

	"chive/directory/genesis"
)

// TestAProbeIsAFreshAnonymousLink: it is not answered by a link that is up, the relay at
// the address must be the one that is meant, at every address, and the links between the
// two stay. Spec: GOS-13.
func TestAProbeIsAFreshAnonymousLink(t *testing.T) {
	inCity(t, 3, genesis.Testnet(), func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(1)
		a, b := w.all[0], w.all[1]
		d := a.replica.Load()
		between := b.pool.Lookup(a.RID())
		if between == nil {
			t.Fatal("there is no link between them")
		}
		links := b.pool.Len()
		here := townAddr(b.n)
		for name, c := range map[string]struct {
			of    *citizen
			addrs []netip.AddrPort
			ok    bool
		}{
			"it is there":             {b, []netip.AddrPort{here}, true},
			"another is there":        {w.all[2], []netip.AddrPort{here}, false},
			"at one of its two":       {b, []netip.AddrPort{here, townAddr(99)}, false},
			"at both":                 {b, []netip.AddrPort{here, here}, true},
			"it publishes no address": {b, nil, false},
		} {
			if got := d.reached(c.of.RID(), c.addrs); got != c.ok {
				t.Errorf("%s: %v", name, got)
			}
		}
		if between.Err() != nil || b.pool.Len() != links {
			t.Error("a probe has changed the links between the two")
		}
	})
}
