// SPDX-License-Identifier: BSD-3-Clause

package chivelab

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"chive/bench/lab"
	"chive/bench/load"
)

// client is a running client.
type client struct {
	*lab.Process
	n      *Network
	folder string
	proxy  string
	ready  chan struct{}

	building, built time.Time // of the first circuit; set before ready is closed

	mu   sync.Mutex
	idle []*load.Echo
}

func (n *Network) newClient() (*client, error) {
	port, err := n.binary.ports.Next()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(n.folder, "client-")
	if err != nil {
		return nil, err
	}
	c := &client{n: n, folder: folder, ready: make(chan struct{}), proxy: fmt.Sprintf("127.0.0.1:%d", port)}
	c.Process, err = lab.Start("client", c.line, n.binary.path,
		"client", "--json", "--state", folder, "--genesis", n.genesis, "--socks", c.proxy)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	n.clients = append(n.clients, c)
	n.mu.Unlock()
	return c, nil
}

// line takes what the client says; one goroutine calls it.
func (c *client) line(at time.Time, text string) {
	s, err := parseSaid(text)
	switch {
	case err != nil:
	case s.Event == "bootstrap" && s.Tag == "building_circuit":
		c.building = at
	case s.Event == "bootstrap" && s.Tag == "done":
		c.built = at
	case s.Event == "ready":
		select {
		case <-c.ready:
		default:
			close(c.ready)
		}
	}
}

// Proxy implements lab.Client.
func (c *client) Proxy() string { return c.proxy }

// WaitReady implements lab.Client.
func (c *client) WaitReady(ctx context.Context) error {
	select {
	case <-c.ready:
		return nil
	case <-c.Done():
		return c.Failure()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Idle implements lab.Client: chive builds a circuit for each user name, and keeps
// it while a stream is open.
func (c *client) Idle(ctx context.Context, count int) (int, error) {
	l := &load.Client{Proxy: c.proxy, Target: c.n.target}
	c.mu.Lock()
	before := len(c.idle)
	c.mu.Unlock()
	err := load.Each(ctx, count, 4, func(ctx context.Context, i int) error {
		e, err := l.OpenEcho(ctx, fmt.Sprint("idle", before+i))
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.idle = append(c.idle, e)
		c.mu.Unlock()
		return nil
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.idle), err
}

// release ends the streams of Idle.
func (c *client) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.idle {
		e.Close()
	}
	c.idle = nil
}

// Close implements lab.Client.
func (c *client) Close() {
	c.release()
	c.Stop()
	_ = os.RemoveAll(c.folder)
}
