// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"chive/client"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	dirsync "chive/directory/sync"
	"chive/internal/control"
	"chive/internal/redact"
	"chive/relay"
	"chive/relay/exit"
)

// DefaultListen is where a relay accepts links.
const DefaultListen = "0.0.0.0:9240"

// RelayOptions say what relay to run.
type RelayOptions struct {
	State   string   // folder
	Genesis string   // file
	Anchor  string   // file to begin with where nothing was stored lately; empty: none
	Listen  string   // IP:PORT
	Peers   []string // RID@IP:PORT: relays to ask, beside those that the documents name
	Declaring
	Voucher string // file of a sponsor's voucher to join with; empty: the one in the state folder, if any
	Limits  RelayLimits
	// Metrics is where numbers for Prometheus are served: a loopback host:port, or
	// unix:/path; empty or off: nowhere.
	Metrics string
	Drain   time.Duration // for circuits in use when it ends; 0: 30 s, negative: none
	Effect  *Effect       // the configuration in force; nil: it is not shown
	// Check refuses what cannot be in such a network; nil: nothing.
	Check func(testnet bool) error
	// NAT says how to find an address that nobody has said; nil: one of this machine's, or none.
	NAT *NATOptions
	// Make makes keys and a declaration where the state folder has none.
	Make    bool
	Control ControlSocket
	Version string // of the program
	Log     Log
	// Ready is called once, when links are accepted. Nil is allowed.
	Ready func(RelayReady)
	// Tell is called with a sentence when something has happened that the operator
	// should know: seldom, and by another goroutine. Nil is allowed.
	Tell func(text string)
	// Waits is called each time when no router forwards a port to a relay that has no
	// address: it is not started, and the router is asked again. f says what to do. Nil: that
	// is a fault. AskAgain is how long it waits at first; 0: the usual time.
	Waits    func(f *Fault)
	AskAgain time.Duration
	// Serving is called once, with what the control socket tells; not beside a client,
	// whose options do. Nil is allowed.
	Serving func(control.Source)
}

// relayRun is a relay that is being put together.
type relayRun struct {
	o        RelayOptions
	began    time.Time
	listen   netip.AddrPort
	peers    []peer
	doc      *genesis.Document
	state    *State
	ring     *keyRing
	identity ed25519.PrivateKey // nil: offline
	offline  *certifiedSource   // nil: identity is here
	rid      record.RID
	declared atomic.Pointer[declared] // see declares
	voucher  *record.VoucherText      // nil: none
	late     string                   // why the voucher is left out; empty: it is not
	anchor   *dirsync.AnchorFile      // nil: none is needed
	table    *ledger
	allowed  *allowance
	log      zerolog.Logger
	role     *relay.Relay
	live     atomic.Pointer[relay.Relay] // the role, for whoever shows it
	noted    []string                    // what the operator should look at
	exit     atomic.Pointer[exit.Exit]   // nil: it never was one
	beside   *client.Client              // in the same process, set before it runs; nil: none
	front    *Front                      // of that client; nil: none
	hub      *control.Hub                // where its changes are told; nil until it runs or a client lends one
	metrics  metricsPort
	mu       sync.Mutex // while the role is made, or what it is made from changes
	place    place
}

// RunRelay runs a relay until ctx ends; then it drains and returns nil. The relay is
// one of the network's founders, or joins the network.
func RunRelay(ctx context.Context, o RelayOptions) error {
	state, err := OpenState(o.State)
	if err != nil {
		return err
	}
	defer state.Close()
	r, err := prepareRelay(ctx, o, state)
	if ctx.Err() != nil && err != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.close()
	socket, err := OpenControl(o.Control)
	if err != nil {
		return err
	}
	if err := r.begin(); err != nil {
		if socket != nil {
			_ = socket.Close()
		}
		return err
	}
	state.sayControl(o.Control)
	return r.run(ctx, socket)
}

