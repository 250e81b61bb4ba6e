// SPDX-License-Identifier: BSD-3-Clause

package front

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chive/internal/testutil"
)

// errFiles is what lasts.
var errFiles = errors.New("too many open files")

// exhausted is a socket of which nothing can be had.
type exhausted struct {
	net.Listener
	net.PacketConn
	tries *atomic.Int64
}

func (e exhausted) Accept() (net.Conn, error) {
	e.tries.Add(1)
	return nil, errFiles
}

func (e exhausted) ReadFrom([]byte) (int, net.Addr, error) {
	e.tries.Add(1)
	return 0, nil, errFiles
}

func (e exhausted) Addr() net.Addr { return nil }
func (e exhausted) Close() error   { return nil }

// TestTroubleThatLastsIsWaitedOut: five milliseconds first, a second at most, and no
// longer than the front is served.
func TestTroubleThatLastsIsWaitedOut(t *testing.T) {
	for _, c := range []struct {
		name  string
		serve func(n *names, ctx context.Context, e exhausted)
	}{
		{"packets", func(n *names, ctx context.Context, e exhausted) { n.servePackets(ctx, e) }},
		{"streams", func(n *names, ctx context.Context, e exhausted) { n.serveStreams(ctx, e) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			testutil.Bubble(t, func(t *testing.T) {
				var tries atomic.Int64
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() {
					defer close(done)
					c.serve(&names{room: make(chan struct{}, 1)}, ctx, exhausted{tries: &tries})
				}()
				<-time.NewTimer(time.Minute).C
				synctest.Wait()
				if n := tries.Load(); n < 60 || n > 70 {
					t.Errorf("%d tries in a minute", n)
				}
				stop()
				<-done
			})
		})
	}
}
