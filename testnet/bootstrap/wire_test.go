// SPDX-License-Identifier: BSD-3-Clause

package bootstrap

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chive/directory/genesis"
	dirsync "chive/directory/sync"
	"chive/directory/vote"
	"chive/internal/memnet"
	"chive/internal/testutil"
	"chive/link"
)

// tap counts what a client's link carries each way.
type tap struct {
	client   netip.Addr
	up, down atomic.Int64
}

func (p *tap) see(from, _ netip.AddrPort, b []byte) {
	if from.Addr() == p.client {
		p.up.Add(int64(len(b)))
	} else {
		p.down.Add(int64(len(b)))
	}
}

// overLink has a follower fetch over a real link, and returns what it carried: the
// handshake, and all after it.
func overLink(t *testing.T, c *chain, now time.Time, f *dirsync.Follower) (made, out, in int) {
	t.Helper()
	p := &tap{client: netip.MustParseAddr("9.9.9.9")}
	n := memnet.New(memnet.Config{Tap: p.see, Path: func(_, _ netip.Addr) memnet.Path { return memnet.Path{Latency: 40 * time.Millisecond} }})
	at := netip.MustParseAddrPort("8.8.8.8:9240")
	ln, err := n.Host(at.Addr()).Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	id, err := link.NewIdentity(rand.Reader, c.nid, key, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	served, linked, ended := make(chan error, 1), make(chan struct{}), make(chan struct{})
	ctx, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	go func() {
		served <- func() error {
			conn, err := ln.Accept()
			if err != nil {
				return err
			}
			l, err := link.Server(ctx, conn, link.Config{NetworkID: c.nid, Identity: id, Rand: rand.Reader})
			if err != nil {
				return err
			}
			defer l.Close()
			close(linked)
			st, _, err := l.Accept()
			if err != nil {
				return err
			}
			for {
				body, err := dirsync.ReadRequest(st)
				if err != nil {
					_ = st.Close()
					close(ended)
					<-l.Done() // until the client closes it
					return nil
				}
				answer, _ := c.server.Answer(now, body)
				if _, err := st.Write(answer); err != nil {
					return err
				}
			}
		}()
	}()
	l, err := link.Dial(ctx, n.Host(p.client), at, link.Config{NetworkID: c.nid, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	<-linked
	synctest.Wait()
	up, down := p.up.Load(), p.down.Load()
	st, err := l.Open(link.StreamDirectory)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Fetch(st, func() time.Time { return now }, nil); err != nil {
		t.Fatal(err)
	}
	_ = st.Close()
	<-ended
	synctest.Wait()
	out, in = int(p.up.Load()-up), int(p.down.Load()-down)
	_ = l.Close()
	_ = ln.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
	return int(up + down), out, in
}

// What is counted for a fetch is what a link carries, give or take two records each way: a
// stream's opening and the window given back share a record with what follows, or begin one,
// as the writer comes to it.
func TestALinkCarriesWhatIsCounted(t *testing.T) {
	c, err := newChain(5, 700, genesis.Testnet())
	if err != nil {
		t.Fatal(err)
	}
	f := dirsync.NewFollower(c.doc, vote.Plain{})
	saved := map[uint64][]byte{}
	const newest = 40
	for e := uint64(1); e <= newest; e++ {
		if _, err := c.grow(e); err != nil {
			t.Fatal(err)
		}
		if e == 4 || e == newest-2 {
			if _, _, err := refresh(f, newHonest(c.server, c.at(e, .5)), c.at(e, .5)); err != nil {
				t.Fatal(err)
			}
			saved[e] = f.Encode()
		}
	}
	now := c.at(newest, .5)
	testutil.Bubble(t, func(t *testing.T) {
		for name, from := range map[string]uint64{"by tiles": 4, "by a diff": newest - 2} {
			start := func() *dirsync.Follower {
				f, err := dirsync.LoadFollower(c.doc, vote.Plain{}, saved[from])
				if err != nil {
					t.Fatal(err)
				}
				return f
			}
			counted, _, err := refresh(start(), newHonest(c.server, now), now)
			if err != nil {
				t.Fatal(err)
			}
			made, out, in := overLink(t, c, now, start())
			off := func(a, b int) bool { return max(a-b, b-a) > 2*recordSize }
			if made != handshakeOut+handshakeIn || off(counted.up, out) || off(counted.down, in) || counted.tiles == 0 && name == "by tiles" {
				t.Errorf("%s: %d + %d counted, %d + %d carried, handshake %d, asked %v", name, counted.up, counted.down, out, in, made, counted.asked)
			}
		}
	})
}
