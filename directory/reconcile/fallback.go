// SPDX-License-Identifier: BSD-3-Clause

package reconcile

import (
	"cmp"
	"slices"
)

// A named digest is one of ours with its short id.
type named struct {
	id     ShortID
	digest *Digest
}

// listing goes through our digests of some buckets, by bucket and rising short id.
type listing struct {
	s       *Session
	differs [bucketCount]bool
	bucket  int     // whose digests rest holds; bucketCount: at the end
	rest    []named // of that bucket, not passed yet
}

// namedBucket returns the digests of a bucket by rising short id. Two with one id
// count as one: there is none among 2^20 but by a chance of 2^-25.
func (s *Session) namedBucket(b int) []named {
	digests := s.set.bucket(b)
	out := make([]named, len(digests))
	for i := range digests {
		out[i] = named{shortID(s.short, &digests[i]), &digests[i]}
	}
	slices.SortFunc(out, func(a, b named) int { return cmp.Compare(a.id, b.id) })
	return slices.CompactFunc(out, func(a, b named) bool { return a.id == b.id })
}

// begin stands before the first digest.
func (l *listing) begin() { l.bucket, l.rest = -1, nil }

// enter moves to the next bucket that differs, and reports whether there is one.
func (l *listing) enter() bool {
	for l.bucket++; l.bucket < bucketCount; l.bucket++ {
		if l.differs[l.bucket] {
			l.rest = l.s.namedBucket(l.bucket)
			return true
		}
	}
	l.bucket, l.rest = bucketCount, nil
	return false
}

// fallback is what a session knows once symbols did not suffice.
type fallback struct {
	s      *Session
	listed listing // responder: where the next frame begins; opener: unused
	n      uint32  // responder: of the next frame; opener: of the frame it awaits
	more   bool    // responder: another frame follows

	bucket int       // opener: the bucket whose list is being compared; -1: none yet
	last   ShortID   // opener: the last id of that list
	some   bool      // opener: that list has an id
	rest   []named   // opener: our digests of that bucket, not passed yet
	theirs int       // opener: ids listed so far
	wanted []ShortID // only the responder has them
	shared listing   // responder: where the next wanted id is looked for

	onlyOurs   []Digest
	onlyTheirs []ShortID
}

func newFallback(s *Session) *fallback {
	f := &fallback{s: s, bucket: -1}
	f.listed.s, f.shared.s = s, s
	return f
}

// compare finds the buckets that differ from the opener's sums.
func (f *fallback) compare(m *Sums) {
	ours := f.s.set.sums(f.s.keys.sum)
	for b := range ours {
		f.listed.differs[b] = ours[b] != m.Sums[b]
	}
	f.shared.differs = f.listed.differs
	f.listed.begin()
	f.listed.enter()
	f.shared.begin()
}

// frame returns the next list frame. All but the last are full.
func (f *fallback) frame() Message {
	m := &Lists{N: f.n}
	f.n++
	room := MaxIDCount
	for l := &f.listed; l.bucket < bucketCount; l.enter() {
		take := min(room, len(l.rest))
		list := List{Bucket: uint8(l.bucket)}
		for _, d := range l.rest[:take] {
			list.IDs = append(list.IDs, d.id)
		}
		m.Lists = append(m.Lists, list)
		l.rest = l.rest[take:]
		if room -= take; room == 0 {
			break
		}
	}
	// The frame is full; a bucket without ids of ours may still have to be named.
	m.More = room == 0 && f.left()
	f.more = m.More
	return m
}

// left moves past a bucket that is used up and reports whether one has to be listed.
func (f *fallback) left() bool {
	l := &f.listed
	if l.bucket < bucketCount && len(l.rest) == 0 {
		l.enter()
	}
	return l.bucket < bucketCount
}

// take compares a list frame with our digests. Errors: ErrOrder, ErrLimit.
func (f *fallback) take(m *Lists) error {
	ids := 0
	for i, l := range m.Lists {
		goesOn := i == 0 && int(l.Bucket) == f.bucket
		switch {
		case goesOn:
			if len(l.IDs) == 0 || f.some && l.IDs[0] <= f.last {
				return ErrOrder
			}
		case int(l.Bucket) <= f.bucket:
			return ErrOrder
		default:
			f.leave()
			f.bucket, f.some, f.rest = int(l.Bucket), false, f.s.namedBucket(int(l.Bucket))
		}
		if n := len(l.IDs); n > 0 {
			f.last, f.some = l.IDs[n-1], true
		}
		ids += len(l.IDs)
		for _, id := range l.IDs {
			f.match(id)
		}
	}
	f.theirs += ids
	if f.theirs > f.s.peerCount || m.More && ids != MaxIDCount {
		return ErrLimit
	}
	return nil
}

