// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"crypto/sha3"
	"encoding/binary"
	"net/netip"
	"strings"
)

// Isolation is an opaque key. Two keys never share a circuit, UDP association,
// look-up or HTTP upstream connection. The client adds its newnym count.
//
// Spec: product §4.5 (ISO-1).
type Isolation string

// credentials are everything a program can say to be kept apart. SOCKS4 has a
// user only; HTTP's Basic has the user and password of SOCKS5, so that one pair
// is one identity on every protocol.
type credentials struct {
	user, password string
	extra          string // HTTP: other Proxy-Authorization, X-Chive-Isolation
}

// reserved reports that the user name belongs to chive (SOCKS-5).
func (c credentials) reserved() bool { return strings.HasPrefix(c.user, "chive:") }

// isolationKey is the one place that makes a key: a hash, so that it has one
// size and shows nothing.
func isolationKey(listener, client string, c credentials) Isolation {
	h := sha3.New256()
	h.Write([]byte("chive isolation v1"))
	var size [8]byte
	for _, part := range [...]string{listener, client, c.user, c.password, c.extra} {
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	return Isolation(h.Sum(nil))
}

// ListenerKey is the key of a client address on a listener that takes no
// credentials and is not a proxy: a DNS listener. It equals no key of a proxy's.
//
// Spec: product §4.5 (ISO-1).
func ListenerKey(listener string, client netip.Addr) Isolation {
	return isolationKey(listener, clientText(client), credentials{extra: "listener"}) // HTTP's extra holds line ends
}

// clientText is a client's address within a key; programs on a unix socket have
// none.
func clientText(client netip.Addr) string {
	if !client.IsValid() {
		return ""
	}
	return plain(client).String()
}

// narrowed is iso for one target, as far as the options ask for that. The host
// is the text that the Dialer is given, so a name and its address are two.
//
// Spec: product §4.5 (ISO-1).
func (o *Options) narrowed(iso Isolation, host string, port uint16) Isolation {
	if !o.IsolateDestination && !o.IsolatePort {
		return iso
	}
	h := sha3.New256()
	h.Write([]byte("chive isolation by target v1"))
	h.Write([]byte(iso)) // of one size
	var b [2]byte
	if o.IsolatePort {
		binary.BigEndian.PutUint16(b[:], port)
	}
	h.Write(b[:])
	if o.IsolateDestination {
		h.Write([]byte(host))
	}
	return Isolation(h.Sum(nil))
}
