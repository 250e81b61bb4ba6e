// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chive/circuit/cell"
	"chive/internal/memnet"
	"chive/internal/testutil"
)

// taker is a Handler that notes what it is told. Its first four bytes number a cell.
type taker struct {
	t       testing.TB
	st      *Stream
	hold    chan struct{} // not nil: Arrived waits for it before it reads
	refuse  bool          // Arrived wants no more after its first call
	running atomic.Int32
	calls   atomic.Int32
	cells   atomic.Int32
	ended   atomic.Int32
	failed  atomic.Int32
	err     error // why ReadCells failed
}

func (h *taker) Arrived() (done bool) {
	if h.running.Add(1) != 1 {
		h.t.Error("two at a time")
	}
	defer h.running.Add(-1)
	h.calls.Add(1)
	if h.hold != nil {
		<-h.hold
	}
	buf := make([]byte, (1+rand.IntN(20))*cell.Size)
	cells, err := h.st.ReadCells(buf)
	if err != nil {
		h.err = err
		h.failed.Add(1)
		return true
	}
	for ; len(cells) > 0; cells = cells[cell.Size:] {
		if n := int32(binary.BigEndian.Uint32(cells)); n != h.cells.Add(1)-1 {
			h.t.Errorf("cell %d in place of %d", n, h.cells.Load()-1)
		}
	}
	return h.refuse
}

func (h *taker) Ended() { h.ended.Add(1) }

// numbered returns n cells numbered from first.
func numbered(first, n int) []byte {
	b := make([]byte, n*cell.Size)
	for i := range n {
		binary.BigEndian.PutUint32(b[i*cell.Size:], uint32(first+i))
	}
	return b
}

// TestHandlersTakeEveryCellInOrder: whatever the pieces in which cells arrive, and
// when, one goroutine at a time takes them all, and none stays.
func TestHandlersTakeEveryCellInOrder(t *testing.T) {
	near, far := links(t, memnet.New(memnet.Config{}), clientConfig())
	const streams, each = 20, 300
	takers := make([]*taker, streams)
	var senders sync.WaitGroup
	for i := range streams {
		a, b := circuitPair(t, near, far)
		h := &taker{t: t, st: b}
		takers[i] = h
		senders.Go(func() {
			for data := numbered(0, each); len(data) > 0; {
				n := min(len(data), 1+rand.IntN(6*cell.Size))
				if _, err := a.Write(data[:n]); err != nil {
					t.Error(err)
					return
				}
				data = data[n:]
				runtime.Gosched()
			}
			a.CloseWrite()
		})
		senders.Go(func() { b.Handle(h) })
	}
	senders.Wait()
	deadline := time.Now().Add(20 * time.Second)
	for _, h := range takers {
		for h.failed.Load() == 0 && time.Now().Before(deadline) {
			runtime.Gosched()
		}
		h.st.Close()
		h.st.Join()
		if h.cells.Load() != each || h.err != io.EOF || h.ended.Load() != 1 || h.failed.Load() != 1 {
			t.Fatalf("%d of %d cells, %v, ended %d times, failed %d times", h.cells.Load(), each, h.err, h.ended.Load(), h.failed.Load())
		}
	}
}

func TestHandlerIsStartedForWholeCellsOnly(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		near, far := links(t, memnet.New(memnet.Config{}), clientConfig())
		a, b := circuitPair(t, near, far)
		h := &taker{t: t, st: b}
		see := func(cells, calls int32) {
			t.Helper()
			synctest.Wait()
			if h.cells.Load() != cells || h.calls.Load() != calls {
				t.Fatalf("%d cells in %d calls, want %d in %d", h.cells.Load(), h.calls.Load(), cells, calls)
			}
		}
		data := numbered(0, 4)
		a.Write(data[:cell.Size-1])
		b.Handle(h) // not all of a cell was there before
		see(0, 0)
		a.Write(data[cell.Size-1 : cell.Size])
		see(1, 1)
		a.Write(data[cell.Size : 2*cell.Size+100]) // one and some of the next
		see(2, 2)
		a.Write(data[2*cell.Size+100:])
		synctest.Wait()
		if h.cells.Load() != 4 {
			t.Fatal("cells:", h.cells.Load())
		}

		a, b = circuitPair(t, near, far)
		h = &taker{t: t, st: b}
		a.Write(data[:2*cell.Size])
		synctest.Wait()
		b.Handle(h) // all was there before
		synctest.Wait()
		if h.cells.Load() != 2 {
			t.Fatal("cells:", h.cells.Load())
		}
	})
}

// TestIdleHandlersHaveNoGoroutine: what streams cost that nothing arrives on.
func TestIdleHandlersHaveNoGoroutine(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		near, far := links(t, memnet.New(memnet.Config{}), clientConfig())
		synctest.Wait()
		before := runtime.NumGoroutine()
		for range 100 {
			a, b := circuitPair(t, near, far)
			a.WriteCells(numbered(0, 3))
			b.Handle(&taker{t: t, st: b})
		}
		wait(3 * DefaultKeepAlive) // the goroutines that write have retired
		const apart = 10           // the runtime's own come and go; each stream would bring one
		if after := runtime.NumGoroutine(); after > before+apart {
			t.Errorf("%d goroutines for 100 idle streams", after-before)
		}
	})
}

