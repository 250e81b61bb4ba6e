// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chive/internal/memnet"
	"chive/internal/testutil"
)

// fleet is a host that dials and relays that listen, in memory.
type fleet struct {
	t     *testing.T
	net   *memnet.Network
	mu    sync.Mutex
	dials int
	far   []*Link
}

func newFleet(t *testing.T, relays int) *fleet {
	f := &fleet{t: t, net: memPath(memnet.Path{Latency: 10 * time.Millisecond})}
	for i := range relays {
		f.listen(byte(10+i), func(*Link) {})
	}
	return f
}

// listen accepts links as relay n for as long as the test runs.
func (f *fleet) listen(n byte, got func(*Link)) *Listener {
	ln, err := f.net.Host(hostAddr(n)).Listen(hostPort(n))
	if err != nil {
		f.t.Fatal(err)
	}
	id := testIdentity(f.t, n)
	l := NewListener(ln, ListenerConfig{Link: func() Config { return relayConfig(id) }})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			link, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			f.mu.Lock()
			f.far = append(f.far, link)
			f.mu.Unlock()
			got(link)
		}
	})
	f.t.Cleanup(func() {
		l.Close()
		wg.Wait()
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, link := range f.far {
			link.Close()
		}
	})
	return l
}

func (f *fleet) dial(ctx context.Context, rid [16]byte, addrs []netip.AddrPort) (*Link, error) {
	f.mu.Lock()
	f.dials++
	f.mu.Unlock()
	return Dial(ctx, f.net.Host(hostAddr(1)), addrs[0], clientConfig())
}

func (f *fleet) pool(cfg PoolConfig) *Pool {
	if cfg.Dial == nil {
		cfg.Dial = f.dial
	}
	p := NewPool(cfg)
	f.t.Cleanup(func() { p.Close() })
	return p
}

func rid(n byte) [16]byte { return [16]byte{n} }

func at(n byte) []netip.AddrPort { return []netip.AddrPort{hostPort(n)} }

func TestPoolDialsOnceForAll(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		f := newFleet(t, 2)
		ups := 0
		p := f.pool(PoolConfig{Up: func(*Link) { ups++ }})
		results := make(chan *Link, 20)
		for range 20 {
			go func() {
				l, err := p.Get(context.Background(), rid(10), at(10))
				if err != nil {
					t.Error(err)
				}
				results <- l
			}()
		}
		first := <-results
		for range 19 {
			if <-results != first {
				t.Error("two links to one relay")
			}
		}
		if l, err := p.Get(context.Background(), rid(10), nil); l != first || err != nil {
			t.Error("not kept", err)
		}
		if l, err := p.Get(context.Background(), rid(11), at(11)); l == first || err != nil {
			t.Error("one link for two relays", err)
		}
		if f.dials != 2 || ups != 2 || p.Len() != 2 || p.Lookup(rid(10)) != first || p.Lookup(rid(99)) != nil {
			t.Error("dials", f.dials, "ups", ups, "links", p.Len())
		}
	})
}

func TestPoolForgetsLinksThatEnded(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		f := newFleet(t, 1)
		p := f.pool(PoolConfig{})
		l, err := p.Get(context.Background(), rid(10), at(10))
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		if p.Len() != 0 || p.Lookup(rid(10)) != nil {
			t.Error("kept")
		}
		again, err := p.Get(context.Background(), rid(10), at(10))
		if err != nil || again == l {
			t.Fatal(err)
		}
		f.net.Kill(hostAddr(10))
		<-again.Done()
		synctest.Wait()
		if p.Len() != 0 {
			t.Error("kept after a reset")
		}
		if _, err := p.Get(context.Background(), rid(10), at(10)); err != ErrRefused {
			t.Error(err)
		}
		if len(p.dials) != 0 {
			t.Error("a failed dial is kept")
		}
	})
}

// Spec: protocol §1 (LINK-5)
func TestPoolKeepsOneLinkADirectionAndTheNewest(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		f := newFleet(t, 1)
		p := f.pool(PoolConfig{})
		inbound := func() *Link {
			l, err := f.dial(context.Background(), rid(10), at(10))
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		first, second := inbound(), inbound()
		if err := p.Adopt(rid(10), first); err != nil {
			t.Fatal(err)
		}
		if l, _ := p.Get(context.Background(), rid(10), nil); l != first {
			t.Error("the relay's own link is not used")
		}
		if err := p.Adopt(rid(10), second); err != nil {
			t.Fatal(err)
		}
		<-first.Done()
		if p.Lookup(rid(10)) != second || p.Len() != 1 {
			t.Error("the newest does not win")
		}
		if err := p.put(poolKey{rid(10), true}, inbound()); err != nil { // as if dialled
			t.Fatal(err)
		}
		if p.Len() != 2 || p.Lookup(rid(10)) == second || second.Err() != nil {
			t.Error("one direction displaced the other")
		}
	})
}

