// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chive/circuit"
	"chive/circuit/cell"
	"chive/circuit/handshake"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/internal/memnet"
	"chive/internal/testutil"
	"chive/link"
)

// town is a network of two relays, the first of them running, and a client that
// speaks cells by hand. What the second relay does is each test's own.
type town struct {
	t     *testing.T
	net   *memnet.Network
	doc   *genesis.Document
	keys  [2]ed25519.PrivateKey
	rings [2]*MemoryKeyring
	onion [2]*handshake.OnionKey
	relay *Relay
	stop  context.CancelFunc
	ended chan error
}

func townAddr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, byte(i), 0, 1}), 9240)
}

// inTown runs f in virtual time.
func inTown(t *testing.T, f func(t *testing.T, w *town)) {
	testutil.Bubble(t, func(t *testing.T) {
		w := &town{t: t, net: memnet.New(memnet.Config{Seed: 1, Path: func(_, _ netip.Addr) memnet.Path {
			return memnet.Path{Latency: time.Millisecond}
		}})}
		var founders []*record.Founder
		for i := range w.keys {
			w.keys[i] = ed25519.NewKeyFromSeed(append(make([]byte, 31), byte(i+1)))
			w.onion[i] = handshake.NewOnionKey(&[32]byte{8: byte(i + 1)})
			w.rings[i] = ring(t, byte(i+1))
			founders = append(founders, founder(w.keys[i], w.rings[i], townAddr(i)))
		}
		doc, err := genesis.New("testnet", founders, true, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range w.keys {
			if err := doc.Sign(k); err != nil {
				t.Fatal(err)
			}
		}
		w.doc = doc
		w.relay, w.stop, w.ended = w.start(0)
		synctest.Wait() // its replica takes evidence only once it runs
		defer func() {
			w.stop()
			if err := <-w.ended; err != nil {
				t.Error(err)
			}
			if n := w.relay.Status().OpenCircuits; n != 0 {
				t.Errorf("%d circuits are open behind Run", n)
			}
		}()
		f(t, w)
	})
}

// start runs relay i.
func (w *town) start(i int) (*Relay, context.CancelFunc, chan error) {
	w.t.Helper()
	r, err := New(Config{
		Genesis: w.doc, Identity: w.keys[i], Keys: w.rings[i], About: about(townAddr(i)),
		Transport: w.net.Host(townAddr(i).Addr()), Listen: townAddr(i), DrainTimeout: -1, Rand: rand.Reader,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	<-r.Ready()
	return r, stop, ended
}

// ring makes keys of a number. The onion key is that of seed 8: n.
func ring(t *testing.T, n byte) *MemoryKeyring {
	t.Helper()
	seed := func(use byte) [32]byte { return [32]byte{30: use, 31: n} }
	p := genesis.Testnet()
	k, err := MemoryKeyringFrom(KeySeeds{
		VRF: seed(1), Onion: [32]byte{8: n}, Committee: [2][32]byte{seed(2), seed(3)},
	}, rand.Reader, p.OnionLife, p.OnionOverlap, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// founder is the record of a relay with these keys.
func founder(identity ed25519.PrivateKey, k *MemoryKeyring, addr netip.AddrPort) *record.Founder {
	f := &record.Founder{
		Identity: identity.Public().(ed25519.PublicKey), Onion: k.OnionPublic(), VRF: k.VRFPublic(),
		DeclaredRate: 100_000, Roles: record.RoleGuard, Addresses: []netip.AddrPort{addr},
	}
	for term := range f.Committee {
		f.Committee[term], _ = k.CommitteePublic(uint64(term))
	}
	return f
}

func about(addr netip.AddrPort) About {
	return About{Addresses: []netip.AddrPort{addr}, Rate: 100_000, Roles: record.RoleGuard}
}

// client links to the first relay.
func (w *town) client() *link.Link {
	w.t.Helper()
	host := w.net.Host(netip.AddrFrom4([4]byte{13, 0, 0, 1}))
	l, err := link.Dial(context.Background(), host, townAddr(0), link.Config{NetworkID: w.doc.NetworkID(), Rand: rand.Reader})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = l.Close() })
	return l
}

// walker is the client's end of one circuit.
type walker struct {
	w  *town
	st *link.Stream
	o  *circuit.Origin
}

// circuit makes a circuit of so many hops over l.
func (w *town) circuit(l *link.Link, hops int) *walker {
	w.t.Helper()
	st, err := l.Open(link.StreamCircuit)
	if err != nil {
		w.t.Fatal(err)
	}
	o, err := circuit.NewOrigin(circuit.DefaultParams(), new(circuit.Buffers), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	c := &walker{w: w, st: st, o: o}
	for i := range hops {
		rid := record.NewRID(w.doc.NetworkID(), w.keys[i].Public().(ed25519.PublicKey))
		target := circuit.Target{RID: rid, Onion: w.onion[i].Public(), Addrs: []netip.AddrPort{townAddr(i)}}
		if err := o.Extend(target); err != nil {
			w.t.Fatal(err)
		}
		c.send()
		if e := c.hear(); e.Kind != circuit.EventExtended {
			w.t.Fatalf("hop %d: event %d", i, e.Kind)
		}
	}
	return c
}

// send writes what is queued.
func (c *walker) send() {
	c.w.t.Helper()
	for ch := c.o.Take(time.Now()); ch != nil; ch = c.o.Take(time.Now()) {
		if err := c.st.WriteCells(ch.Cells()); err != nil {
			c.w.t.Fatal(err)
		}
		c.o.Recycle(time.Now(), ch)
	}
}

// hear reads cells until they make an event.
func (c *walker) hear() circuit.Event {
	c.w.t.Helper()
	_ = c.st.SetReadDeadline(time.Now().Add(time.Minute))
	defer func() { _ = c.st.SetReadDeadline(time.Time{}) }()
	for {
		cells, err := c.st.ReadCells(make([]byte, cell.Size))
		if err != nil {
			c.w.t.Fatal("nothing was heard:", err)
		}
		if err := c.o.Receive(time.Now(), cells); err != nil {
			c.w.t.Fatal(err)
		}
		if events := c.o.Events(); len(events) > 0 {
			return events[0]
		}
	}
}

// open waits until the first relay has n circuits open.
func (w *town) open(n int, within time.Duration) {
	w.t.Helper()
	t := time.NewTimer(within)
	<-t.C
	synctest.Wait()
	if got := w.relay.Status().OpenCircuits; got != n {
		w.t.Fatalf("%d circuits are open after %v, want %d", got, within, n)
	}
}

// next serves the second relay by hand: it makes the circuits' far halves with what
// each stream sends first, and gives the streams to f.
func (w *town) next(f func(st *link.Stream)) (stop func()) {
	w.t.Helper()
	id, err := link.NewIdentity(rand.Reader, w.doc.NetworkID(), w.keys[1], time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	ln, err := w.net.Host(townAddr(1).Addr()).Listen(townAddr(1))
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		var links sync.WaitGroup
		defer links.Wait()
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			links.Go(func() {
				l, err := link.Server(ctx, conn, link.Config{NetworkID: w.doc.NetworkID(), Identity: id, Rand: rand.Reader})
				if err != nil {
					return // a probe that had seen enough
				}
				context.AfterFunc(ctx, func() { _ = l.Close() })
				w.circuits(l, f)
			})
		}
	}()
	return func() {
		cancel()
		_ = ln.Close()
		<-done
	}
}

// circuits answers the circuits that come over a link of the second relay.
func (w *town) circuits(l *link.Link, f func(st *link.Stream)) {
	for {
		st, kind, err := l.Accept()
		if err != nil {
			return
		}
		if kind != link.StreamCircuit {
			st.Close()
			continue
		}
		cells, err := st.ReadCells(make([]byte, cell.Size))
		if err != nil {
			return
		}
		rid := record.NewRID(w.doc.NetworkID(), w.keys[1].Public().(ed25519.PublicKey))
		created, _, err := handshake.Respond(rand.Reader, rid, w.onion[1:], cells[1:1+handshake.CreateSize], circuit.Negotiate)
		if err != nil {
			w.t.Error(err)
			return
		}
		if cell.PutHandshake(cells, cell.Created, created) != nil || st.WriteCells(cells) != nil {
			return
		}
		f(st)
	}
}
