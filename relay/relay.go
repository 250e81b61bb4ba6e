// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"crypto/ed25519"
	"errors"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"chive/circuit"
	"chive/circuit/cell"
	"chive/circuit/handshake"
	"chive/directory/genesis"
	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/directory/transition"
	"chive/directory/vote"
	"chive/internal/limit"
	"chive/link"
	"chive/relay/exit"
)

// Config is what a relay needs. It is read once, by New; About, Exit and DrainTimeout
// can be changed later.
type Config struct {
	// Genesis is the document the network begins with.
	Genesis *genesis.Document
	// Identity is the relay's own signing key; nil where Certified is set.
	Identity ed25519.PrivateKey
	// Certified keeps what the relay's identity has certified ahead, where the identity's
	// key is kept offline; nil: Identity is here.
	Certified CertifiedKeys
	// Keys are its other keys.
	Keys Keyring
	// About is what its descriptor says.
	About About
	// Store is the directory's memory; nil: none beyond this Relay, in a testnet only.
	Store Store
	// Verifier checks signatures and VRF proofs; nil: one by one, without memory.
	Verifier vote.Verifier
	// Voucher is a sponsor's signed voucher, for joining; nil: none.
	Voucher []byte
	// Anchor is what to begin with where what is stored is too old; nil: the document.
	Anchor *dirsync.AnchorFile
	// Peers are relays that the operator knows, to begin with where those of the
	// newest list do not answer; nil is fine as long as founders, or relays of the
	// saved list, are there. At most MaxPeers.
	Peers []Peer
	// Transport carries links.
	Transport link.Transport
	// Listen is where links are accepted. Port 0 lets the system choose.
	Listen netip.AddrPort
	// Exit connects to destinations; nil: this relay is no exit.
	Exit *exit.Exit
	// Memory is the account of what this relay keeps for others; nil: one without a
	// bound. Spec: product §6 (REL-5).
	Memory *limit.Memory
	// DrainTimeout is how long open circuits may go on after Run was asked to
	// end; zero means 30 seconds, negative not at all. It is a limit: Run ends as
	// soon as none is open, or none had a cell for about 5 seconds.
	DrainTimeout time.Duration
	// Rand feeds keys and handshakes. In a public network it must be the
	// system's source.
	Rand io.Reader
	// Log receives rare lifecycle lines; the zero value is silent.
	Log zerolog.Logger
	// Observer is told what this relay sees; only a testnet may have one.
	Observer Observer
}

// Observer sees what a relay sees, for experiments. Its methods must not block
// or keep the slices they are given.
type Observer interface {
	// Link is called when a link is up; peer is the zero RID for a client.
	Link(peer record.RID)
	// Cell is called for each cell as it arrives from peer, before any layer
	// is touched, and as it leaves for peer. towardsClient tells the direction
	// of travel. Cells that this relay makes itself are not shown.
	Cell(peer record.RID, arriving, towardsClient bool, cell []byte)
	// Message is called for each recognised event a client asks of this relay.
	Message(e circuit.Event)
}

// Limits of our own; the rows are those of the threat model's budget.
const (
	readBuffer        = 16 * cell.Size // bytes one read takes at most
	maxCircuits       = 65_536         // circuits in all
	maxSeen           = 1 << 16        // handshakes remembered against replay, in each of two generations
	maxHandshakes     = 1_024          // CREATE cells waiting for the CPU (B9)
	maxOnwardDials    = 256            // onward dials under way (B10)
	onwardTimeout     = 10 * time.Second
	createTimeout     = 10 * time.Second // from a stream's opening to its CREATE
	handshakeWait     = 500 * time.Millisecond
	defaultDrain      = 30 * time.Second
	complainEvery     = time.Minute // one line in the log about the same trouble
	createBurstClient = 60          // B8
	createRateClient  = 2
	createBurstRelay  = 1_000
	createRateRelay   = 100
)