func TestPoolAtItsCap(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		f := newFleet(t, 4)
		p := f.pool(PoolConfig{MaxLinks: 3})
		var all []*Link
		for n := range byte(3) {
			l, err := p.Get(context.Background(), rid(10+n), at(10+n))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, l)
			wait(time.Second)
		}
		s0, err := all[0].Open(StreamCircuit)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range all[1:] {
			if l.Err() != nil {
				t.Error("closed below the cap")
			}
		}
		l, err := p.Get(context.Background(), rid(13), at(13))
		if err != nil {
			t.Fatal(err)
		}
		if p.Len() != 3 || all[0].Err() != nil || all[1].Err() != ErrClosed || all[2].Err() != nil {
			t.Error("not the longest idle one went:", all[0].Err(), all[1].Err(), all[2].Err())
		}
		for _, busy := range []*Link{all[2], l} {
			if _, err := busy.Open(StreamCircuit); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := p.Get(context.Background(), rid(11), at(11)); err != ErrBusy {
			t.Error("beyond the cap:", err)
		}
		extra, err := f.dial(context.Background(), rid(11), at(11))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Adopt(rid(11), extra); err != ErrBusy || extra.Err() != ErrClosed {
			t.Error("adopted beyond the cap:", err)
		}
		if p.Len() != 3 {
			t.Error(p.Len())
		}
		s0.Close()
	})
}

func TestPoolBoundsDialsAndTheirTime(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		f := newFleet(t, 0)
		ended := 0
		var mu sync.Mutex
		p := f.pool(PoolConfig{Dial: func(ctx context.Context, _ [16]byte, _ []netip.AddrPort) (*Link, error) {
			<-ctx.Done()
			mu.Lock()
			ended++
			mu.Unlock()
			return nil, ErrTimeout
		}})
		start := time.Now()
		results := make(chan error, MaxDials)
		for n := range MaxDials {
			go func() {
				_, err := p.Get(context.Background(), [16]byte{byte(n), byte(n >> 8), 1}, nil)
				results <- err
			}()
		}
		synctest.Wait()
		if _, err := p.Get(context.Background(), rid(200), nil); err != ErrBusy {
			t.Error("beyond the cap:", err)
		}
		for range MaxDials {
			if err := <-results; err != ErrTimeout {
				t.Error(err)
			}
		}
		if d := time.Since(start); d != DialTimeout {
			t.Error("dials took", d)
		}

		// A dial ends when nobody waits for it any more, not before.
		mu.Lock()
		ended = 0
		mu.Unlock()
		ctx1, cancel1 := context.WithCancel(context.Background())
		ctx2, cancel2 := context.WithCancel(context.Background())
		for _, ctx := range []context.Context{ctx1, ctx2} {
			go func() {
				_, err := p.Get(ctx, rid(7), nil)
				results <- err
			}()
		}
		synctest.Wait()
		cancel1()
		if err := <-results; err != context.Canceled {
			t.Error(err)
		}
		synctest.Wait()
		mu.Lock()
		if ended != 0 {
			t.Error("ended though somebody waits")
		}
		mu.Unlock()
		cancel2()
		<-results
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if ended != 1 || len(p.dials) != 0 {
			t.Error("goes on though nobody waits", ended, len(p.dials))
		}
	})
}

func TestClosedPool(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		f := newFleet(t, 2)
		p := f.pool(PoolConfig{})
		l, err := p.Get(context.Background(), rid(10), at(10))
		if err != nil {
			t.Fatal(err)
		}
		hang := make(chan error, 1)
		f.net.Cut(hostAddr(1), hostAddr(11))
		go func() { _, err := p.Get(context.Background(), rid(11), at(11)); hang <- err }()
		synctest.Wait()
		start := time.Now()
		p.Close()
		if err := <-hang; !errors.Is(err, context.Canceled) || time.Since(start) != 0 {
			t.Error(err, time.Since(start))
		}
		<-l.Done()
		if _, err := p.Get(context.Background(), rid(10), at(10)); err != ErrClosed {
			t.Error(err)
		}
		late, err := f.dial(context.Background(), rid(10), at(10))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Adopt(rid(10), late); err != ErrClosed || late.Err() != ErrClosed {
			t.Error(err)
		}
	})
}
