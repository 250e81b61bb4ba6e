// SPDX-License-Identifier: BSD-3-Clause

package carrier

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chive/circuit"
	"chive/circuit/cell"
	"chive/internal/testutil"
)

func TestAWriterWaitsForALinkThatStandsStill(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *path) {
		c, r := w.open()
		w.up[0].stall(true)
		data := pattern(100<<10, 1)
		sent := later(func() {
			if _, err := c.Write(data); err != nil {
				t.Error(err)
			}
		})
		waits(t, "Write", sent)
		// Others get on with what needs no link.
		if err := w.client.Do(func() error { return nil }); err != nil {
			t.Fatal(err)
		}
		other := w.begin("example.org")
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Write([]byte("down")); err != nil {
			t.Fatal(err)
		}
		if n, err := io.ReadFull(c, make([]byte, 4)); n != 4 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		var held int
		_ = w.client.Do(func() error { held = w.o.Held(); return nil })
		if held > 20*cell.Size {
			t.Fatalf("%d bytes held", held)
		}
		w.up[0].stall(false)
		got := make([]byte, len(data))
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("other bytes: %v", err)
		}
		<-sent
	})
}

func TestOneStalledStreamLeavesTheOthersAlone(t *testing.T) {
	bubble(t, 2, func(t *testing.T, w *path) {
		stuck, _ := w.open()
		done := later(func() { _, _ = stuck.Write(make([]byte, 1<<20)) })
		waits(t, "Write", done)
		c, r := w.open()
		data := pattern(1<<20, 2)
		sent := later(func() {
			if _, err := c.Write(data); err != nil {
				t.Error(err)
			}
			must(t, c.CloseWrite())
		})
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes: %v", len(got), err)
		}
		<-sent
		must(t, stuck.Close())
		<-done
	})
}

func TestPassWaitsWhenTheOutboxIsFull(t *testing.T) {
	bubble(t, 2, func(t *testing.T, w *path) {
		c, r := w.open()
		w.down[0].stall(true)
		data := pattern(200<<10, 3)
		sent := later(func() {
			if _, err := r.Write(data); err != nil {
				t.Error(err)
			}
		})
		waits(t, "Write", sent)
		var held int
		_ = w.relays[0].Do(func() error { held = w.hops[0].Held(); return nil })
		if held > 20*cell.Size {
			t.Fatalf("%d bytes held at the middle", held)
		}
		w.down[0].stall(false)
		got := make([]byte, len(data))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("other bytes: %v", err)
		}
		<-sent
	})
}

func TestPassStopsAtTheFirstRefusedCell(t *testing.T) {
	bubble(t, 2, func(t *testing.T, w *path) {
		bad := errors.New("bad")
		n := 0
		err := w.relays[0].Pass(make([]byte, 5*cell.Size), func([]byte) error {
			if n++; n == 3 {
				return bad
			}
			return nil
		})
		if err != bad || n != 3 {
			t.Fatalf("%d cells: %v", n, err)
		}
	})
}

func TestALinkThatFailsEndsTheCircuit(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *path) {
		c, _ := w.open()
		w.up[0].end()
		synctest.Wait()
		_, _ = c.Write([]byte("x"))
		<-w.client.Dead()
		if _, err := c.Write([]byte("x")); reason(t, err) != circuit.EndInternal {
			t.Fatalf("%v", err)
		}
	})
}

