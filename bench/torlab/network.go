// SPDX-License-Identifier: BSD-3-Clause

package torlab

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"chive/bench/lab"
)

// startTime bounds the start of a network.
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

// Start starts a network in a folder of its own below folder. It returns once a
// client has had a circuit. A mode's first network takes longer: its authorities
// have to agree first.
func (k *Keys) Start(ctx context.Context, folder string, m Mode) (_ *Network, err error) {
	agreed, err := k.agreed(ctx, m)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	n, err := k.newNetwork(folder, agreed, m)
	if err != nil {
		return nil, err
	}
	if err = n.startMembers(0, members); err == nil {
		err = n.awaitClient(ctx)
	}
	if err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// newNetwork makes a network that does not run yet. What its members know already
// is copied from the folder origin.
func (k *Keys) newNetwork(folder, origin string, m Mode) (*Network, error) {
	n := &Network{keys: k, mode: m}
	var err error
	if n.folder, err = os.MkdirTemp(folder, "tor-"+m.Name+"-"); err != nil {
		return nil, err
	}
	for i := range k.relay {
		nick := k.relay[i].nick
		if err = os.CopyFS(filepath.Join(n.folder, nick), os.DirFS(filepath.Join(origin, nick))); err != nil {
			break
		}
	}
	if err == nil {
		err = tighten(n.folder)
	}
	if err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// startMembers starts the members from first to before end. Each will close its
// channel in ready, where it has one, once it can build circuits.
func (n *Network) startMembers(first, end int, ready ...chan struct{}) error {
	for i := first; i < end; i++ {
		r := &n.keys.relay[i]
		folder := filepath.Join(n.folder, r.nick)
		var line func(time.Time, string)
		if i-first < len(ready) {
			line = whenBootstrapped(ready[i-first])
		}
		p, err := n.run(r.nick, folder, n.keys.relayTorrc(n.mode, i, folder), line)
		if err != nil {
			return err
		}
		if i < authorities {
			n.authorities = append(n.authorities, p)
		} else {
			n.relays = append(n.relays, lab.Relay{Process: p, Port: r.orPort, Role: role[i]})
		}
	}
	return nil
}

// whenBootstrapped returns what hears a tor's output and closes ready when tor can
// build circuits.
func whenBootstrapped(ready chan struct{}) func(time.Time, string) {
	var once sync.Once
	return func(_ time.Time, text string) {
		if strings.Contains(text, "Bootstrapped 100%") {
			once.Do(func() { close(ready) })
		}
	}
}

// awaitClient returns once a client has had a circuit.
func (n *Network) awaitClient(ctx context.Context) error {
	c, err := n.newClient()
	if err != nil {
		return err
	}
	defer c.Close()
	return c.WaitReady(ctx)
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
	n.stop()
	_ = os.RemoveAll(n.folder)
}

// stop ends every process and leaves what they wrote.
func (n *Network) stop() {
	n.mu.Lock()
	clients := n.clients
	n.clients = nil
	n.mu.Unlock()
	all := n.processes()
	for _, c := range clients {
		all = append(all, c.Process)
	}
	lab.StopAll(all)
	n.authorities, n.relays = nil, nil
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
