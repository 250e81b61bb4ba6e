// SPDX-License-Identifier: BSD-3-Clause

package memnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"chive/internal/memnet"
	"chive/internal/testutil"
)

var (
	addrA = netip.MustParseAddr("10.0.0.1")
	addrB = netip.MustParseAddr("10.0.0.2")
	portB = netip.MustParseAddrPort("10.0.0.2:9240")
)

// connect returns both ends of a connection from A to B.
func connect(t *testing.T, n *memnet.Network) (a, b net.Conn) {
	t.Helper()
	ln, err := n.Host(addrB).Listen(portB)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err = n.Host(addrA).Dial(t.Context(), portB)
	if err != nil {
		t.Fatal(err)
	}
	b, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

func fixed(p memnet.Path) func(from, to netip.Addr) memnet.Path {
	return func(from, to netip.Addr) memnet.Path { return p }
}

func TestDialTakesOneRoundTripAndNamesBothEnds(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := memnet.New(memnet.Config{Path: fixed(memnet.Path{Latency: 30 * time.Millisecond})})
		start := time.Now()
		a, b := connect(t, n)
		if d := time.Since(start); d != 60*time.Millisecond {
			t.Errorf("dial took %v", d)
		}
		la, ra := a.LocalAddr().(*net.TCPAddr).AddrPort(), a.RemoteAddr().(*net.TCPAddr).AddrPort()
		lb, rb := b.LocalAddr().(*net.TCPAddr).AddrPort(), b.RemoteAddr().(*net.TCPAddr).AddrPort()
		if la != rb || ra != lb || la.Addr() != addrA || ra != portB {
			t.Error("addresses do not match", la, ra, lb, rb)
		}
	})
}

func TestBytesArriveInOrderAfterLatencyAndJitter(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := memnet.New(memnet.Config{Seed: 7, Path: fixed(memnet.Path{
			Latency: 20 * time.Millisecond, Jitter: 0.5, Loss: 0.05, Rate: 1 << 20,
		})})
		a, b := connect(t, n)
		want := make([]byte, 1<<20)
		for i := range want {
			want[i] = byte(i * i >> 3)
		}
		go func() {
			for rest := want; len(rest) > 0; {
				k := min(len(rest), 777)
				a.Write(rest[:k])
				rest = rest[k:]
			}
			a.Close()
		}()
		start := time.Now()
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatal("bytes differ", len(got), err)
		}
		if d := time.Since(start); d < time.Second || d > 10*time.Second {
			t.Errorf("1 MiB at 1 MiB/s took %v", d)
		}
	})
}

func TestRateIsExact(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := memnet.New(memnet.Config{Path: fixed(memnet.Path{Latency: 10 * time.Millisecond, Rate: 1_000_000})})
		a, b := connect(t, n)
		go func() { a.Write(make([]byte, 500_000)); a.Close() }()
		start := time.Now()
		io.Copy(io.Discard, b)
		if d := time.Since(start); d < 509*time.Millisecond || d > 511*time.Millisecond {
			t.Errorf("took %v, want 510 ms", d)
		}
	})
}

func TestHostsShareTheirRateAmongConnections(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := memnet.New(memnet.Config{})
		n.Host(addrA).SetRate(1_000_000, 0)
		a1, b1 := connect(t, n)
		a2, b2 := connect(t, n)
		start := time.Now()
		var wg sync.WaitGroup
		for _, p := range [][2]net.Conn{{a1, b1}, {a2, b2}} {
			wg.Go(func() { p[0].Write(make([]byte, 500_000)); p[0].Close() })
			wg.Go(func() { io.Copy(io.Discard, p[1]) })
		}
		wg.Wait()
		if d := time.Since(start); d < 990*time.Millisecond || d > 1010*time.Millisecond {
			t.Errorf("1 MB over one uplink of 1 MB/s took %v", d)
		}
	})
}

func TestWriterWaitsForWindowAndSendQueue(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := memnet.New(memnet.Config{Window: 10_000})
		a, b := connect(t, n)
		var sent int
		go func() { sent, _ = a.Write(make([]byte, 1<<20)) }()
		synctest.Wait()
		if sent != 0 {
			t.Fatal("a write of 1 MiB did not wait")
		}
		buf := make([]byte, 1<<20)
		held := 0
		b.SetReadDeadline(time.Now().Add(time.Second))
		for {
			k, err := b.Read(buf[:100])
			held += k
			if err != nil || held == 1<<20 {
				break
			}
		}
		synctest.Wait()
		if held != 1<<20 || sent != 1<<20 {
			t.Errorf("read %d, written %d", held, sent)
		}
	})
}

