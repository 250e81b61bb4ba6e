// SPDX-License-Identifier: BSD-3-Clause

package carrier

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chive/circuit"
	"chive/circuit/cell"
)

var errCut = errors.New("wire: cut")

// wire is one direction of a link: a bounded queue of writes. It can stand still
// and can be cut.
type wire struct {
	mu      sync.Mutex
	cond    *sync.Cond
	queue   [][]byte
	most    int // writes that may wait; 0: the writer waits for the reader
	stalled bool
	cut     bool
	written int // cells
	last    byte
}

func newWire() *wire {
	w := &wire{most: 2}
	w.cond = sync.NewCond(&w.mu)
	return w
}

func (w *wire) WriteCells(cells []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.cut && (w.stalled || len(w.queue) >= w.most) {
		w.cond.Wait()
	}
	if w.cut {
		return errCut
	}
	if len(cells) == 0 || len(cells)%cell.Size != 0 {
		panic("wire: not whole cells")
	}
	w.queue = append(w.queue, append([]byte(nil), cells...))
	w.written += len(cells) / cell.Size
	w.last = cells[len(cells)-cell.Size]
	w.cond.Broadcast()
	return nil
}

func (w *wire) read() ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.cut && len(w.queue) == 0 {
		w.cond.Wait()
	}
	if len(w.queue) == 0 {
		return nil, errCut
	}
	b := w.queue[0]
	w.queue = w.queue[1:]
	w.cond.Broadcast()
	return b, nil
}

// set changes the wire under its lock.
func (w *wire) set(f func(w *wire)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w)
	w.cond.Broadcast()
}

func (w *wire) stall(on bool) { w.set(func(w *wire) { w.stalled = on }) }
func (w *wire) end()          { w.set(func(w *wire) { w.cut = true }) }

// path is a circuit in memory: a client, relays, carriers on each, wires between
// them, and goroutines that read the wires as the roles do.
type path struct {
	t      testing.TB
	o      *circuit.Origin
	client *Carrier
	hops   []*circuit.Hop
	relays []*Carrier

	up, down []*wire // up[i] towards hop i, down[i] from hop i
	begun    chan *Stream
	asked    chan *circuit.Stream
	tasks    sync.WaitGroup
	lost     chan circuit.Event // of the client
	errs     chan error         // what an end refused
}

func random(seed uint64) io.Reader {
	var s [32]byte
	binary.LittleEndian.PutUint64(s[:], seed)
	return rand.NewChaCha8(s)
}

func pattern(n int, seed uint64) []byte {
	b := make([]byte, n)
	_, _ = random(seed).Read(b)
	return b
}

// keysOf returns empty keys of the type NewHop takes: this package knows no
// handshake.
// pool is an account as a relay's is.
type pool struct{ part, all atomic.Int64 }

func (p *pool) Add(n int64) {
	p.part.Add(n)
	p.all.Add(n)
}

func keysOf[K any](func(*K, circuit.Params, *circuit.Buffers, io.Reader) (*circuit.Hop, error)) *K {
	return new(K)
}

// recorded returns the values of a circuit that package circuit has recorded.
func recorded(t testing.TB) func(hop int, name string) []byte {
	text, err := os.ReadFile("../testdata/vectors/circuit.txt")
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " = "); ok {
			values[name] = value
		}
	}
	return func(hop int, name string) []byte {
		b, err := hex.DecodeString(values[fmt.Sprintf("hop%d_%s", hop, name)])
		if err != nil || len(b) == 0 {
			t.Fatalf("hop %d: %s: %v", hop, name, err)
		}
		return b
	}
}

// newMachines builds a circuit of n hops, at most three, without carriers.
func newMachines(t testing.TB, n int, p circuit.Params) (*circuit.Origin, []*circuit.Hop) {
	t.Helper()
	value := recorded(t)
	buffers := &circuit.Buffers{Account: new(pool)}
	o, err := circuit.NewOrigin(p, buffers, random(1000))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	var hops []*circuit.Hop
	for i := range n {
		k := keysOf(circuit.NewHop)
		copy(k.Forward[:], value(i, "forward"))
		copy(k.Backward[:], value(i, "backward"))
		h, err := circuit.NewHop(k, p, buffers, random(uint64(i)))
		if err != nil {
			t.Fatal(err)
		}
		err = o.Extend(circuit.Target{
			RID: [16]byte(value(i, "rid")), Onion: [32]byte(value(i, "onion")),
			Addrs: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:1")},
		})
		if err != nil {
			t.Fatal(err)
		}
		ch := o.Take(now)
		answer := make([]byte, cell.Size)
		if i == 0 {
			err = cell.PutHandshake(answer, cell.Created, value(0, "created"))
		} else {
			answer, err = extend(hops, ch.Cells(), value(i, "created"))
		}
		if err != nil {
			t.Fatal(err)
		}
		o.Recycle(now, ch)
		if err := o.Receive(now, answer); err != nil {
			t.Fatal(err)
		}
		if o.Events(); o.Hops() != i+1 {
			t.Fatalf("%d hops", o.Hops())
		}
		hops = append(hops, h)
	}
	return o, hops
}

