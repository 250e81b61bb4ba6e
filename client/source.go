// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"net/netip"
	"slices"
	"time"

	"chive/directory/record"
	"chive/directory/snapshot"
)

// MaxPeers bounds Config.Peers, MaxPeerAddresses the addresses of one.
const (
	MaxPeers         = 256
	MaxPeerAddresses = 4
)

// Peer is a relay that the user knows, to begin with: it is asked for the list of
// relays like any other, and believed no more.
type Peer struct {
	RID       record.RID
	Addresses []netip.AddrPort
}

// maxDropped bounds the sources that are kept in mind as forgers; beyond it none is
// added.
const maxDropped = 1024

// source is a relay that can be asked for the list of relays over a link.
type source struct {
	rid   record.RID
	addrs []netip.AddrPort
}

// place is what sources are told apart by when several are to agree: the network of
// their address, or the relay itself where the network's rules do not look at
// addresses.
type place struct {
	net netip.Prefix
	rid record.RID
}

func (c *Client) placeOf(rid record.RID, addrs []netip.AddrPort) place {
	if !c.doc.Params.PathNetworkRule || len(addrs) == 0 {
		return place{rid: rid}
	}
	return place{net: record.Network(addrs[0].Addr().Unmap())}
}

func (s source) of(c *Client) place { return c.placeOf(s.rid, s.addrs) }

// ownSources returns the guards that may be used, the first one first.
func (c *Client) ownSources() []source {
	var out []source
	for _, r := range c.usableGuards() {
		if !c.isDropped(r.RID) {
			out = append(out, source{r.RID, r.Addresses})
		}
	}
	return out
}

// sources returns whom to ask who has nobody yet: own guards, then configured peers,
// then those of an anchor, then relays of the table, those that run first; each kind in
// a random order.
// Whoever forged is left out.
func (c *Client) sources() []source {
	seen := make(map[record.RID]bool)
	var out []source
	add := func(group []source) {
		c.shuffle(group)
		for _, s := range group {
			s.addrs = c.passing(s.addrs)
			if !seen[s.rid] && len(s.addrs) > 0 && !c.isDropped(s.rid) {
				seen[s.rid] = true
				out = append(out, s)
			}
		}
	}
	add(c.ownSources())
	var peers, running, others []source
	for _, p := range c.cfg.Peers {
		peers = append(peers, source{p.RID, p.Addresses})
	}
	add(peers)
	add(c.fallbacks())
	all := c.current().view.Table()
	for i := range all.Len() {
		r := all.At(i)
		if s := (source{r.RID, r.Addresses}); r.Flags&snapshot.FlagRunning != 0 {
			running = append(running, s)
		} else {
			others = append(others, s)
		}
	}
	add(running)
	add(others)
	return out
}

// fallbacks returns the relays of the anchor, while no table of it is known. They stand
// before those of the genesis document, which is old then. Spec: directory §8 (COLD).
func (c *Client) fallbacks() (out []source) {
	c.mu.Lock()
	grounded := c.dir.grounded
	c.mu.Unlock()
	if !grounded {
		return nil
	}
	for _, f := range c.cfg.Anchor.Fallback {
		out = append(out, source{f.RID, f.Addresses})
	}
	return out
}

// countPlaces keeps in mind in how many different places there are sources.
func (c *Client) countPlaces(all []source) {
	seen := make(map[place]bool)
	for _, s := range all {
		seen[s.of(c)] = true
	}
	c.mu.Lock()
	c.dir.places = len(seen)
	c.mu.Unlock()
}

// knownPlaces returns in how many different places there are sources.
func (c *Client) knownPlaces() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dir.places
}

// shuffle puts sources into a random order.
func (c *Client) shuffle(all []source) {
	for i := len(all) - 1; i > 0; i-- {
		j := c.below(i + 1)
		all[i], all[j] = all[j], all[i]
	}
}

// dropEpochs is how long a relay that forged is not asked: in a public network a day. It
// may have had a fault, and a network must not run out of sources.
const dropEpochs = 24

// drop keeps in mind that a relay forged: it is not asked for a while. Circuits still
// lead through it: who carries them need not be believed.
func (c *Client) drop(rid record.RID) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for r, since := range c.dir.dropped {
		if !c.droppedAt(since, now) {
			delete(c.dir.dropped, r)
		}
	}
	if len(c.dir.dropped) < maxDropped {
		c.dir.dropped[rid] = now
	}
}

// droppedAt reports whether who was dropped since then is not asked yet.
func (c *Client) droppedAt(since, now time.Time) bool {
	return now.Sub(since) < dropEpochs*c.doc.Params.EpochLen
}

func (c *Client) isDropped(rid record.RID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	since, found := c.dir.dropped[rid]
	return found && c.droppedAt(since, time.Now())
}

// apart reports whether a relay is in another place than all the others.
func (c *Client) apart(r *snapshot.Relay, others []*snapshot.Relay) bool {
	return !slices.ContainsFunc(others, func(o *snapshot.Relay) bool {
		return o.RID == r.RID || c.doc.Params.PathNetworkRule && (o.Group == r.Group ||
			c.placeOf(o.RID, o.Addresses) == c.placeOf(r.RID, r.Addresses))
	})
}