func TestUnreadBytesStayWithinTheWindow(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := memnet.New(memnet.Config{Window: 100_000})
		a, _ := connect(t, n)
		a.SetWriteDeadline(time.Now().Add(time.Minute))
		k, err := a.Write(make([]byte, 1<<20))
		if !errors.Is(err, os.ErrDeadlineExceeded) || k < 100_000 || k > 100_000+4096 {
			t.Errorf("accepted %d of an unread stream, %v", k, err)
		}
	})
}

func TestHalfCloseKeepsTheOtherDirection(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := memnet.New(memnet.Config{Path: fixed(memnet.Path{Latency: time.Millisecond})})
		a, b := connect(t, n)
		a.Write([]byte("question"))
		a.(interface{ CloseWrite() error }).CloseWrite()
		q, err := io.ReadAll(b)
		if string(q) != "question" || err != nil {
			t.Fatal(string(q), err)
		}
		if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Error("write after CloseWrite:", err)
		}
		b.Write([]byte("answer"))
		b.Close()
		if ans, err := io.ReadAll(a); string(ans) != "answer" || err != nil {
			t.Error(string(ans), err)
		}
	})
}

func TestWriteToClosedPeerFails(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		a, b := connect(t, memnet.New(memnet.Config{}))
		b.Close()
		if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Error(err)
		}
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, err := a.Read(make([]byte, 1)); err != io.EOF {
			t.Error(err)
		}
	})
}

func TestDeadlines(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		a, b := connect(t, memnet.New(memnet.Config{}))
		start := time.Now()
		a.SetReadDeadline(start.Add(3 * time.Second))
		_, err := a.Read(make([]byte, 1))
		var ne net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
			t.Error(err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Error("deadline after", d)
		}
		a.SetReadDeadline(time.Time{})
		go func() {
			pause := time.NewTimer(time.Second)
			<-pause.C
			a.SetReadDeadline(time.Unix(1, 0)) // ends a pending read
		}()
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		a.SetReadDeadline(time.Time{})
		b.Write([]byte("x"))
		if k, err := a.Read(make([]byte, 1)); k != 1 || err != nil {
			t.Error("a deadline that was lifted still counts", err)
		}
	})
}

// V3: with net.Pipe the second writer waits on a mutex and the clock stops.
func TestTwoWritersDoNotStopTheClock(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := memnet.New(memnet.Config{Path: fixed(memnet.Path{Latency: time.Second, Rate: 100_000})})
		a, b := connect(t, n)
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() { a.Write(bytes.Repeat([]byte{byte(i)}, 200_000)) })
		}
		go func() { wg.Wait(); a.Close() }()
		got, _ := io.ReadAll(b)
		if len(got) != 600_000 {
			t.Fatal(len(got))
		}
		for i := range got {
			if got[i] != got[i/200_000*200_000] {
				t.Fatal("writes were mixed at", i)
			}
		}
	})
}

// V4: bytes handed over at one instant arrive in order.
func TestManySmallWritesOfOneInstantStayInOrder(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := memnet.New(memnet.Config{Path: fixed(memnet.Path{Latency: 50 * time.Millisecond})})
		a, b := connect(t, n)
		for i := range 5000 {
			a.Write([]byte{byte(i), byte(i >> 8)})
		}
		a.Close()
		got, _ := io.ReadAll(b)
		for i := range 5000 {
			if got[2*i] != byte(i) || got[2*i+1] != byte(i>>8) {
				t.Fatal("out of order at", i)
			}
		}
	})
}

