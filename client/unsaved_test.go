// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"errors"
	"sync/atomic"
	"testing"
)

// fullDisk is a Store that does not save while it is full.
type fullDisk struct {
	memory
	full atomic.Bool
}

func (d *fullDisk) Save(state []byte) error {
	if d.full.Load() {
		return errors.New("no space left")
	}
	return d.memory.Save(state)
}

// TestAFullDiskIsACause (CLI-7): a client whose list of relays or guards cannot be saved goes
// on, says so once and shows it until they can be; another cause comes first.
func TestAFullDiskIsACause(t *testing.T) {
	inVillage(t, 5, func(t *testing.T, v *village) {
		for _, r := range v.relays {
			r.holds(v.chain().grow(12, 0).server())
		}
		v.epoch(12)
		list, guards := new(fullDisk), new(fullDisk)
		list.full.Store(true)
		guards.full.Store(true)
		var told, warned int
		w := v.walk(func(c *Config) {
			c.Directory, c.Store = list, guards
			c.Progress = func(p Progress) {
				if p.Cause == "disk" && p.Fix == CauseFix("disk") {
					told++
				}
			}
			c.Events = func(e Event) {
				if e.Kind == EventWarning && e.State == "disk" {
					warned++
				}
			}
		})
		defer w.end()
		w.settleIn(t)
		shows := func(cause string) {
			t.Helper()
			if s := w.Status(); s.Bootstrap.Cause != cause || (s.Text != "") != (cause != "") || s.State != StateReady {
				t.Errorf("%s, %+v, %q", s.State, s.Bootstrap, s.Text)
			}
		}
		shows("disk")
		if told != 1 || warned != 1 {
			t.Errorf("told %d times, warned %d times", told, warned)
		}
		w.stuck(errNoSource)
		shows("no_peers")
		w.reportRefusal(nil)
		shows("disk")
		list.full.Store(false)
		guards.full.Store(false)
		w.writeGuards()
		shows("disk") // the list is not saved yet

		w.saved(savesList, nil, "")
		shows("")
	})
}
