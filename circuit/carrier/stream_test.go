// SPDX-License-Identifier: BSD-3-Clause

package carrier

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chive/circuit"
	"chive/circuit/cell"
	"chive/internal/testutil"
)

var _ net.Conn = (*Stream)(nil)

// bubble runs f on a running circuit of n hops in virtual time. Goroutines that
// are left at the end fail the test.
func bubble(t *testing.T, n int, f func(t *testing.T, w *path)) {
	t.Helper()
	testutil.Bubble(t, func(t *testing.T) {
		w := newPath(t, n, circuit.DefaultParams())
		defer w.close()
		f(t, w)
	})
}

// later runs f in a goroutine and returns a channel that is closed when it has
// returned.
func later(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return done
}

// waits fails the test if done is closed although everything else waits.
func waits(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	synctest.Wait()
	select {
	case <-done:
		t.Fatalf("%s does not wait", what)
	default:
	}
}

// returned fails the test if done is not closed although everything else waits.
func returned(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	synctest.Wait()
	select {
	case <-done:
	default:
		t.Fatalf("%s still waits", what)
	}
}

func reason(t *testing.T, err error) circuit.EndReason {
	t.Helper()
	var e *circuit.StreamError
	if !errors.As(err, &e) {
		t.Fatalf("%v", err)
	}
	return e.Reason
}

func TestConcurrentStreamsBothWays(t *testing.T) {
	bubble(t, 3, func(t *testing.T, w *path) {
		const n, size = 12, 300 << 10
		var tasks sync.WaitGroup
		copyAll := func(from, to *Stream, seed uint64) {
			data := pattern(size, seed)
			tasks.Add(2)
			go func() {
				defer tasks.Done()
				if k, err := from.Write(data); k != size || err != nil {
					t.Errorf("wrote %d: %v", k, err)
				}
				if err := from.CloseWrite(); err != nil {
					t.Error(err)
				}
			}()
			go func() {
				defer tasks.Done()
				got, err := io.ReadAll(to)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d of %d bytes, or others: %v", len(got), size, err)
				}
			}()
		}
		for i := range uint64(n) {
			c, r := w.open()
			copyAll(c, r, 2*i)
			copyAll(r, c, 2*i+1)
		}
		tasks.Wait()
		synctest.Wait()
		for _, end := range []*circuit.End{&w.o.End, &w.hops[2].End} {
			if k := end.StreamCount(); k != 0 {
				t.Errorf("%d streams are left", k)
			}
		}
	})
}

func TestCopyOf64MiB(t *testing.T) {
	size := int64(64 << 20)
	if testing.Short() {
		size = 4 << 20
	}
	for _, down := range []bool{true, false} {
		w := newPath(t, 1, circuit.DefaultParams())
		c, r := w.open()
		from, to := r, c
		if !down {
			from, to = c, r
		}
		in, out := sha256.New(), sha256.New()
		sent := later(func() {
			src := io.TeeReader(io.LimitReader(random(9), size), in)
			if n, err := io.Copy(from, src); n != size || err != nil {
				t.Errorf("sent %d: %v", n, err)
			}
			if err := from.CloseWrite(); err != nil {
				t.Error(err)
			}
		})
		if n, err := io.Copy(out, to); n != size || err != nil {
			t.Errorf("received %d: %v", n, err)
		}
		<-sent
		if !bytes.Equal(in.Sum(nil), out.Sum(nil)) {
			t.Error("other bytes arrived")
		}
		w.close()
	}
}

