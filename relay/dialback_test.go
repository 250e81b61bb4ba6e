// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"crypto/ed25519"
	cryptorand "crypto/rand"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/directory/transition"
	"chive/link"
)

func testRand() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// ask sends a REACH over a link and returns the answer.
func ask(t *testing.T, l *link.Link, at netip.AddrPort) *dirsync.Answer {
	t.Helper()
	st, err := l.Open(link.StreamDirectory)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	q := &dirsync.Request{Code: dirsync.CodeReach, Address: at}
	body, err := q.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Write(dirsync.Frame(body)); err != nil {
		t.Fatal(err)
	}
	reply, err := dirsync.ReadAnswer(st)
	if err != nil {
		t.Fatal(err)
	}
	a, err := dirsync.DecodeAnswer(reply, q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// newcomer links to the first relay with an identity that no list names.
func (w *town) newcomer(n byte) (*link.Link, ed25519.PrivateKey) {
	w.t.Helper()
	key := ed25519.NewKeyFromSeed(append(make([]byte, 31), n))
	id, err := link.NewIdentity(cryptorand.Reader, w.doc.NetworkID(), key, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	host := w.net.Host(netip.AddrFrom4([4]byte{13, 0, 0, n}))
	l, err := link.Dial(context.Background(), host, townAddr(0), link.Config{NetworkID: w.doc.NetworkID(), Identity: id, Rand: cryptorand.Reader})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = l.Close() })
	return l, key
}

// TestWhoIsDialledBackAndWhere: relays, on their own links, at the address that the link
// comes from or that the list names, and nowhere else. Spec: REACH-2.
func TestWhoIsDialledBackAndWhere(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		if a := ask(t, w.client(), netip.MustParseAddrPort("13.0.0.1:9240")); a.Code != dirsync.CodeRefused || a.Refusal != dirsync.RefusedUnknown {
			t.Errorf("a client: %+v", a)
		}
		l, key := w.newcomer(7)
		own := netip.MustParseAddr("13.0.0.7")
		at := netip.AddrPortFrom(own, 9240)
		for _, elsewhere := range []netip.AddrPort{townAddr(1), townAddr(0), netip.MustParseAddrPort("13.0.0.8:9240"), netip.MustParseAddrPort("127.0.0.1:22"), netip.MustParseAddrPort("[2001:db8::1]:1")} {
			if a := ask(t, l, elsewhere); a.Reach != dirsync.ReachNotAllowed || a.Observed != own {
				t.Errorf("%v: %+v", elsewhere, a)
			}
		}
		if a := ask(t, l, at); a.Reach != dirsync.ReachRefused || a.Observed != own {
			t.Errorf("nobody is there: %+v", a)
		}
		host := w.net.Host(own)
		ln, err := host.Listen(at)
		if err != nil {
			t.Fatal(err)
		}
		silent := make(chan struct{})
		go func() {
			defer close(silent)
			for {
				if _, err := ln.Accept(); err != nil {
					return
				}
			}
		}()
		began := time.Now()
		if a := ask(t, l, at); a.Reach != dirsync.ReachTimeout || time.Since(began) > dialBackTimeout+time.Second {
			t.Errorf("a silent one: %+v after %v", a, time.Since(began))
		}
		_ = ln.Close()
		<-silent
		for name, c := range map[string]struct {
			key  ed25519.PrivateKey
			made time.Duration // its certificate, from now
			want dirsync.Reach
		}{
			"it is there":                                {key, 0, dirsync.Reached},
			"it is there, and its clock is behind":       {key, -1000 * time.Hour, dirsync.Reached},
			"it is there, and its clock is ahead":        {key, 1000 * time.Hour, dirsync.Reached},
			"another is there":                           {w.keys[1], 0, dirsync.ReachOther},
			"another is there, whose clock is behind":    {w.keys[1], -1000 * time.Hour, dirsync.ReachOther},
			"another is there, whose clock is far ahead": {w.keys[1], 1000 * time.Hour, dirsync.ReachOther},
		} {
			id, err := link.NewIdentity(cryptorand.Reader, w.doc.NetworkID(), c.key, time.Now().Add(c.made))
			if err != nil {
				t.Fatal(err)
			}
			ln, err := host.Listen(at)
			if err != nil {
				t.Fatal(err)
			}
			here := link.NewListener(ln, link.ListenerConfig{Link: func() link.Config {
				return link.Config{NetworkID: w.doc.NetworkID(), Identity: id, Rand: cryptorand.Reader}
			}})
			if a := ask(t, l, at); a.Reach != c.want {
				t.Errorf("%s: %+v", name, a)
			}
			_ = here.Close()
		}
		w.relay.Drain()
		body, err := (&dirsync.Request{Code: dirsync.CodeReach, Address: at}).Encode()
		if err != nil {
			t.Fatal(err)
		}
		if got := w.relay.dialBack(t.Context(), &caller{rid: record.RID{1}, source: own}, body); string(got) != string(dirsync.Reply(dirsync.ReachBusy, own)) {
			t.Error("it dials while it drains")
		}
	})
}

