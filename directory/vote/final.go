// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"chive/directory/committee"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/transition"
)

// Bounds of what is kept of certificates. Spec: protocol §12 (EPOCH-9).
const (
	maxLinks = 64 // certificates
	maxAhead = 32 // snapshots between ours and one that is followed
	// maxMade is how many snapshots that were signed are kept, final or not. Whoever
	// gives the last signature can keep the certificate back until votes and proposal
	// are gone, and then only those who signed know what it is about.
	maxMade = 4
)

// link is a verified certificate that is not, or not yet, followed.
type link struct {
	*Certificate
	roster *Roster   // that signed
	at     time.Time // when it came
	asked  time.Time // when its parent's certificate was asked for
}

// load is what was asked for from others.
type load struct {
	header [32]byte
	asked  time.Time
}

// takeCertificate takes one from a peer.
func (m *Member) takeCertificate(c *Certificate) {
	if m.admit(c) {
		m.emit(Accept{Class: record.ClassCertificate, Digest: c.Digest()})
	}
}

// admit verifies a certificate and keeps it if it can matter: if it may come to be
// the newest final one, or stand beside ours. It reports whether it is valid and new.
func (m *Member) admit(c *Certificate) bool {
	h := c.Header
	if c.digest == m.head.Digest() || c.digest == h.Parent || (m.below != nil && c.digest == m.below.Digest()) ||
		slices.Contains(m.illegal, c.digest) || slices.ContainsFunc(m.links, func(l *link) bool { return l.digest == c.digest }) {
		return false
	}
	if h.NetworkID != m.nid || h.Epoch == 0 {
		m.refuse(record.ClassCertificate, ErrCertificate)
		return false
	}
	if m.start(h.Epoch).After(m.now.Add(m.p.ClockAhead)) {
		return false // nobody can have signed it by a clock like ours
	}
	if h.HistorySize < m.head.Header().HistorySize {
		m.beside(c)
		return false
	}
	roster := m.signers(h)
	if roster == nil {
		return false
	}
	if err := c.Verify(m.nid, roster.List, m.Verifier); err != nil {
		m.refuse(record.ClassCertificate, err)
		return false
	}
	m.certificateSeen(c, roster)
	m.links = append(m.links, &link{Certificate: c, roster: roster, at: m.now})
	slices.SortFunc(m.links, func(a, b *link) int {
		return cmp.Or(cmp.Compare(a.Header.Epoch, b.Header.Epoch), bytes.Compare(a.digest[:], b.digest[:]))
	})
	if len(m.links) > maxLinks {
		m.links = m.links[1:]
	}
	m.compare(roster.List, c, m.cert)
	for _, l := range m.links {
		m.compare(roster.List, c, l.Certificate)
	}
	return true
}

// signers returns the list that must have signed a header, as far as the lists of
// the snapshots at hand tell; nil: none of them.
func (m *Member) signers(h *snapshot.Header) *Roster {
	if s := m.parent(h.Epoch, h.Parent); s != nil {
		return s.Owner(h.Epoch)
	}
	root := ownerRoot(h)
	for _, s := range []State{m.head, m.below} {
		if s == nil {
			continue
		}
		for _, r := range s.Rosters() {
			if r != nil && r.Root == root && r.List.Committee == transition.OwnerName(h.Epoch) {
				return r
			}
		}
	}
	for _, l := range m.links {
		if l.roster.Root == root {
			return l.roster
		}
	}
	return nil
}

// beside looks at an old certificate: it may be the second one of an epoch.
func (m *Member) beside(c *Certificate) {
	other := m.belowCert
	if other == nil || other.Header.Epoch != c.Header.Epoch || slices.Contains(m.old, c.digest) {
		return
	}
	roster := m.signers(c.Header)
	if roster == nil {
		return
	}
	// Before it is remembered: false signatures must not keep away the true ones.
	if err := c.Verify(m.nid, roster.List, m.Verifier); err != nil {
		m.refuse(record.ClassCertificate, err)
		return
	}
	m.old = remember(m.old, c.digest)
	m.compare(roster.List, c, other)
}

