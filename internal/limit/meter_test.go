// SPDX-License-Identifier: BSD-3-Clause

package limit

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chive/internal/memnet"
	"chive/internal/testutil"
)

// passage is what passed a socket at a time.
type passage struct {
	at time.Time
	n  int64
}

// book holds what passed all sockets in one direction.
type book struct {
	mu  sync.Mutex
	log []passage
}

func (b *book) note(n int) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	b.log = append(b.log, passage{time.Now(), int64(n)})
	b.mu.Unlock()
}

// check fails if any window holds more than rate x t + burst.
func (b *book) check(t *testing.T, way string, rate, burst int64) (sum int64) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	// The worst window: rate x (a - b) + sum(b..a) - burst, with the best b so far.
	var total, best int64
	for _, p := range b.log {
		now := int64(p.at.Sub(b.log[0].at))
		best = max(best, rate*now-total*nano)
		total += p.n
		if excess := total*nano - rate*now + best - burst*nano; excess > 0 {
			t.Errorf("%s: %d bytes too many in a window that ends after %v", way, (excess+nano-1)/nano, time.Duration(now))
			return total
		}
	}
	return total
}

// watched is a socket that keeps books.
type watched struct {
	net.Conn
	in, out *book
}

func (w watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.in.note(n)
	return n, err
}

func (w watched) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.out.note(n)
	return n, err
}

// world has a metered host in the middle and peers around it.
type world struct {
	net     *memnet.Network
	meter   *Meter
	in, out book
	ln      net.Listener
}

var middle = netip.MustParseAddrPort("10.0.0.1:9240")

func newWorld(t *testing.T, path memnet.Path) *world {
	w := &world{net: memnet.New(memnet.Config{Path: func(netip.Addr, netip.Addr) memnet.Path { return path }}), meter: new(Meter)}
	ln, err := w.net.Host(middle.Addr()).Listen(middle)
	if err != nil {
		t.Fatal(err)
	}
	w.ln = ln
	t.Cleanup(func() { ln.Close() })
	return w
}

// pair connects a peer; ours is under the meter.
func (w *world) pair(t *testing.T, i int) (ours *Conn, peer net.Conn) {
	t.Helper()
	peer, err := w.net.Host(netip.AddrFrom4([4]byte{10, 0, 1, byte(i)})).Dial(t.Context(), middle)
	if err != nil {
		t.Fatal(err)
	}
	below, err := w.ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return w.meter.Conn(watched{below, &w.in, &w.out}), peer
}

// TestEveryWindowHolds: many connections of mixed habits, both directions, peers that
// stall and come back, in virtual time. Every window of every length is checked.
func TestEveryWindowHolds(t *testing.T) {
	for _, c := range []struct{ rate, burst int64 }{{100_000, 5_000}, {2 << 20, 1 << 20}, {50_000, 1}, {1 << 20, 0}} {
		testutil.Bubble(t, func(t *testing.T) {
			w := newWorld(t, memnet.Path{Latency: 10 * time.Millisecond, Rate: 4 << 20})
			w.meter.SetRate(c.rate, c.burst)
			rate, burst := w.meter.Rate()
			ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
			defer stop()
			var tasks sync.WaitGroup
			var conns []net.Conn
			for i := range 12 {
				ours, peer := w.pair(t, i)
				conns = append(conns, ours, peer)
				r := rand.New(rand.NewPCG(1, uint64(i)))
				for _, end := range []net.Conn{ours, peer} {
					size, rest := 1+r.IntN(100_000), time.Duration(r.IntN(100))*time.Millisecond
					tasks.Go(func() { send(ctx, end, size, rest) })
					tasks.Go(func() { receive(ctx, end, size, rest) })
				}
			}
			<-ctx.Done()
			for _, c := range conns {
				c.Close()
			}
			tasks.Wait()
			in, out := w.in.check(t, "in", rate, burst), w.out.check(t, "out", rate, burst)
			counted, sent := w.meter.Counted()
			if counted != uint64(in) || sent != uint64(out) {
				t.Errorf("counted %d and %d bytes of %d and %d", counted, sent, in, out)
			}
			if least := rate * 4; burst > 1 && (in < least || out < least) {
				t.Errorf("%d bytes in and %d out in 5 s at %d/s", in, out, rate)
			}
		})
	}
}

