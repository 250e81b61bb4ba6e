// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits of our own. Spec: security B31 (body).
const (
	// ConnectionCount is how many connections are served at once; more wait.
	ConnectionCount = SubscriberCount + 16

	headerSize  = 16 << 10         // bytes
	requestTime = 5 * time.Second  // for a whole request
	answerTime  = 10 * time.Second // for an answer to be taken
	idleTime    = 30 * time.Second // between two requests
)

// ErrServe means that the socket broke.
var ErrServe = errors.New("control: the socket cannot be served")

// Serve answers requests on l until ctx ends; it closes l and every connection, waits
// for what it answers, and returns nil then. Whoever can open l is answered: l is a
// socket that its owner alone can open. Events come from the source's hub when it is
// Eventful. Error: ErrServe.
//
// Spec: product API-1.
func Serve(ctx context.Context, l net.Listener, source Source) error {
	a := &api{source: source, local: true, table: routes()}
	if e, can := source.(Eventful); can {
		a.hub = e.Events()
	}
	limited := &listener{Listener: l, room: make(chan struct{}, ConnectionCount), closed: make(chan struct{})}
	ctx, end := context.WithCancel(ctx)
	defer end()
	serving := newGate()
	server := &http.Server{
		Handler: localOnly(a, serving), ErrorLog: log.New(io.Discard, "", 0), MaxHeaderBytes: headerSize,
		ReadTimeout: requestTime, WriteTimeout: answerTime, IdleTimeout: idleTime,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	err := server.Serve(limited)
	ended := ctx.Err() != nil || errors.Is(err, http.ErrServerClosed)
	_ = server.Close()
	end()
	serving.close()
	if ended {
		return nil
	}
	return ErrServe
}

// localOnly lets requests of local programs through to a, and none of a browser.
func localOnly(a http.Handler, serving *gate) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !serving.enter() {
			return
		}
		defer serving.leave()
		if r.Host != "localhost" && r.Host != hostName || r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
			w.Header().Set("Cache-Control", "no-store")
			refuse(w, http.StatusForbidden, "host", "This API answers local programs only", "Use the host name localhost, and no browser.")
			return
		}
		a.ServeHTTP(w, r)
	})
}

// gate counts who is inside, so that its closer can wait for all.
type gate struct {
	mu     sync.Mutex
	empty  *sync.Cond
	inside int
	closed bool
}

func newGate() *gate {
	g := new(gate)
	g.empty = sync.NewCond(&g.mu)
	return g
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.inside == 0 {
		g.empty.Broadcast()
	}
}

// close lets nobody in any more, and waits until nobody is inside.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for g.inside > 0 {
		g.empty.Wait()
	}
}

// listener lets ConnectionCount connections in at a time.
type listener struct {
	net.Listener
	room   chan struct{}
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case l.room <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.room
		return nil, err
	}
	return &conn{Conn: c, room: l.room, open: make(chan struct{}, 1)}, nil
}

// Close is called once, by the server.
func (l *listener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return l.Listener.Close()
}

// conn gives its room back when it is first closed.
type conn struct {
	net.Conn
	room chan struct{}
	open chan struct{} // full once it was closed
}

func (c *conn) Close() error {
	select {
	case c.open <- struct{}{}:
		<-c.room
	default:
	}
	return c.Conn.Close()
}
