// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"chive/client"
	"chive/internal/memnet"
	"chive/internal/testutil"
)

// crowd is an experiment in virtual time: circuits of one client that move as much
// as they can through one slow link, and one circuit beside them on which somebody
// types. Computing takes no time there: what is measured are queues, windows and
// schedulers, and the machine it runs on does not matter.
type crowd struct {
	name    string
	bulk    int   // circuits that move data without pause
	streams int   // on each of them; 0: one
	rate    int64 // of the slow link, bytes a second
	up      bool  // data goes away from the client instead of towards it
	between bool  // the slow link is the one to the exit instead of the client's own
	slow    int   // of bulk: their programs read slowReading
	still   int   // of bulk: their programs read nothing
	// behind, if not zero, leads the circuit of the first bulk stream, and no other,
	// through a middle relay to which the exit moves so many bytes a second.
	behind int64
	ticks  int // of measuring, and of settling before
}

const (
	crowdLatency = 10 * time.Millisecond  // of every link, one way
	crowdTick    = 100 * time.Millisecond // how often the typist types
	slowReading  = 20_000                 // bytes a second
	slowRelay    = 0                      // see crowd.behind
	maxDraws     = 50                     // of guards and paths, until they fit

	echoPort, sourcePort, sinkPort = 7000, 7001, 7002
)

// crowded is what an experiment showed.
type crowded struct {
	idle, loaded trips     // of the typist: alone, and beside the crowd
	own          trips     // of one who types on the circuit of the first bulk stream
	total        float64   // bytes a second that programs got, all bulk circuits
	each         []float64 // the same of those that nothing but the crowd holds up
	behind       float64   // the same of the one behind the slow relay
}

// trips are round-trip times in order of size.
type trips []time.Duration

func (d trips) at(q float64) time.Duration { return d[min(len(d)-1, int(q*float64(len(d))))] }

// added is what the crowd adds to the typist's round trips.
func (r *crowded) added(q float64) time.Duration { return r.loaded.at(q) - r.idle.at(0.5) }

// jain is Jain's fairness index: 1 if all have the same, 1/n if one has all.
func jain(x []float64) float64 {
	var sum, squares float64
	for _, v := range x {
		sum += v
		squares += v * v
	}
	return sum * sum / (float64(len(x)) * squares)
}

const crowdHeader = "| circuits | rtt alone | beside: p50 | p95 | max, ms | added p95 | own rtt p50 | MB/s | Jain | kB/s each |"

func (r *crowded) row(name string) string {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	each := fmt.Sprintf("%.0f-%.0f", slices.Min(r.each)/1e3, slices.Max(r.each)/1e3)
	if r.behind > 0 {
		each += fmt.Sprintf(", behind %.0f", r.behind/1e3)
	}
	return fmt.Sprintf("| %s | %.1f | %.1f | %.1f | %.1f | **%.1f** | %.0f | %.2f | %.3f | %s |", name,
		ms(r.idle.at(0.5)), ms(r.loaded.at(0.5)), ms(r.loaded.at(0.95)), ms(r.loaded.at(1)), ms(r.added(0.95)),
		ms(r.own.at(0.5)), r.total/1e6, jain(r.each), each)
}

// run makes the network and the load and measures.
func (c crowd) run(t *testing.T) (out *crowded) {
	testutil.Bubble(t, func(t *testing.T) {
		for range maxDraws {
			if out = c.try(t); out != nil || t.Failed() {
				return
			}
		}
		t.Fatal("the client never drew a guard that fits")
	})
	return out
}

// try returns nil when the slow relay became the guard.
func (c crowd) try(t *testing.T) *crowded {
	cfg := Config{Relays: 3, Exits: 1}
	if c.behind > 0 {
		cfg.Relays++
	}
	var fab *Memory
	m := memnet.New(memnet.Config{
		Seed: 1, Window: 4 << 20, // as wide as a kernel's becomes: 256 KiB are little for a burst on a link of 20 ms
		Path: func(from, to netip.Addr) memnet.Path {
			return c.path(fab.ClientAddr(0), fab.RelayAddr(cfg.Relays-1), fab.RelayAddr(slowRelay), from, to)
		},
	})
	fab = NewMemory(m)
	cfg.Fabric = fab
	n, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		n.Close()
		<-time.After(2 * time.Second) // links that are full take a while to end
	}()
	slow := n.Relays[slowRelay].RID()
	if c.behind > 0 && n.Clients[0].Circuits()[0].Path[0] == slow {
		return nil
	}
	stop := serveCrowd(t, m.Host(fab.RelayAddr(cfg.Relays-1)))
	defer stop()
	e := &experiment{crowd: c, t: t, cl: n.Clients[0], behindSlow: func(s client.CircuitStatus) bool {
		return c.behind > 0 && s.Streams > 0 && s.Path[1] == slow
	}}
	return e.measure()
}

// path is the properties of a link.
func (c crowd) path(cl, exit, slow, from, to netip.Addr) memnet.Path {
	p := memnet.Path{Latency: crowdLatency}
	near, far := to, from // seen from the client
	if c.up {
		near, far = from, to
	}
	switch {
	case c.behind > 0 && near == slow && far == exit:
		p.Rate = c.behind
	case c.between && far == exit, !c.between && near == cl:
		p.Rate = c.rate
	}
	return p
}

// serveCrowd runs an echo, a source and a sink behind the exit.
func serveCrowd(t *testing.T, exit *memnet.Host) (stop func()) {
	var listeners []net.Listener
	serve := func(port uint16, f func(net.Conn)) {
		ln, err := exit.Listen(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port))
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, ln)
		go func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					f(conn)
				}()
			}
		}()
	}
	serve(echoPort, func(conn net.Conn) { _, _ = io.Copy(conn, conn) })
	serve(sourcePort, func(conn net.Conn) { pour(conn) })
	serve(sinkPort, report)
	return func() {
		for _, ln := range listeners {
			_ = ln.Close()
		}
	}
}

// pour writes until it fails.
func pour(w io.Writer) {
	for p := Pattern(); ; {
		if _, err := w.Write(p); err != nil {
			return
		}
	}
}

// report reads and says now and then how many bytes it has got, so that the client
// counts what arrived and not what it sent.
func report(conn net.Conn) {
	const step = 16 << 10
	buf := make([]byte, step)
	var total uint64
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if total += uint64(n); total/step == (total-uint64(n))/step {
			continue
		}
		if _, err := conn.Write(binary.BigEndian.AppendUint64(nil, total)); err != nil {
			return
		}
	}
}
