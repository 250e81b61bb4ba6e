// SPDX-License-Identifier: BSD-3-Clause

//go:build unix

package link_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"chive/circuit/cell"
	"chive/internal/memnet"
	"chive/link"
)

// cpu returns the processor time this process used.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLink moves cells one way, one cell a write, both ends in this
// process. CPU-s/GB covers both ends.
func BenchmarkLink(b *testing.B) {
	for _, carrier := range []string{"tcp", "memnet"} {
		for _, streams := range []int{1, 64} {
			for _, cells := range []int{1, 4} {
				b.Run(fmt.Sprintf("%s/streams=%d/cells=%d", carrier, streams, cells), func(b *testing.B) {
					benchmarkCells(b, carrier, streams, cells, 0)
				})
			}
		}
	}
	b.Run("tcp/streams=1/cells=1/chacha", func(b *testing.B) { benchmarkCells(b, "tcp", 1, 1, link.ChaChaPoly) })
}

// pool is an account as a relay's is.
type pool struct{ part, all atomic.Int64 }

func (p *pool) Add(n int64) {
	p.part.Add(n)
	p.all.Add(n)
}

func benchmarkCells(b *testing.B, carrier string, streams, cells int, suite link.Suite) {
	dialler, listener := end{link.TCP{}, netip.AddrPort{}}, end{link.TCP{}, netip.MustParseAddrPort("127.0.0.1:0")}
	if carrier == "memnet" {
		n := memnet.New(memnet.Config{})
		dialler.transport = n.Host(netip.MustParseAddr("10.0.0.1"))
		listener = end{n.Host(netip.MustParseAddr("10.0.0.2")), netip.MustParseAddrPort("10.0.0.2:0")}
	}
	near, far := linked(b, dialler, listener, link.Config{Suite: suite, Account: new(pool)}, nil)
	defer near.Close()
	defer far.Close()
	var wg sync.WaitGroup
	for range streams {
		wg.Add(1)
		go func() {
			defer wg.Done()
			s, _, err := far.Accept()
			if err != nil {
				b.Error(err)
				return
			}
			buf := make([]byte, 8*cell.Size)
			for {
				if _, err := s.ReadCells(buf); err != nil {
					s.Close()
					return
				}
			}
		}()
	}
	b.SetBytes(int64(cells) * cell.Size)
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu()
	for i := range streams {
		n := b.N / streams
		if i == 0 {
			n += b.N % streams
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			s, err := near.Open(link.StreamCircuit)
			if err != nil {
				b.Error(err)
				return
			}
			defer s.Close()
			c := make([]byte, cells*cell.Size)
			s.WriteCells(c[:cell.Size])
			for range n {
				if err := s.WriteCells(c); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric((cpu()-before).Seconds()/(float64(b.N)*float64(cells)*cell.Size/1e9), "CPU-s/GB")
}

// BenchmarkHandshake makes links; the time is that of both sides together.
func BenchmarkHandshake(b *testing.B) {
	n := memnet.New(memnet.Config{})
	d, l := n.Host(netip.MustParseAddr("10.0.0.1")), n.Host(netip.MustParseAddr("10.0.0.2"))
	ln, err := l.Listen(netip.MustParseAddrPort("10.0.0.2:1"))
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	server := link.Config{NetworkID: [32]byte{1}, Identity: identityForTest(b, 1)}
	before := cpu()
	b.ReportAllocs()
	for b.Loop() {
		done := make(chan *link.Link, 1)
		go func() {
			conn, err := ln.Accept()
			if err != nil {
				close(done)
				return
			}
			far, err := link.Server(context.Background(), conn, server)
			if err != nil {
				b.Error(err)
			}
			done <- far
		}()
		near, err := link.Dial(context.Background(), d, netip.MustParseAddrPort("10.0.0.2:1"), link.Config{NetworkID: [32]byte{1}})
		if err != nil {
			b.Fatal(err)
		}
		far := <-done
		near.Close()
		far.Close()
	}
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "CPU-us/handshake")
}
