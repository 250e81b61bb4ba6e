// SPDX-License-Identifier: BSD-3-Clause

package carrier

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"chive/circuit"
)

// slowWriter takes its time, and checks that what it was given does not change
// meanwhile.
type slowWriter struct {
	t   *testing.T
	got bytes.Buffer
}

func (s *slowWriter) Write(b []byte) (int, error) {
	before := bytes.Clone(b)
	wait(s.t, time.Millisecond)
	if !bytes.Equal(before, b) {
		s.t.Error("bytes changed while they were written")
	}
	return s.got.Write(b)
}

func TestWriteToKeepsItsBytesWhileMoreArrive(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *path) {
		c, r := w.open()
		data := pattern(2<<20, 4)
		sent := later(func() {
			for i, rest := 0, data; len(rest) > 0; i++ {
				n := min(len(rest), 1+i*977%60000)
				if _, err := r.Write(rest[:n]); err != nil {
					t.Error(err)
				}
				rest = rest[n:]
			}
			must(t, r.CloseWrite())
		})
		s := &slowWriter{t: t}
		if n, err := c.WriteTo(s); n != int64(len(data)) || err != nil || !bytes.Equal(s.got.Bytes(), data) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		<-sent
	})
}

// brokenWriter takes some bytes and then no more.
type brokenWriter struct {
	left int
	err  error
}

func (b *brokenWriter) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.left -= n
	if n < len(p) {
		return n, b.err
	}
	return n, nil
}

func TestWriteToReportsTheWritersError(t *testing.T) {
	bad := errors.New("bad")
	for _, want := range []error{bad, nil} {
		bubble(t, 1, func(t *testing.T, w *path) {
			c, r := w.open()
			if _, err := r.Write(make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			n, err := c.WriteTo(&brokenWriter{left: 100, err: want})
			if want == nil {
				want = io.ErrShortWrite
			}
			if n != 100 || err != want {
				t.Fatalf("%d, %v", n, err)
			}
			if _, err := c.ReadFrom(io.MultiReader(bytes.NewReader([]byte("xy")), &failingReader{bad})); err != bad {
				t.Fatalf("%v", err)
			}
		})
	}
}

type failingReader struct{ err error }

func (f *failingReader) Read([]byte) (int, error) { return 0, f.err }

func TestResetWhileSomebodyIsInWriteTo(t *testing.T) {
	for name, reset := range map[string]func(c, r *Stream) error{
		"by this side":  func(c, _ *Stream) error { return c.Close() },
		"by the other":  func(_, r *Stream) error { return r.Reset(circuit.EndReset) },
		"half, by both": func(c, r *Stream) error { return errors.Join(c.CloseWrite(), r.CloseWrite()) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, w *path) {
				c, r := w.open()
				sent := later(func() { _, _ = r.Write(make([]byte, 1<<20)) })
				s := &slowWriter{t: t}
				done := later(func() { _, _ = c.WriteTo(s) })
				wait(t, 2500*time.Microsecond) // in the middle of a write
				must(t, reset(c, r))
				<-done
				<-sent
				must(t, errors.Join(c.Close(), r.Close()))
				synctest.Wait()
				if !c.Over() || !r.Over() || w.o.StreamCount() != 0 {
					t.Fatal("the stream is left")
				}
			})
		})
	}
}

func TestAWaitingStreamKeepsNoBuffer(t *testing.T) {
	for name, read := range map[string]func(c *Stream){
		"Read":    func(c *Stream) { _, _ = io.Copy(io.Discard, struct{ io.Reader }{c}) },
		"WriteTo": func(c *Stream) { _, _ = c.WriteTo(struct{ io.Writer }{io.Discard}) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, w *path) {
				c, r := w.open()
				if _, err := r.Write(make([]byte, 250<<10)); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if w.o.Held() < 250<<10 {
					t.Fatal("nothing waits")
				}
				done := later(func() { read(c) })
				wait(t, time.Second)
				waits(t, name, done)
				var held int
				must(t, w.client.Do(func() error { held = w.o.Held(); return nil }))
				if held > 0 {
					t.Fatalf("%d bytes held for a stream that waits", held)
				}
				must(t, r.CloseWrite())
				<-done
			})
		})
	}
}

// A sender out of credit sends nothing that could prompt its reader: reading
// itself has to send the CREDIT.
func TestReadingSendsCredit(t *testing.T) {
	for name, read := range map[string]func(c *Stream) error{
		"Read":    func(c *Stream) error { _, err := io.Copy(io.Discard, struct{ io.Reader }{c}); return err },
		"WriteTo": func(c *Stream) error { _, err := c.WriteTo(io.Discard); return err },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, w *path) {
				c, r := w.open()
				sent := later(func() {
					if _, err := r.Write(make([]byte, 1<<20)); err != nil {
						t.Error(err)
					}
					must(t, r.CloseWrite())
				})
				waits(t, "Write", sent)
				done := later(func() { must(t, read(c)) })
				returned(t, name, done)
				returned(t, "Write", sent)
			})
		})
	}
}

// Several who wait on one stream all learn what there is to learn.
func TestWaitersPassTheWordOn(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *path) {
		c := w.begin("slow")
		r := <-w.begun
		opened := later(func() {
			if err := c.WaitOpen(context.Background()); err == nil {
				t.Error("open")
			}
		})
		waits(t, "WaitOpen", opened) // first in the queue
		var rest []<-chan struct{}
		for range 3 {
			done := later(func() {
				if _, err := c.Read(make([]byte, 1)); err == nil {
					t.Error("read")
				}
			})
			waits(t, "Read", done)
			rest = append(rest, done)
		}
		must(t, r.Reset(circuit.EndRefused))
		returned(t, "WaitOpen", opened)
		for _, done := range rest {
			returned(t, "Read", done)
		}
	})
}