// V5: Close releases pending reads and writes at once, passing no time.
func TestCloseReleasesPendingCallsWithoutTime(t *testing.T) {
	for _, side := range []string{"own", "peer", "kill"} {
		t.Run(side, func(t *testing.T) {
			testutil.Bubble(t, func(t *testing.T) {
				n := memnet.New(memnet.Config{Path: fixed(memnet.Path{Latency: time.Minute, Rate: 1000}), Window: 4096})
				a, b := connect(t, n)
				b.Write(make([]byte, 100)) // under way for a minute
				read, write := make(chan error, 1), make(chan error, 1)
				go func() { _, err := a.Read(make([]byte, 1)); read <- err }()
				go func() { _, err := a.Write(make([]byte, 1<<20)); write <- err }()
				synctest.Wait()
				start := time.Now()
				switch side {
				case "own":
					a.Close()
				case "peer":
					b.Close()
					a.SetReadDeadline(time.Unix(1, 0)) // its bytes are still under way
				case "kill":
					n.Kill(addrB)
				}
				if err := <-read; err == nil {
					t.Error("read succeeded")
				}
				if err := <-write; err == nil {
					t.Error("write succeeded")
				}
				if d := time.Since(start); d != 0 {
					t.Error("time passed:", d)
				}
			})
		})
	}
}

func TestKillResetsAndRefusesUntilStart(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := memnet.New(memnet.Config{})
		ln, _ := n.Host(addrB).Listen(portB)
		a, err := n.Host(addrA).Dial(t.Context(), portB)
		if err != nil {
			t.Fatal(err)
		}
		n.Kill(addrB)
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, err := n.Host(addrA).Dial(t.Context(), portB); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
		if _, err := n.Host(addrB).Dial(t.Context(), portB); !errors.Is(err, syscall.ENETDOWN) {
			t.Error(err)
		}
		n.Start(addrB)
		if _, err := n.Host(addrB).Listen(portB); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Host(addrA).Dial(t.Context(), portB); err != nil {
			t.Error(err)
		}
	})
}

func TestCutHoldsBytesAndDialsUntilHeal(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := memnet.New(memnet.Config{Path: fixed(memnet.Path{Latency: time.Millisecond})})
		a, b := connect(t, n)
		ln, _ := n.Host(addrB).Listen(portB)
		go func() { ln.Accept() }()
		n.Cut(addrA, addrB)
		a.Write([]byte("late"))
		b.SetReadDeadline(time.Now().Add(10 * time.Minute))
		if _, err := b.Read(make([]byte, 4)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a byte crossed the cut:", err)
		}
		b.SetReadDeadline(time.Time{})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		if _, err := n.Host(addrA).Dial(ctx, portB); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Error("dial into the cut:", err, time.Since(start))
		}
		dialled := make(chan error, 1)
		go func() { _, err := n.Host(addrA).Dial(context.Background(), portB); dialled <- err }()
		synctest.Wait()
		n.Heal(addrA, addrB)
		buf := make([]byte, 4)
		if _, err := io.ReadFull(b, buf); err != nil || string(buf) != "late" {
			t.Error(string(buf), err)
		}
		if err := <-dialled; err != nil {
			t.Error(err)
		}
	})
}

func TestSeverResetsThePairOnly(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := memnet.New(memnet.Config{})
		addrC := netip.MustParseAddr("10.0.0.3")
		a, _ := connect(t, n)
		ln, _ := n.Host(addrB).Listen(portB)
		c, err := n.Host(addrC).Dial(t.Context(), portB)
		if err != nil {
			t.Fatal(err)
		}
		n.Sever(addrB, addrA)
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		if _, err := n.Host(addrA).Dial(t.Context(), portB); !errors.Is(err, syscall.EHOSTUNREACH) {
			t.Error(err)
		}
		if _, err := c.Write([]byte("x")); err != nil {
			t.Error("another pair suffered:", err)
		}
		n.Heal(addrA, addrB)
		if _, err := n.Host(addrA).Dial(t.Context(), portB); err != nil {
			t.Error(err)
		}
		ln.Close()
	})
}

func TestRefusals(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := memnet.New(memnet.Config{})
		a := n.Host(addrA)
		n.Host(addrB)
		if _, err := a.Dial(t.Context(), portB); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error("closed port:", err)
		}
		if _, err := a.Dial(t.Context(), netip.MustParseAddrPort("10.9.9.9:1")); !errors.Is(err, syscall.EHOSTUNREACH) {
			t.Error("unknown host:", err)
		}
		if _, err := a.Listen(portB); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Error("foreign address:", err)
		}
		ln, err := a.Listen(netip.AddrPortFrom(addrA, 0))
		if err != nil {
			t.Fatal(err)
		}
		own := ln.Addr().(*net.TCPAddr).AddrPort()
		if _, err := a.Listen(own); !errors.Is(err, syscall.EADDRINUSE) {
			t.Error("port in use:", err)
		}
		if _, err := a.Dial(t.Context(), netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), own.Port())); err != nil {
			t.Error("loopback is the host itself:", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := a.Dial(ctx, own); !errors.Is(err, context.Canceled) {
			t.Error("canceled:", err)
		}
	})
}

