// SPDX-License-Identifier: BSD-3-Clause

package measure

import (
	"encoding/binary"
	"net/netip"
)

// Socket is one TCP connection over IPv4 as the kernel counts it.
type Socket struct {
	Local, Remote netip.AddrPort
	Received      uint64 // bytes of payload
	Sent          uint64 // bytes of payload that the other side has acknowledged

	inode uint32
	state byte
}

// Layout of the kernel's answers to NETLINK_SOCK_DIAG: linux/netlink.h,
// linux/inet_diag.h and struct tcp_info of linux/tcp.h.
const (
	netlinkHeader = 16
	diagMessage   = 72
	diagInfo      = 2   // attribute INET_DIAG_INFO
	infoAcked     = 120 // offset of tcpi_bytes_acked, followed by tcpi_bytes_received
	netlinkDone   = 3
	netlinkError  = 2
	byFamily      = 20 // SOCK_DIAG_BY_FAMILY
	familyIPv4    = 2
	protocolTCP   = 6
	allStates     = 0xffffffff
)

// diagRequest asks for all TCP connections over IPv4 with their counters.
func diagRequest() []byte {
	const size = netlinkHeader + 56
	b := make([]byte, size)
	e := binary.NativeEndian
	e.PutUint32(b[0:], size)
	e.PutUint16(b[4:], byFamily)
	e.PutUint16(b[6:], 0x301) // request, dump
	e.PutUint32(b[8:], 1)
	b[16], b[17], b[18] = familyIPv4, protocolTCP, 1<<(diagInfo-1)
	e.PutUint32(b[20:], allStates)
	return b
}

// parseDiag reads one datagram of answers. done is true after the last one.
func parseDiag(b []byte) (out []Socket, done bool, err error) {
	e := binary.NativeEndian
	for len(b) >= netlinkHeader {
		size := int(e.Uint32(b))
		if size < netlinkHeader || size > len(b) {
			return nil, false, ErrFormat
		}
		switch e.Uint16(b[4:]) {
		case netlinkDone:
			return out, true, nil
		case netlinkError:
			return nil, false, ErrUnsupported
		case byFamily:
			s, ok := parseSocket(b[netlinkHeader:size])
			if !ok {
				return nil, false, ErrFormat
			}
			out = append(out, s)
		}
		b = b[min(align4(size), len(b)):]
	}
	return out, false, nil
}

func parseSocket(b []byte) (Socket, bool) {
	if len(b) < diagMessage {
		return Socket{}, false
	}
	e := binary.NativeEndian
	s := Socket{
		state:  b[1],
		Local:  netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[8:])), binary.BigEndian.Uint16(b[4:])),
		Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[24:])), binary.BigEndian.Uint16(b[6:])),
		inode:  e.Uint32(b[68:]),
	}
	for rest := b[diagMessage:]; len(rest) >= 4; {
		size := int(e.Uint16(rest))
		if size < 4 || size > len(rest) {
			return Socket{}, false
		}
		if value := rest[4:size]; e.Uint16(rest[2:]) == diagInfo && len(value) >= infoAcked+16 {
			s.Sent, s.Received = e.Uint64(value[infoAcked:]), e.Uint64(value[infoAcked+8:])
		}
		rest = rest[min(align4(size), len(rest)):]
	}
	return s, true
}

func align4(n int) int { return (n + 3) &^ 3 }
