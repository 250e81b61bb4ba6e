// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Limits of a Listener. Spec: security B1-B3
const (
	// MaxHandshakes bounds handshakes under way; the oldest goes.
	MaxHandshakes = 256
	// MaxAddressHandshakes bounds those of one client address (IPv6: /64); the
	// oldest of that address goes.
	MaxAddressHandshakes = 8
	// MaxAddressLinks bounds client links of one address; a further one is refused.
	// Who proves an identity that Config.Known does not know is a client here.
	MaxAddressLinks = 50
	// ReservedDescriptors are kept from accepted connections: for state, the
	// control socket, and links that we dial.
	ReservedDescriptors = 64

	minPause   = 5 * time.Millisecond
	maxPause   = time.Second
	readyLinks = 64 // established, waiting for Accept
)

// ListenerConfig says how a Listener works.
type ListenerConfig struct {
	// Link returns the configuration of the next handshake, so that link keys
	// can change while it runs. It must have an Identity.
	Link func() Config
	// NoAddressLimits switches the limits per address off, for networks where
	// all nodes share one.
	NoAddressLimits bool
	// MaxLinks bounds the links; 0 means MaxLinks. At the cap the client link
	// that has been without streams longest goes, else the newcomer.
	MaxLinks int
}

// Listener accepts links: it runs handshakes side by side, within bounds, and
// hands out those that succeed. It is safe for concurrent use.
//
// Spec: protocol §1, security B1-B3
type Listener struct {
	cfg    ListenerConfig
	ln     net.Listener
	ready  chan *Link
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu         sync.Mutex
	closed     bool
	handshakes []*attempt // oldest first
	links      map[*Link]origin
	clients    map[netip.Addr]int // client links of an address
	refused    int64
	scarce     time.Time // when descriptors were last too few; zero: never
}

// origin is where a link came from.
type origin struct {
	addr   netip.Addr
	client bool // counted as one of the address's
}

// attempt is one handshake under way.
type attempt struct {
	addr netip.Addr
	conn net.Conn
}

// NewListener accepts connections of ln, which is the Listener's from now on,
// until Close.
func NewListener(ln net.Listener, cfg ListenerConfig) *Listener {
	if cfg.MaxLinks <= 0 {
		cfg.MaxLinks = MaxLinks
	}
	l := &Listener{
		cfg:     cfg,
		ln:      ln,
		ready:   make(chan *Link, readyLinks),
		links:   make(map[*Link]origin),
		clients: make(map[netip.Addr]int),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.tasks.Add(1)
	go l.run()
	return l
}

// AddrPort returns the address it listens at, the zero value if the transport
// has none of that kind.
func (l *Listener) AddrPort() netip.AddrPort { return addrPort(l.ln.Addr()) }

// Accept waits for the next link whose handshake succeeded. It fails with
// ErrClosed after Close, and with ctx's error.
func (l *Listener) Accept(ctx context.Context) (*Link, error) {
	select {
	case link := <-l.ready:
		return link, nil
	default:
	}
	select {
	case link := <-l.ready:
		return link, nil
	case <-l.ctx.Done():
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Refused returns how many connections and handshakes ended at a cap.
func (l *Listener) Refused() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused
}

// Len returns the links that are up and the handshakes under way.
func (l *Listener) Len() (links, handshakes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.links), len(l.handshakes)
}

// Close stops accepting, ends handshakes under way and closes links that nobody
// accepted. Accepted links go on.
func (l *Listener) Close() error {
	l.mu.Lock()
	l.closed = true
	under := l.handshakes
	l.handshakes = nil
	l.mu.Unlock()
	l.cancel()
	l.ln.Close()
	for _, a := range under {
		a.conn.Close()
	}
	l.tasks.Wait()
	for {
		select {
		case link := <-l.ready:
			link.Close()
		default:
			return nil
		}
	}
}

// run accepts connections. While it cannot, for want of descriptors mostly, it
// pauses, longer each time.
func (l *Listener) run() {
	defer l.tasks.Done()
	pause := time.Duration(0)
	for {
		conn, err := l.ln.Accept()
		if err == nil && scarce(conn) {
			conn.Close()
			l.short()
			err = ErrDescriptors
		}
		if err == nil {
			pause = 0
			l.admit(conn)
			continue
		}
		if l.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return
		}
		if isDescriptors(err) {
			l.short()
		}
		pause = max(minPause, min(2*pause, maxPause))
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-l.ctx.Done():
			t.Stop()
			return
		}
	}
}

