// SPDX-License-Identifier: BSD-3-Clause

package link_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"chive/circuit/cell"
	"chive/internal/memnet"
	"chive/internal/testutil"
	"chive/link"
)

// end is one end of a carrier: where to dial from, or to listen.
type end struct {
	transport link.Transport
	addr      netip.AddrPort
}

// overEveryCarrier runs one suite over loopback TCP and over a network in
// memory, in virtual time, with delay, jitter and a rate.
func overEveryCarrier(t *testing.T, suite func(t *testing.T, near, far end)) {
	t.Run("tcp", func(t *testing.T) {
		defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
		local := end{link.TCP{}, netip.MustParseAddrPort("127.0.0.1:0")}
		suite(t, local, local)
	})
	t.Run("memnet", func(t *testing.T) {
		testutil.Bubble(t, func(t *testing.T) {
			n := memnet.New(memnet.Config{Seed: 1, Path: func(from, to netip.Addr) memnet.Path {
				return memnet.Path{Latency: 20 * time.Millisecond, Jitter: 0.3, Rate: 4_000_000}
			}})
			host := func(s string) end {
				a := netip.MustParseAddr(s)
				return end{n.Host(a), netip.AddrPortFrom(a, 0)}
			}
			suite(t, host("10.0.0.1"), host("10.0.0.2"))
		})
	})
}

func identityForTest(t testing.TB, seed byte) *link.Identity {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))
	id, err := link.NewIdentity(nil, [32]byte{1}, key, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// linked makes a link between two ends. wrap, if not nil, stands between the
// dialler and its connection.
func linked(t testing.TB, near, far end, cfg link.Config, wrap func(net.Conn) net.Conn) (a, b *link.Link) {
	t.Helper()
	ln, err := far.transport.Listen(far.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cfg.NetworkID = [32]byte{1}
	done := make(chan *link.Link, 1)
	go func() {
		defer close(done)
		conn, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		server := cfg
		server.Identity = identityForTest(t, 2)
		l, err := link.Server(context.Background(), conn, server)
		if err != nil {
			t.Error(err)
			return
		}
		done <- l
	}()
	addr := ln.Addr().(*net.TCPAddr).AddrPort()
	conn, err := near.transport.Dial(context.Background(), addr)
	if err != nil {
		t.Fatal(err)
	}
	if wrap != nil {
		conn = wrap(conn)
	}
	a, err = link.Client(context.Background(), conn, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if b = <-done; b == nil {
		t.FailNow()
	}
	return a, b
}

// serve answers every stream with f until the link ends.
func serve(wg *sync.WaitGroup, l *link.Link, f func(s *link.Stream)) {
	wg.Go(func() {
		for {
			s, _, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer s.Close()
				f(s)
			})
		}
	})
}

func echo(s *link.Stream) { io.Copy(s, s) }

func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestLinkConformance(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  link.Config
		run  func(t *testing.T, a, b *link.Link)
	}{
		{"both sides know each other", link.Config{}, bothSidesKnowEachOther},
		{"relay and relay, ChaChaPoly", link.Config{Identity: identityForTest(t, 3), Suite: link.ChaChaPoly}, relayAndRelay},
		{"64 streams from either side", link.Config{}, manyStreams},
		{"half close", link.Config{}, halfClose},
		{"large transfer both ways", link.Config{}, largeTransfer},
		{"cells", link.Config{}, cellsThereAndBack},
		{"close in the middle", link.Config{}, closeInTheMiddle},
		{"close one stream of many", link.Config{}, closeOneStream},
		{"late reader", link.Config{}, lateReader},
		{"read deadline", link.Config{}, readDeadline},
		{"close sends what is queued", link.Config{}, closeSendsQueued},
	} {
		t.Run(c.name, func(t *testing.T) {
			overEveryCarrier(t, func(t *testing.T, near, far end) {
				cfg := c.cfg
				if cfg.Identity != nil {
					cfg.Identity = identityForTest(t, 3) // by this clock
				}
				a, b := linked(t, near, far, cfg, nil)
				c.run(t, a, b)
				a.Close()
				b.Close()
				<-a.Done()
				<-b.Done()
			})
		})
	}
}

func bothSidesKnowEachOther(t *testing.T, a, b *link.Link) {
	if a.HandshakeHash() != b.HandshakeHash() || a.HandshakeHash() == [32]byte{} {
		t.Error("handshake hashes differ")
	}
	id, relay := a.Peer()
	if want := identityForTest(t, 2).Public(); !relay || !id.Equal(want) {
		t.Error("the dialler sees another relay")
	}
	if id, relay := b.Peer(); relay || id != nil {
		t.Error("the client is taken for a relay")
	}
	if a.LocalAddr().String() != b.RemoteAddr().String() || a.RemoteAddr().String() != b.LocalAddr().String() {
		t.Error("addresses differ")
	}
	if !a.Initiator() || b.Initiator() {
		t.Error("roles")
	}
	if a.Err() != nil {
		t.Error(a.Err())
	}
}

