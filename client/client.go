// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"chive/circuit"
	"chive/circuit/cell"
	"chive/directory/genesis"
	"chive/directory/path"
	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/directory/vote"
	"chive/link"
)

// Hops of a circuit. Spec: protocol §5.
const (
	DefaultHops = 3
	MinHops     = 3
	MaxHops     = circuit.MaxHops
)

// readBuffer is what one read from a guard takes at most, in bytes.
const readBuffer = 16 * cell.Size

// Config is what a client needs. It is read once, by New.
type Config struct {
	// Genesis is the document the network begins with.
	Genesis *genesis.Document
	// Transport carries links to guards.
	Transport link.Transport
	// Proxied says that Transport passes a proxy that the user has named: where nothing is
	// answered, that is said to be silent, too.
	Proxied bool
	// Hops is the length of circuits, MinHops to MaxHops; zero means DefaultHops.
	Hops int
	// Store keeps the guards; nil forgets them when the client ends.
	Store Store
	// Directory keeps the list of relays, with what it was verified by and what was
	// found against it: up to dirsync.MaxSavedSize bytes. Nil forgets it.
	Directory Store
	// Anchor is what to begin with where nothing was saved lately: it comes with a release
	// or from the network's founders. Nil: the genesis document.
	Anchor *dirsync.AnchorFile
	// Peers are relays that the user knows, to begin with; nil is fine as long as
	// founders, or relays of the saved list, are there. At most MaxPeers.
	Peers []Peer
	// Verifier checks signatures of the directory; nil means vote.Plain.
	Verifier vote.Verifier
	// Rand feeds keys, handshakes and path choice; it is used by several
	// goroutines at once. In a public network it must be the system's source.
	Rand io.Reader
	// Log receives rare lifecycle lines; the zero value is silent.
	Log zerolog.Logger
	// Progress is told how the bootstrap goes; it must not block. Nil is allowed.
	Progress func(Progress)
	// Events is told that something has changed, by several goroutines at once; it must
	// not block, nor call the client. Nil is allowed.
	Events func(Event)
	// CircuitDirtiness is how long a circuit takes new streams after its first one;
	// zero means DefaultCircuitDirtiness. It is from MinCircuitDirtiness to
	// MaxCircuitDirtiness. Spec: product §4.5 (ISO-1).
	CircuitDirtiness time.Duration
	// Ports are the only TCP ports that this machine can reach; none means all. Guards,
	// and whom to ask first, are relays that listen on one of them. At most MaxPorts.
	// Spec: product §7 (NET-2).
	Ports []uint16
}

// Bounds of Config.CircuitDirtiness and of the number of Config.Ports.
const (
	DefaultCircuitDirtiness = 10 * time.Minute
	MinCircuitDirtiness     = 10 * time.Second
	MaxCircuitDirtiness     = 24 * time.Hour
	MaxPorts                = 64
)

// Store keeps one small state durably.
type Store interface {
	// Load returns what was saved last; nil and no error if there is nothing.
	Load() ([]byte, error)
	// Save replaces it; when it returns nil the new state is durable.
	Save(state []byte) error
}

// Client is the running role.
type Client struct {
	cfg     Config
	doc     *genesis.Document
	nid     [32]byte
	params  circuit.Params
	buffers circuit.Buffers
	cells   sync.Pool
	timeout buildTimeout
	links   *link.Pool
	ready   chan struct{}   // closed when the first circuit is open
	over    chan struct{}   // closed when Run ends
	work    chan struct{}   // a token for the maintainer
	save    chan struct{}   // a token for the saver
	writing chan struct{}   // a slot: the guards are being written
	builds  chan struct{}   // tokens: circuits being built
	life    context.Context // ends with Run; set by it
	askLast asker
	tasks   sync.WaitGroup
	stories stories
	counts  counts

	mu          sync.Mutex
	dir         directory // what is not marked otherwise
	guards      *path.Guards
	open        []*circ
	ongoing     map[ongoing]*waiter
	waiters     []*waiter // the same, the first one first
	building    int       // circuits for them
	ahead       int       // circuits being built for nobody
	aheadAfter  time.Time // none before it: they failed
	quietUntil  time.Time // few before it: the client has just started
	heads       []head    // handshakes begun ahead, the oldest first
	needs       map[need]*demand
	failed      map[record.RID]time.Time
	hanging     map[record.RID]hanging
	exitsFailed map[record.RID]time.Time // as last hops, since one worked
	probed      time.Time
	peers       map[record.RID]named // of Config.Peers; nil: none was tried
	probing     *probing             // the probe that is being made; nil: none
	carrying    map[*link.Link]int   // circuits, also such as are being built
	trouble     string               // why the bootstrap stands still
	outage      outage               // why there is no circuit, once there was one
	mend        string               // what to do about it
	unsaved     int                  // what could not be saved when that was last tried
	closing     bool
	age         uint64 // how often there was a new identity
}

// ErrConfig says that a Config breaks its rules.
var ErrConfig = errors.New("client: the configuration is incomplete")

