// SPDX-License-Identifier: BSD-3-Clause

package bootstrap

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	dirsync "chive/directory/sync"
	"chive/directory/transition"
	"chive/directory/vote"
	"chive/directory/vrf"
)

// keyPool is how many committee keys of a term differ: those of relays whose numbers are
// equal modulo it are the same, which nothing tells apart and saves making them.
const keyPool = 1024

// chain is a network of which only what it agrees on is there: one final snapshot after
// the other, and a server that has them all.
type chain struct {
	*people
	doc    *genesis.Document
	now    *transition.State
	steps  []*vote.Step
	server *dirsync.Server
	before *dirsync.Server // that of the epoch before
	honest map[[32]byte]uint64

	proof  [vrf.ProofSize]byte
	output [vrf.OutputSize]byte
	keys   map[[2]uint64]ed25519.PrivateKey
	hour   float64
	queue  []*person // wait for a place
}

// newChain founds a network of so many relays. The document is a testnet's, so that so
// many may be founders; its parameters are p.
func newChain(seed uint64, relays int, p genesis.Params) (*chain, error) {
	c := &chain{people: newPeople(seed), keys: map[[2]uint64]ed25519.PrivateKey{}, honest: map[[32]byte]uint64{}}
	vrfSeed := named(seed, "vrf")
	secret := vrf.NewSecretKey(&vrfSeed)
	var founders []*record.Founder
	for range relays {
		n := c.born(0, false)
		// As if its present key were of any age.
		n.publish, n.turned = c.publishAfter(p, 0), -int64(c.rand.Float64()*float64(p.OnionLife/p.EpochLen))
		f := &record.Founder{
			Identity: n.identity, Onion: c.onionKey(n, 0), VRF: secret.Public(), Addresses: n.addresses,
			Committee: [2][32]byte{public(c.key(0, n)), public(c.key(1, n))}, DeclaredRate: n.rate, Roles: n.roles, Policy: n.policy, Family: n.family,
		}
		founders = append(founders, f)
	}
	doc, err := genesis.Plan{Name: "bootstrap", Testnet: true, Params: &p, Founders: founders, Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}.Document()
	if err != nil {
		return nil, err
	}
	c.doc, c.nid, c.now, c.server = doc, doc.NetworkID(), transition.Genesis(doc), dirsync.NewServer(doc)
	c.before = c.server
	c.honest[c.now.Digest()] = 0
	for _, n := range c.all {
		c.name(n)
	}
	c.proof = secret.Prove([]byte("proposer"))
	c.output, err = vrf.ProofToHash(c.proof)
	return c, err
}

func public(k ed25519.PrivateKey) [32]byte { return [32]byte(k.Public().(ed25519.PublicKey)) }

// key returns a relay's committee key for a term.
func (c *chain) key(term uint64, n *person) ed25519.PrivateKey {
	name := [2]uint64{term, uint64(n.number % keyPool)}
	k := c.keys[name]
	if k == nil {
		seed := named(c.seed, "committee", name[:]...)
		k = ed25519.NewKeyFromSeed(seed[:])
		c.keys[name] = k
	}
	return k
}

// publishAfter draws when a relay publishes after an epoch.
func (c *chain) publishAfter(p genesis.Params, epoch uint64) uint64 {
	wait := p.Republish - p.RepublishJitter + time.Duration(c.rand.Float64()*2*float64(p.RepublishJitter))
	return epoch + max(1, uint64(wait/p.EpochLen))
}

// termAt is the term for which relays make the first of their keys.
func (c *chain) termAt(epoch uint64) uint64 {
	return transition.TermAt(c.doc.Params, committee.A, epoch)
}

// descriptor is what a relay publishes in an epoch.
func (c *chain) descriptor(n *person, epoch uint64) *record.Descriptor {
	d := &record.Descriptor{
		Identity: n.identity, Seq: epoch + 1, Published: c.doc.EpochStart(epoch), Expires: c.doc.EpochStart(epoch).Add(c.doc.Params.DescriptorLife),
		Onion: c.onionKey(n, n.onion), NextOnion: c.onionKey(n, n.onion+1), VRF: c.doc.Founders[0].VRF,
		Addresses: n.addresses, DeclaredRate: n.rate, Roles: n.roles, Policy: n.policy,
	}
	if n.family != nil {
		d.Family = &record.Family{Key: n.family, Signature: make([]byte, record.SignatureSize)} // the transition takes it as checked
	}
	for t := n.term; t < n.term+record.MaxCommitteeKeyCount; t++ {
		k := public(c.key(t, n))
		d.Committee = append(d.Committee, record.CommitteeKey{Term: t, Key: k[:]})
	}
	return d
}

