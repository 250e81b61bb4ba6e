// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"bufio"
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"chive/directory"
	"chive/directory/gossip"
	"chive/directory/record"
	"chive/link"
)

// Limits of gossip streams. Spec: protocol §7 (GOS-2, GOS-12).
const (
	maxGossipStreams = 2 * gossip.MaxPeers // those that come up while others are judged are in it
	maxGossipPerLink = 4                   // inbound ones of one link
	maxGossipOpening = gossip.MaxPeers     // dials for gossip under way
	// maxGossipFrames and maxGossipQueue bound what waits for one stream's peer to read,
	// in frames and bytes: twice what a peer may ask for at once (GOS-7). The stream of a
	// peer that lets it fill is closed.
	maxGossipFrames = 4096
	maxGossipQueue  = 1 << 20
	gossipFarewell  = 5 * time.Second // for the last frames of a stream that we close
)

// gossipStream is one gossip stream: its writer, and what waits for it. The loop knows
// it by number.
type gossipStream struct {
	r      *Relay
	st     *link.Stream
	number uint64
	rid    record.RID
	ours   bool      // we opened it
	since  time.Time // the loop's

	mu     sync.Mutex
	queue  [][]byte // frames' CBOR
	bytes  int
	ending bool // the writer ends behind what is queued
	over   bool // nothing more is sent
	wake   chan struct{}
}

// put queues a frame. false: the queue is full, and the stream is to be closed.
func (s *gossipStream) put(body []byte) bool {
	s.mu.Lock()
	if s.ending || s.over {
		s.mu.Unlock()
		return true // nobody waits for it any more
	}
	if len(s.queue) >= maxGossipFrames || s.bytes+len(body) > maxGossipQueue {
		s.mu.Unlock()
		return false
	}
	s.queue = append(s.queue, body)
	s.bytes += len(body)
	s.mu.Unlock()
	s.nudge()
	return true
}

func (s *gossipStream) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// finish ends the stream behind what is queued, abort at once.
func (s *gossipStream) finish() {
	s.mu.Lock()
	s.ending = true
	s.mu.Unlock()
	_ = s.st.SetWriteDeadline(time.Now().Add(gossipFarewell))
	s.nudge()
}

func (s *gossipStream) abort() {
	s.mu.Lock()
	s.over, s.queue, s.bytes = true, nil, 0
	s.mu.Unlock()
	s.st.Close()
	s.nudge()
}

// next waits for frames and returns them in one piece, nil at the stream's end.
func (s *gossipStream) next() []byte {
	for {
		s.mu.Lock()
		queue, bytes := s.queue, s.bytes
		s.queue, s.bytes = nil, 0
		ending := s.ending || s.over
		s.mu.Unlock()
		if len(queue) > 0 {
			out := make([]byte, 0, bytes+4*len(queue))
			for _, body := range queue {
				out = gossip.AppendFrame(out, body)
				s.r.count.gossipOut.add(body)
			}
			return out
		}
		if ending {
			return nil
		}
		<-s.wake
	}
}

// write sends what is queued until the stream ends.
func (s *gossipStream) write() {
	for out := s.next(); out != nil; out = s.next() {
		if _, err := s.st.Write(out); err != nil {
			break
		}
	}
	s.abort()
}

// gossip runs one stream: it tells the loop that it is up, hands over what is read,
// and tells the loop of the end. It returns when both directions have ended.
func (d *replica) gossip(st *link.Stream, rid record.RID, inbound bool) {
	s := &gossipStream{r: d.r, st: st, number: d.r.numbers.Add(1), rid: rid, ours: !inbound, wake: make(chan struct{}, 1)}
	stop := context.AfterFunc(d.ctx, s.abort)
	defer stop()
	up := directory.LinkUp{Link: s.number, RID: rid, Inbound: inbound, Session: st.Link().HandshakeHash()}
	if inbound {
		up.Source = sourceOf(st.Link().RemoteAddr())
	}
	if !d.send(input{event: up, stream: s}) {
		s.abort()
		return
	}
	var writer sync.WaitGroup
	writer.Go(s.write)
	defer writer.Wait()
	in := bufio.NewReader(st)
	for {
		body, err := gossip.ReadFrame(in)
		if err != nil {
			break
		}
		d.r.count.gossipIn.add(body)
		if !d.send(input{event: directory.Frame{Link: s.number, Body: body}}) {
			break
		}
	}
	s.abort()
	d.send(input{event: directory.LinkDown{Link: s.number}})
}

// sourceOf returns the address of a connection's far end.
func sourceOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// open dials a relay for a gossip stream, over the link to it if there is one. The
// loop calls it and does not wait.
func (d *replica) open(e directory.Open) {
	if !d.redial.may(e.RID) {
		d.own = append(d.own, directory.DialFailed{RID: e.RID})
		return
	}
	select {
	case d.opening <- struct{}{}:
	default:
		d.own = append(d.own, directory.DialFailed{RID: e.RID})
		return
	}
	d.tasks.Go(func() {
		st, err := d.openStream(e.RID, e.Addresses, link.StreamGossip)
		<-d.opening
		if err != nil {
			d.send(input{event: directory.DialFailed{RID: e.RID}})
			return
		}
		d.gossip(st, e.RID, false)
	})
}

// openStream opens a stream to a relay.
func (d *replica) openStream(rid record.RID, addrs []netip.AddrPort, t link.StreamType) (*link.Stream, error) {
	addrs = d.r.permitted(addrs)
	if len(addrs) == 0 || rid == d.r.rid {
		return nil, errNowhere
	}
	ctx, cancel := context.WithTimeout(d.ctx, onwardTimeout)
	defer cancel()
	l, err := d.r.pool.Get(ctx, rid, addrs)
	if err != nil {
		return nil, err
	}
	return l.Open(t)
}

// serveGossip serves a gossip stream that a relay has opened. Clients have none, and
// who is on no list has one: to ask to be let in.
func (n *neighbour) serveGossip(st *link.Stream) {
	defer st.Close()
	d := n.r.replica.Load()
	if n.rid == (record.RID{}) || d == nil {
		return
	}
	select {
	case n.gossips <- struct{}{}:
		defer func() { <-n.gossips }()
		if len(n.gossips) > 1 && !n.r.lists(n.rid) {
			return
		}
		d.gossip(st, n.rid, true)
	default:
	}
}

// sent takes one frame for a stream. One whose peer does not read is closed.
func (d *replica) sent(e directory.Send) {
	s := d.streams[e.Link]
	if s == nil || s.put(e.Body) {
		return
	}
	delete(d.streams, e.Link)
	s.abort()
	d.r.count.gossipFull.Add(1)
	d.own = append(d.own, directory.LinkDown{Link: e.Link})
}

// closed ends a stream as the machine wants.
func (d *replica) closed(e directory.Close) {
	if s := d.streams[e.Link]; s != nil {
		delete(d.streams, e.Link)
		s.finish()
	}
}
