// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"slices"
	"time"

	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/sybil"
)

// entriesWanted is how many relays a newcomer asks to introduce it.
// Spec: directory §7 (1).
const entriesWanted = 3

// joining is our own way into a table that does not list us.
type joining struct {
	wanted  bool
	voucher []byte
	solving bool
	work    *record.Work
	said    [32]byte // descriptor that data is made of
	data    []byte   // what is sent
	taken   int
	active  []record.RID
	tried   map[record.RID]time.Time
	next    time.Time
	round   time.Time // when the asking that taken counts of began
	// unreached are relays that could not reach us when they answered last.
	unreached map[record.RID]struct{}
	// doubted are relays that took no request because of its voucher; once there are
	// enough of them it is left out until again, and refused is why.
	doubted map[record.RID]struct{}
	refused gossip.JoinCode
	again   time.Time
	// denied are relays that say that the request does not hold, remade is when new work
	// was begun for it.
	denied map[record.RID]struct{}
	remade time.Time
}

// newest is the newest snapshot that is known: our own, or the one that the role has
// as a client.
func (m *Machine) newest() *snapshot.Snapshot {
	if m.seen != nil {
		return m.seen
	}
	return m.at.state.Snapshot()
}

func (m *Machine) listed() bool {
	_, ok := m.newest().Table().Index(m.cfg.RID)
	return ok
}

// sawSnapshot takes a snapshot that the role has verified as a client, which only
// helps one that is not on our own list or far behind.
func (m *Machine) sawSnapshot(s *snapshot.Snapshot) {
	if s.Header().NetworkID != m.nid || s.Epoch() < m.at.state.Epoch()+behindBy || (m.seen != nil && s.Epoch() <= m.seen.Epoch()) {
		return
	}
	m.seen, m.moved = s, true
	m.tell(m.neighbourhood())
}

// join goes on asking relays to introduce us. Spec: directory §7 (1).
func (m *Machine) join() {
	j := &m.joining
	own := m.descs.newest(m.cfg.RID)
	if !j.wanted || own == nil || m.listed() {
		return
	}
	m.voucherOver()
	if j.aside() && !m.now.Before(j.again) {
		j.refused, j.again, j.data = 0, time.Time{}, nil
	}
	if j.data == nil || j.said != own.digest {
		if !m.makeCandidate(own) {
			return
		}
	}
	m.askAnew()
	if m.now.Before(j.next) || j.taken+len(j.active) >= entriesWanted {
		return
	}
	j.next = m.now.Add(m.p.EpochLen)
	for range entriesWanted - j.taken - len(j.active) {
		rid, ok := m.chooseEntry()
		if !ok {
			return
		}
		j.active, j.tried[rid] = append(j.active, rid), m.now
		m.tell(gossip.AskJoin{RID: rid, Data: j.data})
	}
}

// askAnew forgets after a day who has taken the request. Those who say so may lie, and all
// three may: then nobody has heard of us, and the next descriptor, which is asked with in
// any case, may be days away. Who was tried is remembered, so that others come first.
// Spec: directory §7 (1).
func (m *Machine) askAnew() {
	j := &m.joining
	if at := m.anewAt(); at.IsZero() || m.now.Before(at) {
		return
	}
	j.taken, j.next, j.round = 0, m.now, m.now
	clear(j.doubted)
	clear(j.denied)
}

// makeCandidate makes what is sent of the newest descriptor, or asks for work first.
func (m *Machine) makeCandidate(own *descriptor) bool {
	j := &m.joining
	now := m.doc.EpochAt(m.now)
	if sybil.Needed(m.p) && !m.worked(own, now) {
		return false
	}
	c := &record.Candidate{Descriptor: own.data, Work: j.work}
	if !j.aside() {
		c.Voucher = j.voucher
	}
	data, err := c.Encode()
	if err != nil {
		return false
	}
	j.data, j.said, j.taken, j.tried, j.next = data, own.digest, 0, map[record.RID]time.Time{}, m.now
	j.round = m.now
	j.unreached, j.doubted, j.denied = map[record.RID]struct{}{}, map[record.RID]struct{}{}, map[record.RID]struct{}{}
	return true
}

// worked reports whether there is work to send, and asks for new work where there is
// none or where it has lived half its time: what is sent has to hold for as long as the
// descriptor in it, at relays that see it late, too. Spec: protocol §7 (ADM-2).
func (m *Machine) worked(own *descriptor, now uint64) bool {
	j := &m.joining
	holds := j.work != nil && sybil.CheckSalt(m.p, j.work.Epoch, now) == nil
	if holds && now-j.work.Epoch <= sybil.SaltDays/2*uint64(max(m.p.Day, 1)) {
		return true
	}
	if j.solving {
		return false
	}
	// A beacon that is too old already is worth no work: a newer list has to come.
	h := m.newest().Header()
	if sybil.CheckSalt(m.p, h.Epoch, now) != nil || holds && h.Epoch <= j.work.Epoch {
		return holds
	}
	j.solving = true
	m.emit(Solve{Challenge: sybil.NewChallenge(m.p, m.nid, own.Identity, h.Epoch, h.Beacon)})
	return false
}

// day is how long a day of the network is.
func (m *Machine) day() time.Duration { return time.Duration(max(m.p.Day, 1)) * m.p.EpochLen }

