// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"chive/directory"
	"chive/directory/gossip"
	"chive/link"
)

// nowhere is a network that leads nowhere.
type nowhere struct{}

var errNoNetwork = errors.New("no network")

func (nowhere) Dial(context.Context, netip.AddrPort) (net.Conn, error) { return nil, errNoNetwork }
func (nowhere) Listen(netip.AddrPort) (net.Listener, error)            { return nil, errNoNetwork }

// stranger links to the first relay as a relay that is on no list.
func (w *town) stranger() *link.Link {
	w.t.Helper()
	key := ed25519.NewKeyFromSeed(append(make([]byte, 31), 99))
	id, err := link.NewIdentity(rand.Reader, w.doc.NetworkID(), key, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	host := w.net.Host(netip.AddrFrom4([4]byte{13, 0, 0, 9}))
	l, err := link.Dial(context.Background(), host, townAddr(0), link.Config{NetworkID: w.doc.NetworkID(), Identity: id, Rand: rand.Reader})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = l.Close() })
	return l
}

// gossip opens a gossip stream.
func (w *town) gossip(l *link.Link) *link.Stream {
	w.t.Helper()
	st, err := l.Open(link.StreamGossip)
	if err != nil {
		w.t.Fatal(err)
	}
	return st
}

// ended reports that a stream is closed by the other side within a time.
func ended(st *link.Stream, within time.Duration) bool {
	_ = st.SetReadDeadline(time.Now().Add(within))
	buf := make([]byte, 4096)
	for {
		if _, err := st.Read(buf); err != nil {
			var late net.Error
			return !(errors.As(err, &late) && late.Timeout())
		}
	}
}

// TestGossipIsForRelays: a client's stream is closed, a relay's answered with HELLO.
func TestGossipIsForRelays(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		if !ended(w.gossip(w.client()), time.Second) {
			t.Error("a client may gossip")
		}
		st := w.gossip(w.stranger())
		_ = st.SetReadDeadline(time.Now().Add(time.Second))
		body, err := gossip.ReadFrame(st)
		if err != nil {
			t.Fatal(err)
		}
		if f, err := gossip.DecodeFrame(body); err != nil {
			t.Error(err)
		} else if h, ok := f.(*gossip.Hello); !ok || h.NetworkID != w.doc.NetworkID() {
			t.Errorf("the first frame is %T", f)
		}
	})
}

// TestBrokenFramesEndTheStream and not the link.
func TestBrokenFramesEndTheStream(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		l := w.stranger()
		for _, size := range []uint32{0, gossip.MaxFrameSize + 1, 1<<32 - 1} {
			st := w.gossip(l)
			if _, err := st.Write(binary.BigEndian.AppendUint32(nil, size)); err != nil {
				t.Fatal(err)
			}
			if !ended(st, time.Second) {
				t.Errorf("a frame of %d bytes passes", size)
			}
		}
		if l.Err() != nil {
			t.Error("the link is gone:", l.Err())
		}
	})
}

// TestGossipStreamsOfALinkAreBounded: to one, of a relay that is on no list.
func TestGossipStreamsOfALinkAreBounded(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		l := w.stranger()
		var all []*link.Stream
		for range 10 * maxGossipPerLink {
			st := w.gossip(l)
			if _, err := st.Write([]byte{0}); err != nil {
				t.Fatal(err)
			}
			all = append(all, st)
		}
		open := 0
		for _, st := range all {
			if !ended(st, 10*time.Millisecond) {
				open++
			}
		}
		if open > 1 { // who is on no list has one
			t.Errorf("%d streams are open", open)
		}
	})
}