func relayAndRelay(t *testing.T, a, b *link.Link) {
	id, relay := b.Peer()
	if want := identityForTest(t, 3).Public(); !relay || !id.Equal(want) {
		t.Error("the listener sees another relay")
	}
	halfClose(t, a, b)
}

func manyStreams(t *testing.T, a, b *link.Link) {
	var servers, clients sync.WaitGroup
	serve(&servers, a, echo)
	serve(&servers, b, echo)
	for i := range 64 {
		clients.Go(func() {
			l := a
			if i%2 == 1 {
				l = b
			}
			s, err := l.Open(link.StreamType(1 + i%4))
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			want := noise(uint64(i), 1+i*997)
			go func() {
				for rest := want; len(rest) > 0; {
					n := min(len(rest), 1+i*31)
					if _, err := s.Write(rest[:n]); err != nil {
						t.Error(err)
						return
					}
					rest = rest[n:]
				}
				s.CloseWrite()
			}()
			got, err := io.ReadAll(s)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("stream %d: %d bytes of %d, %v", i, len(got), len(want), err)
			}
		})
	}
	clients.Wait()
	a.Close()
	b.Close()
	servers.Wait()
}

func halfClose(t *testing.T, a, b *link.Link) {
	var wg sync.WaitGroup
	serve(&wg, b, func(s *link.Stream) {
		q, err := io.ReadAll(s)
		if err != nil || string(q) != "question" {
			t.Error(string(q), err)
		}
		s.Write([]byte("answer"))
	})
	s, err := a.Open(link.StreamDirectory)
	if err != nil {
		t.Fatal(err)
	}
	s.Write([]byte("question"))
	s.CloseWrite()
	if _, err := s.Write([]byte("x")); !errors.Is(err, link.ErrStreamClosed) {
		t.Error(err)
	}
	if ans, err := io.ReadAll(s); string(ans) != "answer" || err != nil {
		t.Error(string(ans), err)
	}
	s.Close()
	a.Close()
	b.Close()
	wg.Wait()
}

func largeTransfer(t *testing.T, a, b *link.Link) {
	const size = 3 << 20
	var wg, all sync.WaitGroup
	all.Add(2)
	serve(&wg, b, func(s *link.Stream) {
		defer all.Done()
		sent := make(chan struct{})
		go func() {
			s.Write(noise(1, size))
			s.CloseWrite()
			close(sent)
		}()
		if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, noise(2, size)) {
			t.Error("forth:", len(got), err)
		}
		<-sent
	})
	s, err := a.Open(link.StreamMailbox)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		s.Write(noise(2, size))
		s.CloseWrite() // while the reader below is at work
		all.Done()
	}()
	if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, noise(1, size)) {
		t.Error("back:", len(got), err)
	}
	all.Wait()
	s.Close()
	a.Close()
	b.Close()
	wg.Wait()
}

func cellsThereAndBack(t *testing.T, a, b *link.Link) {
	const count = 500
	var wg sync.WaitGroup
	serve(&wg, b, func(s *link.Stream) {
		if s.Type() != link.StreamCircuit {
			t.Error("type", s.Type())
		}
		buf := make([]byte, 4*cell.Size)
		for s.WaitCells() == nil {
			cells, err := s.ReadCells(buf)
			if err != nil || len(cells) == 0 || len(cells)%cell.Size != 0 {
				t.Error(len(cells), err)
				return
			}
			if s.WriteCells(cells) != nil {
				return
			}
		}
	})
	s, err := a.Open(link.StreamCircuit)
	if err != nil {
		t.Fatal(err)
	}
	want := noise(5, count*cell.Size)
	go func() {
		for rest := want; len(rest) > 0; {
			n := min(len(rest), (1+len(rest)%9)*cell.Size)
			if err := s.WriteCells(rest[:n]); err != nil {
				t.Error(err)
				return
			}
			rest = rest[n:]
		}
	}()
	var got []byte
	for buf := make([]byte, 7*cell.Size+100); len(got) < len(want); {
		cells, err := s.ReadCells(buf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, cells...)
	}
	if !bytes.Equal(got, want) {
		t.Error("cells differ")
	}
	if err := s.WriteCells(make([]byte, cell.Size+1)); err != link.ErrSize {
		t.Error(err)
	}
	if _, err := s.ReadCells(make([]byte, cell.Size-1)); err != link.ErrSize {
		t.Error(err)
	}
	s.CloseWith(make([]byte, cell.Size))
	a.Close()
	b.Close()
	wg.Wait()
}

