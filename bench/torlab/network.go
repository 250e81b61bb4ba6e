// SPDX-License-Identifier: BSD-3-Clause

package torlab

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"chive/bench/lab"
)

// startTime bounds one try to start a network.
const startTime = time.Minute

// Network is a running network.
type Network struct {
	keys        *Keys
	mode        Mode
	folder      string
	authorities []*lab.Process
	relays      []lab.Relay

	mu      sync.Mutex
	clients []*client
}

var _ lab.Network = (*Network)(nil)

// Start starts a network in a folder of its own below folder. It returns once the
// authorities have agreed on all members and a client has had a circuit. The
// authorities vote soon, and if a member was too slow for that, all is tried again
// with more time.
func (k *Keys) Start(ctx context.Context, folder string, m Mode) (n *Network, err error) {
	for _, interval := range []int{5, 10, 30} { // each divides half an hour, as tor wants it
		if n, err = k.try(ctx, folder, m, interval); err == nil || ctx.Err() != nil {
			break
		}
	}
	return n, err
}

func (k *Keys) try(ctx context.Context, folder string, m Mode, interval int) (_ *Network, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTime+2*time.Duration(interval)*time.Second)
	defer cancel()
	n := &Network{keys: k, mode: m}
	if n.folder, err = os.MkdirTemp(folder, "tor-"+m.Name+"-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			n.Close()
		}
	}()
	if err := sleepUntil(ctx, afterVote(time.Now(), interval)); err != nil {
		return nil, err
	}
	for i := range k.relay {
		if i == authorities { // the others report to them when they start, and then not for long
			if err := n.awaitAuthorities(ctx); err != nil {
				return nil, err
			}
		}
		if err := n.startMember(i, interval); err != nil {
			return nil, err
		}
	}
	if err := n.awaitConsensus(ctx); err != nil {
		return nil, err
	}
	c, err := n.newClient()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return n, c.WaitReady(ctx)
}

func (n *Network) startMember(i, interval int) error {
	r := &n.keys.relay[i]
	folder := filepath.Join(n.folder, r.nick)
	if err := os.CopyFS(filepath.Join(folder, "keys"), os.DirFS(filepath.Join(r.folder, "keys"))); err != nil {
		return err
	}
	if err := tighten(folder); err != nil {
		return err
	}
	p, err := n.run(r.nick, folder, n.keys.relayTorrc(n.mode, i, folder, interval), nil)
	if err != nil {
		return err
	}
	if i < authorities {
		n.authorities = append(n.authorities, p)
	} else {
		n.relays = append(n.relays, lab.Relay{Process: p, Port: r.orPort, Role: role[i]})
	}
	return nil
}

// tighten takes others' rights from copied keys: tor refuses them otherwise.
func tighten(folder string) error {
	return filepath.WalkDir(folder, func(name string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := os.FileMode(0o600)
		if entry.IsDir() {
			mode = 0o700
		}
		return os.Chmod(name, mode)
	})
}

func (n *Network) run(name, folder, torrc string, line func(time.Time, string)) (*lab.Process, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	file := filepath.Join(folder, "torrc")
	if err := os.WriteFile(file, []byte(torrc), 0o600); err != nil {
		return nil, err
	}
	return lab.Start(name, line, n.keys.tor, "--defaults-torrc", filepath.Join(folder, "none"), "--ignore-missing-torrc", "-f", file)
}

// alive is an error if a member has ended.
func (n *Network) alive() error {
	for _, p := range n.processes() {
		select {
		case <-p.Done():
			return p.Failure()
		default:
		}
	}
	return nil
}

// processes are all members.
func (n *Network) processes() []*lab.Process {
	all := slices.Clone(n.authorities)
	for _, r := range n.relays {
		all = append(all, r.Process)
	}
	return all
}

// Relays implements lab.Network.
func (n *Network) Relays() []lab.Relay { return n.relays }

// NewClient implements lab.Network.
func (n *Network) NewClient(context.Context) (lab.Client, error) { return n.newClient() }

// Close implements lab.Network.
func (n *Network) Close() {
	n.mu.Lock()
	clients := n.clients
	n.clients = nil
	n.mu.Unlock()
	all := n.processes()
	for _, c := range clients {
		all = append(all, c.Process)
	}
	lab.StopAll(all)
	_ = os.RemoveAll(n.folder)
}

// BuildTimes implements lab.Network with tor's own EXTENDCIRCUIT. The circuits stay
// open: tor would delay the next by 40 ms if it followed right after a goodbye.
func (n *Network) BuildTimes(ctx context.Context, count int) ([]time.Duration, error) {
	c, err := n.newClient()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.WaitReady(ctx); err != nil {
		return nil, err
	}
	ctl, err := openControl(ctx, c.control)
	if err != nil {
		return nil, err
	}
	defer ctl.Close()
	if _, err := ctl.command(ctx, "SETEVENTS CIRC"); err != nil {
		return nil, err
	}
	var out []time.Duration
	for i := range count + 1 {
		began := time.Now()
		id, err := ctl.startExtend(ctx, n.keys.path())
		if err != nil {
			return nil, err
		}
		if err := ctl.waitExtend(ctx, id); err != nil {
			return nil, err
		}
		if i > 0 { // the first may open the link
			out = append(out, time.Since(began))
		}
	}
	return out, nil
}
