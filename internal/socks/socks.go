// SPDX-License-Identifier: BSD-3-Clause

package socks

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// The bytes of SOCKS5 and of its two further commands.
const (
	version     = 5
	methodNone  = 0
	methodUser  = 2
	methodNot   = 0xFF
	userVersion = 1

	commandConnect    = 1
	commandAssociate  = 3
	commandResolve    = 0xF0
	commandResolvePTR = 0xF1

	kindIPv4 = 1
	kindName = 3
	kindIPv6 = 4
)

// MaxText is the longest name, user or password, in bytes.
const MaxText = 255

// What goes wrong before the proxy judges a request.
var (
	// ErrRequest means that a name, user or password is empty or too long.
	ErrRequest = errors.New("socks: a name or credential of a size that the protocol does not carry")
	// ErrProtocol means that what answers is no SOCKS5 proxy that takes us.
	ErrProtocol = errors.New("socks: the other side is no such proxy")
	// ErrAuth means that the proxy wants other credentials. It is an ErrProtocol, too.
	ErrAuth = fmt.Errorf("%w for these credentials", ErrProtocol)
	// ErrBroken means that the connection to the proxy broke, or that ctx ended.
	ErrBroken = errors.New("socks: the connection to the proxy broke")
)

// Credentials keep requests apart: two that differ never share a circuit. The zero
// value sends none.
//
// Spec: product §4.5 (ISO-1).
type Credentials struct{ User, Password string }

// Connect asks for a stream to host, a name or the text of an address. early goes out
// with the request and is the stream's beginning. After nil the connection is the
// stream. Errors: ErrRequest, ErrProtocol, ErrBroken, *Refused.
func Connect(ctx context.Context, c net.Conn, cred Credentials, host string, port uint16, early []byte) error {
	_, err := exchange(ctx, c, cred, commandConnect, host, port, early)
	return err
}

// Resolve looks a name up at the far end; IPv4 where there is one. Errors as those of
// Connect.
func Resolve(ctx context.Context, c net.Conn, cred Credentials, name string) (netip.Addr, error) {
	a, err := exchange(ctx, c, cred, commandResolve, name, 0, nil)
	if err == nil && !a.ip.IsValid() {
		err = ErrProtocol
	}
	return a.ip, err
}

// ResolveAddr looks up the name of an address at the far end. Errors as those of
// Connect.
func ResolveAddr(ctx context.Context, c net.Conn, cred Credentials, addr netip.Addr) (string, error) {
	a, err := exchange(ctx, c, cred, commandResolvePTR, addr.String(), 0, nil)
	if err == nil && a.name == "" {
		err = ErrProtocol
	}
	return a.name, err
}

// Associate opens a UDP association, which lasts as long as the connection, and returns
// where datagrams go. Errors as those of Connect.
func Associate(ctx context.Context, c net.Conn, cred Credentials) (netip.AddrPort, error) {
	a, err := exchange(ctx, c, cred, commandAssociate, "0.0.0.0", 0, nil)
	if err == nil && (!a.ip.IsValid() || a.port == 0) {
		err = ErrProtocol
	}
	return netip.AddrPortFrom(a.ip, a.port), err
}

// address is what a reply names.
type address struct {
	ip   netip.Addr
	name string
	port uint16
}

// exchange does one request.
func exchange(ctx context.Context, c net.Conn, cred Credentials, command byte, host string, port uint16, early []byte) (address, error) {
	request, err := appendAddress([]byte{version, command, 0}, host, port)
	if err != nil || len(cred.User) > MaxText || len(cred.Password) > MaxText {
		return address{}, ErrRequest
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	a, err := talk(c, cred, append(request, early...))
	if !stop() && err == nil {
		err = ErrBroken // the deadline that is set now is not the caller's
	}
	if err == nil {
		_ = c.SetDeadline(time.Time{})
	}
	return a, err
}

func talk(c net.Conn, cred Credentials, request []byte) (address, error) {
	method := byte(methodNone)
	if cred != (Credentials{}) {
		method = methodUser
	}
	chosen, err := ask(c, []byte{version, 1, method})
	switch {
	case err != nil:
		return address{}, err
	case chosen == [2]byte{version, methodNot}:
		return address{}, ErrAuth
	case chosen != [2]byte{version, method}:
		return address{}, ErrProtocol
	}
	if method == methodUser {
		b := append([]byte{userVersion, byte(len(cred.User))}, cred.User...)
		b = append(append(b, byte(len(cred.Password))), cred.Password...)
		chosen, err = ask(c, b)
		switch {
		case err != nil:
			return address{}, err
		case chosen[0] != userVersion:
			return address{}, ErrProtocol
		case chosen[1] != 0:
			return address{}, ErrAuth
		}
	}
	if _, err := c.Write(request); err != nil {
		return address{}, ErrBroken
	}
	return readReply(c)
}

// ask sends b and reads the two bytes that answer it.
func ask(c net.Conn, b []byte) (answer [2]byte, err error) {
	if _, err := c.Write(b); err != nil {
		return answer, ErrBroken
	}
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return answer, ErrBroken
	}
	return answer, nil
}

// readReply reads a reply and not a byte more.
func readReply(r io.Reader) (address, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return address{}, ErrBroken
	}
	size := 0
	switch head[3] {
	case kindIPv4:
		size = 4
	case kindIPv6:
		size = 16
	case kindName:
		var n [1]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return address{}, ErrBroken
		}
		size = int(n[0])
	default:
		return address{}, ErrProtocol
	}
	b := make([]byte, size+2) // at most MaxText and a port
	if _, err := io.ReadFull(r, b); err != nil {
		return address{}, ErrBroken
	}
	switch {
	case head[0] != version:
		return address{}, ErrProtocol
	case head[1] != 0:
		return address{}, &Refused{Code: head[1]}
	}
	a := address{port: binary.BigEndian.Uint16(b[size:])}
	if head[3] == kindName {
		a.name = string(b[:size])
	} else {
		a.ip, _ = netip.AddrFromSlice(b[:size])
		a.ip = a.ip.Unmap()
	}
	return a, nil
}

// appendAddress appends a host and a port as a request has them.
func appendAddress(b []byte, host string, port uint16) ([]byte, error) {
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil && ip.Unmap().Is4():
		b = append(append(b, kindIPv4), ip.Unmap().AsSlice()...)
	case err == nil && ip.Zone() == "":
		b = append(append(b, kindIPv6), ip.AsSlice()...)
	case host == "" || len(host) > MaxText:
		return nil, ErrRequest
	default:
		b = append(append(b, kindName, byte(len(host))), host...)
	}
	return binary.BigEndian.AppendUint16(b, port), nil
}
