// SPDX-License-Identifier: BSD-3-Clause

package metrics

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// DefaultPort is where metrics are served unless the operator says otherwise.
const DefaultPort = 9245

// ErrListen is returned where metrics would be open to others, or the text is no address.
var ErrListen = errors.New("metrics: not a loopback address or unix socket")

// ListenFix says what an operator can do about ErrListen.
const ListenFix = "Use 127.0.0.1:9245, [::1]:9245 or unix:/path. Metrics tell others what this relay carries: let Prometheus run here, or reach it through a tunnel such as ssh -L."

// ParseListen reads where metrics are to be served: "127.0.0.1:9245", "[::1]:9245" or
// "unix:/path", as network and address of net.Listen. Empty strings mean off (of "" or
// "off"). Errors: ErrListen.
func ParseListen(text string) (network, address string, err error) {
	if text == "" || text == "off" {
		return "", "", nil
	}
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return "", "", ErrListen
		}
		return "unix", path, nil
	}
	a, err := netip.ParseAddrPort(text)
	if err != nil || !a.Addr().IsLoopback() {
		return "", "", ErrListen
	}
	return "tcp", a.String(), nil
}

// Serve serves h at l until ctx ends, then closes l. It refuses a listener that others
// reach. Errors: ErrListen, and those of the listener.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	switch a := l.Addr().(type) {
	case *net.UnixAddr:
	case *net.TCPAddr:
		if !a.IP.IsLoopback() {
			_ = l.Close()
			return ErrListen
		}
	default:
		_ = l.Close()
		return ErrListen
	}
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: log.New(io.Discard, "", 0),
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	err := s.Serve(l)
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
