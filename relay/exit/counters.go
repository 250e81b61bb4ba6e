// SPDX-License-Identifier: BSD-3-Clause

package exit

import "sync/atomic"

// Counters are the totals of an exit since it was made, and what is open now.
type Counters struct {
	Streams [ReasonCount]uint64 // ends of Dial by reason; ReasonDone: connected
	Lookups [ReasonCount]uint64 // questions put to the resolver, by reason
	Cached  uint64              // questions that the cache answered
	Denied  uint64              // refusals by policy or judge, for any service
	Private uint64              // of those, the ones by the judge: the destination is not public
	Capped  uint64              // refusals by a cap, for any service

	DatagramsOut     uint64 // sent to destinations
	DatagramsIn      uint64 // received from asked destinations
	DatagramsDropped uint64 // received but too old or too many
	DatagramsForeign uint64 // received from somebody not asked, or too large

	OpenStreams, Connecting, Resolving, Associations int // now
}

type counters struct {
	streams, lookups              [ReasonCount]atomic.Uint64
	cached, refused, capped       atomic.Uint64
	private                       atomic.Uint64 // of refused
	out, in, dropped, fromForeign atomic.Uint64
}

// denied counts a refusal by policy and returns its error.
func (c *counters) denied() error {
	c.refused.Add(1)
	return Error{ReasonPolicy}
}

// notPublic counts a refusal by the judge and returns its error, which is the policy's:
// who asks learns nothing of what is near the exit.
func (c *counters) notPublic() error {
	c.private.Add(1)
	return c.denied()
}

// Counters returns the totals. Nothing in them is of one circuit or destination.
func (e *Exit) Counters() Counters {
	out := Counters{
		Cached: e.count.cached.Load(), Denied: e.count.refused.Load(), Private: e.count.private.Load(), Capped: e.count.capped.Load(),
		DatagramsOut: e.count.out.Load(), DatagramsIn: e.count.in.Load(),
		DatagramsDropped: e.count.dropped.Load(), DatagramsForeign: e.count.fromForeign.Load(),
	}
	for r := range ReasonCount {
		out.Streams[r], out.Lookups[r] = e.count.streams[r].Load(), e.count.lookups[r].Load()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	out.OpenStreams, out.Connecting = e.inUse[streams], e.inUse[connects]
	out.Resolving, out.Associations = e.inUse[lookups], e.inUse[associations]
	return out
}
