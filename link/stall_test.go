// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"bytes"
	"io"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chive/circuit/cell"
	"chive/internal/memnet"
	"chive/internal/testutil"
)

// wait lets virtual time pass, and everything happen that then does.
func wait(d time.Duration) {
	t := time.NewTimer(d)
	<-t.C
	synctest.Wait()
}

// circuitPair opens a circuit stream and accepts it at the other side.
func circuitPair(t testing.TB, near, far *Link) (a, b *Stream) {
	t.Helper()
	a, err := near.Open(StreamCircuit)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.announce(); err != nil {
		t.Fatal(err)
	}
	b, _, err = far.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

// stall writes to a circuit that nobody reads until it no longer can. The
// result of the write that hangs comes through the channel.
func stall(s *Stream) <-chan error {
	done := make(chan error, 1)
	go func() {
		c := make([]byte, 4*cell.Size)
		for {
			if err := s.WriteCells(c); err != nil {
				done <- err
				return
			}
		}
	}()
	return done
}

func TestStalledCircuitsDoNotDelayAnother(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		near, far := links(t, memPath(memnet.Path{Latency: 5 * time.Millisecond, Rate: 10_000_000}), clientConfig())
		a, b := circuitPair(t, near, far)
		go func() {
			buf := make([]byte, cell.Size)
			for {
				c, err := b.ReadCells(buf)
				if err != nil || b.WriteCells(c) != nil {
					return
				}
			}
		}()
		trip := func() time.Duration {
			start := time.Now()
			if err := a.WriteCells(make([]byte, cell.Size)); err != nil {
				t.Fatal(err)
			}
			if _, err := a.ReadCells(make([]byte, cell.Size)); err != nil {
				t.Fatal(err)
			}
			return time.Since(start)
		}
		idle := trip()
		var stalled []<-chan error
		var streams []*Stream
		for range 20 {
			s, _ := circuitPair(t, near, far)
			streams = append(streams, s)
			stalled = append(stalled, stall(s))
		}
		wait(5 * time.Second) // all windows are full now
		for _, s := range streams {
			if !s.windowing {
				t.Fatal("a circuit does not wait for its window")
			}
		}
		if near.gate.busy != 0 {
			t.Error("stalled circuits hold", near.gate.busy, "places of the gate")
		}
		if got := trip(); got > idle+time.Millisecond {
			t.Errorf("a round trip takes %v beside stalled circuits, %v without", got, idle)
		}
		// Close does not wait, and releases the writers.
		start := time.Now()
		for i, s := range streams {
			s.Close()
			if err := <-stalled[i]; err != ErrStreamClosed {
				t.Error(err)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Error("closing stalled circuits took", d)
		}
	})
}

func TestStalledCircuitGoesOnWhenRead(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		near, far := links(t, memPath(memnet.Path{Latency: 5 * time.Millisecond, Rate: 10_000_000}), clientConfig())
		a, b := circuitPair(t, near, far)
		want := make([]byte, 600*cell.Size)
		for i := range want {
			want[i] = byte(i % 251)
		}
		done := make(chan error, 1)
		go func() { done <- a.WriteCells(want) }()
		wait(time.Second)
		if n := b.Buffered(); n < streamWindow-cell.Size || n > streamWindow {
			t.Error("waiting at the reader:", n)
		}
		var got []byte
		for buf := make([]byte, 8*cell.Size); len(got) < len(want); {
			c, err := b.ReadCells(buf)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, c...)
		}
		if err := <-done; err != nil || !bytes.Equal(got, want) {
			t.Error(err)
		}
		if b.Buffered() != 0 {
			t.Error("counted as waiting:", b.Buffered())
		}
		b.Shrink()
	})
}

func TestCloseWithSendsTheLastCellWithoutWaiting(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		near, far := links(t, memPath(memnet.Path{Latency: time.Millisecond}), clientConfig())
		last := bytes.Repeat([]byte{5}, cell.Size)

		a, b := circuitPair(t, near, far)
		a.WriteCells(make([]byte, cell.Size))
		a.CloseWith(last)
		buf := make([]byte, cell.Size)
		if c, err := b.ReadCells(buf); err != nil || c[0] != 0 {
			t.Error(err)
		}
		if c, err := b.ReadCells(buf); err != nil || !bytes.Equal(c, last) {
			t.Error(err)
		}
		if _, err := b.ReadCells(buf); err != io.EOF {
			t.Error(err)
		}

		fresh, err := near.Open(StreamCircuit) // even as its first cell
		if err != nil {
			t.Fatal(err)
		}
		fresh.CloseWith(last)
		b, _, err = far.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if c, err := b.ReadCells(buf); err != nil || !bytes.Equal(c, last) {
			t.Error(err)
		}

		a, b = circuitPair(t, near, far)
		stalled := stall(a)
		wait(time.Second)
		start := time.Now()
		a.CloseWith(last)
		<-stalled
		if time.Since(start) != 0 {
			t.Error("waited")
		}
		for {
			c, err := b.ReadCells(buf)
			if err == ErrProtocol || err == io.EOF { // cut off, but never garbled
				break
			}
			if err != nil || c[0] == 5 {
				t.Fatal(err)
			}
		}
	})
}

