// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"errors"
	"slices"
	"testing"
	"time"

	"chive/directory/record"
)

// broken is a Store that gives no answer.
type broken struct{ memory }

func (*broken) Load() ([]byte, error) { return nil, errors.New("no disk") }

// TestWhatAClientRemembers: its guards where it has some, and else the relays of its saved
// list, by what a client that ran has saved. Spec: product CLI-11, NET-1.
func TestWhatAClientRemembers(t *testing.T) {
	inVillage(t, 7, func(t *testing.T, v *village) {
		c := v.chain().grow(20, 0)
		for _, r := range v.relays {
			r.follows(c, 20)
		}
		v.epoch(10)
		guards := new(memory)
		w := v.walk(func(c *Config) { c.Store = guards })
		w.settleIn(t)
		if err := w.updateGuards(); err != nil {
			t.Fatal(err)
		}
		var want []record.RID
		for _, r := range w.usableGuards() {
			want = append(want, r.RID)
		}
		list := w.mem
		w.end()
		remember := func(guards, list Store) Remembered {
			t.Helper()
			got, err := Remember(v.doc, guards, list, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			return got
		}

		got := remember(guards, list)
		var rids []record.RID
		for _, p := range got.Guards {
			rids = append(rids, p.RID)
			if len(p.Addresses) == 0 {
				t.Error("a guard without an address")
			}
		}
		if len(want) == 0 || !slices.Equal(rids, want) || got.Listed != nil {
			t.Errorf("%d guards, %d of the list; it used %d", len(rids), len(got.Listed), len(want))
		}
		if got = remember(new(memory), list); got.Guards != nil || len(got.Listed) != 7 {
			t.Errorf("without guards: %d, and %d of the list", len(got.Guards), len(got.Listed))
		}
		for name, none := range map[string]Store{"nothing": new(memory), "a damaged list": &memory{state: []byte("what a disk may do")}, "no list": new(broken)} {
			if got = remember(new(memory), none); got.Guards != nil || got.Listed != nil {
				t.Errorf("%s: %d guards, %d of the list", name, len(got.Guards), len(got.Listed))
			}
		}
		if _, err := Remember(v.doc, &memory{state: []byte("what a disk may do")}, list, time.Now()); !errors.Is(err, ErrState) || errors.Is(err, ErrStore) {
			t.Errorf("damaged guards: %v", err)
		}
		if _, err := Remember(v.doc, new(broken), list, time.Now()); !errors.Is(err, ErrStore) {
			t.Errorf("guards that cannot be read: %v", err)
		}
	})
}
