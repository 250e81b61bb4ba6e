// SPDX-License-Identifier: BSD-3-Clause

package link_test

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"chive/circuit/cell"
	"chive/internal/memnet"
	"chive/internal/testutil"
	"chive/link"
)

// TestInteractiveBehindBulk sends a cell now and then over a link of 10 MB/s
// that 64 other circuits fill.
func TestInteractiveBehindBulk(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		const latency, bulk, samples = 10 * time.Millisecond, 64, 60
		n := memnet.New(memnet.Config{Path: func(from, to netip.Addr) memnet.Path {
			return memnet.Path{Latency: latency, Rate: 10_000_000}
		}})
		near, far := linked(t, end{n.Host(netip.MustParseAddr("10.0.0.1")), netip.AddrPort{}},
			end{n.Host(netip.MustParseAddr("10.0.0.2")), netip.MustParseAddrPort("10.0.0.2:1")}, link.Config{}, nil)
		defer near.Close()
		defer far.Close()

		var received atomic.Int64
		for range bulk {
			s, err := near.Open(link.StreamCircuit)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				c := make([]byte, 32*cell.Size)
				for s.WriteCells(c) == nil {
				}
			}()
			go func() {
				s, _, err := far.Accept()
				if err != nil {
					return
				}
				buf := make([]byte, 32*cell.Size)
				for {
					got, err := s.ReadCells(buf)
					if err != nil {
						return
					}
					received.Add(int64(len(got)))
				}
			}()
		}
		pause(time.Second)

		s, err := near.Open(link.StreamCircuit)
		if err != nil {
			t.Fatal(err)
		}
		arrived := make(chan time.Time, 1)
		go func() {
			s, _, err := far.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, cell.Size)
			for {
				if _, err := s.ReadCells(buf); err != nil {
					return
				}
				arrived <- time.Now()
			}
		}()
		before, start := received.Load(), time.Now()
		var delays []time.Duration
		for range samples {
			pause(37 * time.Millisecond)
			sent := time.Now()
			if err := s.WriteCells(make([]byte, cell.Size)); err != nil {
				t.Fatal(err)
			}
			delays = append(delays, (<-arrived).Sub(sent)-latency)
		}
		rate := float64(received.Load()-before) / time.Since(start).Seconds()
		slices.Sort(delays)
		t.Logf("added: median %v, p95 %v, max %v; bulk %.2f MB/s", delays[samples/2], delays[samples*95/100], delays[samples-1], rate/1e6)
		if delays[samples/2] > 15*time.Millisecond {
			t.Errorf("a cell waits %v behind bulk", delays[samples/2])
		}
		if rate < 9e6 {
			t.Errorf("bulk moves %.0f bytes/s only", rate)
		}
	})
}

// pause lets time pass.
func pause(d time.Duration) {
	t := time.NewTimer(d)
	<-t.C
}
