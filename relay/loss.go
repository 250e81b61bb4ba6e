// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"encoding/binary"
	"math"
	"time"

	"chive/directory"
	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/transition"
)

// loss is what is remembered of a memory that was lost: the first epoch in which the
// relay may take a seat again, 8 bytes under lostKey. A machine whose clock has no
// battery may start years off, so that the term is fixed, and the note removed, only
// once neighbours confirm the clock; before that the relay takes no seat.
//
// Spec: protocol §12 (EPOCH-11).
type loss uint64

const (
	nothingLost loss = 0
	lostNow     loss = math.MaxUint64 // in a term that is not known yet
)

// termsEnd is when all terms that run at an epoch are over.
func termsEnd(doc *genesis.Document, epoch uint64) loss {
	end := uint64(0)
	for _, c := range []committee.Name{committee.A, committee.B} {
		end = max(end, transition.TermStart(doc.Params, c, transition.TermAt(doc.Params, c, epoch)+1))
	}
	return loss(end)
}

// seatsLost reports whether the relay may have lost what it promised in a term that still
// runs. What has to be remembered about that is put into the memory, as the first thing.
func (m *memory) seatsLost(doc *genesis.Document, now time.Time) (bool, error) {
	noted, err := get(m.store, bucketNames[directory.BucketSelf], lostKey)
	if err != nil {
		return false, err
	}
	switch {
	case m.store.Damaged():
		m.remember(now, lostNow)
	case noted == nil:
	case len(noted) == 8:
		m.loss = loss(binary.BigEndian.Uint64(noted))
	default: // nobody writes that
		m.remember(now, lostNow)
	}
	return doc.EpochAt(now) < uint64(m.loss), nil
}

// remember notes when seats may be taken again.
func (m *memory) remember(now time.Time, l loss) {
	m.loss = l
	w := Write{Bucket: bucketNames[directory.BucketSelf], Key: lostKey}
	if l != nothingLost {
		w.Value = binary.BigEndian.AppendUint64(nil, uint64(l))
	}
	m.put(now, w, 0, true)
}

// confirmed takes a time that is known to be right. What was lost was promised before it:
// a later end of its terms is from a clock that was ahead.
func (m *memory) confirmed(doc *genesis.Document, now time.Time) {
	if m.loss == nothingLost {
		return
	}
	epoch := doc.EpochAt(now)
	switch end := min(m.loss, termsEnd(doc, epoch)); {
	case epoch >= uint64(end):
		m.remember(now, nothingLost)
	case end != m.loss:
		m.remember(now, end)
	}
}

// settleLoss fixes the term of a loss once neighbours, if the committee has more than one
// seat, confirm the clock.
func (d *replica) settleLoss(now time.Time) {
	if d.memory.loss == nothingLost {
		return
	}
	ahead, n := d.machine.Clock()
	limit := d.r.genesis.Params.ClockMember
	if v := d.machine.Status(); ahead > limit || ahead < -limit || n == 0 && v.Seats != 1 {
		return
	}
	d.memory.confirmed(d.r.genesis, now)
	d.answer(d.memory.settle(now))
}

// otherSeen notes until when the relay takes no seat since another process has its keys:
// a restart of both must not set both going.
func (m *memory) otherSeen(now time.Time, till uint64) {
	if till == m.other {
		return
	}
	m.other = till
	m.put(now, Write{
		Bucket: bucketNames[directory.BucketSelf], Key: otherKey, Value: binary.BigEndian.AppendUint64(nil, till),
	}, 0, true)
}

// otherTill reads what otherSeen has noted. The machine lowers what a clock that was
// ahead has made too high.
func (m *memory) otherTill() (uint64, error) {
	noted, err := get(m.store, bucketNames[directory.BucketSelf], otherKey)
	switch {
	case err != nil || noted == nil:
		return 0, err
	case len(noted) == 8:
		m.other = binary.BigEndian.Uint64(noted)
	default: // nobody writes that
		m.other = math.MaxUint64
	}
	return m.other, nil
}
