// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"

	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/sybil"
)

// OpCode says what an op does. Ops are sorted by it.
type OpCode uint8

// Spec: directory §5 (ops), protocol §7 (TRN-3). 7 and 8 are reserved for RATE and
// PARAM.
const (
	Drop    OpCode = 1 // take a relay out
	Update  OpCode = 2 // another descriptor
	Add     OpCode = 3 // take a relay in
	Down    OpCode = 4 // not reachable
	Up      OpCode = 5 // reachable
	Penalty OpCode = 6 // evidence against a relay
)

// Reasons of Drop.
const (
	DropRevoked  uint8 = 1 // by itself: nothing of it is kept
	DropExpired  uint8 = 2
	DropEvidence uint8 = 3
)

// Reasons of Penalty.
const (
	PenaltySeat      uint8 = 1 // not eligible for 90 days, its seat is ignored
	PenaltyProbation uint8 = 2 // weighs as a newcomer for 7 days
)

// Lanes of Add.
const (
	LaneOpen      = uint8(sybil.LaneOpen)
	LaneVouched   = uint8(sybil.LaneVouched)
	LaneReturning = uint8(sybil.LaneReturning)
	laneFounder   = LaneReturning + 1 // in Aux only
)

// ErrOps means bytes that are not the ops of a vote: not in their one form, out of
// bounds, or two of one number for one relay.
var ErrOps = errors.New("transition: not ops")

// Op is one change to the table. Index is that of the parent's table. Fields that a
// code does not use are zero. Ops are equal exactly if their bytes are.
type Op struct {
	Code     OpCode
	Index    uint32     // all but Add
	RID      record.RID // Add
	Body     [16]byte   // Update, Add: start of the body digest
	Lane     uint8      // Add
	Sponsor  uint32     // Add in LaneVouched: index of who vouches
	Reason   uint8      // Drop, Penalty
	Evidence [16]byte   // Penalty: start of the evidence's item digest
}

// opSizes is the size of one op of each code, by code, in bytes.
var opSizes = [...]int{Drop: 5, Update: 20, Add: 37, Down: 4, Up: 4, Penalty: 21}

// opHeadSize is the size of what stands before the ops of one code.
const opHeadSize = 5

// Bounds of the ops of one vote, in bytes. Spec: directory §3 (class V).
const (
	baseOpsSize = 4 << 10
	maxOpsSize  = 60 << 10
)

// MaxOpsSize returns how many bytes the ops of one vote may have over a parent with
// so many leaves.
func MaxOpsSize(leaves int) int { return min(baseOpsSize+leaves, maxOpsSize) }

// Compare orders ops: by code, then by index, then by rid.
func (o Op) Compare(p Op) int {
	switch {
	case o.Code != p.Code:
		return cmp.Compare(o.Code, p.Code)
	case o.Index != p.Index:
		return cmp.Compare(o.Index, p.Index)
	}
	return o.RID.Compare(p.RID)
}

// OpsSize returns how many bytes AppendOps appends for canonical ops.
func OpsSize(ops []Op) int {
	size := 0
	for i := range ops {
		if i == 0 || ops[i-1].Code != ops[i].Code {
			size += opHeadSize
		}
		size += opSizes[ops[i].Code]
	}
	return size
}

// AppendOps appends the bytes of ops: for each code that occurs, in rising order,
// code 1 | count 4, then so many ops:
//
//	1 DROP  index 4 | reason 1
//	2 UPD   index 4 | body digest 16
//	3 ADD   rid 16 | body digest 16 | lane 1 | sponsor index 4, zero unless vouched
//	4 DOWN  index 4
//	5 UP    index 4
//	6 PEN   index 4 | reason 1 | evidence digest 16
//
// The ops are put into canonical order; the argument is not changed. Codes are
// those above. Spec: protocol §7 (TRN-3).
func AppendOps(out []byte, ops []Op) []byte {
	if !slices.IsSortedFunc(ops, Op.Compare) {
		ops = slices.Clone(ops)
		slices.SortFunc(ops, Op.Compare)
	}
	for len(ops) > 0 {
		n := 1
		for n < len(ops) && ops[n].Code == ops[0].Code {
			n++
		}
		out = binary.BigEndian.AppendUint32(append(out, byte(ops[0].Code)), uint32(n))
		for i := range ops[:n] {
			out = ops[i].append(out)
		}
		ops = ops[n:]
	}
	return out
}