// extend brings EXTEND to the last hop and its answer back to the client.
func extend(hops []*circuit.Hop, c, created []byte) ([]byte, error) {
	now := time.Now()
	for _, h := range hops {
		if _, err := h.Forward(now, c); err != nil {
			return nil, err
		}
	}
	h := hops[len(hops)-1]
	h.Events()
	if err := h.Extended(created); err != nil {
		return nil, err
	}
	out := append([]byte(nil), h.Take(now).Cells()...)
	for i := len(hops) - 2; i >= 0; i-- {
		if err := hops[i].Backward(out); err != nil {
			return nil, err
		}
		out = append(out[:0], hops[i].Take(now).Cells()...)
	}
	return out, nil
}

// newPath returns a circuit of n hops that runs.
func newPath(t testing.TB, n int, p circuit.Params) *path {
	t.Helper()
	w := &path{
		t: t, begun: make(chan *Stream, 1024), asked: make(chan *circuit.Stream, 1024),
		lost: make(chan circuit.Event, 4), errs: make(chan error, 16),
	}
	w.o, w.hops = newMachines(t, n, p)
	for i := range n {
		w.up, w.down = append(w.up, newWire()), append(w.down, newWire())
		w.relays = append(w.relays, New(&w.hops[i].End, w.down[i]))
	}
	w.client = New(&w.o.End, w.up[0])
	w.tasks.Add(2 * n)
	for i := range n {
		go w.forward(i)
		go w.backward(i)
	}
	return w
}

// forward is hop i's reader of the client's side.
func (w *path) forward(i int) {
	defer w.tasks.Done()
	for {
		cells, err := w.up[i].read()
		if err != nil {
			w.relays[i].Fail(circuit.EndReset)
			return
		}
		var out []byte
		for ; len(cells) > 0; cells = cells[cell.Size:] {
			c := cells[:cell.Size]
			if !w.relays[i].Enter() {
				return
			}
			pass, err := w.hops[i].Forward(time.Now(), c)
			for _, ev := range w.hops[i].Events() {
				w.event(i, ev)
			}
			w.relays[i].Leave()
			if err != nil {
				w.errs <- err
				return
			}
			if pass {
				out = append(out, c...)
			}
		}
		if len(out) > 0 && w.up[i+1].WriteCells(out) != nil {
			return
		}
	}
}

// event connects whatever is asked for; under the lock.
func (w *path) event(i int, ev circuit.Event) {
	if ev.Kind == circuit.EventResolve {
		w.asked <- ev.Stream
		return
	}
	s := w.relays[i].Wrap(ev.Stream)
	if ev.Begin.Host != "slow" {
		if err := ev.Stream.Connected(netip.MustParseAddr("192.0.2.1")); err != nil {
			w.errs <- err
		}
	}
	w.begun <- s
}

// backward reads what hop i writes towards the client.
func (w *path) backward(i int) {
	defer w.tasks.Done()
	for {
		cells, err := w.down[i].read()
		switch {
		case err != nil && i == 0:
			w.client.Fail(circuit.EndInternal)
			return
		case err != nil:
			_ = w.relays[i-1].Do(func() error { return w.hops[i-1].Truncated(circuit.ReasonLinkLost) })
			return
		case i > 0:
			if w.relays[i-1].Pass(cells, w.hops[i-1].Backward) != nil {
				return
			}
			continue
		}
		if !w.client.Enter() {
			return
		}
		for ; len(cells) > 0 && err == nil; cells = cells[cell.Size:] {
			err = w.o.Receive(time.Now(), cells[:cell.Size])
		}
		for _, ev := range w.o.Events() {
			w.lost <- ev
		}
		w.client.Leave()
		if err != nil {
			w.errs <- err
			return
		}
	}
}

// close ends everything and waits for the readers.
func (w *path) close() {
	w.t.Helper()
	w.client.Fail(circuit.EndDone)
	for i := range w.hops {
		w.relays[i].Fail(circuit.EndDone)
		w.up[i].end()
		w.down[i].end()
	}
	w.tasks.Wait()
	select {
	case err := <-w.errs:
		w.t.Errorf("an end refused a cell: %v", err)
	default:
	}
}

// open begins a stream and returns both faces of it.
func (w *path) open() (client, relay *Stream) {
	w.t.Helper()
	client = w.begin("example.org")
	return client, <-w.begun
}

func (w *path) begin(host string) (s *Stream) {
	w.t.Helper()
	err := w.client.Do(func() error {
		m, err := w.o.Begin(cell.Begin{Host: host, Port: 80})
		if err == nil {
			s = w.client.Wrap(m)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *path) udp() (client, relay *Stream) {
	w.t.Helper()
	err := w.client.Do(func() error {
		m, err := w.o.BeginUDP()
		if err == nil {
			client = w.client.Wrap(m)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return client, <-w.begun
}

var netip4 = netip.MustParseAddr("192.0.2.9")
