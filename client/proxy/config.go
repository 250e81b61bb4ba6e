// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/rs/zerolog"
)

// Errors of configuration and of Serve.
var (
	ErrConfig = errors.New("proxy: dialer missing or a limit negative")
	ErrRemote = errors.New("proxy: listener is neither loopback nor a unix socket, and remote clients are not allowed")
	ErrAccept = errors.New("proxy: listener closed under the server")
)

// Defaults of [Limits].
//
// Spec: product §4.1 (SOCKS-3), §4.3 (UDP-1), security B29.
const (
	DefaultHandshakes       = 512
	DefaultStreams          = 4096
	DefaultHandshakeTimeout = 15 * time.Second
	DefaultHeaderSize       = 64 << 10
	DefaultUDPIdle          = 60 * time.Second
)

// Defaults of our own: how long a call of the Dialer may last (above its own
// 60 s of waiting for the start and 60 s for a service), how long a stream of
// which one direction has ended, or a plain-HTTP answer, may be silent before
// it is given up, and how long an HTTP client may stay between two requests.
const (
	DefaultDialTimeout = 3 * time.Minute
	DefaultHalfIdle    = 30 * time.Minute
	DefaultAnswerIdle  = 10 * time.Minute
	DefaultKeepAlive   = 60 * time.Second
)

// Limits bound what programs can hold. Zero means the default.
type Limits struct {
	Handshakes       int           // connections whose request is not complete; at the cap accepting pauses
	Streams          int           // connections in all; at the cap accepting pauses
	HandshakeTimeout time.Duration // from the first moment to the complete request
	HeaderSize       int           // bytes of one HTTP head
	UDPIdle          time.Duration // silence that ends a UDP association
	DialTimeout      time.Duration // one call of the Dialer
	HalfIdle         time.Duration // silence of a half-closed stream
	AnswerIdle       time.Duration // silence within a plain-HTTP answer
	KeepAlive        time.Duration // between two requests of one HTTP connection
}

func (l *Limits) fill() bool {
	for _, n := range []*int{&l.Handshakes, &l.Streams, &l.HeaderSize} {
		if *n < 0 {
			return false
		}
	}
	for _, d := range []*time.Duration{&l.HandshakeTimeout, &l.UDPIdle, &l.DialTimeout, &l.HalfIdle, &l.AnswerIdle, &l.KeepAlive} {
		if *d < 0 {
			return false
		}
	}
	l.Handshakes = orDefault(l.Handshakes, DefaultHandshakes)
	l.Streams = orDefault(l.Streams, DefaultStreams)
	l.HeaderSize = orDefault(l.HeaderSize, DefaultHeaderSize)
	l.HandshakeTimeout = orDefault(l.HandshakeTimeout, DefaultHandshakeTimeout)
	l.UDPIdle = orDefault(l.UDPIdle, DefaultUDPIdle)
	l.DialTimeout = orDefault(l.DialTimeout, DefaultDialTimeout)
	l.HalfIdle = orDefault(l.HalfIdle, DefaultHalfIdle)
	l.AnswerIdle = orDefault(l.AnswerIdle, DefaultAnswerIdle)
	l.KeepAlive = orDefault(l.KeepAlive, DefaultKeepAlive)
	return true
}

func orDefault[T int | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}

// Options are what one listener may be told.
type Options struct {
	Name           string // part of the isolation key
	AllowRemote    bool   // serve on addresses other than loopback; warns at every start (SOCKS-2)
	RefuseIP       bool   // refuse bare addresses that were not looked up through chive (SOCKS-13)
	ExtendedErrors bool   // SOCKS5 codes F0 to F7
	PreferNoAuth   bool   // SOCKS5 method 0 even when 2 is offered
	Testnet        bool   // literal private addresses are allowed (SOCKS-14)
	NoAutomap      bool   // RESOLVE gives names of services no address, and mapped addresses are refused (DNS-2)

	// The isolation key also has the target's host, or its port (ISO-1). A
	// look-up has no port. A UDP association then has a way of its own for each
	// target, eight at once.
	IsolateDestination bool
	IsolatePort        bool

	Log zerolog.Logger
}

// Kinds of a Refused.
const (
	RefusedConnect = "connect"
	RefusedResolve = "resolve"
	RefusedUDP     = "udp"
)

// Refused is a request that was refused here. It names the destination, and is for the
// local user alone.
type Refused struct {
	Kind   string // RefusedConnect and so on
	Target string // host:port; of a look-up the name or address alone
	Reason string // of product §4.6
	Text   string // what is wrong
	Fix    string // what to do; may be empty
}

// Config is one listener's configuration.
type Config struct {
	Options
	Limits Limits

	Dialer Dialer // required

	// ListenPacket opens a socket on a fresh port of addr. Nil: UDP ASSOCIATE
	// answers 7.
	ListenPacket func(addr netip.Addr) (net.PacketConn, error)

	// Leak is told the listener's name when a program connects to a bare address there, once
	// an hour (SOCKS-13). It must not block. Nil is allowed.
	Leak func(listener string)
	// Bare is called for each address that was not looked up through chive, which
	// Counts.BareAddresses counts, too. It must not block. Nil is allowed.
	Bare func()

	// Refused is told of each request that was refused here, before the Dialer heard of
	// it; of a UDP association once for each target in a row, and eight times at most.
	// It must not block. Nil is allowed.
	Refused func(Refused)

	Gate    *Gate    // shared by the listeners of one client; nil: its own, from Limits
	Lookups *Lookups // shared with whatever else resolves through chive; nil: its own
	Automap *Automap // shared likewise; nil: its own
}