// prepareRelay reads and checks all that a relay needs, locks the state folder and makes
// the role. It may ask the router for a port; it opens no other socket and writes nothing.
// The caller closes the relay, and the state after it. ctx bounds the asking.
func prepareRelay(ctx context.Context, o RelayOptions, state *State) (r *relayRun, err error) {
	r = &relayRun{o: o, began: time.Now(), state: state}
	asked := r
	defer func() {
		if err != nil {
			asked.place.release()
		}
	}()
	if r.listen, err = parseListen("--listen", o.Listen); err != nil {
		return nil, err
	}
	if r.peers, err = parsePeers(o.Peers); err != nil {
		return nil, err
	}
	if r.doc, err = loadGenesisFor(o.State, o.Genesis); err != nil {
		return nil, err
	}
	if err := checkPeers(r.doc.Testnet, r.peers); err != nil {
		return nil, err
	}
	if o.Check != nil {
		if err := o.Check(r.doc.Testnet); err != nil {
			return nil, err
		}
	}
	if r.log, err = o.Effect.logger(o.Log, r.doc.Testnet); err != nil {
		return nil, err
	}
	sayDebug(&r.log, o.Effect.debugs(r.doc.Testnet))
	if o.Make {
		if err := r.found(ctx); err != nil {
			return nil, err
		}
	}
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	if r.ring.offline == nil {
		r.identity = r.ring.identityKey()
	}
	var note string
	if r.allowed, note, err = state.openAllowance(o.Limits, o.Drain, time.Now()); err == nil {
		if note != "" {
			r.noted = append(r.noted, note)
		}
		o.Effect.limits(r.allowed)
		if err = r.build(); err == nil {
			r.follow()
		}
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// close wipes the keys, and closes the directory's table and what was opened.
func (r *relayRun) close() {
	r.place.release()
	r.metrics.close()
	clear(r.identity)
	if r.offline != nil {
		r.offline.wipe()
	}
	_ = r.table.Close()
	r.ring.wipe()
}

// begin opens the metrics' listener, keeps what the relay declares, and notes that it runs.
func (r *relayRun) begin() error {
	if err := r.metrics.open(r.o.Metrics); err != nil {
		return err
	}
	if err := r.state.keepDeclared(r.declares()); err != nil {
		return err
	}
	if r.voucher != nil && r.o.Voucher != "" {
		if err := r.state.keepVoucher(r.voucher); err != nil {
			return err
		}
	}
	return r.table.begin()
}

// open reads what the state folder holds: keys, declaration, the directory's table. It
// refuses what cannot work before anything is written.
func (r *relayRun) open(ctx context.Context) (err error) {
	if err := r.state.needKeys(); err != nil {
		return err
	}
	if err := r.state.checkRelayNetwork(r.doc, r.o.Genesis); err != nil {
		return err
	}
	if err := r.state.checkFounding(r.doc); err != nil {
		return err
	}
	if err := r.state.Lock(); err != nil {
		return err
	}
	p := r.doc.Params
	if r.ring, err = r.state.openRing(rand.Reader, r.doc.Time, p.OnionLife, p.OnionOverlap); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			r.ring.wipe()
		}
	}()
	if err := r.declare(ctx); err != nil {
		return err
	}
	if r.ring.offline != nil {
		if r.offline, err = r.state.openCertified(r.ring.relayKeys, r.doc, time.Now()); err != nil {
			return err
		}
	}
	if r.table, err = r.state.openLedger(r.doc); err != nil {
		return err
	}
	if err := r.takeAnchor(); err != nil {
		_ = r.table.Close()
		return err
	}
	return nil
}

// takeAnchor reads the anchor that is named, if it is needed.
func (r *relayRun) takeAnchor() error {
	held := func() uint64 {
		if stored, err := relay.StoredAnchor(r.doc, r.table, rand.Reader); err == nil {
			return stored.Epoch()
		}
		return 0
	}
	a, note, err := takeAnchor(r.o.Anchor, r.doc, held, time.Now())
	if note != "" {
		r.noted = append(r.noted, note)
	}
	r.anchor = a
	return err
}

