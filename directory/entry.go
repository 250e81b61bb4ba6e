// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"slices"
	"time"

	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/sybil"
	"chive/directory/transition"
)

// Bounds of an entry relay's work for newcomers.
const (
	maxEntering  = 16 // at once; others are told to ask again
	entryTimeout = time.Minute
)

// entering is a newcomer on its way in: its work is checked, its addresses are
// dialled, then we say so.
type entering struct {
	link   uint64
	opened *record.Opened
	data   []byte
	stage  stage
	probe  uint64
	due    time.Time
}

type stage uint8

const (
	stageWork stage = iota
	stageDial
	stageSign
)

// joinAsked takes a newcomer's request. Spec: directory §7 (2), protocol §7 (GOS-10).
func (m *Machine) joinAsked(e gossip.JoinAsked) {
	code, done := m.enter(e)
	if done {
		m.tell(gossip.JoinAnswer{Link: e.Link, Code: code})
	}
}

func (m *Machine) enter(e gossip.JoinAsked) (gossip.JoinCode, bool) {
	if len(m.entering) >= maxEntering {
		return gossip.JoinBusy, true
	}
	o, err := record.OpenCandidate(e.Data, m.nid, m.now, m.times())
	if err != nil || o.Entry != nil || o.RID != e.RID || o.RID == m.cfg.RID {
		return gossip.JoinRefused, true
	}
	if _, listed := m.table().Index(o.RID); listed {
		return gossip.JoinKnown, true
	}
	if held, ok := m.pending.Last(o.RID); ok && held.Seq >= o.Descriptor.Seq && (held.Vouched || o.Voucher == nil) {
		return gossip.JoinKnown, true
	}
	if m.claims.revoked(o.RID, o.Descriptor.Identity, o.Signed.Cert, m.now) {
		return gossip.JoinRefused, true
	}
	challenge, ok := m.challenge(o.Descriptor.Identity, o.Work)
	if !ok && o.Work != nil && o.Work.Epoch > m.at.state.Epoch() && o.Work.Epoch <= m.doc.EpochAt(m.now) {
		return gossip.JoinBusy, true // our list is behind the newcomer's
	}
	if !ok || challenge.CheckStamp(o.Work) != nil {
		return gossip.JoinRefused, true
	}
	// Before its stamp was checked a request is counted nowhere: what cost nothing must not
	// take the hour's places. What follows costs memory, time and fresh links.
	if !m.joins.Allow(m.p, m.now, e.Source) {
		return gossip.JoinBusy, true
	}
	if code, bad := m.badVoucher(o); bad {
		return code, true
	}
	in := &entering{link: e.Link, opened: o, data: e.Data, due: m.now.Add(entryTimeout)}
	m.entering = append(m.entering, in)
	if m.p.WorkBits > 0 {
		m.emit(CheckWork{Digest: o.Digest, Challenge: challenge, Work: *o.Work})
	} else {
		m.dialBack(in)
	}
	return 0, false
}

// badVoucher says why a candidate's voucher counts for nothing here. It is found out
// before the addresses are dialled. Spec: protocol §7 (GOS-15).
func (m *Machine) badVoucher(o *record.Opened) (gossip.JoinCode, bool) {
	if o.Voucher == nil {
		return 0, false
	}
	state := m.at.state
	today := state.Snapshot().Day()
	if int(o.Voucher.Day) > today { // our list is behind the sponsor's
		return gossip.JoinBusy, true
	}
	switch why, _ := state.Vouching(m.p, m.doc.EpochAt(m.now), o.Voucher.Sponsor); why {
	case transition.UnfitNot:
	case transition.UnfitSpent:
		return gossip.JoinSpent, true
	default:
		return gossip.JoinSponsor, true
	}
	sponsor, known := m.identity(o.Voucher.Sponsor)
	if !known {
		return gossip.JoinBusy, true // its descriptor is on its way
	}
	if o.Voucher.Verify(o.VouchedBy, m.nid, sponsor, uint16(min(today, 1<<16-1)), m.now) != nil {
		return gossip.JoinVoucherOld, true
	}
	if other, held := m.pending.Sponsored(o.Voucher.Sponsor); held && other != o.RID {
		return gossip.JoinSpent, true
	}
	return 0, false
}