// republish has a relay publish if it is time: with the next onion key once the present
// one is old enough, and committee keys for this term and the next two. What it says has
// changed if either has.
func (c *chain) republish(n *person, epoch uint64) {
	p := c.doc.Params
	if !n.present || epoch < n.publish {
		return
	}
	n.publish = c.publishAfter(p, epoch)
	if time.Duration(int64(epoch)-n.turned)*p.EpochLen >= p.OnionLife {
		n.onion, n.turned, n.changed = n.onion+1, int64(epoch), true
	}
	if t := c.termAt(epoch); t != n.term || !n.keyed {
		n.term, n.keyed, n.changed = t, true, true
	}
}

// grow makes the final snapshot of an epoch, with what happened since the last one.
func (c *chain) grow(epoch uint64) (dirsync.Final, error) {
	hours := float64(epoch) * c.doc.Params.EpochLen.Hours()
	c.newcomers(epoch, hours)
	catalog := map[[16]byte]*record.Descriptor{}
	offer := func(n *person) ([16]byte, error) {
		d := c.descriptor(n, epoch)
		body, err := transition.Body(d)
		catalog[[16]byte(body[:16])] = d
		return [16]byte(body[:16]), err
	}
	ops, updated, err := c.ops(epoch, hours, offer)
	if err != nil {
		return dirsync.Final{}, err
	}
	f, err := c.agree(c.now, epoch, ops, catalog, c.signer)
	if err != nil {
		return dirsync.Final{}, err
	}
	for _, n := range updated {
		n.changed = false
	}
	c.hour = hours
	c.take(f)
	return f, nil
}

// take makes a final snapshot the newest one, with the steps to new lists.
func (c *chain) take(f dirsync.Final) {
	for _, l := range f.State.Lists() {
		known := func(s *vote.Step) bool { return s.List.Committee == l.Name && s.List.Term >= l.Term }
		if l == nil || l.Term == 0 || slices.ContainsFunc(c.steps, known) {
			continue
		}
		owner := c.now.Owner(c.doc.Params, f.State.Epoch())
		if s, err := vote.NewStep(f.Certificate, len(owner.Seats), l.ForClients()); err == nil {
			c.steps = append(c.steps, s)
		}
	}
	f.Steps = slices.Clone(c.steps)
	c.now, c.before, c.server = f.State, c.server, c.server.With(f)
	c.honest[f.State.Digest()] = f.State.Epoch()
}

// newcomers moves everybody to an hour and has relays arrive and wait for a place.
func (c *chain) newcomers(epoch uint64, hours float64) {
	waiting := map[*person]bool{}
	for _, n := range c.queue {
		waiting[n] = true
	}
	table := c.now.Snapshot().Table()
	for _, n := range c.all {
		if n.gone(c.hour) {
			continue
		}
		c.move(n, hours)
		if _, listed := table.Index(n.rid); !listed && n.present && !waiting[n] {
			c.queue = append(c.queue, n) // back after a long time
		}
	}
	for range c.arrivals(table.Len(), hours-c.hour) {
		n := c.born(hours, true)
		c.name(n)
		n.turned, n.term, n.keyed, n.publish = int64(epoch), c.termAt(epoch), true, c.publishAfter(c.doc.Params, epoch)
		c.queue = append(c.queue, n)
	}
	c.queue = slices.DeleteFunc(c.queue, func(n *person) bool { return !n.present || n.gone(hours) })
}

// ops are what everybody votes for: who cannot be reached, who can again, who published
// something new, and who comes, as far as there is room.
func (c *chain) ops(epoch uint64, hours float64, offer func(*person) ([16]byte, error)) (ops []transition.Op, updated []*person, err error) {
	table := c.now.Snapshot().Table()
	var updates []transition.Op
	var publishing []*person
	for i := range table.Len() {
		r := table.At(i)
		n := c.byRID[r.RID]
		running := r.Flags&snapshot.FlagRunning != 0
		switch {
		case running && !n.present:
			ops = append(ops, transition.Op{Code: transition.Down, Index: uint32(i)})
		case !running && n.present:
			ops = append(ops, transition.Op{Code: transition.Up, Index: uint32(i)})
		}
		if c.republish(n, epoch); n.changed && n.present {
			updates, publishing = append(updates, transition.Op{Code: transition.Update, Index: uint32(i)}), append(publishing, n)
		}
	}
	joins, err := c.joins(epoch, offer)
	if err != nil {
		return nil, nil, err
	}
	ops = append(ops, joins...)
	room := (transition.MaxOpsSize(table.Len()) - transition.OpsSize(ops) - 64) / 20
	for k := range updates {
		if k >= room {
			break // the others are for the next epoch
		}
		if updates[k].Body, err = offer(publishing[k]); err != nil {
			return nil, nil, err
		}
		ops, updated = append(ops, updates[k]), append(updated, publishing[k])
	}
	slices.SortFunc(ops, transition.Op.Compare)
	return ops, updated, nil
}

