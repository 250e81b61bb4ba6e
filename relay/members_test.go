// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"testing"
	"time"

	"chive/directory/genesis"
)

// TestARelayTellsWhoseSignatureIsMissing: a member that is gone has no stream and signs
// no more, and the others name it, while they are enough to go on.
func TestARelayTellsWhoseSignatureIsMissing(t *testing.T) {
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(2)
		gone := w.all[3].RID()
		w.all[3].kill()
		w.atEnd(w.doc.EpochAt(time.Now()) + 2)
		for _, c := range w.all[:3] {
			s := c.Status().Directory.Committee
			if len(s.Members) != 4 || s.Seats != 4 || s.Signed != 3 || len(s.Unsigned) != 1 || s.Unsigned[0] != gone {
				t.Errorf("relay %d: %+v", c.n, s)
			}
			for _, m := range s.Members {
				if m.Self != (m.RID == c.RID()) || m.Stream != (m.RID != c.RID() && m.RID != gone) {
					t.Errorf("relay %d: %+v", c.n, m)
				}
			}
		}
	})
}
