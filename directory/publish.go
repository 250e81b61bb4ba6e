// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"math/bits"
	"time"

	"chive/directory/committee"
	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/transition"
	"chive/directory/vote"
)

// publication is the duty to publish one's own descriptor again and again.
type publication struct {
	at    time.Time // the next one
	asked time.Time // Publish, without an answer so far
	seq   uint64    // highest known
	term  uint64    // of the newest one
	renew bool      // as soon as one may be

	newest *descriptor // ours in tries of which this is the one by rid
	of     trie
}

// mine returns our own newest descriptor, or nil. It is looked for when descriptors have
// changed: every step asks.
func (m *Machine) mine() *descriptor {
	if m.own.of != m.descs.relays {
		m.own.newest, m.own.of = m.descs.newest(m.cfg.RID), m.descs.relays
	}
	return m.own.newest
}

// retryPart: an unanswered Publish is repeated after a fraction of the republication.
const retryPart = 20

// startPublishing goes on with the descriptor that was saved, or asks for one.
func (m *Machine) startPublishing() {
	m.own.at = m.now
	if d := m.mine(); d != nil {
		m.schedule(d)
	}
}

// knowOwn remembers the number of our newest descriptor also when the clock says that it
// is of another time: what we publish next is above it, and it is no stranger's when
// others send it back. It comes from our own store.
func (m *Machine) knowOwn(data []byte) {
	signed, err := record.DecodeSigned(data, record.MaxDescriptorSize)
	if err != nil {
		return
	}
	if d, err := record.DecodeDescriptor(signed.Payload); err == nil {
		m.own.seq = max(m.own.seq, d.Seq)
	}
}

// schedule sets the time of the next descriptor after one.
func (m *Machine) schedule(d *descriptor) {
	jitter, _ := bits.Mul64(m.cfg.Rand.Uint64(), uint64(2*m.p.RepublishJitter))
	m.own.at = d.Published.Add(m.p.Republish - m.p.RepublishJitter + time.Duration(jitter))
	m.own.seq, m.own.term = max(m.own.seq, d.Seq), m.term()
	m.own.asked, m.own.renew = time.Time{}, false
}

func (m *Machine) term() uint64 { return transition.TermAt(m.p, committee.A, m.doc.EpochAt(m.now)) }

// publishAt is when a Publish is due. Spec: directory §2 (descriptor republish;
// shortest gap).
func (m *Machine) publishAt() time.Time {
	at := m.own.at
	if d := m.mine(); d != nil {
		gap := d.Published.Add(m.p.RepublishGap)
		if m.own.renew || m.own.term != m.term() {
			at = gap
		}
		if at.Before(gap) {
			at = gap
		}
	}
	if !m.own.asked.IsZero() {
		if again := m.own.asked.Add(max(m.p.Republish/retryPart, m.p.RepublishGap)); at.Before(again) {
			at = again
		}
	}
	return at
}

// publish asks for a descriptor when one is due, with keys for the terms in which the
// relay could serve.
func (m *Machine) publish() {
	if m.now.Before(m.publishAt()) {
		return
	}
	m.own.asked = m.now
	published := m.now.Truncate(time.Second)
	if d := m.mine(); d != nil && published.Sub(d.Published) < m.p.RepublishGap {
		published = d.Published.Add(m.p.RepublishGap)
	}
	term := m.term()
	// Seqs are seconds: a relay that has lost its store does not use one again, which
	// would be evidence against it.
	p := Publish{Seq: max(m.own.seq+1, uint64(max(0, published.Unix()))), Published: published, Expires: published.Add(m.p.DescriptorLife)}
	for t := term; t < term+record.MaxCommitteeKeyCount; t++ {
		p.Terms = append(p.Terms, t)
	}
	m.emit(p)
}

// published takes our own new descriptor and spreads it.
func (m *Machine) published(data []byte) {
	d, _, err := m.openDescriptor(data)
	if err != nil || d.rid != m.cfg.RID {
		m.emit(Report{What: ReportBadDescriptor})
		return
	}
	m.own.asked = m.now
	seq := m.own.seq
	m.own.seq = d.Seq // it is ours
	if !m.takeDescriptor(d) {
		m.own.seq = seq
		m.emit(Report{What: ReportBadDescriptor})
		return
	}
	m.tell(gossip.Announce{Class: record.ClassDescriptor, Digest: d.digest})
}

// sawOwn notes a descriptor of ours that is now the newest. One that we did not make is
// replaced.
func (m *Machine) sawOwn(d *descriptor) {
	fresh := d.Seq > m.own.seq
	m.schedule(d)
	if fresh {
		m.own.renew = true
	}
}

// stranger looks at a descriptor of ours, kept or not, that is not what we have
// published. One that is newer than any that we know, or says something else under the
// same number, is another process's if it was published after this one began; else it
// is of a time that our memory does not know. A relay that knows of none has forgotten
// that it had one, which proves nothing.
func (m *Machine) stranger(d *descriptor, conflict bool) {
	if m.ready && m.own.seq > 0 && (d.Seq > m.own.seq || conflict) {
		m.ask(vote.Estranged{Other: d.Published.After(m.began)})
	}
}
