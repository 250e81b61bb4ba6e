// SPDX-License-Identifier: BSD-3-Clause

package link_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"io"
	"net/netip"
	"testing"
	"time"

	"chive/internal/memnet"
	"chive/internal/testutil"
	"chive/link"
)

func identityForTest(t testing.TB, seed byte, now time.Time) *link.Identity {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))
	id, err := link.NewIdentity(nil, [32]byte{1}, key, now)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func pairForTest(t testing.TB, dialler, listener link.Transport, addr netip.AddrPort, cfg link.Config) (near, far *link.Link) {
	t.Helper()
	l, err := listener.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr = netip.MustParseAddrPort(l.Addr().String())
	type result struct {
		l   *link.Link
		err error
	}
	ch := make(chan result, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			ch <- result{nil, err}
			return
		}
		server := cfg
		server.Identity = identityForTest(t, 1, time.Now())
		fl, err := link.Server(context.Background(), conn, server)
		ch <- result{fl, err}
	}()
	near, err = link.Dial(context.Background(), dialler, addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := <-ch
	if r.err != nil {
		t.Fatal(r.err)
	}
	return near, r.l
}

func basics(t *testing.T, d, l link.Transport, addr netip.AddrPort) {
	near, far := pairForTest(t, d, l, addr, link.Config{NetworkID: [32]byte{1}})
	defer near.Close()
	defer far.Close()
	done := make(chan error, 1)
	go func() {
		s, typ, err := far.Accept()
		if err != nil {
			done <- err
			return
		}
		_ = typ
		b, err := io.ReadAll(s)
		if err == nil {
			_, err = s.Write(b)
		}
		s.Close()
		done <- err
	}()
	s, err := near.Open(link.StreamDirectory)
	if err != nil {
		t.Fatal(err)
	}
	msg := bytes.Repeat([]byte("0123456789"), 100000)
	if _, err := s.Write(msg); err != nil {
		t.Fatal(err)
	}
	s.CloseWrite()
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, msg) {
		t.Fatal(len(got), err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s.Close()

	go func() {
		s, _, err := far.Accept()
		if err != nil {
			done <- err
			return
		}
		buf := make([]byte, 4*2049)
		for {
			if err := s.WaitCells(); err != nil {
				done <- err
				return
			}
			cells, err := s.ReadCells(buf)
			if err != nil {
				done <- err
				return
			}
			if err := s.WriteCells(cells); err != nil {
				done <- err
				return
			}
		}
	}()
	c, err := near.Open(link.StreamCircuit)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for range 1000 {
			c.WriteCells(make([]byte, 2049))
		}
	}()
	n := 0
	for buf := make([]byte, 4*2049); n < 1000; {
		if err := c.WaitCells(); err != nil {
			t.Fatal(err)
		}
		cells, err := c.ReadCells(buf)
		if err != nil {
			t.Fatal(err)
		}
		n += len(cells) / 2049
	}
	c.Close()
	if err := <-done; err != io.EOF {
		t.Fatal(err)
	}
}

func TestBasicsTCP(t *testing.T) {
	basics(t, link.TCP{}, link.TCP{}, netip.MustParseAddrPort("127.0.0.1:0"))
}

func TestBasicsMemnet(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := memnet.New(memnet.Config{Path: func(from, to netip.Addr) memnet.Path {
			return memnet.Path{Latency: 20 * time.Millisecond, Rate: 10 << 20}
		}})
		a, b := n.Host(netip.MustParseAddr("10.0.0.1")), n.Host(netip.MustParseAddr("10.0.0.2"))
		start := time.Now()
		basics(t, a, b, netip.MustParseAddrPort("10.0.0.2:0"))
		t.Log(time.Since(start))
	})
}
