// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"chive/client"
	"chive/internal/memnet"
	"chive/internal/testutil"
)

// get fetches path from the built-in server through cl, and returns the body.
func get(ctx context.Context, cl *Client, key client.Isolation, path string) ([]byte, error) {
	conn, err := cl.Dial(ctx, key, TargetName, 80, nil)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: "+TargetName+"\r\nConnection: close\r\n\r\n"); err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return nil, errors.New("answer: " + r.Status)
	}
	return io.ReadAll(r.Body)
}

func mustGet(t *testing.T, ctx context.Context, cl *Client, key client.Isolation) {
	t.Helper()
	body, err := get(ctx, cl, key, "/")
	if err != nil {
		t.Fatalf("fetch: %v", err)
	}
	if string(body) != Page {
		t.Fatalf("body = %q", body)
	}
}

// pattern returns n bytes of the built-in server's pattern.
func pattern(n int) []byte {
	p := Pattern()
	return bytes.Repeat(p, n/len(p)+1)[:n]
}

func TestLoopbackNetworkFetchesAPage(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	n, err := Start(ctx, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	mustGet(t, ctx, n.Clients[0], "a")
	const size = 16 << 20
	body, err := get(ctx, n.Clients[0], "b", fmt.Sprintf("/bytes/%d", size))
	if err != nil || !bytes.Equal(body, pattern(size)) {
		t.Fatalf("download: %d bytes, %v", len(body), err)
	}
}

func TestParallelFetchesLoseNone(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	n, err := Start(ctx, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	const fetches = 200
	var wg sync.WaitGroup
	errs := make(chan error, fetches)
	for i := range fetches {
		wg.Add(1)
		go func() {
			defer wg.Done()
			key := client.Isolation(fmt.Sprint(i % 8))
			size := 1000 + 997*i
			body, err := get(ctx, n.Clients[0], key, fmt.Sprintf("/bytes/%d", size))
			if err == nil && !bytes.Equal(body, pattern(size)) {
				err = fmt.Errorf("%d bytes of %d", len(body), size)
			}
			if err != nil {
				errs <- err
			}
		}()
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

// inMemory runs f in a bubble of virtual time with a network of relays and clients
// whose paths have the given one-way latency.
func inMemory(t *testing.T, c Config, latency time.Duration, f func(t *testing.T, n *Network, m *memnet.Network, fab *Memory)) {
	testutil.Bubble(t, func(t *testing.T) {
		m := memnet.New(memnet.Config{Seed: 1, Path: func(_, _ netip.Addr) memnet.Path {
			return memnet.Path{Latency: latency, Jitter: 0.1}
		}})
		fab := NewMemory(m)
		c.Fabric = fab
		n, err := Start(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		f(t, n, m, fab)
	})
}

func TestVirtualNetworkRunsForMinutes(t *testing.T) {
	inMemory(t, Config{Relays: 10, Exits: 3, Clients: 3}, 40*time.Millisecond,
		func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
			began := time.Now()
			for round := range 10 {
				var wg sync.WaitGroup
				for i, cl := range n.Clients {
					wg.Add(1)
					go func() {
						defer wg.Done()
						body, err := get(t.Context(), cl, client.Isolation(fmt.Sprint(round)), "/bytes/300000")
						if err != nil || !bytes.Equal(body, pattern(300000)) {
							t.Errorf("round %d, client %d: %d bytes, %v", round, i, len(body), err)
						}
					}()
				}
				wg.Wait()
				if round == 4 {
					m.Kill(fab.RelayAddr(2)) // neither an exit nor noticed by anybody in time
				}
				time.Sleep(30 * time.Second) // virtual: circuits age
			}
			if passed := time.Since(began); passed < 5*time.Minute {
				t.Errorf("only %v of virtual time passed", passed)
			}
		})
}

func TestNewStreamsWorkAfterAMiddleRelayDied(t *testing.T) {
	inMemory(t, Config{Relays: 8, Exits: 2}, 20*time.Millisecond,
		func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
			cl := n.Clients[0]
			time.Sleep(time.Minute) // virtual: the client's own questions are over
			conn, err := cl.Dial(t.Context(), "victim", TargetName, 80, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			middle := cl.Circuits()[0]
			for _, q := range cl.Circuits() {
				if q.Streams > 0 {
					middle = q
				}
			}
			for i, r := range n.Relays {
				if r.RID() == middle.Path[1] {
					m.Kill(fab.RelayAddr(i))
				}
			}
			began := time.Now()
			if _, err := io.ReadAll(conn); err == nil {
				t.Error("the broken stream ended as if it were complete")
			}
			if d := time.Since(began); d > 10*time.Second {
				t.Errorf("the broken stream hung for %v", d)
			}
			mustGet(t, t.Context(), cl, "victim")
			if d := time.Since(began); d > 10*time.Second {
				t.Errorf("a new stream took %v", d)
			}
		})
}

// TestClientFindsFreshGuardsWhenItsOwnAreGone kills all three guards: the client
// learns from another relay that the network is up, draws others and goes on.
func TestClientFindsFreshGuardsWhenItsOwnAreGone(t *testing.T) {
	inMemory(t, Config{Relays: 12, Exits: 4}, 20*time.Millisecond,
		func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
			cl := n.Clients[0]
			for _, g := range cl.Guards() {
				for i, r := range n.Relays {
					if r.RID() == g {
						m.Kill(fab.RelayAddr(i))
					}
				}
			}
			deadline := time.Now().Add(3 * time.Minute)
			for {
				body, err := get(t.Context(), cl, "again", "/")
				if err == nil && string(body) == Page {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("no way into the network after three minutes: %v", err)
				}
				time.Sleep(time.Second) // virtual
			}
		})
}