// leave ends a newcomer's request.
func (m *Machine) leave(in *entering, code gossip.JoinCode) {
	m.entering = slices.DeleteFunc(m.entering, func(o *entering) bool { return o == in })
	m.tell(gossip.JoinAnswer{Link: in.link, Code: code})
}

func (m *Machine) enteringAt(s stage, is func(in *entering) bool) *entering {
	for _, in := range m.entering {
		if in.stage == s && is(in) {
			return in
		}
	}
	return nil
}

func (m *Machine) enteringWork(ev WorkChecked) {
	in := m.enteringAt(stageWork, func(in *entering) bool { return in.opened.Digest == ev.Digest && *in.opened.Work == ev.Work })
	switch {
	case in == nil:
	case ev.Bits < m.p.WorkBits:
		m.leave(in, gossip.JoinRefused)
	default:
		m.dialBack(in)
	}
}

func (m *Machine) dialBack(in *entering) {
	in.stage, in.probe = stageDial, m.reach.number()
	m.emit(Probe{ID: in.probe, RID: in.opened.RID, Addresses: in.opened.Descriptor.Addresses})
}

// enteringProbed takes the answer to dialling back, and asks for a signature.
func (m *Machine) enteringProbed(ev ProbeDone) {
	in := m.enteringAt(stageDial, func(in *entering) bool { return in.probe == ev.ID })
	switch {
	case in == nil:
	case !ev.OK:
		m.leave(in, gossip.JoinUnreachable)
	default:
		in.stage = stageSign
		m.emit(SignEntry{Entry: &record.Entry{
			Entry: m.cfg.RID, Candidate: in.opened.RID, Body: in.opened.Body,
			Addresses: in.opened.Descriptor.Addresses, Epoch: m.doc.EpochAt(m.now),
		}})
	}
}

// entrySigned introduces a newcomer.
func (m *Machine) entrySigned(ev EntrySigned) {
	in := m.enteringAt(stageSign, func(in *entering) bool { return in.opened.RID == ev.RID })
	if in == nil {
		return
	}
	c, err := record.DecodeCandidate(in.data)
	if err != nil {
		m.leave(in, gossip.JoinRefused)
		return
	}
	c.Entry = ev.Data
	data, err := c.Encode()
	if err != nil {
		m.leave(in, gossip.JoinRefused)
		return
	}
	o, err := record.OpenCandidate(data, m.nid, m.now, m.times())
	if err != nil || o.Entry.Entry != m.cfg.RID {
		m.leave(in, gossip.JoinRefused)
		return
	}
	verdict := m.takeCandidate(o, data)
	if verdict == gossip.VerdictLater { // we have checked it just now
		if m.pending.Checked(o.Digest, m.p.WorkBits) {
			verdict = gossip.VerdictNew
		}
	}
	if verdict != gossip.VerdictNew {
		m.leave(in, gossip.JoinBusy)
		return
	}
	m.tell(gossip.Announce{Class: record.ClassCandidate, Digest: o.Digest})
	m.leave(in, gossip.JoinTaken)
}

// lateEntries ends requests that take too long.
func (m *Machine) lateEntries() {
	for _, in := range slices.Clone(m.entering) {
		if !m.now.Before(in.due) {
			m.leave(in, gossip.JoinBusy)
		}
	}
}

// entryAt is when the oldest request is over.
func (m *Machine) entryAt() (at time.Time) {
	for _, in := range m.entering {
		if at.IsZero() || in.due.Before(at) {
			at = in.due
		}
	}
	return at
}

// newPending returns the store of candidates.
func (m *Machine) newPending() *sybil.Pending { return sybil.NewPending(m.p, m.table().Len()) }
