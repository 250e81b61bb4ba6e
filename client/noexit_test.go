// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"errors"
	"strings"
	"testing"
	"time"

	"chive/directory/snapshot"
)

// TestWhenAllExitsCountAsGone: as long as one circuit ends at an exit none does, nor where fewer
// failed than run, up to a few; what failed long ago, or not at an exit, does not count, and a
// circuit to one takes all back.
func TestWhenAllExitsCountAsGone(t *testing.T) {
	inVillage(t, 9, func(t *testing.T, v *village) { // three of them are exits
		w := v.walk(nil)
		defer w.end()
		w.settleIn(t)
		said := func() string { return w.Status().NoExit }
		var exits, others []*snapshot.Relay
		for i := range w.current().view.Table().Len() {
			if r := w.current().view.Table().At(i); r.Flags&snapshot.FlagExit != 0 {
				exits = append(exits, r)
			} else {
				others = append(others, r)
			}
		}
		fails := func(n need, hop int, last *snapshot.Relay) {
			w.exitFailed(n, []*snapshot.Relay{others[0], others[1], last}, &circuitError{hop: hop})
		}
		if len(exits) != fewExits || said() != "" {
			t.Fatalf("%d exits: %q", len(exits), said())
		}
		fails(needWeb, 2, exits[0])
		fails(needWeb, 2, exits[0])
		fails(needWeb, 2, exits[1])
		fails(needWeb, 1, exits[2]) // a middle failed
		fails(needWeb, -1, exits[2])
		fails(needDir, 2, exits[2])
		if said() != "" {
			t.Errorf("one exit was not tried: %q", said())
		}
		fails(needWeb, 2, exits[2])
		if !strings.Contains(said(), "None of the 3 exits") {
			t.Errorf("all failed: %q", said())
		}
		v.pass(failedLife + time.Second)
		if said() != "" {
			t.Errorf("that is long ago: %q", said())
		}
		for _, r := range exits {
			fails(needWeb, 2, r)
		}
		q := ending(1, web)
		q.c = w.Client
		w.mu.Lock()
		w.open = append(w.open, q)
		w.mu.Unlock()
		if said() != "" {
			t.Errorf("a circuit ends at one: %q", said())
		}
		w.retire(q)
		if said() == "" {
			t.Error("that circuit takes nothing more, and nothing is said")
		}
		w.mu.Lock()
		w.open = nil
		w.mu.Unlock()
		q = ending(2, web)
		q.c, q.path[0] = w.Client, others[0]
		if err := w.adopt(q); err != nil {
			t.Fatal(err)
		}
		w.mu.Lock()
		w.open = nil
		w.mu.Unlock()
		if said() != "" {
			t.Errorf("a circuit to one was open: %q", said())
		}
	})
}

// TestAListWithoutExitsIsNoMatterOfPorts: no exit runs, or those that do may not be used; where some
// run and permit another port only, that is said as before.
func TestAListWithoutExitsIsNoMatterOfPorts(t *testing.T) {
	inVillage(t, 9, func(t *testing.T, v *village) {
		w := v.walk(nil)
		defer w.end()
		w.settleIn(t)
		chosen := func(n need) *Failure {
			t.Helper()
			var f *Failure
			if _, _, err := w.choose(n, nil); !errors.As(err, &f) || !isPathError(err) {
				t.Fatalf("%v", err)
			}
			return f
		}
		if f := chosen(need{6, 25}); f != errPolicy {
			t.Errorf("a port that none permits: %+v", f)
		}
		if f := noExitIn(w.current()); f != errNewExits {
			t.Errorf("those that run have no weight: %+v", f)
		}
		all := w.current().view.Table()
		for i := range all.Len() { // the test's own
			if r := all.At(i); r.Flags&snapshot.FlagExit != 0 {
				r.Flags &^= snapshot.FlagRunning
			}
		}
		w.mu.Lock()
		w.dir.table = newTable(w.dir.table.view, w.dir.table.params)
		w.mu.Unlock()
		if f := chosen(needWeb); f != errNoExit {
			t.Errorf("none runs: %+v", f)
		}
		if s := w.Status(); !strings.Contains(s.NoExit, "no exit that runs") || len(s.Notes) == 0 || s.Notes[len(s.Notes)-1] != s.NoExit {
			t.Errorf("its status: %q, %q", s.NoExit, s.Notes)
		}
	})
}