func TestTapSeesEverythingInOrder(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		seen := make(map[netip.AddrPort][]byte)
		n := memnet.New(memnet.Config{Tap: func(from, to netip.AddrPort, b []byte) {
			mu.Lock()
			seen[from] = append(seen[from], b...)
			mu.Unlock()
		}})
		a, b := connect(t, n)
		go func() { a.Write(bytes.Repeat([]byte("ab"), 50_000)); a.Close() }()
		io.Copy(io.Discard, b)
		b.Write([]byte("back"))
		mu.Lock()
		defer mu.Unlock()
		if got := seen[a.LocalAddr().(*net.TCPAddr).AddrPort()]; !bytes.Equal(got, bytes.Repeat([]byte("ab"), 50_000)) {
			t.Error("forth:", len(got))
		}
		if len(seen[portB]) != 0 {
			t.Error("what a closed reader refused was seen")
		}
	})
}

func TestNames(t *testing.T) {
	n := memnet.New(memnet.Config{})
	n.SetName("example.test", addrB)
	h := n.Host(addrA)
	if got, err := h.LookupAddrs(t.Context(), "example.test"); err != nil || len(got) != 1 || got[0] != addrB {
		t.Error(got, err)
	}
	if got, err := h.LookupNames(t.Context(), addrB); err != nil || len(got) != 1 || got[0] != "example.test" {
		t.Error(got, err)
	}
	var dns *net.DNSError
	if _, err := h.LookupAddrs(t.Context(), "other.test"); !errors.As(err, &dns) || !dns.IsNotFound {
		t.Error(err)
	}
	if _, err := h.LookupNames(t.Context(), addrA); !errors.As(err, &dns) || !dns.IsNotFound {
		t.Error(err)
	}
}

func TestDatagrams(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := memnet.New(memnet.Config{Path: fixed(memnet.Path{Latency: 40 * time.Millisecond})})
		a, err := n.Host(addrA).ListenUDP(t.Context(), netip.IPv4Unspecified())
		if err != nil {
			t.Fatal(err)
		}
		b, err := n.Host(addrB).ListenPacket(netip.AddrPortFrom(addrB, 53))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for _, s := range []string{"one", "two"} {
			if _, err := a.WriteTo([]byte(s), b.LocalAddr()); err != nil {
				t.Fatal(err)
			}
		}
		buf := make([]byte, 10)
		for _, s := range []string{"one", "two"} {
			k, from, err := b.ReadFrom(buf)
			if err != nil || string(buf[:k]) != s || from.String() != a.LocalAddr().String() {
				t.Error(string(buf[:k]), from, err)
			}
		}
		if d := time.Since(start); d != 40*time.Millisecond {
			t.Error("took", d)
		}
		for range 100 { // more than a socket holds
			a.WriteTo([]byte("x"), b.LocalAddr())
		}
		got := 0
		b.SetReadDeadline(time.Now().Add(time.Second))
		for {
			if _, _, err := b.ReadFrom(buf); err != nil {
				break
			}
			got++
		}
		if got != 64 {
			t.Error("held", got)
		}
		n.Cut(addrA, addrB)
		a.WriteTo([]byte("lost"), b.LocalAddr())
		b.SetReadDeadline(time.Now().Add(time.Second))
		if _, _, err := b.ReadFrom(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("a datagram crossed the cut")
		}
		b.Close()
		if _, _, err := b.ReadFrom(buf); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestEqualSeedsGiveEqualTimes(t *testing.T) {
	run := func(seed uint64) (d time.Duration) {
		testutil.Bubble(t, func(t *testing.T) {
			n := memnet.New(memnet.Config{Seed: seed, Path: fixed(memnet.Path{Latency: 10 * time.Millisecond, Jitter: 0.6, Loss: 0.2})})
			a, b := connect(t, n)
			start := time.Now()
			for range 50 {
				a.Write([]byte("x"))
				b.Read(make([]byte, 1))
			}
			d = time.Since(start)
		})
		return d
	}
	first := run(1)
	if again := run(1); again != first {
		t.Error("one seed, two results")
	}
	if run(2) == first {
		t.Error("two seeds, one result")
	}
}