func TestControlCellsGoAhead(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		near, far := links(t, memPath(memnet.Path{Rate: 1_000_000}), clientConfig())
		for range 64 {
			s, r := circuitPair(t, near, far)
			stall(s)
			go func() {
				for buf := make([]byte, 4*cell.Size); ; {
					if _, err := r.ReadCells(buf); err != nil {
						return
					}
				}
			}()
		}
		a, b := circuitPair(t, near, far)
		a.turn.count = 1e18 // it has sent more than anybody
		arrived := make(chan time.Time, 1)
		go func() {
			if _, err := b.ReadCells(make([]byte, cell.Size)); err == nil {
				arrived <- time.Now()
			}
		}()
		wait(time.Second)
		start := time.Now()
		if err := a.WriteControl(make([]byte, cell.Size)); err != nil {
			t.Fatal(err)
		}
		if d := (<-arrived).Sub(start); d > 200*time.Millisecond {
			t.Error("a control cell took", d)
		}
	})
}

// The multiplexer holds a stream's lock while it reads the data of a frame.
// Whoever reads that stream then waits on the lock, and virtual time stands
// still, unless frames reach the multiplexer whole.
func TestFramesInPiecesDoNotStopTheClock(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := memnet.New(memnet.Config{Seed: 3, Path: func(_, _ netip.Addr) memnet.Path {
			return memnet.Path{Latency: 30 * time.Millisecond, Jitter: 1, Rate: 30_000}
		}})
		near, far := links(t, n, clientConfig())
		var wg sync.WaitGroup
		for range 3 {
			a, b := circuitPair(t, near, far)
			wg.Go(func() {
				a.WriteCells(make([]byte, 40*cell.Size))
				a.CloseWrite()
			})
			wg.Go(func() { b.Write(make([]byte, 40*cell.Size)); b.CloseWrite() })
			for _, s := range []*Stream{a, b} {
				wg.Go(func() {
					if n, err := io.Copy(io.Discard, s); n != 40*cell.Size || err != nil {
						t.Error(n, err)
					}
				})
			}
		}
		wg.Wait()
	})
}

// A read that sends a window update and a close share a lock inside the
// multiplexer; on a slow link the first waits for long with the lock held.
func TestCloseDuringWindowUpdateDoesNotStopTheClock(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := memnet.New(memnet.Config{Path: func(from, _ netip.Addr) memnet.Path {
			if from == hostAddr(1) {
				return memnet.Path{Rate: 30_000}
			}
			return memnet.Path{}
		}})
		near, far := links(t, n, clientConfig())
		bulk, sink := circuitPair(t, near, far)
		go io.Copy(io.Discard, sink)
		stall(bulk) // our direction is full
		wait(time.Second)
		for range 3 {
			a, err := near.Open(StreamDirectory)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.announce(); err != nil {
				t.Fatal(err)
			}
			b, _, err := far.Accept()
			if err != nil {
				t.Fatal(err)
			}
			go func() { b.Write(make([]byte, 200_000)); b.CloseWrite() }()
			done := make(chan struct{})
			go func() {
				if n, err := io.Copy(io.Discard, a); n != 200_000 || err != nil {
					t.Error(n, err)
				}
				close(done)
			}()
			wait(100 * time.Millisecond) // the reader waits to send its update
			a.CloseWrite()
			<-done
			a.Close()
		}
	})
}

// Spec: protocol §1 (LINK-11)
func TestWriteWithoutProgressEndsTheLinkAfterTenSeconds(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := memPath(memnet.Path{Latency: time.Millisecond})
		near, far := links(t, n, clientConfig())
		a, _ := circuitPair(t, near, far)
		other, _ := circuitPair(t, near, far)
		synctest.Wait()
		n.Cut(hostAddr(1), hostAddr(2))
		start := time.Now()
		write := make(chan error, 1)
		go func() { _, err := a.Write(make([]byte, 1<<20)); write <- err }()
		stall(other)
		<-near.Done()
		if d := time.Since(start); d < WriteTimeout || d > WriteTimeout*5/4 || near.Err() != ErrStalled {
			t.Error(d, near.Err())
		}
		if err := <-write; err != ErrStalled {
			t.Error(err)
		}
		if time.Since(start) > WriteTimeout*5/4 {
			t.Error("the writer was told later")
		}
	})
}

func TestSlowButMovingLinkLives(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		near, far := links(t, memPath(memnet.Path{Rate: 16_000}), clientConfig())
		a, b := circuitPair(t, near, far)
		go func() { a.Write(make([]byte, 900_000)); a.CloseWrite() }()
		start := time.Now()
		if n, err := io.Copy(io.Discard, b); n != 900_000 || err != nil {
			t.Error(n, err, time.Since(start))
		}
	})
}