// match compares one id of the peer's with ours: those before it are ours alone.
func (f *fallback) match(id ShortID) {
	for len(f.rest) > 0 && f.rest[0].id < id {
		f.onlyOurs = append(f.onlyOurs, *f.rest[0].digest)
		f.rest = f.rest[1:]
	}
	if len(f.rest) > 0 && f.rest[0].id == id {
		f.rest = f.rest[1:]
		return
	}
	f.wanted = append(f.wanted, id)
}

// leave ends a bucket: what is left of it is ours alone.
func (f *fallback) leave() {
	for _, d := range f.rest {
		f.onlyOurs = append(f.onlyOurs, *d.digest)
	}
	f.rest = nil
}

// suspicion is how many times as many symbols as differences make it unlikely that
// the symbols were those of the set: honest ones do not suffice about once in 10^4
// sessions of so few differences, where two items happen to share all their symbols.
const suspicion = 4

// report ends the opener's session. Error: ErrPoisoned.
func (f *fallback) report() ([]Message, *Result, error) {
	f.leave()
	s := f.s
	ours, theirs := len(f.onlyOurs), len(f.wanted)
	if s.set.Len()-ours != s.peerCount-theirs {
		return nil, nil, ErrPoisoned
	}
	r := &Result{
		OnlyOurs: f.onlyOurs, OnlyTheirsIDs: f.wanted, SymbolCount: int(s.coder.from), Fallback: true,
		Suspicious: suspicion*(ours+theirs) < int(s.coder.from),
	}
	wanted, offered := f.wanted, make([]ShortID, ours)
	for i := range f.onlyOurs {
		offered[i] = shortID(s.short, &f.onlyOurs[i])
	}
	var out []Message
	for {
		m := &Done{Code: DoneMore}
		m.WantedIDs, wanted = split(wanted, MaxIDCount)
		m.OfferedIDs, offered = split(offered, MaxIDCount-len(m.WantedIDs))
		out = append(out, m)
		if len(wanted)+len(offered) == 0 {
			m.Code = DoneLists
			return out, r, nil
		}
	}
}

func split(ids []ShortID, n int) (head, rest []ShortID) {
	n = min(n, len(ids))
	return ids[:n:n], ids[n:]
}

// takeIDs takes the opener's report, in one or more messages.
// Errors: ErrLimit, ErrPoisoned.
func (f *fallback) takeIDs(m *Done) ([]Message, *Result, error) {
	if m.Code == DoneMore && len(m.WantedIDs)+len(m.OfferedIDs) != MaxIDCount {
		return nil, nil, ErrLimit
	}
	for _, id := range m.WantedIDs {
		d, ok := f.shared.find(id)
		if !ok {
			return nil, nil, ErrPoisoned
		}
		f.onlyOurs = append(f.onlyOurs, d)
	}
	f.onlyTheirs = append(f.onlyTheirs, m.OfferedIDs...)
	if len(f.onlyTheirs) > f.s.peerCount {
		return nil, nil, ErrLimit
	}
	if m.Code == DoneMore {
		return nil, nil, nil
	}
	if f.s.set.Len()-len(f.onlyOurs) != f.s.peerCount-len(f.onlyTheirs) {
		return nil, nil, ErrPoisoned
	}
	return nil, &Result{
		OnlyOurs: f.onlyOurs, OnlyTheirsIDs: f.onlyTheirs, SymbolCount: int(f.s.coder.from), Fallback: true,
	}, nil
}

// find moves behind the digest with that id, in the order of the lists, and returns
// it. Ids that were listed are found as long as they come in that order.
func (l *listing) find(id ShortID) (Digest, bool) {
	for l.bucket < bucketCount {
		for len(l.rest) > 0 {
			d := l.rest[0]
			l.rest = l.rest[1:]
			if d.id == id {
				return *d.digest, true
			}
		}
		l.enter()
	}
	return Digest{}, false
}
