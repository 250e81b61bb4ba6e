// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"context"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"
)

// abuse opens count connections to addr, wide at a time, sends each what f writes,
// and closes them. It ends by itself.
func abuse(t *testing.T, addr string, count, wide int, f func(i int, c net.Conn)) {
	t.Helper()
	slots := make(chan struct{}, wide)
	var wg sync.WaitGroup
	for i := range count {
		slots <- struct{}{}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-slots }()
			c, err := net.DialTimeout("tcp4", addr, 5*time.Second)
			if err != nil {
				return // refused or full: that is the relay's right
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(2 * time.Second))
			f(i, c)
		}()
	}
	wg.Wait()
}

// settle waits until the number of goroutines is back near want.
func settle(t *testing.T, want int) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for runtime.NumGoroutine() > want {
		if time.Now().After(deadline) {
			t.Errorf("%d goroutines, %d were there before", runtime.NumGoroutine(), want)
			return
		}
		<-time.After(20 * time.Millisecond)
	}
}

// TestRelayPortSurvivesGarbage sends ten thousand connections of random bytes, of
// nothing and of broken handshakes to a relay's port; honest traffic goes on and
// nothing stays behind.
func TestRelayPortSurvivesGarbage(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	n, err := Start(ctx, Config{Relays: 5, Exits: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	mustGet(t, ctx, n.Clients[0], "before")
	before := runtime.NumGoroutine()
	count := 10_000
	if testing.Short() {
		count = 1_000
	}
	rng := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 1<<16)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	abuse(t, n.Relays[0].Addr().String(), count, 100, func(i int, c net.Conn) {
		switch i % 4 {
		case 0: // says nothing
		case 1: // random bytes, cut anywhere
			_, _ = c.Write(noise[i : i+1+i*7%4000])
		case 2: // a hello of the right shape, then noise where keys should be
			_, _ = c.Write(append([]byte{1, 1}, noise[i:i+1232]...))
			_, _ = c.Read(make([]byte, 4096))
		case 3: // more than any handshake has
			_, _ = c.Write(noise)
		}
	})
	mustGet(t, ctx, n.Clients[0], "after")
	settle(t, before+100)
}

// TestSlowHandshakesEnd holds half-finished handshakes open: the relay ends them
// in time and honest links are made meanwhile.
func TestSlowHandshakesEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the ten seconds of a handshake")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := Start(ctx, Config{Relays: 5, Exits: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c, err := net.DialTimeout("tcp4", n.Relays[0].Addr().String(), 5*time.Second)
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = c.Write([]byte{1, 1}[:i%3])
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
			began := time.Now()
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Error("the relay answered half a handshake")
			}
			if d := time.Since(began); d > 15*time.Second {
				t.Errorf("half a handshake was kept for %v", d)
			}
		}()
	}
	mustGet(t, ctx, n.Clients[0], "meanwhile")
	wg.Wait()
}
