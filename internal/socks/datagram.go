// SPDX-License-Identifier: BSD-3-Clause

package socks

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// MaxHeader is the longest head of a datagram, in bytes.
const MaxHeader = 3 + 1 + 1 + MaxText + 2

// ErrDatagram means that a datagram has no head that makes sense, or is a fragment.
var ErrDatagram = errors.New("socks: malformed datagram")

// AppendHeader appends the head of a datagram to host, a name or the text of an
// address. Error: ErrRequest.
//
//	0 0 fragment address port
func AppendHeader(b []byte, host string, port uint16) ([]byte, error) {
	return appendAddress(append(b, 0, 0, 0), host, port)
}

// CutHeader tells where a datagram comes from; payload is a part of b. Error:
// ErrDatagram.
func CutHeader(b []byte) (host string, port uint16, payload []byte, err error) {
	if len(b) < 5 || b[2] != 0 {
		return "", 0, nil, ErrDatagram
	}
	from, size := 4, 0
	switch b[3] {
	case kindIPv4:
		size = 4
	case kindIPv6:
		size = 16
	case kindName:
		from, size = 5, int(b[4])
	default:
		return "", 0, nil, ErrDatagram
	}
	if size == 0 || len(b) < from+size+2 {
		return "", 0, nil, ErrDatagram
	}
	host = string(b[from : from+size])
	if b[3] != kindName {
		ip, _ := netip.AddrFromSlice(b[from : from+size])
		host = ip.Unmap().String()
	}
	b = b[from+size:]
	return host, binary.BigEndian.Uint16(b), b[2:], nil
}