// declare finds what the relay declares: what is said now, what was said before, or
// what a founder's record says.
func (r *relayRun) declare(ctx context.Context) error {
	public, err := r.ring.identityPublic()
	if err != nil {
		return err
	}
	nid := r.doc.NetworkID()
	r.rid = record.NewRID(nid, public[:])
	before, err := r.state.readDeclared()
	if err != nil {
		return err
	}
	d, err := r.state.declare(r.o.Declaring)
	if err != nil {
		return err
	}
	r.declared.Store(d)
	if note := d.otherThan(&before); note != "" {
		r.noted = append(r.noted, note)
	}
	f := founderOf(r.doc, public)
	if f != nil {
		if err := r.checkFounder(f); err != nil {
			return err
		}
		if len(d.Addresses) == 0 { // of a version that did not keep it
			d.Addresses, d.RateKbit = f.Addresses, f.DeclaredRate
			if len(f.Policy) > 0 && !d.isExit() {
				return fault(Usage, "exit_missing", "Say what it permits: --exit web, reduced, or a FILE of rules; or --exit off, if it is to be no exit any more.",
					"The founder's record of this relay says that it is an exit (%s), but the state folder does not hold its rules", describePolicy(f.Policy))
			}
		}
	}
	if len(d.Addresses) == 0 && r.asks() {
		if d.Addresses, err = r.locate(ctx); err != nil {
			return err
		}
	}
	if len(r.addresses(d)) == 0 {
		return fault(Usage, missingCode, "Say where others reach it: chive relay init --state "+quote(r.state.dir)+" --address IP:PORT. It keeps the relay's keys.",
			"The relay in %s does not say at what address others reach it", r.state.dir)
	}
	if d.unseen() {
		r.noted = append(r.noted, unseenNote+".")
	}
	if err := checkPublic(r.doc, r.addresses(d)); err != nil {
		return err
	}
	today := snapshot.Day(r.doc.Params, r.doc.EpochAt(time.Now()))
	if r.voucher, r.late, err = r.state.takeVoucher(r.o.Voucher, public, r.doc, today); err != nil {
		return err
	}
	return d.joinFamily(nid, r.rid)
}

// checkFounder refuses keys that are not those of the founder's record. Onion keys
// change: what is left of the first one tells.
func (r *relayRun) checkFounder(f *record.Founder) error {
	const fix = "Restore the relay's keys from a backup."
	if public, err := r.ring.vrf.public(); err != nil || public != f.VRF {
		return fault(Usage, "vrf_mismatch", fix, "The key folder %s lacks the vrf key that the founder's record of this relay names", r.ring.folder)
	}
	if r.ring.onion[len(r.ring.onion)-1].serial == firstSerial && !r.ring.onion.names(f.Onion) {
		return fault(Usage, "onion_mismatch", fix, "The key folder %s lacks the onion key that the founder's record of this relay names", r.ring.folder)
	}
	return nil
}

// build makes the role. It is called again when the role has rested.
func (r *relayRun) build() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.declares()
	cfg := relay.Config{
		Genesis: r.doc, Identity: r.identity, Keys: r.ring, About: r.about(d, r.allowed.declared(d.RateKbit, time.Now())),
		Store: r.table, Peers: relayPeers(r.peers), Anchor: r.anchor,
		Memory: r.allowed.memory, Transport: r.allowed.transport(), Listen: r.listen, DrainTimeout: r.o.Drain, Rand: rand.Reader, Log: r.log,
	}
	if r.offline != nil {
		cfg.Certified = r.offline
	}
	if r.voucher != nil {
		cfg.Voucher = r.voucher.Signed
	}
	var err error
	if d.isExit() {
		if cfg.Exit, err = r.newExit(d); err != nil {
			return err
		}
		r.exit.Store(cfg.Exit)
	}
	role, err := relay.New(cfg)
	if err != nil {
		return aboutFault(err)
	}
	r.role = role
	r.live.Store(role)
	r.ring.named = func(public [32]byte) bool {
		self, ok := role.View().Table().Relay(r.rid)
		return ok && self.Onion == public
	}
	return nil
}

// software is the program as the descriptor names it.
func software(version string) string {
	if version == "" {
		return ""
	}
	name := "chive " + version
	return name[:min(len(name), record.MaxSoftwareSize)]
}

// drainWords are said when the control socket has the relay drain.
const drainWords = "Draining, as the control socket was asked: no new circuits, and an end when those that are open have ended."

