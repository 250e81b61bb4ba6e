// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"slices"
	"time"

	"chive/directory/record"
)

// Frames as they lie on the wire (protocol §7): an array, its type, the class, bytes.
const (
	frameHello   = 1
	frameRepair  = 7
	frameInv     = 2
	frameGet     = 3
	frameItem    = 4
	frameNone    = 5
	framePush    = 6
	frameSymbols = 8
)

// classOf returns the type of a frame and the class that it is about, 0 if none.
func classOf(body []byte) (frame, class byte) {
	if len(body) < 2 {
		return 0, 0
	}
	if frame = body[1]; frame < frameInv || frame > framePush || len(body) < 4 || body[2] != 0x18 {
		return frame, 0
	}
	return frame, body[3]
}

// recordOf returns the record that an ITEM or a PUSH carries; nil: neither.
func recordOf(body []byte) (class byte, data []byte) {
	frame, class := classOf(body)
	if frame != frameItem && frame != framePush || class == 0 || len(body) < 7 {
		return 0, nil
	}
	switch head := body[4]; {
	case head >= 0x40 && head < 0x58:
		return class, body[5:]
	case head == 0x58:
		return class, body[6:]
	case head == 0x59:
		return class, body[7:]
	}
	return 0, nil
}

// travel is how a record has spread so far.
type travel struct {
	class   byte
	born    int64
	by      int      // node
	have    int      // honest relays
	holders []uint64 // bits
	most    int64    // when 99 % of the honest had it
	all     int64
	copies  int // payloads received by honest relays
}

// tracker follows records from their makers to everybody.
type tracker struct {
	w       *world
	on      bool
	records map[string]*travel // by class and bytes
	order   []*travel
}

func newTracker(w *world) *tracker { return &tracker{w: w, records: map[string]*travel{}} }

// forget begins anew.
func (t *tracker) forget() { t.records, t.order = map[string]*travel{}, nil }

func (t *tracker) find(class byte, data []byte) *travel {
	var name [1 << 12]byte
	return t.records[string(append(append(name[:0], class), data...))]
}

// born notes a record that a relay has made.
func (t *tracker) born(n *node, class byte, data []byte, at int64) *travel {
	t.w.brain.made(n, class, data)
	if !t.on {
		return nil
	}
	r := &travel{class: class, born: at, by: n.n, holders: make([]uint64, (len(t.w.nodes)+63)/64)}
	t.records[string(class)+string(data)] = r
	if !n.hostile() { // others' are known, so that who passes them on is not taken for their maker
		t.order = append(t.order, r)
		t.has(n, r)
	}
	return r
}

func (t *tracker) has(n *node, r *travel) {
	if n.hostile() || r.holders[n.n/64]>>(n.n%64)&1 == 1 {
		return
	}
	r.holders[n.n/64] |= 1 << (n.n % 64)
	r.have++
	honest := t.w.check.honest
	if r.most == 0 && r.have*100 >= honest*99 {
		r.most = t.w.now
	}
	if r.have == honest {
		r.all = t.w.now
	}
}

// holds notes that a relay has stored a record.
func (t *tracker) holds(n *node, class byte, data []byte) {
	if t.on {
		if r := t.find(class, data); r != nil {
			t.has(n, r)
		}
	}
}

// sends looks at what a relay sends: the first to send a vote, a proposal, a signature
// or evidence has made it.
func (t *tracker) sends(n *node, body []byte) {
	class, data := recordOf(body)
	switch class {
	case record.ClassVote, record.ClassProposal, record.ClassSignature, record.ClassEvidence:
		t.w.check.said(n, class, data)
		if t.on && t.find(class, data) == nil {
			at := n.stored
			if class == record.ClassEvidence || t.w.now-at > int64(10*time.Second) {
				at = t.w.now // a promise of long ago, or none
			}
			t.born(n, class, data, at)
		}
	}
}

// arrives looks at what a relay receives.
func (t *tracker) arrives(n *node, body []byte) {
	if !t.on || n.hostile() {
		return
	}
	class, data := recordOf(body)
	if class == 0 {
		return
	}
	if r := t.find(class, data); r != nil {
		r.copies++
		if class != record.ClassDescriptor { // those count when they are stored
			t.has(n, r)
		}
	}
}

// times of a class: to 99 % and to all honest relays, in seconds, each rising. Those
// that have not arrived are left out of the times and counted.
func (t *tracker) times(classes ...byte) (most, all []float64, copies float64, unfinished int) {
	received, records := 0, 0
	for _, r := range t.order {
		if !slices.Contains(classes, r.class) {
			continue
		}
		records++
		received += r.copies
		if r.all == 0 {
			unfinished++
			continue
		}
		most = append(most, time.Duration(r.most-r.born).Seconds())
		all = append(all, time.Duration(r.all-r.born).Seconds())
	}
	slices.Sort(most)
	slices.Sort(all)
	if records > 0 {
		copies = float64(received) / float64(records*max(1, t.w.check.honest-1))
	}
	return most, all, copies, unfinished
}

// whole reports whether everybody honest has every record of a class.
func (t *tracker) whole(class byte) bool {
	for _, r := range t.order {
		if r.class == class && r.all == 0 {
			return false
		}
	}
	return true
}