// TestDialBacksAreBounded, for one asker, one network, and everybody. Spec: REACH-2.
func TestDialBacksAreBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	who := func(n uint32, net string) *caller {
		c := &caller{source: netip.MustParseAddr(net)}
		binary.BigEndian.PutUint32(c.rid[:], n)
		return c
	}
	through := func(d *dialBacks, c *caller) bool {
		ok := d.enter(c, now)
		if ok {
			d.leave(c)
		}
		return ok
	}
	times := func(d *dialBacks, n int, c func(i int) *caller) (admitted int) {
		for i := range n {
			if through(d, c(i)) {
				admitted++
			}
		}
		return admitted
	}
	d := newDialBacks()
	one := who(1, "20.0.0.1")
	if n := times(d, 100, func(int) *caller { return one }); n != dialBackBurst {
		t.Errorf("one asker: %d", n)
	}
	now = now.Add(dialBackEvery)
	if n := times(d, 100, func(int) *caller { return one }); n != 1 {
		t.Errorf("one asker, later: %d", n)
	}
	d = newDialBacks()
	if n := times(d, 100, func(i int) *caller { return who(uint32(i), "20.0.0."+string(rune('1'+i%9))) }); n != dialBackNetBurst {
		t.Errorf("one /24: %d", n)
	}
	d = newDialBacks()
	if n := times(d, 100, func(i int) *caller { return who(uint32(i), "2001:db8:1:"+string(rune('1'+i%9))+"::1") }); n != dialBackNetBurst {
		t.Errorf("one /48: %d", n)
	}
	d = newDialBacks()
	spread := func(i int) *caller {
		return who(uint32(i), netip.AddrFrom4([4]byte{20, byte(i >> 8), byte(i), 1}).String())
	}
	if n := times(d, 1000, spread); n != dialBackAllBurst {
		t.Errorf("everybody: %d", n)
	}
	now = now.Add(dialBackAllEvery)
	if n := times(d, 1000, func(i int) *caller { return spread(5000 + i) }); n != 1 {
		t.Errorf("everybody, later: %d", n)
	}

	d = newDialBacks()
	if !d.enter(one, now) || d.enter(one, now) {
		t.Error("one asker has two under way, or none")
	}
	for i := range dialBacksAtOnce - 1 {
		if !d.enter(spread(i+10), now) {
			t.Fatalf("%d at once", i+1)
		}
	}
	if d.enter(spread(9999), now) {
		t.Error("one too many at once")
	}
	d.leave(one)
	if !d.enter(spread(9999), now) {
		t.Error("who has left still counts")
	}

	// At its cap the table forgets those that have all their tokens again, and else takes nobody.
	d = newDialBacks()
	d.all = rate.NewLimiter(rate.Inf, 0)
	for i := range maxDialBackNotes {
		if !through(d, spread(i)) {
			t.Fatalf("asker %d", i)
		}
	}
	if through(d, spread(maxDialBackNotes)) || len(d.askers) > maxDialBackNotes || len(d.nets) > maxDialBackNotes {
		t.Errorf("beyond the cap: %d askers, %d networks", len(d.askers), len(d.nets))
	}
	now = now.Add(dialBackEvery)
	if !through(d, spread(maxDialBackNotes)) || len(d.askers) != 1 {
		t.Errorf("later: %d askers", len(d.askers))
	}
}

// TestWhatADialComesTo has a word of the closed list for each fault, and blames nobody
// for a fault of this machine.
func TestWhatADialComesTo(t *testing.T) {
	for _, c := range []struct {
		err  error
		want dirsync.Reach
	}{
		{nil, dirsync.Reached}, {link.ErrCertificateTime, dirsync.ReachOther},
		{link.ErrRefused, dirsync.ReachRefused}, {link.ErrConnection, dirsync.ReachRefused}, {link.ErrPeerClosed, dirsync.ReachRefused},
		{link.ErrTimeout, dirsync.ReachTimeout}, {context.DeadlineExceeded, dirsync.ReachTimeout},
		{link.ErrUnreachable, dirsync.ReachUnreachable},
		{errOtherRelay, dirsync.ReachOther}, {link.ErrHandshake, dirsync.ReachOther}, {link.ErrSelf, dirsync.ReachOther},
		{link.ErrNetworkDown, dirsync.ReachBusy}, {link.ErrDescriptors, dirsync.ReachBusy}, {context.Canceled, dirsync.ReachBusy}, {errors.New("?"), dirsync.ReachBusy},
	} {
		got := reachOf(c.err)
		if got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
		if cause := unreached[got]; (cause != "") != (got.Tried() && got != dirsync.Reached) {
			t.Errorf("%v: cause %q", c.err, cause)
		}
	}
}

// TestNoPrivateAddressIsDialledBack in a network that is no testnet, wherever the link
// comes from.
func TestNoPrivateAddressIsDialledBack(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		doc := *w.doc
		doc.Testnet = false
		r := &Relay{genesis: &doc, nid: w.relay.nid}
		r.show(transition.Genesis(w.doc).Snapshot())
		for _, ip := range []string{"127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "fe80::1", "fd00::1", "::1"} {
			a := &caller{rid: record.RID{1}, source: netip.MustParseAddr(ip)}
			if r.mayDialBack(a, netip.AddrPortFrom(a.source, 9240)) {
				t.Error(ip)
			}
		}
		a := &caller{rid: record.RID{1}, source: netip.MustParseAddr("20.9.0.1")}
		if !r.mayDialBack(a, netip.AddrPortFrom(a.source, 9240)) {
			t.Error("a public one is not dialled")
		}
	})
}
