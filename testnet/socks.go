// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"context"

	"chive/internal/node"
)

// ServeSocks opens the local port of client i and serves it until Close. It
// returns the addresses that programs use. Errors are those of node.ListenSocks.
// Only for a network on loopback: the port is a real socket.
func (n *Network) ServeSocks(i int, o node.SocksOptions) ([]string, error) {
	listeners, err := node.ListenSocks(o)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, l := range listeners {
		names = append(names, l.Name)
	}
	ctx, stop := context.WithCancel(context.Background())
	n.stops = append(n.stops, stop)
	c := n.Clients[i]
	n.tasks.Add(1)
	go func() {
		defer n.tasks.Done()
		_ = node.ServeProxy(ctx, c.Client, listeners, true, n.cfg.Log)
	}()
	return names, nil
}