// compare accuses everybody who signed two headers of one epoch.
func (m *Member) compare(list *committee.List, a, b *Certificate) {
	if b == nil {
		return
	}
	for _, e := range DoubleSigners(list, a, b) {
		m.counts.Accused++
		m.emit(Accuse{Evidence: e})
	}
}

// path is how a certificate leads on from what we have: its links, oldest first.
type path struct {
	links   []*link
	sibling bool // it replaces our newest snapshot
	open    bool // the oldest link's parent is not known yet
	apart   bool // it parts from our history before our newest snapshot
}

func (p *path) tip() *link { return p.links[len(p.links)-1] }

// trace follows a certificate back.
func (m *Member) trace(l *link) path {
	ours := m.head.Header()
	p := path{links: []*link{l}}
	for {
		h := p.links[0].Header
		switch {
		case h.Parent == m.head.Digest():
			p.apart = !follows(ours, h)
			return p
		case h.HistorySize <= ours.HistorySize:
			// As deep as ours: it can only stand in its place.
			p.sibling = true
			p.apart = h.Parent != ours.Parent || h.HistorySize != ours.HistorySize
			return p
		}
		i := slices.IndexFunc(m.links, func(o *link) bool { return o.digest == h.Parent })
		if i < 0 {
			p.open = true
			return p
		}
		if !follows(m.links[i].Header, h) {
			p.apart = true
			return p
		}
		p.links = slices.Insert(p.links, 0, m.links[i])
	}
}

// follows reports whether a header can be the child of another, as far as the two
// show it: epoch, history, lists.
func follows(parent, h *snapshot.Header) bool {
	var none [32]byte
	for _, l := range [][4][32]byte{{parent.ListA, parent.NextA, h.ListA, h.NextA}, {parent.ListB, parent.NextB, h.ListB, h.NextB}} {
		installed := l[2] == l[1] && l[1] != none
		kept := l[2] == l[0] && (l[3] == l[1] || l[1] == none)
		if !installed && !kept {
			return false
		}
	}
	return h.Epoch > parent.Epoch && h.HistorySize == parent.HistorySize+1
}

// pursued returns the way to the final snapshot of the highest epoch that is to be
// followed and is above ours; nil: ours is the newest. Spec: directory §6 (choice),
// protocol §12 (EPOCH-9).
func (m *Member) pursued() *path {
	for _, l := range slices.Backward(m.links) {
		if l.Header.Epoch <= m.epoch() {
			return nil
		}
		if p := m.trace(l); !p.apart {
			return &p
		}
	}
	return nil
}

// awaits reports whether a final snapshot above ours became known that may still
// come. One that nobody gave for an epoch is not waited for any longer: if only
// traitors have it, another will stand in its place.
func (m *Member) awaits() bool {
	p := m.pursued()
	return p != nil && m.now.Before(p.tip().at.Add(m.p.EpochLen))
}

// pursue goes to the newest final snapshot, as far as what is at hand leads there,
// and asks for the rest.
func (m *Member) pursue() {
	m.reportForks()
	for {
		p := m.pursued()
		if p == nil {
			m.load = load{}
			return
		}
		tip, first := p.tip(), p.links[0]
		if tip.Header.HistorySize > m.head.Header().HistorySize+maxAhead {
			if tip.asked.IsZero() {
				tip.asked = m.now
				m.emit(Rejoin{Certificate: tip.Certificate})
			}
			return
		}
		if p.open {
			if first.asked.IsZero() || !m.now.Before(first.asked.Add(m.p.Sign)) {
				first.asked = m.now
				m.emit(Fetch{Class: record.ClassCertificate, Digests: [][32]byte{CertificateDigest(first.Header.Parent)}})
			}
			return
		}
		child, hope := m.rebuild(first)
		switch {
		case child != nil:
			m.adopt(first, child, p)
		case slices.Contains(m.illegal, first.digest):
		case hope && len(p.links) == 1 && m.now.Before(first.at.Add(m.margin())):
			return
		default:
			m.ask(tip)
			return
		}
	}
}

