// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chive/client"
	"chive/internal/memnet"
	"chive/internal/testutil"
)

// TestANewClientUsesItsFirstCircuitAlone counts what a client moves from its start to
// its first answer: one link, one circuit, one stream. Others follow, and then the
// client's own questions.
func TestANewClientUsesItsFirstCircuitAlone(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		var moved atomic.Int64
		var fab *Memory
		m := memnet.New(memnet.Config{
			Seed: 1,
			Path: func(_, _ netip.Addr) memnet.Path { return memnet.Path{Latency: 20 * time.Millisecond} },
			Tap: func(from, to netip.AddrPort, b []byte) {
				if c := fab.ClientAddr(0); from.Addr() == c || to.Addr() == c {
					moved.Add(int64(len(b)))
				}
			},
		})
		fab = NewMemory(m)
		n, err := Start(t.Context(), Config{Fabric: fab})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		cl := n.Clients[0]
		mustGet(t, t.Context(), cl, "first")
		if got := moved.Load(); got > 38_000 {
			t.Errorf("%d bytes until the first answer", got)
		}
		if got := len(cl.Circuits()); got != 1 {
			t.Errorf("%d circuits beside the first request", got-1)
		}
		time.Sleep(2 * time.Second) // virtual
		if got := len(cl.Circuits()); got != 3 {
			t.Errorf("%d circuits a little later, want 3", got)
		}
	})
}

// TestIsolatedRequestsRightAfterTheStart makes twenty at once: each gets a circuit of
// its own, and none waits for those before it.
func TestIsolatedRequestsRightAfterTheStart(t *testing.T) {
	const latency = 20 * time.Millisecond
	inMemory(t, Config{}, latency, func(t *testing.T, n *Network, _ *memnet.Network, _ *Memory) {
		cl := n.Clients[0]
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				if _, err := get(t.Context(), cl, client.Isolation(fmt.Sprint(i)), "/"); err != nil {
					t.Errorf("request %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if d := time.Since(began); d > 50*latency {
			t.Errorf("they took %v", d)
		}
		used := 0
		for _, q := range cl.Circuits() {
			if q.InUse {
				used++
			}
		}
		if used != 20 {
			t.Errorf("%d circuits carried 20 keys", used)
		}
	})
}
