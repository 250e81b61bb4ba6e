// SPDX-License-Identifier: BSD-3-Clause

package proxy

import "net/netip"

// MaxDatagram is the largest payload, in bytes, of a UDP datagram: what a DATAGRAM of the
// network holds. Larger ones are dropped, which the user's own daemon is told. Spec: product §4.3 (UDP-2).
const MaxDatagram = 1770

// maxUDPHeader is the longest header before a payload.
const maxUDPHeader = 3 + maxAddress

// parseUDPHeader decodes what stands before a datagram's payload and returns
// its size. errMalformed: a fragment, an unknown address type, or cut short.
//
//	reserved 2 | fragment 1 (0) | address
//
// Spec: product §4.3 (UDP-2).
func parseUDPHeader(b []byte) (a address, n int, err error) {
	if len(b) < 4 || b[2] != 0 {
		return a, 0, errMalformed
	}
	a, n, err = parseAddress(b[3:])
	if err != nil {
		return a, 0, errMalformed
	}
	return a, 3 + n, nil
}

// appendUDPHeader appends the header of a datagram that came from t; false when
// t's host is neither an address nor a name.
func appendUDPHeader(dst []byte, t Target) ([]byte, bool) {
	a := address{port: t.Port}
	if ip, err := netip.ParseAddr(t.Host); err == nil {
		a.ip = plain(ip)
	} else if name, ok := normalName(t.Host); ok {
		a.name = name
	} else {
		return dst, false
	}
	return appendAddress(append(dst, 0, 0, 0), a), true
}