func (o *Op) append(out []byte) []byte {
	if o.Code == Add {
		out = append(append(out, o.RID[:]...), o.Body[:]...)
		return binary.BigEndian.AppendUint32(append(out, o.Lane), o.Sponsor)
	}
	out = binary.BigEndian.AppendUint32(out, o.Index)
	switch o.Code {
	case Drop:
		out = append(out, o.Reason)
	case Update:
		out = append(out, o.Body[:]...)
	case Penalty:
		out = append(append(out, o.Reason), o.Evidence[:]...)
	}
	return out
}

// ParseOps reads the ops of a vote over a parent with so many leaves, at most
// MaxOpsSize bytes, and accepts only what AppendOps writes. Error: ErrOps.
func ParseOps(data []byte, leaves int) ([]Op, error) {
	if len(data) > MaxOpsSize(leaves) {
		return nil, ErrOps
	}
	var ops []Op
	last := OpCode(0)
	for len(data) > 0 {
		if len(data) < opHeadSize {
			return nil, ErrOps
		}
		code := OpCode(data[0])
		count := binary.BigEndian.Uint32(data[1:])
		data = data[opHeadSize:]
		if code <= last || int(code) >= len(opSizes) || count == 0 || uint64(count)*uint64(opSizes[code]) > uint64(len(data)) {
			return nil, ErrOps
		}
		last = code
		ops = slices.Grow(ops, int(count))
		for range count {
			ops = append(ops, parseOp(code, data))
			data = data[opSizes[code]:]
		}
	}
	if !canonical(ops, leaves) {
		return nil, ErrOps
	}
	return ops, nil
}

// parseOp reads one op; data is long enough.
func parseOp(code OpCode, data []byte) Op {
	o := Op{Code: code}
	if code == Add {
		o.RID, o.Body = record.RID(data[:16]), [16]byte(data[16:32])
		o.Lane, o.Sponsor = data[32], binary.BigEndian.Uint32(data[33:])
		return o
	}
	o.Index = binary.BigEndian.Uint32(data)
	switch code {
	case Drop:
		o.Reason = data[4]
	case Update:
		o.Body = [16]byte(data[4:20])
	case Penalty:
		o.Reason, o.Evidence = data[4], [16]byte(data[5:21])
	}
	return o
}

// canonical reports whether ops stand in their one order, none twice, each within
// its bounds.
func canonical(ops []Op, leaves int) bool {
	for i := range ops {
		if !ops[i].valid(leaves) || (i > 0 && ops[i-1].Compare(ops[i]) >= 0) {
			return false
		}
	}
	return true
}

func (o *Op) valid(leaves int) bool {
	if o.Code == Add {
		return o.Index == 0 && o.Reason == 0 && o.Evidence == [16]byte{} && o.Lane <= LaneReturning &&
			(o.Lane == LaneVouched || o.Sponsor == 0) && (o.Lane != LaneVouched || int64(o.Sponsor) < int64(leaves))
	}
	most, body, evidence := uint8(0), false, false
	switch o.Code {
	case Drop:
		most = DropEvidence
	case Update:
		body = true
	case Down, Up:
	case Penalty:
		most, evidence = PenaltyProbation, true
	default:
		return false
	}
	return int64(o.Index) < int64(leaves) && o.RID == record.RID{} && o.Lane == 0 && o.Sponsor == 0 &&
		(most == 0) == (o.Reason == 0) && o.Reason <= most && (body || o.Body == [16]byte{}) && (evidence || o.Evidence == [16]byte{})
}

// rid returns whom an op is about. table is the parent's.
func (o *Op) rid(table *snapshot.Table) record.RID {
	if o.Code == Add {
		return o.RID
	}
	return table.At(int(o.Index)).RID
}
