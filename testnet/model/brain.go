// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"slices"
	"time"

	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/vote"
)

// lie is what a relay does to gossip. Spec: directory §13, testnet §3 (adversary kinds).
type lie uint8

const (
	lieSilent   lie = 1 << iota // says HELLO and nothing else
	lieAnnounce                 // announces whatever any liar knows of, and delivers nothing
	lieLate                     // delivers when others have been asked
	lieGarbage                  // delivers what does not hold
	liePoison                   // spoils the symbols of repairs
	lieNewcomer                 // does nothing wrong but to come in masses
)

// brain is what all hostile relays share: what one of them knows, all do, at once. It
// sits between their machines, which are the production code, and the network.
type brain struct {
	w     *world
	known map[[32]byte]bool
	bodys map[record.RID][]behind // descriptors, to recompute proposals
	extra map[*node]map[[32]byte]extra
	told  uint64 // lies that were told
}

// behind is a descriptor by what ops call it.
type behind struct {
	body [16]byte
	d    *record.Descriptor
}

// extra is a record that a hostile relay serves beside its machine.
type extra struct {
	class byte
	data  []byte
}

// liarLag is what the hostile take to tell each other.
const liarLag = 20 * time.Millisecond

func newBrain(w *world) *brain {
	return &brain{w: w, known: map[[32]byte]bool{}, bodys: map[record.RID][]behind{}, extra: map[*node]map[[32]byte]extra{}}
}

// made notes what anybody makes, which is what a listener on the links would learn.
func (b *brain) made(n *node, class byte, data []byte) {
	if class != record.ClassDescriptor || !b.plots() {
		return
	}
	if s, err := record.DecodeSigned(data, record.MaxDescriptorSize); err == nil {
		d, err := record.DecodeDescriptor(s.Payload)
		must(err)
		body, err := record.BodyDigest(s.Payload)
		must(err)
		b.bodys[n.rid] = append(b.bodys[n.rid], behind{[16]byte(body[:16]), d})
	}
}

// plots reports whether there are hostile members that recompute.
func (b *brain) plots() bool {
	return slices.ContainsFunc(b.w.nodes, func(n *node) bool { return n.treats&treasonTwins != 0 })
}

// digestOf names a record; ok is false for what is none.
func digestOf(class byte, data []byte) (digest [32]byte, ok bool) {
	switch class {
	case record.ClassDescriptor:
		s, err := record.DecodeSigned(data, record.MaxDescriptorSize)
		if err != nil {
			return digest, false
		}
		return record.ItemDigest(class, s.Payload), true
	case record.ClassVote:
		v, err := vote.DecodeVote(data)
		if err != nil {
			return digest, false
		}
		return v.Digest(), true
	case record.ClassProposal:
		p, err := vote.DecodeProposal(data)
		if err != nil {
			return digest, false
		}
		return p.Digest(), true
	case record.ClassSignature:
		g, err := vote.DecodeSignature(data)
		if err != nil {
			return digest, false
		}
		return g.Digest(), true
	}
	return digest, false
}

// learns spreads a record's name among the hostile, who announce it.
func (b *brain) learns(class byte, data []byte) {
	digest, ok := digestOf(class, data)
	if !ok || b.known[digest] {
		return
	}
	b.known[digest] = true
	for _, n := range b.w.nodes {
		if n.lies&lieAnnounce != 0 && n.up {
			n.later(liarLag, func() { b.announce(n, class, digest, nil) })
		}
	}
}

// announce sends an INV to all neighbours, or to some.
func (b *brain) announce(n *node, class byte, digest [32]byte, to func(peer *node) bool) {
	for _, link := range slices.Clone(n.links) {
		x := b.w.wires[link/2]
		if x == nil || !x.up[link%2] || !x.said[link%2] || to != nil && !to(x.node[1-link%2]) {
			continue
		}
		inv := &gossip.IDs{Type: frameInv, Class: class, IDs: []gossip.ShortID{gossip.NameOn(x.session, digest)}}
		body, err := inv.Encode()
		must(err)
		b.told++
		n.transmit(link, x, body, 0)
	}
}

// inject has a hostile relay announce and serve a record that its machine has not.
func (b *brain) inject(n *node, class byte, digest [32]byte, data []byte, to func(peer *node) bool) {
	if b.extra[n] == nil {
		b.extra[n] = map[[32]byte]extra{}
	}
	b.extra[n][digest] = extra{class, data}
	b.announce(n, class, digest, to)
}

// sends is what a hostile relay's machine wants to send.
func (b *brain) sends(n *node, link uint32, x *wire, body []byte) {
	w := b.w
	frame, class := classOf(body)
	if n.treats != 0 {
		if class == record.ClassProposal || class == record.ClassVote {
			if c, data := recordOf(body); data != nil {
				b.betrays(n, c, data)
			}
		}
		if !b.keepsUp(n, link, x, frame, class, body) {
			return
		}
	}
	switch {
	case n.lies&lieSilent != 0 && frame != frameHello:
	case n.lies&lieAnnounce != 0 && (frame == frameItem || frame == frameNone):
	case n.lies&lieLate != 0 && frame == frameItem:
		most := int64(2 * w.doc.Params.GetTimeout)
		n.transmit(link, x, body, time.Duration(most/4+int64(n.net.Uint64()%uint64(most))))
	case len(body) > 32 && (n.lies&lieGarbage != 0 && frame == frameItem || n.lies&liePoison != 0 && frame == frameSymbols):
		spoilt := slices.Clone(body)
		spoilt[len(spoilt)-1-below(n.net, 16)] ^= 1
		b.told++
		n.transmit(link, x, spoilt, 0)
	default:
		n.transmit(link, x, body, 0)
	}
}

// hears is what a hostile relay receives; it returns what its machine gets to see, nil:
// nothing.
func (b *brain) hears(n *node, link uint32, x *wire, body []byte) []byte {
	frame, class := classOf(body)
	switch frame {
	case frameItem:
		if _, data := recordOf(body); data != nil {
			if n.lies&lieAnnounce != 0 {
				b.learns(class, data)
			}
			if n.treats&treasonSign != 0 && class == record.ClassProposal {
				b.signs(n, data)
			}
		}
	case frameGet:
		return b.serves(n, link, x, body)
	}
	return body
}

// serves answers what is asked of the extra records, and leaves the rest.
func (b *brain) serves(n *node, link uint32, x *wire, body []byte) []byte {
	if len(b.extra[n]) == 0 {
		return body
	}
	f, err := gossip.DecodeFrame(body)
	ids, ok := f.(*gossip.IDs)
	if err != nil || !ok {
		return body
	}
	names := map[gossip.ShortID]extra{}
	for digest, e := range b.extra[n] {
		if e.class == ids.Class {
			names[gossip.NameOn(x.session, digest)] = e
		}
	}
	var rest []gossip.ShortID
	for _, id := range ids.IDs {
		e, mine := names[id]
		if !mine {
			rest = append(rest, id)
			continue
		}
		item, err := (&gossip.Item{Class: e.class, Data: e.data}).Encode()
		must(err)
		n.transmit(link, x, item, 0)
	}
	switch len(rest) {
	case len(ids.IDs):
		return body
	case 0:
		return nil
	}
	ids.IDs = rest
	left, err := ids.Encode()
	must(err)
	return left
}
