// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/dchest/siphash"

	"chive/directory/reconcile"
	"chive/directory/record"
	"chive/directory/sybil"
)

// kind says why there is a stream with a peer.
type kind uint8

const (
	ours     kind = iota // assigned to us, or a private one of ours
	theirs               // we are assigned to it
	guest                // it called, and nobody assigned it
	visited              // called for one repair or one request
	stranger             // it called, and is not on the list
)

// peer is one relay with a gossip stream.
type peer struct {
	link    uint64
	rid     record.RID
	kind    kind
	inbound bool
	key     [reconcile.KeySize]byte
	k0, k1  uint64 // key, as SipHash takes it
	session [32]byte
	source  netip.Addr
	joining bool      // its JOIN waits for our owner
	welcome bool      // a JOIN of its was taken
	joiner  bool      // we want no more of it than an answer to our JOIN
	joinDue time.Time // when that must have come
	greeted bool
	gone    bool
	doubt   int  // penalties in steps of what is not delivered
	proven  bool // has delivered what it was asked for
	offset  time.Duration
	upAt    time.Time
	leaveAt uint64 // epoch after which it is not theirs any more; 0: of no end yet

	queue   [2][]queued // bulk, urgent: to be announced
	flushAt [2]time.Time
	offers  offers  // announced to us, not asked for
	gets    []get   // asked for
	late    []named // asked for, overdue
	items   bucket  // what it may announce and push
	telling bucket  // what we do: a little less than it takes

	serving []serving
	budget  bucket

	repair    *reconcile.Session
	opened    bool // by us
	repairDue time.Time
	states    []stateAsk
	statesDue []State // parts that did not come in time, and still may
}

// named is a class and a short id.
type named struct {
	class byte
	id    ShortID
}

// queued is a record to be announced.
type queued struct {
	named
	digest Digest
}

// shortKey returns the key of a link's short ids. Spec: protocol §7 (GOS-4).
func shortKey(session [32]byte) [reconcile.KeySize]byte {
	h := record.Hash("short id", session[:])
	return [reconcile.KeySize]byte(h[:])
}

// NameOn is the short id of a record on the link of a session, for who acts as a relay
// without being a Machine: simulated adversaries. Spec: protocol §7 (GOS-4).
func NameOn(session [32]byte, d Digest) ShortID {
	var p peer
	p.setSession(session)
	return p.id(&d)
}

func (p *peer) setSession(session [32]byte) {
	p.session, p.key = session, shortKey(session)
	p.k0, p.k1 = binary.LittleEndian.Uint64(p.key[:8]), binary.LittleEndian.Uint64(p.key[8:])
}

// id is the short id of a digest on this link.
func (p *peer) id(d *Digest) ShortID { return ShortID(siphash.Hash(p.k0, p.k1, d[:])) }

// drawn reports whether a peer is one that we chose or that a draw gave us: who takes
// all places that are open to everybody is none of these.
func (p *peer) drawn() bool { return p.kind == ours || p.kind == theirs }

func (m *Machine) peerOf(rid record.RID) *peer {
	if i, ok := m.search(rid); ok {
		return m.peers[i]
	}
	return nil
}

func (m *Machine) search(rid record.RID) (int, bool) {
	return slices.BinarySearchFunc(m.peers, rid, func(p *peer, rid record.RID) int { return p.rid.Compare(rid) })
}

// linkUp takes a stream, if there is a place for it, and says HELLO.
func (m *Machine) linkUp(ev LinkUp) {
	m.dialled(ev.RID)
	refuse := func(r Reason) {
		m.dialAgain(ev.RID)
		if m.visiting && m.visit == ev.RID && m.peerOf(ev.RID) == nil {
			m.visiting = false
		}
		m.emit(Close{ev.Link, ev.RID, r})
	}
	if !m.ready || m.byLink[ev.Link] != nil || ev.RID == m.cfg.Self {
		refuse(ReasonStale)
		return
	}
	if m.waiting(ev.RID) {
		refuse(ReasonWaits)
		return
	}
	if ev.Inbound && m.tooOften(ev.RID) {
		refuse(ReasonFull)
		return
	}
	if old := m.peerOf(ev.RID); old != nil {
		// Both called at once: both ends keep what the lower rid dialled. Else the
		// newest wins, as with links.
		lower := ev.Inbound == (ev.RID.Compare(m.cfg.Self) < 0)
		if ev.Inbound != old.inbound && !lower {
			refuse(ReasonDuplicate)
			return
		}
		m.close(old, ReasonDuplicate)
	}
	p := &peer{
		link: ev.Link, rid: ev.RID, inbound: ev.Inbound, source: ev.Source, upAt: m.now,
		items: newBucket(BurstItems, m.now), telling: newBucket(BurstItems*tellingPart/10, m.now), budget: newBucket(ServeBurst, m.now),
	}
	p.setSession(ev.Session)
	if s := m.standings[ev.RID]; s != nil {
		s.decay(m.now, m.penaltyTime())
		p.doubt = s.score / penaltyUndelivered
	}
	p.kind, p.leaveAt = m.classify(p)
	if !m.fits(p) {
		refuse(ReasonFull)
		return
	}
	at, _ := m.search(p.rid)
	m.peers = slices.Insert(m.peers, at, p)
	m.byLink[p.link] = p
	hello := &Hello{
		Version: Version, NetworkID: m.cfg.NetworkID, Time: uint64(max(0, m.now.UnixMilli())),
		Epoch: m.view.Epoch, Head: m.view.Head,
	}
	for i := range classCount {
		hello.Counts[i] = uint64(m.cfg.Records.Count(classes[i]))
	}
	m.send(p, hello)
}

