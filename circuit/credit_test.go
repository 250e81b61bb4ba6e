// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"bytes"
	"errors"
	"testing"

	"chive/circuit/cell"
)

func TestAStreamThatNobodyReadsStopsAtItsCredit(t *testing.T) {
	for name, sides := range map[string]func(c, r *Stream) (from, to *Stream){
		"up":   func(c, r *Stream) (*Stream, *Stream) { return c, r },
		"down": func(c, r *Stream) (*Stream, *Stream) { return r, c },
	} {
		t.Run(name, func(t *testing.T) {
			p := DefaultParams()
			w := newPath(t, 2, p)
			c, r := w.stream()
			from, to := sides(c, r)
			sent := 0
			for range 100 {
				n, err := from.Put(make([]byte, 1<<20))
				if err != nil {
					t.Fatal(err)
				}
				sent += n
				w.ok()
			}
			if sent != p.CreditSize || to.Buffered() != p.CreditSize {
				t.Fatalf("%d bytes sent, %d waiting", sent, to.Buffered())
			}
			// Another stream is not held up by it.
			c2, r2 := w.stream()
			data := pattern(1<<20, 7)
			if !bytes.Equal(w.put(c2, r2, data), data) {
				t.Fatal("another stream is held up")
			}
			// Reading one step returns credit for exactly that step.
			step := make([]byte, p.CreditSize/creditSteps)
			if n, err := to.Read(step[:len(step)-1]); err != nil || n != len(step)-1 {
				t.Fatal(err)
			}
			w.ok()
			if n, _ := from.Put([]byte("xy")); n != 0 {
				t.Fatalf("%d bytes more before one step of the credit was read", n)
			}
			if n, err := to.Read(step[:1]); err != nil || n != 1 {
				t.Fatal(err)
			}
			w.ok()
			sent = 0
			for range 10 {
				n, err := from.Put(make([]byte, 1<<20))
				if err != nil {
					t.Fatal(err)
				}
				sent += n
				w.ok()
			}
			if sent != p.CreditSize/creditSteps {
				t.Fatalf("%d bytes after a CREDIT of %d", sent, p.CreditSize/creditSteps)
			}
		})
	}
}

func TestTheFirstByteBeyondTheCreditEndsTheCircuit(t *testing.T) {
	p := lowParams()
	for _, atClient := range []bool{true, false} {
		w := newPath(t, 1, p)
		c, r := w.stream()
		from, to := &w.o.End, r
		if !atClient {
			from, to = &w.hops[0].End, c
		}
		for left := p.CreditSize; left > 0; {
			n := min(left, cell.MaxBody)
			left -= n
			say(from, cell.Relay, msg(cell.TypeData, to.id, make([]byte, n)))
			// The liar is no concern of this test: it hears of
			// acknowledgements it never asked for.
			from.window.marks, from.window.inflight = nil, 0
			if err := w.oneWay(atClient); err != nil {
				t.Fatalf("%d bytes before the credit ends: %v", left, err)
			}
		}
		if to.Buffered() != p.CreditSize {
			t.Fatalf("%d bytes", to.Buffered())
		}
		say(from, cell.Relay, msg(cell.TypeData, to.id, []byte{1}))
		if err := w.oneWay(atClient); !errors.Is(err, ErrProtocol) {
			t.Fatalf("a byte beyond: %v", err)
		}
		if to.Buffered() != p.CreditSize {
			t.Fatal("it was taken all the same")
		}
	}
}

func TestTheFirstCellBeyondTheWindowEndsTheCircuit(t *testing.T) {
	p := DefaultParams()
	p.CreditSize = 4 << 20 // the window is what binds
	for _, atClient := range []bool{true, false} {
		w := newPath(t, 1, p)
		c, r := w.stream()
		from, to := &w.o.End, r
		if !atClient {
			from, to = &w.hops[0].End, c
		}
		for i := range p.WindowMax {
			say(from, cell.Relay, msg(cell.TypeData, to.id, []byte("data"))) // the answers never leave
			if err := w.oneWay(atClient); err != nil {
				t.Fatalf("cell %d: %v", i+1, err)
			}
		}
		held := to.Buffered()
		say(from, cell.Relay, msg(cell.TypeData, to.id, []byte("data")))
		if err := w.oneWay(atClient); !errors.Is(err, ErrProtocol) {
			t.Fatalf("a cell beyond: %v", err)
		}
		if to.Buffered() != held {
			t.Fatal("it was taken all the same")
		}
	}
}