func closeInTheMiddle(t *testing.T, a, b *link.Link) {
	var wg sync.WaitGroup
	serve(&wg, b, func(s *link.Stream) {
		for {
			if _, err := s.Write(make([]byte, 10000)); err != nil {
				return
			}
		}
	})
	var some sync.WaitGroup
	for range 8 {
		s, err := a.Open(link.StreamDirectory)
		if err != nil {
			t.Fatal(err)
		}
		some.Add(1)
		wg.Go(func() {
			first := true
			for buf := make([]byte, 1000); ; {
				if _, err := s.Read(buf); err != nil {
					if err != link.ErrClosed && err != link.ErrPeerClosed {
						t.Error("reader:", err)
					}
					break
				}
				if first {
					some.Done()
					first = false
				}
			}
			if _, err := s.Write([]byte("x")); err != link.ErrClosed && err != link.ErrPeerClosed {
				t.Error("writer:", err)
			}
			s.CloseWrite()
			s.Close()
		})
	}
	some.Wait()
	b.Close()
	wg.Wait()
	<-a.Done()
	if a.Err() != link.ErrPeerClosed || b.Err() != link.ErrClosed {
		t.Error(a.Err(), b.Err())
	}
	if _, err := a.Open(link.StreamCircuit); err != link.ErrPeerClosed {
		t.Error(err)
	}
	if _, _, err := b.Accept(); err != link.ErrClosed {
		t.Error(err)
	}
}

func closeOneStream(t *testing.T, a, b *link.Link) {
	var wg sync.WaitGroup
	serve(&wg, b, echo)
	open := func() *link.Stream {
		s, err := a.Open(link.StreamGossip)
		if err != nil {
			t.Fatal(err)
		}
		s.Write([]byte("x"))
		if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		return s
	}
	s, other := open(), open()
	read := make(chan error, 1)
	go func() { _, err := s.Read(make([]byte, 1)); read <- err }()
	s.Close()
	if err := <-read; err != link.ErrStreamClosed {
		t.Error("pending read:", err)
	}
	for _, err := range []error{
		func() error { _, err := s.Read(nil); return err }(),
		func() error { _, err := s.Write([]byte("x")); return err }(),
		s.WaitCells(), s.WriteCells(make([]byte, cell.Size)), s.SetDeadline(time.Time{}),
	} {
		if err != link.ErrStreamClosed {
			t.Error("after close:", err)
		}
	}
	s.Close()
	other.Write([]byte("y"))
	if _, err := io.ReadFull(other, make([]byte, 1)); err != nil {
		t.Error("another stream suffered:", err)
	}
	other.Close()
	a.Close()
	b.Close()
	wg.Wait()
}

// lateReader proves that data is there for a reader who comes late, even after
// the link is gone, and that a lost link does not look like an end.
func lateReader(t *testing.T, a, b *link.Link) {
	s, err := a.Open(link.StreamDirectory)
	if err != nil {
		t.Fatal(err)
	}
	s.Write([]byte("some of it"))
	far, _, err := b.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(far, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	a.Close()
	<-b.Done()
	if got, err := io.ReadAll(far); string(got) != " of it" || err != link.ErrPeerClosed {
		t.Error(string(got), err)
	}
}

func readDeadline(t *testing.T, a, b *link.Link) {
	s, err := a.Open(link.StreamDirectory)
	if err != nil {
		t.Fatal(err)
	}
	s.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	var ne net.Error
	if _, err := s.Read(make([]byte, 1)); !errors.As(err, &ne) || !ne.Timeout() {
		t.Error(err)
	}
	s.SetReadDeadline(time.Time{})
	far, _, err := b.Accept() // the read sent the type
	if err != nil {
		t.Fatal(err)
	}
	far.Write([]byte("x"))
	if _, err := s.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
	far.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := far.Write(make([]byte, 1<<20)); !errors.As(err, &ne) || n > 300<<10 {
		t.Error("a write beyond the window:", n, err)
	}
}

func closeSendsQueued(t *testing.T, a, b *link.Link) {
	s, err := a.Open(link.StreamDirectory)
	if err != nil {
		t.Fatal(err)
	}
	s.Write([]byte("x"))
	far, _, err := b.Accept()
	if err != nil {
		t.Fatal(err)
	}
	want := append([]byte("x"), noise(9, 60_000)...)
	if _, err := s.Write(want[1:]); err != nil {
		t.Fatal(err)
	}
	a.Close()
	got, err := io.ReadAll(far)
	if err != link.ErrPeerClosed || !bytes.Equal(got, want) {
		t.Error(len(got), err)
	}
}

// flip changes one bit of what is written, after so many bytes.
type flip struct {
	net.Conn
	after int
}

func (f *flip) Write(b []byte) (int, error) {
	if f.after >= 0 && f.after < len(b) {
		b = bytes.Clone(b)
		b[f.after] ^= 0x10
		f.after = -1
	}
	f.after -= len(b)
	return f.Conn.Write(b)
}

func TestBadRecordClosesBothSides(t *testing.T) {
	overEveryCarrier(t, func(t *testing.T, near, far end) {
		handshake := link.HelloSize + link.Message1Size + link.Message3Size
		for _, at := range []int{0, 1000, link.RecordSize - 1, 3*link.RecordSize + 7} {
			a, b := linked(t, near, far, link.Config{}, func(c net.Conn) net.Conn {
				return &flip{c, handshake + at}
			})
			go func() {
				s, err := a.Open(link.StreamCircuit)
				for err == nil {
					err = s.WriteCells(make([]byte, 4*cell.Size))
				}
			}()
			<-b.Done()
			<-a.Done()
			if b.Err() != link.ErrRecord || a.Err() != link.ErrPeerClosed {
				t.Error(at, b.Err(), a.Err())
			}
		}
	})
}
