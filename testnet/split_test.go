// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"chive/client"
	"chive/directory/committee"
	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/directory/transition"
	"chive/directory/vote"
	"chive/directory/vrf"
	"chive/internal/memnet"
	"chive/link"
	"chive/relay"
)

// forge makes a final snapshot behind everybody's back, as those could who hold the
// keys of a quorum: a child of parent in which a vote of the majority did what ops say.
func forge(t *testing.T, n *Network, parent *transition.State, epoch uint64, ops ...transition.Op) dirsync.Final {
	t.Helper()
	doc, nid := n.Genesis, n.Genesis.NetworkID()
	list, _ := parent.List(transition.OwnerName(epoch))
	key := func(seat int) *planned {
		for _, r := range n.Relays {
			if r.RID() == list.Seats[seat].RID {
				return r.plan
			}
		}
		t.Fatal("a seat of nobody")
		return nil
	}
	secret := vrf.NewSecretKey(&key(0).seeds.VRF)
	alpha := vote.ProposeInput(nid, epoch, parent.Snapshot().Header().Beacon)
	in := transition.Input{Epoch: epoch, Proof: secret.Prove(alpha)}
	var err error
	if in.Output, err = vrf.Verify(secret.Public(), alpha, in.Proof); err != nil {
		t.Fatal(err)
	}
	for seat := range committee.Quorum(len(list.Seats)) {
		in.Votes = append(in.Votes, transition.Vote{Seat: seat, Ops: ops})
	}
	state, err := transition.Next(doc, parent, in)
	if err != nil {
		t.Fatal(err)
	}
	signers, sigs := vote.NewSeats(len(list.Seats)), [][record.SignatureSize]byte(nil)
	for seat := range committee.Quorum(len(list.Seats)) {
		k := ed25519.NewKeyFromSeed(key(seat).seeds.Committee[list.Term][:])
		g, err := vote.NewSignature(nid, k, epoch, state.Digest(), seat)
		if err != nil {
			t.Fatal(err)
		}
		signers.Add(seat)
		sigs = append(sigs, g.Bytes())
	}
	cert, err := vote.NewCertificate(state.Snapshot().Header(), signers, sigs)
	if err != nil {
		t.Fatal(err)
	}
	return dirsync.Final{State: state, Certificate: cert}
}

// front stands before a relay with that relay's own keys: it passes circuits on and
// answers questions about the table itself.
type front struct {
	n     *Network
	real  *Relay
	serve *dirsync.Server
	host  link.Transport
	tasks sync.WaitGroup
}

// listen takes a client's links at addr until ctx ends.
func (f *front) listen(ctx context.Context, t *testing.T, addr netip.AddrPort) {
	t.Helper()
	ln, err := f.host.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	id, err := link.NewIdentity(rand.Reader, f.n.Genesis.NetworkID(), f.real.plan.identity, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	f.tasks.Go(func() {
		defer stop()
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			l, err := link.Server(ctx, conn, link.Config{NetworkID: f.n.Genesis.NetworkID(), Identity: id, Rand: rand.Reader, HalfLife: f.n.Genesis.Params.EWMAHalfLife})
			if err != nil {
				continue
			}
			f.tasks.Go(func() { f.carry(ctx, l) })
		}
	})
}

// carry serves one link.
func (f *front) carry(ctx context.Context, l *link.Link) {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	defer l.Close()
	on, err := link.Dial(ctx, f.host, f.real.Addr(), link.Config{NetworkID: f.n.Genesis.NetworkID(), Rand: rand.Reader, HalfLife: f.n.Genesis.Params.EWMAHalfLife})
	if err != nil {
		return
	}
	defer on.Close()
	for {
		st, kind, err := l.Accept()
		switch {
		case err != nil:
			return
		case kind == link.StreamDirectory:
			f.tasks.Go(func() { f.answer(st) })
		default:
			next, err := on.Open(kind)
			if err != nil {
				_ = st.Close()
				continue
			}
			pass := func(from, to *link.Stream) {
				defer to.Close()
				for buf := make([]byte, readBuffer); ; {
					cells, err := from.ReadCells(buf)
					if err != nil || to.WriteCells(cells) != nil {
						return
					}
				}
			}
			f.tasks.Go(func() { pass(st, next) })
			f.tasks.Go(func() { pass(next, st) })
		}
	}
}

