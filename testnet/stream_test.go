// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"chive/client"
	"chive/internal/memnet"
)

// oneExit is a network whose only exit is its last relay.
var oneExit = Config{Relays: 5, Exits: 1}

// atExit opens a listener that clients reach as 127.0.0.1:port through the only
// exit, and serves each connection with f.
func atExit(t *testing.T, m *memnet.Network, fab *Memory, port uint16, f func(net.Conn)) {
	t.Helper()
	ln, err := m.Host(fab.RelayAddr(oneExit.Relays - 1)).Listen(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				f(c)
			}()
		}
	}()
}

func reason(err error) string {
	var f *client.Failure
	if errors.As(err, &f) {
		return f.Reason()
	}
	return "no reason"
}

func TestFailuresNameTheirCause(t *testing.T) {
	inMemory(t, oneExit, 10*time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		cl := n.Clients[0]
		for _, c := range []struct {
			host, want string
			port       uint16
		}{
			{TargetName, "refused_by_target", 81},
			{"nowhere.test", "name_not_found", 80},
			{"10.1.2.3", "private_address", 80},        // asked of no exit, whose own rules package exit tests
			{"169.254.169.254", "private_address", 80}, // metadata services too (EXIT-2)
		} {
			began := time.Now()
			_, err := cl.Dial(t.Context(), "f", c.host, c.port, nil)
			if got := reason(err); got != c.want {
				t.Errorf("%s: %s (%v), want %s", c.host, got, err, c.want)
			}
			if d := time.Since(began); d > 15*time.Second {
				t.Errorf("%s: took %v to fail", c.host, d)
			}
		}
		if _, _, err := cl.Resolve(t.Context(), "f", "nowhere.test"); reason(err) != "name_not_found" {
			t.Errorf("resolve: %v", err)
		}
	})
}

func TestStreamHalfCloses(t *testing.T) {
	inMemory(t, oneExit, 10*time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		atExit(t, m, fab, 7000, func(c net.Conn) {
			all, _ := io.ReadAll(c)
			_, _ = c.Write(append([]byte("got: "), all...))
		})
		conn, err := n.Clients[0].Dial(t.Context(), "h", "127.0.0.1", 7000, []byte("early, "))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("late"))
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(conn)
		if string(got) != "got: early, late" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
	})
}

func TestResetReachesTheProgramAsAnError(t *testing.T) {
	inMemory(t, oneExit, 10*time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		atExit(t, m, fab, 7001, func(c net.Conn) {
			_, _ = c.Write([]byte("partial"))
			<-time.After(time.Second)
			if r, ok := c.(interface{ SetLinger(int) error }); ok {
				_ = r.SetLinger(0)
			}
		})
		conn, err := n.Clients[0].Dial(t.Context(), "h", "127.0.0.1", 7001, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		got, _ := io.ReadAll(conn)
		if string(got) != "partial" {
			t.Errorf("read %q: not the prefix that was sent", got)
		}
	})
}

// TestSlowReaderHoldsBoundedData lets a destination send to a client that does not
// read: what is under way is bounded by credit, and another stream of the same
// circuit goes on (STR-3).
func TestSlowReaderHoldsBoundedData(t *testing.T) {
	inMemory(t, oneExit, 10*time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		sent := make(chan int, 1)
		atExit(t, m, fab, 7002, func(c net.Conn) {
			total := 0
			buf := make([]byte, 32<<10)
			_ = c.SetWriteDeadline(time.Now().Add(time.Minute))
			for {
				k, err := c.Write(buf)
				total += k
				if err != nil {
					sent <- total
					return
				}
			}
		})
		cl := n.Clients[0]
		conn, err := cl.Dial(t.Context(), "slow", "127.0.0.1", 7002, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		body, err := get(ctx, cl, "slow", "/bytes/400000")
		if err != nil || !bytes.Equal(body, pattern(400000)) {
			t.Errorf("another stream of the circuit: %d bytes, %v", len(body), err)
		}
		// Credit, the exit's socket buffers in memory, and one read in hand.
		if total, most := <-sent, n.Genesis.Params.StreamCredit+2*(memnet.DefaultWindow+memnet.DefaultSendQueue)+64<<10; total > most {
			t.Errorf("the destination could send %d bytes to a reader that reads nothing; at most %d", total, most)
		}
	})
}

