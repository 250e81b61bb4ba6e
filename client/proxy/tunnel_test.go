// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// through opens a stream by SOCKS5.
func through(t testing.TB, addr string) program {
	t.Helper()
	p := open(t, addr)
	p.send(cat(5, 1, 0, 5, 1, 0, 3, 11, "example.com", 0, 80))
	p.expect(cat(5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0))
	return p
}

// bothKinds runs a test over Conns with and without ReadFrom and WriteTo.
func bothKinds(t *testing.T, serve func(c *net.TCPConn), body func(t *testing.T, f *far, addr string)) {
	for name, plain := range map[string]bool{"fast": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			f := newFar(t, serve)
			f.plain = plain
			_, addr := start(t, Config{Dialer: f})
			body(t, f, addr)
		})
	}
}

// TestHalfClosePassesFromProgramToFarSide is SOCKS-12, as are the tests below.
func TestHalfClosePassesFromProgramToFarSide(t *testing.T) {
	serve := func(c *net.TCPConn) {
		b, _ := io.ReadAll(c)          // only the program's end lets this return
		c.Write(append(b, " back"...)) // and the other direction still works
		c.CloseWrite()
	}
	bothKinds(t, serve, func(t *testing.T, _ *far, addr string) {
		p := through(t, addr)
		p.send([]byte("there"))
		p.CloseWrite()
		if b := p.rest(); string(b) != "there back" {
			t.Errorf("%q", b)
		}
	})
}

func TestHalfClosePassesFromFarSideToProgram(t *testing.T) {
	got := make(chan []byte, 1)
	serve := func(c *net.TCPConn) {
		c.Write([]byte("first"))
		c.CloseWrite()
		b, _ := io.ReadAll(c)
		got <- b
	}
	bothKinds(t, serve, func(t *testing.T, _ *far, addr string) {
		p := through(t, addr)
		if b := p.rest(); string(b) != "first" {
			t.Errorf("%q", b)
		}
		p.send([]byte("second"))
		p.CloseWrite()
		if b := <-got; string(b) != "second" {
			t.Errorf("%q", b)
		}
	})
}

// TestBrokenCircuitResetsBehindAnExactPrefix: never a clean end.
func TestBrokenCircuitResetsBehindAnExactPrefix(t *testing.T) {
	want := pattern(100_000)
	read := make(chan struct{})
	serve := func(c *net.TCPConn) {
		c.Write(want[:50_000])
		<-read
		c.SetLinger(0)
		c.Close()
	}
	bothKinds(t, serve, func(t *testing.T, _ *far, addr string) {
		p := through(t, addr)
		got := make([]byte, 50_000)
		if _, err := io.ReadFull(p, got); err != nil || !bytes.Equal(got, want[:50_000]) {
			t.Fatalf("prefix: %v", err)
		}
		read <- struct{}{}
		if _, err := io.ReadAll(p); !isReset(err) {
			t.Errorf("ended with %v", err)
		}
	})
}

// TestBrokenCircuitResetsThoughTheProgramHadEnded: the half-closed case.
func TestBrokenCircuitResetsThoughTheProgramHadEnded(t *testing.T) {
	serve := func(c *net.TCPConn) {
		io.ReadAll(c)
		c.SetLinger(0)
		c.Close()
	}
	bothKinds(t, serve, func(t *testing.T, _ *far, addr string) {
		p := through(t, addr)
		p.CloseWrite()
		if _, err := io.ReadAll(p); !isReset(err) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestProgramsResetReachesTheFarSide(t *testing.T) {
	got := make(chan error, 1)
	serve := func(c *net.TCPConn) {
		c.Write([]byte("x"))
		_, err := io.ReadAll(c)
		got <- err
	}
	bothKinds(t, serve, func(t *testing.T, _ *far, addr string) {
		p := through(t, addr)
		p.expect([]byte("x"))
		p.SetLinger(0)
		p.Close()
		if err := <-got; !isReset(err) {
			t.Errorf("far side saw %v", err)
		}
	})
}

// oneWay is a Conn whose far side ended in order and takes no more.
type oneWay struct {
	net.Conn
	end chan struct{}
}

func (c oneWay) Read(p []byte) (int, error)  { <-c.end; return 0, io.EOF }
func (c oneWay) Write(p []byte) (int, error) { return 0, errors.New("takes no more") }
func (c oneWay) CloseWrite() error           { return nil }

// TestLostUploadIsNotACleanEnd: the far side's end passes, then a reset says
// that what the program sent did not arrive.
func TestLostUploadIsNotACleanEnd(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Dialer: &far{}})
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := tcpPair(t)
	_, spare := tcpPair(t)
	c := newSession(t.Context(), s, theirs)
	up := oneWay{Conn: spare, end: make(chan struct{})}
	ours.SetDeadline(time.Now().Add(patience))
	ours.Write([]byte("lost"))
	done := make(chan struct{})
	go func() { defer close(done); c.tunnel(&up, nil) }()
	close(up.end)
	if n, err := ours.Read(make([]byte, 1)); n != 0 || err != io.EOF && !isReset(err) {
		t.Errorf("first %d, %v", n, err)
	}
	for { // the reset comes once the program had a moment to read
		if _, err := ours.Write([]byte("more")); err != nil {
			break
		}
	}
	<-done
}

// TestHalfClosedStreamIsNotKeptForEver: silence after one end, in each direction.
func TestHalfClosedStreamIsNotKeptForEver(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		release := make(chan struct{})
		f := newFar(t, func(c *net.TCPConn) {
			b := make([]byte, 1)
			c.Read(b)
			if b[0] == 'e' {
				c.CloseWrite()
			}
			<-release
		})
		f.plain = plain
		_, addr := start(t, Config{Dialer: f, Limits: Limits{HalfIdle: 30 * time.Millisecond}})
		p := through(t, addr)
		p.send([]byte("s")) // the program ends, the far side is silent
		p.CloseWrite()
		_, err := io.ReadAll(p)
		if !isReset(err) {
			t.Errorf("silent far side: %v", err)
		}
		err = nil
		p = through(t, addr)
		p.send([]byte("e")) // the far side ends, the program is silent
		p.rest()
		tick := time.NewTicker(100 * time.Millisecond)
		for range 100 { // the reset shows on the write after it
			<-tick.C
			if _, err = p.Write([]byte("x")); err != nil {
				break
			}
		}
		tick.Stop()
		if err == nil {
			t.Error("silent program: kept")
		}
		close(release)
	}
}

func TestBulkArrivesWholeBothWays(t *testing.T) {
	want := pattern(5 << 20)
	bothKinds(t, echo, func(t *testing.T, _ *far, addr string) {
		p := through(t, addr)
		go func() {
			p.Write(want)
			p.CloseWrite()
		}()
		if got := p.rest(); !bytes.Equal(got, want) {
			t.Errorf("%d bytes of %d, or changed", len(got), len(want))
		}
	})
}

func BenchmarkTunnel(b *testing.B) {
	for name, plain := range map[string]bool{"fast": false, "plain": true} {
		b.Run(name, func(b *testing.B) {
			f := newFar(b, func(c *net.TCPConn) { io.Copy(io.Discard, c) })
			f.plain = plain
			_, addr := start(b, Config{Dialer: f})
			p := through(b, addr)
			p.SetDeadline(time.Time{})
			block := make([]byte, 256<<10)
			b.SetBytes(int64(len(block)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Write(block); err != nil {
					b.Fatal(err)
				}
			}
			p.Close()
		})
	}
}
