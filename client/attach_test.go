// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"chive/directory/record"
	"chive/internal/testutil"
)

// wait makes a request that finds no circuit.
func (c *Client) wait(t *testing.T, key Isolation, n need, avoid ...record.RID) *waiter {
	t.Helper()
	c.remember(n)
	q, w, first := c.takeOrWait(c.age, key, n, avoided{exits: avoid})
	if q != nil || w == nil || !first {
		t.Fatalf("%q does not wait for a circuit of its own", key)
	}
	return w
}

// finish adds a circuit as if it had just been built.
func (c *Client) finish(q *circ) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = append(c.open, q)
	c.hand(q, time.Now())
}

func (w *waiter) over() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

func TestACircuitGoesToWhoWaitedLongestAndCanUseIt(t *testing.T) {
	c := bare()
	mail := need{protocol: record.TCP, port: 25}
	q1, q2, q3, q4 := ending(1, web), ending(2, web), ending(3, web), ending(4, web)
	w1 := c.wait(t, "a", mail)
	w2 := c.wait(t, "b", needWeb, q1.last().RID)
	w3 := c.wait(t, "c", needWeb)
	for i, step := range []struct {
		q    *circ
		gets *waiter
	}{{q1, w3}, {q2, w2}, {q3, nil}} {
		c.finish(step.q)
		for _, w := range []*waiter{w1, w2, w3} {
			if (w.q == step.q) != (w == step.gets) {
				t.Fatalf("circuit %d went to %q", i+1, w.key)
			}
		}
		if step.gets != nil && (!step.gets.over() || step.q.key != step.gets.key || step.q.streams != 1) {
			t.Fatalf("circuit %d is not claimed for who got it", i+1)
		}
	}
	if q3.taken || w1.over() || len(c.waiters) != 1 || len(c.ongoing) != 1 {
		t.Error("a circuit that suits nobody who waits was given away")
	}
	if got := c.takeNow("d", needWeb, nil); got != q3 {
		t.Error("it is not there for the next request")
	}
	c.finish(q4)
	if c.takeNow("c", needWeb, nil) != q1 {
		t.Error("a second stream of a key does not go over the circuit that it waited for")
	}
}

func TestRequestsOfOneKeyWaitTogether(t *testing.T) {
	c := bare()
	w := c.wait(t, "a", needWeb)
	if _, other, first := c.takeOrWait(c.age, "a", needWeb, avoided{}); first || other != w {
		t.Fatal("a second request of the key has a circuit of its own built")
	}
	failed := errors.New("failed")
	c.giveUp(w, failed)
	if !w.over() || w.err != failed || len(c.waiters) != 0 || len(c.ongoing) != 0 {
		t.Error("a failure does not end the wait")
	}
	c.giveUp(w, nil) // again
	if w.err != failed {
		t.Error("a wait that had ended was ended again")
	}
}

func TestWhoWaitedBeforeNewIdentitySharesWithNobodyLater(t *testing.T) {
	c := bare()
	before := c.wait(t, "a", needWeb)
	c.NewIdentity()
	after := c.wait(t, "a", needWeb)
	q1, q2 := ending(1, web), ending(2, web)
	c.finish(q1)
	if before.q != q1 || after.over() || c.ongoing[ongoing{"a", needWeb, c.age}] != after {
		t.Fatal("the circuit did not go to the older request alone")
	}
	if c.takeNow("a", needWeb, nil) != nil {
		t.Fatal("a later stream of the key goes over a circuit from before")
	}
	c.finish(q2)
	if after.q != q2 || c.takeNow("a", needWeb, nil) != q2 {
		t.Error("the later request got no circuit that its key goes on using")
	}
}

// TestAWaitEndsWithItsContext has a request of a key give up whose circuit is being
// built, and another one of that key wait on, and shut down.
func TestAWaitEndsWithItsContext(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		c := bare()
		life, end := context.WithCancel(t.Context())
		c.life = life
		c.builds = make(chan struct{}) // nothing is ever built
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := c.attach(ctx, nil, 0, "a", needWeb, avoided{})
			first <- err
		}()
		synctest.Wait()
		go func() {
			_, err := c.attach(t.Context(), nil, 0, "a", needWeb, avoided{})
			second <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up got %v", err)
		}
		synctest.Wait()
		if len(c.waiters) != 1 {
			t.Fatalf("%d requests wait, want the other one", len(c.waiters))
		}
		end()
		var f *Failure
		if err := <-second; !errors.As(err, &f) || f.Reason() != "starting" {
			t.Errorf("at the end of the client: %v", err)
		}
		c.tasks.Wait()
	})
}

