// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"encoding/binary"
	"errors"
	"math"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
)

// Uptime starts at its highest value. Spec: directory §5 (uptime).
const maxUptime = 65024

// noVoucher is a VoucherDay that never was.
const noVoucher = 0

// ErrAux means bytes that are no record that only relays hold.
var ErrAux = errors.New("transition: not an aux record")

// Aux is what relays hold of a relay beside its leaf. Epochs until which something
// holds are exclusive; 0: it does not hold.
type Aux struct {
	Body         [32]byte // body digest of the descriptor in force; zero: none yet, a founder's
	VRF          [32]byte
	Committee    []record.CommitteeKey // by rising term; recorded once, never replaced; shared, not to be changed
	Target       uint8                 // bucket that it declares, up to the cap; its leaf's rises to it
	Reach        uint8                 // 1: the last snapshot had a DOWN (while running) or an UP (while not)
	Idle         uint8                 // days in a row without running
	Uptime       uint16
	DayRunning   uint16 // of this day's snapshots, in how many it was there
	Admitted     uint64 // epoch
	Lane         uint8
	VoucherDay   uint16 // day of its last voucher that was used, plus 1; 0: none
	PenaltyEnd   uint64 // epoch until which it is not eligible and its seat ignored
	ProbationEnd uint64 // epoch until which it weighs as a newcomer
}

// Dormant is what is kept of a relay that is not in the table.
type Dormant struct {
	RID          record.RID
	Birth, Since uint16 // days: birth as in its last leaf; when it left
	VoucherDay   uint16
	PenaltyEnd   uint64
	ProbationEnd uint64
	Uptime       uint16 // when it left
}

// counters are of the day of a snapshot, up to and with it.
type counters struct {
	dormants  uint32 // number of dormant relays
	snapshots uint16
	stopped   uint32 // guard weight taken out of use, in millionths
}

// Kinds of the records under aux_root: the first byte of each.
const (
	kindAux      = 1
	kindDormant  = 2
	kindCounters = 3
)

// Sizes of the records in bytes, kind included.
const (
	auxSize      = 1 + 32 + 32 + 3 + 2 + 2 + 8 + 1 + 2 + 8 + 8 + 1 // without committee keys
	auxKeySize   = 8 + 32
	maxAuxSize   = auxSize + record.MaxCommitteeKeyCount*auxKeySize
	dormantSize  = 1 + 16 + 3*2 + 2*8 + 2
	countersSize = 1 + 4 + 2 + 4
)

// append appends the record that is hashed and sent:
//
//	kind 1 (1) | body digest 32 | VRF key 32 | target 1 | reach 1 | idle days 1 | uptime 2 | day's running count 2
//	admitted 8 | lane 1 | voucher day 2 | penalty end 8 | probation end 8 | count 1 | count x (term 8 | key 32)
//
// Spec: protocol §7 (TRN-5).
func (a *Aux) append(out []byte) []byte {
	out = append(append(append(out, kindAux), a.Body[:]...), a.VRF[:]...)
	out = append(out, a.Target, a.Reach, a.Idle)
	out = binary.BigEndian.AppendUint16(out, a.Uptime)
	out = binary.BigEndian.AppendUint16(out, a.DayRunning)
	out = binary.BigEndian.AppendUint64(out, a.Admitted)
	out = binary.BigEndian.AppendUint16(append(out, a.Lane), a.VoucherDay)
	out = binary.BigEndian.AppendUint64(out, a.PenaltyEnd)
	out = binary.BigEndian.AppendUint64(out, a.ProbationEnd)
	out = append(out, byte(len(a.Committee)))
	for _, k := range a.Committee {
		out = append(binary.BigEndian.AppendUint64(out, k.Term), k.Key...)
	}
	return out
}

// parseAux reads one record from the start of data and returns its size.
func parseAux(data []byte) (Aux, int, error) {
	if len(data) < auxSize || data[0] != kindAux {
		return Aux{}, 0, ErrAux
	}
	count := int(data[auxSize-1])
	size := auxSize + count*auxKeySize
	if count > record.MaxCommitteeKeyCount || len(data) < size {
		return Aux{}, 0, ErrAux
	}
	b := data[65:]
	a := Aux{
		Body: [32]byte(data[1:33]), VRF: [32]byte(data[33:65]), Target: b[0], Reach: b[1], Idle: b[2],
		Uptime: binary.BigEndian.Uint16(b[3:]), DayRunning: binary.BigEndian.Uint16(b[5:]),
		Admitted: binary.BigEndian.Uint64(b[7:]), Lane: b[15], VoucherDay: binary.BigEndian.Uint16(b[16:]),
		PenaltyEnd: binary.BigEndian.Uint64(b[18:]), ProbationEnd: binary.BigEndian.Uint64(b[26:]),
	}
	if a.Target > snapshot.MaxBucket || a.Reach > 1 || a.Idle >= dormantAfter || a.Uptime > maxUptime || a.Lane > laneFounder {
		return Aux{}, 0, ErrAux
	}
	if count > 0 {
		a.Committee = make([]record.CommitteeKey, count)
	}
	for i := range count {
		k := data[auxSize+i*auxKeySize:]
		a.Committee[i] = record.CommitteeKey{Term: binary.BigEndian.Uint64(k), Key: append([]byte{}, k[8:auxKeySize]...)}
		if i > 0 && a.Committee[i].Term <= a.Committee[i-1].Term {
			return Aux{}, 0, ErrAux
		}
	}
	return a, size, nil
}

