// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"chive/circuit"
	"chive/client/proxy"
)

// Dialer is what a Go program that embeds a Client dials with, in place of a net.Dialer.
// All that goes through one Dialer may share circuits; what goes through two of
// different keys never does. It may be used by any number of goroutines.
//
// Spec: product §2 (CLI-12).
type Dialer struct {
	c   *Client
	key Isolation
}

// Dialer returns a Dialer for one isolation key.
func (c *Client) Dialer(key Isolation) *Dialer { return &Dialer{c, key} }

// Addr is the address of an end of a connection: what the program asked for, or nothing
// for its own end. This machine's address is never in it.
type Addr struct{ network, text string }

// Network returns "tcp" or "udp".
func (a Addr) Network() string { return a.network }

// String returns host:port, or "chive" for the own end.
func (a Addr) String() string { return a.text }

// DialContext connects to address, a host:port whose name is resolved at the exit.
// network is tcp, tcp4, tcp6 or udp, udp4, udp6; the 4 and the 6 bind addresses only:
// for a name the exit chooses. The error is a *net.OpError around a *Failure or ctx's
// error; it names no destination. Those that are due to time say so by Timeout.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) { return nil, &net.OpError{Op: "dial", Net: network, Err: err} }
	host, port, err := splitAddress(network, address)
	if err != nil {
		return fail(err)
	}
	if network[:3] == "udp" {
		p, err := d.c.OpenUDP(ctx, d.key, host, port)
		if err != nil {
			return fail(err)
		}
		return &packetStream{newPackets(d, p), Addr{network, address}}, nil
	}
	if host, err = d.c.outside(ctx, KindConnect, host, port); err != nil {
		return fail(err)
	}
	conn, err := d.c.Dial(ctx, d.key, host, port, nil)
	if err != nil {
		return fail(err)
	}
	return &tcpConn{conn: conn, network: network, remote: Addr{network, address}}, nil
}

var (
	errAddress = errors.New("the address is not a host and a port")
	errFamily  = errors.New("the address is of another family than the network")
)

// splitAddress reads an address for DialContext. It asks nobody.
func splitAddress(network, address string) (host string, port uint16, err error) {
	switch network {
	case "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6":
	default:
		return "", 0, net.UnknownNetworkError(network)
	}
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, errAddress
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || host == "" || len(host) > maxHost {
		return "", 0, errAddress
	}
	if a, err := netip.ParseAddr(host); err == nil {
		a = a.Unmap().WithZone("")
		if last := network[3:]; last == "4" && !a.Is4() || last == "6" && a.Is4() {
			return "", 0, errFamily
		}
		host = a.String()
	}
	return host, uint16(n), nil
}

// outside returns the normal form of a host that an exit may be told of. A testnet's
// exits know names without a dot. What is refused has a story. Spec: product §4.4 (DNS-1,
// DNS-3), §4.6.
func (c *Client) outside(ctx context.Context, kind, host string, port uint16) (string, error) {
	if _, err := netip.ParseAddr(host); err == nil {
		return host, nil
	}
	switch name, kind := proxy.ClassifyName(host); {
	case kind == proxy.NameOrdinary, c.doc.Testnet && (kind == proxy.NameSingle || kind == proxy.NameLocalhost):
		return name, nil
	}
	target := host
	if kind != KindResolve {
		target = net.JoinHostPort(host, strconv.Itoa(int(port)))
	}
	c.stories.begin(ctx, kind, target).refused(errLocalName)
	return "", errLocalName
}

// LookupNetIP looks host up at an exit. network is ip, ip4 or ip6. A name that does not
// exist is an error that errors.As finds a *net.DNSError in, as Go programs expect.
func (d *Dialer) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if network != "ip" && network != "ip4" && network != "ip6" {
		return nil, net.UnknownNetworkError(network)
	}
	if host == "" || len(host) > maxHost {
		return nil, errAddress
	}
	host, err := d.c.outside(ctx, KindResolve, host, 0)
	if err != nil {
		return nil, &lookupError{err}
	}
	var all []netip.Addr
	if a, bad := netip.ParseAddr(host); bad == nil {
		all = []netip.Addr{a}
	} else if all, _, err = d.c.Resolve(ctx, d.key, host); err != nil {
		return nil, &lookupError{err}
	}
	var out []netip.Addr
	for _, a := range all {
		if a = a.Unmap(); network == "ip" || a.Is4() == (network == "ip4") {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil, &lookupError{errNotFound}
	}
	return out, nil
}

