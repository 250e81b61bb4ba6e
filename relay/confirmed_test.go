// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"testing"
	"time"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/transition"
)

// TestTheTermOfALossIsFixedByAConfirmedClock, however wrong the one was with which the
// relay started. Spec: EPOCH-11.
func TestTheTermOfALossIsFixedByAConfirmedClock(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		term := uint64(w.doc.Params.Term)
		right := w.doc.EpochStart(term + 5)
		end := max(
			transition.TermStart(w.doc.Params, committee.A, transition.TermAt(w.doc.Params, committee.A, term+5)+1),
			transition.TermStart(w.doc.Params, committee.B, transition.TermAt(w.doc.Params, committee.B, term+5)+1),
		)
		for name, wrong := range map[string]time.Time{
			"right": right, "behind": w.doc.EpochStart(3), "before genesis": time.Unix(0, 0), "ahead": right.AddDate(10, 0, 0),
		} {
			m, s := storing()
			s.damaged = true
			now := wrong
			restart := func(at time.Time) bool {
				m.commit(now)
				m, now = newMemory(s, record.RID{1}), at
				lost, err := m.seatsLost(w.doc, at)
				if err != nil {
					t.Fatal(err)
				}
				return lost
			}
			if lost, err := m.seatsLost(w.doc, wrong); err != nil || !lost || m.loss != lostNow {
				t.Errorf("%s: lost %v, until %d, %v", name, lost, m.loss, err)
			}
			if !restart(wrong.AddDate(20, 0, 0)) || !restart(right) {
				t.Errorf("%s: forgotten before a clock was confirmed", name)
			}
			m.confirmed(w.doc, right)
			if !restart(w.doc.EpochStart(end - 1)) {
				t.Errorf("%s: it takes a seat before the term is over", name)
			}
			// A clock that is ahead does not make it forget.
			restart(right.AddDate(1, 0, 0))
			if !restart(right) || uint64(m.loss) != end {
				t.Errorf("%s: until %d, want %d", name, m.loss, end)
			}
			m.confirmed(w.doc, w.doc.EpochStart(end))
			if restart(w.doc.EpochStart(end)) || m.loss != nothingLost {
				t.Errorf("%s: still lost", name)
			}
		}
		m, _ := storing()
		m.loss = termsEnd(w.doc, 100*term) // confirmed by neighbours that were wrong as well
		m.confirmed(w.doc, right)
		if uint64(m.loss) != end {
			t.Errorf("not lowered: until %d", m.loss)
		}
		m.loss = lostNow
		m.put(right, Write{Bucket: "self", Key: lostKey, Value: []byte{1}}, 0, true)
		m.commit(right)
		if lost, err := m.seatsLost(w.doc, right); !lost || err != nil {
			t.Error("a note that cannot be read is taken for none")
		}
	})
}

// TestALossWaitsForNeighbours: the note of a relay whose clock is off stays open, and is
// closed once the clock is right and neighbours are there. Spec: EPOCH-11.
func TestALossWaitsForNeighbours(t *testing.T) {
	p := genesis.Testnet()
	p.Term, p.DrawLead = 12, 3
	inCity(t, 4, p, func(t *testing.T, w *city) {
		for _, c := range w.all[1:] {
			c.start()
		}
		w.atEnd(2)
		hurt := w.all[0]
		hurt.store = &flakyStore{MemoryStore: NewMemoryStore(), damaged: true}
		hurt.skew.Store(int64(-10 * time.Second))
		hurt.start()
		noted := func() []byte {
			v, err := get(hurt.store, "self", lostKey)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		pass(5 * time.Second)
		if v := noted(); len(v) != 8 || v[0] != 0xff {
			t.Errorf("with a wrong clock it noted %x", v)
		}
		hurt.skew.Store(0)
		pass(15 * time.Second)
		if v := noted(); len(v) != 8 || v[0] != 0 {
			t.Errorf("with the right clock it noted %x", v)
		}
		w.atEnd(2 * uint64(p.Term))
		if v := noted(); v != nil {
			t.Errorf("after the term %x is left", v)
		}
	})
}