// waiters starts one goroutine in each call that can wait, on a circuit whose
// links stand still, and returns a channel for each.
func waiters(t *testing.T, w *path) map[string]<-chan struct{} {
	ctx := context.Background()
	read, _ := w.open()
	write, _ := w.open()
	copied, _ := w.open()
	udp, _ := w.udp()
	slow := w.begin("slow")
	<-w.begun
	var question *Stream
	must(t, w.client.Do(func() error {
		m, err := w.o.Resolve(cell.Resolve{Name: "h"})
		if err == nil {
			question = w.client.Wrap(m)
		}
		return err
	}))
	<-w.asked
	synctest.Wait()
	failing := func(name string, f func() error) func() {
		return func() {
			if err := f(); err == nil {
				t.Errorf("%s reports success", name)
			}
		}
	}
	out := map[string]<-chan struct{}{}
	for name, f := range map[string]func() error{
		"Read":            func() error { _, err := read.Read(make([]byte, 1)); return err },
		"a second Read":   func() error { _, err := read.Read(make([]byte, 1)); return err },
		"Write":           func() error { _, err := write.Write(make([]byte, 1<<20)); return err },
		"a second Write":  func() error { _, err := write.Write(make([]byte, 1<<20)); return err },
		"WriteTo":         func() error { _, err := copied.WriteTo(io.Discard); return err },
		"ReadFrom":        func() error { _, err := copied.ReadFrom(bytes.NewReader(make([]byte, 1<<20))); return err },
		"WaitOpen":        func() error { return slow.WaitOpen(ctx) },
		"a Read of it":    func() error { _, err := slow.Read(make([]byte, 1)); return err },
		"WaitAnswer":      func() error { _, err := question.WaitAnswer(ctx); return err },
		"ReceiveDatagram": func() error { _, err := udp.ReceiveDatagram(ctx); return err },
	} {
		out[name] = later(failing(name, f))
	}
	for name, done := range out {
		waits(t, name, done)
	}
	return out
}

func TestFailWakesEveryone(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *path) {
		all := waiters(t, w)
		w.client.Fail(circuit.EndInternal)
		for name, done := range all {
			returned(t, name, done)
		}
		for name, err := range map[string]error{
			"Do":   w.client.Do(func() error { t.Error("called"); return nil }),
			"Pass": w.client.Pass(make([]byte, cell.Size), func([]byte) error { t.Error("called"); return nil }),
		} {
			if err != ErrClosed {
				t.Errorf("%s: %v", name, err)
			}
		}
		if w.client.Enter() {
			t.Error("Enter")
		}
		w.client.Fail(circuit.EndInternal)
		w.client.Shut(circuit.ReasonNone, circuit.EndDone)
	})
}

func TestFailWakesThoseWhoWaitForTheLink(t *testing.T) {
	bubble(t, 2, func(t *testing.T, w *path) {
		_, r := w.open()
		w.down[0].stall(true)
		sent := later(func() { _, _ = r.Write(make([]byte, 200<<10)) })
		waits(t, "Write", sent)
		passing := later(func() {
			if err := w.relays[0].Pass(relayCells(40), w.hops[0].Backward); err != ErrClosed {
				t.Errorf("%v", err)
			}
		})
		waits(t, "Pass", passing)
		w.relays[0].Fail(circuit.EndReset)
		returned(t, "Pass", passing)
		// Whoever is inside the link's own write is freed by closing the link.
		w.relays[1].Fail(circuit.EndReset)
		w.down[1].end()
		returned(t, "Write", sent)
	})
}

func TestShutSaysDestroyLast(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *path) {
		all := waiters(t, w)
		start := time.Now()
		w.client.Shut(circuit.ReasonNone, circuit.EndDone)
		if d := time.Since(start); d != 0 {
			t.Fatalf("took %v on a link that moves", d)
		}
		for name, done := range all {
			returned(t, name, done)
		}
		w.up[0].set(func(w *wire) {
			if cell.Command(w.last) != cell.Destroy {
				t.Errorf("the last cell has command %d", w.last)
			}
		})
		select {
		case <-w.client.Dead():
		default:
			t.Error("not dead after Shut")
		}
		if err := <-w.errs; err == nil { // DESTROY is the owner's, not the machine's
			t.Error("nobody saw DESTROY")
		}
	})
}

