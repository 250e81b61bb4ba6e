// SPDX-License-Identifier: BSD-3-Clause

package chivelab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"chive/bench/lab"
)

// startTime bounds the start of a network.
const startTime = time.Minute

// Network is a running testnet.
type Network struct {
	binary *Binary
	target netip.AddrPort
	folder string

	policy, genesis string
	relays          []lab.Relay

	mu      sync.Mutex
	clients []*client
}

var _ lab.Network = (*Network)(nil)

// Start starts a network in a folder of its own below folder. It returns once every
// relay accepts links and a client has had a circuit. target is what idle circuits
// are kept open to.
func (b *Binary) Start(ctx context.Context, folder string, target netip.AddrPort) (_ *Network, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	n := &Network{binary: b, target: target}
	if n.folder, err = os.MkdirTemp(folder, "chive-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			n.Close()
		}
	}()
	founders, err := n.found(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range founders {
		if err := n.startRelay(ctx, f); err != nil {
			return nil, err
		}
	}
	c, err := n.newClient()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return n, c.WaitReady(ctx)
}

func (n *Network) startRelay(ctx context.Context, f founder) error {
	args := []string{
		"relay", "run", "--json", "--state", f.state, "--genesis", n.genesis,
		"--listen", fmt.Sprintf("127.0.0.1:%d", f.port),
	}
	role := lab.Role("")
	if f.exit {
		args, role = append(args, "--exit", n.policy), lab.Exit
	}
	ready := make(chan struct{})
	var once sync.Once
	p, err := lab.Start(f.name, func(_ time.Time, line string) {
		if n.binary.listen != nil {
			n.binary.listen(f.name, line)
		}
		if s, err := parseSaid(line); err == nil && s.Event == "ready" {
			once.Do(func() { close(ready) })
		}
	}, n.binary.path, args...)
	if err != nil {
		return err
	}
	n.relays = append(n.relays, lab.Relay{Process: p, Port: f.port, Role: role})
	select {
	case <-ready:
		return nil
	case <-p.Done():
		return p.Failure()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Genesis is the file with the network's document.
func (n *Network) Genesis() string { return n.genesis }

// Relays implements lab.Network. Only the exit is known before a client has chosen
// its guard.
func (n *Network) Relays() []lab.Relay { return n.relays }

// NewClient implements lab.Network.
func (n *Network) NewClient(context.Context) (lab.Client, error) { return n.newClient() }

// BuildTimes implements lab.Network. chive shows nobody how long a circuit takes,
// but a client that starts says when its link to the guard is open and it begins
// its first circuit, and when that is built. So each one is built by a fresh
// process, which is rather slower than one that has been running.
func (n *Network) BuildTimes(ctx context.Context, count int) ([]time.Duration, error) {
	var out []time.Duration
	for i := range count + 1 {
		c, err := n.newClient()
		if err != nil {
			return nil, err
		}
		err = c.WaitReady(ctx)
		c.Close()
		if err != nil {
			return nil, err
		}
		if i > 0 { // the first may open links between relays
			out = append(out, c.built.Sub(c.building))
		}
	}
	return out, nil
}

// Close implements lab.Network.
func (n *Network) Close() {
	n.mu.Lock()
	clients := n.clients
	n.clients = nil
	n.mu.Unlock()
	for _, c := range clients {
		c.release()
	}
	var all []*lab.Process
	for _, c := range clients {
		all = append(all, c.Process)
	}
	for _, r := range n.relays {
		all = append(all, r.Process)
	}
	lab.StopAll(all)
	_ = os.RemoveAll(n.folder)
}
