// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

// Server is the front door of one listener.
type Server struct {
	cfg     Config
	limits  Limits
	gate    *Gate
	lookups *Lookups
	automap *Automap

	small, large bufferPool
	bareLine     rarely
	acceptLine   rarely
	panicLine    rarely

	count struct {
		accepted, refused, streams, failed, names, bare, datagramsDropped, datagramsTooLarge, panics atomic.Uint64
	}
}

// Counts are totals since the server was made.
type Counts struct {
	Accepted         uint64 // connections
	Refused          uint64 // connections that ended without a complete request
	Streams          uint64 // streams connected
	Failed           uint64 // requests that were answered with a failure
	Names            uint64 // targets and look-ups that came as a name
	BareAddresses    uint64 // addresses that were not looked up through chive
	DatagramsDropped uint64 // UDP datagrams of programs that went nowhere
	// DatagramsTooLarge are those of DatagramsDropped that had more than MaxDatagram bytes.
	DatagramsTooLarge uint64
	Panics            uint64 // goroutines that were stopped by a fault of ours
}

// New checks cfg and returns a server that has done nothing yet. ErrConfig: no
// Dialer, or a negative limit.
func New(cfg Config) (*Server, error) {
	if cfg.Dialer == nil || !cfg.Limits.fill() {
		return nil, ErrConfig
	}
	s := &Server{cfg: cfg, limits: cfg.Limits, gate: cfg.Gate, lookups: cfg.Lookups, automap: cfg.Automap}
	if s.gate == nil {
		s.gate = NewGate(cfg.Limits.Handshakes, cfg.Limits.Streams)
	}
	if s.lookups == nil {
		s.lookups = new(Lookups)
	}
	if s.automap == nil {
		s.automap = NewAutomap(nil)
	}
	s.small.size, s.large.size = smallBuffer, largeBuffer
	return s, nil
}

// Counts returns the totals.
func (s *Server) Counts() Counts {
	return Counts{
		Accepted: s.count.accepted.Load(), Refused: s.count.refused.Load(), Streams: s.count.streams.Load(),
		Failed: s.count.failed.Load(), Names: s.count.names.Load(), BareAddresses: s.count.bare.Load(),
		DatagramsDropped: s.count.datagramsDropped.Load(), DatagramsTooLarge: s.count.datagramsTooLarge.Load(), Panics: s.count.panics.Load(),
	}
}

// Serve accepts connections on l until ctx ends, then resets those that are
// open, waits for every goroutine and returns nil. It closes l. ErrRemote: l is
// not loopback nor a unix socket and the options do not allow that. ErrAccept:
// l was closed by somebody else. A listener whose Accept returns io.EOF has no more
// to give: Serve waits for those that are open, and returns nil when they have ended
// or ctx has. Serve may run on several listeners at once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	remote := !isLocal(l.Addr())
	if remote && !s.cfg.AllowRemote {
		l.Close()
		return ErrRemote
	}
	if remote {
		s.cfg.Log.Warn().Str("event", "remote_listener").Msg(
			"this listener serves other machines, and everyone who reaches it: prefer loopback, or keep strangers out by a firewall")
	}
	ctx, cancel := context.WithCancel(ctx)
	sessions := sessionSet{open: make(map[*session]struct{})}
	var wg, end sync.WaitGroup
	end.Go(func() {
		<-ctx.Done()
		l.Close()
		sessions.end()
	})
	err := s.accept(ctx, l, &sessions, &wg)
	if err == io.EOF {
		l.Close()
		wg.Wait()
		err = nil
	}
	cancel()
	end.Wait()
	wg.Wait()
	return err
}

func (s *Server) accept(ctx context.Context, l net.Listener, sessions *sessionSet, wg *sync.WaitGroup) error {
	pause := time.Duration(0)
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			switch {
			case err == io.EOF:
				return io.EOF
			case errors.Is(err, net.ErrClosed):
				return ErrAccept
			}
			// Out of file descriptors, or a connection that died in the queue.
			pause = min(max(2*pause, acceptPauseMin), acceptPauseMax)
			if pause == acceptPauseMax && s.acceptLine.due(time.Now()) {
				s.cfg.Log.Warn().Str("event", "accept_failed").Msg(
					"connections cannot be accepted: the limit of open files may be reached; raise it")
			}
			if !waitFor(ctx, pause) {
				return nil
			}
			continue
		}
		pause = 0
		s.count.accepted.Add(1)
		// The slot is taken after Accept, so that an idle listener holds none.
		if !s.gate.enter(ctx) {
			conn.Close()
			return nil
		}
		c := newSession(ctx, s, conn)
		c.shaking = true
		wg.Go(func() { s.run(c, sessions) })
	}
}

// run is a session's own goroutine.
func (s *Server) run(c *session, sessions *sessionSet) {
	defer s.gate.leave()
	defer sessions.remove(c)
	defer c.releaseHandshake()
	defer c.children.Wait()
	defer c.end(false)
	defer s.recovered(c)
	if !sessions.add(c) {
		c.abort()
		return
	}
	s.sniff(c)
}

// sniff tells the protocol by the first byte.
//
// Spec: product §4.1 (SOCKS-1).
func (s *Server) sniff(c *session) {
	c.client.SetDeadline(time.Now().Add(s.limits.HandshakeTimeout))
	if c.in.fill(feedStart) != nil {
		s.count.refused.Add(1)
		return
	}
	switch b := c.in.buffered()[0]; {
	case b == socks4Version:
		s.serveSOCKS4(c)
	case b == socks5Version:
		s.serveSOCKS5(c)
	case b >= 'A' && b <= 'Z':
		s.serveHTTP(c)
	default:
		s.count.refused.Add(1)
	}
}

// isLocal reports a listener that only this machine reaches.
//
// Spec: product §4.1 (SOCKS-2).
func isLocal(a net.Addr) bool {
	return a.Network() == "unix" || plain(addrOf(a).Addr()).IsLoopback()
}

func waitFor(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// recovered stands at the root of each of a session's goroutines: a fault of
// ours ends that connection and is counted; its place in the code is all that
// is said (security LOG-7).
func (s *Server) recovered(c *session) {
	if recover() == nil {
		return
	}
	s.count.panics.Add(1)
	at := faultPlace()
	c.abort()
	if s.panicLine.due(time.Now()) {
		s.cfg.Log.Error().Str("event", "panic").Str("function", at).Msg("a connection was ended by a fault in chive: please report it")
	}
}

// faultPlace names the first function of this package under the panic.
func faultPlace() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "runtime.") || !more {
			return f.Function
		}
	}
}

// sessionSet holds the open sessions of one Serve.
type sessionSet struct {
	mu     sync.Mutex
	closed bool
	open   map[*session]struct{}
}

func (t *sessionSet) add(c *session) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.open[c] = struct{}{}
	return true
}

func (t *sessionSet) remove(c *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, c)
}

func (t *sessionSet) end() {
	t.mu.Lock()
	t.closed = true
	open := make([]*session, 0, len(t.open))
	for c := range t.open {
		open = append(open, c)
	}
	t.mu.Unlock()
	for _, c := range open {
		c.abort()
	}
}