// Spec: protocol §5 (CC-2).
func TestForgedAcknowledgementsEndTheCircuit(t *testing.T) {
	prepare := func(t *testing.T) (*path, [][cell.TagSize]byte) {
		w := newPath(t, 2, DefaultParams())
		c, _ := w.stream()
		n, err := c.Put(make([]byte, 64*cell.MaxBody))
		if err != nil || n == 0 {
			t.Fatal(err)
		}
		for range 8 { // the relay gets 64 cells; its answers wait
			w.clientWrites()
			for len(w.up[0]) > 0 {
				if _, err := w.hopReads(0); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := c.Put(make([]byte, 16*cell.MaxBody)); err != nil {
				t.Fatal(err)
			}
		}
		var tags [][cell.TagSize]byte
		for _, m := range w.o.window.marks {
			tags = append(tags, m.tag)
		}
		if len(tags) != 2 {
			t.Fatalf("%d cells are remembered", len(tags))
		}
		return w, tags
	}
	ack := func(w *path, tag [cell.TagSize]byte) error {
		say(&w.last().End, cell.Relay, msg(cell.TypeAck, 0, tag[:]))
		w.hopWrites(1)
		for len(w.down[1]) > 0 {
			if _, err := w.clientSideReads(1); err != nil {
				return err
			}
		}
		w.hopWrites(0)
		for len(w.down[0]) > 0 {
			if _, err := w.clientSideReads(0); err != nil {
				return err
			}
		}
		return nil
	}
	t.Run("true ones are taken", func(t *testing.T) {
		w, tags := prepare(t)
		for _, tag := range tags {
			if err := ack(w, tag); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("one bit", func(t *testing.T) {
		for bit := range 8 * cell.TagSize {
			w, tags := prepare(t)
			tags[0][bit/8] ^= 1 << (bit % 8)
			if err := ack(w, tags[0]); !errors.Is(err, ErrProtocol) {
				t.Fatalf("bit %d: %v", bit, err)
			}
			if bit > 16 && testing.Short() {
				return
			}
		}
	})
	t.Run("not the oldest", func(t *testing.T) {
		w, tags := prepare(t)
		if err := ack(w, tags[1]); !errors.Is(err, ErrProtocol) {
			t.Fatal(err)
		}
	})
	t.Run("the same twice", func(t *testing.T) {
		w, tags := prepare(t)
		if err := ack(w, tags[0]); err != nil {
			t.Fatal(err)
		}
		if err := ack(w, tags[0]); !errors.Is(err, ErrProtocol) {
			t.Fatal(err)
		}
	})
	t.Run("never asked for", func(t *testing.T) {
		w := newPath(t, 2, DefaultParams())
		if err := ack(w, [cell.TagSize]byte{}); !errors.Is(err, ErrProtocol) {
			t.Fatal(err)
		}
	})
}

func TestCreditsThatWereNotEarnedEndTheCircuit(t *testing.T) {
	p := lowParams()
	for spent, credits := range map[int]struct {
		n    uint32
		fine bool
	}{
		0:    {1, false},
		1:    {1, true},
		100:  {100, true},
		101:  {102, false},
		1000: {1<<32 - 1, false},
		1001: {1 << 31, false},
	} {
		w := newPath(t, 1, p)
		c, _ := w.stream()
		if n, err := c.Put(make([]byte, spent)); n != spent || err != nil {
			t.Fatal(err)
		}
		w.ok()
		say(&w.hops[0].End, cell.Relay, msg(cell.TypeCredit, c.id, cell.AppendCredit(nil, credits.n)))
		if err := w.run(); (err == nil) != credits.fine {
			t.Errorf("%d spent, %d credited: %v", spent, credits.n, err)
		}
		if c.sendCredit > p.CreditSize {
			t.Errorf("credit %d", c.sendCredit)
		}
	}
}
