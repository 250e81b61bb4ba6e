// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"net/netip"

	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/vote"
)

// memoryKey is where a member's memory is stored.
var memoryKey = []byte("memory")

// privateKey is where the private neighbours are stored.
var privateKey = []byte("private")

// carry does what the member wants.
func (m *Machine) carry(e vote.Effect) {
	switch e := e.(type) {
	case vote.Store:
		m.memory = e.Memory
		m.tokens = m.tokensBefore + e.Token
		m.emit(Store{Token: m.tokens, Bucket: BucketSelf, Key: memoryKey, Value: e.Memory})
	case vote.Send:
		if it, err := m.cfg.Catalog.item(e.Class, e.Data); err == nil && m.hold(it) {
			m.tell(gossip.Announce{Class: e.Class, Digest: e.Digest})
		}
	case vote.Fetch:
		m.fetch(e)
	case vote.FetchDescriptors:
		clear(m.missing)
		for _, w := range e.Wants {
			m.missing[w.RID] = true
		}
		m.tell(gossip.RepairNow{})
	case vote.Load:
		m.load(e.Certificate)
	case vote.Observe:
		m.ask(vote.Observed{Epoch: e.Epoch, View: m.observations(e.Epoch)})
	case vote.Final:
		m.final(e)
	case vote.Accuse:
		m.accuse(e.Evidence)
	case vote.Forked:
		m.forked(e.Ours, e.Theirs)
	case vote.Illegal:
		m.keepBoth(e.Certificate)
		m.emit(Report{What: ReportIllegal})
	case vote.Rejoin:
		m.rejoin(e.Certificate)
	case vote.Erase:
		delete(m.cfg.Keys, e.Term)
		m.emit(Erase{Term: e.Term})
	case vote.Strange:
		what := ReportOldMemory
		if e.Other {
			what = ReportOtherSelf
		}
		m.emit(Report{What: what, RID: m.cfg.RID})
	case vote.Wake:
		m.memberWake = e.At
	}
}

// keepBoth stores certificates that an operator has to show.
func (m *Machine) keepBoth(all ...*vote.Certificate) {
	for _, c := range all {
		if c != nil {
			digest := c.Digest()
			m.hold(&item{class: record.ClassCertificate, digest: digest, epoch: c.Header.Epoch, data: c.Encode()})
		}
	}
}

// fetch gives the member what is held, and has the rest asked for.
func (m *Machine) fetch(e vote.Fetch) {
	var rest [][32]byte
	for _, d := range e.Digests {
		if it := m.items.get(e.Class, d); it != nil {
			m.ask(vote.Received{Class: e.Class, Data: it.data, Decoded: it.said})
			continue
		}
		rest = append(rest, d)
	}
	if len(rest) > 0 {
		m.tell(gossip.Want{Class: e.Class, Digests: rest})
	}
}

// pass does what the gossip machine wants.
func (m *Machine) pass(e gossip.Effect) {
	switch e := e.(type) {
	case gossip.Send:
		m.emit(Send{Link: e.Link, RID: e.RID, Body: e.Body})
	case gossip.Open:
		if addresses := m.addresses(e.RID); len(addresses) > 0 {
			m.emit(Open{RID: e.RID, Addresses: addresses})
		} else {
			m.tell(gossip.DialFailed(e))
		}
	case gossip.Close:
		delete(m.reach.links, e.Link)
		m.moved = true
		m.emit(Close{Link: e.Link, RID: e.RID, Reason: e.Reason})
		switch e.Reason {
		case gossip.ReasonBroken:
			m.emit(Report{What: ReportClosed, RID: e.RID})
		case gossip.ReasonPenalty:
			m.emit(Report{What: ReportLeft, RID: e.RID})
		}
	case gossip.Wake:
		m.gossipWake = e.At
	case gossip.HeadSeen:
		m.headSeen(e.RID, e.Epoch, e.Head)
	case gossip.PrivateChanged:
		m.private = e.RIDs
		var value []byte
		for _, rid := range e.RIDs {
			value = append(value, rid[:]...)
		}
		m.keep(BucketPeer, privateKey, value)
	case gossip.JoinAsked:
		m.joinAsked(e)
	case gossip.JoinAnswered:
		m.joinAnswered(e)
	case gossip.StateReceived:
		m.stateReceived(e)
	}
}

// addresses returns where a relay of the newest table, or a candidate, is.
func (m *Machine) addresses(rid record.RID) []netip.AddrPort {
	r, ok := m.newest().Table().Relay(rid)
	if !ok {
		if _, d, _ := m.candidate(rid); d != nil {
			return d.Addresses
		}
		return nil
	}
	var out []netip.AddrPort
	for _, a := range r.Addresses {
		if a.IsValid() {
			out = append(out, a)
		}
	}
	return out
}