func send(ctx context.Context, c net.Conn, size int, rest time.Duration) {
	b := make([]byte, size)
	for {
		if _, err := c.Write(b); err != nil || !pass(ctx, rest) {
			return
		}
	}
}

func receive(ctx context.Context, c net.Conn, size int, rest time.Duration) {
	b := make([]byte, size)
	for {
		if _, err := c.Read(b); err != nil || !pass(ctx, rest) {
			return
		}
	}
}

// pass lets time pass, while ctx lasts.
func pass(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// TestBusyConnectionsShareEqually, whatever they write at once.
func TestBusyConnectionsShareEqually(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		w := newWorld(t, memnet.Path{})
		w.meter.SetRate(1<<20, 64<<10)
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		var tasks sync.WaitGroup
		var got [8]int64
		var conns []net.Conn
		for i := range got {
			ours, peer := w.pair(t, i)
			conns = append(conns, ours, peer)
			tasks.Go(func() { send(ctx, ours, 16<<10<<i, 0) })
			tasks.Go(func() { got[i], _ = io.Copy(io.Discard, peer) })
		}
		<-ctx.Done()
		for _, c := range conns {
			c.Close()
		}
		tasks.Wait()
		for i, n := range got {
			if fair := int64(10<<20) / int64(len(got)); n < fair*8/10 || n > fair*13/10 {
				t.Errorf("connection %d got %d bytes, not about %d", i, n, fair)
			}
		}
	})
}

// TestAStalledPeerTakesNothingFromOthers: the rest have the whole rate, though many
// peers read nothing and many say nothing.
func TestAStalledPeerTakesNothingFromOthers(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		w := newWorld(t, memnet.Path{})
		w.meter.SetRate(1<<20, 64<<10)
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
		defer stop()
		var tasks sync.WaitGroup
		var conns []net.Conn
		for i := range 50 {
			ours, peer := w.pair(t, i)
			conns = append(conns, ours, peer)
			tasks.Go(func() { send(ctx, ours, 1<<20, 0) })
			tasks.Go(func() { receive(ctx, ours, 1<<20, 0) })
		}
		pass(ctx, 25*time.Second) // meanwhile their sockets have filled
		ours, peer := w.pair(t, 200)
		conns = append(conns, ours, peer)
		var out, in int64
		tasks.Go(func() { send(ctx, ours, 100_000, 0) })
		tasks.Go(func() { out, _ = io.Copy(io.Discard, peer) })
		tasks.Go(func() { send(ctx, peer, 100_000, 0) })
		tasks.Go(func() { in, _ = io.Copy(io.Discard, ours) })
		<-ctx.Done()
		for _, c := range conns {
			c.Close()
		}
		tasks.Wait()
		if least := int64(4 << 20); out < least || in < least {
			t.Errorf("%d bytes out and %d in within 5 s", out, in)
		}
		w.in.check(t, "in", 1<<20, 64<<10)
		w.out.check(t, "out", 1<<20, 64<<10)
	})
}

// TestWaitersWake on a deadline, on a deadline set meanwhile, on Close, and on another rate.
func TestWaitersWake(t *testing.T) {
	for _, c := range []struct {
		name string
		wake func(w *world, c *Conn)
		want error
		read bool
	}{
		{"deadline", func(_ *world, c *Conn) { c.SetDeadline(time.Now().Add(time.Second)) }, os.ErrDeadlineExceeded, false},
		{"deadline long ago", func(_ *world, c *Conn) { c.SetDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded, false},
		{"close", func(_ *world, c *Conn) { c.Close() }, net.ErrClosed, false},
		{"no rate any more", func(w *world, c *Conn) { w.meter.SetRate(0, 0) }, nil, false},
		{"a higher rate", func(w *world, c *Conn) { w.meter.SetRate(1<<30, 1<<20) }, nil, false},
		{"reading, deadline", func(_ *world, c *Conn) { c.SetReadDeadline(time.Now().Add(time.Second)) }, os.ErrDeadlineExceeded, true},
		{"reading, close", func(_ *world, c *Conn) { c.Close() }, net.ErrClosed, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			testutil.Bubble(t, func(t *testing.T) {
				w := newWorld(t, memnet.Path{})
				ours, peer := w.pair(t, 1)
				defer peer.Close()
				defer ours.Close()
				w.meter.SetRate(1, 1)
				began, ended := time.Now(), make(chan error, 1)
				go func() {
					var err error
					if c.read {
						_, err = io.ReadFull(ours, make([]byte, 1000))
					} else {
						_, err = ours.Write(make([]byte, 1000))
					}
					ended <- err
				}()
				if c.read {
					go func() { _, _ = peer.Write(make([]byte, 1000)) }()
				}
				synctest.Wait()
				c.wake(w, ours)
				if err := <-ended; !errors.Is(err, c.want) {
					t.Errorf("ended with %v, want %v", err, c.want)
				}
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("after %v", took)
				}
			})
		})
	}
}