// New checks c and returns a client that Run starts. It does no I/O.
func New(c Config) (*Client, error) {
	if c.Genesis == nil || c.Transport == nil || c.Rand == nil {
		return nil, ErrConfig
	}
	if c.Hops == 0 {
		c.Hops = DefaultHops
	}
	if c.Hops < MinHops || c.Hops > MaxHops {
		return nil, ErrConfig
	}
	if len(c.Peers) > MaxPeers {
		return nil, ErrConfig
	}
	for _, p := range c.Peers {
		if len(p.Addresses) == 0 || len(p.Addresses) > MaxPeerAddresses {
			return nil, ErrConfig
		}
	}
	if c.CircuitDirtiness == 0 {
		c.CircuitDirtiness = DefaultCircuitDirtiness
	}
	if c.CircuitDirtiness < MinCircuitDirtiness || c.CircuitDirtiness > MaxCircuitDirtiness {
		return nil, ErrConfig
	}
	if len(c.Ports) > MaxPorts || slices.Contains(c.Ports, 0) {
		return nil, ErrConfig
	}
	if c.Verifier == nil {
		c.Verifier = vote.Plain{}
	}
	if c.Anchor != nil {
		if err := c.Anchor.Verify(c.Genesis, c.Verifier); err != nil {
			return nil, errors.Join(ErrConfig, err)
		}
	}
	cl := &Client{
		cfg: c, doc: c.Genesis, nid: c.Genesis.NetworkID(), dir: newDirectory(&c),
		params: circuitParams(&c.Genesis.Params),
		ready:  make(chan struct{}),
		over:   make(chan struct{}),
		work:   make(chan struct{}, 1),
		save:   make(chan struct{}, 1), writing: make(chan struct{}, 1),
		builds:  make(chan struct{}, maxBuilding),
		ongoing: make(map[ongoing]*waiter),
		needs:   make(map[need]*demand),
		failed:  make(map[record.RID]time.Time),

		carrying: make(map[*link.Link]int),
	}
	cl.askLast = cl.throughCircuit
	if c.Events != nil {
		cl.stories.tell = c.Events
	}
	cl.cells.New = func() any { b := make([]byte, readBuffer); return &b }
	return cl, nil
}

// Run connects to the network and serves requests until ctx ends and everything
// it started has ended. It returns nil then, or the first cause.
func (c *Client) Run(ctx context.Context) error {
	defer close(c.over)
	if err := c.loadGuards(); err != nil {
		return err
	}
	c.loadDirectory()
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	c.life = ctx
	c.links = link.NewPool(link.PoolConfig{Dial: c.dialLink})
	c.tasks.Add(1)
	go func() {
		defer c.tasks.Done()
		c.saveGuards(life)
	}()
	if c.bootstrap(ctx) {
		for _, task := range []func(context.Context){c.follow, c.checkDaily, c.refreshGuards} {
			c.tasks.Go(func() { task(life) })
		}
		c.maintain(ctx)
	}
	c.shutdown()
	end()
	_ = c.links.Close()
	c.tasks.Wait()
	return nil
}

// Ready is closed when the first circuit is open.
func (c *Client) Ready() <-chan struct{} { return c.ready }

// shutdown closes every circuit.
func (c *Client) shutdown() {
	c.mu.Lock()
	c.closing = true
	for _, h := range c.heads {
		h.p.Wipe()
	}
	c.heads = nil
	open := append([]*circ(nil), c.open...)
	c.mu.Unlock()
	var wg sync.WaitGroup
	for _, q := range open {
		wg.Add(1)
		go func() {
			defer wg.Done()
			q.close()
		}()
	}
	wg.Wait()
}

// NewIdentity closes every circuit that carries no stream and retires the others:
// requests from now on share no circuit with earlier ones, those included that are under
// way. Stories are forgotten. Spec: product §4.5 (ISO-1), §4.6.
func (c *Client) NewIdentity() {
	c.mu.Lock()
	for _, q := range c.open {
		q.retired = true
	}
	c.age++
	c.mu.Unlock()
	c.stories.forget()
	c.kick()
	c.tell(Event{Kind: EventCircuit, State: "new_identity"})
}

// CloseCircuit closes an open circuit, named as in CircuitExplained; the streams that it
// carries break. It is false when there is none of that name. It does not wait.
func (c *Client) CloseCircuit(id string) bool {
	c.mu.Lock()
	i := slices.IndexFunc(c.open, func(q *circ) bool { return q.id == id })
	if i < 0 || c.closing {
		c.mu.Unlock()
		return false
	}
	q := c.open[i]
	q.retired = true
	c.open = slices.Delete(c.open, i, i+1)
	c.tasks.Add(1)
	c.mu.Unlock()
	c.kick()
	c.tell(Event{Kind: EventCircuit, ID: id, State: "closed"})
	go func() {
		defer c.tasks.Done()
		q.close()
	}()
	return true
}

// begin counts a goroutine that Run waits for. It is false when Run is ending.
func (c *Client) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return false
	}
	c.tasks.Add(1)
	return true
}

// buffer and release lend read buffers, so that idle circuits hold none.
func (c *Client) buffer() *[]byte   { return c.cells.Get().(*[]byte) }
func (c *Client) release(b *[]byte) { c.cells.Put(b) }

// circuitParams takes the circuit's parameters out of the network's.
func circuitParams(p *genesis.Params) circuit.Params {
	return circuit.Params{
		WindowInit: p.WindowInit, WindowMin: p.WindowMin, WindowMax: p.WindowMax,
		AckEvery: p.AckEvery, Alpha: p.Alpha, Beta: p.Beta, Gamma: p.Gamma, Delta: p.Delta,
		CreditSize: p.StreamCredit,
	}
}