// maxHost is how long a name may be, in bytes.
const maxHost = 253

// lookupError is a look-up's error: a *Failure or a context's. errors.As finds a
// *net.DNSError in it that has no name.
type lookupError struct{ err error }

func (e *lookupError) Error() string { return e.err.Error() }
func (e *lookupError) Unwrap() error { return e.err }

// Timeout reports whether time ran out.
func (e *lookupError) Timeout() bool {
	t, ok := e.err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

// As fills in a *net.DNSError.
func (e *lookupError) As(target any) bool {
	t, ok := target.(**net.DNSError)
	if ok {
		var f *Failure
		missing := errors.As(e.err, &f) && f.reason == errNotFound.reason
		*t = &net.DNSError{Err: e.err.Error(), UnwrapErr: e.err, IsNotFound: missing, IsTimeout: e.Timeout(), IsTemporary: !missing}
	}
	return ok
}

// Transport returns a new transport for an http.Client whose connections all go through
// d. It uses no proxy of the environment. Close its idle connections when done.
func (d *Dialer) Transport() *http.Transport {
	return &http.Transport{
		DialContext:           d.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          100,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   30 * time.Second,
		ExpectContinueTimeout: 5 * time.Second,
	}
}

// tcpConn is a Conn as Go programs expect one: Close may come more than once and from
// anywhere, and errors are a *net.OpError.
type tcpConn struct {
	conn    *Conn
	network string
	remote  Addr
	once    sync.Once
	closed  atomic.Bool
}

var _ interface {
	net.Conn
	CloseWrite() error
} = (*tcpConn)(nil)

// wrap makes err what net's connections return; io.EOF is left.
func (t *tcpConn) wrap(op string, err error) error {
	var ended *circuit.StreamError
	switch {
	case err == nil:
		return nil
	case t.closed.Load():
		err = net.ErrClosed
	case err == io.EOF:
		return err
	case errors.As(err, &ended):
		err = syscall.ECONNRESET
	}
	return &net.OpError{Op: op, Net: t.network, Err: err}
}

// Read takes received bytes.
func (t *tcpConn) Read(p []byte) (int, error) {
	n, err := t.conn.Read(p)
	return n, t.wrap("read", err)
}

// Write sends bytes.
func (t *tcpConn) Write(p []byte) (int, error) {
	n, err := t.conn.Write(p)
	return n, t.wrap("write", err)
}

// CloseWrite says that no more bytes follow.
func (t *tcpConn) CloseWrite() error { return t.wrap("close", t.conn.CloseWrite()) }

// Close ends both directions. What was written still arrives.
func (t *tcpConn) Close() error {
	err := error(net.ErrClosed)
	t.once.Do(func() {
		t.closed.Store(true)
		err = t.conn.Close()
	})
	if err != nil {
		return &net.OpError{Op: "close", Net: t.network, Err: err}
	}
	return nil
}

// LocalAddr says nothing; RemoteAddr says what the program asked for.
func (t *tcpConn) LocalAddr() net.Addr  { return Addr{t.network, ownEnd} }
func (t *tcpConn) RemoteAddr() net.Addr { return t.remote }

func (t *tcpConn) SetDeadline(at time.Time) error      { return t.conn.SetDeadline(at) }
func (t *tcpConn) SetReadDeadline(at time.Time) error  { return t.conn.SetReadDeadline(at) }
func (t *tcpConn) SetWriteDeadline(at time.Time) error { return t.conn.SetWriteDeadline(at) }

const ownEnd = "chive"
