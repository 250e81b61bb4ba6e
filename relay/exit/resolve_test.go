// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"chive/internal/testutil"
)

func TestNamesResolveToPublicAddressesOnly(t *testing.T) {
	long := []string{"8.0.0.1", "8.0.0.1", "::ffff:8.0.0.1", "8.0.0.2", "8.0.0.3", "8.0.0.4", "8.0.0.5",
		"2600::1", "2600::2", "2600::3", "2600::4", "2600::5"}
	for _, test := range []struct {
		name    string
		host    string
		answers []string
		want    []string
		reason  Reason
	}{
		{name: "one", host: "a.example", answers: []string{"8.0.0.1"}, want: []string{"8.0.0.1"}},
		{name: "IPv4 first", host: "a.example", answers: []string{"2600::1", "8.0.0.1"}, want: []string{"8.0.0.1", "2600::1"}},
		{name: "mapped", host: "a.example", answers: []string{"::ffff:8.0.0.1"}, want: []string{"8.0.0.1"}},
		{name: "many", host: "a.example", answers: long,
			want: []string{"8.0.0.1", "8.0.0.2", "8.0.0.3", "8.0.0.4", "2600::1", "2600::2", "2600::3", "2600::4"}},
		{name: "filtered", host: "a.example", answers: []string{"10.0.0.1", "8.0.0.1", "fd00::1", "5.5.5.5", "192.0.2.1"}, want: []string{"8.0.0.1"}},
		{name: "nothing left", host: "a.example", answers: []string{"10.0.0.1"}, reason: ReasonPolicy},
		{name: "no answer", host: "a.example", reason: ReasonUnresolvable},
		{name: "literal", host: "[2600::1]", want: []string{"2600::1"}},
		{name: "mapped literal", host: "::ffff:8.0.0.1", want: []string{"8.0.0.1"}},
		{name: "private literal", host: "10.0.0.1", reason: ReasonPolicy},
		{name: "no name", host: "a b", reason: ReasonUnresolvable},
	} {
		n := &fakeNet{lookup: func(context.Context, string) ([]netip.Addr, error) { return addrs(test.answers...), nil }}
		c := newExit(t, n, nil).NewCircuit()
		got, ttl, err := c.Resolve(t.Context(), test.host)
		wantReason(t, err, test.reason)
		if !slices.Equal(got, addrs(test.want...)) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
		if err == nil && ttl != 300*time.Second {
			t.Errorf("%s: holds for %v", test.name, ttl)
		}
	}
}

func TestAddressesResolveToNames(t *testing.T) {
	n := &fakeNet{reverse: func(_ context.Context, a netip.Addr) ([]string, error) {
		if a != netip.MustParseAddr("8.0.0.1") {
			return nil, &net.DNSError{IsNotFound: true}
		}
		return []string{"A.Example.", "a.example", "bad name.", "10.0.0.1", "b.example.", "c.example", "d.example", "e.example"}, nil
	}}
	c := newExit(t, n, nil).NewCircuit()
	want := []string{"a.example", "b.example", "c.example", "d.example"}
	for _, host := range []string{"8.0.0.1", "::ffff:8.0.0.1", "64:ff9b::800:1"} {
		got, ttl, err := c.ResolveAddr(t.Context(), netip.MustParseAddr(host))
		if err != nil || !slices.Equal(got, want) || ttl != 3_600*time.Second {
			t.Errorf("%s: %v for %v, %v", host, got, ttl, err)
		}
		clear(got) // the caller's: the cache must not see it
	}
	if asked := n.questions(); len(asked) != 1 {
		t.Errorf("asked %v", asked)
	}
	for host, reason := range map[string]Reason{"8.0.0.2": ReasonUnresolvable, "10.0.0.1": ReasonPolicy, "::1": ReasonPolicy, "5.5.5.5": ReasonPolicy, "fe80::1%a": ReasonPolicy} {
		_, _, err := c.ResolveAddr(t.Context(), netip.MustParseAddr(host))
		wantReason(t, err, reason)
	}
	_, _, err := c.ResolveAddr(t.Context(), netip.Addr{})
	wantReason(t, err, ReasonPolicy)
	if asked := n.questions(); len(asked) != 2 {
		t.Errorf("asked about the exit's own network: %v", asked)
	}
}

