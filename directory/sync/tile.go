// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"encoding/binary"
	"net/netip"

	"chive/directory/record"
	"chive/directory/snapshot"
)

// tileColumns names the form of a tile in columns; packedRaw is the other.
const tileColumns = 1

// maxTileSize bounds a tile as it travels: raw, or in columns, of which none is larger
// than raw.
const maxTileSize = 1 + 2 + len(columnWidths)*columnHead + snapshot.MaxTileSize

// columnHead is what stands before a column: how it is packed 1 | size 2.
const columnHead = 3

// columnWidths are the bytes of each column's values, in their order. The flags come
// first: they tell which leaves have an IPv6 address. Spec: protocol §7 (SYNC-3).
var columnWidths = [...]int{
	2,  // flags
	16, // rid
	32, // onion
	4,  // IPv4, zeros for none
	2,  // its port
	16, // IPv6, of the leaves that are flagged
	2,  // its port XOR that of IPv4: mostly they are the same
	1,  // bucket
	2,  // birth day
	2,  // group
	2,  // family
	1,  // policy
	1,  // protocol
}

// Columns that only flagged leaves have.
const columnSix, columnSixPort = 5, 6

// values returns a leaf's values by column.
func values(l *snapshot.Leaf) (out [len(columnWidths)][]byte) {
	two := func(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
	four, six := [4]byte{}, [16]byte{}
	if l.IPv4.IsValid() {
		four = l.IPv4.Addr().As4()
	}
	flags := l.Flags &^ snapshot.FlagIPv6
	if l.IPv6.IsValid() {
		flags, six = flags|snapshot.FlagIPv6, l.IPv6.Addr().As16()
	}
	return [len(columnWidths)][]byte{
		two(uint16(flags)), l.RID[:], l.Onion[:], four[:], two(l.IPv4.Port()), six[:], two(l.IPv6.Port() ^ l.IPv4.Port()),
		{l.Bucket}, two(l.BirthDay), two(l.Group), two(l.Family), {l.Policy}, {l.Protocol},
	}
}

// leafOf is values backwards. Whether the leaf is one its own codec tells.
func leafOf(v *[len(columnWidths)][]byte) snapshot.Leaf {
	two := func(i int) uint16 { return binary.BigEndian.Uint16(v[i]) }
	l := snapshot.Leaf{
		Flags: snapshot.Flags(two(0)), RID: record.RID(v[1]), Onion: [32]byte(v[2]),
		Bucket: v[7][0], BirthDay: two(8), Group: two(9), Family: two(10), Policy: v[11][0], Protocol: v[12][0],
	}
	if four := netip.AddrFrom4([4]byte(v[3])); !four.IsUnspecified() || two(4) != 0 {
		l.IPv4 = netip.AddrPortFrom(four, two(4))
	}
	if v[columnSix] != nil {
		l.IPv6 = netip.AddrPortFrom(netip.AddrFrom16([16]byte(v[columnSix])), two(columnSixPort)^two(4))
	}
	return l
}

// packTile returns tile n of a table as it travels: in columns, each transposed, so that
// bytes of like meaning stand together, or raw where that is smaller.
//
//	0 | (size 1 | leaf) ...
//	1 | leaves - 1, 2 | 13 columns: 0 or 1 | size 2 | bytes, or one zstd frame
func packTile(z packer, t *snapshot.Table, n int) []byte {
	raw := t.Tile(n)
	first := n * snapshot.TileLeafCount
	count := min(snapshot.TileLeafCount, t.Len()-first)
	var columns [len(columnWidths)][][]byte
	for i := range count {
		l := &t.At(first + i).Leaf
		for c, v := range values(l) {
			if (c == columnSix || c == columnSixPort) && !l.IPv6.IsValid() {
				continue
			}
			columns[c] = append(columns[c], v)
		}
	}
	out := binary.BigEndian.AppendUint16([]byte{tileColumns}, uint16(count-1))
	for c, w := range columnWidths {
		flat := make([]byte, 0, w*len(columns[c]))
		for b := range w {
			for _, v := range columns[c] {
				flat = append(flat, v[b])
			}
		}
		kind, data := byte(packedRaw), flat
		if len(flat) > 0 {
			if f := z.frame(flat); len(f) < len(flat) {
				kind, data = packedZstd, f
			}
		}
		out = binary.BigEndian.AppendUint16(append(out, kind), uint16(len(data)))
		out = append(out, data...)
	}
	if len(out) > 1+len(raw) {
		return append([]byte{packedRaw}, raw...)
	}
	return out
}

// openTile unpacks a tile and compares it with its root. Error: ErrAnswer.
func openTile(z unpacker, tile []byte, root [32]byte) ([]snapshot.Leaf, error) {
	raw, err := rawTile(z, tile)
	if err != nil {
		return nil, err
	}
	leaves, err := snapshot.ParseTile(raw, root)
	if err != nil {
		return nil, ErrAnswer
	}
	return leaves, nil
}

// rawTile unpacks a tile. Error: ErrAnswer.
func rawTile(z unpacker, tile []byte) ([]byte, error) {
	if len(tile) == 0 || len(tile) > maxTileSize {
		return nil, ErrAnswer
	}
	switch tile[0] {
	case packedRaw:
		return tile[1:], nil
	case tileColumns:
		return fromColumns(z, tile[1:])
	}
	return nil, ErrAnswer
}

// fromColumns returns a tile's leaves, each behind its size. Error: ErrAnswer.
func fromColumns(z unpacker, data []byte) ([]byte, error) {
	if len(data) < 2 {
		return nil, ErrAnswer
	}
	count := int(binary.BigEndian.Uint16(data)) + 1
	if data = data[2:]; count > snapshot.TileLeafCount {
		return nil, ErrAnswer
	}
	var columns [len(columnWidths)][]byte
	six := 0
	for c, w := range columnWidths {
		n := count
		if c == columnSix || c == columnSixPort {
			n = six
		}
		if len(data) < columnHead {
			return nil, ErrAnswer
		}
		kind, size := data[0], int(binary.BigEndian.Uint16(data[1:]))
		if data = data[columnHead:]; len(data) < size {
			return nil, ErrAnswer
		}
		flat := data[:size]
		data = data[size:]
		switch kind {
		case packedRaw:
		case packedZstd:
			var err error
			if flat, err = z.frame(flat, w*n); err != nil {
				return nil, err
			}
		default:
			return nil, ErrAnswer
		}
		if len(flat) != w*n {
			return nil, ErrAnswer
		}
		if columns[c] = flat; c == 0 {
			six = countSix(flat, count)
		}
	}
	if len(data) > 0 {
		return nil, ErrAnswer
	}
	return joinColumns(&columns, count, six), nil
}

// flagged reports whether leaf i has the IPv6 flag, by the column of flags.
func flagged(flags []byte, count, i int) bool {
	return snapshot.Flags(uint16(flags[i])<<8|uint16(flags[count+i]))&snapshot.FlagIPv6 != 0
}

func countSix(flags []byte, count int) int {
	six := 0
	for i := range count {
		if flagged(flags, count, i) {
			six++
		}
	}
	return six
}

func joinColumns(columns *[len(columnWidths)][]byte, count, six int) []byte {
	out := make([]byte, 0, count*(1+snapshot.LeafSize)+six*(snapshot.LeafSizeV6-snapshot.LeafSize))
	seen := 0 // leaves with IPv6
	for i := range count {
		var v [len(columnWidths)][]byte
		has := flagged(columns[0], count, i)
		for c, w := range columnWidths {
			n, at := count, i
			if c == columnSix || c == columnSixPort {
				if n, at = six, seen; !has {
					continue
				}
			}
			v[c] = make([]byte, w)
			for b := range w {
				v[c][b] = columns[c][b*n+at]
			}
		}
		size := snapshot.LeafSize
		if has {
			size, seen = snapshot.LeafSizeV6, seen+1
		}
		l := leafOf(&v)
		out = l.Append(append(out, byte(size)))
	}
	return out
}