// rebuild recomputes a snapshot that follows ours or stands beside it, from its
// proposal. hope: it lacks what may still come.
func (m *Member) rebuild(l *link) (child State, hope bool) {
	for _, s := range m.made {
		if s.Digest() == l.digest {
			return s, false
		}
	}
	r := m.round(l.Header.Epoch)
	if r == nil {
		return nil, false
	}
	p := r.find(l.digest)
	if p == nil {
		return nil, false
	}
	if m.recompute(r, p); p.bad {
		m.condemn(l.Certificate, ErrProposal)
		return nil, false
	}
	return p.child, p.child == nil && m.parent(r.epoch, l.Header.Parent) != nil
}

// ask asks others for the state of a header.
func (m *Member) ask(l *link) {
	if m.load.header == l.digest && m.now.Before(m.load.asked.Add(m.p.Sign)) {
		return
	}
	m.load = load{header: l.digest, asked: m.now}
	m.emit(Load{Certificate: l.Certificate})
}

// loaded takes a state from others. Its certificate says that it is agreed, the
// rules whether it may be.
func (m *Member) loaded(s State) {
	if s == nil {
		return
	}
	p := m.pursued()
	if p == nil || p.open || p.tip().digest != s.Digest() {
		return
	}
	ancestor := m.head
	if p.sibling {
		ancestor = m.below
	}
	if ancestor != nil {
		if err := m.Rules.Check(ancestor, s); err != nil {
			m.condemn(p.tip().Certificate, err)
			return
		}
	}
	m.adopt(p.tip(), s, p)
}

// condemn refuses a certificate for good, whoever signed it.
func (m *Member) condemn(c *Certificate, err error) {
	m.counts.Illegal++
	m.illegal = remember(m.illegal, c.digest)
	m.links = slices.DeleteFunc(m.links, func(l *link) bool { return l.digest == c.digest })
	m.emit(Illegal{Certificate: c, Err: err})
}

func remember(list [][32]byte, digest [32]byte) [][32]byte {
	if list = append(list, digest); len(list) > maxRemembered {
		list = list[1:]
	}
	return list
}

// adopt makes a snapshot on the way the newest one.
func (m *Member) adopt(l *link, s State, p *path) {
	m.counts.Finals++
	final := Final{State: s, Certificate: l.Certificate}
	if p.sibling {
		m.counts.Orphans++
		final.Orphan = m.cert
	} else {
		m.below, m.belowCert = m.head, m.cert
	}
	final.Parent = m.below
	m.head, m.cert, m.load = s, l.Certificate, load{}
	m.made = slices.DeleteFunc(m.made, func(o State) bool { return o.Header().Epoch <= m.epoch() })
	size := s.Header().HistorySize
	m.links = slices.DeleteFunc(m.links, func(o *link) bool { return o.digest == l.digest || o.Header.HistorySize < size })
	m.emit(final)
	m.rebase()
}

// reportForks tells of histories above ours that part from it, once each, and drops
// them: they are not followed.
func (m *Member) reportForks() {
	for _, l := range slices.Clone(m.links) {
		if l.Header.Epoch <= m.epoch() {
			continue
		}
		if p := m.trace(l); p.apart {
			m.links = slices.DeleteFunc(m.links, func(o *link) bool { return o.digest == l.digest })
			if !slices.Contains(m.forked, l.digest) {
				m.forked = remember(m.forked, l.digest)
				m.counts.Forks++
				m.emit(Forked{Ours: m.cert, Theirs: l.Certificate})
			}
		}
	}
}
