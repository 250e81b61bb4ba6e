// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"container/list"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	automapKept = 4096      // mappings; at the bound the longest unused goes
	automapIdle = time.Hour // a mapping ends this long after its last use
)

// automapRange is where mapped addresses are picked: the range for benchmarks,
// which no public host has and programs do not take for their own machine.
var automapRange = netip.MustParsePrefix("198.18.0.0/15")

// Mapped reports an address that stands for a name, or once did. It is never
// forwarded.
func Mapped(addr netip.Addr) bool { return automapRange.Contains(plain(addr)) }

// Automap gives names that have no address one from 198.18.0.0/15, for programs
// that resolve before they connect. A mapping is valid on the listeners it was
// made for and for the client address that asked, under any credentials:
// programs resolve and connect with different ones. It ends an hour after its
// last use. There are at most 4,096; beyond that the longest unused one goes,
// and a connection to its address is refused, not sent elsewhere: addresses are
// picked at random out of 131,072, so that one hardly returns soon.
//
// It is shared by the listeners and the DNS listener of one client; it takes the
// time as an argument and holds its content in memory only. Safe for concurrent
// use.
//
// Spec: product §4.4 (DNS-2), security B31.
type Automap struct {
	rand io.Reader

	mu     sync.Mutex
	byAddr map[netip.Addr]*list.Element
	byName map[mapKey]*list.Element
	used   list.List // of *mapping; the longest unused first
}

// mapKey is what has one mapping.
type mapKey struct {
	scope  string // the listeners, in order, each ended by NUL
	client netip.Addr
	name   string
}

type mapping struct {
	key       mapKey
	listeners []string
	addr      netip.Addr
	last      time.Time
}

// NewAutomap returns an empty table that picks addresses by random; nil: the
// system's randomness.
func NewAutomap(random io.Reader) *Automap {
	if random == nil {
		random = rand.Reader
	}
	return &Automap{rand: random, byAddr: make(map[netip.Addr]*list.Element), byName: make(map[mapKey]*list.Element)}
}

// Map returns the address that stands for name on these listeners for client,
// the one given before while that lasts. client may be the zero Addr: programs
// on a unix socket. name is in normal form. false: without listeners, or the
// randomness failed.
func (m *Automap) Map(listeners []string, client netip.Addr, name string, now time.Time) (netip.Addr, bool) {
	if len(listeners) == 0 {
		return netip.Addr{}, false
	}
	listeners = slices.Compact(slices.Sorted(slices.Values(listeners)))
	key := mapKey{scope: strings.Join(listeners, "\x00") + "\x00", client: plain(client), name: name}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expireLocked(now)
	if e, ok := m.byName[key]; ok {
		m.touchLocked(e, now)
		return e.Value.(*mapping).addr, true
	}
	addr, ok := m.pickLocked()
	if !ok {
		return netip.Addr{}, false
	}
	if m.used.Len() == automapKept {
		m.removeLocked(m.used.Front())
	}
	e := m.used.PushBack(&mapping{key: key, listeners: listeners, addr: addr, last: now})
	m.byAddr[addr], m.byName[key] = e, e
	return addr, true
}

// Name returns the name behind addr, if addr was given on this listener to this
// client and the mapping still lasts; this counts as use.
func (m *Automap) Name(listener string, client, addr netip.Addr, now time.Time) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expireLocked(now)
	e, ok := m.byAddr[plain(addr)]
	if !ok {
		return "", false
	}
	v := e.Value.(*mapping)
	if v.key.client != plain(client) || !slices.Contains(v.listeners, listener) {
		return "", false
	}
	m.touchLocked(e, now)
	return v.key.name, true
}

// Forget empties the table.
func (m *Automap) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.byAddr)
	clear(m.byName)
	m.used.Init()
}

// pickLocked finds a free address: a random one, or the next free behind it.
func (m *Automap) pickLocked() (netip.Addr, bool) {
	const size = 1 << 17
	var b [4]byte
	if _, err := io.ReadFull(m.rand, b[:]); err != nil {
		return netip.Addr{}, false
	}
	first := automapRange.Addr().As4()
	base := binary.BigEndian.Uint32(first[:])
	start := binary.BigEndian.Uint32(b[:])
	for i := range uint32(size) {
		offset := (start + i) % size
		if last := byte(offset); last == 0 || last == 255 { // some programs take these for networks
			continue
		}
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], base+offset)
		addr := netip.AddrFrom4(a)
		if _, ok := m.byAddr[addr]; !ok {
			return addr, true
		}
	}
	return netip.Addr{}, false
}

func (m *Automap) touchLocked(e *list.Element, now time.Time) {
	e.Value.(*mapping).last = now
	m.used.MoveToBack(e)
}

func (m *Automap) expireLocked(now time.Time) {
	for e := m.used.Front(); e != nil && now.Sub(e.Value.(*mapping).last) >= automapIdle; e = m.used.Front() {
		m.removeLocked(e)
	}
}

func (m *Automap) removeLocked(e *list.Element) {
	v := m.used.Remove(e).(*mapping)
	delete(m.byAddr, v.addr)
	delete(m.byName, v.key)
}
