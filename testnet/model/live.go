// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"chive/directory"
	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/gossip"
	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/directory/transition"
	"chive/link"
)

// Bounds of a live world.
const (
	liveQueue   = 4096             // frames that wait for a process to read; events that wait for the loop
	livePort    = 19240            // of every relay, each at an address of its own in 127.0.0.0/8
	liveDial    = 10 * time.Second // one dial with its handshake
	liveDetails = 64               // events between two looks at the clock
)

// live is a world in real time, some of whose relays are real processes: its machines
// are at the addresses of their relays, over real links. Machines among each other stay
// in the world's queue. The loop owns the world; what arrives from processes comes to
// it as functions.
type live struct {
	w      *world
	ctx    context.Context
	cancel context.CancelFunc
	in     chan func()
	tasks  sync.WaitGroup
	ids    []*link.Identity
	serve  atomic.Pointer[dirsync.Server]
	served uint64 // epoch of the newest state that is served
	lns    []*link.Listener
	errs   uint64 // dials to processes that failed
}

// process is a relay of a live world that is a real process.
type process struct {
	l *live
	n *node

	mu    sync.Mutex
	links map[*node]*link.Link

	linked  int // gossip streams that came up
	probes  int // of this process, by members
	in, out [16]int
	bytesIn int
	bytes   int // from it
}

// farStream is the world's end of a gossip stream with a process.
type farStream struct {
	p    *process
	st   *link.Stream
	out  chan []byte
	link uint32 // the loop's
	over bool   // same
}

// liveAddress is where relay n is: 127.x.y.z, so that a network of the made-up world is
// a group here too.
func liveAddress(p *person) netip.AddrPort {
	a := p.address.Addr().As4()
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, a[1], a[2], a[3] + a[0] - 20}), livePort)
}

