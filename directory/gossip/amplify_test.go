// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/reconcile"
	"chive/directory/record"
)

// Bounds of what a hostile peer makes us send (invariant I7), all but the bytes that it
// has sent itself. To the peer: what serving gives it (GOS-7), and an answer to a repair
// each quarter of a period (GOS-8). To others: each record that is new goes on once to
// each of them.
const (
	overdraftSize = MaxFrameSize                                           // the last thing served may exceed the budget
	sessionSize   = reconcile.MaxSymbolCount*reconcile.SymbolSize + 16<<10 // symbols with their frames, DONE, INV of what it lacks
)

// fatStates serves a table of large parts.
type fatStates struct{}

func (fatStates) Part(Digest, uint32) ([]byte, uint32) { return make([]byte, 60<<10), 1000 }

// hostility is one way to have us send: says is called so often that all limits are met.
type hostility struct {
	name     string
	stranger bool
	again    bool // it hangs up and calls again each time
	says     func(l *lab, f *far, n int)
}

func hostilities() []hostility {
	lots := func(l *lab, f *far, class byte, held bool, n int) (out []ShortID) {
		for i := range mostIDs(typeGet) {
			if list := l.store.lists[class]; held {
				out = append(out, f.name(list[(n*32+i)%len(list)]))
			} else {
				out = append(out, ShortID(uint64(n)<<20|uint64(i)<<1|1))
			}
		}
		return out
	}
	ask := func(class byte, held bool) func(*lab, *far, int) {
		return func(l *lab, f *far, n int) {
			f.says(&IDs{Type: typeGet, Class: class, IDs: lots(l, f, class, held, n)})
		}
	}
	item := func(class byte, pushed bool) func(*lab, *far, int) {
		return func(l *lab, f *far, n int) {
			_, data := l.data(class, 1<<30+n)
			if !pushed {
				f.inv(class, l.store.w.name(class, data))
			}
			f.says(&Item{Pushed: pushed, Class: class, Data: data})
		}
	}
	open := func(l *lab, f *far, n int) {
		var nonce [reconcile.NonceSize]byte
		binary.BigEndian.PutUint64(nonce[:], uint64(n))
		_, first := reconcile.NewOpener(reconcile.Config{HandshakeHash: f.session, ShortKey: f.key}, nonce)
		f.says(&Repair{first})
		for at := range uint32(31) {
			f.says(&Repair{&reconcile.Symbols{From: 32 + 64*at}})
		}
	}
	state := func(_ *lab, f *far, n int) { f.says(&State{Header: digestOf("head"), Part: uint32(n % 1000)}) }
	join := func(_ *lab, f *far, _ int) { f.says(&Join{Data: make([]byte, 400)}) }
	return []hostility{
		{"GET of descriptors that are held", false, false, ask(record.ClassDescriptor, true)},
		{"GET of votes that are held", false, false, ask(record.ClassVote, true)},
		{"GET of nothing", false, false, ask(record.ClassDescriptor, false)},
		{"GET of votes, a new stream each time", false, true, ask(record.ClassVote, true)},
		{"INV of nothing", false, false, func(l *lab, f *far, n int) {
			f.says(&IDs{Type: typeInv, Class: record.ClassDescriptor, IDs: lots(l, f, record.ClassDescriptor, false, n)})
		}},
		{"STATE", false, false, state},
		{"REPAIR", false, false, open},
		{"descriptors that are new", false, false, item(record.ClassDescriptor, false)},
		{"PUSH of tombstones that are new", false, false, item(record.ClassTombstone, true)},
		{"PUSH of tombstones, a new stream each time", false, true, item(record.ClassTombstone, true)},
		{"JOIN", false, false, join},
		{"JOIN of a stranger", true, false, join},
		{"STATE of a stranger", true, false, state},
		{"GET of a stranger", true, true, ask(record.ClassVote, true)},
		{"REPAIR of a stranger", true, false, open},
	}
}

// What one hostile peer makes us send is bounded by what it sends and by time, whatever
// it sends: invariant I7. Each class of frames is said 200 times a second for a minute.
// Spec: directory §13 (I7), protocol §7 (GOS-7, GOS-8, GOS-12).
func TestBytesOutPerHostileByteInAreBounded(t *testing.T) {
	const seconds, perSecond = 60, 200
	p := genesis.Public()
	for _, h := range hostilities() {
		t.Run(h.name, func(t *testing.T) {
			l := newLab(t, 200, p)
			l.m.cfg.States = fatStates{}
			for n := range 1000 {
				data := append(binary.BigEndian.AppendUint64(nil, uint64(n)), bytes.Repeat([]byte{1}, 392)...)
				l.store.add(record.ClassDescriptor, l.store.w.name(record.ClassDescriptor, data), data)
			}
			for n := range 40 {
				data := append(binary.BigEndian.AppendUint64(nil, uint64(n)), bytes.Repeat([]byte{2}, 50<<10)...)
				l.store.add(record.ClassVote, l.store.w.name(record.ClassVote, data), data)
			}
			may, not := l.callers()
			rid := may[0]
			if h.stranger {
				rid = ridOf(1 << 20)
			}
			for _, other := range not[:6] { // guests, who are told as all are
				l.up(other, true)
			}
			clear(l.frames)
			before := l.m.stats
			var f *far
			in, streams := uint64(0), 0
			call := func() {
				if h.again && streams > 0 {
					l.step(LinkDown{f.link})
				}
				streams++
				f = l.up(rid, true)
			}
			call()
			links := map[uint64]bool{f.link: true}
			toIt, toOthers := uint64(0), uint64(0)
			for n := range seconds * perSecond {
				if _, closed := l.closed[f.link]; closed || h.again {
					call()
					links[f.link] = true
				}
				at := l.m.stats.BytesIn
				h.says(l, f, n)
				in += l.m.stats.BytesIn - at
				l.pass(time.Second / perSecond)
				for link, frames := range l.frames {
					for _, x := range frames {
						size := uint64(len(encoded(t, x))) + headSize
						if links[link] {
							toIt += size
						} else {
							toOthers += size
						}
					}
				}
				clear(l.frames)
			}
			others := uint64(6)
			taken := l.m.stats.ItemsNew - before.ItemsNew
			// A relay of the list may come up so often; a stranger always, and hears nothing.
			calls := uint64(min(streams, callsAtOnce+callsAtOnce*seconds/60+1))
			if h.stranger {
				calls = 0
			}
			sessions := uint64(seconds)*uint64(time.Second)/uint64(p.RepairPeriod/answerPart) + 1
			most := in + calls*(ServeBurst+overdraftSize) + ServePerSecond*seconds + sessions*sessionSize
			if h.stranger {
				most = in * 5 / 4 // an empty part is a little larger than what asks for it
			}
			mostOthers := others * taken * (record.MaxTombstoneSize + 64)
			t.Logf("%d streams, in %d, to it %d (bound %d), to six others %d (bound %d), new records %d", streams, in, toIt, most, toOthers, mostOthers, taken)
			if toIt > most {
				t.Errorf("%d bytes to it for %d, more than %d", toIt, in, most)
			}
			if toOthers > mostOthers {
				t.Errorf("%d bytes to others for %d records, more than %d", toOthers, taken, mostOthers)
			}
			if limit := calls*BurstItems + RateFactor*uint64(itemsHourly(p, 200, 20)); taken > limit {
				t.Errorf("%d records taken, more than %d", taken, limit)
			}
		})
	}
}
