// SPDX-License-Identifier: BSD-3-Clause

package gossip

import "slices"

// Bounds of what is announced and not asked for yet. A relay that joins hears of the
// whole list from one peer.
const (
	minOffers      = 2048 // per peer, and offersPerRelay for each relay of the list
	offersPerRelay = 2
	peersOfOffers  = 4 // peers that may be full at once
)

// offers are the records that a peer has announced and that we lack, by class in the
// order in which they came. Everything takes constant time but for the odd clearing.
// The zero value is empty.
type offers struct {
	lists [classCount][]offer // with those that are gone
	order map[named]uint64    // those that are not
}

// offer is one record.
type offer struct {
	id    ShortID
	order uint64 // of arrival, over all peers
}

func (o *offers) len() int { return len(o.order) }

func (o *offers) has(n named) bool {
	_, ok := o.order[n]
	return ok
}

func (o *offers) add(n named, order uint64) {
	if o.order == nil {
		o.order = make(map[named]uint64)
	}
	o.order[n] = order
	list := &o.lists[at(n.class)]
	if len(*list) > 2*len(o.order)+64 {
		*list = slices.DeleteFunc(*list, func(x offer) bool { return o.order[named{n.class, x.id}] != x.order })
	}
	*list = append(*list, offer{n.id, order})
}

// remove takes a record out and reports whether it was there.
func (o *offers) remove(n named) bool {
	if !o.has(n) {
		return false
	}
	delete(o.order, n)
	if len(o.order) == 0 {
		*o = offers{}
	}
	return true
}

// oldest returns when the oldest of a class came.
func (o *offers) oldest(class byte) (order uint64, ok bool) {
	list := &o.lists[at(class)]
	for len(*list) > 0 && o.order[named{class, (*list)[0].id}] != (*list)[0].order {
		*list = (*list)[1:]
	}
	if len(*list) == 0 {
		*list = nil
		return 0, false
	}
	return (*list)[0].order, true
}

// take takes out the oldest of a class, at most so many.
func (o *offers) take(class byte, most int) []ShortID {
	var out []ShortID
	for len(out) < most {
		if _, ok := o.oldest(class); !ok {
			break
		}
		id := o.lists[at(class)][0].id
		out = append(out, id)
		o.remove(named{class, id})
	}
	return out
}

// roomFor reports whether a peer may announce one more record, as far as it and all
// peers together are concerned.
func (m *Machine) roomFor(p *peer) bool {
	most := minOffers + offersPerRelay*len(m.view.Relays)
	if p.offers.len() >= most {
		return false
	}
	all := 0
	for _, other := range m.peers {
		all += other.offers.len()
	}
	return all < peersOfOffers*most
}
