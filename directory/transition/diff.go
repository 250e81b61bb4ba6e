// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"chive/directory/record"
	"chive/directory/snapshot"
)

// MaxDiffSize bounds a diff in bytes. Spec: directory §10.
const MaxDiffSize = 8 << 20

// diffVersion is the first byte of a diff.
const diffVersion = 1

// ErrDiff means bytes that are not a diff, or not one from that table.
var ErrDiff = errors.New("transition: not a diff of this table")

// ErrDiffTooLarge means tables so unlike that the whole one is to be sent.
var ErrDiffTooLarge = errors.New("transition: diff too large")

// column is one field of a leaf: how to tell, write and read it.
type column struct {
	same  func(a, b *snapshot.Leaf) bool
	write func(out []byte, l *snapshot.Leaf) []byte
	read  func(l *snapshot.Leaf, data []byte) int // bytes read; 0: malformed
}

// columns are the fields in their order in a diff. IPv6 has a first byte that says
// whether there is one, 0 or 1; flags are without that of IPv6, which follows.
// Spec: protocol §7 (TRN-11).
func columns() []column {
	return []column{
		{ // onion 32
			func(a, b *snapshot.Leaf) bool { return a.Onion == b.Onion },
			func(out []byte, l *snapshot.Leaf) []byte { return append(out, l.Onion[:]...) },
			func(l *snapshot.Leaf, data []byte) int { return copy32(&l.Onion, data) },
		},
		{ // IPv4 4 | port 2, zeros for none
			func(a, b *snapshot.Leaf) bool { return a.IPv4 == b.IPv4 },
			func(out []byte, l *snapshot.Leaf) []byte {
				var four [4]byte
				if l.IPv4.IsValid() {
					four = l.IPv4.Addr().As4()
				}
				return binary.BigEndian.AppendUint16(append(out, four[:]...), l.IPv4.Port())
			},
			readIPv4,
		},
		{ // 0, or 1 | IPv6 16 | port 2
			func(a, b *snapshot.Leaf) bool { return a.IPv6 == b.IPv6 },
			func(out []byte, l *snapshot.Leaf) []byte {
				if !l.IPv6.IsValid() {
					return append(out, 0)
				}
				six := l.IPv6.Addr().As16()
				return binary.BigEndian.AppendUint16(append(append(out, 1), six[:]...), l.IPv6.Port())
			},
			readIPv6,
		},
		{ // flags 2
			func(a, b *snapshot.Leaf) bool { return a.Flags&^snapshot.FlagIPv6 == b.Flags&^snapshot.FlagIPv6 },
			func(out []byte, l *snapshot.Leaf) []byte {
				return binary.BigEndian.AppendUint16(out, uint16(l.Flags&^snapshot.FlagIPv6))
			},
			readFlags,
		},
		number8(func(l *snapshot.Leaf) *uint8 { return &l.Bucket }),
		number16(func(l *snapshot.Leaf) *uint16 { return &l.BirthDay }),
		number16(func(l *snapshot.Leaf) *uint16 { return &l.Group }),
		number16(func(l *snapshot.Leaf) *uint16 { return &l.Family }),
		number8(func(l *snapshot.Leaf) *uint8 { return &l.Policy }),
		number8(func(l *snapshot.Leaf) *uint8 { return &l.Protocol }),
	}
}

func copy32(to *[32]byte, data []byte) int {
	if len(data) < 32 {
		return 0
	}
	return copy(to[:], data)
}

func readIPv4(l *snapshot.Leaf, data []byte) int {
	if len(data) < 6 {
		return 0
	}
	l.IPv4 = netip.AddrPortFrom(netip.AddrFrom4([4]byte(data)), binary.BigEndian.Uint16(data[4:]))
	if l.IPv4 == netip.AddrPortFrom(netip.AddrFrom4([4]byte{}), 0) {
		l.IPv4 = netip.AddrPort{}
	}
	return 6
}

func readIPv6(l *snapshot.Leaf, data []byte) int {
	if len(data) == 0 || data[0] > 1 || (data[0] == 1 && len(data) < 19) {
		return 0
	}
	if data[0] == 0 {
		l.IPv6, l.Flags = netip.AddrPort{}, l.Flags&^snapshot.FlagIPv6
		return 1
	}
	l.IPv6 = netip.AddrPortFrom(netip.AddrFrom16([16]byte(data[1:])), binary.BigEndian.Uint16(data[17:]))
	l.Flags |= snapshot.FlagIPv6
	return 19
}

func readFlags(l *snapshot.Leaf, data []byte) int {
	if len(data) < 2 || snapshot.Flags(binary.BigEndian.Uint16(data))&snapshot.FlagIPv6 != 0 {
		return 0
	}
	l.Flags = snapshot.Flags(binary.BigEndian.Uint16(data)) | l.Flags&snapshot.FlagIPv6
	return 2
}