const readBuffer = 16 * 2049

func (f *front) answer(st *link.Stream) {
	defer st.Close()
	for {
		body, err := dirsync.ReadRequest(st)
		if err != nil {
			return
		}
		frames, _ := f.serve.Answer(time.Now(), body)
		if _, err := st.Write(frames); err != nil {
			return
		}
	}
}

// misled is a client's transport on which one relay's address leads to the front, and
// none to any other relay until it is open.
type misled struct {
	link.Transport
	from, to netip.AddrPort
	open     *atomic.Bool
}

// Dial implements link.Transport.
func (m misled) Dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	switch {
	case addr == m.from:
		return m.Transport.Dial(ctx, m.to)
	case !m.open.Load():
		return nil, syscall.ECONNREFUSED
	}
	return m.Transport.Dial(ctx, addr)
}

// TestARelayThatShowsOneClientAnotherTableIsCaught has a relay answer one client, and
// nobody else, with a table that a quorum's keys have signed behind the others' backs.
// The client's questions through circuits find another table of the same epoch; it
// says so in words, keeps both, and the relays hear of those who signed twice.
func TestARelayThatShowsOneClientAnotherTableIsCaught(t *testing.T) {
	inMemory(t, Config{Relays: 7, Exits: 3}, 20*time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		epochs(n, 4)
		agreed(t, n, n.Relays)
		ctx, end := context.WithCancel(t.Context())
		// The lie is about an epoch that everybody has a snapshot of, with a descendant.
		lie := forge(t, n, transition.Genesis(n.Genesis), n.Relays[0].View().Epoch()-1, transition.Op{Code: transition.Down, Index: 1})
		child := forge(t, n, lie.State, lie.Certificate.Header.Epoch+1)
		host := netip.AddrFrom4([4]byte{66, 0, 0, 1})
		f := &front{n: n, real: n.Relays[0], serve: dirsync.NewServer(n.Genesis).With(lie).With(child), host: m.Host(host)}
		at := netip.AddrPortFrom(host, linkPort)
		f.listen(ctx, t, at)

		var open atomic.Bool
		cl, err := client.New(client.Config{
			Genesis: n.Genesis, Rand: rand.Reader,
			Transport: misled{fab.Client(7), n.Relays[0].Addr(), at, &open},
			Peers:     []client.Peer{{RID: n.Relays[0].RID(), Addresses: []netip.AddrPort{n.Relays[0].Addr()}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- cl.Run(ctx) }()
		var s client.Status
		for range 600 {
			s = cl.Status()
			if s.Epoch == lie.Certificate.Header.Epoch {
				open.Store(true)
			}
			if s.Alarm != nil {
				break
			}
			time.Sleep(500 * time.Millisecond) // virtual
		}
		if s.Alarm == nil {
			t.Fatalf("nobody noticed: %+v", s)
		}
		if !strings.Contains(s.Alarm.Text, "list") {
			t.Errorf("the alarm says %q", s.Alarm.Text)
		}
		epochs(n, 6)
		// Those who signed both are known to the relays.
		told := 0
		for _, r := range n.Relays {
			if slices.ContainsFunc(r.Status().Directory.Reports, func(p relay.Report) bool { return p.Relay != record.RID{} }) {
				told++
			}
		}
		if told == 0 {
			t.Error("no relay has heard of it")
		}
		end()
		if err := <-done; err != nil {
			t.Error(err)
		}
		f.tasks.Wait()
	})
}