// newLive makes a network of so many relays that has been agreed on its table for some
// epochs until now, of which those that choose names are processes. choose is given
// which relays sit on the committees of the first term.
func newLive(t task, p genesis.Params, choose func(seats []seat) []int) (*live, error) {
	all := people(t.seed, t.relays)
	for _, who := range all {
		who.address = liveAddress(who)
	}
	w, err := liveWorld(t, p, all, 0, choose)
	if err != nil {
		return nil, err
	}
	// Now that it is known how many epochs that takes, again with the last of them now.
	epochs := w.before.epoch()
	if w, err = liveWorld(t, p, all, epochs, choose); err != nil {
		return nil, err
	}
	if w.before.epoch() != epochs {
		return nil, errors.New("model: the network's first epochs took another number of them")
	}
	l := &live{w: w, in: make(chan func(), liveQueue)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	server := dirsync.NewServer(w.doc)
	for i, s := range w.before.states[1:] {
		server = server.With(dirsync.Final{State: s, Certificate: w.before.certs[i]})
		l.served = s.Epoch()
	}
	l.serve.Store(server)
	for _, n := range w.nodes {
		if n.away != nil {
			n.away.l = l
			l.ids = append(l.ids, nil)
			continue
		}
		id, err := link.NewIdentity(nil, w.nid, n.identity, time.Now())
		if err != nil {
			return nil, err
		}
		l.ids = append(l.ids, id)
	}
	return l, nil
}

// liveWorld makes a world whose epoch number `epochs` is now.
func liveWorld(t task, p genesis.Params, all []*person, epochs int, choose func(seats []seat) []int) (*world, error) {
	now := time.Now()
	begins := time.Unix(now.Unix()-now.Unix()%int64(p.EpochLen/time.Second), 0)
	doc, err := document(all, p, begins.Add(-time.Duration(epochs)*p.EpochLen))
	if err != nil {
		return nil, fmt.Errorf("model: the genesis document is refused: %w", err)
	}
	for _, who := range all {
		if err := doc.Sign(who.identity); err != nil {
			return nil, err
		}
	}
	w := worldOf(setting{seed: t.seed, relays: t.relays, params: p, warm: true, brief: true, replay: t.replay}, all, doc, t.progress)
	for _, i := range choose(w.seats()) {
		w.nodes[i].away = &process{n: w.nodes[i], links: map[*node]*link.Link{}}
	}
	w.now = now.UnixNano()
	w.warmUp(func(who *person) bool { return w.nodes[who.n].away == nil })
	w.now = now.UnixNano()
	w.check.begin()
	return w, nil
}

// listen takes links at the addresses of all relays that are machines.
func (l *live) listen() error {
	for _, n := range l.w.nodes {
		if n.away != nil {
			continue
		}
		tcp, err := net.Listen("tcp", n.address.String())
		if err != nil {
			return fmt.Errorf("model: nobody can listen at 127.0.0.0/8, port %d: only Linux has all of it, and one such run at a time: %w", livePort, err)
		}
		ln := link.NewListener(tcp, link.ListenerConfig{Link: func() link.Config { return l.config(n) }, NoAddressLimits: true})
		l.lns = append(l.lns, ln)
		l.tasks.Go(func() {
			for {
				lk, err := ln.Accept(l.ctx)
				if err != nil {
					return
				}
				l.tasks.Go(func() { l.accepted(n, lk) })
			}
		})
	}
	return nil
}

// config is a machine's side of a link.
func (l *live) config(n *node) link.Config {
	return link.Config{NetworkID: l.w.nid, Identity: l.ids[n.n], HalfLife: l.w.doc.Params.EWMAHalfLife, Known: func(id ed25519.PublicKey) bool {
		return l.w.byRID[record.NewRID(l.w.nid, id)] != nil // never written once the loop runs
	}}
}

// close ends all links and waits for everything of them.
func (l *live) close() {
	l.cancel()
	for _, ln := range l.lns {
		_ = ln.Close()
	}
	l.tasks.Wait()
}

// post has the loop do something.
func (l *live) post(do func()) {
	select {
	case l.in <- do:
	case <-l.ctx.Done():
	}
}

// until lets real time pass. each is called about every second.
func (l *live) until(ctx context.Context, end time.Time, each func() (done bool, err error)) error {
	w := l.w
	next := time.Now()
	for {
		now := time.Now()
		for range liveDetails {
			if w.queue.len() == 0 || w.queue.all[0].at > now.UnixNano() {
				break
			}
			e := w.queue.pop()
			w.now = max(w.now, e.at)
			w.events++
			w.handle(&e)
		}
		w.buffer = w.buffer[:0] // there is no trace: nothing here can be repeated
		wait := time.Second
		if w.queue.len() > 0 {
			wait = min(wait, time.Duration(w.queue.all[0].at-time.Now().UnixNano()))
		}
		if wait > 0 {
			w.now = max(w.now, time.Now().UnixNano())
		}
		for more := true; more; wait = 0 { // what has arrived, at least
			timer := time.NewTimer(max(0, wait))
			select {
			case do := <-l.in:
				do()
			case <-timer.C:
				more = false
			case <-ctx.Done():
				timer.Stop()
				return ctx.Err()
			}
			timer.Stop()
		}
		if now = time.Now(); now.After(next) {
			next = now.Add(time.Second)
			l.follow()
			if each != nil {
				if done, err := each(); done || err != nil {
					return err
				}
			}
		}
		if !now.Before(end) {
			return nil
		}
	}
}

// lag is how far the world is behind real time.
func (l *live) lag() time.Duration {
	if l.w.queue.len() == 0 {
		return 0
	}
	return max(0, time.Duration(time.Now().UnixNano()-l.w.queue.all[0].at))
}

// follow serves clients what a machine has found.
func (l *live) follow() {
	for _, n := range l.w.nodes {
		if n.up && n.head.State != nil && n.head.State.Epoch() > l.served {
			l.served = n.head.State.Epoch()
			l.serve.Store(l.serve.Load().With(dirsync.Final{State: n.head.State, Certificate: n.head.Certificate, Steps: n.head.Steps}))
			return
		}
	}
}

// accepted serves a link that was made to a machine.
func (l *live) accepted(n *node, lk *link.Link) {
	id, isRelay := lk.Peer()
	var p *process
	if peer := l.w.byRID[record.NewRID(l.w.nid, id)]; isRelay && peer != nil {
		if p = peer.away; p != nil {
			p.keep(n, lk)
		}
	}
	l.serveLink(n, p, lk)
}

// serveLink answers the streams of a link, with a process or a client: p is nil then.
func (l *live) serveLink(n *node, p *process, lk *link.Link) {
	stop := context.AfterFunc(l.ctx, func() { _ = lk.Close() })
	defer stop()
	if p != nil {
		l.post(func() {
			if n.up {
				n.step(directory.Contact{RID: p.n.rid})
			}
		})
	}
	var streams sync.WaitGroup
	defer streams.Wait()
	for {
		st, kind, err := lk.Accept()
		if err != nil {
			return
		}
		streams.Go(func() {
			defer st.Close()
			switch {
			case kind == link.StreamGossip && p != nil:
				p.stream(n, st, true)
			case kind == link.StreamDirectory:
				l.answer(p, st)
			}
		})
	}
}

// answer serves a directory stream, as relays do; who asks to be dialled back is.
func (l *live) answer(p *process, st *link.Stream) {
	for {
		body, err := dirsync.ReadRequest(st)
		if err != nil {
			return
		}
		var reply []byte
		if q, err := dirsync.DecodeRequest(body); err == nil && q.Code == dirsync.CodeReach && p != nil {
			reach := dirsync.ReachRefused
			if q.Address == p.n.address && p.reached() == nil {
				reach = dirsync.Reached
			}
			reply = dirsync.Reply(reach, p.n.address.Addr())
		} else {
			reply, _ = l.serve.Load().Answer(time.Now(), body)
		}
		if _, err := st.Write(reply); err != nil {
			return
		}
	}
}

// reached dials the process with a throw-away key, as probes do.
func (p *process) reached() error {
	ctx, cancel := context.WithTimeout(p.l.ctx, liveDial)
	defer cancel()
	lk, err := link.Dial(ctx, link.TCP{}, p.n.address, link.Config{NetworkID: p.l.w.nid, Verify: p.expect})
	if err == nil {
		_ = lk.Close()
	}
	return err
}

var errNotTheProcess = errors.New("model: another relay answered")

func (p *process) expect(id ed25519.PublicKey) error {
	if record.NewRID(p.l.w.nid, id) != p.n.rid {
		return errNotTheProcess
	}
	return nil
}

// probed is a member's probe of the process.
func (p *process) probed(n *node, id uint64) {
	p.probes++
	life := n.life
	p.l.tasks.Go(func() {
		err := p.reached()
		p.l.post(func() {
			if n.up && n.life == life {
				n.step(directory.ProbeDone{ID: id, OK: err == nil})
			}
		})
	})
}

// keep remembers the newest link between a machine and the process.
func (p *process) keep(n *node, lk *link.Link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links[n] = lk
}

// called is a machine's call: over the link that is up, or over a new one.
func (p *process) called(n *node) {
	life := n.life
	p.l.tasks.Go(func() {
		st, err := p.open(n)
		if err != nil {
			p.l.post(func() {
				if p.l.errs++; n.up && n.life == life {
					n.step(directory.DialFailed{RID: p.n.rid})
				}
			})
			return
		}
		defer st.Close()
		p.stream(n, st, false)
	})
}

func (p *process) open(n *node) (*link.Stream, error) {
	p.mu.Lock()
	lk := p.links[n]
	p.mu.Unlock()
	if lk != nil {
		if st, err := lk.Open(link.StreamGossip); err == nil {
			return st, nil
		}
	}
	ctx, cancel := context.WithTimeout(p.l.ctx, liveDial)
	defer cancel()
	cfg := p.l.config(n)
	cfg.Verify = p.expect
	lk, err := link.Dial(ctx, link.TCP{}, p.n.address, cfg)
	if err != nil {
		return nil, err
	}
	p.keep(n, lk)
	p.l.tasks.Go(func() { p.l.serveLink(n, p, lk) })
	return lk.Open(link.StreamGossip)
}

// stream carries frames between a machine and the process until either ends it.
func (p *process) stream(n *node, st *link.Stream, inbound bool) {
	s := &farStream{p: p, st: st, out: make(chan []byte, liveQueue)}
	stop := context.AfterFunc(p.l.ctx, func() { st.Close() })
	defer stop()
	w := p.l.w
	p.l.post(func() {
		if !n.up {
			s.over = true
			close(s.out)
			return
		}
		p.linked++
		x := &wire{node: [2]*node{n, p.n}, far: s, session: st.Link().HandshakeHash()}
		w.wires = append(w.wires, x)
		s.link = uint32(2 * (len(w.wires) - 1))
		n.linked(s.link, x, inbound)
	})
	p.l.tasks.Go(func() {
		defer st.Close()
		for {
			select {
			case body, more := <-s.out:
				if !more {
					return
				}
				if _, err := st.Write(gossip.AppendFrame(nil, body)); err != nil {
					return
				}
			case <-p.l.ctx.Done():
				return
			}
		}
	})
	in := bufio.NewReader(st)
	for {
		body, err := gossip.ReadFrame(in)
		if err != nil {
			break
		}
		p.l.post(func() {
			if s.over {
				return
			}
			p.count(&p.out, &p.bytes, body)
			w.spread.arrives(n, body)
			n.step(directory.Frame{Link: uint64(s.link), Body: body})
		})
	}
	p.l.post(func() {
		if s.over {
			return
		}
		s.finish()
		if x := w.wires[s.link/2]; x != nil {
			w.wires[s.link/2] = nil
			n.drop(s.link)
			n.step(directory.LinkDown{Link: uint64(s.link)})
		}
	})
}

func (p *process) count(by *[16]int, bytes *int, body []byte) {
	if len(body) > 1 {
		by[body[1]%16]++
	}
	*bytes += len(body) + 4
}

// put sends a frame to the process. The loop's.
func (s *farStream) put(body []byte) {
	if s.over {
		return
	}
	s.p.count(&s.p.in, &s.p.bytesIn, body)
	select {
	case s.out <- body:
	default: // it does not read: the reader notices
		s.st.Close()
	}
}

// finish ends the stream behind what is queued. The loop's.
func (s *farStream) finish() {
	if !s.over {
		s.over = true
		close(s.out)
	}
}

// seat says on which of the first term's committees a relay sits.
type seat struct{ a, b bool }

// seats says it of all relays.
func (w *world) seats() []seat {
	out := make([]seat, len(w.nodes))
	zero := transition.Genesis(w.doc)
	for epoch := uint64(1); epoch <= 5; epoch++ { // each owns one of them at least
		l := zero.Owner(w.doc.Params, epoch)
		for _, s := range l.Seats {
			at := &out[w.byRID[s.RID].n]
			at.a, at.b = at.a || l.Name == committee.A, at.b || l.Name == committee.B
		}
	}
	return out
}
