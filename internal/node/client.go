// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"chive/client"
	"chive/client/proxy"
	"chive/directory/genesis"
	"chive/internal/config"
	"chive/internal/control"
	"chive/internal/store"
	"chive/internal/upstream"
	"chive/link"
)

// ClientOptions say what client to run.
type ClientOptions struct {
	State   string // folder
	Genesis string // file
	Anchor  string // file to begin with where nothing was saved lately; empty: none
	Socks   SocksOptions
	DNS     string // IP:PORT of loopback for DNS queries; empty: none
	Web     string // IP:PORT of loopback for the local page; empty: none
	// WebUsual says that nobody has named the page's port; see FrontOptions.
	WebUsual bool
	System   bool     // the service manager of the system runs the process
	Peers    []string // RID@IP:PORT: relays to ask first
	Hops     int      // client.MinHops to client.MaxHops; 0: the default
	// Dirtiness is how long a circuit takes new streams; 0: the default.
	Dirtiness time.Duration
	Ports     []uint16 // of relays that may be dialled; empty: all
	Upstream  string   // http://HOST:PORT or socks5://HOST:PORT that links pass; empty or off: none
	Effect    *Effect  // the configuration in force; nil: it is not shown
	// Check refuses what cannot be in such a network; nil: nothing.
	Check   func(testnet bool) error
	Wait    time.Duration // the client must be ready by then; 0: no bound
	Control ControlSocket
	Version string // of the program
	Log     Log
	// Progress is told how the bootstrap goes; it must not block. Nil is allowed.
	Progress func(client.Progress)
	// Ready is called once, when the first circuit is open. Nil is allowed.
	Ready func(ClientReady)
	// Tell is called with a sentence when something has happened that the user should
	// know: seldom, and by another goroutine. Nil is allowed.
	Tell func(text string)
	// Serving is called once, with what the control socket tells. Nil is allowed.
	Serving func(control.Source)
}

// ClientReady is what a client says when it can be used. Spec: product CLI-8.
type ClientReady struct {
	Network string
	Testnet bool
	Socks   []string
	DNS     string // host:port or off
	Web     string // address or off
	Page    string // address with a token, good once and for a minute; empty: no page
	Control string // unix:PATH or off
	Took    time.Duration
	Notes   []string // what the user should look at
}

// clientRun is a client that runs.
type clientRun struct {
	o       ClientOptions
	began   time.Time
	doc     *genesis.Document
	state   *State
	log     zerolog.Logger
	role    *client.Client
	noted   string // what the user should look at; empty: nothing
	front   *Front
	socket  net.Listener                    // nil: no control socket
	trouble atomic.Pointer[client.Progress] // what last held the bootstrap up
	beside  atomic.Pointer[besideRelay]     // nil: there is none, or none yet
}

// RunClient runs a client and its proxy until ctx ends; then it returns nil. The
// listeners accept from the start: requests wait while the client is starting.
func RunClient(ctx context.Context, o ClientOptions) error {
	r, err := prepareClient(o)
	if err != nil {
		return err
	}
	defer r.state.Close()
	if err := r.listen(); err != nil {
		return err
	}
	return r.run(ctx)
}