func TestReadAndWriteTakeAnySteps(t *testing.T) {
	for _, step := range []int{1, 100, 2027, 70000} {
		bubble(t, 1, func(t *testing.T, w *path) {
			c, r := w.open()
			data := pattern(min(step*200, 1<<20), uint64(step))
			sent := later(func() {
				for rest := data; len(rest) > 0; {
					n, err := r.Write(rest[:min(step, len(rest))])
					if err != nil {
						t.Error(err)
						return
					}
					rest = rest[n:]
				}
				_ = r.CloseWrite()
			})
			var got []byte
			buf := make([]byte, step)
			for {
				n, err := c.Read(buf)
				got = append(got, buf[:n]...)
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			<-sent
			if !bytes.Equal(got, data) {
				t.Fatalf("steps of %d: other bytes", step)
			}
			if n, err := c.Read(nil); n != 0 || err != nil {
				t.Fatalf("a read of nothing: %d, %v", n, err)
			}
			if n, err := c.Write(nil); n != 0 || err != nil {
				t.Fatalf("a write of nothing: %d, %v", n, err)
			}
		})
	}
}

func TestHalfClose(t *testing.T) {
	bubble(t, 2, func(t *testing.T, w *path) {
		c, r := w.open()
		if _, err := c.Write([]byte("request")); err != nil {
			t.Fatal(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); string(b) != "request" || err != nil {
			t.Fatalf("%q, %v", b, err)
		}
		if _, err := c.Write([]byte("x")); err == nil {
			t.Fatal("a write after CloseWrite")
		}
		if r.Over() || c.Over() {
			t.Fatal("over after half")
		}
		if _, err := r.Write([]byte("answer")); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(c); string(b) != "answer" || err != nil {
			t.Fatalf("%q, %v", b, err)
		}
		synctest.Wait()
		if !r.Over() || !c.Over() {
			t.Fatal("not over after both halves")
		}
	})
}

// A program that writes and closes has sent everything: the other side reads an
// end, not an error, and can tell that nobody reads any more.
func TestCloseDeliversEverythingAndAnEnd(t *testing.T) {
	for _, n := range []int{0, 1, 5000, 200 << 10} {
		bubble(t, 1, func(t *testing.T, w *path) {
			c, r := w.open()
			data := pattern(n, 3)
			if _, err := c.Write(data); err != nil {
				t.Fatal(err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if k, err := r.WriteTo(&got); k != int64(n) || err != nil || !bytes.Equal(got.Bytes(), data) {
				t.Fatalf("%d of %d bytes: %v", k, n, err)
			}
			if !r.Over() {
				t.Fatal("the relay cannot tell that nobody reads")
			}
			if _, err := r.Write([]byte("x")); reason(t, err) != circuit.EndReset {
				t.Fatalf("%v", err)
			}
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Fatal("a read after Close")
			}
			if err := c.Close(); err != nil {
				t.Fatalf("Close twice: %v", err)
			}
		})
	}
}

// A relay that has passed on everything the client sent must learn, without
// reading, that the client has gone, or its destination stays open.
func TestWaitOver(t *testing.T) {
	ctx := context.Background()
	for name, end := range map[string]func(w *path, c, r *Stream) error{
		"given up by the other side": func(_ *path, c, _ *Stream) error { return c.Close() },
		"given up by this side":      func(_ *path, _, r *Stream) error { return r.Close() },
		"ended by this side":         func(_ *path, _, r *Stream) error { return r.CloseWrite() },
		"the circuit gone":           func(w *path, _, _ *Stream) error { w.relays[0].Fail(circuit.EndReset); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, w *path) {
				c, r := w.open()
				must(t, c.CloseWrite())
				if _, err := r.WriteTo(io.Discard); err != nil {
					t.Fatal(err)
				}
				short, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				if err := r.WaitOver(short); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("%v", err)
				}
				over := later(func() { must(t, r.WaitOver(ctx)) })
				waits(t, "WaitOver", over)
				must(t, end(w, c, r))
				returned(t, "WaitOver", over)
			})
		})
	}
}

func TestOnEnd(t *testing.T) {
	for name, c := range map[string]struct {
		end      func(w *path, c, r *Stream) error
		complete bool
	}{
		"reset by the other side":     {func(_ *path, c, _ *Stream) error { return c.Reset(circuit.EndTimeout) }, false},
		"closed by the other side":    {func(_ *path, c, _ *Stream) error { return c.Close() }, true},
		"given up by this side":       {func(_ *path, _, r *Stream) error { return r.Close() }, false},
		"the circuit gone":            {func(w *path, _, _ *Stream) error { w.relays[0].Fail(circuit.EndReset); return nil }, false},
		"half-closed, then a failure": {func(w *path, c, _ *Stream) error { return errors.Join(c.CloseWrite(), c.Reset(circuit.EndInternal)) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, before := range []bool{true, false} {
				bubble(t, 1, func(t *testing.T, w *path) {
					client, r := w.open()
					if _, err := client.Write([]byte("last words")); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					told := make(chan struct{})
					if before {
						r.OnEnd(func() { close(told) })
						waits(t, "OnEnd", told)
					}
					must(t, c.end(w, client, r))
					synctest.Wait()
					if !before {
						r.OnEnd(func() { close(told) })
					}
					if r.Complete() != c.complete {
						t.Fatalf("complete %v", !c.complete)
					}
					if c.complete { // only once everything is delivered
						waits(t, "OnEnd", told)
						if b, err := io.ReadAll(r); string(b) != "last words" || err != nil {
							t.Fatalf("%q, %v", b, err)
						}
					}
					returned(t, "OnEnd", told)
					must(t, r.Close()) // once only: a second close of told would panic
				})
			}
		})
	}
	bubble(t, 1, func(t *testing.T, w *path) { // an end in order is none of its business
		c, r := w.open()
		r.OnEnd(func() { t.Error("called") })
		must(t, errors.Join(c.CloseWrite(), r.CloseWrite()))
		if _, err := r.WriteTo(io.Discard); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
	})
}

