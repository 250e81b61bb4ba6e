// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
)

// lab is one machine whose peers are played by the test.
type lab struct {
	t      testing.TB
	m      *Machine
	store  *store
	now    time.Time
	wakeAt time.Time
	links  uint64
	frames map[uint64][]Frame // sent on each link, not looked at yet
	closed map[uint64]Reason
	opened []record.RID
	others []Effect
	view   View
}

// far is the test's end of a stream.
type far struct {
	peer // for rid, link and short ids
	l    *lab
}

func newLab(t testing.TB, count int, p genesis.Params) *lab {
	w := &world{names: make(map[string]Digest)}
	l := &lab{
		t: t, now: begin(), frames: make(map[uint64][]Frame), closed: make(map[uint64]Reason),
		store: newStore(w),
		view:  View{Epoch: 1000, Head: digestOf("head"), Beacon: beacon(1), DayBefore: beacon(0), Relays: listOf(count), Seats: 20, Entry: true},
	}
	l.m = New(Config{NetworkID: nid(), Self: ridOf(0), Params: p, Rand: rand.NewChaCha8([32]byte{1}), Records: l.store})
	l.step(l.view)
	return l
}

func (l *lab) step(ev Event) {
	for _, e := range l.m.Step(l.now, ev, nil) {
		switch e := e.(type) {
		case Send:
			f, err := DecodeFrame(e.Body)
			if err != nil {
				l.t.Fatalf("sent a bad frame: %v", err)
			}
			l.frames[e.Link] = append(l.frames[e.Link], f)
		case Close:
			l.closed[e.Link] = e.Reason
		case Open:
			l.opened = append(l.opened, e.RID)
		case Wake:
			l.wakeAt = e.At
			if !e.At.After(l.now) {
				l.t.Fatalf("asked to be woken %v ago", l.now.Sub(e.At))
			}
		default:
			l.others = append(l.others, e)
		}
	}
}

// pass lets time go by, with a Tick wherever one was asked for.
func (l *lab) pass(d time.Duration) {
	for end := l.now.Add(d); ; {
		if l.wakeAt.IsZero() || l.wakeAt.After(end) {
			l.now = end
			return
		}
		l.now, l.wakeAt = l.wakeAt, time.Time{}
		l.step(Tick{})
	}
}

// link brings a stream up without a HELLO.
func (l *lab) link(rid record.RID, inbound bool) *far {
	return l.linkFrom(rid, inbound, netip.AddrFrom4([4]byte{20, byte(l.links >> 8), byte(l.links), 1}))
}

// linkFrom is link from an address.
func (l *lab) linkFrom(rid record.RID, inbound bool, source netip.Addr) *far {
	l.links++
	f := &far{peer: peer{link: l.links, rid: rid}, l: l}
	f.setSession(sha256.Sum256(binary.BigEndian.AppendUint64(nil, l.links)))
	l.step(LinkUp{Link: f.link, RID: rid, Inbound: inbound, Session: f.session, Source: source})
	return f
}

// up brings a stream up and says HELLO. Repair and the like are looked away from.
func (l *lab) up(rid record.RID, inbound bool) *far {
	f := l.link(rid, inbound)
	f.says(hello())
	f.heard()
	return f
}

func (f *far) says(x Frame) {
	f.l.step(Received{f.link, encoded(f.l.t, x)})
}

// heard returns what was sent to this end since the last call.
func (f *far) heard() []Frame {
	out := f.l.frames[f.link]
	delete(f.l.frames, f.link)
	return out
}

// ids returns the short ids of frames of a type that were sent to this end.
func (f *far) ids(frameType byte) (out []ShortID) {
	for _, x := range f.heard() {
		if x, ok := x.(*IDs); ok && x.Type == frameType {
			out = append(out, x.IDs...)
		}
	}
	return out
}

func (f *far) name(d Digest) ShortID { return f.id(&d) }

func (f *far) inv(class byte, ds ...Digest) {
	var ids []ShortID
	for _, d := range ds {
		ids = append(ids, f.name(d))
	}
	f.says(&IDs{Type: typeInv, Class: class, IDs: ids})
}

// data is record n of a class, with its digest.
func (l *lab) data(class byte, n int) (Digest, []byte) {
	b := binary.BigEndian.AppendUint64(nil, uint64(n))
	return l.store.w.name(class, b), b
}

// score is what a peer has against it.
func (l *lab) score(rid record.RID) int {
	if s := l.m.standings[rid]; s != nil {
		return s.score
	}
	return 0
}

// callers returns relays that may call the lab's machine, and some that may not.
func (l *lab) callers() (may, not []record.RID) {
	for _, r := range l.view.Relays {
		switch {
		case r.RID == ridOf(0) || slices.Contains(l.m.assigned, r.RID) || slices.Contains(l.m.private, r.RID):
		case MayCall(l.view.Beacon, r.RID, ridOf(0), l.view.Relays):
			may = append(may, r.RID)
		default:
			not = append(not, r.RID)
		}
	}
	return may, not
}

// report returns the effects of a kind that were not looked at yet.
func report[E Effect](l *lab) (out []E) {
	l.others = slices.DeleteFunc(l.others, func(e Effect) bool {
		x, ok := e.(E)
		if ok {
			out = append(out, x)
		}
		return ok
	})
	return out
}