func TestTheFirstCircuitStaysAloneUntilItProvesTooFew(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		c := bare(ending(1, web))
		c.quietUntil = time.Now().Add(startQuiet)
		c.remember(needWeb)
		if c.takeNow("a", needWeb, nil) == nil {
			t.Fatal("the first circuit was not given")
		}
		if n := len(c.lacking()); n != 0 {
			t.Errorf("%d circuits are built beside the first request", n)
		}
		w := c.wait(t, "b", needWeb)
		if n := len(c.lacking()); n != 3 {
			t.Errorf("two keys at once: %d circuits are built ahead, want 3", n)
		}
		c.giveUp(w, nil)

		c = bare(ending(1, web))
		c.quietUntil = time.Now().Add(startQuiet)
		c.remember(needWeb)
		c.takeNow("a", needWeb, nil)
		time.Sleep(startQuiet)
		if n := len(c.lacking()); n != 2 {
			t.Errorf("one key, a second later: %d circuits are built ahead, want 2", n)
		}
		if n := len(c.lacking()); n != 0 {
			t.Errorf("%d more while they are being built", n)
		}
	})
}

func TestBuildingAheadIsBounded(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		c := bare()
		for i := range 3 * maxSpare {
			n := need{protocol: record.TCP, port: uint16(80 + i%maxNeeds)}
			c.remember(n)
			c.mu.Lock()
			c.needed(time.Now(), n)
			c.mu.Unlock()
		}
		total := 0
		for range 10 {
			n := c.lacking()
			if c.ahead > maxAhead {
				t.Fatalf("%d circuits are built at once, at most %d may be", c.ahead, maxAhead)
			}
			total += len(n)
			for range n {
				c.finish(ending(byte(total), web))
				c.leaveAhead()
			}
		}
		if total > maxSpare {
			t.Errorf("%d unused circuits, at most %d may be kept", total, maxSpare)
		}
		c.open = make([]*circ, 0, maxOpen)
		for range maxOpen - 1 {
			q := ending(1)
			q.taken = true
			c.open = append(c.open, q)
		}
		if n := len(c.lacking()); n != 1 {
			t.Errorf("%d circuits are built where there is room for one", n)
		}
	})
}

// TestNobodyIsLeftWithoutABuild: the younger's circuit goes to the older, whose own
// build then fails.
func TestNobodyIsLeftWithoutABuild(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		c := bare()
		life, end := context.WithCancel(t.Context())
		c.life = life
		c.builds = make(chan struct{}) // what is begun now is never built
		older, younger := c.wait(t, "a", needWeb), c.wait(t, "b", needWeb)
		c.finish(ending(1, web)) // built for the younger
		c.notBuilding(younger)
		if older.q == nil || younger.over() || younger.builds != 1 || c.building != 2 {
			t.Fatalf("%d circuits are built for who went without, %d in all", younger.builds, c.building)
		}
		c.giveUp(older, errors.New("its own build failed"))
		c.notBuilding(older)
		if c.building != 1 || younger.builds != 1 {
			t.Fatalf("%d circuits are being built, want one for who waits", c.building)
		}
		end()
		synctest.Wait()
		if !younger.over() || c.building != 0 {
			t.Errorf("%d circuits are being built at the end, the wait has ended: %v", c.building, younger.over())
		}
		c.tasks.Wait()
		c.closing = true
		late := c.wait(t, "c", needWeb)
		c.notBuilding(late)
		if !late.over() || late.err == nil {
			t.Error("who is left while the client closes waits on")
		}
	})
}

// TestNewIdentityParts: two requests of one key from before and one from after it. The
// one that had joined the other's wait does not end up with who came later.
func TestNewIdentityParts(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		c := bare()
		life, end := context.WithCancel(t.Context())
		c.life = life
		c.builds = make(chan struct{})
		ask := func() chan *circ {
			age, got := c.age, make(chan *circ, 1)
			go func() {
				q, _ := c.attach(t.Context(), nil, age, "a", needWeb, avoided{})
				got <- q
			}()
			synctest.Wait()
			return got
		}
		first, joined := ask(), ask()
		c.NewIdentity()
		later := ask()
		q1, q2 := ending(1, web), ending(2, web)
		c.finish(q1)
		synctest.Wait()
		c.finish(q2)
		synctest.Wait()
		if a, b, d := <-first, <-joined, <-later; a != q1 || b != q1 || d != q2 {
			t.Errorf("circuits %p and %p before, %p after; built %p, %p", a, b, d, q1, q2)
		}
		end()
		c.tasks.Wait()
	})
}

// TestOnlyItsOwnFailureIsShared: a request that avoids every exit has none; another of
// its key, which avoids none, goes on.
func TestOnlyItsOwnFailureIsShared(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		c := bare()
		life, end := context.WithCancel(t.Context())
		c.life = life
		c.builds = make(chan struct{})
		picky := c.wait(t, "a", needWeb, ending(1, web).last().RID)
		got := make(chan *circ, 1)
		go func() {
			q, _ := c.attach(t.Context(), nil, 0, "a", needWeb, avoided{})
			got <- q
		}()
		synctest.Wait()
		c.giveUp(picky, errors.New("no such relay"))
		c.notBuilding(picky)
		synctest.Wait()
		q := ending(1, web)
		c.finish(q)
		if <-got != q {
			t.Error("the failure of a request that avoids relays became that of one that does not")
		}
		end()
		c.tasks.Wait()
	})
}
