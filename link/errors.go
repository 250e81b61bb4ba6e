// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// Errors of dials and handshakes. The wire knows none of them: whatever went
// wrong, the other side sees the connection close.
var (
	// ErrHandshake is every fault of a handshake that the peer may have
	// caused: version, suite, keys, certificate, size, network.
	ErrHandshake = errors.New("link: handshake failed")
	// ErrCertificateTime means that everything else was right, but the
	// relay's certificate is not valid at this clock. See Config.ClockSkew.
	ErrCertificateTime = errors.New("link: certificate not valid at this time")
	// ErrSelf means that the peer has our own identity.
	ErrSelf = errors.New("link: connected to our own identity")
	// ErrTimeout means that a dial or a handshake took too long.
	ErrTimeout = errors.New("link: timed out")
	// ErrRefused means that nobody listens at the address.
	ErrRefused = errors.New("link: connection refused")
	// ErrUnreachable means that the network has no way to the host.
	ErrUnreachable = errors.New("link: host unreachable")
	// ErrNetworkDown means that this machine has no way to anywhere.
	ErrNetworkDown = errors.New("link: network is down")
	// ErrDescriptors means that this process has no file descriptor left.
	ErrDescriptors = errors.New("link: out of file descriptors")
	// ErrProxy means that the proxy that a Transport must pass cannot be reached, or is
	// none.
	ErrProxy = errors.New("link: the proxy on the way cannot be reached")
	// ErrProxyAuth means that the proxy wants other credentials.
	ErrProxyAuth = errors.New("link: the proxy on the way does not take the credentials")
	// ErrProxyDenied means that the proxy does not connect to such an address.
	ErrProxyDenied = errors.New("link: the proxy on the way does not permit it")
	// ErrProxyAnswer means that the proxy has answered that it does not connect, as it
	// does where the host is unreachable for it, or lets no connection through at all:
	// an ErrUnreachable, and a *ProxyAnswer.
	ErrProxyAnswer = fmt.Errorf("link: the proxy on the way answers that it does not connect: %w", ErrUnreachable)
	// ErrConnection is any other fault of the connection.
	ErrConnection = errors.New("link: connection failed")
	// ErrConfig means that a Config cannot be used for what was asked.
	ErrConfig = errors.New("link: invalid configuration")
)

// Errors that end a link.
var (
	// ErrClosed means that this side closed the link.
	ErrClosed = errors.New("link: closed")
	// ErrPeerClosed means that the other side closed the link, or its
	// connection broke.
	ErrPeerClosed = errors.New("link: closed by the peer")
	// ErrRecord means a record that does not decrypt or breaks its definition.
	ErrRecord = errors.New("link: bad record")
	// ErrProtocol means that the peer broke the multiplexer's protocol.
	ErrProtocol = errors.New("link: multiplexer protocol broken")
	// ErrFlood means that the peer exceeded a bound on control frames or resets.
	ErrFlood = errors.New("link: too many control frames")
	// ErrStalled means that a write made no progress for WriteTimeout.
	ErrStalled = errors.New("link: write made no progress")
	// ErrSilent means that nothing arrived for Config.Silence.
	ErrSilent = errors.New("link: peer is silent")
)

// Errors of one stream; the link goes on.
var (
	// ErrStreamClosed means that this side closed the stream.
	ErrStreamClosed = errors.New("link: stream closed")
	// ErrStreamReset means that the peer reset the stream.
	ErrStreamReset = errors.New("link: stream reset")
	// ErrBusy means that too many streams are open or wait for the peer.
	ErrBusy = errors.New("link: too many streams")
	// ErrSize means that a buffer is not made of whole cells, or too small.
	ErrSize = errors.New("link: not whole cells")
)

// ProxyAnswer is an ErrProxyAnswer with what the proxy has said.
type ProxyAnswer struct {
	Status int // of HTTP, 500 to 599; 0: SOCKS says that there is no way
}

// Error says that the proxy does not connect, without its status.
func (*ProxyAnswer) Error() string { return ErrProxyAnswer.Error() }

// Unwrap implements errors.Is.
func (*ProxyAnswer) Unwrap() error { return ErrProxyAnswer }

// classify turns an error of the net package into one of ours: its text would
// name endpoints.
func classify(err error) error {
	var answer *ProxyAnswer
	if errors.As(err, &answer) {
		return answer
	}
	for _, ours := range []error{ErrProxy, ErrProxyAuth, ErrProxyDenied, ErrRefused, ErrUnreachable} {
		if errors.Is(err, ours) { // of a Transport that says it itself
			return ours
		}
	}
	var ne net.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, syscall.ECONNREFUSED):
		return ErrRefused
	case errors.Is(err, syscall.EHOSTUNREACH):
		return ErrUnreachable
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.ENETDOWN):
		return ErrNetworkDown
	case isDescriptors(err):
		return ErrDescriptors
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, syscall.ETIMEDOUT), errors.As(err, &ne) && ne.Timeout():
		return ErrTimeout
	}
	return ErrConnection
}

func isDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
