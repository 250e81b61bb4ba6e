// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"chive/client"
	"chive/client/proxy"
	"chive/directory/genesis"
	"chive/directory/transition"
	"chive/internal/store"
	"chive/link"
)

// ClientOptions say what client to run.
type ClientOptions struct {
	State   string // folder
	Genesis string // file
	Socks   SocksOptions
	Hops    int           // client.MinHops to client.MaxHops; 0: the default
	Wait    time.Duration // the client must be ready by then; 0: no bound
	Log     Log
	// Progress is told how the bootstrap goes; it must not block. Nil is allowed.
	Progress func(client.Progress)
	// Ready is called once, when the first circuit is open. Nil is allowed.
	Ready func(ClientReady)
}

// ClientReady is what a client says when it can be used. Spec: product CLI-8.
type ClientReady struct {
	Network string
	Testnet bool
	Socks   []string
	Took    time.Duration
}

// RunClient runs a client and its proxy until ctx ends; then it returns nil. The
// listeners accept from the start: requests wait while the client is starting.
func RunClient(ctx context.Context, o ClientOptions) error {
	began := time.Now()
	if o.Hops != 0 && (o.Hops < client.MinHops || o.Hops > client.MaxHops) {
		return fault(Usage, "hops", "Leave --hops out for circuits of 3 relays.", "--hops takes %d to %d", client.MinHops, client.MaxHops)
	}
	if err := o.Socks.Check(); err != nil {
		return err
	}
	doc, err := loadGenesis(o.Genesis)
	if err != nil {
		return err
	}
	if hops := max(o.Hops, client.DefaultHops); len(doc.Founders) < hops {
		return fault(Usage, "too_few_relays", "Use a network with more relays, or fewer hops.",
			"The network %s has %d relays, but circuits need %d", doc.Name, len(doc.Founders), hops)
	}
	log, err := o.Log.Logger(doc.Testnet)
	if err != nil {
		return err
	}
	state, err := OpenState(o.State)
	if err != nil {
		return err
	}
	defer state.Close()
	if err := state.Lock(); err != nil {
		return err
	}
	if err := state.checkNetwork(doc); err != nil {
		return err
	}
	var trouble atomic.Pointer[string]
	tell := o.Progress
	o.Progress = func(p client.Progress) {
		if p.Cause != "" && (p.Cause != "no_peers" || trouble.Load() == nil) { // what the guards did says more than that none is left
			trouble.Store(&p.Text)
		}
		if tell != nil {
			tell(p)
		}
	}
	role, err := client.New(client.Config{
		Genesis: doc, View: transition.Genesis(doc).Snapshot(), Transport: link.TCP{}, Hops: o.Hops,
		Store: guardStore{state.path(guardsFile)}, Rand: rand.Reader, Log: log, Progress: o.Progress,
	})
	if err != nil {
		return fault(Failed, "client_failed", "Report this as a fault of chive.", "The client cannot be set up")
	}
	listeners, err := ListenSocks(o.Socks)
	if err != nil {
		return err
	}
	if err := state.bindNetwork(doc); err != nil {
		closeAll(listeners)
		return err
	}
	return runClient(ctx, role, listeners, log, doc, state, o, began, &trouble)
}

// runClient runs the role and its proxy, and ends both whichever ends first.
func runClient(ctx context.Context, role *client.Client, listeners []Listener, log zerolog.Logger,
	doc *genesis.Document, state *State, o ClientOptions, began time.Time, trouble *atomic.Pointer[string]) error {
	ctx, end := context.WithCancelCause(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer end(nil)
	tasks.Go(func() {
		end(state.clientFault(role.Run(ctx), doc))
	})
	tasks.Go(func() {
		if err := ServeProxy(ctx, role, listeners, doc.Testnet, log); err != nil {
			end(err)
		}
	})
	if err := awaitClient(ctx, role, o.Wait, trouble); err != nil {
		return err
	}
	select {
	case <-role.Ready():
		if o.Ready != nil {
			r := ClientReady{Network: doc.Name, Testnet: doc.Testnet, Took: time.Since(began)}
			for _, l := range listeners {
				r.Socks = append(r.Socks, l.Name)
			}
			o.Ready(r)
		}
	default:
	}
	<-ctx.Done()
	return stopped(ctx)
}

// awaitClient waits for the first circuit. It returns nil if ctx ended without a
// fault, too. trouble says what last held the bootstrap up.
func awaitClient(ctx context.Context, role *client.Client, patience time.Duration, trouble *atomic.Pointer[string]) error {
	var expired <-chan time.Time
	if patience > 0 {
		t := time.NewTimer(patience)
		defer t.Stop()
		expired = t.C
	}
	select {
	case <-role.Ready():
		return nil
	case <-expired:
		why := ""
		if text := trouble.Load(); text != nil {
			why = ": " + *text
		}
		return fault(Unreachable, "not_ready", "Check that the network's relays run, or give it longer: --wait D.", "The network was not reached within %v%s", patience, why)
	case <-ctx.Done():
		return stopped(ctx)
	}
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
	case errors.Is(err, client.ErrState):
		return fault(Usage, "guards_damaged", "Restore it from a backup. Removing it draws fresh guards, which shows this client to more relays.",
			"The guards saved in %s cannot be read", path)
	}
	return fault(Failed, "client_failed", "Check the network's document: chive network lint FILE.",
		"The client of the network %s stopped (%s)", doc.Name, oneLine(err))
}

