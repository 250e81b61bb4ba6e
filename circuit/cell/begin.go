// SPDX-License-Identifier: BSD-3-Clause

package cell

import (
	"encoding/binary"
	"net/netip"
)

// MaxHost is the longest name, in bytes, a message may carry.
const MaxHost = 253

// Flags of BEGIN. All other bits are zero.
const BeginPreferIPv6 = 1

// Begin opens a TCP stream towards Host:Port.
//
//	flags 1 | port 2 | host length 1 | host | early data
//
// Host is a name or the text of an IP address, 1 to MaxHost bytes of printable
// ASCII without space. Spec: protocol §5.
type Begin struct {
	Flags byte
	Port  uint16
	Host  string
	Early []byte // first data of the stream; a view after decoding
}

// MaxEarly returns how many bytes of early data fit beside host.
func MaxEarly(host string) int { return MaxBody - 4 - len(host) }

// Append appends b's body to dst. ErrSize, ErrFormat: a field out of bounds.
func (b Begin) Append(dst []byte) ([]byte, error) {
	if len(b.Host) == 0 || len(b.Host) > MaxHost || len(b.Early) > MaxEarly(b.Host) {
		return dst, ErrSize
	}
	if b.Port == 0 || b.Flags&^BeginPreferIPv6 != 0 || !validHost(b.Host) {
		return dst, ErrFormat
	}
	dst = append(dst, b.Flags)
	dst = binary.BigEndian.AppendUint16(dst, b.Port)
	dst = append(dst, byte(len(b.Host)))
	dst = append(dst, b.Host...)
	return append(dst, b.Early...), nil
}

// ParseBegin decodes a BEGIN body.
func ParseBegin(p []byte) (Begin, error) {
	if len(p) < 4 || len(p) > MaxBody {
		return Begin{}, ErrSize
	}
	n := int(p[3])
	if n == 0 || n > MaxHost || len(p) < 4+n {
		return Begin{}, ErrSize
	}
	b := Begin{Flags: p[0], Port: binary.BigEndian.Uint16(p[1:]), Host: string(p[4 : 4+n]), Early: p[4+n:]}
	if b.Port == 0 || b.Flags&^BeginPreferIPv6 != 0 || !validHost(b.Host) {
		return Begin{}, ErrFormat
	}
	return b, nil
}

// validHost accepts printable ASCII without space, so that a name can be shown
// and compared without surprises.
func validHost(h string) bool {
	for i := range len(h) {
		if h[i] <= ' ' || h[i] > '~' {
			return false
		}
	}
	return true
}

// Connected says that a stream is open.
//
//	kind 1 (0, 4 or 6) | address 0, 4 or 16
//
// The address is the one connected to; kind 0 where there is none.
// Spec: protocol §5.
type Connected struct{ Addr netip.Addr }

// Append appends c's body to dst.
func (c Connected) Append(dst []byte) []byte { return appendAddr(dst, c.Addr) }

// ParseConnected decodes a CONNECTED body.
func ParseConnected(p []byte) (Connected, error) {
	a, rest, err := takeAddr(p)
	if err != nil {
		return Connected{}, err
	}
	if len(rest) != 0 {
		return Connected{}, ErrSize
	}
	return Connected{Addr: a}, nil
}

// appendAddr appends kind and address; an IPv4-mapped address goes as IPv4, so
// that each address has one encoding.
func appendAddr(dst []byte, a netip.Addr) []byte {
	a = a.Unmap()
	switch {
	case !a.IsValid():
		return append(dst, 0)
	case a.Is4():
		b := a.As4()
		return append(append(dst, 4), b[:]...)
	default:
		b := a.As16()
		return append(append(dst, 6), b[:]...)
	}
}

func takeAddr(p []byte) (netip.Addr, []byte, error) {
	if len(p) == 0 {
		return netip.Addr{}, nil, ErrSize
	}
	kind, p := p[0], p[1:]
	switch {
	case kind == 0:
		return netip.Addr{}, p, nil
	case kind == 4 && len(p) >= 4:
		return netip.AddrFrom4([4]byte(p)), p[4:], nil
	case kind == 6 && len(p) >= 16:
		a := netip.AddrFrom16([16]byte(p))
		if a.Is4In6() {
			return netip.Addr{}, nil, ErrFormat
		}
		return a, p[16:], nil
	case kind == 4 || kind == 6:
		return netip.Addr{}, nil, ErrSize
	}
	return netip.Addr{}, nil, ErrFormat
}
