// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestAClientWhoseRelaysAreGoneIsDown (CLI-6, CLI-7): it was ready, and then every relay
// is gone in the same way. After 20 s it says so, with the cause; with the first circuit
// it is ready again.
func TestAClientWhoseRelaysAreGoneIsDown(t *testing.T) {
	for cause, fails := range map[string]error{"refused": syscall.ECONNREFUSED, "no_route": syscall.ENETUNREACH} {
		inVillage(t, 9, func(t *testing.T, v *village) {
			var mu sync.Mutex
			var told []Progress
			gone := &byAddress{fails: map[netip.AddrPort]error{}}
			w := v.walk(func(c *Config) {
				gone.Transport, c.Transport = c.Transport, gone
				c.Progress = func(p Progress) { mu.Lock(); told = append(told, p); mu.Unlock() }
			})
			defer w.end()
			w.settleIn(t)
			for _, r := range v.relays {
				for _, a := range w.relayOf(t, r.rid).Addresses {
					gone.fails[a] = fails
				}
				if l := w.links.Lookup(r.rid); l != nil {
					_ = l.Close()
					<-l.Done()
				}
			}
			ctx, stop := context.WithCancel(t.Context())
			var over sync.WaitGroup
			over.Go(func() { // as the maintainer does, where no relay is an exit
				for ctx.Err() == nil {
					w.tellOutage()
					_, _ = w.construct(ctx, needDir, nil, nil)
					_ = pause(ctx, maintainEvery)
				}
			})
			defer func() { stop(); over.Wait(); w.tasks.Wait() }()

			v.pass(standstill - time.Second)
			if s := w.Status(); s.State != StateReady {
				t.Errorf("%s: %s within 19 s", cause, s.State)
			}
			v.pass(10 * time.Second)
			for range 60 {
				s := w.Status()
				if p := s.Bootstrap; s.State != StateDown || p.Cause != cause || !p.Stuck || p.Fix == "" || s.Text != p.Text || strings.Contains(s.Text, another) {
					t.Fatalf("%s: %s, %q, %+v", cause, s.State, s.Text, p)
				}
				for _, g := range s.Guards {
					if g.State == "in use" || g.State == "ready" {
						t.Fatalf("%s: a guard is %s while no circuit can be made: %s", cause, g.State, g.Why)
					}
				}
				v.pass(time.Second)
			}
			_, err := w.construct(t.Context(), needDir, nil, func(e TryExplained) {
				if strings.Contains(e.Text, another) {
					t.Errorf("a try says %q", e.Text)
				}
			})
			var f *Failure
			if errors.As(err, &f) && (f.Reason() != "network_down" || (f.Fix() == fixRefused) != (cause == "refused")) {
				t.Errorf("%s: %v: %s", cause, err, f.Fix())
			}
			stop()
			over.Wait()
			q := ending(1)
			q.c, q.path[0] = w.Client, w.relayOf(t, w.Guards()[0])
			if err := w.adopt(q); err != nil {
				t.Fatal(err)
			}
			if s := w.Status(); s.State != StateReady || s.Text != "" || s.Bootstrap.Cause != "" || s.Bootstrap.Stuck {
				t.Errorf("%s, with a circuit: %s, %q, %+v", cause, s.State, s.Text, s.Bootstrap)
			}
			w.mu.Lock()
			w.open = nil
			w.mu.Unlock()
			if s := w.Status(); s.State != StateReady {
				t.Errorf("%s: %s as soon as that is gone", cause, s.State)
			}
			mu.Lock()
			defer mu.Unlock()
			downs := 0
			for _, p := range told {
				if p.Stuck && p.Cause == cause {
					downs++
				}
			}
			if last := told[len(told)-1]; downs != 1 || last.Cause != "" || last.Percent != 100 {
				t.Errorf("%s: %d times told, last %+v", cause, downs, last)
			}
		})
	}
}

