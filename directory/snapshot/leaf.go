// SPDX-License-Identifier: BSD-3-Clause

package snapshot

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"chive/directory/record"
)

// Flags of a leaf. The low byte holds the relay's roles.
type Flags uint16

// Spec: directory §5 (leaf); the roles are record's.
const (
	FlagGuard      = Flags(record.RoleGuard)
	FlagExit       = Flags(record.RoleExit)
	FlagHSDir      = Flags(record.RoleHSDir)
	FlagRendezvous = Flags(record.RoleRendezvous)
	FlagMailbox    = Flags(record.RoleMailbox)

	FlagRunning   Flags = 1 << 8
	FlagFounder   Flags = 1 << 9
	FlagProbation Flags = 1 << 10
	FlagIPv6      Flags = 1 << 11
	FlagMeasured  Flags = 1 << 12

	allFlags = Flags(record.AllRoles) | FlagRunning | FlagFounder | FlagProbation | FlagIPv6 | FlagMeasured
)

// Sizes of a leaf in bytes, without and with IPv6.
const (
	LeafSize    = 65
	LeafSizeV6  = LeafSize + 18
	maxLeafSize = LeafSizeV6
)

// Protocol is the protocol version of a relay that speaks what this version of the
// specification says.
const Protocol = 1

// ErrLeaf means bytes that are not a leaf.
var ErrLeaf = errors.New("snapshot: not a leaf")

// Leaf is one line of the table.
type Leaf struct {
	RID      record.RID
	Onion    [32]byte
	IPv4     netip.AddrPort // zero value: none
	IPv6     netip.AddrPort // zero value: none
	Flags    Flags
	Bucket   uint8
	BirthDay uint16
	Group    uint16
	Family   uint16
	Policy   uint8
	Protocol uint8
}

// Append appends the leaf's bytes to out.
func (l *Leaf) Append(out []byte) []byte {
	out = append(out, l.RID[:]...)
	out = append(out, l.Onion[:]...)
	var four [4]byte
	if l.IPv4.IsValid() {
		four = l.IPv4.Addr().As4()
	}
	out = append(out, four[:]...)
	out = binary.BigEndian.AppendUint16(out, l.IPv4.Port())
	flags := l.Flags &^ FlagIPv6
	if l.IPv6.IsValid() {
		flags |= FlagIPv6
		six := l.IPv6.Addr().As16()
		out = append(out, six[:]...)
		out = binary.BigEndian.AppendUint16(out, l.IPv6.Port())
	}
	out = binary.BigEndian.AppendUint16(out, uint16(flags))
	out = append(out, l.Bucket)
	out = binary.BigEndian.AppendUint16(out, l.BirthDay)
	out = binary.BigEndian.AppendUint16(out, l.Group)
	out = binary.BigEndian.AppendUint16(out, l.Family)
	return append(out, l.Policy, l.Protocol)
}

// ParseLeaf reads one leaf, all of data. The flags lie behind an address whose
// presence they tell, so that the size decides and the flag must agree.
// Error: ErrLeaf.
func ParseLeaf(data []byte) (Leaf, error) {
	if len(data) != LeafSize && len(data) != LeafSizeV6 {
		return Leaf{}, ErrLeaf
	}
	l := Leaf{RID: record.RID(data[:16]), Onion: [32]byte(data[16:48])}
	four := netip.AddrFrom4([4]byte(data[48:52]))
	port := binary.BigEndian.Uint16(data[52:54])
	switch {
	case port != 0 && !four.IsUnspecified():
		l.IPv4 = netip.AddrPortFrom(four, port)
	case port != 0 || !four.IsUnspecified():
		return Leaf{}, ErrLeaf
	}
	rest := data[54:]
	if len(data) == LeafSizeV6 {
		six := netip.AddrFrom16([16]byte(rest[:16]))
		port := binary.BigEndian.Uint16(rest[16:18])
		if port == 0 || six.IsUnspecified() || six.Is4In6() {
			return Leaf{}, ErrLeaf
		}
		l.IPv6 = netip.AddrPortFrom(six, port)
		rest = rest[18:]
	}
	l.Flags = Flags(binary.BigEndian.Uint16(rest))
	l.Bucket = rest[2]
	l.BirthDay = binary.BigEndian.Uint16(rest[3:])
	l.Group = binary.BigEndian.Uint16(rest[5:])
	l.Family = binary.BigEndian.Uint16(rest[7:])
	l.Policy, l.Protocol = rest[9], rest[10]
	if l.Flags&^allFlags != 0 || (l.Flags&FlagIPv6 != 0) != l.IPv6.IsValid() || l.Bucket > MaxBucket ||
		(!l.IPv4.IsValid() && !l.IPv6.IsValid()) || (l.Flags&FlagExit != 0) != (l.Policy != 0) {
		return Leaf{}, ErrLeaf
	}
	return l, nil
}
