// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"crypto/rand"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"chive/circuit"
	"chive/directory/genesis"
	"chive/directory/snapshot"
	"chive/link"
)

// TestARelayJoinsARunningNetwork: it follows the list as a client, is introduced,
// probed and voted in, catches up, has a seat in the next term, and carries circuits.
func TestARelayJoinsARunningNetwork(t *testing.T) {
	p := genesis.Testnet()
	p.Term, p.DrawLead = 12, 3
	inCity(t, 4, p, func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(5)
		late := w.citizen()
		late.start()
		if d := late.Status().Directory; d.Listed {
			t.Error("it is listed already")
		}
		w.until(6, time.Second)
		if d := late.Status().Directory; d.Listed || d.Joining == "" || d.Stalled {
			t.Errorf("at first: %+v", d)
		} else {
			t.Log(d.Joining)
		}
		select {
		case <-late.Listed():
		case <-time.After(3 * time.Minute):
			t.Fatalf("it was not listed: %+v", late.Status().Directory)
		}
		w.until(w.doc.EpochAt(time.Now())+3, p.SignEnd)
		epoch := w.doc.EpochAt(time.Now())
		t.Log("listed in epoch", late.View().Epoch(), "now", epoch)
		if got := w.agree(w.all...); got != epoch {
			t.Errorf("they agree on epoch %d at the end of %d", got, epoch)
		}
		d := late.Status().Directory
		if !d.Listed || !d.Running || d.Joining != "" || d.Head != epoch || d.Neighbours != 4 {
			t.Errorf("afterwards: %+v", d)
		}
		w.extends(late)
		w.atEnd(epoch + 2*uint64(p.Term))
		if d := late.Status().Directory; !d.Committee.Seat || d.Committee.K != 5 || d.Committee.Reason != "" || w.accused() {
			t.Errorf("in a later term: %+v", d)
		}
		w.agree(w.all...)

		// It is away for long, and comes back from its store.
		late.kill()
		w.atEnd(w.doc.EpochAt(time.Now()) + 3*uint64(p.Term))
		late.start()
		w.atEnd(w.doc.EpochAt(time.Now()) + 8)
		if epoch := w.doc.EpochAt(time.Now()); w.agree(w.all...) != epoch {
			t.Errorf("back after three terms: %+v", late.Status().Directory)
		}
		r, _ := late.View().Table().Relay(late.RID())
		if r.Flags&snapshot.FlagRunning == 0 {
			t.Error("it does not run, for the others")
		}
	})
}

// extends makes a circuit of two hops through the first relay to another.
func (w *city) extends(to *citizen) {
	w.t.Helper()
	host := w.net.Host(netip.AddrFrom4([4]byte{13, 0, 0, 1}))
	l, err := link.Dial(context.Background(), host, townAddr(0), link.Config{NetworkID: w.doc.NetworkID(), Rand: rand.Reader})
	if err != nil {
		w.t.Fatal(err)
	}
	defer l.Close()
	st, err := l.Open(link.StreamCircuit)
	if err != nil {
		w.t.Fatal(err)
	}
	o, err := circuit.NewOrigin(circuit.DefaultParams(), new(circuit.Buffers), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	c := &walker{w: &town{t: w.t}, st: st, o: o}
	view := w.all[0].View()
	for _, hop := range []*citizen{w.all[0], to} {
		r, ok := view.Table().Relay(hop.RID())
		if !ok {
			w.t.Fatal("the relay is not listed")
		}
		if err := o.Extend(circuit.Target{RID: r.RID, Onion: r.Onion, Addrs: addressesOf(view.Table(), r.RID)}); err != nil {
			w.t.Fatal(err)
		}
		c.send()
		if e := c.hear(); e.Kind != circuit.EventExtended {
			w.t.Fatalf("event %d, reason %v", e.Kind, e.Reason)
		}
	}
}

// TestANewcomerDoesItsWork, and those who introduce it check that.
func TestANewcomerDoesItsWork(t *testing.T) {
	p := genesis.Testnet()
	p.StampBits, p.WorkBits = 4, 2
	inCity(t, 4, p, func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(1)
		late := w.citizen()
		late.start()
		select {
		case <-late.Listed():
		case <-time.After(5 * time.Minute):
			t.Fatalf("it was not listed: %+v", late.Status().Directory)
		}
	})
}

// TestANewcomerWithoutANetworkSaysSo and goes on trying.
func TestANewcomerWithoutANetworkSaysSo(t *testing.T) {
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		late := w.citizen()
		late.start()
		pass(30 * time.Second)
		if d := late.Status().Directory; d.Joining != troubleSilent || d.Listed {
			t.Errorf("%+v", d)
		}
		for _, c := range w.all[:4] {
			c.start()
		}
		select {
		case <-late.Listed():
		case <-time.After(5 * time.Minute):
			t.Fatalf("it was not listed: %+v", late.Status().Directory)
		}
	})
}

// TestARelayThatNobodyReachesIsNotListed: its addresses are dialled before.
// Spec: GOS-13.
func TestARelayThatNobodyReachesIsNotListed(t *testing.T) {
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(1)
		late := w.citizen()
		late.claims = townAddr(77)
		late.start()
		w.atEnd(12)
		if d := late.Status().Directory; d.Listed || d.Introduced != 0 || d.Joining == "" {
			t.Errorf("%+v", d)
		}
	})
}

// countingTransport counts dials.
type countingTransport struct {
	link.Transport
	dials *atomic.Int64
}

func (c countingTransport) Dial(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
	c.dials.Add(1)
	return c.Transport.Dial(ctx, a)
}

// TestASilentNetworkIsAskedAtAModestPace, for hours.
func TestASilentNetworkIsAskedAtAModestPace(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		w.stop()
		if err := <-w.ended; err != nil {
			t.Fatal(err)
		}
		var dials atomic.Int64
		r, err := New(Config{
			Genesis: w.doc, Identity: w.keys[0], Keys: w.rings[0], About: about(townAddr(0)),
			Transport: countingTransport{w.net.Host(townAddr(0).Addr()), &dials}, Listen: townAddr(0), DrainTimeout: -1, Rand: rand.Reader,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		w.relay, w.stop, w.ended = r, stop, make(chan error, 1)
		go func() { w.ended <- r.Run(ctx) }()
		<-r.Ready()
		pass(10 * time.Minute) // 2^34 s have become negative long ago
		before := dials.Load()
		pass(time.Minute)
		if n := dials.Load() - before; n > 60 {
			t.Errorf("%d dials in a minute", n)
		}
		if d := r.Status().Directory; !d.Listed || d.Joining == "" {
			t.Errorf("on the list and far behind, it says nothing of it: %+v", d)
		}
	})
}

// TestARelayThatComesBackGoesOnFromItsOwnState, not from a genesis that is too old to go
// on from.
func TestARelayThatComesBackGoesOnFromItsOwnState(t *testing.T) {
	p := genesis.Testnet()
	p.AnchorAge = 100 * time.Second
	inCity(t, 4, p, func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(12)
		back := w.all[3]
		back.kill()
		w.atEnd(18)
		back.start()
		pass(3 * time.Second)
		j := back.replica.Load().joiner
		if got := j.f.Snapshot().Epoch(); got < 11 {
			t.Errorf("as a client it goes on from epoch %d; it says %q", got, back.Status().Directory.Joining)
		}
		w.atEnd(20)
		if got := w.agree(w.all...); got != 20 {
			t.Errorf("they agree on epoch %d", got)
		}
	})
}
