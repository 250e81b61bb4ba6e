// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"strings"
	"time"

	"chive/circuit/handshake"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/transition"
	"chive/internal/redact"
	"chive/link"
	"chive/relay"
	"chive/relay/exit"
)

// DefaultListen is where a relay accepts links.
const DefaultListen = "0.0.0.0:9240"

// RelayOptions say what relay to run.
type RelayOptions struct {
	State   string // folder
	Genesis string // file
	Listen  string // IP:PORT
	Exit    string // off, web, reduced or a file of rules; empty: off
	About   About
	Log     Log
	// Ready is called once, when links are accepted. Nil is allowed.
	Ready func(RelayReady)
}

// RelayReady is what a relay says when it serves. Spec: product CLI-8.
type RelayReady struct {
	Network     string
	Testnet     bool
	Listen      netip.AddrPort
	Published   []netip.AddrPort
	ConfirmedBy int    // relays that dialled back
	Exit        string // off, web, reduced, or custom
	Took        time.Duration
	Notes       []string // what the operator should look at
}

// RunRelay runs a relay until ctx ends; then it drains and returns nil. In this
// version a relay must be one of the network's founders.
func RunRelay(ctx context.Context, o RelayOptions) error {
	began := time.Now()
	listen, err := parseListen("--listen", o.Listen)
	if err != nil {
		return err
	}
	policy, err := exitPolicy(o.Exit)
	if err != nil {
		return err
	}
	doc, err := loadGenesis(o.Genesis)
	if err != nil {
		return err
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
	if err := state.needKeys(); err != nil {
		return err
	}
	if err := state.Lock(); err != nil {
		return err
	}
	keys, err := state.loadKeys()
	if err != nil {
		return err
	}
	defer keys.wipe()
	view := transition.Genesis(doc).Snapshot()
	self, err := keys.self(state, doc, view.Table())
	if err != nil {
		return err
	}
	if err := checkExit(policy, o.Exit, self.Policy); err != nil {
		return err
	}
	about, err := state.about(o.About)
	if err != nil {
		return err
	}
	if err := about.needContact(len(self.Policy) > 0); err != nil {
		return err
	}
	if err := state.keepAbout(about); err != nil {
		return err
	}
	if err := keys.rotateOnion(rand.Reader, time.Now(), doc.Params.OnionLife, doc.Params.OnionOverlap, self.Onion); err != nil {
		return err
	}

	identity := keys.identityKey()
	defer clear(identity)
	cfg := relay.Config{
		Genesis: doc, View: view, Identity: identity, Transport: link.TCP{}, Listen: listen, Rand: rand.Reader, Log: log,
	}
	for _, k := range keys.onion {
		cfg.Onion = append(cfg.Onion, handshake.NewOnionKey(&k.seed))
	}
	if len(self.Policy) > 0 {
		if cfg.Exit, err = newExit(policy, doc, view.Table(), self); err != nil {
			return fault(Failed, "relay_failed", "Report this as a fault of chive.", "The exit cannot be set up")
		}
	}
	role, err := relay.New(cfg)
	if err != nil {
		return fault(Failed, "relay_failed", "Report this as a fault of chive.", "The relay cannot be set up")
	}
	ended := make(chan error, 1)
	go func() { ended <- role.Run(ctx) }()
	select {
	case <-role.Ready():
		if o.Ready != nil {
			o.Ready(RelayReady{
				Network: doc.Name, Testnet: doc.Testnet, Listen: role.Addr(), Published: self.Addresses,
				Exit: exitName(o.Exit), Took: time.Since(began), Notes: listenNotes(role.Addr(), self.Addresses),
			})
		}
		err = <-ended
	case err = <-ended:
	}
	return relayFault(err, o.Listen)
}

// self finds this relay in the table, and refuses keys that the table does not
// name: clients could not use the relay.
func (k *relayKeys) self(s *State, doc *genesis.Document, table *snapshot.Table) (*snapshot.Relay, error) {
	public, err := k.identity.public()
	if err != nil {
		return nil, err
	}
	self, ok := table.Relay(record.NewRID(doc.NetworkID(), public[:]))
	if !ok {
		return nil, fault(Usage, "not_founder",
			"Check --state and --genesis. To found a network: chive keys founder for each relay, chive network new, chive network sign by each founder.",
			"The relay in %s is not a founder of the network %s, and this version runs founders only: joining a running network comes later", s.dir, doc.Name)
	}
	if !k.onion.names(self.Onion) {
		return nil, fault(Usage, "onion_mismatch", "Restore the relay's keys from a backup.",
			"The key folder %s lacks the onion key that the network's table names for this relay", k.folder)
	}
	return self, nil
}

// newExit makes the exit. No client may reach a relay's link through it.
func newExit(policy *exit.Policy, doc *genesis.Document, table *snapshot.Table, self *snapshot.Relay) (*exit.Exit, error) {
	links := make(map[netip.AddrPort]bool)
	for i := range table.Len() {
		for _, a := range table.At(i).Addresses {
			links[a] = true
		}
	}
	return exit.New(exit.Config{
		Network: exit.System{}, Policy: policy, Testnet: doc.Testnet,
		Own: func() ([]netip.Addr, error) {
			own, err := exit.InterfaceAddrs()
			for _, a := range self.Addresses {
				own = append(own, a.Addr())
			}
			return own, err
		},
		Forbidden: func(a netip.AddrPort) bool { return links[a] },
	})
}

// exitName is the policy as a ready line shows it.
func exitName(name string) string {
	switch name {
	case "":
		return "off"
	case "off", "web", "reduced":
		return name
	}
	return "custom"
}

// listenNotes says what does not fit between where a relay listens and what the
// network knows.
func listenNotes(listen netip.AddrPort, published []netip.AddrPort) (notes []string) {
	var known []string
	samePort, allHere := false, true
	for _, p := range published {
		known = append(known, p.String())
		samePort = samePort || p.Port() == listen.Port()
		allHere = allHere && p.Addr().IsLoopback()
	}
	but := "The network knows this relay at " + strings.Join(known, " and ") + ", but it listens at " + listen.String()
	if listen.Addr().IsLoopback() && !allHere {
		notes = append(notes, but+", which only this machine reaches. Use --listen "+netip.AddrPortFrom(netip.IPv4Unspecified(), listen.Port()).String()+".")
	}
	if !samePort {
		notes = append(notes, but+": unless a router forwards to that port, nobody reaches it. Check --listen.")
	}
	return notes
}

// relayFault puts what ended a relay into words; nil stays nil.
func relayFault(err error, listen string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, relay.ErrListen):
		return listenFault("--listen", listen, redact.Classify(err))
	}
	return fault(Failed, "relay_failed", "Start it again; if it stops again, report it.", "The relay stopped (%s)", oneLine(err))
}