// Relay is the running role.
type Relay struct {
	cfg      Config
	rid      record.RID
	nid      [32]byte
	genesis  *genesis.Document
	params   circuit.Params
	buffers  circuit.Buffers
	cells    sync.Pool // *[]byte: read buffers of readBuffer bytes
	single   sync.Pool // *oneCell
	warm     warm
	store    Store
	wall     func() time.Time
	claims   *rate.Limiter // of evidence from clients
	work     chan struct{} // a token: there may be room for one more handshake
	dials    chan struct{} // tokens: onward dials
	renew    chan struct{} // a token: the link key is to be made anew
	pool     *link.Pool
	listener atomic.Pointer[link.Listener] // nil: it does not listen yet
	ready    chan struct{}
	drain    chan struct{}
	count    counters
	memory   *account
	tasks    sync.WaitGroup

	// Of a relay whose identity is offline.
	ends        atomic.Pointer[CertifiedStatus]
	uncertified atomic.Bool // nothing is certified any more

	drainOnce sync.Once
	leaves    atomic.Bool   // it drains for so long that others hear of it: it declares 0
	drainMost time.Duration // for open circuits, set before drain is closed; 0: DrainTimeout
	live      live

	// Lines about what fails for long, once a minute at most.
	idleLine, keyLine, memoryLine, storeLine rate.Sometimes
	nicknames                                atomic.Pointer[map[record.RID]string] // of relays of the list; nil: not gathered yet

	named namedPeers // how it went with Config.Peers

	// The line about another process with our key, once an hour at most.
	selfLine rate.Sometimes
	standing standing // the loop's; over its machines

	// What the directory's loop shows to everybody else.
	shown      atomic.Pointer[shown]
	remembers  atomic.Bool // shown is the loop's
	serve      atomic.Pointer[dirsync.Server]
	final      atomic.Pointer[dirsync.Final] // the newest that the machine holds
	onion      atomic.Pointer[[]*handshake.OnionKey]
	replica    atomic.Pointer[replica] // nil: none runs
	directory  atomic.Pointer[DirectoryStatus]
	onList     chan struct{} // closed once the relay is listed
	onListOnce sync.Once
	numbers    atomic.Uint64 // of gossip streams
	self       selfTest
	dialBacks  *dialBacks
	answering  atomic.Int64 // bytes of answers that are being written

	mu        sync.Mutex
	seen      *handshake.Filter
	listen    netip.AddrPort
	identity  *link.Identity
	circuits  map[*circ]struct{}
	waiting   int           // CREATE cells that wait for a handshake worker
	computing int           // handshakes being computed
	empty     chan struct{} // closed when the last circuit ends; nil: nobody waits
}

// ErrConfig says that a Config breaks its rules.
var ErrConfig = errors.New("relay: the configuration is incomplete")

// ErrNotTestnet says that a testnet-only setting met a public network.
var ErrNotTestnet = errors.New("relay: an observer is allowed in a testnet only")

// New checks c and returns a relay that Run starts. It does no I/O.
func New(c Config) (*Relay, error) {
	if c.Genesis == nil || (len(c.Identity) == ed25519.PrivateKeySize) == (c.Certified != nil) || c.Keys == nil || c.Transport == nil || c.Rand == nil {
		return nil, ErrConfig
	}
	doc := c.Genesis
	if c.Store == nil && !doc.Testnet {
		return nil, ErrConfig
	}
	if err := (&Relay{cfg: c}).CheckAbout(c.About); err != nil {
		return nil, err
	}
	if !peersFit(c.Peers) {
		return nil, ErrConfig
	}
	if c.Verifier == nil {
		c.Verifier = vote.Plain{}
	}
	if c.Anchor != nil {
		if err := c.Anchor.Verify(doc, c.Verifier); err != nil {
			return nil, errors.Join(ErrConfig, err)
		}
	}
	if c.Observer != nil && !doc.Testnet {
		return nil, ErrNotTestnet
	}
	seen, err := handshake.NewFilter(c.Rand, maxSeen)
	if err != nil {
		return nil, err
	}
	r := &Relay{
		seen: seen, store: c.Store, wall: time.Now, claims: rate.NewLimiter(claimsPerSecond, claimsAtOnce), onList: make(chan struct{}),
		cfg: c, genesis: doc, nid: doc.NetworkID(),
		params:   circuitParams(&doc.Params),
		work:     make(chan struct{}, 1),
		dials:    make(chan struct{}, maxOnwardDials),
		renew:    make(chan struct{}, 1),
		idleLine: rate.Sometimes{Interval: complainEvery}, keyLine: rate.Sometimes{Interval: complainEvery}, memoryLine: rate.Sometimes{Interval: complainEvery},
		storeLine: rate.Sometimes{Interval: complainEvery},
		selfLine:  rate.Sometimes{Interval: time.Hour},
		ready:     make(chan struct{}),
		circuits:  make(map[*circ]struct{}),
		drain:     make(chan struct{}),
		warm:      warm{some: make(chan struct{}, 1)},
	}
	r.memory = newAccount(c.Memory)
	r.buffers.Account = r.memory.queues
	r.rid = record.NewRID(r.nid, r.identityKey())
	r.live.begin(&r.cfg)
	r.dialBacks = newDialBacks()
	r.self.first, r.self.again = make(chan struct{}), make(chan struct{}, 1)
	if r.store == nil {
		r.store = NewMemoryStore()
	}
	r.serve.Store(dirsync.NewServer(doc))
	r.show(transition.Genesis(doc).Snapshot())
	r.cells.New = func() any { b := make([]byte, readBuffer); return &b }
	r.single.New = func() any { return new(oneCell) }
	return r, nil
}