// joins are ADDs for those who wait, as far as there are slots.
func (c *chain) joins(epoch uint64, offer func(*person) ([16]byte, error)) ([]transition.Op, error) {
	table := c.now.Snapshot().Table()
	slots := c.now.Slots(c.doc.Params, epoch)
	var ops []transition.Op
	sponsors := map[int]bool{}
	var rest []*person
	for _, n := range c.queue {
		if _, listed := table.Index(n.rid); listed {
			continue
		}
		rest = append(rest, n)
		lane, sponsor := transition.LaneReturning, 0
		if _, dormant := c.now.Dormant(n.rid); !dormant {
			if lane = transition.LaneOpen; slots[lane] == 0 {
				if sponsor = c.sponsor(epoch, sponsors); sponsor >= 0 {
					lane = transition.LaneVouched
				}
			}
		}
		if slots[lane] == 0 {
			continue
		}
		body, err := offer(n)
		if err != nil {
			return nil, err
		}
		slots[lane]--
		o := transition.Op{Code: transition.Add, RID: n.rid, Body: body, Lane: lane}
		if lane == transition.LaneVouched {
			o.Sponsor, sponsors[sponsor] = uint32(sponsor), true
		}
		ops = append(ops, o)
	}
	c.queue = rest
	return ops, nil
}

// sponsor finds a relay that may vouch, at random; -1: none was found.
func (c *chain) sponsor(epoch uint64, taken map[int]bool) int {
	p := c.doc.Params
	day := snapshot.Day(p, epoch)
	for range 20 {
		i := c.rand.IntN(c.now.Snapshot().Table().Len())
		last := int(c.now.Aux(i).VoucherDay)
		if !taken[i] && c.now.Eligible(p, i) && (last == 0 || day-(last-1) >= p.VoucherGap) {
			return i
		}
	}
	return -1
}

// signer gives the key of a seat.
type signer func(l *transition.List, seat int) ed25519.PrivateKey

// signer is that of the seats themselves.
func (c *chain) signer(l *transition.List, seat int) ed25519.PrivateKey {
	return c.key(l.Term, c.byRID[l.Seats[seat].RID])
}

// agree makes a child of a state, of ops that a quorum voted for, and has a quorum of
// the owners' seats sign it, with the keys of s.
func (c *chain) agree(parent *transition.State, epoch uint64, ops []transition.Op, catalog map[[16]byte]*record.Descriptor, s signer) (dirsync.Final, error) {
	list := parent.Owner(c.doc.Params, epoch)
	if list == nil {
		return dirsync.Final{}, fmt.Errorf("bootstrap: no committee owns epoch %d", epoch)
	}
	quorum := committee.Quorum(len(list.Seats))
	in := transition.Input{
		Epoch: epoch, Proof: c.proof, Output: c.output, VotesDigest: sha256.Sum256(transition.AppendOps(nil, ops)),
		Descriptor: func(_ record.RID, body [16]byte) *record.Descriptor { return catalog[body] },
	}
	for seat := range quorum {
		in.Votes = append(in.Votes, transition.Vote{Seat: seat, Ops: ops})
	}
	child, err := transition.Next(c.doc, parent, in)
	if err != nil {
		return dirsync.Final{}, err
	}
	cert, err := c.sign(child, list, s)
	return dirsync.Final{State: child, Certificate: cert, Steps: c.steps}, err
}

// sign makes a certificate of a quorum of seats.
func (c *chain) sign(child *transition.State, list *transition.List, s signer) (*vote.Certificate, error) {
	signers, signatures := vote.NewSeats(len(list.Seats)), [][record.SignatureSize]byte(nil)
	for seat := range committee.Quorum(len(list.Seats)) {
		g, err := vote.NewSignature(c.nid, s(list, seat), child.Epoch(), child.Digest(), seat)
		if err != nil {
			return nil, err
		}
		signers.Add(seat)
		signatures = append(signatures, g.Bytes())
	}
	return vote.NewCertificate(child.Snapshot().Header(), signers, signatures)
}

// at is a moment of an epoch, some part of it after its start.
func (c *chain) at(epoch uint64, part float64) time.Time {
	return c.doc.EpochStart(epoch).Add(time.Duration(part * float64(c.doc.Params.EpochLen)))
}
