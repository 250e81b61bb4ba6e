// SPDX-License-Identifier: BSD-3-Clause

package torlab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"chive/bench/lab"
)

// client is a running client.
type client struct {
	*lab.Process
	n              *Network
	folder         string
	proxy, control string
	ready          chan struct{}
	idle           int
}

func (n *Network) newClient() (*client, error) {
	socks, err := n.keys.ports.Next()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(n.folder, "client-")
	if err != nil {
		return nil, err
	}
	c := &client{
		n: n, folder: folder, ready: make(chan struct{}),
		proxy: fmt.Sprintf("127.0.0.1:%d", socks), control: filepath.Join(folder, "control"),
	}
	if c.Process, err = n.run("client", folder, n.keys.clientTorrc(n.mode, folder, socks, c.control), whenBootstrapped(c.ready)); err != nil {
		return nil, err
	}
	n.mu.Lock()
	n.clients = append(n.clients, c)
	n.mu.Unlock()
	return c, nil
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

// Idle implements lab.Client with tor's own EXTENDCIRCUIT: no stream is needed.
func (c *client) Idle(ctx context.Context, count int) (int, error) {
	ctl, err := openControl(ctx, c.control)
	if err != nil {
		return c.idle, err
	}
	defer ctl.Close()
	if _, err := ctl.command(ctx, "SETEVENTS CIRC"); err != nil {
		return c.idle, err
	}
	const width = 16 // under way at once
	var ids []string
	for begun := 0; begun < count || len(ids) > 0; {
		if begun < count && len(ids) < width {
			id, err := ctl.startExtend(ctx, c.n.keys.path())
			if err != nil {
				return c.idle, err
			}
			ids, begun = append(ids, id), begun+1
			continue
		}
		if err := ctl.waitExtend(ctx, ids[0]); err != nil {
			return c.idle, err
		}
		ids = ids[1:]
		c.idle++
	}
	return c.idle, nil
}

// Close implements lab.Client.
func (c *client) Close() {
	c.Stop()
	_ = os.RemoveAll(c.folder)
}
