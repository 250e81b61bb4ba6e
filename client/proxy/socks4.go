// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
)

const (
	socks4Version = 4
	socks4Reply   = 0 // version byte of a reply
	socks4Granted = 90
	socks4Refused = 91

	commandConnect      = 0x01
	commandUDPAssociate = 0x03
	commandResolve      = 0xF0
	commandResolvePTR   = 0xF1
)

const (
	maxUser      = 255                                // bytes of a user name, on SOCKS4 as on SOCKS5
	maxNameField = maxName + 2                        // 253, a trailing dot, and one that shows it is too long
	maxSOCKS4    = 8 + maxUser + 1 + maxNameField + 1 // one request
)

var errMalformed = errors.New("proxy: malformed message")

// socks4Request is a request of SOCKS4 or SOCKS4a.
//
//	version 1 (4) | command 1 | port 2 | address 4 | user, NUL | name, NUL
//
// The name is there when the address is 0.0.0.x with x not 0 (SOCKS4a).
type socks4Request struct {
	command byte
	to      address
	user    string
}

// parseSOCKS4 decodes one request and returns its size. errShort: more bytes
// are needed. errMalformed: another version, or a field beyond its bound.
func parseSOCKS4(b []byte) (r socks4Request, n int, err error) {
	if len(b) > 0 && b[0] != socks4Version {
		return r, 0, errMalformed
	}
	if len(b) < 8 {
		return r, 0, errShort
	}
	r.command = b[1]
	r.to.port = binary.BigEndian.Uint16(b[2:])
	ip := [4]byte(b[4:8])
	n = 8
	user, size, err := parseText(b[n:], maxUser)
	if err != nil {
		return r, 0, err
	}
	r.user = string(user)
	n += size
	if [3]byte(ip[:3]) != [3]byte{} || ip[3] == 0 {
		r.to.ip = netip.AddrFrom4(ip)
		return r, n, nil
	}
	name, size, err := parseText(b[n:], maxNameField)
	if err != nil {
		return r, 0, err
	}
	r.to.name = string(name)
	return r, n + size, nil
}

// parseText takes a text of at most limit bytes that ends with NUL.
func parseText(b []byte, limit int) (text []byte, n int, err error) {
	end := bytes.IndexByte(b[:min(len(b), limit+1)], 0)
	switch {
	case end >= 0:
		return b[:end], end + 1, nil
	case len(b) > limit:
		return nil, 0, errMalformed
	}
	return nil, 0, errShort
}

// appendSOCKS4Reply appends a reply.
//
//	0 | code 1 | port 2 | address 4
func appendSOCKS4Reply(dst []byte, code byte, ip netip.Addr) []byte {
	dst = append(dst, socks4Reply, code, 0, 0)
	if !ip.Is4() {
		return append(dst, 0, 0, 0, 0)
	}
	a := ip.As4()
	return append(dst, a[:]...)
}