func TestShutGivesUpOnAPeerThatDoesNotRead(t *testing.T) {
	for name, busy := range map[string]bool{"idle": false, "while somebody writes": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, func(t *testing.T, w *path) {
				_, r := w.open()
				w.down[0].stall(true)
				var blocked []<-chan struct{}
				if busy {
					for _, f := range []func(){
						func() { _, _ = r.Write(make([]byte, 200<<10)) }, // the link's reader passes it on
						func() { _ = w.relays[0].Pass(relayCells(40), w.hops[0].Backward) },
					} {
						blocked = append(blocked, later(f))
						waits(t, "a writer", blocked[len(blocked)-1])
					}
				}
				start := time.Now()
				shut := later(func() { w.relays[0].Shut(circuit.ReasonDraining, circuit.EndReset) })
				waits(t, "Shut", shut)
				if busy {
					// Who passes cells on does not wait for that.
					returned(t, "Pass", blocked[1])
				}
				// A second one does not wait for the first.
				w.relays[0].Shut(circuit.ReasonNone, circuit.EndReset)
				if err := w.relays[0].Do(func() error { return nil }); err != ErrClosed {
					t.Errorf("%v", err)
				}
				<-shut
				if d := time.Since(start); d != destroyPatience {
					t.Fatalf("after %v", d)
				}
				w.relays[1].Fail(circuit.EndReset)
			})
		})
	}
}

func TestShutEndsEarlyWhenTheCircuitGoes(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *path) {
		w.open()
		w.up[0].stall(true)
		start := time.Now()
		shut := later(func() { w.client.Shut(circuit.ReasonNone, circuit.EndDone) })
		waits(t, "Shut", shut)
		w.up[0].end()
		<-shut
		if d := time.Since(start); d != 0 {
			t.Fatalf("after %v", d)
		}
	})
}

// gate is a Writer that lets one write through at a time, on demand.
type gate struct {
	enter, leave chan struct{}
	cells        int
	busy         bool
	t            *testing.T
}

func newGate(t *testing.T) *gate {
	return &gate{t: t, enter: make(chan struct{}), leave: make(chan struct{})}
}

func (g *gate) WriteCells(cells []byte) error {
	if g.busy {
		g.t.Error("two writes at once")
	}
	g.busy = true
	g.enter <- struct{}{}
	<-g.leave
	g.busy = false
	g.cells += len(cells) / cell.Size
	return nil
}

// gated is a client's end behind a gate, without a circuit around it.
func gated(t *testing.T) (*circuit.Origin, *Carrier, *gate) {
	o, _ := newMachines(t, 1, circuit.DefaultParams())
	g := newGate(t)
	return o, New(&o.End, g), g
}

// through lets n writes through.
func (g *gate) through(n int) {
	for range n {
		<-g.enter
		g.leave <- struct{}{}
	}
}

func TestPassGoesOnWhenTheWriterMakesRoom(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		_, hops := newMachines(t, 2, circuit.DefaultParams())
		g := newGate(t)
		c := New(&hops[0].End, g)
		must(t, c.Do(func() error { return hops[0].Backward(relayCells(1)) })) // the background writes
		<-g.enter
		done := later(func() { must(t, c.Pass(relayCells(60), hops[0].Backward)) })
		waits(t, "Pass", done)
		g.leave <- struct{}{}
		g.through(60/16 + 1) // chunks of 16 cells
		returned(t, "Pass", done)
		if g.cells != 61 {
			t.Fatalf("%d cells written", g.cells)
		}
		c.Fail(circuit.EndDone)
	})
}

func TestShutWaitsUntilDestroyIsWritten(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		o, c, g := gated(t)
		must(t, c.Do(func() error { _, err := o.BeginDir(); return err }))
		g.through(1) // somebody was told that all was written
		synctest.Wait()
		shut := later(func() { c.Shut(circuit.ReasonNone, circuit.EndDone) })
		<-g.enter
		waits(t, "Shut", shut)
		g.leave <- struct{}{}
		returned(t, "Shut", shut)
	})
}

