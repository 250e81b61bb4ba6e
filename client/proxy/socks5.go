// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"encoding/binary"
	"net/netip"
)

const (
	socks5Version = 5

	methodNone     = 0x00
	methodUserPass = 0x02
	methodRefused  = 0xFF

	userPassVersion = 1
	userPassOK      = 0
	userPassRefused = 1

	addressIPv4 = 1
	addressName = 3
	addressIPv6 = 4
)

const (
	maxGreeting = 2 + 255
	maxUserPass = 1 + 1 + 255 + 1 + 255
	maxAddress  = 1 + 1 + 255 + 2
	maxSOCKS5   = 3 + maxAddress
)

// parseGreeting decodes the methods that a program offers.
//
//	version 1 (5) | count 1 | methods
//
// The slice is a view into b.
func parseGreeting(b []byte) (methods []byte, n int, err error) {
	if len(b) > 0 && b[0] != socks5Version {
		return nil, 0, errMalformed
	}
	if len(b) < 2 || len(b) < 2+int(b[1]) {
		return nil, 0, errShort
	}
	n = 2 + int(b[1])
	return b[2:n], n, nil
}

// parseUserPass decodes user and password.
//
//	version 1 (1) | size 1 | user | size 1 | password
func parseUserPass(b []byte) (c credentials, n int, err error) {
	if len(b) > 0 && b[0] != userPassVersion {
		return c, 0, errMalformed
	}
	if len(b) < 2 {
		return c, 0, errShort
	}
	at := 2 + int(b[1])
	if len(b) < at+1 {
		return c, 0, errShort
	}
	n = at + 1 + int(b[at])
	if len(b) < n {
		return c, 0, errShort
	}
	return credentials{user: string(b[2:at]), password: string(b[at+1 : n])}, n, nil
}

// socks5Request is a request of SOCKS5.
//
//	version 1 (5) | command 1 | reserved 1 | address
type socks5Request struct {
	command byte
	to      address
	unknown bool // the address type is unknown: where the request ends is, too
}

// parseSOCKS5 decodes one request and returns its size.
func parseSOCKS5(b []byte) (r socks5Request, n int, err error) {
	if len(b) > 0 && b[0] != socks5Version {
		return r, 0, errMalformed
	}
	if len(b) < 4 {
		return r, 0, errShort
	}
	r.command = b[1]
	r.to, n, err = parseAddress(b[3:])
	if err == errMalformed {
		r.unknown = true
		return r, 4, nil
	}
	return r, 3 + n, err
}

// parseAddress decodes the address of a request or datagram. errMalformed: the
// type is unknown.
//
//	type 1 | IPv4 4, IPv6 16, or size 1 and name | port 2
func parseAddress(b []byte) (a address, n int, err error) {
	if len(b) == 0 {
		return a, 0, errShort
	}
	start, size := 1, 0
	switch b[0] {
	case addressIPv4:
		size = 4
	case addressIPv6:
		size = 16
	case addressName:
		if len(b) < 2 {
			return a, 0, errShort
		}
		start, size = 2, int(b[1])
	default:
		return a, 0, errMalformed
	}
	n = start + size + 2
	if len(b) < n {
		return a, 0, errShort
	}
	switch field := b[start : start+size]; b[0] {
	case addressIPv4:
		a.ip = netip.AddrFrom4([4]byte(field))
	case addressIPv6:
		a.ip = netip.AddrFrom16([16]byte(field))
	default:
		a.name = string(field)
	}
	a.port = binary.BigEndian.Uint16(b[start+size:])
	return a, n, nil
}

// appendAddress appends an address of a reply or datagram; without address and
// name, IPv4 zeros. Names are at most 255 bytes.
func appendAddress(dst []byte, a address) []byte {
	switch {
	case a.ip.Is4():
		b := a.ip.As4()
		dst = append(append(dst, addressIPv4), b[:]...)
	case a.ip.Is6():
		b := a.ip.As16()
		dst = append(append(dst, addressIPv6), b[:]...)
	case a.name != "":
		dst = append(append(dst, addressName, byte(len(a.name))), a.name...)
	default:
		dst = append(dst, addressIPv4, 0, 0, 0, 0)
	}
	return binary.BigEndian.AppendUint16(dst, a.port)
}

// appendSOCKS5Reply appends a reply.
//
//	version 1 (5) | code 1 | 0 | address
func appendSOCKS5Reply(dst []byte, code byte, a address) []byte {
	return appendAddress(append(dst, socks5Version, code, 0), a)
}
