// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"crypto/sha3"
	"encoding/binary"
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
