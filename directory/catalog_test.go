// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"encoding/hex"
	"math/rand/v2"
	"testing"
	"time"
)

// What machines share changes nothing that they do: crashes, a relay that was away
// across a change of lists, a newcomer.
func TestACatalogChangesNothing(t *testing.T) {
	run := func(shared *Catalog) string {
		s := newSim(t, 7, 31)
		s.shared, s.traced = shared, true
		r := rand.New(rand.NewPCG(31, 5))
		for _, n := range s.nodes[:5] {
			n.crash = func(e Effect, before bool) bool {
				if st, ok := e.(Store); !ok || st.Token == 0 || r.IntN(40) > 0 {
					return false
				}
				s.after(time.Duration(200+r.IntN(3000))*time.Millisecond, n.start)
				return true
			}
		}
		s.startAll()
		s.until(45 * time.Second)
		s.nodes[5].onion = 3
		s.nodes[5].step(Renew{})
		s.nodes[6].stop()
		s.add().joins()
		s.until(325 * time.Second)
		s.nodes[6].start()
		s.until(365 * time.Second)
		if n := s.nodes[6]; n.epoch() < 30 {
			t.Fatalf("at %d", n.epoch())
		}
		return hex.EncodeToString(s.trace.Sum(nil))
	}
	c := NewCatalog()
	if run(nil) != run(c) {
		t.Error("with a catalog machines do otherwise")
	}
	if c.turned == 0 || len(c.children.now)+len(c.children.before) == 0 || len(c.descriptors.now)+len(c.descriptors.before) == 0 {
		t.Error("the catalog was not used")
	}
	for _, n := range []int{len(c.children.now), len(c.states.now), len(c.encodings.now)} {
		if n > 3*catalogEpochs {
			t.Errorf("%d values are held", n)
		}
	}
}
