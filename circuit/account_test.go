// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"testing"

	"chive/circuit/cell"
)

// tally is an account.
type tally struct{ held int64 }

func (a *tally) Add(n int64) { a.held += n }

// accounted is what an end holds, counted anew.
func accounted(e *End) int64 {
	n := 0
	for ch := e.out.first; ch != nil; ch = ch.next {
		n += chunkHeld
	}
	for _, s := range e.table {
		n += cap(s.recv) + s.hand + s.queued
	}
	return int64(n)
}

// balanced fails when the account of a path does not have what its ends hold.
func (w *path) balanced() {
	w.t.Helper()
	sum := accounted(&w.o.End)
	for _, h := range w.hops {
		sum += accounted(&h.End)
	}
	if w.account.held != sum {
		w.t.Fatalf("the account has %d bytes, %d are held", w.account.held, sum)
	}
}

// TestTheAccountHasWhatCircuitsHold through every kind of queue, and nothing behind
// Settle (REL-5).
func TestTheAccountHasWhatCircuitsHold(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	w.balanced()
	c, r := w.stream()
	u, ur := w.udp()
	if n, err := c.Put(make([]byte, 60000)); n != 60000 || err != nil {
		t.Fatal(n, err)
	}
	w.balanced()
	if w.account.held < 60000 {
		t.Fatalf("%d bytes for 60000", w.account.held)
	}
	w.ok()
	w.balanced()
	if _, err := r.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	w.balanced()
	b := r.Swap(nil)
	if len(b) != 59900 || w.account.held < 60000 {
		t.Fatalf("%d bytes, and %d in the account while they are passed on", len(b), w.account.held)
	}
	w.balanced()
	if err := r.Consumed(len(b)); err != nil {
		t.Fatal(err)
	}
	r.Swap(b)
	w.ok()
	w.balanced()
	if w.account.held != 0 {
		t.Fatalf("%d bytes are left", w.account.held)
	}
	for range 100 {
		if err := u.PutDatagram(w.now, cell.Datagram{Host: "h", Port: 1, Payload: make([]byte, 1000)}); err != nil {
			t.Fatal(err)
		}
	}
	w.balanced()
	if w.account.held < 64000 {
		t.Fatalf("%d bytes of datagrams", w.account.held)
	}
	w.ok()
	w.balanced()
	if _, ok := ur.Datagram(w.now); !ok {
		t.Fatal("no datagram came")
	}
	w.balanced()
	if n, err := c.Put(make([]byte, 5000)); n != 5000 || err != nil {
		t.Fatal(n, err)
	}
	if err := u.Abandon(EndDone); err != nil {
		t.Fatal(err)
	}
	w.balanced()
	w.ok()
	ur.Discard() // it is over, and can still be read
	w.balanced()
	if err := r.Abandon(EndReset); err != nil {
		t.Fatal(err)
	}
	w.balanced()
	w.o.Settle()
	w.last().Settle()
	if w.account.held != 0 {
		t.Fatalf("%d bytes behind Settle", w.account.held)
	}
	if err := w.last().send(cell.TypePadding, 0, nil); err != nil || w.account.held != 0 {
		t.Fatalf("%v; the account is told %d more", err, w.account.held)
	}
}

// TestOldestIsWhatHasWaitedLongest in any queue of a circuit, and compares between
// circuits (B12).
func TestOldestIsWhatHasWaitedLongest(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	h := w.last()
	c, r := w.stream()
	if h.Oldest() != 0 || w.o.Oldest() != 0 {
		t.Fatal("something waits on an idle circuit")
	}
	if _, err := c.Put(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	first := w.o.Oldest()
	between := w.o.out.buffers.Order()
	w.ok()
	received := h.Oldest()
	if first == 0 || first >= between || received <= between || w.o.Oldest() != 0 {
		t.Fatalf("queued %d, then %d, received %d", first, between, received)
	}
	if _, err := c.Put(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	w.ok()
	if h.Oldest() != received {
		t.Error("what came later is the oldest")
	}
	b := r.Swap(nil)
	if _, err := c.Put(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	w.ok()
	if h.Oldest() != received {
		t.Error("what is being passed on waits no more")
	}
	if b = r.Swap(b); h.Oldest() <= received {
		t.Error("what was passed on waits still")
	}
	r.Swap(b)
	if h.Oldest() != 0 {
		t.Error("nothing waits, and something is the oldest")
	}
	if _, err := r.Put(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	queued := h.Oldest()
	ch := h.Take(w.now)
	if _, err := r.Put(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if queued == 0 || h.Oldest() != queued {
		t.Error("what is being written waits no more")
	}
	h.Recycle(w.now, ch)
	if h.Oldest() <= queued {
		t.Error("what was written waits still")
	}
}