// classify says what a peer is to us under the current view.
func (m *Machine) classify(p *peer) (kind, uint64) {
	relay, known := find(m.view.Relays, p.rid)
	switch {
	case m.wanted(p.rid):
		return ours, 0
	case !p.inbound:
		return visited, 0
	case !known:
		return stranger, 0
	case !relay.Running:
		return guest, 0
	case m.mayCall(m.view.Beacon, p.rid):
		return theirs, 0
	case m.view.DayBefore != m.view.Beacon && m.mayCall(m.view.DayBefore, p.rid):
		// It has not seen the change of day yet, or stays for one epoch.
		day := uint64(max(1, m.cfg.Params.Day))
		if first := m.view.Epoch / day * day; m.view.Epoch <= first+1 {
			return theirs, first + 1
		}
	}
	return guest, 0
}

// fits reports whether there is a place for a peer of its kind, and for a stranger
// whether its source leaves one to others: identities cost nothing.
// Spec: protocol §7 (GOS-2).
func (m *Machine) fits(p *peer) bool {
	most := MaxPeers
	switch p.kind {
	case guest:
		most = MaxGuests
	case stranger:
		most = MaxStrangers
	}
	same, near := 0, 0
	for _, other := range m.peers {
		if other == p || other.kind != p.kind {
			continue
		}
		if same++; sybil.Net(other.source) == sybil.Net(p.source) {
			near++
		}
	}
	if p.kind == stranger && sybil.PerSource(m.cfg.Params) && near >= strangersOfNet {
		return false
	}
	return len(m.peers) < MaxPeers && same < most
}

// greeted takes a peer's HELLO.
func (m *Machine) greeted(p *peer, h *Hello) {
	if h.Version != Version || h.NetworkID != m.cfg.NetworkID {
		m.close(p, ReasonForeign)
		return
	}
	p.greeted = true
	m.dialDone(p.rid)
	p.offset = time.UnixMilli(int64(h.Time)).Sub(m.now)
	if p.kind == stranger {
		return
	}
	m.emit(HeadSeen{p.rid, h.Epoch, h.Head, h.Counts})
	if h.Epoch < m.view.Epoch {
		if data := m.cfg.Records.Get(record.ClassCertificate, m.view.Head); data != nil {
			m.send(p, &Item{Pushed: true, Class: record.ClassCertificate, Data: data})
		}
	}
	m.tellRecent(p)
	m.sendJoin(p)
	if !p.inbound && !p.joiner {
		m.openRepair(p)
	}
	if p.kind == visited && p.repair == nil && !p.joiner && len(p.states) == 0 {
		m.close(p, ReasonDone)
	}
}

// close closes a peer's stream.
func (m *Machine) close(p *peer, why Reason) {
	if p.gone {
		return
	}
	m.emit(Close{p.link, p.rid, why})
	m.remove(p)
}

// remove forgets a peer and asks others for what it owed.
func (m *Machine) remove(p *peer) {
	if p.gone {
		return
	}
	p.gone = true
	if i, ok := m.search(p.rid); ok {
		m.peers = slices.Delete(m.peers, i, i+1)
	}
	delete(m.byLink, p.link)
	if !p.greeted {
		m.dialAgain(p.rid)
	}
	if m.visiting && m.visit == p.rid {
		m.visiting = false
	}
	m.endRepair(p, reconcile.ErrRefused)
	m.endStates(p)
	m.endJoin(p)
	m.pursueWants(func(w *want) bool { return w.from(p) })
	for i := range classCount {
		m.request(classes[i])
	}
}