// TestHandlerHearsEveryEndOnce: each way in which a stream ends, with a handler that
// waits, that runs, and that comes later.
func TestHandlerHearsEveryEndOnce(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(near, far *Link, a *Stream)
		want []error // nil: any
	}{
		{"end", func(_, _ *Link, a *Stream) { a.Close() }, []error{io.EOF}},
		{"half of it", func(_, _ *Link, a *Stream) { a.CloseWrite() }, []error{io.EOF}},
		{"end inside a cell", func(_, _ *Link, a *Stream) { a.Write([]byte{1}); a.Close() }, []error{ErrProtocol}},
		{"reset", func(near, _ *Link, a *Stream) { near.wire.sendReset(a.id) }, []error{ErrStreamReset}},
		{"peer closes the link", func(near, _ *Link, _ *Stream) { near.Close() }, nil},
		{"we close the link", func(_, far *Link, _ *Stream) { far.Close() }, nil},
		{"the link is lost", func(near, _ *Link, _ *Stream) { near.wire.conn.Close() }, nil},
	} {
		for _, when := range []string{"idle", "running", "later"} {
			t.Run(c.name+", "+when, func(t *testing.T) {
				testutil.Bubble(t, func(t *testing.T) {
					near, far := links(t, memPath(memnet.Path{Latency: time.Millisecond}), clientConfig())
					a, b := circuitPair(t, near, far)
					a.WriteCells(numbered(0, 1))
					wait(time.Second)
					h := &taker{t: t, st: b}
					if when == "running" {
						h.hold = make(chan struct{})
					}
					if when != "later" {
						b.Handle(h)
					}
					synctest.Wait()
					c.end(near, far, a)
					wait(2 * time.Second)
					if when == "running" {
						if h.ended.Load() != 1 {
							t.Error("a running handler was not told")
						}
						close(h.hold)
					}
					if when == "later" {
						b.Handle(h)
					}
					wait(2 * time.Second)
					if h.ended.Load() != 1 || h.failed.Load() != 1 {
						t.Errorf("told %d times, failed %d times", h.ended.Load(), h.failed.Load())
					}
					for _, want := range c.want {
						if h.err != want {
							t.Errorf("%v, want %v", h.err, want)
						}
					}
				})
			})
		}
	}
}

// TestABlockedHandlerStopsItsPeer: the bytes that wait are bounded by the window,
// and all of them come when it goes on.
func TestABlockedHandlerStopsItsPeer(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		near, far := links(t, memPath(memnet.Path{Latency: time.Millisecond}), clientConfig())
		a, b := circuitPair(t, near, far)
		h := &taker{t: t, st: b, hold: make(chan struct{})}
		b.Handle(h)
		const count = 600
		sent := make(chan error, 1)
		go func() { sent <- a.WriteCells(numbered(0, count)) }()
		wait(time.Minute)
		if n := b.Buffered(); n < streamWindow-cell.Size || n > streamWindow || h.calls.Load() != 1 {
			t.Errorf("%d bytes wait, %d calls", n, h.calls.Load())
		}
		select {
		case err := <-sent:
			t.Fatal("the writer did not wait:", err)
		default:
		}
		close(h.hold)
		if err := <-sent; err != nil {
			t.Error(err)
		}
		wait(time.Second)
		if h.cells.Load() != count || b.Buffered() != 0 {
			t.Errorf("%d of %d cells, %d bytes wait", h.cells.Load(), count, b.Buffered())
		}
	})
}

// TestNoHandlerRunsBehindCloseAndJoin, and Join waits for the one that does.
func TestNoHandlerRunsBehindCloseAndJoin(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		near, far := links(t, memnet.New(memnet.Config{}), clientConfig())
		a, b := circuitPair(t, near, far)
		h := &taker{t: t, st: b, hold: make(chan struct{})}
		b.Handle(h)
		a.WriteCells(numbered(0, 1))
		synctest.Wait()
		b.Close()
		joined := make(chan struct{})
		go func() {
			b.Join()
			close(joined)
		}()
		synctest.Wait()
		select {
		case <-joined:
			t.Error("Join did not wait")
		default:
		}
		close(h.hold)
		<-joined
		calls := h.calls.Load()
		a.WriteCells(numbered(1, 3))
		a.Close()
		wait(time.Second)
		if h.calls.Load() != calls || h.err != ErrStreamClosed {
			t.Errorf("called after Close: %d, %v", h.calls.Load()-calls, h.err)
		}
		b.Handle(h) // of a closed stream: nothing happens
		synctest.Wait()
		if h.calls.Load() != calls {
			t.Error("a closed stream has a handler")
		}
	})
}

// TestAHandlerThatWantsNoMoreIsNotCalled although cells arrive and the stream ends.
func TestAHandlerThatWantsNoMoreIsNotCalled(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		near, far := links(t, memnet.New(memnet.Config{}), clientConfig())
		a, b := circuitPair(t, near, far)
		h := &taker{t: t, st: b, refuse: true}
		b.Handle(h)
		a.WriteCells(numbered(0, 1))
		synctest.Wait()
		a.WriteCells(numbered(1, 1))
		a.Close()
		wait(time.Second)
		if h.calls.Load() != 1 || h.ended.Load() != 0 {
			t.Errorf("%d calls, told %d times", h.calls.Load(), h.ended.Load())
		}
	})
}

// TestReadCellsDoesNotWaitForTheRestOfACell behind whole ones.
func TestReadCellsDoesNotWaitForTheRestOfACell(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		near, far := links(t, memnet.New(memnet.Config{}), clientConfig())
		a, b := circuitPair(t, near, far)
		data := numbered(0, 3)
		a.Write(data[:2*cell.Size+7])
		synctest.Wait()
		start := time.Now()
		got, err := b.ReadCells(make([]byte, 16*cell.Size))
		if err != nil || !bytes.Equal(got, data[:2*cell.Size]) || time.Since(start) != 0 {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		a.Write(data[2*cell.Size+7:])
		if got, err = b.ReadCells(make([]byte, 16*cell.Size)); err != nil || !bytes.Equal(got, data[2*cell.Size:]) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	})
}