func TestResetCarriesItsReason(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *path) {
		c, r := w.open()
		reading := later(func() {
			if _, err := c.Read(make([]byte, 1)); reason(t, err) != circuit.EndTimeout {
				t.Errorf("%v", err)
			}
		})
		waits(t, "Read", reading)
		if err := r.Reset(circuit.EndTimeout); err != nil {
			t.Fatal(err)
		}
		<-reading
		if _, err := c.WriteTo(io.Discard); reason(t, err) != circuit.EndTimeout {
			t.Fatalf("%v", err)
		}
		if _, err := r.ReadFrom(bytes.NewReader([]byte("x"))); reason(t, err) != circuit.EndTimeout {
			t.Fatalf("%v", err)
		}
	})
}

func TestWaitOpen(t *testing.T) {
	ctx := context.Background()
	bubble(t, 2, func(t *testing.T, w *path) {
		c := w.begin("slow")
		r := <-w.begun
		opened := later(func() {
			if err := c.WaitOpen(ctx); err != nil {
				t.Error(err)
			}
		})
		waits(t, "WaitOpen", opened)
		if err := w.relays[1].Do(func() error { return r.Machine().Connected(netip4) }); err != nil {
			t.Fatal(err)
		}
		<-opened
		if err := c.WaitOpen(ctx); err != nil {
			t.Fatal(err)
		}
		if a := c.RemoteAddr().String(); a != "192.0.2.9:0" || c.LocalAddr().Network() != "tcp" {
			t.Fatal(a)
		}

		c = w.begin("slow")
		r = <-w.begun
		if err := r.Reset(circuit.EndUnreachable); err != nil {
			t.Fatal(err)
		}
		if err := c.WaitOpen(ctx); reason(t, err) != circuit.EndUnreachable {
			t.Fatalf("%v", err)
		}

		c = w.begin("slow") // ends without a word about why
		if err := (<-w.begun).Close(); err != nil {
			t.Fatal(err)
		}
		if err := c.WaitOpen(ctx); reason(t, err) != circuit.EndReset {
			t.Fatalf("%v", err)
		}
		c = w.begin("slow")
		if err := (<-w.begun).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if err := c.WaitOpen(ctx); reason(t, err) != circuit.EndProtocol {
			t.Fatalf("%v", err)
		}

		c = w.begin("slow")
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := c.WaitOpen(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%v", err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestWaitAnswer(t *testing.T) {
	ctx := context.Background()
	bubble(t, 2, func(t *testing.T, w *path) {
		ask := func() (s *Stream) {
			err := w.client.Do(func() error {
				m, err := w.o.Resolve(cell.Resolve{Name: "example.org"})
				if err == nil {
					s = w.client.Wrap(m)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		s := ask()
		r := <-w.asked
		answered := later(func() {
			a, err := s.WaitAnswer(ctx)
			if err != nil || a.TTLSeconds != 300 {
				t.Errorf("%+v, %v", a, err)
			}
		})
		waits(t, "WaitAnswer", answered)
		if err := w.relays[1].Do(func() error { return r.Resolved(cell.Resolved{TTLSeconds: 300}) }); err != nil {
			t.Fatal(err)
		}
		<-answered
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		s = ask()
		if _, err := s.WaitAnswer(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDatagrams(t *testing.T) {
	ctx := context.Background()
	bubble(t, 2, func(t *testing.T, w *path) {
		c, r := w.udp()
		received := later(func() {
			for i := range 3 {
				d, err := r.ReceiveDatagram(ctx)
				if err != nil || len(d.Payload) != i {
					t.Errorf("datagram %d: %d bytes, %v", i, len(d.Payload), err)
				}
			}
		})
		waits(t, "ReceiveDatagram", received)
		for i := range 3 {
			if err := c.SendDatagram(cell.Datagram{Host: "example.org", Port: 53, Payload: make([]byte, i)}); err != nil {
				t.Fatal(err)
			}
		}
		<-received
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := c.ReceiveDatagram(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%v", err)
		}
		if err := r.Reset(circuit.EndDone); err != nil {
			t.Fatal(err)
		}
		if _, err := c.ReceiveDatagram(ctx); err != io.EOF {
			t.Fatalf("%v", err)
		}
		if err := c.SendDatagram(cell.Datagram{Host: "h", Port: 1}); err == nil {
			t.Fatal("a datagram on an association that is over")
		}
	})
}

// wait lets virtual time pass.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	<-time.NewTimer(d).C
}
