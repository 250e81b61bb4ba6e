// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chive/circuit"
	"chive/circuit/cell"
	"chive/internal/limit"
	"chive/link"
)

// relayCells are n cells that no relay knows: they are passed on.
func relayCells(n int) []byte {
	cells := make([]byte, n*cell.Size)
	for i := 0; i < len(cells); i += cell.Size {
		cells[i] = byte(cell.Relay)
	}
	return cells
}

// flood writes cells, 16 MB a second, for as long as the other side takes some: a network
// without time would bring a circuit's queue in no time at all.
func flood(st *link.Stream) {
	t := time.NewTicker(time.Millisecond)
	defer t.Stop()
	for st.WriteCells(relayCells(8)) == nil {
		<-t.C
	}
}

// drain reads until the stream ends, and says when it heard DESTROY or that end.
func drain(st *link.Stream, ended func(circuit.Reason)) {
	buf := make([]byte, 16*cell.Size)
	for {
		cells, err := st.ReadCells(buf)
		if err != nil {
			ended(circuit.ReasonLinkLost)
			return
		}
		for i := 0; i < len(cells); i += cell.Size {
			if cell.Command(cells[i]) == cell.Destroy {
				ended(circuit.Reason(cells[i+1]))
				return
			}
		}
	}
}

// nexts serves the second relay, which does nothing of its own with its streams. next
// returns the one of the i-th circuit that was extended to it.
func (w *town) nexts() (next func(i int) *link.Stream, stop func()) {
	var mu sync.Mutex
	var all []*link.Stream
	stop = w.next(func(st *link.Stream) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, st)
	})
	return func(i int) *link.Stream {
		mu.Lock()
		defer mu.Unlock()
		return all[i]
	}, stop
}

// peak is the highest of what a relay's account held, looked at every millisecond.
type peak struct {
	used int64
	stop chan struct{}
	done chan struct{}
}

func watchMost(r *Relay) *peak {
	m := &peak{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(m.done)
		t := time.NewTicker(time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-m.stop:
				return
			case <-t.C:
				m.used = max(m.used, r.Status().Memory.Used)
			}
		}
	}()
	return m
}

func (m *peak) end() int64 {
	close(m.stop)
	<-m.done
	return m.used
}

// TestMemoryHasACeilingUnderHostileCircuits: circuits whose cells nobody takes, in
// either direction, are killed in the order in which they began to stand, and only as
// many as must be; those that move go on, and memory stays below its ceiling (REL-5, B12).
func TestMemoryHasACeilingUnderHostileCircuits(t *testing.T) {
	const (
		ceiling = 5 << 20
		hostile = 14
	)
	for _, c := range []struct {
		name       string
		byNext     bool // the next relay sends what the client does not take
		everyOther bool
	}{{name: "the next relay does not read"}, {name: "the client does not read", byNext: true}, {name: "both", everyOther: true}} {
		t.Run(c.name, func(t *testing.T) {
			inTown(t, func(t *testing.T, w *town) {
				w.relay.memory.whole.SetMost(ceiling)
				var mu sync.Mutex
				next, stop := w.nexts()
				defer stop()
				l := w.client()
				var bad []*walker
				for range hostile {
					bad = append(bad, w.circuit(l, 2))
				}
				good := w.circuit(l, 2)
				synctest.Wait()
				used := watchMost(w.relay)
				killed := map[int]time.Time{}
				over := false
				for i, b := range bad {
					if !(c.byNext || c.everyOther && i%2 == 1) {
						go drain(b.st, func(code circuit.Reason) {
							mu.Lock()
							defer mu.Unlock()
							if over {
								return
							}
							killed[i] = time.Now()
							if code != circuit.ReasonBusy {
								t.Errorf("circuit %d ends with %d", i, code)
							}
						})
					}
				}
				taken := make(chan int, 1)
				go func() { // the honest circuit's other end
					n, buf := 0, make([]byte, 16*cell.Size)
					for {
						cells, err := next(hostile).ReadCells(buf)
						if err != nil {
							taken <- n
							return
						}
						for i := 0; i < len(cells); i += cell.Size {
							if cell.Command(cells[i]) == cell.Relay {
								n++
							}
						}
					}
				}()
				sent := 0
				for i := range hostile {
					if c.byNext || c.everyOther && i%2 == 1 {
						go flood(next(i))
					} else {
						go flood(bad[i].st)
					}
					for range 10 {
						if err := good.st.WriteCells(relayCells(2)); err != nil {
							t.Fatal("the honest circuit has ended:", err)
						}
						sent += 2
						pass(10 * time.Millisecond)
					}
				}
				s := w.relay.Status()
				if m := used.end(); m > ceiling || m < ceiling*85/100 {
					t.Errorf("%d bytes were held, with a ceiling of %d", m, ceiling)
				}
				if s.Memory.Killed == 0 || s.Memory.Used < ceiling*75/100 || s.OpenCircuits != hostile+1-int(s.Memory.Killed) {
					t.Errorf("%d circuits were killed, %d are open, %+v", s.Memory.Killed, s.OpenCircuits, s.Memory)
				}
				for i := range w.relay.circuits {
					if i.killed.Load() {
						t.Error("a circuit that was killed is there")
					}
				}
				mu.Lock()
				over = true
				order := slices.Sorted(maps.Keys(killed))
				for i, k := range order {
					if i > 0 && killed[k].Before(killed[order[i-1]]) {
						t.Errorf("circuit %d was killed before %d", k, order[i-1])
					}
				}
				if !c.byNext && !c.everyOther && (len(order) != int(s.Memory.Killed) || order[len(order)-1] != len(order)-1) {
					t.Errorf("%v were killed of %d", order, s.Memory.Killed)
				}
				mu.Unlock()
				good.st.Close()
				if n := <-taken; n != sent {
					t.Errorf("%d of the honest circuit's %d cells came", n, sent)
				}
			})
		})
	}
}