// key returns the committee key of a term.
func (a *Aux) key(term uint64) ([32]byte, bool) {
	for _, k := range a.Committee {
		if k.Term == term {
			return [32]byte(k.Key), true
		}
	}
	return [32]byte{}, false
}

// append appends the record that is hashed and sent:
//
//	kind 1 (2) | rid 16 | birth day 2 | since 2 | voucher day 2 | penalty end 8 | probation end 8 | uptime 2
func (d *Dormant) append(out []byte) []byte {
	out = append(append(out, kindDormant), d.RID[:]...)
	out = binary.BigEndian.AppendUint16(out, d.Birth)
	out = binary.BigEndian.AppendUint16(out, d.Since)
	out = binary.BigEndian.AppendUint16(out, d.VoucherDay)
	out = binary.BigEndian.AppendUint64(out, d.PenaltyEnd)
	out = binary.BigEndian.AppendUint64(out, d.ProbationEnd)
	return binary.BigEndian.AppendUint16(out, d.Uptime)
}

func parseDormant(data []byte) (Dormant, int, error) {
	if len(data) < dormantSize || data[0] != kindDormant {
		return Dormant{}, 0, ErrAux
	}
	b := data[17:]
	d := Dormant{
		RID: record.RID(data[1:17]), Birth: binary.BigEndian.Uint16(b), Since: binary.BigEndian.Uint16(b[2:]),
		VoucherDay: binary.BigEndian.Uint16(b[4:]), PenaltyEnd: binary.BigEndian.Uint64(b[6:]), ProbationEnd: binary.BigEndian.Uint64(b[14:]),
		Uptime: binary.BigEndian.Uint16(b[22:]),
	}
	if d.Birth > d.Since || d.Uptime > maxUptime {
		return Dormant{}, 0, ErrAux
	}
	return d, dormantSize, nil
}

// append appends the record that is hashed and sent:
//
//	kind 1 (3) | dormant relays 4 | day's snapshots 2 | day's stopped guard weight 4, millionths
func (c *counters) append(out []byte) []byte {
	out = binary.BigEndian.AppendUint32(append(out, kindCounters), c.dormants)
	out = binary.BigEndian.AppendUint16(out, c.snapshots)
	return binary.BigEndian.AppendUint32(out, c.stopped)
}

func parseCounters(data []byte) (counters, error) {
	if len(data) != countersSize || data[0] != kindCounters {
		return counters{}, ErrAux
	}
	c := counters{binary.BigEndian.Uint32(data[1:]), binary.BigEndian.Uint16(data[5:]), binary.BigEndian.Uint32(data[7:])}
	if c.dormants > maxDormantCount {
		return counters{}, ErrAux
	}
	return c, nil
}

// uptimeThreshold is what eligibility asks of Uptime.
func uptimeThreshold(p genesis.Params) uint16 {
	return uint16((maxUptime*p.CommitteeUptime + 999) / 1000)
}

// tickUptime is one snapshot's change. Spec: directory §5 (uptime), protocol §7 (TRN-4).
func tickUptime(u uint16, there bool) uint16 {
	next := u - u>>9
	if there {
		next += 127
	}
	return min(next, maxUptime)
}

// uptimeAfter is what is left of an uptime after so many snapshots without the relay. It
// ends: below 512 nothing changes.
func uptimeAfter(u uint16, snapshots int) uint16 {
	for ; snapshots > 0 && u >= 1<<9; snapshots-- {
		u = tickUptime(u, false)
	}
	return u
}

// day16 is a day as leaves and records hold it.
func day16(day int) uint16 { return uint16(min(max(day, 0), math.MaxUint16)) }

// inc16 counts up and stays at the top.
func inc16(n uint16) uint16 { return n + min(1, math.MaxUint16-n) }
