// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"slices"
	"time"

	"chive/directory/record"
)

// maxWants bounds the records that are asked for by name at once; more are not
// asked for.
const maxWants = 256

// want is a record that the owner needs and knows the name of.
type want struct {
	class  byte
	digest Digest
	asked  []record.RID // who was asked, the last one now
	due    time.Time
}

// from reports whether a peer is the one that is asked now.
func (w *want) from(p *peer) bool { return len(w.asked) > 0 && w.asked[len(w.asked)-1] == p.rid }

// wantAll asks for records by name, each of one peer after another. Spec: protocol §7
// (GOS-6).
func (m *Machine) wantAll(ev Want) {
	if at(ev.Class) < 0 {
		return
	}
	for _, d := range ev.Digests {
		known := slices.ContainsFunc(m.wants, func(w *want) bool { return w.class == ev.Class && w.digest == d })
		if known || len(m.wants) >= maxWants || m.cfg.Records.Has(ev.Class, d) {
			continue
		}
		m.wants = append(m.wants, &want{class: ev.Class, digest: d})
	}
	m.pursueWants(func(w *want) bool { return len(w.asked) == 0 })
}

// pursueWants asks the next peer for those wants that are to move on, and gives up
// what everybody was asked for.
func (m *Machine) pursueWants(moves func(w *want) bool) {
	m.wants = slices.DeleteFunc(m.wants, func(w *want) bool {
		if !moves(w) {
			return false
		}
		for i := range m.peers {
			p := m.peers[i]
			if !p.greeted || p.kind == stranger || p.gone || slices.Contains(w.asked, p.rid) {
				continue
			}
			w.asked, w.due = append(w.asked, p.rid), m.now.Add(m.getTimeout(w.class))
			m.sendIDs(p, typeGet, w.class, []ShortID{p.id(&w.digest)})
			return false
		}
		return true
	})
}

// wantedOf returns what a peer is asked for under a short id; nil: nothing by name.
func (m *Machine) wantedOf(p *peer, n named) *want {
	for _, w := range m.wants {
		if w.class == n.class && w.from(p) && p.id(&w.digest) == n.id {
			return w
		}
	}
	return nil
}

// owes reports whether a peer is asked for something by name.
func (m *Machine) owes(p *peer) bool {
	return slices.ContainsFunc(m.wants, func(w *want) bool { return w.from(p) })
}

// satisfied strikes off what has come, from wherever. by has answered a GET with it; nil: it was
// pushed. Who else is asked for it may still deliver.
func (m *Machine) satisfied(by *peer, class byte, d Digest) {
	m.wants = slices.DeleteFunc(m.wants, func(w *want) bool {
		if w.class != class || w.digest != d {
			return false
		}
		if by == nil || !w.from(by) {
			m.mayDeliver(w)
		}
		return true
	})
}

// mayDeliver notes that who is asked for a record may deliver it when it is not waited for any more.
func (m *Machine) mayDeliver(w *want) {
	if len(w.asked) == 0 {
		return
	}
	if p := m.peerOf(w.asked[len(w.asked)-1]); p != nil {
		p.late = append(p.late, named{w.class, p.id(&w.digest)})
		p.late = p.late[max(0, len(p.late)-maxLate):]
	}
}

// deniedWants moves on with what a peer does not have, for which nobody is blamed: it
// had not announced it. It returns the other ids.
func (m *Machine) deniedWants(p *peer, f *IDs) []ShortID {
	var moves []*want
	rest := slices.DeleteFunc(slices.Clone(f.IDs), func(id ShortID) bool {
		w := m.wantedOf(p, named{f.Class, id})
		if w != nil {
			moves = append(moves, w)
		}
		return w != nil
	})
	m.pursueWants(func(w *want) bool { return slices.Contains(moves, w) })
	return rest
}

// lateWants asks others for what has not come in time. Who is late may still deliver.
func (m *Machine) lateWants() {
	m.pursueWants(func(w *want) bool {
		late := !m.now.Before(w.due)
		if late {
			m.mayDeliver(w)
		}
		return late
	})
}

// repairNow opens a repair with the next neighbour with which one may be, before its
// turn.
func (m *Machine) repairNow() {
	start, found := m.search(m.lastTurn)
	if found {
		start++
	}
	for i := range m.peers {
		p := m.peers[(start+i)%len(m.peers)]
		if m.openRepair(p) {
			m.lastTurn = p.rid
			return
		}
	}
}
