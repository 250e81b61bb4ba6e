// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"chive/circuit/cell"
)

// A pipe is the model of one direction of one stream: what was put in, what came
// out, and how it was closed.
type pipe struct {
	from, to *Stream
	in, out  []byte
	closed   bool // in order
	cut      bool // one side gave the stream up
}

func (p *pipe) read(t *rapid.T, most int) {
	b := make([]byte, most)
	n, err := p.to.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	p.out = append(p.out, b[:n]...)
	if !bytes.HasPrefix(p.in, p.out) {
		t.Fatalf("%d bytes came out that are not the first of the %d put in", len(p.out), len(p.in))
	}
}

// What comes out of a stream is at any time the beginning of what went in, under
// any interleaving of writing, reading, ending, and carrying cells; and all of it
// if it was ended in order.
func TestStreamsDeliverAnExactPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hops := rapid.IntRange(1, 3).Draw(t, "hops")
		p := lowParams()
		p.CreditSize = rapid.SampledFrom([]int{2 * cell.MaxBody, 20000, 64 << 10}).Draw(t, "credit")
		w := newPath(t, hops, p)
		var pipes []*pipe
		counter := byte(0)

		open := func(t *rapid.T) {
			early := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "early")
			c, err := w.o.Begin(cell.Begin{Host: "h", Port: 1, Early: early})
			if err == ErrStreams || err == ErrOverflow {
				t.Skip()
			}
			if err != nil {
				t.Fatal(err)
			}
			// The relay's face of it appears when BEGIN arrives.
			pipes = append(pipes, &pipe{from: c, in: bytes.Clone(early)}, &pipe{to: c})
		}
		adopt := func() {
			last := len(w.hops) - 1
			for _, ev := range w.events[last] {
				for i := 0; i < len(pipes); i += 2 {
					if pipes[i].from.id == ev.Stream.id {
						pipes[i].to, pipes[i+1].from = ev.Stream, ev.Stream
					}
				}
				if err := ev.Stream.Connected(noAddr); err != nil {
					t.Fatal(err)
				}
			}
			w.events[last] = nil
		}
		pick := func(t *rapid.T) *pipe {
			var usable []*pipe
			for _, p := range pipes {
				if p.from != nil && p.to != nil {
					usable = append(usable, p)
				}
			}
			if len(usable) == 0 {
				t.Skip()
			}
			return rapid.SampledFrom(usable).Draw(t, "pipe")
		}
		step := func(t *rapid.T, k int) bool {
			moved, err := w.step(k)
			if err != nil {
				t.Fatalf("step %d: %v", k, err)
			}
			adopt()
			return moved
		}

		t.Repeat(map[string]func(*rapid.T){
			"open": open,
			"put": func(t *rapid.T) {
				p := pick(t)
				b := make([]byte, rapid.IntRange(1, 40000).Draw(t, "n"))
				for i := range b {
					counter++
					b[i] = counter
				}
				n, err := p.from.Put(b)
				if err == nil && (p.closed || p.cut && p.from.abandoned) {
					t.Fatal("put after the end")
				}
				if err == nil {
					p.in = append(p.in, b[:n]...)
				}
			},
			"read": func(t *rapid.T) { pick(t).read(t, rapid.IntRange(1, 50000).Draw(t, "n")) },
			"swap": func(t *rapid.T) {
				p := pick(t)
				b := p.to.Swap(nil)
				p.out = append(p.out, b...)
				if !bytes.HasPrefix(p.in, p.out) {
					t.Fatal("other bytes came out")
				}
				if err := p.to.Consumed(len(b)); err != nil {
					t.Fatal(err)
				}
			},
			"close": func(t *rapid.T) {
				p := pick(t)
				if p.from.sendEnded {
					t.Skip()
				}
				if err := p.from.CloseSend(); err != nil {
					t.Fatal(err)
				}
				p.closed = true
			},
			"give up": func(t *rapid.T) {
				if rapid.IntRange(0, 3).Draw(t, "often") > 0 {
					t.Skip()
				}
				p := pick(t)
				for _, q := range pipes {
					if q.from == p.from && q.to == p.to || q.from == p.to && q.to == p.from {
						q.cut = true
					}
				}
				if err := p.from.Abandon(EndDone); err != nil {
					t.Fatal(err)
				}
			},
			"carry": func(t *rapid.T) { step(t, rapid.IntRange(0, w.steps()-1).Draw(t, "step")) },
			"carry much": func(t *rapid.T) {
				for range 30 {
					step(t, rapid.IntRange(0, w.steps()-1).Draw(t, "step"))
				}
			},
			"": func(t *rapid.T) {
				bounded(t, &w.o.End)
				bounded(t, &w.last().End)
			},
		})

		// In the end everything is carried and read, and every stream closed.
		settle := func() {
			for moved := true; moved; {
				moved = false
				for k := range w.steps() {
					moved = step(t, k) || moved
				}
				for _, p := range pipes {
					if p.to != nil && p.to.Buffered() > 0 {
						p.read(t, p.to.Buffered())
						moved = true
					}
				}
			}
		}
		settle()
		for _, p := range pipes {
			if p.cut {
				continue
			}
			if len(p.out) != len(p.in) {
				t.Fatalf("%d of %d bytes came out", len(p.out), len(p.in))
			}
			if p.closed != p.to.EOF() {
				t.Fatalf("closed %v, end seen %v", p.closed, p.to.EOF())
			}
			if p.to.Err() != nil {
				t.Fatal(p.to.Err())
			}
		}
		for _, p := range pipes {
			if err := p.from.CloseSend(); err != nil {
				t.Fatal(err)
			}
		}
		settle()
		if n, m := w.o.StreamCount(), w.last().StreamCount(); n != 0 || m != 0 {
			t.Fatalf("%d and %d streams are left", n, m)
		}
		if n := w.o.Held() + w.last().Held(); n != 0 {
			t.Fatalf("%d bytes are left", n)
		}
		for _, p := range pipes {
			p.to.Discard()
		}
		w.balanced()
		if w.account.held != 0 {
			t.Fatalf("the account has %d bytes", w.account.held)
		}
	})
}