func number16(at func(l *snapshot.Leaf) *uint16) column {
	return column{
		func(a, b *snapshot.Leaf) bool { return *at(a) == *at(b) },
		func(out []byte, l *snapshot.Leaf) []byte { return binary.BigEndian.AppendUint16(out, *at(l)) },
		func(l *snapshot.Leaf, data []byte) int {
			if len(data) < 2 {
				return 0
			}
			*at(l) = binary.BigEndian.Uint16(data)
			return 2
		},
	}
}

func number8(at func(l *snapshot.Leaf) *uint8) column {
	return column{
		func(a, b *snapshot.Leaf) bool { return *at(a) == *at(b) },
		func(out []byte, l *snapshot.Leaf) []byte { return append(out, *at(l)) },
		func(l *snapshot.Leaf, data []byte) int {
			if len(data) < 1 {
				return 0
			}
			*at(l) = data[0]
			return 1
		},
	}
}

// Diff returns the bytes that turn one table into another, the same for whoever
// makes them. All numbers are unsigned LEB128 in their shortest form; indices are
// those of the older table, each as its distance from what follows the one before.
//
//	version 1 | leaves of the older table
//	removed: count | indices
//	added: count | each: size 1 | leaf, in rid order
//	for each column: count | indices | values
//	for groups, families, policies: number of indices | count | indices | each value behind its size in 1 byte
//
// A relay whose leaf changed is in the columns that differ. Dictionaries are given
// where their values differ, 0 bytes for an index that became free.
// Error: ErrDiffTooLarge. Spec: directory §8 (diffs), protocol §7 (TRN-11).
func Diff(from, to *snapshot.Table) ([]byte, error) {
	var removed, kept []int // indices of from
	var now []int           // indices of to, of those that are kept
	var added []int         // indices of to
	for i, j := 0, 0; i < from.Len() || j < to.Len(); {
		side := 0
		switch {
		case i == from.Len():
			side = 1
		case j == to.Len():
			side = -1
		default:
			side = from.At(i).RID.Compare(to.At(j).RID)
		}
		switch {
		case side < 0:
			removed, i = append(removed, i), i+1
		case side > 0:
			added, j = append(added, j), j+1
		default:
			if from.At(i).Leaf != to.At(j).Leaf {
				kept, now = append(kept, i), append(now, j)
			}
			i, j = i+1, j+1
		}
	}
	out := binary.AppendUvarint([]byte{diffVersion}, uint64(from.Len()))
	out = appendIndices(out, removed)
	out = binary.AppendUvarint(out, uint64(len(added)))
	for _, j := range added {
		l := &to.At(j).Leaf
		size := snapshot.LeafSize
		if l.IPv6.IsValid() {
			size = snapshot.LeafSizeV6
		}
		out = l.Append(append(out, byte(size)))
	}
	for _, c := range columns() {
		var at []int
		var values []byte
		for k, i := range kept {
			l := &to.At(now[k]).Leaf
			if !c.same(&from.At(i).Leaf, l) {
				at, values = append(at, i), c.write(values, l)
			}
		}
		out = append(appendIndices(out, at), values...)
	}
	a, b := valuesOf(from.Dictionaries()), valuesOf(to.Dictionaries())
	for k := range a {
		out = diffValues(out, a[k], b[k])
	}
	if len(out) > MaxDiffSize {
		return nil, ErrDiffTooLarge
	}
	return out, nil
}

// appendIndices appends rising indices behind their count.
func appendIndices(out []byte, at []int) []byte {
	out = binary.AppendUvarint(out, uint64(len(at)))
	next := 0
	for _, i := range at {
		out = binary.AppendUvarint(out, uint64(i-next))
		next = i + 1
	}
	return out
}

// diffValues appends what changed in one dictionary.
func diffValues(out []byte, a, b []string) []byte {
	var at []int
	var values []byte
	for i, v := range b {
		if was := valueAt(a, i); was != v {
			at, values = append(at, i), append(append(values, byte(len(v))), v...)
		}
	}
	return append(appendIndices(binary.AppendUvarint(out, uint64(len(b))), at), values...)
}

func valueAt(values []string, i int) string {
	if i < len(values) {
		return values[i]
	}
	return ""
}

// valuesOf returns the values of the dictionaries as bytes.
func valuesOf(d *snapshot.Dictionaries) (out [3][]string) {
	for _, g := range d.Groups {
		out[0] = append(out[0], string(g))
	}
	for _, f := range d.Families {
		out[1] = append(out[1], string(f))
	}
	for _, p := range d.Policies {
		out[2] = append(out[2], string(record.EncodePolicy(p)))
	}
	return out
}
