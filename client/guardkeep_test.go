// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"chive/directory/path"
	"chive/directory/record"
)

// looking is a Store that looks at the client while guards are being saved.
type looking struct {
	memory
	look func()
	fail error
}

func (l *looking) Save(state []byte) error {
	l.look()
	if l.fail != nil {
		return l.fail
	}
	return l.memory.Save(state)
}

// TestGuardsAreKeptBeforeTheyAreUsed: none is usable while the first save is under way,
// afterwards those that were saved are; where nothing can be saved they are used all the
// same. Spec: directory §8.
func TestGuardsAreKeptBeforeTheyAreUsed(t *testing.T) {
	for _, fail := range []error{nil, errors.New("disk full")} {
		inVillage(t, 7, func(t *testing.T, v *village) {
			c := v.chain().grow(20, 0)
			for _, r := range v.relays {
				r.follows(c, 20)
			}
			v.epoch(10)
			disk := &looking{fail: fail}
			w := v.walk(func(c *Config) { c.Store = disk })
			defer w.end()
			saves := 0
			disk.look = func() {
				if saves++; len(w.usableGuards()) != 0 {
					t.Error("guards are used before they are saved")
				}
			}
			if err := w.obtain(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			if err := w.updateGuards(); err != nil {
				t.Fatal(err)
			}
			usable := w.usableGuards()
			if saves != 1 || len(usable) != 3 {
				t.Fatalf("%d saves, %d guards", saves, len(usable))
			}
			if fail != nil {
				return
			}
			saved, err := path.LoadGuards(disk.state, v.doc.Params, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			var rids []record.RID
			for _, r := range usable {
				rids = append(rids, r.RID)
			}
			if got := saved.Usable(time.Now()); !slices.Equal(got, rids) {
				t.Errorf("saved %v, used %v", got, rids)
			}
		})
	}
}

// TestAGuardThatBreaksCircuitsIsReported in log, events and status. Spec: directory §9.
func TestAGuardThatBreaksCircuitsIsReported(t *testing.T) {
	inVillage(t, 7, func(t *testing.T, v *village) {
		c := v.chain().grow(20, 0)
		for _, r := range v.relays {
			r.follows(c, 20)
		}
		v.epoch(10)
		var out bytes.Buffer
		var told []Event
		w := v.walk(func(c *Config) {
			c.Log = zerolog.New(&out)
			c.Events = func(e Event) { told = append(told, e) }
		})
		defer w.end()
		w.settleIn(t)
		told = nil
		guards := w.usableGuards()
		for i := range 100 {
			w.guardCircuit(guards[0].RID, i%2 == 0)
		}
		for range 10 {
			w.guardCircuit(guards[1].RID, true)
		}
		if n := strings.Count(out.String(), "guard_moved"); n != 1 {
			t.Errorf("%d lines: %s", n, out.String())
		}
		if !slices.Contains(told, Event{Kind: EventWarning, State: WarningGuardMoved}) {
			t.Errorf("events %v", told)
		}
		var words []string
		for _, g := range w.Status().Guards {
			if g.RID == guards[0].RID {
				words = append(words, g.State, g.Why)
			}
		}
		if len(words) != 2 || words[0] != "last" || !strings.Contains(words[1], "Half of the circuits") {
			t.Errorf("%q", words)
		}
	})
}