// Whoever came to do something else does not write for ever: the rest goes to
// the background.
func TestAWriterHandsOverAfterItsTurns(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		o, c, g := gated(t)
		queue := func() {
			must(t, c.Do(func() error {
				_, err := o.BeginDir()
				return err
			}))
		}
		done := later(func() {
			must(t, c.Pass(make([]byte, cell.Size), func([]byte) error {
				_, err := o.BeginDir()
				return err
			}))
		})
		for range flushTurns {
			<-g.enter
			waits(t, "Pass", done)
			queue() // there is always more
			g.leave <- struct{}{}
		}
		<-g.enter // of the background's first turn
		returned(t, "Pass", done)
		g.leave <- struct{}{}
		synctest.Wait()
		if g.cells != flushTurns+1 {
			t.Fatalf("%d cells written", g.cells)
		}
		c.Fail(circuit.EndDone)
	})
}

func TestCellsAreWrittenByOneAtATime(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		o, c, g := gated(t)
		var all []<-chan struct{}
		for i := range 10 {
			all = append(all, later(func() {
				if i%2 == 0 {
					must(t, c.Do(func() error { _, err := o.BeginDir(); return err }))
					return
				}
				must(t, c.Pass(make([]byte, cell.Size), func([]byte) error { _, err := o.BeginDir(); return err }))
			}))
		}
		for open := true; open; {
			synctest.Wait()
			select {
			case <-g.enter:
				g.leave <- struct{}{}
			default:
				open = false
			}
		}
		for _, done := range all {
			returned(t, "a writer", done)
		}
		if c.end.Pending() || c.flushing {
			t.Fatal("something is left")
		}
		c.Fail(circuit.EndDone)
	})
}

// Many goroutines on few streams, doing everything in every order: nobody hangs,
// nothing is left. The bubble finds a deadlock, the race detector the rest.
func TestEverythingAtOnce(t *testing.T) {
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		bubble(t, 1+round%3, func(t *testing.T, w *path) {
			var tasks sync.WaitGroup
			for i := range 24 {
				c, r := w.open()
				use := func(s *Stream, k int) {
					tasks.Add(3)
					go func() {
						defer tasks.Done()
						_, _ = s.Write(make([]byte, 100000))
						switch k % 5 {
						case 0:
							_ = s.CloseWrite()
						case 1:
							_ = s.Reset(circuit.EndTimeout)
						default:
							_ = s.Close()
						}
					}()
					go func() {
						defer tasks.Done()
						if k%2 == 0 {
							_, _ = s.WriteTo(io.Discard)
							return
						}
						_, _ = io.Copy(io.Discard, struct{ io.Reader }{s})
					}()
					go func() {
						defer tasks.Done()
						wait(t, time.Duration(k%7)*time.Millisecond)
						if k%3 == 0 {
							_ = s.SetDeadline(time.Now())
							wait(t, time.Millisecond)
							_ = s.Close()
						}
						_ = s.CloseWrite()
					}()
				}
				use(c, round+i)
				use(r, round+2*i)
			}
			if round%4 == 3 {
				w.client.Shut(circuit.ReasonNone, circuit.EndDone)
				w.relays[len(w.relays)-1].Shut(circuit.ReasonNone, circuit.EndReset)
				for i := range w.hops { // roles close the link's streams behind them
					w.up[i].end()
					w.down[i].end()
				}
			}
			tasks.Wait()
			synctest.Wait()
			for len(w.errs) > 0 && round%4 == 3 {
				<-w.errs // DESTROY is the owner's, not the machine's
			}
		})
	}
}

// relayCells returns n RELAY cells of nobody's.
func relayCells(n int) []byte {
	b := make([]byte, n*cell.Size)
	for i := range n {
		b[i*cell.Size] = byte(cell.Relay)
	}
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
