// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"net/netip"
	"sync"
	"time"
)

const (
	lookupsKept   = 4096      // addresses remembered; the oldest goes
	lookupsLately = time.Hour // "lately" of SOCKS-13
	rareLine      = time.Hour // one log line of a kind
)

// Lookups remembers which addresses were lately found through chive, so that a
// bare address that comes from elsewhere stands out. It holds addresses in
// memory only, at most 4,096 for an hour. The zero value is ready; safe for
// concurrent use.
//
// Spec: product §4.1 (SOCKS-13).
type Lookups struct {
	mu    sync.Mutex
	until map[netip.Addr]time.Time
	ring  []netip.Addr // in order of arrival
	next  int          // the slot to overwrite once the ring is full
}

// Add remembers addr for an hour from now.
func (l *Lookups) Add(addr netip.Addr, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until == nil {
		l.until = make(map[netip.Addr]time.Time)
	}
	if _, ok := l.until[addr]; !ok {
		if len(l.ring) < lookupsKept {
			l.ring = append(l.ring, addr)
		} else {
			delete(l.until, l.ring[l.next])
			l.ring[l.next] = addr
			l.next = (l.next + 1) % lookupsKept
		}
	}
	l.until[addr] = now.Add(lookupsLately)
}

// Has reports whether addr was found within the last hour.
func (l *Lookups) Has(addr netip.Addr, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	until, ok := l.until[addr]
	return ok && now.Before(until)
}

// Forget empties the memory.
func (l *Lookups) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until, l.ring, l.next = nil, nil, 0
}

// rarely lets one line of a kind through per hour.
type rarely struct {
	mu   sync.Mutex
	next time.Time
}

func (r *rarely) due(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.next) {
		return false
	}
	r.next = now.Add(rareLine)
	return true
}
