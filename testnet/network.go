// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"chive/client"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/relay"
	"chive/relay/exit"
)

// Bounds of a testnet in one process.
const (
	MinRelays  = 3
	MaxRelays  = 300
	MaxClients = 300
)

// Config says what network to build.
type Config struct {
	// Relays is the number of relays, MinRelays to MaxRelays; zero means 10.
	Relays int
	// Exits is how many of them are exits; zero means 3.
	Exits int
	// Clients is the number of clients, up to MaxClients; zero means 1.
	Clients int
	// Fabric is what the nodes stand in; nil means a Loopback.
	Fabric Fabric
	// Hops is the length of circuits; zero means client.DefaultHops.
	Hops int
	// Rand feeds every node; nil means the system's source. It is used by many
	// goroutines at once.
	Rand io.Reader
	// Log receives the nodes' lines; the zero value is silent.
	Log zerolog.Logger
	// Progress is told how the first client's bootstrap goes. Nil is allowed.
	Progress func(client.Progress)
	// Events is told what changes at the first client; see client.Config.
	Events func(client.Event)
	// Observe, if set, returns what observes relay i. Nil observes nothing.
	Observe func(i int) relay.Observer
	// DrainTimeout is the relays'; zero means that they stop at once.
	DrainTimeout time.Duration
}

// ErrConfig says that a number of nodes is out of bounds.
var ErrConfig = errors.New("testnet: 3 to 300 relays, 1 to as many exits, and up to 300 clients")

// Relay is one relay of a testnet. The role changes with each Restart.
type Relay struct {
	*relay.Relay
	Founder *record.Founder
	Exit    bool

	plan *planned
	at   int // in the fabric
	stop context.CancelFunc
	done chan error
}

// Client is one client of a testnet.
type Client struct {
	*client.Client

	stop context.CancelFunc
	done chan error
}

// Network is a running testnet.
type Network struct {
	Genesis *genesis.Document
	Relays  []*Relay
	Clients []*Client

	cfg    Config
	fabric Fabric
	target *http.Server
	stops  []context.CancelFunc // of the local ports
	tasks  sync.WaitGroup
}

