// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// MaxEarly is the most early data, in bytes, that one Dial is given.
const MaxEarly = 1700

// Target is where a program wants to go.
type Target struct {
	Host string // a lower-case name without trailing dot, or the text of an IP address (IPv4-mapped and zoned ones never)
	Port uint16 // never 0
}

// Answer is what a look-up found.
type Answer struct {
	Addrs []netip.Addr
	TTL   time.Duration
}

// Dialer carries what programs ask for. Every call blocks until it is answered
// or ctx ends, also while the client is still starting (SOCKS-11); ctx governs
// the call alone, not what it returns. Errors may implement
// interface{ Reason() string } with a reason of product §4.6; any other error
// counts as circuit_failed. Two calls with different isolation keys never share
// a circuit, association or look-up.
//
// Spec: product §4.5, §4.6.
type Dialer interface {
	// Dial opens a stream and returns once the far side is connected. early, at
	// most MaxEarly bytes, are the stream's first bytes and travel with the
	// request; the slice is the caller's again when Dial returns.
	Dial(ctx context.Context, iso Isolation, t Target, early []byte) (Conn, error)
	// Resolve looks a name up at an exit.
	Resolve(ctx context.Context, iso Isolation, name string) (Answer, error)
	// ResolveAddr looks up the names of an address at an exit.
	ResolveAddr(ctx context.Context, iso Isolation, addr netip.Addr) ([]string, error)
	// OpenUDP opens an association through an exit that permits t. Port 53 always
	// gets an association of its own, so that a Dialer can answer it by Resolve
	// where no exit permits UDP (UDP-5).
	OpenUDP(ctx context.Context, iso Isolation, t Target) (PacketConn, error)
}

// Conn is one stream, a pointer. Read returns io.EOF only when the far side
// ended its direction in order; every other end is another error. CloseWrite ends the own
// direction after all that was written; its error means that some of that may
// be lost. Close gives up whatever is still open:
// unless both directions had ended, the far side sees a reset. Close may come
// at any time, from any goroutine, more than once, and unblocks Read and Write.
//
// Where a Conn implements io.ReaderFrom or io.WriterTo, they carry the bytes;
// both pass on what they have at once.
//
// A Conn that implements interface{ Failed(Refused) } is told, before it is closed, when the
// answer that came over it did not serve, and what the program got instead (HTTP-3).
type Conn interface {
	net.Conn
	CloseWrite() error
}

// PacketConn is one UDP association at an exit. A WriteTo error that has a
// Reason concerns that datagram; any other error of WriteTo, and every one of
// ReadFrom, ends the association, and the next datagram opens another. Neither
// keeps p. Close unblocks both and may come more than once.
//
// A PacketConn that implements interface{ Permits(Target) bool } is asked
// before each datagram; one that is not permitted goes through another
// association of the same isolation key.
//
// Spec: product §4.3 (UDP-2).
type PacketConn interface {
	ReadFrom(p []byte) (n int, from Target, err error)
	WriteTo(p []byte, t Target) error
	Close() error
}