// prepareClient reads and checks all that a client needs, locks the state folder and
// makes the role; it opens no socket. The caller closes the state.
func prepareClient(o ClientOptions) (r *clientRun, err error) {
	r = &clientRun{o: o, began: time.Now()}
	if o.Hops != 0 && (o.Hops < client.MinHops || o.Hops > client.MaxHops) {
		return nil, fault(Usage, "hops", "Leave --hops out for circuits of 3 relays.", "--hops takes %d to %d", client.MinHops, client.MaxHops)
	}
	if err := o.Socks.Check(); err != nil {
		return nil, err
	}
	peers, err := parsePeers(o.Peers)
	if err != nil {
		return nil, err
	}
	if r.doc, err = loadGenesisFor(o.State, o.Genesis); err != nil {
		return nil, err
	}
	if err := checkPeers(r.doc.Testnet, peers); err != nil {
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
	if r.state, err = OpenState(o.State); err != nil {
		return nil, err
	}
	state := r.state
	defer func() {
		if err != nil {
			state.Close()
		}
	}()
	if err := r.state.Lock(); err != nil {
		return nil, err
	}
	if err := r.state.checkNetwork(r.doc); err != nil {
		return nil, err
	}
	carrier, err := transportOf(o.Upstream)
	if err != nil {
		return nil, err
	}
	saved := listStore{r.state.path(clientTableFile)}
	anchor, note, err := takeAnchor(o.Anchor, r.doc, func() uint64 { return heldEpoch(saved, r.doc) }, time.Now())
	if err != nil {
		return nil, err
	}
	r.noted = note
	r.role, err = client.New(client.Config{
		Genesis: r.doc, Transport: carrier, Hops: o.Hops, Peers: clientPeers(peers), Anchor: anchor,
		Store: guardStore{r.state.path(guardsFile)}, Directory: saved,
		Rand: rand.Reader, Log: r.log, Progress: r.progress, Events: r.event,
		CircuitDirtiness: o.Dirtiness, Ports: o.Ports, Proxied: r.proxied(),
	})
	if err != nil {
		return nil, fault(Failed, "client_failed", "Report this as a fault of chive.", "The client cannot be set up")
	}
	return r, nil
}

// transportOf is what links go through: the proxy that is named, or nothing between.
func transportOf(proxy string) (link.Transport, error) {
	if proxy == "" || proxy == string(config.Off) {
		return link.TCP{}, nil
	}
	t, err := upstream.Parse(proxy)
	if err != nil {
		return nil, fault(Usage, "upstream", "Write http://HOST:PORT or socks5://HOST:PORT.", "client.upstream names no proxy")
	}
	return t, nil
}

// event passes on what the client says that changed. The front is open before the client
// runs.
func (r *clientRun) event(e client.Event) { r.front.Event(e) }

// progress passes a step on, and remembers what holds the client up.
func (r *clientRun) progress(p client.Progress) {
	p = r.withPeers(p)
	if p.Cause != "" && (p.Cause != "no_peers" || r.trouble.Load() == nil) { // what the guards did says more than that none is left
		r.trouble.Store(&p)
	}
	if r.o.Progress != nil {
		r.o.Progress(p)
	}
}

// listen opens the proxy's listeners and the control socket, and binds the state
// folder to the network. After an error none stays open.
func (r *clientRun) listen() (err error) {
	if r.front, err = OpenFront(FrontOptions{Socks: r.o.Socks, DNS: r.o.DNS, Web: r.o.Web, WebUsual: r.o.WebUsual}); err != nil {
		return err
	}
	if r.socket, err = OpenControl(r.o.Control); err == nil {
		if err = r.state.bindNetwork(r.doc); err == nil {
			r.state.sayControl(r.o.Control)
			return nil
		}
	}
	r.closeSockets()
	return err
}

// closeSockets closes what listen has opened.
func (r *clientRun) closeSockets() {
	r.front.Close()
	if r.socket != nil {
		_ = r.socket.Close()
	}
}

// run runs the role, its proxy and its control socket, and ends all of them when the
// role or the proxy ends. The control socket tells of the relay beside it, too.
func (r *clientRun) run(ctx context.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer end(nil)
	tell := teller(r.o.Tell)
	source := &ClientSources{
		Sources: &Sources{Document: r.doc, Version: r.o.Version, Client: r.role, Folder: r.state.dir, Debug: r.o.Effect.debugs(r.doc.Testnet)}, Front: r.front, Effect: r.o.Effect,
	}
	source.beside = r.beside.Load
	source.places = func() []control.Listener {
		places := r.front.Places()
		if b := r.beside.Load(); b != nil {
			places = append(places, b.run.metrics.places()...)
		}
		return places
	}
	r.follow()
	if r.o.Serving != nil {
		r.o.Serving(source)
	}
	tasks.Go(func() {
		end(r.state.clientFault(r.role.Run(ctx), r.doc))
	})
	tasks.Go(func() {
		if err := r.front.Serve(ctx, r.role, r.doc.Testnet, r.log); err != nil {
			end(err)
		}
	})
	tasks.Go(func() {
		Notifier{}.Watch(ctx, func() bool { return source.Status() != nil })
	})
	tasks.Go(func() {
		r.front.ServePage(ctx, source, tell)
	})
	tasks.Go(func() {
		if err := ServeControl(ctx, r.socket, source); err != nil {
			tell(err.Error() + ". Everything else goes on.")
		}
	})
	if hops := max(r.o.Hops, client.DefaultHops); len(r.doc.Founders) < hops {
		tell(fmt.Sprintf("The network %s began with %s, but circuits need %d: this client works once others have joined.", r.doc.Name, count(len(r.doc.Founders), "relay"), hops))
	}
	if err := r.await(ctx); err != nil {
		return err
	}
	select {
	case <-r.role.Ready():
		if r.o.Ready != nil {
			r.o.Ready(r.ready())
		}
		tasks.Go(func() { watchClient(ctx, func() *control.Client { return source.Status().Client }, tell) })
	default:
	}
	<-ctx.Done()
	return stopped(ctx)
}

// ready says that the client can be used.
func (r *clientRun) ready() ClientReady {
	out := ClientReady{Network: r.doc.Name, Testnet: r.doc.Testnet, Control: r.o.Control.Shown(), Took: time.Since(r.began)}
	out.Socks, out.DNS, out.Web = r.front.Names(), r.front.DNSName(), r.front.PageName()
	out.Page = r.front.PageAddress()
	if r.noted != "" {
		out.Notes = append(out.Notes, r.noted)
	}
	if note := r.front.pageNote(); note != "" {
		out.Notes = append(out.Notes, note)
	}
	if note := r.o.Control.note(); note != "" {
		out.Notes = append(out.Notes, note)
	}
	return out
}

// await waits for the first circuit. It returns nil if ctx ended without a fault, too.
func (r *clientRun) await(ctx context.Context) error {
	var expired <-chan time.Time
	if r.o.Wait > 0 {
		t := time.NewTimer(r.o.Wait)
		defer t.Stop()
		expired = t.C
	}
	select {
	case <-r.role.Ready():
		return nil
	case <-expired:
		return notReady(r.o.Wait, r.trouble.Load(), r.role.Status(), clientPeersPart(r.role.Peers()), r.proxied())
	case <-ctx.Done():
		return stopped(ctx)
	}
}

// proxied reports whether links pass a proxy, whose faults are not the relays'.
func (r *clientRun) proxied() bool { return r.o.Upstream != "" && r.o.Upstream != string(config.Off) }

// notReady says why a client was not ready in time. While no relay has given it a list,
// those that it asked are no guards of it, whatever they did. peers are those that its user
// has named.
func notReady(wait time.Duration, last *client.Progress, s client.Status, peers []control.Peer, proxied bool) *Fault {
	fix := "Check that the network's relays run, or give it longer: --wait D."
	why := ""
	if last != nil {
		why = ": " + last.Text
	}
	if last != nil && last.Cause == "clock_skew" {
		why = strings.TrimSuffix(why, ". Set the clock.")
		fix = "Set the clock, and let the system keep it: timedatectl set-ntp true."
	}
	if proxied && last != nil && slices.Contains([]string{"no_route", "proxy_auth", "filtered"}, last.Cause) {
		fix = "Check the proxy that client.upstream names. Or give it longer: --wait D."
	}
	if s.Fetched.IsZero() && !proxied && (last == nil || slices.Contains([]string{"refused", "filtered", "no_peers"}, last.Cause)) {
		known := count(s.Relays.Listed, "relay") + " that this client knows"
		switch {
		case len(peers) == 1:
			known += ", nor the one that --peer names,"
		case len(peers) > 1:
			known += ", nor of the " + strconv.Itoa(len(peers)) + " that --peer names,"
		}
		why = ": none of the " + known + " has given it a list of relays"
		if text := peersText(peers); text != "" {
			why += ". " + strings.TrimSuffix(text, ".")
		}
		fix = "Check that this machine reaches other places, and that the network's relays run. If those that this client knows are gone, name one that runs: --peer RID@IP:PORT; its operator's chive status shows both. Or give it longer: --wait D."
	}
	return fault(Unreachable, "not_ready", fix, "The network was not reached within %v%s", wait, why)
}

// stopped returns the fault that ended ctx, or nil if its parent ended.
func stopped(ctx context.Context) error {
	var f *Fault
	if cause := context.Cause(ctx); errors.As(cause, &f) {
		return cause
	}
	return nil
}

// clientFault puts what ended a client into words; nil stays nil.
func (s *State) clientFault(err error, doc *genesis.Document) error {
	path := s.path(guardsFile)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, client.ErrStore): // the file may be whole
		return fileFault(path, "file of the guards", err)
	case errors.Is(err, client.ErrState):
		return fault(Usage, "guards_damaged",
			"Put a copy of it back, if there is one. Without one the guards are lost: move it away, and fresh ones are drawn, which shows this client to more relays: mv "+quote(path)+" "+quote(path+".damaged"),
			"The guards saved in %s are damaged", path)
	}
	return fault(Failed, "client_failed", "Check the network's document: chive network lint FILE.",
		"The client of the network %s stopped (%s)", doc.Name, oneLine(err))
}