// Start builds and starts a network. It returns once every relay accepts links and
// every client has a circuit, or with the first failure; then nothing is left
// running. ctx bounds the start only.
func Start(ctx context.Context, c Config) (*Network, error) {
	if err := c.fill(); err != nil {
		return nil, err
	}
	n := &Network{cfg: c, fabric: c.Fabric}
	if err := n.start(ctx); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

func (c *Config) fill() error {
	if c.Relays == 0 {
		c.Relays = 10
	}
	if c.Exits == 0 {
		c.Exits = min(3, c.Relays)
	}
	if c.Clients == 0 {
		c.Clients = 1
	}
	if c.Relays < MinRelays || c.Relays > MaxRelays || c.Exits < 1 || c.Exits > c.Relays || c.Clients < 0 || c.Clients > MaxClients {
		return ErrConfig
	}
	if c.Fabric == nil {
		c.Fabric = &Loopback{}
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = -1
	}
	return nil
}

func (n *Network) start(ctx context.Context) error {
	if err := n.startTarget(); err != nil {
		return err
	}
	plans, err := plan(&n.cfg)
	if err != nil {
		return err
	}
	if n.Genesis, err = found(plans); err != nil {
		return err
	}
	for i, p := range plans {
		r := &Relay{Founder: p.founder, Exit: p.exit(), plan: p, at: i}
		if err := n.startRelay(ctx, r); err != nil {
			return err
		}
		n.Relays = append(n.Relays, r)
	}
	return n.startClients(ctx)
}

func (n *Network) startTarget() error {
	ln, err := n.fabric.Target()
	if err != nil {
		return err
	}
	n.target = newTarget()
	n.tasks.Add(1)
	go func() {
		defer n.tasks.Done()
		serveTarget(n.target, ln)
	}()
	return nil
}

// startRelay starts a relay and waits until it accepts links.
func (n *Network) startRelay(ctx context.Context, r *Relay) error {
	c, p := &n.cfg, r.plan
	cfg := relay.Config{
		Genesis: n.Genesis, Identity: p.identity, Keys: p.keys, About: p.about(), Store: p.store,
		Transport: p.transport, Listen: p.listen,
		DrainTimeout: c.DrainTimeout, Rand: c.Rand, Log: c.Log,
	}
	if c.Observe != nil {
		cfg.Observer = c.Observe(r.at)
	}
	var links atomic.Pointer[relay.Relay]
	if p.exit() {
		x, err := exitConfig(c.Fabric.Exit(r.at), func(a netip.AddrPort) bool { return links.Load().IsRelay(a) })
		if err != nil {
			return err
		}
		if cfg.Exit, err = exit.New(x); err != nil {
			return err
		}
	}
	role, err := relay.New(cfg)
	if err != nil {
		return err
	}
	links.Store(role)
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.Relay, r.stop, r.done = role, stop, make(chan error, 1)
	done := r.done
	go func() { done <- role.Run(life) }()
	select {
	case <-role.Ready():
		return nil
	case err := <-done:
		done <- err
		return errors.Join(errors.New("testnet: a relay did not start"), err)
	case <-ctx.Done():
		r.Stop()
		return ctx.Err()
	}
}

// Restart starts a relay again that was stopped, with its keys and what it had
// stored. It returns once the relay accepts links.
func (n *Network) Restart(ctx context.Context, r *Relay) error { return n.startRelay(ctx, r) }

// Join starts a relay that did not found the network. It returns once the relay
// accepts links; Listed tells when the others have taken it in.
func (n *Network) Join(ctx context.Context, isExit bool) (*Relay, error) {
	if len(n.Relays) >= MaxRelays {
		return nil, ErrConfig
	}
	p, err := newPlanned(&n.cfg, len(n.Relays), isExit)
	if err != nil {
		return nil, err
	}
	r := &Relay{Founder: p.founder, Exit: isExit, plan: p, at: len(n.Relays)}
	if err := n.startRelay(ctx, r); err != nil {
		return nil, err
	}
	n.Relays = append(n.Relays, r)
	return r, nil
}

// startClients starts all clients and waits until each has a circuit.
func (n *Network) startClients(ctx context.Context) error {
	for range n.cfg.Clients {
		if _, err := n.begin(ctx); err != nil {
			return err
		}
	}
	for _, cl := range n.Clients {
		if err := cl.await(ctx); err != nil {
			return err
		}
	}
	return nil
}

// JoinClient starts one more client and waits until it has a circuit.
func (n *Network) JoinClient(ctx context.Context) (*Client, error) {
	if len(n.Clients) >= MaxClients {
		return nil, ErrConfig
	}
	cl, err := n.begin(ctx)
	if err != nil {
		return nil, err
	}
	return cl, cl.await(ctx)
}

// begin starts the next client.
func (n *Network) begin(ctx context.Context) (*Client, error) {
	i := len(n.Clients)
	cfg := client.Config{
		Genesis: n.Genesis, Transport: n.cfg.Fabric.Client(i),
		Hops: n.cfg.Hops, Rand: n.cfg.Rand, Log: n.cfg.Log,
	}
	if i == 0 {
		cfg.Progress, cfg.Events = n.cfg.Progress, n.cfg.Events
	}
	role, err := client.New(cfg)
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	cl := &Client{Client: role, stop: stop, done: make(chan error, 1)}
	go func() { cl.done <- role.Run(life) }()
	n.Clients = append(n.Clients, cl)
	return cl, nil
}

// await waits until the client has a circuit.
func (c *Client) await(ctx context.Context) error {
	select {
	case <-c.Ready():
		return nil
	case err := <-c.done:
		c.done <- err
		return errors.Join(errors.New("testnet: a client did not start"), err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stop ends one relay and waits until it has gone. Its links break, as they do
// when a relay is switched off.
func (r *Relay) Stop() {
	r.stop()
	r.done <- <-r.done
}

// Stop ends one client and waits until it has gone.
func (c *Client) Stop() {
	c.stop()
	c.done <- <-c.done
}

// Close ends the network: local ports and clients first, then relays, then the target. It returns
// when everything has gone. It may be called again.
func (n *Network) Close() {
	for _, stop := range n.stops {
		stop()
	}
	var wg sync.WaitGroup
	for _, c := range n.Clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c.Stop()
		}()
	}
	wg.Wait()
	for _, r := range n.Relays {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r.Stop()
		}()
	}
	wg.Wait()
	if n.target != nil {
		_ = n.target.Close()
	}
	n.tasks.Wait()
	n.fabric.Close()
}