// Spec: protocol §1 (LINK-8)
func TestSilenceIsNoticedWithinAMinute(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		n := memPath(memnet.Path{Latency: time.Millisecond})
		near, far := links(t, n, clientConfig())
		wait(10 * time.Minute)
		if near.Err() != nil || far.Err() != nil {
			t.Fatal("an idle link ended:", near.Err(), far.Err())
		}
		n.Cut(hostAddr(1), hostAddr(2))
		start := time.Now()
		<-near.Done()
		<-far.Done()
		if d := time.Since(start); d > time.Minute || near.Err() != ErrSilent || far.Err() != ErrSilent {
			t.Error(d, near.Err(), far.Err())
		}
	})
}

// Spec: protocol §1 (LINK-8)
func TestIdleAndPaddedLinksSendWholeRecordsOnly(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		bytesFrom := make(map[uint16]int)
		n := memnet.New(memnet.Config{Tap: func(from, _ netip.AddrPort, b []byte) {
			mu.Lock()
			bytesFrom[from.Port()] += len(b)
			mu.Unlock()
		}})
		near, far := links(t, n, clientConfig())
		synctest.Wait()
		count := func() (records int) {
			mu.Lock()
			defer mu.Unlock()
			total := 0
			for p, k := range bytesFrom {
				if p != hostPort(2).Port() {
					total += k - (HelloSize + Message1Size + Message3Size)
				}
			}
			if total%RecordSize != 0 {
				t.Fatal("not whole records:", total)
			}
			return total / RecordSize
		}
		if got := count(); got != 0 {
			t.Error("records at the start:", got)
		}
		wait(10*DefaultKeepAlive + time.Second)
		if got := count(); got != 10 {
			t.Error("records of an idle link:", got)
		}
		near.Pad(7)
		synctest.Wait()
		if got := count(); got != 17 {
			t.Error("after padding:", got)
		}
		near.Pad(-1)
		near.Pad(1 << 30)
		synctest.Wait()
		if got := count(); got != 17+maxPadding {
			t.Error("padding has no bound:", got-17)
		}
		a, b := circuitPair(t, near, far)
		a.WriteCells(make([]byte, cell.Size))
		b.ReadCells(make([]byte, cell.Size))
		near.Close()
		far.Close()
		synctest.Wait()
		before := count()
		wait(time.Hour)
		if got := count(); got != before {
			t.Error("a closed link goes on")
		}
	})
}

func TestIdleLinkGivesItsMemoryBack(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		near, far := links(t, memnet.New(memnet.Config{}), clientConfig())
		a, b := circuitPair(t, near, far)
		go a.Write(make([]byte, 1<<20))
		io.ReadFull(b, make([]byte, 1<<20))
		synctest.Wait()
		sizes := func(l *Link) (in, out int) {
			l.wire.mu.Lock()
			defer l.wire.mu.Unlock()
			return len(l.wire.buf), cap(l.wire.spare) + cap(l.wire.pending)
		}
		if in, _ := sizes(far); in <= smallBuffer {
			t.Error("a busy link reads into a small buffer")
		}
		wait(3 * DefaultKeepAlive)
		for _, l := range []*Link{near, far} {
			in, out := sizes(l)
			if in != smallBuffer || out > 4*RecordSize {
				t.Error("held when idle:", in, out)
			}
		}
		go a.Write([]byte("still works"))
		if _, err := io.ReadFull(b, make([]byte, 11)); err != nil {
			t.Error(err)
		}
	})
}

func TestIdleLinkEndFitsIn32KiB(t *testing.T) {
	const count = 100
	testutil.Bubble(t, func(t *testing.T) {
		n := memnet.New(memnet.Config{})
		used := func() uint64 {
			synctest.Wait()
			runtime.GC()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc + m.StackInuse
		}
		before := used()
		for range count {
			links(t, n, clientConfig())
		}
		wait(2 * DefaultKeepAlive)
		per := int64(used()-before) / (2 * count)
		t.Logf("%d bytes an idle link end, memnet's half included", per)
		if per > 32<<10 && !raceEnabled {
			t.Error("more than 32 KiB")
		}
	})
}

// V1: the multiplexer keeps timers in a package-level pool. V7, V8: a link that
// ended leaves no goroutine and no timer, or the bubble would not end.
func TestBubblesFollowOneAnother(t *testing.T) {
	for range 3 {
		testutil.Bubble(t, func(t *testing.T) {
			near, far := links(t, memPath(memnet.Path{Latency: time.Millisecond}), clientConfig())
			a, b := circuitPair(t, near, far)
			go a.WriteCells(make([]byte, 64*cell.Size))
			if _, err := io.ReadFull(b, make([]byte, 64*cell.Size)); err != nil {
				t.Fatal(err)
			}
			far.Close()
			<-near.Done()
			near.mu.Lock()
			defer near.mu.Unlock()
			if near.timer.Stop() {
				t.Error("the timer of a link that ended still runs")
			}
		})
	}
	// And out of virtual time.
	near, far := links(t, memnet.New(memnet.Config{}), clientConfig())
	a, b := circuitPair(t, near, far)
	go a.WriteCells(make([]byte, cell.Size))
	if _, err := b.ReadCells(make([]byte, cell.Size)); err != nil {
		t.Fatal(err)
	}
}
