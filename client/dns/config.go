// SPDX-License-Identifier: BSD-3-Clause

package dns

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/rs/zerolog"

	"chive/client/proxy"
)

// Errors of configuration and of Serve.
var (
	ErrConfig = errors.New("dns: resolver missing or a limit negative")
	ErrSocket = errors.New("dns: neither a packet socket nor a listener")
	ErrRemote = errors.New("dns: listener is neither loopback nor a unix socket, and remote clients are not allowed")
	ErrClosed = errors.New("dns: socket closed under the server, or broken")
)

// Defaults of [Limits], all of our own.
const (
	DefaultLookups       = 512              // as many as handshakes of the proxy
	DefaultConnections   = 64               // a stub opens one or two
	DefaultLookupTimeout = 30 * time.Second // stubs give up earlier
	DefaultIdle          = 15 * time.Second // as a handshake of the proxy
)

// ttl is what programs see, whatever the exit said.
//
// Spec: product §4.4 (DNS-4).
const ttl = 60

// Resolver asks exits; a proxy.Dialer is one. Both calls block until they are
// answered or ctx ends. Errors may have a Reason of product §4.6: name_not_found
// becomes NXDOMAIN, every other SERVFAIL. Two calls with different isolation keys
// never share a look-up.
type Resolver interface {
	// Resolve looks a name up; name is lower case, without trailing dot.
	Resolve(ctx context.Context, iso proxy.Isolation, name string) (proxy.Answer, error)
	// ResolveAddr looks up the names of an address.
	ResolveAddr(ctx context.Context, iso proxy.Isolation, addr netip.Addr) ([]string, error)
}

// Limits bound what programs can hold. Zero means the default.
type Limits struct {
	Lookups       int           // look-ups under way; beyond it SERVFAIL
	Connections   int           // TCP connections; at the cap accepting pauses
	LookupTimeout time.Duration // one look-up
	Idle          time.Duration // from one answer on a TCP connection to the next complete query
}

func (l *Limits) fill() bool {
	if l.Lookups < 0 || l.Connections < 0 || l.LookupTimeout < 0 || l.Idle < 0 {
		return false
	}
	l.Lookups = orDefault(l.Lookups, DefaultLookups)
	l.Connections = orDefault(l.Connections, DefaultConnections)
	l.LookupTimeout = orDefault(l.LookupTimeout, DefaultLookupTimeout)
	l.Idle = orDefault(l.Idle, DefaultIdle)
	return true
}

func orDefault[T int | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}

// Config is one listener's configuration.
type Config struct {
	Name        string   // part of the isolation key
	AllowRemote bool     // serve on addresses other than loopback; warns at every start (as SOCKS-2)
	Testnet     bool     // private addresses may be asked for and answered (as SOCKS-14)
	Listeners   []string // names of the proxy listeners on which mapped addresses shall work; none: names below chive.alt are NXDOMAIN. Server.SetListeners changes them

	Resolver Resolver            // required
	Automap  *proxy.Automap      // the one of those listeners; nil: names below chive.alt are NXDOMAIN
	Refused  func(proxy.Refused) // told of each name below onion, alt or local, and each of one label, that was asked for; may be nil
	Lookups  *proxy.Lookups      // what was found is noted there, so that it is no bare address (SOCKS-13); may be nil

	Limits Limits
	Log    zerolog.Logger
}

// Counts are totals since the server was made.
type Counts struct {
	Queries   uint64 // messages that were answered
	Malformed uint64 // messages that were dropped or answered FORMERR
	Names     uint64 // look-ups that went to an exit
	NotFound  uint64 // of all queries, those answered NXDOMAIN
	Failed    uint64 // of all queries, those answered SERVFAIL
	Busy      uint64 // of those, the ones that came when too many were under way
	Panics    uint64 // goroutines that were stopped by a fault of ours
}