// short counts a connection that there was no descriptor for.
func (l *Listener) short() {
	l.mu.Lock()
	l.refused++
	l.scarce = time.Now()
	l.mu.Unlock()
}

// Scarce returns when a connection was last refused because descriptors were too few; zero: never.
func (l *Listener) Scarce() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.scarce
}

// admit starts a handshake within the caps.
func (l *Listener) admit(conn net.Conn) {
	a := &attempt{conn: conn, addr: prefix(addrPort(conn.RemoteAddr()).Addr())}
	l.mu.Lock()
	if l.closed || l.clients[a.addr] >= MaxAddressLinks && l.limited(a.addr) {
		l.refused++
		l.mu.Unlock()
		conn.Close()
		return
	}
	goes := l.evictLocked(a.addr)
	l.handshakes = append(l.handshakes, a)
	l.mu.Unlock()
	if goes != nil {
		goes.conn.Close()
	}
	l.tasks.Add(1)
	go l.handshake(a)
}

// limited reports whether an address has limits of its own.
func (l *Listener) limited(addr netip.Addr) bool { return addr.IsValid() && !l.cfg.NoAddressLimits }

// evictLocked removes the handshake that must go for one more from addr.
func (l *Listener) evictLocked(addr netip.Addr) *attempt {
	oldest, n := -1, 0
	if l.limited(addr) {
		for i, a := range l.handshakes {
			if a.addr == addr {
				if n++; oldest < 0 {
					oldest = i
				}
			}
		}
	}
	switch {
	case n >= MaxAddressHandshakes:
	case len(l.handshakes) >= MaxHandshakes:
		oldest = 0
	default:
		return nil
	}
	a := l.handshakes[oldest]
	l.handshakes = append(l.handshakes[:oldest:oldest], l.handshakes[oldest+1:]...)
	l.refused++
	return a
}

func (l *Listener) handshake(a *attempt) {
	defer l.tasks.Done()
	link, err := Server(l.ctx, a.conn, l.cfg.Link())
	l.mu.Lock()
	for i := range l.handshakes {
		if l.handshakes[i] == a {
			l.handshakes = append(l.handshakes[:i:i], l.handshakes[i+1:]...)
			break
		}
	}
	if err != nil {
		l.mu.Unlock()
		return
	}
	goes, ok := l.placeLocked(link, a.addr)
	l.mu.Unlock()
	if goes != nil {
		goes.Close()
	}
	if !ok {
		link.Close()
		return
	}
	link.whenEnded(func() {
		l.mu.Lock()
		l.forgetLocked(link)
		l.mu.Unlock()
	})
	select {
	case l.ready <- link:
	case <-l.ctx.Done():
		link.Close()
	}
}

// placeLocked enters a link within the caps; another may have to go for it.
func (l *Listener) placeLocked(link *Link, addr netip.Addr) (goes *Link, ok bool) {
	client := !link.isRelay()
	if l.closed || client && l.limited(addr) && l.clients[addr] >= MaxAddressLinks {
		l.refused++
		return nil, false
	}
	if len(l.links) >= l.cfg.MaxLinks {
		l.refused++
		if goes = l.idlestLocked(); goes == nil {
			return nil, false
		}
		l.forgetLocked(goes)
	}
	l.links[link] = origin{addr, client}
	if client {
		l.clients[addr]++
	}
	return goes, true
}

// idlestLocked returns the client link that has been without streams longest.
func (l *Listener) idlestLocked() (idlest *Link) {
	var since time.Time
	for link := range l.links {
		if link.known.Load() {
			continue
		}
		open, at := link.Streams()
		if open == 0 && (idlest == nil || at.Before(since)) {
			idlest, since = link, at
		}
	}
	return idlest
}

func (l *Listener) forgetLocked(link *Link) {
	from, ok := l.links[link]
	if !ok {
		return
	}
	delete(l.links, link)
	if from.client {
		if l.clients[from.addr]--; l.clients[from.addr] <= 0 {
			delete(l.clients, from.addr)
		}
	}
}

// addrPort returns the address of a TCP endpoint, else the zero value.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// prefix is what counts as one address: an IPv4 address, an IPv6 /64.
func prefix(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}
