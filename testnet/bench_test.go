// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"chive/client"
)

// download fetches size bytes and drops them.
func download(ctx context.Context, cl *Client, key client.Isolation, size int) error {
	conn, err := cl.Dial(ctx, key, TargetName, 80, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET /bytes/%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", size); err != nil {
		return err
	}
	r, err := http.ReadResponse(bufio.NewReaderSize(conn, 64<<10), nil)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, make([]byte, 64<<10))
	if err == nil && n != int64(size) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// BenchmarkDownload moves bytes from the built-in server through three relays to a
// client, all in this process, over loopback TCP. cpu-s/GB counts client, relays
// and server together.
func BenchmarkDownload(b *testing.B) {
	for _, streams := range []int{1, 8} {
		b.Run(fmt.Sprintf("streams=%d", streams), func(b *testing.B) {
			n, err := Start(b.Context(), Config{})
			if err != nil {
				b.Fatal(err)
			}
			defer n.Close()
			const size = 32 << 20
			b.SetBytes(int64(streams) * size)
			cpu := cpuTime()
			for b.Loop() {
				var wg sync.WaitGroup
				for i := range streams {
					wg.Add(1)
					go func() {
						defer wg.Done()
						if err := download(b.Context(), n.Clients[0], client.Isolation(fmt.Sprint(i)), size); err != nil {
							b.Error(err)
						}
					}()
				}
				wg.Wait()
			}
			gb := float64(b.N) * float64(streams) * size / 1e9
			b.ReportMetric((cpuTime()-cpu).Seconds()/gb, "cpu-s/GB")
		})
	}
}

// BenchmarkFetch is the time to a small page on a built circuit and on a fresh
// isolated one.
func BenchmarkFetch(b *testing.B) {
	n, err := Start(b.Context(), Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	b.Run("built", func(b *testing.B) {
		for b.Loop() {
			if _, err := get(b.Context(), n.Clients[0], "same", "/"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("isolated", func(b *testing.B) {
		i := 0
		for b.Loop() {
			i++
			if _, err := get(b.Context(), n.Clients[0], client.Isolation(fmt.Sprint(i)), "/"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkStart is a network of ten relays from nothing to its first circuit.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		ctx, cancel := context.WithTimeout(b.Context(), 30*time.Second)
		n, err := Start(ctx, Config{})
		if err != nil {
			b.Fatal(err)
		}
		n.Close()
		cancel()
	}
}

// BenchmarkJoin is a client that knows the genesis document alone, from its start to
// its first open circuit (ns/op, mean; "median-ms" and "worst-ms" over all), in a
// network of ten relays on loopback. At most MaxClients-1 times: -benchtime 100x.
// The goal, half a second, is G4's (directory §14 of the design).
func BenchmarkJoin(b *testing.B) {
	n, err := Start(b.Context(), Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		cl, err := n.JoinClient(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		b.StopTimer()
		cl.Stop()
		b.StartTimer()
	}
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(took[len(took)/2]), "median-ms")
	b.ReportMetric(ms(took[len(took)-1]), "worst-ms")
}
