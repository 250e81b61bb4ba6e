// SPDX-License-Identifier: BSD-3-Clause

package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const maxReadErrors = 16 // in a row, before the packet socket counts as broken

// Server is one DNS listener.
type Server struct {
	cfg    Config
	limits Limits

	lookups chan struct{} // look-ups under way
	mapping atomic.Pointer[[]string]

	mu      sync.Mutex
	pending map[pendingKey]struct{} // those that came by UDP: at most as many as lookups holds
	flights map[flightKey]*flight   // likewise

	count struct {
		queries, malformed, names, notFound, failed, busy, panics atomic.Uint64
	}
}

// pendingKey tells a query by UDP from its repetitions.
type pendingKey struct {
	from     netip.AddrPort
	id       uint16
	question dnsmessage.Question
}

// New checks cfg and returns a server that has done nothing yet. ErrConfig: no
// Resolver, or a negative limit.
func New(cfg Config) (*Server, error) {
	if cfg.Resolver == nil || !cfg.Limits.fill() {
		return nil, ErrConfig
	}
	s := &Server{
		cfg: cfg, limits: cfg.Limits,
		lookups: make(chan struct{}, cfg.Limits.Lookups),
		pending: make(map[pendingKey]struct{}), flights: make(map[flightKey]*flight),
	}
	s.SetListeners(cfg.Listeners)
	return s, nil
}

// SetListeners replaces Config.Listeners for the queries that come later.
func (s *Server) SetListeners(names []string) {
	names = slices.Clone(names)
	s.mapping.Store(&names)
}

// Counts returns the totals.
func (s *Server) Counts() Counts {
	return Counts{
		Queries: s.count.queries.Load(), Malformed: s.count.malformed.Load(), Names: s.count.names.Load(),
		NotFound: s.count.notFound.Load(), Failed: s.count.failed.Load(), Busy: s.count.busy.Load(), Panics: s.count.panics.Load(),
	}
}

// Serve answers queries that come by pc and l, either of which may be nil, until
// ctx ends; then it gives up the look-ups under way, waits for every goroutine
// and returns nil. It closes both. ErrSocket: both are nil. ErrRemote: one is not
// loopback nor a unix socket and the configuration does not allow that.
// ErrClosed: one was closed by somebody else or is broken. Serve may run on
// several pairs at once.
func (s *Server) Serve(ctx context.Context, pc net.PacketConn, l net.Listener) error {
	if pc != nil {
		defer pc.Close()
	}
	if l != nil {
		defer l.Close()
	}
	if pc == nil && l == nil {
		return ErrSocket
	}
	if pc != nil && !isLocal(pc.LocalAddr()) || l != nil && !isLocal(l.Addr()) {
		if !s.cfg.AllowRemote {
			return ErrRemote
		}
		s.cfg.Log.Warn().Str("event", "remote_listener").Msg(
			"this DNS listener serves other machines, and everyone who reaches it: prefer loopback, or keep strangers out by a firewall")
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	var tasks sync.WaitGroup
	if pc != nil {
		tasks.Go(func() { end(s.servePackets(ctx, pc, &tasks)) })
		tasks.Go(func() { <-ctx.Done(); pc.Close() })
	}
	if l != nil {
		tasks.Go(func() { end(s.serveStreams(ctx, l, &tasks)) })
		tasks.Go(func() { <-ctx.Done(); l.Close() })
	}
	<-ctx.Done()
	tasks.Wait()
	if errors.Is(context.Cause(ctx), ErrClosed) {
		return ErrClosed
	}
	return nil
}

// servePackets answers queries by UDP: what is known here at once, the others
// each by a goroutine.
func (s *Server) servePackets(ctx context.Context, pc net.PacketConn, tasks *sync.WaitGroup) error {
	buf := make([]byte, maxQuery+1)
	for failures := 0; failures < maxReadErrors; {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return ErrClosed
			}
			failures++ // some systems report a program's closed port here
			continue
		}
		failures = 0
		s.packet(ctx, pc, buf[:n], from, tasks)
	}
	return ErrClosed
}

func (s *Server) packet(ctx context.Context, pc net.PacketConn, b []byte, from net.Addr, tasks *sync.WaitGroup) {
	q, ok := query{}, false
	if len(b) <= maxQuery {
		q, ok = parseQuery(b)
	}
	at := addrOf(from)
	if !ok {
		s.count.malformed.Add(1)
		return
	}
	reply := func(code dnsmessage.RCode, records []record) {
		s.note(code)
		pc.WriteTo(appendReply(nil, &q, code, records, q.payload), from)
	}
	code, records, t, done := s.local(at.Addr(), &q)
	if done {
		reply(code, records)
		return
	}
	key := pendingKey{at, q.id, q.question}
	switch s.begin(key) {
	case repeated:
		return
	case busy:
		reply(dnsmessage.RCodeServerFailure, nil)
		return
	}
	tasks.Go(func() {
		defer s.recovered()
		reply(s.looked(ctx, at.Addr(), t, key))
	})
}

// looked looks up in the place that begin took. The place is free again before
// the answer leaves: a program that has it may ask the same with the same number.
func (s *Server) looked(ctx context.Context, client netip.Addr, t task, key pendingKey) (dnsmessage.RCode, []record) {
	defer s.finish(key)
	return s.lookUp(ctx, client, t)
}

// Results of begin.
type admission byte

const (
	begun admission = iota
	repeated
	busy
)

// begin takes a place for a look-up by UDP. A query that is being looked up
// already is a repetition: its answer is on the way.
func (s *Server) begin(key pendingKey) admission {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.pending[key]; ok {
		return repeated
	}
	select {
	case s.lookups <- struct{}{}:
	default:
		s.count.busy.Add(1)
		return busy
	}
	s.pending[key] = struct{}{}
	return begun
}

func (s *Server) finish(key pendingKey) {
	s.mu.Lock()
	delete(s.pending, key)
	s.mu.Unlock()
	<-s.lookups
}

// note counts an answer.
func (s *Server) note(code dnsmessage.RCode) {
	s.count.queries.Add(1)
	switch code {
	case dnsmessage.RCodeFormatError:
		s.count.malformed.Add(1)
	case dnsmessage.RCodeNameError:
		s.count.notFound.Add(1)
	case dnsmessage.RCodeServerFailure:
		s.count.failed.Add(1)
	}
}

// recovered stands at the root of each goroutine that a query can reach: a fault
// of ours ends that query and is counted; its place in the code is all that is
// said (security LOG-7).
func (s *Server) recovered() {
	if recover() == nil {
		return
	}
	if s.count.panics.Add(1) == 1 {
		s.cfg.Log.Error().Str("event", "panic").Str("function", faultPlace()).Msg("a DNS query was ended by a fault in chive: please report it")
	}
}

// faultPlace names the first function under the panic.
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

// isLocal reports a socket that only this machine reaches.
func isLocal(a net.Addr) bool {
	return strings.HasPrefix(a.Network(), "unix") || addrOf(a).Addr().IsLoopback()
}

// addrOf reads the address out of a net.Addr, unmapped and without zone; invalid
// for unix sockets.
func addrOf(a net.Addr) netip.AddrPort {
	if a == nil {
		return netip.AddrPort{}
	}
	ap, ok := netip.AddrPort{}, false
	if v, is := a.(interface{ AddrPort() netip.AddrPort }); is {
		ap, ok = v.AddrPort(), true
	}
	if !ok {
		var err error
		if ap, err = netip.ParseAddrPort(a.String()); err != nil {
			return netip.AddrPort{}
		}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
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
