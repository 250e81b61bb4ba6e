// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"chive/circuit"
	"chive/circuit/cell"
	"chive/link"
)

// pass lets virtual time pass, and everything happen that then does.
func pass(d time.Duration) {
	t := time.NewTimer(d)
	<-t.C
	synctest.Wait()
}

// fill writes to a circuit until its first relay takes no more.
func fill(c *walker) <-chan error {
	done := make(chan error, 1)
	go func() {
		cells := make([]byte, 8*cell.Size)
		for i := 0; i < len(cells); i += cell.Size {
			cells[i] = byte(cell.Relay) // for the next relay: nobody's tag
		}
		for {
			if err := c.st.WriteCells(cells); err != nil {
				done <- err
				return
			}
		}
	}()
	return done
}

// TestHalfACreateDoesNotStay: streams that say one byte are gone when CREATE is due.
func TestHalfACreateDoesNotStay(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		l := w.client()
		w.circuit(l, 1)
		for range 100 {
			st, err := l.Open(link.StreamCircuit)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := st.Write([]byte{byte(cell.Create)}); err != nil {
				t.Fatal(err)
			}
		}
		pass(time.Minute)
		if n, _ := l.Streams(); n > 1 {
			t.Errorf("a minute later %d streams are open, want the circuit's", n)
		}
	})
}

// TestAnIdleCircuitHasNoGoroutine at a relay in the middle and at the last one.
func TestAnIdleCircuitHasNoGoroutine(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		far, stop, ended := w.start(1)
		defer func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		l := w.client()
		first := w.circuit(l, 2)
		pass(5 * time.Minute) // what writes to a silent link has retired
		before := runtime.NumGoroutine()
		var others []*walker
		for range 40 {
			others = append(others, w.circuit(l, 2))
		}
		pass(5 * time.Minute)
		// A link's writer may be there or have retired, and so may the runtime's own; a
		// circuit would bring one at each of two relays.
		const apart = 10
		if n := runtime.NumGoroutine(); n > before+apart {
			t.Errorf("%d goroutines for 40 circuits", n-before)
		}
		w.open(41, time.Second)
		if n := far.Status().OpenCircuits; n != 41 {
			t.Errorf("%d circuits at the far end", n)
		}
		for _, c := range append(others, first) { // and yet they live
			s, err := c.o.Resolve(cell.Resolve{Kind: cell.ResolveName, Name: "name"})
			if err != nil {
				t.Fatal(err)
			}
			c.send()
			answered := false
			for !answered {
				cells, err := c.st.ReadCells(make([]byte, cell.Size))
				if err != nil {
					t.Fatal(err)
				}
				if err := c.o.Receive(time.Now(), cells); err != nil {
					t.Fatal(err)
				}
				_, answered = s.Answer()
			}
		}
	})
}

// TestACircuitEndsWithItsClientAlthoughTheNextRelayReadsNothing: whoever writes to a
// next relay that has stopped is freed by every way in which the client's side ends.
func TestACircuitEndsWithItsClientAlthoughTheNextRelayReadsNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(c *walker)
	}{
		{"stream closed", func(c *walker) { _ = c.st.Close() }},
		{"link closed", func(c *walker) { _ = c.st.Link().Close() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			inTown(t, func(t *testing.T, w *town) {
				stop := w.next(func(*link.Stream) {})
				defer stop()
				l := w.client()
				q := w.circuit(l, 2)
				other := w.circuit(l, 1)
				full := fill(q)
				w.open(2, time.Minute)
				select {
				case err := <-full:
					t.Fatal("the relay took everything:", err)
				default:
				}
				c.end(q)
				<-full
				if c.name == "stream closed" {
					w.open(1, deliverGrace+2*time.Second)
					_ = other.st.Close()
				}
				w.open(0, deliverGrace+2*time.Second)
			})
		})
	}
}

// TestRunEndsAlthoughACircuitIsStuck in writing to the next relay, or to the client.
func TestRunEndsAlthoughACircuitIsStuck(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		begin, flooding := make(chan struct{}), make(chan error, 1)
		streams := 0
		stop := w.next(func(st *link.Stream) {
			if streams++; streams == 1 {
				return // reads nothing
			}
			go func() {
				<-begin
				cells := make([]byte, 8*cell.Size)
				for i := 0; i < len(cells); i += cell.Size {
					cells[i] = byte(cell.Relay)
				}
				for {
					if err := st.WriteCells(cells); err != nil {
						flooding <- err
						return
					}
				}
			}()
		})
		defer stop()
		l := w.client()
		full := fill(w.circuit(l, 2))
		w.circuit(l, 2) // its client reads nothing
		close(begin)
		w.open(2, time.Minute)
		began := time.Now()
		w.stop()
		if err := <-w.ended; err != nil {
			t.Error(err)
		}
		w.ended <- nil
		if d := time.Since(began); d > 2*deliverGrace {
			t.Errorf("it took %v", d)
		}
		<-full
		<-flooding
	})
}

// TestTheNextRelaysEndIsToldOnce: it destroys the circuit, resets its stream, or its
// link is lost; the client hears TRUNCATED and the circuit goes on without it.
func TestTheNextRelaysEndIsToldOnce(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(st *link.Stream)
		want circuit.Reason
	}{
		{"destroyed", func(st *link.Stream) {
			d := make([]byte, cell.Size)
			cell.PutDestroy(d, byte(circuit.ReasonDraining))
			_ = st.CloseWith(d)
		}, circuit.ReasonDraining},
		{"closed", func(st *link.Stream) { _ = st.Close() }, circuit.ReasonLinkLost},
		{"link closed", func(st *link.Stream) { _ = st.Link().Close() }, circuit.ReasonLinkLost},
	} {
		t.Run(c.name, func(t *testing.T) {
			inTown(t, func(t *testing.T, w *town) {
				streams := make(chan *link.Stream, 1)
				stop := w.next(func(st *link.Stream) { streams <- st })
				defer stop()
				q := w.circuit(w.client(), 2)
				c.end(<-streams)
				if e := q.hear(); e.Kind != circuit.EventTruncated || e.Reason != c.want {
					t.Errorf("event %d, reason %v; want TRUNCATED, %v", e.Kind, e.Reason, c.want)
				}
				w.open(1, time.Second)
				_ = q.st.Close()
				w.open(0, time.Second)
			})
		})
	}
}