func TestDatagramsGoThroughAnExit(t *testing.T) {
	inMemory(t, oneExit, 10*time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		echo, err := m.Host(fab.RelayAddr(oneExit.Relays - 1)).ListenPacket(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 5353))
		if err != nil {
			t.Fatal(err)
		}
		defer echo.Close()
		go func() {
			buf := make([]byte, 2048)
			for {
				k, from, err := echo.ReadFrom(buf)
				if err != nil {
					return
				}
				_, _ = echo.WriteTo(buf[:k], from)
			}
		}()
		conn, err := n.Clients[0].OpenUDP(t.Context(), "u", "127.0.0.1", 5353)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		want := pattern(1400)
		if err := conn.WriteTo(want, "127.0.0.1", 5353); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		got := make([]byte, 2048)
		k, from, err := conn.ReadFrom(ctx, got)
		if err != nil || !bytes.Equal(got[:k], want) || from.Port() != 5353 {
			t.Fatalf("%d bytes from port %d, %v", k, from.Port(), err)
		}
		// Another datagram of it may not go where its first one could not have gone.
		var f *client.Failure
		if err := conn.WriteTo(want, "10.1.2.3", 5353); !errors.As(err, &f) || f.Reason() != "private_address" {
			t.Errorf("a datagram to a private address: %v", err)
		}
	})
}

// TestAnExitEndsStreamsWhoseClientIsGone leaves a half-closed stream with a silent
// destination, and one with a destination that neither reads nor writes; then the
// client goes. The exit gives both up and can end.
func TestAnExitEndsStreamsWhoseClientIsGone(t *testing.T) {
	inMemory(t, oneExit, 10*time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		gone, release := make(chan struct{}, 1), make(chan struct{})
		defer close(release)
		atExit(t, m, fab, 7003, func(c net.Conn) { // reads to the end, says nothing
			_, _ = io.Copy(io.Discard, c)
			_, _ = c.Read(make([]byte, 1))
			for {
				if _, err := c.Write([]byte("x")); err != nil {
					gone <- struct{}{}
					return
				}
				time.Sleep(time.Second)
			}
		})
		atExit(t, m, fab, 7004, func(c net.Conn) { // does nothing at all
			<-release
		})
		cl := n.Clients[0]
		half, err := cl.Dial(t.Context(), "h", "127.0.0.1", 7003, []byte("all I have"))
		if err != nil {
			t.Fatal(err)
		}
		_ = half.CloseWrite()
		full, err := cl.Dial(t.Context(), "h", "127.0.0.1", 7004, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = full.SetWriteDeadline(time.Now().Add(10 * time.Second))
		_, _ = full.Write(make([]byte, 4<<20))
		cl.Stop()
		x := n.Relays[oneExit.Relays-1]
		time.Sleep(20 * time.Second)
		if open := x.Status().OpenCircuits; open != 0 {
			t.Errorf("%d circuits are open at the exit after its only client has gone", open)
		}
		<-gone
		x.Stop()
	})
}

// TestAnAbandonedHalfClosedStreamReachesTheDestination gives a stream up whose
// sending side has ended: the destination must not wait for ever.
func TestAnAbandonedHalfClosedStreamReachesTheDestination(t *testing.T) {
	inMemory(t, oneExit, 10*time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		ended := make(chan time.Time, 1)
		atExit(t, m, fab, 7005, func(c net.Conn) {
			_, _ = io.Copy(io.Discard, c)
			for {
				if _, err := c.Write([]byte("x")); err != nil {
					ended <- time.Now()
					return
				}
				time.Sleep(time.Second)
			}
		})
		conn, err := n.Clients[0].Dial(t.Context(), "h", "127.0.0.1", 7005, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.CloseWrite()
		time.Sleep(3 * time.Second)
		given := time.Now()
		_ = conn.Reset(6)
		_ = conn.Close()
		if d := (<-ended).Sub(given); d > 5*time.Second {
			t.Errorf("the destination was told %v later", d)
		}
	})
}

// TestWhatWasWrittenArrivesAfterClose closes streams at once behind their data, while
// the destination talks and is slow to read: not a byte is lost. (STR-2)
func TestWhatWasWrittenArrivesAfterClose(t *testing.T) {
	inMemory(t, oneExit, 10*time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		got := make(chan int, 1)
		atExit(t, m, fab, 7006, func(c net.Conn) {
			for range 20 {
				_, _ = c.Write([]byte("220 hello\r\n"))
				time.Sleep(100 * time.Millisecond)
			}
			all, _ := io.ReadAll(c)
			got <- len(all)
		})
		for _, size := range []int{1000, 100_000, 3_000_000} {
			conn, err := n.Clients[0].Dial(t.Context(), "h", "127.0.0.1", 7006, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
			if k := <-got; k != size {
				t.Errorf("%d bytes of %d arrived", k, size)
			}
		}
	})
}

// TestAStreamGoesOnAfterAnIdleHour: relays take memory from idle circuits, and links
// stay up by themselves.
func TestAStreamGoesOnAfterAnIdleHour(t *testing.T) {
	inMemory(t, oneExit, 10*time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		atExit(t, m, fab, 7007, func(c net.Conn) { _, _ = io.Copy(c, c) })
		conn, err := n.Clients[0].Dial(t.Context(), "idle", "127.0.0.1", 7007, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for range 3 {
			if _, err := conn.Write([]byte("still there?")); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 12)
			if _, err := io.ReadFull(conn, got); err != nil || string(got) != "still there?" {
				t.Fatalf("%q, %v", got, err)
			}
			time.Sleep(time.Hour)
		}
	})
}
