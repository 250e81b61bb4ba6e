// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"chive/circuit/cell"
	"chive/circuit/handshake"
)

// T37: every message in every state, at both ends. A state lists what it takes;
// everything else has to be ErrProtocol.

// A message of the matrix. END comes in three kinds, and each kind of message
// stands for its type.
type kindOf struct {
	name string
	t    cell.Type
	body []byte
	free bool // any body will do: no length is wrong
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// kinds returns every message type of the byte, each with a body that is valid.
func kinds() []kindOf {
	end := func(direction byte, r EndReason) []byte {
		return cell.End{Direction: direction, Reason: byte(r)}.Append(nil)
	}
	out := []kindOf{
		{"extend", cell.TypeExtend, must(cell.Extend{Addrs: linkAddrs, Handshake: make([]byte, handshake.CreateSize)}.Append(nil)), true},
		{"extended", cell.TypeExtended, make([]byte, handshake.CreatedSize), false},
		{"truncated", cell.TypeTruncated, []byte{3}, false},
		{"ack", cell.TypeAck, make([]byte, cell.TagSize), false},
		{"padding", cell.TypePadding, []byte("anything"), true},
		{"begin", cell.TypeBegin, must(cell.Begin{Host: "h", Port: 1}.Append(nil)), true},
		{"connected", cell.TypeConnected, cell.Connected{Addr: addr4}.Append(nil), false},
		{"data", cell.TypeData, []byte("data"), true},
		{"end1", cell.TypeEnd, end(cell.EndSending, EndDone), false},
		{"end2", cell.TypeEnd, end(cell.EndBoth, EndDone), false},
		{"reset", cell.TypeEnd, end(cell.EndBoth, EndReset), false},
		{"fault1", cell.TypeEnd, end(cell.EndSending, EndReset), false},
		{"credit", cell.TypeCredit, cell.AppendCredit(nil, 1), false},
		{"begin_udp", cell.TypeBeginUDP, cell.AppendBeginUDP(nil), false},
		{"datagram", cell.TypeDatagram, must(cell.Datagram{Host: "192.0.2.1", Port: 1, Payload: []byte("d")}.Append(nil)), true},
		{"resolve", cell.TypeResolve, must(cell.Resolve{Name: "h"}.Append(nil)), false},
		{"resolved", cell.TypeResolved, must(cell.Resolved{Addrs: []netip.Addr{addr4}}.Append(nil)), false},
		{"begin_dir", cell.TypeBeginDir, nil, false},
	}
	known := make(map[cell.Type]bool)
	for _, k := range out {
		known[k.t] = true
	}
	for t := 1; t < 256; t++ {
		if !known[cell.Type(t)] {
			out = append(out, kindOf{fmt.Sprintf("%#02x", t), cell.Type(t), []byte("x"), true})
		}
	}
	return out
}

// state is one state of one end.
type state struct {
	name string
	// prepare brings a circuit there and returns the end that listens, and the
	// one that speaks.
	prepare func(w *path) (listens, speaks *End)
	hops    int // 0 means 1
	// takes lists the messages that are fine, as "name@where": where is 0 (no
	// stream), id (the stream of the state), new (the next number). Without
	// "@" it is @id.
	takes string
}

// bare is a path with nothing on it.
func bare(w *path) (*End, *End) { return &w.o.End, &w.last().End }

// asked, opened and so on bring one stream, number 1, into a state at the client
// and leave the relay's face of it to the test.
func asked(begin func(o *Origin) (*Stream, error)) func(w *path) (*Stream, *Stream) {
	return func(w *path) (*Stream, *Stream) {
		c, err := begin(w.o)
		if err != nil {
			w.t.Fatal(err)
		}
		w.ok()
		r := w.last().table[c.id]
		w.events[len(w.hops)-1] = nil
		return c, r
	}
}

func tcp(o *Origin) (*Stream, error) {
	return o.Begin(cell.Begin{Host: "h", Port: 1, Early: []byte("early")})
}

func question(o *Origin) (*Stream, error) { return o.Resolve(cell.Resolve{Name: "h"}) }

type opener func(w *path) (c, r *Stream)

// open has the relay answer, and spends a little credit both ways.
func open(from opener) opener {
	return func(w *path) (*Stream, *Stream) {
		c, r := from(w)
		if err := r.Connected(noAddr); err != nil {
			w.t.Fatal(err)
		}
		w.ok()
		if c.kind != StreamUDP {
			for _, s := range []*Stream{c, r} {
				if _, err := s.Put([]byte("0123456789")); err != nil {
					w.t.Fatal(err)
				}
			}
			w.ok()
		}
		return c, r
	}
}

// then lets one side act.
func then(from opener, do func(w *path, c, r *Stream) error) opener {
	return func(w *path) (*Stream, *Stream) {
		c, r := from(w)
		if err := do(w, c, r); err != nil {
			w.t.Fatal(err)
		}
		return c, r
	}
}

// heard is then, with what is said carried to the other side.
func heard(from opener, do func(w *path, c, r *Stream) error) opener {
	return then(from, func(w *path, c, r *Stream) error {
		if err := do(w, c, r); err != nil {
			return err
		}
		w.ok()
		return nil
	})
}

// atClient and atRelay say who listens; what it has queued goes nowhere.
func atClient(from opener) func(w *path) (*End, *End) {
	return func(w *path) (*End, *End) {
		from(w)
		return &w.o.End, &w.last().End
	}
}

func atRelay(from opener) func(w *path) (*End, *End) {
	return func(w *path) (*End, *End) {
		from(w)
		return &w.last().End, &w.o.End
	}
}

func states() []state {
	const (
		late  = "credit end2 reset"
		begin = "begin@new begin_udp@new begin_dir@new resolve@new "
	)
	closeSend := func(s *Stream) error { return s.CloseSend() }
	abandon := func(s *Stream) error { return s.Abandon(EndDone) }
	client := func(f func(*Stream) error) func(*path, *Stream, *Stream) error {
		return func(_ *path, c, _ *Stream) error { return f(c) }
	}
	relay := func(f func(*Stream) error) func(*path, *Stream, *Stream) error {
		return func(_ *path, _, r *Stream) error { return f(r) }
	}
	tcpAsked, udpAsked := asked(tcp), asked((*Origin).BeginUDP)
	dirAsked, resolveAsked := asked((*Origin).BeginDir), asked(question)
	answered := relay(func(s *Stream) error { return s.Resolved(cell.Resolved{}) })
	over := heard(heard(open(tcpAsked), client(closeSend)), relay(closeSend))
	extending := func(w *path) (*Stream, *Stream) {
		_, target := onion(7)
		if err := w.o.Extend(target); err != nil {
			w.t.Fatal(err)
		}
		w.ok()
		w.events[len(w.hops)-1] = nil
		return nil, nil
	}
	return []state{
		// The client.
		{"client: one hop", bare, 1, "padding@0"},
		{"client: three hops", bare, 3, "padding@0"},
		{"client: from an earlier hop", func(w *path) (*End, *End) { return &w.o.End, &w.hops[0].End }, 2, "padding@0 truncated@0"},
		{"client: from an earlier hop while extending", func(w *path) (*End, *End) { extending(w); return &w.o.End, &w.hops[1].End }, 3, "padding@0 truncated@0"},
		{"client: extending", atClient(extending), 1, "padding@0 truncated@0"},
		{"client: lost", func(w *path) (*End, *End) {
			w.o.lost(-1, 0)
			return bare(w)
		}, 1, ""},
		{"client: BEGIN sent", atClient(tcpAsked), 2, "padding@0 connected credit end1 end2 reset fault1"},
		{"client: the relay ended before CONNECTED", atClient(heard(tcpAsked, relay(closeSend))), 1, "padding@0 credit end2 reset fault1"},
		{"client: open", atClient(open(tcpAsked)), 1, "padding@0 data credit end1 end2 reset fault1"},
		{"client: it sends no more", atClient(then(open(tcpAsked), client(closeSend))), 1, "padding@0 data credit end1 end2 reset fault1"},
		{"client: the relay sends no more", atClient(heard(open(tcpAsked), relay(closeSend))), 1, "padding@0 credit end2 reset fault1"},
		{"client: the relay gave up", atClient(heard(open(tcpAsked), relay(abandon))), 1, "padding@0 " + late},
		{"client: it gave up", atClient(then(open(tcpAsked), client(abandon))), 1, "padding@0 data credit end1 end2 reset fault1"},
		{"client: it gave up before CONNECTED", atClient(then(tcpAsked, client(abandon))), 1, "padding@0 connected credit end1 end2 reset fault1"},
		{"client: it sends no more, then gave up", atClient(then(then(open(tcpAsked), client(closeSend)), client(abandon))), 1, "padding@0 data credit end1 end2 reset fault1"},
		{"client: over", atClient(over), 1, "padding@0 " + late},
		{"client: BEGIN_DIR sent", atClient(dirAsked), 1, "padding@0 connected end1 end2 reset fault1"},
		{"client: directory open", atClient(open(dirAsked)), 1, "padding@0 data credit end1 end2 reset fault1"},
		{"client: BEGIN_UDP sent", atClient(udpAsked), 1, "padding@0 connected end1 end2 reset fault1"},
		{"client: association", atClient(open(udpAsked)), 1, "padding@0 datagram end1 end2 reset fault1"},
		{"client: association given up", atClient(then(open(udpAsked), client(abandon))), 1, "padding@0 datagram end1 end2 reset fault1"},
		{"client: RESOLVE sent", atClient(resolveAsked), 1, "padding@0 resolved"},
		{"client: question given up", atClient(then(resolveAsked, client(abandon))), 1, "padding@0 resolved"},
		{"client: answered", atClient(heard(resolveAsked, answered)), 1, "padding@0 " + late},

		// The relay.
		{"relay: no stream", func(w *path) (*End, *End) { return &w.hops[0].End, &w.o.End }, 1, "padding@0 begin@id begin_udp@id begin_dir@id resolve@id " + begin},
		{"relay: EXTEND came", atRelay(extending), 1, "padding@0 begin@id begin_udp@id begin_dir@id resolve@id " + begin},
		{"relay: BEGIN came", atRelay(tcpAsked), 2, begin + "padding@0 data end1 end2 reset fault1"},
		{"relay: open", atRelay(open(tcpAsked)), 1, begin + "padding@0 data credit end1 end2 reset fault1"},
		{"relay: it sends no more", atRelay(then(open(tcpAsked), relay(closeSend))), 1, begin + "padding@0 data credit end1 end2 reset fault1"},
		{"relay: the client sends no more", atRelay(heard(open(tcpAsked), client(closeSend))), 1, begin + "padding@0 credit end2 reset fault1"},
		{"relay: the client gave up", atRelay(heard(open(tcpAsked), client(abandon))), 1, begin + "padding@0 " + late},
		{"relay: it gave up", atRelay(then(open(tcpAsked), relay(abandon))), 1, begin + "padding@0 data credit end1 end2 reset fault1"},
		{"relay: it refused", atRelay(then(tcpAsked, relay(abandon))), 1, begin + "padding@0 data end1 end2 reset fault1"},
		{"relay: over", atRelay(over), 1, begin + "padding@0 " + late},
		{"relay: BEGIN_DIR came", atRelay(dirAsked), 1, begin + "padding@0 data end1 end2 reset fault1"},
		{"relay: BEGIN_UDP came", atRelay(udpAsked), 1, begin + "padding@0 datagram end1 end2 reset fault1"},
		{"relay: association", atRelay(open(udpAsked)), 1, begin + "padding@0 datagram end1 end2 reset fault1"},
		{"relay: RESOLVE came", atRelay(resolveAsked), 1, begin + "padding@0"},
		{"relay: answered", atRelay(heard(resolveAsked, answered)), 1, begin + "padding@0 " + late},
	}
}

// allowed spells the list out.
func (s state) allowed() map[string]bool {
	out := make(map[string]bool)
	for _, item := range strings.Fields(s.takes) {
		if !strings.Contains(item, "@") {
			item += "@id"
		}
		out[item] = true
	}
	return out
}

// hear gives the messages, in one cell, to the end that listens and returns what
// it says to that.
func (s state) hear(t *testing.T, cmd cell.Command, m ...cell.Message) (*path, error) {
	t.Helper()
	w := newPath(t, max(1, s.hops), DefaultParams())
	listens, speaks := s.prepare(w)
	listens.Drop()
	say(speaks, cmd, m...)
	from := slices.IndexFunc(w.hops, func(h *Hop) bool { return &h.End == speaks })
	if from < 0 {
		w.clientWrites()
		for i := range w.hops {
			for len(w.up[i]) > 0 {
				if _, err := w.hopReads(i); err != nil {
					return w, err
				}
			}
		}
		return w, nil
	}
	for i := from; i >= 0; i-- {
		for w.hopWrites(i) {
		}
		for len(w.down[i]) > 0 {
			if _, err := w.clientSideReads(i); err != nil {
				return w, err
			}
		}
	}
	return w, nil
}

// Spec: protocol §5 (MSG-3).
func TestEveryMessageInEveryState(t *testing.T) {
	for _, s := range states() {
		t.Run(s.name, func(t *testing.T) {
			allowed := s.allowed()
			for _, k := range kinds() {
				if strings.HasPrefix(k.name, "0x") {
					continue // below
				}
				for id, place := range []string{"0", "id", "new"} {
					m := msg(k.t, uint16(id), k.body)
					name := k.name + "@" + place
					want := allowed[name]
					w, err := s.hear(t, cell.Relay, m)
					check(t, name, err, want)
					bounded(t, &w.o.End)
					bounded(t, &w.last().End)
					if !want {
						continue
					}
					// As a piece of a larger message nothing is taken: no
					// message of this table is ever fragmented.
					m.More = true
					_, err = s.hear(t, cell.Relay, m)
					check(t, name+" in pieces", err, false)
					if k.free {
						continue
					}
					// Empty, without its last byte, with one too many.
					m.More = false
					for what, body := range map[string][]byte{
						"empty": nil, "short": k.body[:max(0, len(k.body)-1)], "long": append(bytes.Clone(k.body), 0),
					} {
						if bytes.Equal(body, k.body) {
							continue
						}
						m.Body = body
						_, err := s.hear(t, cell.Relay, m)
						check(t, name+" "+what, err, false)
					}
				}
			}
			s.refusesTheRest(t)
		})
	}
}

// refusesTheRest tries the types that this version does not speak: 238 of them,
// so on one circuit, which they leave as it was.
func (s state) refusesTheRest(t *testing.T) {
	w := newPath(t, max(1, s.hops), DefaultParams())
	listens, speaks := s.prepare(w)
	listens.Drop()
	streams := listens.StreamCount()
	hear := func(p []byte) error { return listens.receive(w.now, p, [cell.TagSize]byte{}) }
	if speaks == &w.hops[0].End && len(w.hops) > 1 && speaks != &w.last().End {
		hear = func(p []byte) error { return w.o.fromEarlierHop(0, p) }
	}
	for _, k := range kinds() {
		if !strings.HasPrefix(k.name, "0x") {
			continue
		}
		for id := range 3 {
			for _, more := range []bool{false, true} {
				p := make([]byte, cell.PayloadSize)
				cell.PutHeader(p, k.t, more, uint16(id), 1)
				check(t, fmt.Sprintf("%s on stream %d, in pieces %v", k.name, id, more), hear(p), false)
			}
		}
	}
	if listens.Pending() || listens.StreamCount() != streams || listens.asm.Open() {
		t.Error("a refused message left something behind")
	}
}

func check(t *testing.T, name string, err error, want bool) {
	t.Helper()
	if (err == nil) != want || err != nil && !errors.Is(err, ErrProtocol) {
		t.Errorf("%s: %v, taken should be %v", name, err, want)
	}
}

// Every answer without its question is in the matrix above. This is every
// question, and every answer, twice.
// Spec: protocol §5 (STR-4).
func TestEveryQuestionAndAnswerTwice(t *testing.T) {
	for _, s := range states() {
		for item := range s.allowed() {
			name, place, _ := strings.Cut(item, "@")
			i := slices.IndexFunc(kinds(), func(k kindOf) bool { return k.name == name })
			k := kinds()[i]
			id := map[string]uint16{"0": 0, "id": 1, "new": 2}[place]
			_, err := s.hear(t, cell.Relay, msg(k.t, id, k.body), msg(k.t, id, k.body))
			var twice bool // may be said twice
			switch k.name {
			case "padding", "data", "datagram":
				twice = true
			case "credit":
				twice = true // one byte each; ten were spent
			case "end2", "reset", "fault1":
				// The second finds the stream over: it may have crossed. Where
				// this end still owes an END the second is a breach.
				twice = true
			}
			if !twice && err == nil {
				t.Errorf("%s: %s is taken twice", s.name, item)
			}
			if err != nil && !errors.Is(err, ErrProtocol) {
				t.Errorf("%s: %s twice: %v", s.name, item, err)
			}
		}
	}
}

func TestExtendedTwice(t *testing.T) {
	w := emptyPath(t, DefaultParams())
	w.extend()
	_, target := onion(1)
	if err := w.o.Extend(target); err != nil {
		t.Fatal(err)
	}
	w.ok()
	_, created := answer(t, 1, w.event(EventExtend).Extend.Handshake)
	extended := msg(cell.TypeExtended, 0, created)
	say(&w.hops[0].End, cell.Relay, extended)
	say(&w.hops[0].End, cell.Relay, extended)
	w.refused()
	if w.o.Hops() != 2 {
		t.Fatalf("%d hops", w.o.Hops())
	}
}

func TestExtendedWithAStreamNumber(t *testing.T) {
	w := emptyPath(t, DefaultParams())
	w.extend()
	_, target := onion(1)
	if err := w.o.Extend(target); err != nil {
		t.Fatal(err)
	}
	w.ok()
	_, created := answer(t, 1, w.event(EventExtend).Extend.Handshake)
	say(&w.hops[0].End, cell.Relay, msg(cell.TypeExtended, 1, created))
	w.refused()
}

// Random sequences of what a dishonest end can say, most of it plausible:
// handled or refused, never more than the bounds allow.
func TestRandomSequencesOfMessages(t *testing.T) {
	all := kinds()
	rounds := 400
	if testing.Short() {
		rounds = 40
	}
	taken, refused := 0, 0
	for round := range rounds {
		r := rand.New(rand.NewPCG(37, uint64(round)))
		w := newPath(t, 1+round%3, lowParams())
		speaks, listens := &w.o.End, &w.last().End
		if round%2 == 1 {
			speaks, listens = listens, speaks
		}
		var streams []*Stream
		for range 100 {
			if listens.asks && r.IntN(3) == 0 {
				if s, err := openers[r.IntN(len(openers))](w.o); err == nil {
					streams = append(streams, s)
				}
			}
			for i := range w.events {
				for _, ev := range w.events[i] {
					if ev.Stream != nil {
						streams = append(streams, ev.Stream)
					}
				}
				w.events[i] = nil
			}
			if len(streams) > 0 {
				act(w, r, streams[r.IntN(len(streams))])
			}
			var m []cell.Message
			for range 1 + r.IntN(20)/19 { // a second one does not know of the first
				m = append(m, plausible(r, all, listens))
			}
			say(speaks, cell.Relay, m...)
			// The liar takes any acknowledgement.
			speaks.window.marks, speaks.window.inflight = nil, 0
			if err := w.oneWay(!listens.asks); err != nil {
				refused++
				break
			}
			listens.Drop() // and never hears what is said to it
			taken++
			bounded(t, listens)
		}
	}
	if taken < 5*rounds || refused == 0 {
		t.Fatalf("%d cells taken, %d refused in %d sequences: this tests little", taken, refused, rounds)
	}
}

var openers = []func(*Origin) (*Stream, error){tcp, (*Origin).BeginUDP, (*Origin).BeginDir, question}

// plausible returns a message that fits the state of e more often than not.
func plausible(r *rand.Rand, all []kindOf, e *End) cell.Message {
	pick := func(names ...string) []byte {
		name := names[r.IntN(len(names))]
		return []byte(name)
	}
	name, id := "padding", uint16(0)
	switch n := r.IntN(40); {
	case n == 0: // anything
		k := all[r.IntN(len(all))]
		return cell.Message{Type: k.t, Stream: uint16(r.IntN(5)), Body: k.body[:min(len(k.body), 500)], More: r.IntN(4) == 0}
	case n < 12 && !e.asks:
		name, id = string(pick("begin", "begin", "begin_dir", "begin_udp", "resolve")), e.lastID+1
	default:
		for _, s := range e.table { // any: the order of a map is random enough
			id = s.id
			switch {
			case s.kind == StreamResolve:
				if name = "resolved"; !e.asks {
					name, id = "padding", 0
				}
			case e.asks && !s.opened:
				name = string(pick("connected", "connected", "reset"))
			case s.recvEnded:
				name, id = "padding", 0
			case s.kind == StreamUDP:
				name = string(pick("datagram", "datagram", "datagram", "end2"))
			default:
				name = string(pick("data", "data", "data", "data", "data", "end1", "end2", "reset"))
			}
			break
		}
	}
	i := slices.IndexFunc(all, func(k kindOf) bool { return k.name == name })
	return msg(all[i].t, id, all[i].body)
}

// act lets a stream's owner do something.
func act(w *path, r *rand.Rand, s *Stream) {
	switch r.IntN(7) {
	case 0:
		_ = s.CloseSend()
	case 1:
		_ = s.Abandon(EndReason(r.IntN(10)))
	case 2:
		_, _ = s.Put(make([]byte, r.IntN(20000)))
	case 3:
		b := make([]byte, r.IntN(20000))
		_, _ = s.Read(b)
	case 4:
		_ = s.PutDatagram(w.now, cell.Datagram{Host: "192.0.2.1", Port: 9, Payload: make([]byte, r.IntN(1000))})
	case 5:
		if !s.end.asks {
			_ = s.Connected(addr4)
		}
	case 6:
		if !s.end.asks && s.kind == StreamResolve {
			_ = s.Resolved(cell.Resolved{})
		}
	}
}
