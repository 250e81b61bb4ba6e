// SPDX-License-Identifier: BSD-3-Clause

package load

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"
)

// Echo is an open stream to the target that sends back every byte. One goroutine
// uses it at a time; Close may come from any.
type Echo struct {
	conn net.Conn
}

// OpenEcho opens one.
func (c *Client) OpenEcho(ctx context.Context, key string) (*Echo, error) {
	conn, r, err := c.do(ctx, key, http.MethodGet, "/echo", 0, small)
	if err != nil {
		return nil, err
	}
	if r.StatusCode != http.StatusSwitchingProtocols {
		conn.Close()
		return nil, ErrAnswer
	}
	return &Echo{conn}, nil
}

// RoundTrip sends one byte and returns the time until it is back.
func (e *Echo) RoundTrip() (time.Duration, error) {
	if err := e.conn.SetDeadline(time.Now().Add(small)); err != nil {
		return 0, err
	}
	var b [1]byte
	began := time.Now()
	if _, err := e.conn.Write(b[:]); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(e.conn, b[:]); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}

// Close ends the stream.
func (e *Echo) Close() { _ = e.conn.Close() }
