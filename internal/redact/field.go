// SPDX-License-Identifier: BSD-3-Clause

package redact

import (
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// constant is a text that stands in the source: an untyped constant converts to
// it by itself, and no other package can name it to convert a variable.
type constant string

// Field is one field of a log line. Only this package makes fields; pass them
// to zerolog's EmbedObject.
type Field interface {
	zerolog.LogObjectMarshaler
	field()
}

// Role says which part of the process speaks.
type Role byte

// The roles of a process.
const (
	RoleNode Role = iota
	RoleClient
	RoleProxy
	RoleDNS
	RoleRelay
	RoleExit
	RoleMailbox
	RoleService
	RoleMessenger
	RoleTestnet
)

// String returns the role's name in the log.
func (r Role) String() string {
	switch r {
	case RoleClient:
		return "client"
	case RoleProxy:
		return "proxy"
	case RoleDNS:
		return "dns"
	case RoleRelay:
		return "relay"
	case RoleExit:
		return "exit"
	case RoleMailbox:
		return "mailbox"
	case RoleService:
		return "service"
	case RoleMessenger:
		return "messenger"
	case RoleTestnet:
		return "testnet"
	}
	return "node"
}

// MarshalZerologObject adds the field to e.
func (r Role) MarshalZerologObject(e *zerolog.Event) { e.Str("role", r.String()) }
func (Role) field()                                  {}

type text struct{ key, value string }

func (t text) MarshalZerologObject(e *zerolog.Event) { e.Str(t.key, t.value) }
func (text) field()                                  {}

type number struct {
	key   string
	value uint64
}

func (n number) MarshalZerologObject(e *zerolog.Event) { e.Uint64(n.key, n.value) }
func (number) field()                                  {}

// Event names what happened, in words_with_underscores.
func Event(name constant) Field { return text{"event", string(name)} }

// Count is a number of things, exact: for rare lifecycle lines about the process
// itself (listeners, files, relays in a table).
func Count(of constant, n int) Field { return number{string(of), uint64(max(n, 0))} }

// Total is a number of things that users cause, rounded to two digits, for the
// heartbeat. Spec: security LOG-3.
func Total(of constant, n uint64) Field { return number{string(of), Round(n)} }

// Round keeps the first two digits of n, rounded half up.
func Round(n uint64) uint64 {
	scale := uint64(1)
	for n/scale >= 100 {
		scale *= 10
	}
	whole, rest := n/scale, n%scale
	if scale > 1 && rest >= scale/2 {
		whole++
	}
	if whole > ^uint64(0)/scale {
		return ^uint64(0)
	}
	return whole * scale
}

// Took is a duration as the upper bound of its bucket in milliseconds: 1, 3, 10,
// 30 ... Longer than a day counts as a day. Spec: security LOG-2.
func Took(d time.Duration) Field { return number{"took_ms_at_most", Bucket(d)} }

// dayMilliseconds ends the buckets.
const dayMilliseconds = 86_400_000

// Bucket returns the bound of d's bucket, in milliseconds.
func Bucket(d time.Duration) uint64 {
	for low := uint64(1); low < dayMilliseconds; low *= 10 {
		for _, bound := range [2]uint64{low, 3 * low} {
			if d <= time.Duration(bound)*time.Millisecond {
				return min(bound, dayMilliseconds)
			}
		}
	}
	return dayMilliseconds
}

// maxVersionSize bounds a version's text, in bytes.
const maxVersionSize = 32

// Version is this program's own version. Anything that does not look like one is
// shown as "unknown".
func Version(v string) Field {
	odd := func(r rune) bool {
		return !strings.ContainsRune("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.+-()", r)
	}
	if v == "" || len(v) > maxVersionSize || strings.ContainsFunc(v, odd) {
		v = "unknown"
	}
	return text{"version", v}
}

// Listen is the address of an own TCP listener. A unix socket shows as "unix":
// its path may name a user.
func Listen(l net.Listener) Field {
	a, ok := l.Addr().(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return text{"listen", l.Addr().Network()}
	}
	return text{"listen", a.AddrPort().String()}
}

// Listener is one of the user's own listeners as the configuration has it: its name and
// its address, NAME=IP:PORT. A unix socket shows as "unix", as in [Listen], and a name
// that the configuration would refuse is left out.
func Listener(name string) Field {
	called, at, named := strings.Cut(name, "=")
	if !named {
		called, at = "", name
	}
	odd := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }
	if len(called) > maxVersionSize || strings.ContainsFunc(called, odd) {
		called = ""
	}
	if a, err := netip.ParseAddrPort(at); err == nil {
		at = a.String()
	} else {
		at = "unix"
	}
	if called != "" {
		at = called + "=" + at
	}
	return text{"listener", at}
}