// TestTheRateChangesAtRunTime: up, off and down again.
func TestTheRateChangesAtRunTime(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		w := newWorld(t, memnet.Path{Rate: 1 << 20})
		ours, peer := w.pair(t, 1)
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		var tasks sync.WaitGroup
		tasks.Go(func() { send(ctx, ours, 10_000, 0) })
		tasks.Go(func() { _, _ = io.Copy(io.Discard, peer) })
		for _, c := range []struct{ rate, want int64 }{{100_000, 100_000}, {0, 1 << 20}, {10_000, 10_000}, {500_000, 500_000}} {
			w.meter.SetRate(c.rate, 4096)
			pass(ctx, time.Second) // what is on its way in the network below
			_, before := w.meter.Counted()
			pass(ctx, 5*time.Second)
			_, after := w.meter.Counted()
			if got := int64(after-before) / 5; got < c.want*9/10 || got > c.want*11/10 {
				t.Errorf("%d bytes/s at a rate of %d", got, c.rate)
			}
		}
		ours.Close()
		peer.Close()
		tasks.Wait()
	})
}

func TestTransportPutsBothEndsUnderTheMeter(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := memnet.New(memnet.Config{})
		server, client := new(Meter), new(Meter)
		ln, err := Transport{n.Host(middle.Addr()), server}.Listen(middle)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		peer, err := Transport{n.Host(netip.MustParseAddr("10.0.0.2")), client}.Dial(t.Context(), middle)
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		ours, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer ours.Close()
		if _, err := peer.Write(make([]byte, 700)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(ours, make([]byte, 700)); err != nil {
			t.Fatal(err)
		}
		in, _ := server.Counted()
		_, out := client.Counted()
		if in != 700 || out != 700 {
			t.Errorf("counted %d in and %d out", in, out)
		}
	})
}

// TestRealSocketsHoldTheRate over loopback, for a moment.
func TestRealSocketsHoldTheRate(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err == nil {
			_, _ = io.Copy(io.Discard, c)
		}
	}()
	below, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var in, out book
	var m Meter
	m.SetRate(4<<20, 64<<10)
	c := m.Conn(watched{below, &in, &out})
	defer c.Close()
	if _, err := c.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if sum := out.check(t, "out", 4<<20, 64<<10); sum != 1<<20 {
		t.Errorf("%d bytes passed", sum)
	}
}

func BenchmarkWriteWithoutALimit(b *testing.B) { benchmark(b, 0) }
func BenchmarkWriteUnderALimit(b *testing.B)   { benchmark(b, 1<<40) }

type sink struct{ net.Conn }

func (sink) Write(b []byte) (int, error)      { return len(b), nil }
func (sink) SetWriteDeadline(time.Time) error { return nil }

func benchmark(b *testing.B, rate int64) {
	var m Meter
	m.SetRate(rate, maxBurst)
	c := m.Conn(sink{})
	buf := make([]byte, 64<<10)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if _, err := c.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
}

