// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"chive/internal/testutil"
)

// atCap takes units of a resource up to a cap, checks that one more is busy, and
// that a unit given back can be taken again. use takes one unit and returns how
// to give it back.
func atCap(t *testing.T, units int, use func(i int) (giveBack func(), err error)) (giveAll []func()) {
	t.Helper()
	for i := range units { // cap-1, then cap
		give, err := use(i)
		if err != nil {
			t.Fatalf("unit %d of %d: %v", i+1, units, err)
		}
		giveAll = append(giveAll, give)
	}
	_, err := use(units) // cap+1
	wantReason(t, err, ReasonBusy)
	giveAll[0]()
	give, err := use(0)
	if err != nil {
		t.Fatalf("after one was given back: %v", err)
	}
	giveAll[0] = give
	_, err = use(units)
	wantReason(t, err, ReasonBusy)
	return giveAll
}

// spread makes use(i) of one circuit into a use of as many circuits as a total
// needs.
func spread(e *Exit, perCircuit int, use func(c *Circuit) (func(), error)) func(i int) (func(), error) {
	circuits := make(map[int]*Circuit)
	return func(i int) (func(), error) {
		c := circuits[i/perCircuit]
		if c == nil {
			c = e.NewCircuit()
			circuits[i/perCircuit] = c
		}
		return use(c)
	}
}

func TestStreamsAreCapped(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		e := newExit(t, &fakeNet{}, nil)
		use := func(c *Circuit) (func(), error) {
			pass(time.Second / dialsPerSecond)
			conn, err := c.Dial(t.Context(), "8.8.8.8", 443, false)
			if err != nil {
				return nil, err
			}
			return func() { conn.Close() }, nil
		}
		c := e.NewCircuit()
		give := atCap(t, 256, func(int) (func(), error) { return use(c) })
		for _, g := range give {
			g()
		}
		wantIdle(t, e)
		give = atCap(t, 4_096, spread(e, 256, use))
		if n := e.Counters(); n.OpenStreams != 4_096 || n.Capped != 4 || n.Streams[ReasonBusy] != 4 {
			t.Errorf("%d open, %d capped", n.OpenStreams, n.Capped)
		}
		for _, g := range give {
			g()
		}
		wantIdle(t, e)
	})
}

// background runs f until it has begun to wait, or ended.
func background(f func(ctx context.Context) error) (giveBack func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	synctest.Wait()
	select {
	case err := <-done:
		cancel()
		return nil, err
	default:
		return func() { cancel(); <-done; synctest.Wait() }, nil
	}
}

func TestConnectsUnderWayAreCapped(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := &fakeNet{dial: func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) { return silent(ctx) }}
		e := newExit(t, n, nil)
		use := func(c *Circuit) (func(), error) {
			return background(func(ctx context.Context) error {
				_, err := c.Dial(ctx, "8.8.8.8", 443, false)
				return err
			})
		}
		c := e.NewCircuit()
		for _, g := range atCap(t, 32, func(int) (func(), error) { return use(c) }) {
			g()
		}
		wantIdle(t, e)
		for _, g := range atCap(t, 512, spread(e, 32, use)) {
			g()
		}
		wantIdle(t, e)
	})
}

// TestFurtherAttemptsWaitForAPlace: one name with many silent addresses cannot
// hold more sockets than there are connects, and an attempt that failed lends
// its place to the next.
func TestFurtherAttemptsWaitForAPlace(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		open, most := 0, 0
		n := &fakeNet{}
		n.lookup = func(context.Context, string) ([]netip.Addr, error) {
			return addrs("8.0.0.1", "8.0.0.2", "8.0.0.3", "8.0.0.4", "2600::1", "2600::2", "2600::3", "2600::4"), nil
		}
		n.dial = func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
			n.mu.Lock()
			open++
			most = max(most, open)
			n.mu.Unlock()
			defer func() { n.mu.Lock(); open--; n.mu.Unlock() }()
			return silent(ctx)
		}
		e := newExit(t, n, nil)
		c := e.NewCircuit()
		errs := make(chan error)
		for range 16 {
			go func() { _, err := c.Dial(t.Context(), "a.example", 443, false); errs <- err }()
		}
		for range 16 {
			wantReason(t, <-errs, ReasonTimeout)
		}
		synctest.Wait()
		if most != 32 {
			t.Errorf("%d sockets at once, want 32", most)
		}
		wantIdle(t, e)
	})
}

func TestDialsAreRated(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		e := newExit(t, &fakeNet{}, nil)
		c := e.NewCircuit()
		dial := func() error {
			conn, err := c.Dial(t.Context(), "8.8.8.8", 443, false)
			if err == nil {
				conn.Close()
			}
			return err
		}
		for i := range dialBurst {
			if err := dial(); err != nil {
				t.Fatalf("dial %d of the burst: %v", i+1, err)
			}
		}
		wantReason(t, dial(), ReasonBusy)
		for range 3 {
			pass(time.Second)
			for i := range dialsPerSecond {
				if err := dial(); err != nil {
					t.Fatalf("dial %d of a second: %v", i+1, err)
				}
			}
			wantReason(t, dial(), ReasonBusy)
		}
		other := e.NewCircuit()
		if _, err := other.Dial(t.Context(), "8.8.8.8", 443, false); err != nil {
			t.Errorf("another circuit: %v", err)
		}
		other.Close()
		wantIdle(t, e)
	})
}

func TestLookupsAreCapped(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := &fakeNet{
			lookup: func(ctx context.Context, _ string) ([]netip.Addr, error) { <-ctx.Done(); return nil, ctx.Err() },
			reverse: func(ctx context.Context, _ netip.Addr) ([]string, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
		}
		e := newExit(t, n, nil)
		i := 0
		use := func(c *Circuit) (func(), error) {
			i++
			return background(func(ctx context.Context) error {
				var err error
				switch i % 3 { // all that asks a resolver counts
				case 0:
					_, _, err = c.Resolve(ctx, fmt.Sprintf("n%d.example", i))
				case 1:
					_, _, err = c.ResolveAddr(ctx, netip.MustParseAddr("8.8.8.8"))
				case 2:
					_, err = c.Dial(ctx, fmt.Sprintf("n%d.example", i), 443, false)
				}
				return err
			})
		}
		c := e.NewCircuit()
		for _, g := range atCap(t, 16, func(int) (func(), error) { return use(c) }) {
			g()
		}
		wantIdle(t, e)
		for _, g := range atCap(t, 256, spread(e, 16, use)) {
			g()
		}
		wantIdle(t, e)
	})
}

func TestAssociationsAreCapped(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		e := newExit(t, &fakeNet{}, nil)
		use := func(c *Circuit) (func(), error) {
			a, err := c.OpenUDP()
			if err != nil {
				return nil, err
			}
			return func() { a.Close(); a.Close() }, nil
		}
		c := e.NewCircuit()
		for _, g := range atCap(t, 16, func(int) (func(), error) { return use(c) }) {
			g()
		}
		wantIdle(t, e)
		for _, g := range atCap(t, 1_024, spread(e, 16, use)) {
			g()
		}
		wantIdle(t, e)
	})
}

func TestUnusedCircuitsAreCheap(t *testing.T) {
	e := newExit(t, &fakeNet{}, nil)
	if n := testing.AllocsPerRun(100, func() { e.NewCircuit().Close() }); n > 1 {
		t.Errorf("%v allocations for a circuit that is never used", n)
	}
}
