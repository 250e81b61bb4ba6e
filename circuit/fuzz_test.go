// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chive/circuit/cell"
)

// A script is what a dishonest end says and what the owner of the other end does
// meanwhile. A step is
//
//	type 1 | flags and number 1 | length 1 | body   a message
//	0 | what 1                                      the owner acts; time passes
//
// The number counts back from the next stream's, the upper two bits are flags:
// 1 more pieces follow, 2 the next message goes into the same cell.

func message(t cell.Type, back byte, flags byte, body []byte) []byte {
	return append([]byte{byte(t), back | flags<<6, byte(len(body))}, body...)
}

// seeds returns scripts in which most messages are fine.
func seeds() [][]byte {
	var all, questions, answers []byte
	for _, k := range kinds() {
		if len(k.body) > 255 {
			continue
		}
		all = append(all, message(k.t, 0, 0, k.body)...)
		switch k.name {
		case "begin", "begin_udp", "begin_dir", "resolve":
			questions = append(questions, message(k.t, 0, 0, k.body)...)
		case "connected", "resolved", "data", "credit", "end1", "end2", "datagram":
			answers = append(answers, message(k.t, 1, 0, k.body)...)
		}
	}
	acts := []byte{0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6}
	piece := message(0x54, 1, 1, []byte("piece"))
	data := message(cell.TypeData, 1, 2, []byte("data"))
	return [][]byte{
		all, questions, answers, acts, piece,
		slices.Concat(questions, acts, answers, acts),
		slices.Concat(questions, data, data, data, acts),
		slices.Concat(acts, answers, acts, answers),
	}
}

// play runs a script against one end.
func play(t *testing.T, w *path, speaks, listens *End, script []byte) {
	if len(script) > 1<<12 {
		return
	}
	var cells int
	var together []cell.Message
	r := rand.New(rand.NewPCG(1, 2))
	var streams []*Stream
	for len(script) >= 2 {
		if script[0] == 0 {
			what := script[1]
			script = script[2:]
			w.now = w.now.Add(time.Duration(what) * time.Millisecond)
			if listens.asks && what%3 == 0 {
				if s, err := openers[int(what)%len(openers)](w.o); err == nil {
					streams = append(streams, s)
				}
			}
			if len(streams) > 0 {
				act(w, r, streams[int(what)%len(streams)])
			}
			continue
		}
		if len(script) < 3 {
			return
		}
		n := min(int(script[2]), len(script)-3)
		m := cell.Message{
			Type:   cell.Type(script[0]),
			Stream: listens.lastID + 1 - uint16(script[1]&63),
			More:   script[1]&64 != 0,
			Body:   script[3 : 3+n],
		}
		more := script[1]&128 != 0
		script = script[3+n:]
		if together = append(together, m); more && len(together) < 7 {
			continue
		}
		say(speaks, cell.Relay+cell.Command(cells%2), together...)
		if cells++; cells%8 == 0 || listens.asks {
			speaks.out.last.cell(speaks.out.last.n - 1)[0] = byte(cell.Relay)
		}
		together = nil
		speaks.window.marks, speaks.window.inflight = nil, 0
		err := w.oneWay(!listens.asks)
		for i := range w.events {
			for _, ev := range w.events[i] {
				if ev.Stream != nil {
					streams = append(streams, ev.Stream)
				}
			}
			w.events[i] = nil
		}
		w.oEvents = nil
		bounded(t, listens)
		if err != nil {
			return
		}
		if cells%5 != 0 { // now and then what it answers does not leave
			for ch := listens.Take(w.now); ch != nil; ch = listens.Take(w.now) {
				listens.Recycle(w.now, ch)
			}
		}
	}
	if listens.Held() > maxQueuedCells*cell.Size+maxStreams*2*listens.params.CreditSize {
		t.Fatalf("%d bytes are held", listens.Held())
	}
}

// FuzzHop lets a client say anything to a relay, in cells that it recognises.
func FuzzHop(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		w := newPath(t, 1, lowParams())
		play(t, w, &w.o.End, &w.hops[0].End, script)
	})
}

// FuzzOrigin lets the last relay of a circuit say anything to the client.
func FuzzOrigin(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		w := newPath(t, 1, lowParams())
		play(t, w, &w.hops[0].End, &w.o.End, script)
	})
}

// FuzzCells gives raw cells to every end: what is not recognised is refused.
func FuzzCells(f *testing.F) {
	for cmd := range byte(8) {
		f.Add([]byte{cmd, 1, 2, 3})
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newPath(t, 2, lowParams())
		c := make([]byte, cell.Size)
		copy(c, b)
		fresh := func() []byte { return append([]byte(nil), c...) }
		_ = w.o.Receive(w.now, fresh())
		_ = w.hops[0].Backward(fresh())
		pass, err := w.hops[0].Forward(w.now, c)
		if pass != (err == nil && cell.Command(c[0]) != cell.Padding) {
			t.Fatalf("pass %v, %v", pass, err)
		}
		if pass {
			if pass, err := w.hops[1].Forward(w.now, c); pass || err == nil {
				t.Fatal("a cell nobody made is taken at the last hop")
			}
		}
		if w.o.StreamCount()+w.hops[0].StreamCount()+w.hops[1].StreamCount() != 0 {
			t.Fatal("a cell nobody made opened a stream")
		}
	})
}
