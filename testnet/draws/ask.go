// SPDX-License-Identifier: BSD-3-Clause

package draws

import (
	"encoding/binary"
	"slices"
	"time"

	"chive/directory/record"
	"chive/directory/sybil"
)

// Epochs after which a candidate publishes again, and makes its work anew.
const (
	refresh = 6 * 24
	salted  = 28 * 24
)

// hundredths of a newcomer are counted.
const hundredths = 100

// ask is what asks to be let in between two snapshots: honest newcomers first in each
// hour, then everything that the attacker has.
func (s *growth) ask(epoch uint64, now time.Time) {
	s.pending.Resize(s.state.Snapshot().Table().Len())
	s.pending.Expire(epoch, now)
	s.newcomers(epoch, now)
	s.again(epoch, now)
	s.attack(epoch, now)
}

// newcomers are honest ones, at an even rate; who vouches is drawn from those that may.
func (s *growth) newcomers(epoch uint64, now time.Time) {
	for lane, rate := range [2]int{s.Open, s.Vouched} {
		s.owed[lane] += rate * s.Stride
		for s.owed[lane] >= hundredths*s.p.Day {
			s.owed[lane] -= hundredths * s.p.Day
			at := population(s.rng, 20, total)[0]
			at.group, at.nth = firstNewGroup+s.serial, 0
			r := s.make(at, honest)
			r.asked = epoch
			if may := s.unused(s.sponsors(honest)); lane == 1 && len(may) > 0 {
				r.vouched, r.sponsor = true, may[s.rng.IntN(len(may))]
			}
			s.waiting = append(s.waiting, r)
			s.put(r, epoch, now)
		}
	}
}

// firstNewGroup is where honest newcomers' networks begin: each has one of its own.
const firstNewGroup = 5000

// again has those who wait publish again before their record is over, and ask again
// where it went.
func (s *growth) again(epoch uint64, now time.Time) {
	s.waiting = slices.DeleteFunc(s.waiting, func(r *node) bool { return r.joined > 0 })
	for _, r := range s.waiting {
		if _, _, held := s.pending.Get(r.rid); !held || epoch-r.told >= refresh {
			s.put(r, epoch, now)
		}
	}
}

// put has a relay ask: members take its record and check its work, for which there is
// time, since at most a few thousand come in six hours. It reports whether the record
// is held.
func (s *growth) put(r *node, epoch uint64, now time.Time) bool {
	r.seq++
	r.told = epoch
	if r.salt == 0 || epoch-r.salt >= salted {
		r.salt = epoch
	}
	digest := seeded(s.Seed, "item", r.serial)
	binary.BigEndian.PutUint64(digest[24:], r.seq)
	table := s.state.Snapshot().Table()
	c := sybil.Candidate{
		RID: r.rid, Digest: digest, Seq: r.seq, Entry: table.At(s.rng.IntN(table.Len())).RID, Vouched: r.vouched, Sponsor: r.sponsor,
		Expires: now.Add(s.p.DescriptorLife), Work: record.Work{Epoch: r.salt},
	}
	if s.pending.Put(c, epoch, now) != sybil.Taken {
		return false
	}
	return s.pending.Checked(digest, r.work)
}

// sponsors returns the relays of a side that may vouch now, in the order of the table.
func (s *growth) sponsors(of side) []record.RID {
	table := s.state.Snapshot().Table()
	var out []record.RID
	for i := range table.Len() {
		if rid := table.At(i).RID; s.nodes[rid].side == of && s.state.MayVouch(s.p, s.state.Epoch(), rid) {
			out = append(out, rid)
		}
	}
	return out
}

// unused returns the sponsors that no waiting candidate names.
func (s *growth) unused(all []record.RID) []record.RID {
	named := make(map[record.RID]bool, len(s.waiting))
	for _, r := range s.waiting {
		if r.vouched {
			named[r.sponsor] = true
		}
	}
	return slices.DeleteFunc(all, func(rid record.RID) bool { return named[rid] })
}

// attack has the attacker ask with as many of its relays as the store takes, those
// with the most work first, and vouch for as many of them as it may.
func (s *growth) attack(epoch uint64, now time.Time) {
	for len(s.idle) > 0 {
		r := s.idle[0]
		r.asked = epoch
		if !s.put(r, epoch, now) {
			break
		}
		s.idle, s.waiting = s.idle[1:], append(s.waiting, r)
	}
	may := s.spare()
	for _, r := range s.waiting {
		if len(may) == 0 {
			return
		}
		if r.side == hostile && !r.vouched {
			r.vouched, r.sponsor, may = true, may[0], may[1:]
			s.put(r, epoch, now)
		}
	}
}

// spare returns the sponsors that the attacker has left. One that signs whatever it
// is asked to names the same relay each time.
func (s *growth) spare() []record.RID {
	switch {
	case s.Plan.Junk:
		table := s.state.Snapshot().Table()
		for i := range table.Len() {
			if rid := table.At(i).RID; s.nodes[rid].side == hostile {
				return slices.Repeat([]record.RID{rid}, len(s.waiting))
			}
		}
	case s.Plan.Vouches:
		return s.unused(s.sponsors(hostile))
	}
	return nil
}
