// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"errors"
	"math"
	"math/bits"

	"chive/directory/genesis"
	"chive/directory/snapshot"
	"chive/directory/sybil"
	"chive/directory/vrf"
)

// What is wrong with a snapshot that must not be accepted, whatever its
// certificate says. Spec: directory §5 (validity), protocol §7 (TRN-9).
var (
	// ErrHeader means a header of another network or of other parameters, or one
	// with fields that this version leaves empty.
	ErrHeader = errors.New("transition: header of another network")
	// ErrOrder means a header that cannot follow the other: epoch, history.
	ErrOrder = errors.New("transition: header does not follow")
	// ErrBeacon means a beacon that does not follow from the parent's.
	ErrBeacon = errors.New("transition: wrong beacon")
	// ErrCommittee means lists that do not follow from the parent's.
	ErrCommittee = errors.New("transition: wrong committee lists")
	// ErrAdmission means more newcomers than the quota, or with a wrong birth day.
	ErrAdmission = errors.New("transition: too many admissions")
	// ErrReturns means more returning relays than may return.
	ErrReturns = errors.New("transition: too many returns")
	// ErrAge means a birth day before the old one, or too far behind it, or a founder
	// that was none.
	ErrAge = errors.New("transition: age not earned")
	// ErrBucket means bandwidth that rose too fast or too high.
	ErrBucket = errors.New("transition: bandwidth rose too fast")
	// ErrStopped means more guard weight taken out of use than may be.
	ErrStopped = errors.New("transition: too many stopped")
	// ErrAddressCap means more relays at an address than may be.
	ErrAddressCap = errors.New("transition: too many relays at an address")
	// ErrDictionary means dictionaries with entries that are unused, twice there, or
	// a group that is not that of the address.
	ErrDictionary = errors.New("transition: wrong dictionaries")
)

// Check refuses a snapshot that breaks section 5's validity against an older one of
// the same network, as far as the two tables show it. Where the older one is the
// parent, all bounds are those of one transition; across a longer gap they are what
// so many transitions may do, with the stop-running caps doubled, because weights
// move meanwhile. Errors: ErrHeader, ErrOrder, ErrBeacon, ErrCommittee, ErrAdmission,
// ErrReturns, ErrAge, ErrBucket, ErrStopped, ErrAddressCap, ErrDictionary.
func Check(doc *genesis.Document, old, next *snapshot.Snapshot) error {
	c := &checker{
		p: doc.Params, old: old, next: next, direct: next.Header().Parent == old.Header().Digest(),
		epochs: next.Epoch() - old.Epoch(), days: next.Day() - old.Day(),
	}
	if err := c.headers(doc); err != nil {
		return err
	}
	if err := c.relays(); err != nil {
		return err
	}
	if !keepsAddressCaps(c.p, next.Table()) {
		return ErrAddressCap
	}
	return checkDictionaries(next.Table(), doc.AsmapDigest == nil)
}

// CheckState is Check for relays, which hold what a list is drawn from: lists must
// be those that follow from the parent. It is for a relay that took the child
// without its votes; one that has the votes compares the result of Next.
// Errors: ErrCommittee, and Check's.
func CheckState(doc *genesis.Document, parent, child *State) error {
	if err := Check(doc, parent.snap, child.snap); err != nil {
		return err
	}
	if child.snap.Header().Parent != parent.digest {
		return ErrOrder
	}
	want := parent.advance(doc, child.Epoch())
	h := child.snap.Header()
	a, nextA, b, nextB := want.roots()
	if h.ListA != a || h.NextA != nextA || h.ListB != b || h.NextB != nextB {
		return ErrCommittee
	}
	return nil
}

type checker struct {
	p         genesis.Params
	old, next *snapshot.Snapshot
	direct    bool // old is the parent of next
	epochs    uint64
	days      int // changes of day between the two
}

func (c *checker) headers(doc *genesis.Document) error {
	was, is := c.old.Header(), c.next.Header()
	if err := checkDocument(doc, is); err != nil {
		return err
	}
	if was.NetworkID != is.NetworkID {
		return ErrHeader
	}
	grown := is.HistorySize - was.HistorySize
	if is.Epoch <= was.Epoch || is.HistorySize <= was.HistorySize || grown > c.epochs || (grown == 1) != c.direct {
		return ErrOrder
	}
	if !c.direct {
		return nil
	}
	if output, err := vrf.ProofToHash(is.VRFProof); err != nil || is.Beacon != nextBeacon(was.Beacon, is.Epoch, output) {
		return ErrBeacon
	}
	var none [32]byte
	for _, l := range [][4][32]byte{{was.ListA, was.NextA, is.ListA, is.NextA}, {was.ListB, was.NextB, is.ListB, is.NextB}} {
		installed := l[2] == l[1] && l[1] != none
		kept := l[2] == l[0] && (l[3] == l[1] || l[1] == none)
		if !installed && !kept {
			return ErrCommittee
		}
	}
	return nil
}

