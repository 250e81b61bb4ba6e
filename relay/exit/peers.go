// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"container/list"
	"net/netip"
)

// maxPeers bounds the address-port pairs that an association accepts answers
// from; beyond, the one not sent to for longest goes. Spec: security B18.
const maxPeers = 256

// peers remembers whom an association has sent to. The zero value is empty; it
// is not safe for concurrent use.
type peers struct {
	byAddr map[netip.AddrPort]*list.Element
	byAge  list.List // of netip.AddrPort, the oldest first
}

// add remembers a peer as the newest.
func (p *peers) add(a netip.AddrPort) {
	if e := p.byAddr[a]; e != nil {
		p.byAge.MoveToBack(e)
		return
	}
	if p.byAge.Len() >= maxPeers {
		oldest := p.byAge.Front()
		delete(p.byAddr, oldest.Value.(netip.AddrPort))
		p.byAge.Remove(oldest)
	}
	if p.byAddr == nil {
		p.byAddr = make(map[netip.AddrPort]*list.Element)
	}
	p.byAddr[a] = p.byAge.PushBack(a)
}

// has reports whether a is remembered.
func (p *peers) has(a netip.AddrPort) bool { return p.byAddr[a] != nil }