// ServeProxy runs a proxy on each of the listeners and carries what programs ask
// for through c, until ctx ends. It closes the listeners. testnet comes from the
// genesis document.
func ServeProxy(ctx context.Context, c *client.Client, listeners []Listener, testnet bool, log zerolog.Logger) error {
	f := &Front{automap: proxy.NewAutomap(nil)}
	for _, l := range listeners {
		f.socks = append(f.socks, newDoor(l, l.Name))
	}
	return f.Serve(ctx, c, testnet, log)
}

// guardStore keeps the guards in a file that others cannot read.
type guardStore struct{ path string }

// Load implements client.Store.
func (g guardStore) Load() ([]byte, error) { return orNothing(store.ReadKey(g.path)) }

// Save implements client.Store.
func (g guardStore) Save(state []byte) error { return store.WriteFile(g.path, state) }

// listStore keeps the client's list of relays in a file.
type listStore struct{ path string }

// maxListSize bounds what is read of it, in bytes: more than a list of 100,000 relays
// has.
const maxListSize = 64 << 20

// Load implements client.Store.
func (l listStore) Load() ([]byte, error) { return orNothing(store.ReadFile(l.path, maxListSize)) }

// Save implements client.Store.
func (l listStore) Save(state []byte) error { return store.WriteFile(l.path, state) }

// orNothing makes a file that is not there nothing saved.
func orNothing(data []byte, err error) ([]byte, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}