// relays compares the tables, walking both in rid order.
func (c *checker) relays() error {
	was, is := c.old.Table(), c.next.Table()
	s := newStops(c.p, c.old, 0)
	var newcomers, returned, stopped int
	var lost, most uint64 // guard weight: of all that were stopped, of the largest relay
	for i := range s.weights {
		most = max(most, s.weights[i])
	}
	stop := func(i int) {
		if cost := s.cost(i); cost > 0 {
			stopped, lost = stopped+1, lost+cost
		}
	}
	i := 0
	for j := range is.Len() {
		n := &is.At(j).Leaf
		for ; i < was.Len() && was.At(i).RID.Compare(n.RID) < 0; i++ {
			stop(i)
		}
		if i == was.Len() || was.At(i).RID != n.RID {
			if n.Flags&snapshot.FlagFounder != 0 || int(n.BirthDay) > c.next.Day() {
				return ErrAge
			}
			if !c.bucketAllowed(0, n) {
				return ErrBucket
			}
			if int(n.BirthDay) < c.old.Day() {
				returned++
			}
			newcomers++
			continue
		}
		o := &was.At(i).Leaf
		if o.Flags&snapshot.FlagRunning != 0 && (n.Flags&snapshot.FlagRunning == 0 || o.Flags&snapshot.FlagProbation < n.Flags&snapshot.FlagProbation) {
			stop(i)
		}
		late := int(n.BirthDay) - int(o.BirthDay)
		if late < 0 || int(n.BirthDay) > max(c.next.Day(), int(o.BirthDay)) || (c.direct && late > c.days) || n.Flags&^o.Flags&snapshot.FlagFounder != 0 {
			return ErrAge
		}
		if !c.bucketAllowed(o.Bucket, n) {
			return ErrBucket
		}
		i++
	}
	for ; i < was.Len(); i++ {
		stop(i)
	}
	if err := c.admissions(newcomers, returned); err != nil {
		return err
	}
	if s.weights != nil && !c.stopsAllowed(s, stopped, lost, most) {
		return ErrStopped
	}
	return nil
}

// bucketAllowed reports whether a relay may have its bucket now that it had one of
// before, 0 for a new one.
func (c *checker) bucketAllowed(before uint8, n *snapshot.Leaf) bool {
	if c.p.BWCap > 0 && n.Flags&snapshot.FlagMeasured == 0 && n.Bucket > max(before, snapshot.BucketOf(uint32(c.p.BWCap))) {
		return false
	}
	if c.p.BWStep == 0 || c.p.BWStart == 0 || n.Bucket <= before {
		return true
	}
	start := int(snapshot.BucketOf(uint32(c.p.BWStart)))
	if before > 0 && c.days == 0 && c.direct {
		return false
	}
	// Across a gap it may have left and come back.
	return int64(n.Bucket) <= int64(max(int(before), start))+int64(c.days)*int64(c.p.BWStep)
}

// admissions bounds newcomers, those that returned included. The gap is cut into
// rolling days; the table grows meanwhile, in each day too.
func (c *checker) admissions(newcomers, returned int) error {
	leaves := c.old.Table().Len()
	first := c.old.Epoch() + 1
	if sybil.Slots(c.p, leaves, first)[LaneOpen] == sybil.Unlimited || newcomers == 0 {
		return nil
	}
	var fresh, back int
	for w := range (c.epochs-1)/uint64(c.p.Day) + 1 {
		at := first + w*uint64(c.p.Day) // its first epoch: there are most for heirs
		before := leaves
		for slots := sybil.Slots(c.p, leaves, at); ; { // each child's come from its parent's table, which grows within the day
			leaves = before + slots[LaneOpen] + slots[LaneVouched] + slots[LaneReturning]
			if leaves-c.old.Table().Len() > snapshot.MaxLeafCount {
				return nil
			}
			more := sybil.Slots(c.p, leaves, at)
			if more == slots || c.epochs == 1 {
				fresh, back = fresh+slots[LaneOpen]+slots[LaneVouched], back+slots[LaneReturning]
				break
			}
			slots = more
		}
	}
	switch {
	case returned > back:
		return ErrReturns
	case newcomers > fresh+back:
		return ErrAdmission
	}
	return nil
}

// stopsAllowed bounds the guard weight that was taken out of use.
func (c *checker) stopsAllowed(s *stops, stopped int, lost, most uint64) bool {
	if c.direct {
		return stopped <= 1 || lost <= min(s.epoch, s.today)
	}
	perEpoch, perDay := max(s.epoch, most), max(s.today, most)
	allowed := min(saturating(perEpoch, c.epochs), saturating(perDay, uint64(c.days)+1))
	return lost/2 <= allowed
}

// saturating multiplies and stays at the top.
func saturating(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi > 0 {
		return math.MaxUint64
	}
	return lo
}

// keepsAddressCaps reports whether a table breaks no address cap.
func keepsAddressCaps(p genesis.Params, t *snapshot.Table) bool {
	counts := sybil.NewAddresses(p)
	for i := range t.Len() {
		r := t.At(i)
		if !counts.Fits(r.Addresses) {
			return false
		}
		counts.Add(r.Addresses)
	}
	return true
}

// checkDictionaries refuses entries that no leaf points at or that are twice there,
// and without an asmap groups that are not those of the addresses.
func checkDictionaries(t *snapshot.Table, networks bool) error {
	n := newNumbering(t)
	for _, s := range []*slots{&n.groups, &n.families, &n.policies} {
		used := 0
		for i, uses := range s.uses {
			if (uses > 0) != (s.values[i] != "") {
				return ErrDictionary
			}
			if uses > 0 {
				used++
			}
		}
		if used != len(s.at) {
			return ErrDictionary
		}
	}
	for i := range t.Len() {
		l := &t.At(i).Leaf
		if networks && t.Dictionaries().Groups[l.Group] != snapshot.GroupOf(l.IPv4, l.IPv6) {
			return ErrDictionary
		}
	}
	return nil
}
