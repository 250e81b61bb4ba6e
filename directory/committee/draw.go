// SPDX-License-Identifier: BSD-3-Clause

package committee

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"net/netip"
	"slices"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
)

// Name tells the two committees apart, whose terms overlap by half.
type Name byte

// Spec: directory §6.
const (
	A Name = 'A'
	B Name = 'B'
)

// MaxCandidateCount bounds a draw: no table is larger.
const MaxCandidateCount = snapshot.MaxLeafCount

// maxSeatCount is what the two bytes of K hold.
const maxSeatCount = 1<<16 - 1

// ErrCandidates means candidates that no table yields: too many, one twice, or
// weights whose sum does not fit 64 bits.
var ErrCandidates = errors.New("committee: bad candidates")

// ErrName means a committee that is neither A nor B.
var ErrName = errors.New("committee: no such committee")

// Candidate is one eligible relay.
type Candidate struct {
	RID    record.RID
	Weight uint64     // guard-position weight as if it had the guard role; 0 counts as 1
	Group  uint16     // as in its leaf
	Family uint16     // as in its leaf; 0: none
	IPv4   netip.Addr // zero value, or any other address: in no /20
}

// Caps bounds the seats. The zero value of a cap is "off", of Most no seats at all.
type Caps struct {
	Most      int // seats on the list
	PerGroup  int
	PerFamily int
	PerNet    int // per IPv4 /20
}

// CapsOf returns the caps of a network. Spec: directory §2 (parameters).
func CapsOf(p genesis.Params) Caps {
	return Caps{Most: p.CommitteeMax, PerGroup: p.SeatsPerGroup, PerFamily: p.SeatsPerFamily, PerNet: p.SeatsPerNet}
}

// Lottery is what a draw depends on besides its candidates.
type Lottery struct {
	NetworkID [record.NetworkIDSize]byte
	Committee Name
	Term      uint64
	Beacon    [32]byte // of the parent of the snapshot that installs the list
}

// Draw returns the seats of a list, as indices into candidates, in seat order. The
// order of candidates does not matter: they are drawn from in rid order, whatever
// order they stand in. Fewer than caps.Most seats mean that nobody was left whom a
// cap allows. Time is O(seats x candidates). Errors: ErrCandidates, ErrName.
// Spec: directory §6 (draw), protocol (COM-2).
func Draw(l Lottery, candidates []Candidate, caps Caps) ([]int, error) {
	if l.Committee != A && l.Committee != B {
		return nil, ErrName
	}
	u, err := newUrn(candidates)
	if err != nil {
		return nil, err
	}
	f := newFill(caps)
	most := min(caps.Most, maxSeatCount)
	var seats []int
	for i := uint32(0); len(seats) < most && u.total > 0; i++ {
		r, _ := bits.Mul64(l.number(i), u.total)
		drawn := u.take(r)
		seats = append(seats, drawn.index)
		if full := f.seat(drawn); full.any() {
			u.removeAll(full)
		}
	}
	return seats, nil
}

// number returns the random number of one seat.
func (l *Lottery) number(i uint32) uint64 {
	h := record.Hash("draw", l.NetworkID[:], []byte{byte(l.Committee)}, binary.BigEndian.AppendUint64(nil, l.Term),
		l.Beacon[:], binary.BigEndian.AppendUint32(nil, i))
	return binary.BigEndian.Uint64(h[:8])
}

// entry is a candidate in the urn. Once taken out it has weight 0.
type entry struct {
	weight uint64
	index  int
	net    int32 // first 20 bits of the IPv4 address, or none
	group  uint16
	family uint16 // 0: none
}

// none is no /20.
const none = -1

// urn holds who can still be drawn, in rid order.
type urn struct {
	entries []entry
	total   uint64
}

func newUrn(candidates []Candidate) (*urn, error) {
	if len(candidates) > MaxCandidateCount {
		return nil, ErrCandidates
	}
	order := make([]int, len(candidates))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return candidates[a].RID.Compare(candidates[b].RID) })
	u := &urn{entries: make([]entry, len(order))}
	for at, i := range order {
		c := &candidates[i]
		if at > 0 && c.RID == candidates[order[at-1]].RID {
			return nil, ErrCandidates
		}
		e := entry{weight: max(1, c.Weight), index: i, net: netOf(c.IPv4), group: c.Group, family: c.Family}
		sum, carry := bits.Add64(u.total, e.weight, 0)
		if carry != 0 {
			return nil, ErrCandidates
		}
		u.entries[at], u.total = e, sum
	}
	return u, nil
}

// take takes out the first entry whose running sum exceeds r, which is below total.
func (u *urn) take(r uint64) entry {
	at := 0
	for ; u.entries[at].weight <= r; at++ {
		r -= u.entries[at].weight
	}
	e := u.entries[at]
	u.remove(&u.entries[at])
	return e
}

func (u *urn) remove(e *entry) {
	u.total -= e.weight
	e.weight = 0
}

// removeAll takes out whom holders that are full now would hold.
func (u *urn) removeAll(full holders) {
	for i := range u.entries {
		e := &u.entries[i]
		if full.group && e.group == full.of.group || full.family && e.family == full.of.family || full.net && e.net == full.of.net {
			u.remove(e)
		}
	}
}

// netOf returns the first 20 bits of an IPv4 address.
func netOf(a netip.Addr) int32 {
	if !a.Is4() {
		return none
	}
	four := a.As4()
	return int32(binary.BigEndian.Uint32(four[:]) >> 12)
}

// fill counts seats per holder.
type fill struct {
	caps     Caps
	groups   map[uint16]int
	families map[uint16]int
	nets     map[int32]int
}

func newFill(caps Caps) *fill {
	return &fill{caps: caps, groups: make(map[uint16]int), families: make(map[uint16]int), nets: make(map[int32]int)}
}

// holders says which of the three that an entry belongs to are full.
type holders struct {
	of                 entry
	group, family, net bool
}

func (h holders) any() bool { return h.group || h.family || h.net }

// seat counts the seat of an entry and tells which of its holders are full now.
func (f *fill) seat(e entry) holders {
	full := holders{of: e}
	f.groups[e.group]++
	full.group = f.caps.PerGroup > 0 && f.groups[e.group] >= f.caps.PerGroup
	if e.family != 0 {
		f.families[e.family]++
		full.family = f.caps.PerFamily > 0 && f.families[e.family] >= f.caps.PerFamily
	}
	if e.net != none {
		f.nets[e.net]++
		full.net = f.caps.PerNet > 0 && f.nets[e.net] >= f.caps.PerNet
	}
	return full
}
