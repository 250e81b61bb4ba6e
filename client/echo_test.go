// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"strings"
	"testing"
	"time"

	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/internal/testutil"
)

// TestACircuitIsAskedAgainWhileARequestWaits: after pauses that grow to a bound, also where it could
// not be asked; until it is silent, or the request waits no more. What is told is told once.
// Spec: product §4.6.
func TestACircuitIsAskedAgainWhileARequestWaits(t *testing.T) {
	const patience = openPatience - time.Second
	const none, full, alive = 'n', 'f', 'a' // what comes of a question: silence, not sent, an answer
	for _, c := range []struct {
		first   time.Duration
		answers string // the last one is that of all further questions
		silent  bool
		at      string // when it is asked
		says    int
	}{
		{2 * time.Second, "a", false, "2s 4s 8s 12s 16s", 2},
		{2 * time.Second, "n", true, "2s", 1},
		{2 * time.Second, "aan", true, "2s 4s 8s", 2},
		{2 * time.Second, "f", false, "2s 4s 8s 12s 16s", 1},
		{2 * time.Second, "ffn", true, "2s 4s 8s", 1},
		{2 * time.Second, "fa", false, "2s 4s 8s 12s 16s", 2},
		{6 * time.Second, "a", false, "6s 12s 18s", 2},
	} {
		testutil.Bubble(t, func(t *testing.T) {
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var at, said []string
			ask := func(ctx context.Context) echoed {
				at = append(at, time.Since(began).String())
				switch c.answers[min(len(at), len(c.answers))-1] {
				case alive:
					return echoed{asked: true, heard: true}
				case full:
					return echoed{}
				}
				return echoed{asked: true}
			}
			if err := pause(ctx, c.first); err != nil {
				t.Fatal(err)
			}
			silent, hangs := fallsSilent(ctx, c.first, ask, func(text string) { said = append(said, text) })
			if got := strings.Join(at, " "); silent != c.silent || hangs || got != c.at || len(said) != c.says {
				t.Errorf("%s from %v: silent %v, asked at %s, %q", c.answers, c.first, silent, got, said)
			}
			if !silent && time.Since(began) != patience {
				t.Errorf("%s: given up after %v", c.answers, time.Since(began))
			}
		})
	}
}

// Who waits no more does not wait for the answer that others wait for.
func TestAQuestionThatIsSharedHoldsNobody(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		q := &circ{echo: &echo{done: make(chan struct{})}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if got := q.ask(ctx); got.asked || got.heard || time.Since(began) != time.Second {
			t.Errorf("%+v after %v", got, time.Since(began))
		}
		time.AfterFunc(time.Second, func() {
			q.echo.asked, q.echo.heard = true, true
			close(q.echo.done)
		})
		if got := q.ask(t.Context()); !got.asked || !got.heard {
			t.Errorf("%+v", got)
		}
	})
}

// TestARequestDoesWithoutTheRelaysOfASilentCircuit: with any of them, in any place, since nobody
// can tell which has stopped; of exits that did not serve it, with those at the end only.
func TestARequestDoesWithoutTheRelaysOfASilentCircuit(t *testing.T) {
	relay := func(id byte) *snapshot.Relay {
		r := &snapshot.Relay{Policy: []record.PortRange{web}}
		r.RID[0], r.Flags = id, snapshot.FlagExit
		return r
	}
	path := func(ids ...byte) *circ {
		q := new(circ)
		for _, id := range ids {
			q.path = append(q.path, relay(id))
		}
		return q
	}
	two := []record.RID{{2}, {3}}
	for _, c := range []struct {
		avoid avoided
		q     *circ
		bars  bool
	}{
		{avoided{}, path(1, 2, 3), false},
		{avoided{silent: two}, path(1, 2, 4), true},
		{avoided{silent: two}, path(1, 4, 3), true},
		{avoided{silent: two}, path(1, 3, 4), true},
		{avoided{silent: two}, path(1, 4, 5), false},
		{avoided{silent: two}, path(2, 4, 5), true},
		{avoided{exits: two}, path(1, 4, 3), true},
		{avoided{exits: two}, path(1, 3, 4), false},
	} {
		if got := c.avoid.bars(c.q); got != c.bars {
			t.Errorf("%v, path %v: barred %v", c.avoid, c.q.rids(), got)
		}
		cl := bare(c.q)
		if q := cl.take(time.Now(), 0, "k", needWeb, c.avoid); (q == nil) != c.bars {
			t.Errorf("%v, path %v: taken %v", c.avoid, c.q.rids(), q != nil)
		}
	}
	cl := bare()
	_, w, _ := cl.takeOrWait(0, "k", needWeb, avoided{silent: two})
	if cl.finish(path(1, 2, 4)); w.q != nil {
		t.Error("a circuit was handed on that leads through one of them")
	}
	if cl.finish(path(1, 4, 5)); w.q == nil {
		t.Error("another one was not handed on")
	}
}
