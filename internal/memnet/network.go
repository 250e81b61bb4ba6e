// SPDX-License-Identifier: BSD-3-Clause

package memnet

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Defaults of Config.
const (
	DefaultSendQueue = 32 << 10  // bytes accepted from a writer and not yet on the wire
	DefaultWindow    = 256 << 10 // bytes on the wire or not yet read, one direction
)

// Path describes one direction between two hosts. The zero value is a perfect
// path: no delay, no limit.
type Path struct {
	Latency time.Duration // one way
	Jitter  float64       // sigma of a log-normal factor on Latency, clipped at 3 sigma; 0 none
	Rate    int64         // bytes per second of one connection; 0 unlimited
	Loss    float64       // probability that a piece stalls its direction; 0 none
}

// Config says how a Network behaves.
type Config struct {
	// Seed is the source of jitter and loss.
	Seed uint64
	// Path gives the properties of a direction; it is asked once per
	// connection and direction and must be safe for concurrent use. Nil means
	// perfect paths.
	Path func(from, to netip.Addr) Path
	// SendQueue bounds the bytes of a direction that were accepted from a
	// writer and are not yet on the wire, as a socket's unsent limit does.
	// 0 means DefaultSendQueue.
	SendQueue int
	// Window bounds the bytes of a direction that are on the wire or unread.
	// 0 means DefaultWindow; it is raised to twice the bandwidth-delay product.
	Window int
	// Tap, if not nil, sees every piece of every stream and datagram as its
	// sender hands it over, in order for each direction. It must not block
	// and must not keep b.
	Tap func(from, to netip.AddrPort, b []byte)
}

// Network is a set of hosts that can reach one another. Make it with New.
type Network struct {
	cfg  Config
	pool sync.Pool // *[pieceSize]byte

	mu      sync.Mutex
	hosts   map[netip.Addr]*Host
	names   map[string][]netip.Addr
	reverse map[netip.Addr][]string
	cuts    map[pair]bool // true: severed, false: black hole
	changed chan struct{} // closed and replaced when cuts or hosts change
	serial  uint64        // of connections, for their random sources

	rateMu sync.Mutex // Host.upFree, Host.downFree
}

// pair is an unordered pair of hosts.
type pair struct{ a, b netip.Addr }

func pairOf(a, b netip.Addr) pair {
	if b.Less(a) {
		a, b = b, a
	}
	return pair{a, b}
}

// New makes an empty network. It does no I/O and starts no goroutine.
func New(cfg Config) *Network {
	if cfg.SendQueue <= 0 {
		cfg.SendQueue = DefaultSendQueue
	}
	if cfg.Window <= 0 {
		cfg.Window = DefaultWindow
	}
	return &Network{
		cfg:     cfg,
		hosts:   make(map[netip.Addr]*Host),
		names:   make(map[string][]netip.Addr),
		reverse: make(map[netip.Addr][]string),
		cuts:    make(map[pair]bool),
		changed: make(chan struct{}),
	}
}

// Host returns the host with that address and makes it if there is none yet.
// An IPv4 address in IPv6 form is the IPv4 host.
func (n *Network) Host(addr netip.Addr) *Host {
	addr = addr.Unmap()
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[addr]
	if h == nil {
		h = &Host{
			net:       n,
			addr:      addr,
			listeners: make(map[uint16]*Listener),
			packets:   make(map[uint16]*PacketConn),
			conns:     make(map[*Conn]struct{}),
			nextPort:  firstEphemeral,
		}
		n.hosts[addr] = h
	}
	return h
}

// SetName gives a name its addresses, and each address the name. No address
// removes the name.
func (n *Network) SetName(name string, addrs ...netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(addrs) == 0 {
		delete(n.names, name)
		return
	}
	n.names[name] = append([]netip.Addr(nil), addrs...)
	for _, a := range addrs {
		n.reverse[a.Unmap()] = append(n.reverse[a.Unmap()], name)
	}
}

// Kill switches a host off: its connections are reset, its listeners closed,
// dials to it are refused. Start brings it back without them.
func (n *Network) Kill(addr netip.Addr) {
	h := n.Host(addr)
	n.mu.Lock()
	h.down = true
	conns, listeners, packets := h.takeLocked()
	n.changeLocked()
	n.mu.Unlock()
	for _, l := range listeners {
		l.Close()
	}
	for _, p := range packets {
		p.Close()
	}
	for _, c := range conns {
		c.reset()
	}
}

// Start ends the effect of Kill.
func (n *Network) Start(addr netip.Addr) {
	h := n.Host(addr)
	n.mu.Lock()
	h.down = false
	n.changeLocked()
	n.mu.Unlock()
}

// Cut makes a black hole between two hosts: bytes wait, dials hang, nobody is
// told. Heal ends it, and what waited arrives.
func (n *Network) Cut(a, b netip.Addr) { n.sever(a, b, false) }

// Sever resets every connection between two hosts and refuses new ones as
// unreachable until Heal.
func (n *Network) Sever(a, b netip.Addr) { n.sever(a, b, true) }

func (n *Network) sever(a, b netip.Addr, reset bool) {
	ha, hb := n.Host(a), n.Host(b)
	n.mu.Lock()
	n.cuts[pairOf(ha.addr, hb.addr)] = reset
	conns := ha.withLocked(hb)
	n.changeLocked()
	n.mu.Unlock()
	for _, c := range conns {
		if reset {
			c.reset()
		} else {
			c.hold(true)
		}
	}
}

// Heal ends the effect of Cut or Sever.
func (n *Network) Heal(a, b netip.Addr) {
	ha, hb := n.Host(a), n.Host(b)
	n.mu.Lock()
	delete(n.cuts, pairOf(ha.addr, hb.addr))
	conns := ha.withLocked(hb)
	n.changeLocked()
	n.mu.Unlock()
	for _, c := range conns {
		c.hold(false)
	}
}

// changeLocked wakes dials that hang.
func (n *Network) changeLocked() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// path returns the properties of a direction.
func (n *Network) path(from, to netip.Addr) Path {
	if n.cfg.Path == nil || from == to {
		return Path{}
	}
	return n.cfg.Path(from, to)
}

// rand returns the random source of the next connection's direction.
func (n *Network) randLocked() *rand.Rand {
	n.serial++
	return rand.New(rand.NewPCG(n.cfg.Seed, n.serial))
}

// LookupAddrs answers from the table that SetName fills.
func (n *Network) lookupAddrs(host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if addrs := n.names[host]; len(addrs) > 0 {
		return append([]netip.Addr(nil), addrs...), nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func (n *Network) lookupNames(addr netip.Addr) ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if names := n.reverse[addr.Unmap()]; len(names) > 0 {
		return append([]string(nil), names...), nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: addr.String(), IsNotFound: true}
}

// pause waits d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
