// SPDX-License-Identifier: BSD-3-Clause

// Package upstream carries links through a proxy that must be passed to reach the
// network, as companies have one: an HTTP proxy by CONNECT, or a SOCKS5 proxy. It is
// the program's side of somebody else's proxy, and not chive's own, which is
// client/proxy. It is a link.Transport that dials only: whatever goes wrong with the
// proxy, nothing is dialled past it, and no relay's address is looked up.
//
// A proxy sees the addresses of guards and how much passes, as the network on the way
// does without one. Errors say nothing of the proxy's address or password.
//
// A Transport is safe for concurrent use; Dial blocks until the proxy has connected, or
// ctx ends.
//
// Spec: product §7 (NET-2).
package upstream

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"chive/internal/socks"
	"chive/link"
)

// ErrAddress means that a text names no proxy that can be used.
var ErrAddress = errors.New("upstream: neither http://HOST:PORT nor socks5://HOST:PORT")

// ErrListen means that somebody tried to accept links through a proxy.
var ErrListen = errors.New("upstream: a proxy accepts no links")

// maxAnswer bounds the head of an HTTP proxy's answer, in bytes.
const maxAnswer = 16 << 10

// Transport dials through one proxy.
type Transport struct {
	address        string // host:port
	http           bool   // else SOCKS5
	user, password string
}

// Parse reads http://HOST:PORT or socks5://HOST:PORT, with a user and a password before
// HOST if the proxy wants them. Error: ErrAddress.
func Parse(text string) (*Transport, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "socks5" || u.Hostname() == "" || u.Port() == "" {
		return nil, ErrAddress
	}
	t := &Transport{address: u.Host, http: u.Scheme == "http"}
	if u.User != nil {
		t.user = u.User.Username()
		t.password, _ = u.User.Password()
	}
	return t, nil
}

// Listen implements link.Transport: ErrListen.
func (t *Transport) Listen(netip.AddrPort) (net.Listener, error) { return nil, ErrListen }

// Dial has the proxy connect to addr. Errors: link.ErrProxy when the proxy cannot be
// reached or is none, link.ErrProxyAuth, link.ErrProxyDenied, link.ErrRefused and
// link.ErrProxyAnswer (a *link.ProxyAnswer) as the proxy says them of addr, and the
// context's.
func (t *Transport) Dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	d.KeepAlive = -1 // the link has its own
	conn, err := d.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, orContext(ctx, link.ErrProxy)
	}
	if t.http {
		err = t.connect(ctx, conn, addr)
	} else {
		err = t.socks(ctx, conn, addr)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// orContext is a cancelled context's own error, else err.
func orContext(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return err
}

// unanswered is what a connection to the proxy failed with. A proxy that takes longer than
// the dial may is mostly waiting for the address, and that is not the proxy's fault: a
// relay that is gone has to be told from a proxy that is.
func unanswered(ctx context.Context) error {
	if by, bounded := ctx.Deadline(); bounded && !time.Now().Before(by) {
		return context.DeadlineExceeded
	}
	return orContext(ctx, link.ErrProxy)
}

// SOCKS5 codes of a reply.
const (
	codeDenied      = 2
	codeNetwork     = 3
	codeHost        = 4
	codeRefused     = 5
	codeExpired     = 6
	codeUnsupported = 7
	codeKind        = 8
)

func (t *Transport) socks(ctx context.Context, conn net.Conn, addr netip.AddrPort) error {
	cred := socks.Credentials{User: t.user, Password: t.password}
	err := socks.Connect(ctx, conn, cred, addr.Addr().Unmap().String(), addr.Port(), nil)
	var refused *socks.Refused
	switch {
	case err == nil:
		return nil
	case errors.Is(err, socks.ErrAuth):
		return link.ErrProxyAuth
	case !errors.As(err, &refused):
		return unanswered(ctx)
	}
	switch refused.Code {
	case codeRefused:
		return link.ErrRefused
	case codeNetwork, codeHost, codeExpired:
		return &link.ProxyAnswer{}
	case codeDenied, codeUnsupported, codeKind:
		return link.ErrProxyDenied
	}
	return link.ErrConnection
}

func (t *Transport) connect(ctx context.Context, conn net.Conn, addr netip.AddrPort) error {
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err := t.ask(conn, netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()).String())
	if !stop() && err == nil {
		err = link.ErrProxy // the deadline that is set now is not the caller's
	}
	if err == nil {
		_ = conn.SetDeadline(time.Time{})
		return nil
	}
	if errors.Is(err, link.ErrProxy) {
		return unanswered(ctx)
	}
	return orContext(ctx, err)
}

// ask does one CONNECT.
func (t *Transport) ask(conn net.Conn, addr string) error {
	request := "CONNECT " + addr + " HTTP/1.1\r\nHost: " + addr + "\r\n"
	if t.user != "" || t.password != "" {
		request += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(t.user+":"+t.password)) + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return link.ErrProxy
	}
	r := bufio.NewReader(io.LimitReader(conn, maxAnswer))
	answer, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return link.ErrProxy
	}
	switch code := answer.StatusCode; {
	case code == http.StatusProxyAuthRequired:
		return link.ErrProxyAuth
	case code/100 == 2 && r.Buffered() == 0: // the relay waits for us to begin
		return nil
	case code/100 == 5: // 502, 503, 504, and what others say
		return &link.ProxyAnswer{Status: code}
	case code/100 == 4:
		return link.ErrProxyDenied
	}
	return link.ErrProxy
}
