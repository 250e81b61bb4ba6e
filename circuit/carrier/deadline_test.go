// SPDX-License-Identifier: BSD-3-Clause

package carrier

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"chive/circuit"
)

func TestReadDeadlines(t *testing.T) {
	bubble(t, 1, func(t *testing.T, w *path) {
		c, r := w.open()
		buf := make([]byte, 10)
		start := time.Now()
		must(t, c.SetReadDeadline(start.Add(time.Minute)))
		_, err := c.Read(buf)
		timedOut(t, err)
		if d := time.Since(start); d != time.Minute {
			t.Fatalf("after %v", d)
		}
		// A deadline that has passed counts although data waits.
		if _, err := r.Write([]byte("data")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		_, err = c.Read(buf)
		timedOut(t, err)
		_, err = c.WriteTo(io.Discard)
		timedOut(t, err)
		must(t, c.SetReadDeadline(time.Time{}))
		if n, err := c.Read(buf); n != 4 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		// One set while somebody waits wakes them.
		for _, wait := range []func() error{
			func() error { _, err := c.Read(buf); return err },
			func() error { _, err := c.WriteTo(io.Discard); return err },
		} {
			done := later(func() { timedOut(t, wait()) })
			waits(t, "a reader", done)
			must(t, c.SetDeadline(time.Now().Add(-time.Second)))
			returned(t, "a reader", done)
			must(t, c.SetDeadline(time.Time{}))
		}
		// One put off while somebody waits is put off.
		must(t, c.SetReadDeadline(time.Now().Add(time.Second)))
		done := later(func() { _, err := c.Read(buf); must(t, err) })
		waits(t, "Read", done)
		must(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
		wait(t, 2*time.Second)
		waits(t, "Read", done)
		if _, err := r.Write([]byte("data")); err != nil {
			t.Fatal(err)
		}
		returned(t, "Read", done)
	})
}

func TestWriteDeadlines(t *testing.T) {
	t.Run("out of credit", func(t *testing.T) {
		bubble(t, 1, func(t *testing.T, w *path) {
			c, _ := w.open()
			start := time.Now()
			must(t, c.SetWriteDeadline(start.Add(time.Minute)))
			n, err := c.Write(make([]byte, 1<<20))
			timedOut(t, err)
			if d := time.Since(start); d != time.Minute || n != circuit.DefaultParams().CreditSize {
				t.Fatalf("%d bytes after %v", n, d)
			}
			_, err = c.Write([]byte("x"))
			timedOut(t, err)
			must(t, c.SetWriteDeadline(time.Time{}))
			done := later(func() { _, err := c.Write([]byte("x")); timedOut(t, err) })
			waits(t, "Write", done)
			must(t, c.SetWriteDeadline(time.Now()))
			returned(t, "Write", done)
		})
	})
	t.Run("a link that stands still", func(t *testing.T) {
		bubble(t, 1, func(t *testing.T, w *path) {
			c, _ := w.open()
			w.up[0].stall(true)
			start := time.Now()
			must(t, c.SetWriteDeadline(start.Add(time.Minute)))
			_, err := c.Write(make([]byte, 1<<20))
			timedOut(t, err)
			if d := time.Since(start); d != time.Minute {
				t.Fatalf("after %v", d)
			}
			w.up[0].stall(false)
		})
	})
}

func timedOut(t *testing.T, err error) {
	t.Helper()
	var n net.Error
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &n) || !n.Timeout() {
		t.Errorf("%v, not a timeout", err)
	}
}