// TestAStreamWhosePeerDoesNotReadIsClosed when its queue is full, by frames or bytes,
// and the machine hears of it. Spec: GOS-12.
func TestAStreamWhosePeerDoesNotReadIsClosed(t *testing.T) {
	for _, size := range []int{1, 60 << 10} {
		inTown(t, func(t *testing.T, w *town) {
			st := w.gossip(w.stranger())
			s := &gossipStream{r: w.relay, st: st, number: 5, wake: make(chan struct{}, 1)} // without a writer
			d := &replica{r: w.relay, streams: map[uint64]*gossipStream{5: s}}
			held := 0
			for d.streams[5] != nil {
				d.sent(directory.Send{Link: 5, Body: make([]byte, size)})
				held++
			}
			held--
			if most := min(maxGossipFrames, maxGossipQueue/size); held != most {
				t.Errorf("%d frames of %d bytes were held, want %d", held, size, most)
			}
			if len(d.own) != 1 || d.own[0] != (directory.LinkDown{Link: 5}) {
				t.Errorf("the machine hears %v", d.own)
			}
			if _, err := st.Write([]byte{0}); err == nil {
				t.Error("the stream is open")
			}
			if got := w.relay.Status().Directory.Gossip.ClosedFull; got != 1 {
				t.Errorf("%d were counted", got)
			}
			d.sent(directory.Send{Link: 5}) // too late, and nothing happens
		})
	}
}

// TestStreamsBeyondTheBoundAreClosed before the machine hears of them: there are twice as
// many as the machine keeps. Spec: GOS-2.
func TestStreamsBeyondTheBoundAreClosed(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		d, err := w.relay.newReplica()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		d.ctx = ctx // what it opens comes to nothing
		defer d.tasks.Wait()
		for n := range uint64(2 * gossip.MaxPeers) {
			d.streams[1000+n] = &gossipStream{r: w.relay}
		}
		st := w.gossip(w.stranger())
		more := &gossipStream{r: w.relay, st: st, number: 5, wake: make(chan struct{}, 1)}
		if d.take(input{event: directory.LinkUp{Link: 5}, stream: more}); d.streams[5] != nil || len(d.streams) != 2*gossip.MaxPeers {
			t.Errorf("%d streams", len(d.streams))
		}
		if _, err := st.Write([]byte{0}); err == nil {
			t.Error("the stream is open")
		}
		delete(d.streams, 1000)
		st = w.gossip(w.stranger())
		more = &gossipStream{r: w.relay, st: st, number: 6, wake: make(chan struct{}, 1)}
		if d.take(input{event: directory.LinkUp{Link: 6}, stream: more}); d.streams[6] != more {
			t.Error("one that there is room for is not taken")
		}
	})
}

// TestInputsBeyondTheBoundWait for the loop: what it can do without is turned away.
func TestInputsBeyondTheBoundWait(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		d, err := w.relay.newReplica()
		if err != nil {
			t.Fatal(err)
		}
		for n := range 128 {
			if !d.offer(input{}) {
				t.Fatalf("%d wait", n)
			}
		}
		if d.offer(input{}) {
			t.Error("129 wait")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if d.ctx = ctx; d.send(input{}) {
			t.Error("who waits is told that the loop was told, when it has ended")
		}
	})
}

// TestAStreamEndsBehindWhatIsQueued, or after a few seconds if nobody reads that.
func TestAStreamEndsBehindWhatIsQueued(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		stop := w.next(func(*link.Stream) {})
		defer stop()
		l := w.client()
		for _, frames := range []int{3, 40} { // the second more than a window
			st, err := l.Open(link.StreamDirectory)
			if err != nil {
				t.Fatal(err)
			}
			s := &gossipStream{r: w.relay, st: st, wake: make(chan struct{}, 1)}
			for range frames {
				if !s.put(make([]byte, 16<<10)) {
					t.Fatal("full")
				}
			}
			s.finish()
			s.put([]byte("too late"))
			began := time.Now()
			s.write()
			if took := time.Since(began); took > 2*gossipFarewell {
				t.Errorf("it took %v", took)
			}
			if len(s.queue) != 0 || !s.over {
				t.Errorf("%d frames are left", len(s.queue))
			}
		}
	})
}