// Spec: EXIT-5.
func TestAnswersAreKeptForTheirFixedTime(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		var failure error
		n := &fakeNet{
			lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
				if failure != nil {
					return nil, failure
				}
				if host == "none.example" {
					return nil, &net.DNSError{IsNotFound: true}
				}
				return addrs("8.0.0.1", "2600::1"), nil
			},
			reverse: func(context.Context, netip.Addr) ([]string, error) { return []string{"a.example"}, nil },
		}
		e := newExit(t, n, nil)
		c := e.NewCircuit()
		asked := func() int { return len(n.questions()) }
		resolve := func(host string) error {
			got, ttl, err := c.Resolve(t.Context(), host)
			if err == nil && ttl != AddrTTL {
				t.Errorf("a cached answer tells its age: %v", ttl)
			}
			clear(got)
			return err
		}
		for _, step := range []struct {
			host   string
			wait   time.Duration
			asked  int
			reason Reason
		}{
			{"a.example", 0, 1, ReasonDone},
			{"A.EXAMPLE.", AddrTTL - 1, 1, ReasonDone},
			{"a.example", 1, 2, ReasonDone},
			{"none.example", 0, 3, ReasonUnresolvable},
			{"none.example", AddrTTL - 1, 3, ReasonUnresolvable},
			{"none.example", 1, 4, ReasonUnresolvable},
		} {
			pass(step.wait)
			wantReason(t, resolve(step.host), step.reason)
			if asked() != step.asked {
				t.Errorf("%s: asked %d times, want %d", step.host, asked(), step.asked)
			}
		}
		// Names of an address hold for an hour.
		for i, wait := range []time.Duration{0, NameTTL - 1, 1} {
			pass(wait)
			if _, ttl, err := c.ResolveAddr(t.Context(), netip.MustParseAddr("8.0.0.1")); err != nil || ttl != NameTTL {
				t.Error(ttl, err)
			}
			if want := 5 + i/2; asked() != want {
				t.Errorf("asked %d times, want %d", asked(), want)
			}
		}
		// A failure of the resolver is not an answer.
		for reason, err := range map[Reason]error{ReasonUnresolvable: &net.DNSError{}, ReasonTimeout: &net.DNSError{IsTimeout: true}, ReasonInternal: errors.New("x")} {
			failure = err
			before := asked()
			wantReason(t, resolve("b.example"), reason)
			wantReason(t, resolve("b.example"), reason)
			if asked() != before+2 {
				t.Error("a failure was kept")
			}
		}
		failure = nil
		wantReason(t, resolve("b.example"), ReasonDone)
		got := e.Counters()
		if got.Lookups[ReasonDone] != 5 || got.Lookups[ReasonUnresolvable] != 4 || got.Cached != 3 {
			t.Errorf("counted %v, %d cached", got.Lookups, got.Cached)
		}
	})
}

func TestLookupsEndInTime(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := &fakeNet{lookup: func(ctx context.Context, _ string) ([]netip.Addr, error) { <-ctx.Done(); return nil, ctx.Err() }}
		e := newExit(t, n, nil)
		c := e.NewCircuit()
		start := time.Now()
		_, _, err := c.Resolve(t.Context(), "a.example")
		wantReason(t, err, ReasonTimeout)
		_, err = c.Dial(t.Context(), "a.example", 443, false)
		wantReason(t, err, ReasonTimeout)
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %v, want 5 s each", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error)
		go func() { _, _, err := c.Resolve(ctx, "a.example"); errs <- err }()
		synctest.Wait()
		cancel()
		wantReason(t, <-errs, ReasonReset)
		wantIdle(t, e)
	})
}

// TestLookupAndConnectShareTenSeconds: a slow look-up leaves less for connecting.
func TestLookupAndConnectShareTenSeconds(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := &fakeNet{
			lookup: func(context.Context, string) ([]netip.Addr, error) {
				pass(4 * time.Second)
				return addrs("8.0.0.1"), nil
			},
			dial: func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) { return silent(ctx) },
		}
		start := time.Now()
		_, err := newExit(t, n, nil).NewCircuit().Dial(t.Context(), "a.example", 443, false)
		wantReason(t, err, ReasonTimeout)
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestTheOldestNameLeavesTheCache(t *testing.T) {
	var c nameCache
	now := time.Unix(0, 0)
	key := func(i int) question { return question{name: fmt.Sprintf("n%d.example", i)} }
	for i := range maxCachedNames { // cap-1 and cap
		c.put(key(i), answer{}, now, AddrTTL)
	}
	if _, ok := c.get(key(0), now); !ok || c.byAge.Len() != maxCachedNames {
		t.Fatal("a name left before the cap")
	}
	c.put(key(1), answer{}, now, AddrTTL) // renewed: now the newest
	if _, ok := c.get(key(0), now); !ok {
		t.Error("renewing a name drove out another")
	}
	for i := range 2 {
		c.put(key(maxCachedNames+i), answer{}, now, AddrTTL)
	}
	for i, want := range map[int]bool{0: false, 1: true, 2: false, 3: true, maxCachedNames + 1: true} {
		if _, ok := c.get(key(i), now); ok != want {
			t.Errorf("name %d is there: %v, want %v", i, ok, want)
		}
	}
	if c.byAge.Len() != maxCachedNames || len(c.byKey) != maxCachedNames {
		t.Errorf("%d and %d entries", c.byAge.Len(), len(c.byKey))
	}
	if _, ok := c.get(key(3), now.Add(AddrTTL)); ok || len(c.byKey) != maxCachedNames-1 {
		t.Error("an expired name stays")
	}
}