// TestGuardsThatAreReachedAreNotDown (CLI-6, CLI-7): for a moment no guard could be
// reached. Since then every one can be, and it is the circuits through them that fail: that
// is not said to be a guard which cannot be reached.
func TestGuardsThatAreReachedAreNotDown(t *testing.T) {
	inVillage(t, 9, func(t *testing.T, v *village) {
		gone := &byAddress{fails: map[netip.AddrPort]error{}}
		w := v.walk(func(c *Config) { gone.Transport, c.Transport = c.Transport, gone })
		defer w.end()
		w.settleIn(t)
		for _, r := range v.relays {
			for _, a := range w.relayOf(t, r.rid).Addresses {
				gone.fails[a] = syscall.ECONNREFUSED
			}
			if l := w.links.Lookup(r.rid); l != nil {
				_ = l.Close()
				<-l.Done()
			}
		}
		_, _ = w.construct(t.Context(), needDir, nil, nil)
		w.mu.Lock()
		noted := !w.outage.since.IsZero()
		w.mu.Unlock()
		if !noted {
			t.Fatal("that no guard can be reached is not noted")
		}
		clear(gone.fails)
		for range 8 {
			v.pass(5 * time.Second)
			var why *circuitError
			path, table, err := w.choose(needDir, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.build(t.Context(), path, table, needDir); !errors.As(err, &why) {
				t.Fatalf("a circuit ends with %v, not as one of a guard that was reached", err)
			}
			_, _ = w.construct(t.Context(), needDir, nil, nil)
			w.tellOutage()
		}
		if s := w.Status(); s.State != StateReady || s.Bootstrap.Cause != "" {
			t.Errorf("%s: %s", s.State, s.Text)
		}
	})
}

// TestARequestThatFindsNoGuardSaysWhatGuardsSay (product §4.6, CLI-7): every relay was killed a
// moment ago. The first request says that no guard accepts connections and where more is said,
// in words of no package, and its story has the same cause in steps, that of the guards last.
func TestARequestThatFindsNoGuardSaysWhatGuardsSay(t *testing.T) {
	for cause, fails := range map[string]error{"refused": syscall.ECONNREFUSED, "no_route": syscall.ENETUNREACH} {
		inVillage(t, 9, func(t *testing.T, v *village) {
			gone := &byAddress{fails: map[netip.AddrPort]error{}}
			w := v.walk(func(c *Config) { gone.Transport, c.Transport = c.Transport, gone })
			defer w.end()
			w.settleIn(t)
			if err := w.firstGuard(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, r := range v.relays {
				for _, a := range w.relayOf(t, r.rid).Addresses {
					gone.fails[a] = fails
				}
				if l := w.links.Lookup(r.rid); l != nil {
					_ = l.Close()
					<-l.Done()
				}
			}
			_, err := w.Dial(t.Context(), "k", "9.9.9.9", 443, nil)
			var f *Failure
			if !errors.As(err, &f) || f.Reason() != "network_down" || strings.Contains(f.Error(), "path:") || !strings.Contains(f.Fix(), "chive status") {
				t.Fatalf("%s: %v: %+v", cause, err, f)
			}
			if says := strings.Contains(f.Error(), "no guard accepts connections"); says != (cause == "refused") {
				t.Errorf("%s: %q", cause, f.Error())
			}
			e, ok := w.Stream(LastStream)
			if !ok || e.Text != f.Error() || len(e.Tries) < 2 {
				t.Fatalf("%s: %+v", cause, e)
			}
			for _, s := range e.Tries {
				if s.Reason != cause || s.Phase != phaseCircuit || s.Hop != 1 || strings.Contains(s.Text, "path:") {
					t.Errorf("%s: a step is %+v", cause, s)
				}
			}
			if last := e.Tries[len(e.Tries)-1]; last.Text != f.Error() || last.Relay != "" {
				t.Errorf("%s: the last step is %+v", cause, last)
			}
		})
	}
}
