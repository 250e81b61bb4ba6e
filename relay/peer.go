// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"math/rand/v2"
	"net/netip"
	"slices"

	"chive/directory/record"
	"chive/directory/snapshot"
)

// MaxPeers bounds Config.Peers, MaxPeerAddresses the addresses of one.
const (
	MaxPeers         = 256
	MaxPeerAddresses = 4
)

// Peer is a relay that the operator knows, to begin with: it is asked for the list of
// relays like any other, has to prove its identity, and is believed no more. Whom to
// gossip with, and who introduces a newcomer, follows from the list that it gives.
type Peer struct {
	RID       record.RID
	Addresses []netip.AddrPort
}

// peersFit reports peers within their bounds.
func peersFit(all []Peer) bool {
	return len(all) <= MaxPeers && !slices.ContainsFunc(all, func(p Peer) bool {
		return len(p.Addresses) == 0 || len(p.Addresses) > MaxPeerAddresses || slices.ContainsFunc(p.Addresses, func(a netip.AddrPort) bool { return !a.IsValid() })
	})
}

// source is a relay that is asked for the list.
type source struct {
	rid   record.RID
	place place
	addrs []netip.AddrPort
}

// place is what sources are told apart by when several are to say the same: their group
// in the table, or the network of a peer that it does not name.
type place struct {
	group uint16
	net   netip.Prefix // zero: the table names it
}

// sources are those that a round may ask and has not asked yet.
type sources struct {
	peers, listed []source
	places        int // in how many different ones there are running relays and peers
}

// known returns the operator's peers and the running relays of the newest table,
// without those that were asked or have forged. Any goroutine may call it.
func (j *joiner) known(tried, forgers map[record.RID]bool) (out sources) {
	table := j.d.r.View().Table()
	places := map[place]bool{}
	add := func(to *[]source, s source) {
		places[s.place] = true
		if !tried[s.rid] && !forgers[s.rid] {
			*to = append(*to, s)
		}
	}
	named := map[record.RID]bool{j.d.r.rid: true}
	peers := j.d.r.cfg.Peers
	if j.grounded.Load() { // the table is that of a time before the anchor
		for _, f := range j.d.r.cfg.Anchor.Fallback {
			peers = append(peers[:len(peers):len(peers)], Peer{RID: f.RID, Addresses: f.Addresses})
		}
	}
	for _, p := range peers {
		if named[p.RID] {
			continue
		}
		named[p.RID] = true
		s := source{rid: p.RID, addrs: slices.Clone(p.Addresses), place: place{net: record.Network(p.Addresses[0].Addr().Unmap())}}
		if r, listed := table.Relay(p.RID); listed {
			s.place = place{group: r.Leaf.Group}
			for _, a := range addressesOf(table, p.RID) {
				if !slices.Contains(s.addrs, a) {
					s.addrs = append(s.addrs, a)
				}
			}
		}
		add(&out.peers, s)
	}
	for i := range table.Len() {
		r := table.At(i)
		if named[r.RID] || r.Flags&snapshot.FlagRunning == 0 {
			continue
		}
		add(&out.listed, source{rid: r.RID, place: place{group: r.Leaf.Group}})
	}
	out.places = len(places)
	return out
}

// choose draws whom to ask next: in turn a peer of the operator's and a relay of the
// newest table, so that neither many dead founders nor many dead peers use up a round.
// places is in how many different ones sources are.
func (j *joiner) choose(tried map[record.RID]bool) (s source, places int, ok bool) {
	all := j.known(tried, j.forgers)
	if s, ok = all.draw(j.rand, len(tried)); !ok {
		return source{}, 0, false
	}
	if s.addrs == nil {
		s.addrs = addressesOf(j.d.r.View().Table(), s.rid)
	}
	return s, all.places, true
}

// draw draws one of them, after so many.
func (all *sources) draw(random *rand.Rand, after int) (s source, ok bool) {
	from := all.peers
	if len(from) == 0 || after%2 == 1 && len(all.listed) > 0 {
		from = all.listed
	}
	if len(from) == 0 {
		return source{}, false
	}
	return from[random.IntN(len(from))], true
}
