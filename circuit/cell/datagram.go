// SPDX-License-Identifier: BSD-3-Clause

package cell

import "encoding/binary"

// BeginUDP opens a UDP association; its body is one zero byte of flags.
const beginUDPSize = 1

// AppendBeginUDP appends a BEGIN_UDP body to dst.
func AppendBeginUDP(dst []byte) []byte { return append(dst, 0) }

// ParseBeginUDP decodes a BEGIN_UDP body.
func ParseBeginUDP(p []byte) error {
	if len(p) != beginUDPSize {
		return ErrSize
	}
	if p[0] != 0 {
		return ErrFormat
	}
	return nil
}

// MaxDatagram is the largest payload of a DATAGRAM, in bytes, whatever its host.
const MaxDatagram = MaxBody - 3 - MaxHost

// Datagram is one UDP datagram: towards Host:Port away from the client, from
// Host:Port (always an address) towards it.
//
//	port 2 | host length 1 | host | payload
//
// Spec: protocol §5.
type Datagram struct {
	Port    uint16
	Host    string
	Payload []byte // at most MaxDatagram bytes; a view after decoding
}

// Append appends d's body to dst. ErrSize, ErrFormat: a field out of bounds.
func (d Datagram) Append(dst []byte) ([]byte, error) {
	if len(d.Host) == 0 || len(d.Host) > MaxHost || len(d.Payload) > MaxDatagram {
		return dst, ErrSize
	}
	if d.Port == 0 || !validHost(d.Host) {
		return dst, ErrFormat
	}
	dst = binary.BigEndian.AppendUint16(dst, d.Port)
	dst = append(dst, byte(len(d.Host)))
	dst = append(dst, d.Host...)
	return append(dst, d.Payload...), nil
}

// ParseDatagram decodes a DATAGRAM body.
func ParseDatagram(p []byte) (Datagram, error) {
	if len(p) < 3 {
		return Datagram{}, ErrSize
	}
	n := int(p[2])
	if n == 0 || n > MaxHost || len(p) < 3+n || len(p) > 3+n+MaxDatagram {
		return Datagram{}, ErrSize
	}
	d := Datagram{Port: binary.BigEndian.Uint16(p), Host: string(p[3 : 3+n]), Payload: p[3+n:]}
	if d.Port == 0 || !validHost(d.Host) {
		return Datagram{}, ErrFormat
	}
	return d, nil
}