// TestTightMemoryTakesNoNewCircuits: from 80 % on CREATE is answered with busy, and
// circuits that are open go on; with more room it takes them again (REL-5, B12).
func TestTightMemoryTakesNoNewCircuits(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		l := w.client()
		old := w.circuit(l, 1)
		synctest.Wait()
		account := w.relay.memory
		account.circuits.Add(82 << 20) // what others hold
		defer account.circuits.Add(-82 << 20)
		account.whole.SetMost(account.whole.Used() * 100 / 82)
		st, err := l.Open(link.StreamCircuit)
		if err != nil {
			t.Fatal(err)
		}
		o, err := circuit.NewOrigin(circuit.DefaultParams(), new(circuit.Buffers), w.relay.cfg.Rand)
		if err != nil {
			t.Fatal(err)
		}
		rid := w.relay.RID()
		if err := o.Extend(circuit.Target{RID: rid, Onion: w.onion[0].Public()}); err != nil {
			t.Fatal(err)
		}
		(&walker{w: w, st: st, o: o}).send()
		cells, err := st.ReadCells(make([]byte, cell.Size))
		if err != nil || cell.Command(cells[0]) != cell.Destroy || circuit.Reason(cells[1]) != circuit.ReasonBusy {
			t.Fatalf("CREATE is answered with %v, %v", cells[:2], err)
		}
		s := w.relay.Status()
		if s.Refused != 1 || s.Memory.Refused != 1 || s.Memory.Level != limit.Tight || s.Memory.Killed != 0 || s.OpenCircuits != 1 {
			t.Errorf("%+v", s)
		}
		account.whole.SetMost(0)
		w.circuit(l, 1)
		if err := old.st.WriteCells(relayCells(1)); err != nil {
			t.Error("the open circuit has ended:", err)
		}
	})
}

// TestMemoryComesBack: when circuits and links have gone, nothing is counted but the
// list.
func TestMemoryComesBack(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		synctest.Wait()
		pass(2 * memoryEvery)
		before := w.relay.Status().Memory
		next, stop := w.nexts()
		l := w.client()
		for i := range 8 {
			c := w.circuit(l, 2)
			if i%2 == 0 {
				go flood(c.st)
			} else {
				go flood(next(i))
			}
		}
		pass(time.Second)
		during := w.relay.Status().Memory
		if during.Queues <= before.Queues || during.Buffers < before.Buffers+8*200<<10 || during.Circuits != before.Circuits+8*circuitHeld {
			t.Errorf("before %+v, during %+v", before, during)
		}
		if sum := during.Circuits + during.Queues + during.Buffers + during.Directory; sum != during.Used {
			t.Errorf("the pools are %d of %d bytes", sum, during.Used)
		}
		_ = l.Close()
		stop()
		pass(time.Minute)
		after := w.relay.Status().Memory
		if after.Queues != 0 || after.Circuits != 0 || after.Directory != before.Directory || after.Buffers > before.Buffers {
			t.Errorf("before %+v, after %+v", before, after)
		}
	})
}

// twoWay is a destination that takes and gives four bytes at a time.
type twoWay struct{ net.Conn }

func (twoWay) Write(b []byte) (int, error) { return min(4, len(b)), nil }
func (twoWay) Read(b []byte) (int, error)  { return min(4, len(b)), nil }

// TestAnExitCountsWhatItCarries, in both directions, beside the cells that it passes on.
func TestAnExitCountsWhatItCarries(t *testing.T) {
	r := Relay{memory: newAccount(nil)}
	c := carrying{twoWay{}, &r.count}
	if n, err := c.Write(make([]byte, 9)); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := c.Read(make([]byte, 3)); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	r.count.forwarded(2)
	if s := r.Status(); s.Carried != 7 || s.CellsForwarded != 2 {
		t.Errorf("%d bytes, %d cells", s.Carried, s.CellsForwarded)
	}
}