// TestNoByteBeyondTheQuota: connections and datagrams of mixed habits, with and without
// a rate, want far more than there is. At no moment has more passed.
func TestNoByteBeyondTheQuota(t *testing.T) {
	if testing.Short() {
		t.Skip("some 40,000 goroutines of virtual timers for each row, on which the race detector itself crashes now and then")
	}
	const most = 3_000_000
	for _, rate := range []int64{0, 1 << 20} {
		for _, count := range []Count{CountSum, CountOut, CountMax} {
			testutil.Bubble(t, func(t *testing.T) {
				w := newWorld(t, memnet.Path{Latency: time.Millisecond, Rate: 4 << 20})
				w.meter.SetRate(rate, 0)
				in, out := int64(most), int64(most)
				if count == CountSum {
					out = 0
				}
				w.meter.Bound(count, in, out)
				ctx, stop := context.WithTimeout(t.Context(), 4*time.Second)
				defer stop()
				var tasks sync.WaitGroup
				var conns []io.Closer
				for i := range 6 {
					ours, peer := w.pair(t, i)
					conns = append(conns, ours, peer)
					for _, end := range []net.Conn{ours, peer} {
						tasks.Go(func() { send(ctx, end, 1000+i*30_000, 0) })
						tasks.Go(func() { receive(ctx, end, 1000+i*30_000, 0) })
					}
				}
				socket, other := w.packets(t)
				conns = append(conns, socket, other)
				tasks.Go(func() { datagrams(ctx, socket, other.LocalAddr()) })
				tasks.Go(func() { datagrams(ctx, other, socket.LocalAddr()) })
				tasks.Go(func() { drink(ctx, socket) })
				tasks.Go(func() { drink(ctx, other) })
				for pass(ctx, 5*time.Millisecond) {
					if got := counted(w.meter, count); got > most {
						t.Fatalf("count %d: %d bytes passed of %d", count, got, most)
					}
				}
				if got := counted(w.meter, count); got < most-6*soloTurnSize {
					t.Errorf("count %d: only %d bytes of %d passed", count, got, most)
				}
				ours, peer := w.pair(t, 100)
				conns = append(conns, ours, peer)
				if n, err := ours.Write(make([]byte, most)); !errors.Is(err, ErrSpent) {
					t.Errorf("count %d: wrote %d bytes, %v", count, n, err)
				}
				w.meter.Bound(count, 2*in, 2*out) // the operator's word
				go drinkAll(peer)
				if _, err := ours.Write(make([]byte, 1000)); err != nil {
					t.Errorf("count %d: %v after more was given", count, err)
				}
				w.meter.Unbound()
				if _, err := ours.Write(make([]byte, 2*most)); err != nil {
					t.Errorf("count %d: %v without a bound", count, err)
				}
				for _, c := range conns {
					c.Close()
				}
				tasks.Wait()
			})
		}
	}
}

// counted is what a quota would say.
func counted(m *Meter, count Count) int64 {
	in, out := m.Counted()
	switch count {
	case CountOut:
		return int64(out)
	case CountMax:
		return int64(max(in, out))
	}
	return int64(in + out)
}

func drinkAll(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// packets returns a socket under the meter and one that is not.
func (w *world) packets(t *testing.T) (ours *PacketConn, other net.PacketConn) {
	t.Helper()
	below, err := w.net.Host(middle.Addr()).ListenUDP(t.Context(), netip.IPv4Unspecified())
	if err != nil {
		t.Fatal(err)
	}
	other, err = w.net.Host(netip.MustParseAddr("10.0.2.1")).ListenUDP(t.Context(), netip.IPv4Unspecified())
	if err != nil {
		t.Fatal(err)
	}
	return w.meter.PacketConn(below), other
}

// datagrams sends until ctx ends or it may not.
func datagrams(ctx context.Context, c net.PacketConn, to net.Addr) {
	for pass(ctx, time.Millisecond) {
		if _, err := c.WriteTo(make([]byte, 1200), to); err != nil {
			return
		}
	}
}

func drink(ctx context.Context, c net.PacketConn) {
	b := make([]byte, 1500)
	for ctx.Err() == nil {
		if _, _, err := c.ReadFrom(b); err != nil {
			return
		}
	}
}

// TestDatagramsHoldTheRate, with a burst that is smaller than one, too.
func TestDatagramsHoldTheRate(t *testing.T) {
	for _, burst := range []int64{8 << 10, 100} {
		testutil.Bubble(t, func(t *testing.T) {
			w := newWorld(t, memnet.Path{})
			w.meter.SetRate(100_000, burst)
			socket, other := w.packets(t)
			ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
			defer stop()
			var tasks sync.WaitGroup
			tasks.Go(func() { datagrams(ctx, socket, other.LocalAddr()) })
			tasks.Go(func() { datagrams(ctx, other, socket.LocalAddr()) })
			tasks.Go(func() { drink(ctx, socket) })
			tasks.Go(func() { drink(ctx, other) })
			<-ctx.Done()
			socket.Close()
			other.Close()
			tasks.Wait()
			in, out := w.meter.Counted()
			for _, n := range []uint64{in, out} {
				if most := uint64(10*100_000 + burst + 2*1500); n > most || n < 900_000 {
					t.Errorf("%d bytes in, %d out in 10 s at 100000/s", in, out)
				}
			}
		})
	}
}