// denied takes an entry relay's word that our request does not hold. When as many say so
// as introduce a relay, or all there are, and none has taken it, its work may be salted
// with a beacon that others do not know, as that of a snapshot which was replaced: new
// work is made, once a day.
func (m *Machine) denied(rid record.RID) {
	j := &m.joining
	j.denied[rid] = struct{}{}
	if !sybil.Needed(m.p) || j.taken > 0 || len(j.denied) < min(entriesWanted, m.entryRelays()) ||
		!j.remade.IsZero() && m.now.Sub(j.remade) < m.day() {
		return
	}
	j.work, j.data, j.said, j.remade = nil, nil, [32]byte{}, m.now
}

// wants goes on, or begins, to ask for a place on the list.
func (j *joining) wants(voucher []byte) {
	j.wanted, j.voucher, j.refused, j.again, j.data = true, voucher, 0, time.Time{}, nil
}

// aside reports whether a voucher is left out for a while.
func (j *joining) aside() bool { return !j.again.IsZero() }

// withVoucher reports whether a voucher is sent.
func (j *joining) withVoucher() bool { return j.voucher != nil && !j.aside() }

// voucherOver leaves out a voucher that nobody takes any more.
func (m *Machine) voucherOver() {
	j := &m.joining
	if j.voucher == nil {
		return
	}
	v, _, err := record.OpenVoucher(j.voucher)
	if err != nil || m.newest().Day()-int(v.Day) >= record.VoucherDays {
		j.voucher, j.refused, j.again, j.data = nil, gossip.JoinVoucherOld, time.Time{}, nil
	}
}

// voucherDoubted takes an entry relay's word against our voucher. One alone may lie: it
// takes as many as introduce a relay, or all there are, and none that has taken it. All
// of those may lie, too, so that it goes on for a day only as if it had none, for one of
// the places that are for everybody, and then asks others with it. Spec: protocol §7
// (GOS-15).
func (m *Machine) voucherDoubted(e gossip.JoinAnswered) {
	j := &m.joining
	if !j.withVoucher() {
		return
	}
	j.doubted[e.RID] = struct{}{}
	if j.taken == 0 && len(j.doubted) >= min(entriesWanted, m.entryRelays()) {
		j.refused, j.again, j.data = e.Code, m.now.Add(m.day()), nil
	}
}

// mayEnter reports whether a relay of the newest table is one that may introduce us.
func (m *Machine) mayEnter(r *snapshot.Relay) bool {
	return r.Flags&snapshot.FlagRunning != 0 && r.RID != m.cfg.RID && m.newest().Day()-int(r.BirthDay) >= m.p.EntryAge
}

// entryRelays counts them.
func (m *Machine) entryRelays() (n int) {
	table := m.newest().Table()
	for i := range table.Len() {
		if m.mayEnter(table.At(i)) {
			n++
		}
	}
	return n
}

// chooseEntry draws a relay that may introduce us, of a group that was not asked
// while there is one.
func (m *Machine) chooseEntry() (record.RID, bool) {
	j, s := &m.joining, m.newest()
	table := s.Table()
	groups := map[uint16]bool{}
	for rid := range j.tried {
		if r, ok := table.Relay(rid); ok {
			groups[r.Leaf.Group] = true
		}
	}
	var fresh, rest []record.RID
	for i := range table.Len() {
		r := table.At(i)
		tried, was := j.tried[r.RID]
		if !m.mayEnter(r) || was && m.now.Sub(tried) < m.p.EpochLen || slices.Contains(j.active, r.RID) {
			continue
		}
		if rest = append(rest, r.RID); !groups[r.Leaf.Group] {
			fresh = append(fresh, r.RID)
		}
	}
	if len(fresh) == 0 {
		fresh = rest
	}
	if len(fresh) == 0 {
		return record.RID{}, false
	}
	return fresh[m.cfg.Rand.Uint64()%uint64(len(fresh))], true
}

// joinAnswered takes an entry relay's answer.
func (m *Machine) joinAnswered(e gossip.JoinAnswered) {
	j := &m.joining
	j.active = slices.DeleteFunc(j.active, func(rid record.RID) bool { return rid == e.RID })
	if _, asked := j.tried[e.RID]; e.Sent && asked {
		delete(j.unreached, e.RID)
		if e.Code == gossip.JoinUnreachable {
			j.unreached[e.RID] = struct{}{}
		}
	}
	if e.Sent && (e.Code == gossip.JoinTaken || e.Code == gossip.JoinKnown) {
		j.taken++
	}
	if _, asked := j.tried[e.RID]; e.Sent && asked && voucherCode(e.Code) {
		m.voucherDoubted(e)
	}
	if e.Sent && e.Code == gossip.JoinRefused {
		if _, asked := j.tried[e.RID]; asked {
			m.denied(e.RID)
		}
		m.emit(Report{What: ReportRefused, RID: e.RID})
	}
}

// voucherCode reports an answer that is about the voucher.
func voucherCode(c gossip.JoinCode) bool {
	return c == gossip.JoinVoucherOld || c == gossip.JoinSponsor || c == gossip.JoinSpent
}

// joinAt is when to go on asking.
func (m *Machine) joinAt() time.Time {
	j := &m.joining
	own := m.descs.newest(m.cfg.RID)
	if !j.wanted || own == nil || j.said != own.digest || m.listed() {
		return time.Time{}
	}
	at := j.next
	if j.taken+len(j.active) >= entriesWanted {
		at = time.Time{}
	}
	for _, t := range []time.Time{j.again, m.anewAt()} {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	return at
}

// anewAt is when askAnew has something to do, or zero.
func (m *Machine) anewAt() time.Time {
	if m.joining.taken == 0 {
		return time.Time{}
	}
	return m.joining.round.Add(m.day())
}
