// SPDX-License-Identifier: BSD-3-Clause

package cell

import (
	"encoding/binary"
	"net/netip"
)

// MaxLinkSpecifiers is the largest number of addresses in EXTEND.
const MaxLinkSpecifiers = 4

// Extend asks the last relay of a circuit for one more hop.
//
//	rid 16 | count 1 | count x (4 or 6, address, port 2) | CREATE body
//
// Spec: protocol §4, §5.
type Extend struct {
	RID       [16]byte
	Addrs     []netip.AddrPort // 1 to MaxLinkSpecifiers
	Handshake []byte           // the CREATE body; a view after decoding
}

// Append appends e's body to dst. ErrSize, ErrFormat: a field out of bounds.
func (e Extend) Append(dst []byte) ([]byte, error) {
	if len(e.Addrs) == 0 || len(e.Addrs) > MaxLinkSpecifiers {
		return dst, ErrSize
	}
	start := len(dst)
	dst = append(dst, e.RID[:]...)
	dst = append(dst, byte(len(e.Addrs)))
	for _, a := range e.Addrs {
		if !a.IsValid() || a.Port() == 0 {
			return dst[:start], ErrFormat
		}
		dst = appendAddr(dst, a.Addr())
		dst = binary.BigEndian.AppendUint16(dst, a.Port())
	}
	dst = append(dst, e.Handshake...)
	if len(e.Handshake) == 0 || len(dst)-start > MaxBody {
		return dst[:start], ErrSize
	}
	return dst, nil
}

// ParseExtend decodes an EXTEND body.
func ParseExtend(p []byte) (Extend, error) {
	if len(p) < 17 || len(p) > MaxBody {
		return Extend{}, ErrSize
	}
	e := Extend{RID: [16]byte(p)}
	count := int(p[16])
	if count == 0 || count > MaxLinkSpecifiers {
		return Extend{}, ErrSize
	}
	p = p[17:]
	for range count {
		a, rest, err := takeAddr(p)
		if err != nil {
			return Extend{}, err
		}
		if len(rest) < 2 {
			return Extend{}, ErrSize
		}
		port := binary.BigEndian.Uint16(rest)
		if !a.IsValid() || port == 0 {
			return Extend{}, ErrFormat
		}
		e.Addrs, p = append(e.Addrs, netip.AddrPortFrom(a, port)), rest[2:]
	}
	if len(p) == 0 {
		return Extend{}, ErrSize
	}
	e.Handshake = p
	return e, nil
}