// run runs the role, its control socket and its watch. When the quota is used up the
// role drains and rests until the next period.
func (r *relayRun) run(ctx context.Context, socket net.Listener) error {
	if r.hub == nil {
		r.hub = new(control.Hub)
	}
	source := &RelaySources{Sources: &Sources{Document: r.doc, Version: r.o.Version, Relays: []RelaySource{r.source()}, Folder: r.state.dir, Debug: r.o.Effect.debugs(r.doc.Testnet)}, hub: r.hub, Effect: r.o.Effect}
	ctx, end := context.WithCancel(ctx)
	defer end()
	source.drain = func(after time.Duration) {
		teller(r.o.Tell)(drainWords)
		r.live.Load().DrainWithin(after)
		end()
	}
	source.places = r.metrics.places
	if r.o.Serving != nil {
		r.o.Serving(source)
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx)) // it tells of the drain, too
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer stop()
	tell := teller(r.o.Tell)
	tasks.Go(func() { r.stay(serving, tell) })
	tasks.Go(func() { r.publish(serving, ctx, r.hub) })
	tasks.Go(func() {
		if err := ServeControl(serving, socket, source); err != nil {
			tell(err.Error() + ". Everything else goes on.")
		}
	})
	tasks.Go(func() { r.serveMetrics(serving, tell) })
	tasks.Go(func() { heartbeat(serving, r.log, r.pulse) })
	tasks.Go(func() {
		Notifier{}.Watch(serving, func() bool { return source.Status() != nil })
	})
	first := true
	for {
		usedUp, err := r.work(ctx, tell, func() {
			if !first {
				return
			}
			first = false
			ready, listed := r.ready(), r.role.Listed()
			if ready.Listed {
				listed = nil
			}
			if r.o.Ready != nil {
				r.o.Ready(ready)
			}
			tasks.Go(func() {
				gone := false
				watchRelay(serving, func() control.Relay { return r.look(&source.Relays[0], &gone) }, listed, tell)
			})
		})
		if err != nil || !usedUp || ctx.Err() != nil {
			return err
		}
		_, next := r.allowed.used(time.Now())
		tell("The quota is used up: the relay rests until " + next.UTC().Format(time.DateTime) + " UTC, and goes on then by itself.")
		r.allowed.rest(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := r.build(); err != nil {
			return err
		}

	}
}

// work runs the role until ctx ends, or the quota is used up. ready is called when it
// accepts links.
func (r *relayRun) work(ctx context.Context, tell func(string), ready func()) (usedUp bool, err error) {
	ctx, rest := context.WithCancel(ctx)
	defer rest()
	counting, stop := context.WithCancel(context.WithoutCancel(ctx)) // while it drains, too
	var tasks sync.WaitGroup
	r.allowed.keep(tell) // before a byte passes
	tasks.Go(func() {
		r.allowed.watch(counting, tell, r.declareRate, func() {
			usedUp = true
			rest()
		})
	})
	ended := make(chan error, 1)
	go func() { ended <- r.role.Run(ctx) }()
	select {
	case <-r.role.Ready():
		if awaitTest(ctx, r.role, ended) {
			ready()
		}
		err = <-ended
	case err = <-ended:
	}
	stop()
	tasks.Wait()
	_ = r.allowed.count(time.Now(), true) // it was told when it could not be kept
	return usedUp, relayFault(err, r.o.Listen, r.state.path(tableFile))
}

// source is what the control socket tells of the relay.
func (r *relayRun) source() RelaySource {
	return RelaySource{live: &r.live, quota: r.allowed, said: r.declares, forwarded: r.place.forwarded, keysGone: func() (string, string) { return r.ring.gone(r.state.dir) }}
}

// newExit makes the exit, which reaches the outside through network. No client may reach
// a relay's link through it.
func newExit(network exit.Network, policy *exit.Policy, testnet bool, published func() []netip.AddrPort, isRelay func(netip.AddrPort) bool) (*exit.Exit, error) {
	return exit.New(exit.Config{
		Network: network, Policy: policy, Testnet: testnet,
		Own: func() ([]netip.Addr, error) {
			own, err := exit.InterfaceAddrs()
			for _, a := range published() {
				own = append(own, a.Addr())
			}
			return own, err
		},
		Forbidden: isRelay,
	})
}

// relayFault puts what ended a relay into words; nil stays nil.
func relayFault(err error, listen, table string) error {
	var own *Fault
	switch {
	case err == nil:
		return nil
	case errors.Is(err, relay.ErrListen):
		return listenFault("--listen", listen, redact.Classify(err))
	case errors.As(err, &own): // of the key ring
		return own
	case errors.Is(err, relay.ErrUncertified):
		return fault(Failed, "certificates_over", RenewFix+".", "What this relay's offline identity has certified is over: it took no new circuits any more, and has ended")
	case errors.Is(err, relay.ErrStore):
		return fileFault(table, "directory's store", err)
	}
	return fault(Failed, "relay_failed", "Start it again; if it stops again, report it.", "The relay stopped (%s)", oneLine(err))
}