// ServeProxy runs a proxy on each of the listeners and carries what programs ask
// for through c, until ctx ends. It closes the listeners. testnet comes from the
// genesis document.
func ServeProxy(ctx context.Context, c *client.Client, listeners []Listener, testnet bool, log zerolog.Logger) error {
	gate := proxy.NewGate(proxy.DefaultHandshakes, proxy.DefaultStreams)
	lookups := new(proxy.Lookups)
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	var tasks sync.WaitGroup
	for _, l := range listeners {
		s, err := proxy.New(proxy.Config{
			Options: proxy.Options{Name: l.Name, AllowRemote: true, Testnet: testnet, Log: log}, // ListenSocks has judged the address
			Dialer:  dialer{c}, ListenPacket: listenPacket, Gate: gate, Lookups: lookups,
		})
		if err != nil {
			end(fault(Failed, "proxy_failed", "Report this as a fault of chive.", "The proxy cannot be set up"))
			_ = l.Close()
			continue
		}
		tasks.Go(func() {
			if err := s.Serve(ctx, l); err != nil {
				end(fault(Failed, "proxy_failed", "Start chive again.", "The proxy at %s stopped", l.Name))
			}
		})
	}
	<-ctx.Done()
	tasks.Wait()
	return stopped(ctx)
}

// bindNetwork notes the network of a client's first run for checkNetwork.
func (s *State) bindNetwork(doc *genesis.Document) error {
	if _, err := s.folder(clientFolder); err != nil {
		return err
	}
	path := s.path(networkFile)
	if there, err := exists(path, "file"); err != nil || there {
		return err
	}
	if err := store.WriteFile(path, []byte(networkLine(doc)+"\n")); err != nil {
		return fileFault(path, "file", err)
	}
	return nil
}

// networkLine is what the file says about the network.
func networkLine(doc *genesis.Document) string {
	nid := doc.NetworkID()
	return hex.EncodeToString(nid[:]) + " " + doc.Name
}

// checkNetwork keeps one network's guards from being used in another.
func (s *State) checkNetwork(doc *genesis.Document) error {
	path := s.path(networkFile)
	data, err := store.ReadFile(path, maxSmallSize)
	line := networkLine(doc)
	switch kept := strings.TrimSpace(string(data)); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fileFault(path, "file", err)
	case kept != line:
		return fault(Usage, "other_network", "Give this network a folder of its own: --state DIR. Or, if the old network is gone for good: rm -r "+quote(s.path(clientFolder)),
			"The state folder %s holds the guards of another network (%s), not of this one (%s)", s.dir, shortNetwork(kept), shortNetwork(line))
	}
	return nil
}

// shortIDSize is how many digits of a network id tell two networks apart for a
// person.
const shortIDSize = 8

// shortNetwork shows a line of networkLine: the name, which says little, and the
// id's beginning.
func shortNetwork(line string) string {
	id, name, _ := strings.Cut(line, " ")
	if name == "" || len(name) > genesis.MaxNameSize {
		return "unnamed"
	}
	return fmt.Sprintf("%q, id %.*s...", name, shortIDSize, id)
}

// guardStore keeps the guards in a file.
type guardStore struct{ path string }

// Load implements client.Store.
func (g guardStore) Load() ([]byte, error) {
	data, err := store.ReadKey(g.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// Save implements client.Store.
func (g guardStore) Save(state []byte) error { return store.WriteFile(g.path, state) }
