// SPDX-License-Identifier: BSD-3-Clause

//go:build unix

package circuit

import (
	"syscall"
	"testing"
	"time"

	"chive/circuit/cell"
)

// cpu is the processor time this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// pump carries everything down a path of three hops without copies or queues of
// the test's own.
type pump struct {
	*path
}

// down brings everything the last hop has queued to the client, and what the
// client says to that back.
func (p *pump) down() {
	for p.carryDown() {
	}
	for {
		ch := p.o.Take(p.now)
		if ch == nil {
			return
		}
		for c := ch.Cells(); len(c) > 0; c = c[cell.Size:] {
			p.forward(c[:cell.Size])
		}
		p.o.Recycle(p.now, ch)
	}
}

func (p *pump) forward(c []byte) {
	for _, h := range p.hops {
		pass, err := h.Forward(p.now, c)
		if err != nil {
			p.t.Fatal(err)
		}
		if !pass {
			return
		}
	}
}

// carryDown takes one chunk at each hop, from the last to the first.
func (p *pump) carryDown() (moved bool) {
	for i := len(p.hops) - 1; i >= 0; i-- {
		ch := p.hops[i].Take(p.now)
		if ch == nil {
			continue
		}
		moved = true
		for c := ch.Cells(); len(c) > 0; c = c[cell.Size:] {
			var err error
			if i > 0 {
				err = p.hops[i-1].Backward(c[:cell.Size])
			} else {
				err = p.o.Receive(p.now, c[:cell.Size])
			}
			if err != nil {
				p.t.Fatal(err)
			}
		}
		p.hops[i].Recycle(p.now, ch)
	}
	return moved
}

// BenchmarkPath is what a bulk download costs in the machines: a client and
// three relays, without links. CPU seconds per gigabyte are of all four together,
// the collector's included; they do not depend on what else the machine does.
func BenchmarkPath(b *testing.B) {
	const piece = 128 << 10
	for name, up := range map[string]bool{"download": false, "upload": true} {
		b.Run(name, func(b *testing.B) {
			w := newPath(b, 3, DefaultParams())
			c, r := w.stream()
			from, to := r, c
			if up {
				from, to = c, r
			}
			p := &pump{path: w}
			data := make([]byte, piece)
			var spare []byte
			b.SetBytes(piece)
			b.ReportAllocs()
			b.ResetTimer()
			start := cpu(b)
			for range b.N {
				for rest := data; len(rest) > 0; {
					n, err := from.Put(rest)
					if err != nil {
						b.Fatal(err)
					}
					rest = rest[n:]
					p.down()
					p.down()
					spare = to.Swap(spare)
					if err := to.Consumed(len(spare)); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.StopTimer()
			b.ReportMetric((cpu(b)-start).Seconds()/(float64(b.N)*piece/1e9), "cpu-s/GB")
		})
	}
}
