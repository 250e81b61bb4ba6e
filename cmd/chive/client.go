// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"chive/client"
	"chive/internal/config"
	"chive/internal/node"
)

type clientObject struct {
	Schema  string   `json:"schema"`
	Event   string   `json:"event"`
	Role    string   `json:"role"`
	Network string   `json:"network"`
	Testnet bool     `json:"testnet"`
	Socks   []string `json:"socks"`
	Seconds float64  `json:"took_seconds"`
	Control string   `json:"control"`
	Notes   []string `json:"notes,omitempty"`
	DNS     string   `json:"dns"`
	Web     string   `json:"web"`
	Relay   string   `json:"relay"`
}

const clientHelp = `Runs a client of a network: a local port for SOCKS and HTTP that programs use, until it
is interrupted. It carries nobody else's traffic; "chive up" can do both. The SOCKS port is
open at once, and requests wait while the client starts. It prints one line that begins
with "ready client" when its first circuit is open.

This version has no public network built in: name a network's genesis document. It asks
the network's founders for the list of relays, and the relays it has met before; where
none of them can be reached any more, --peer names others. "chive status" says how it
stands, and "chive status --web" prints the address of its page: both with the --state
that the client runs with, if it has one.`

func (a *app) clientCommand() *cobra.Command {
	var wait time.Duration
	c := &cobra.Command{
		Use: "client", Short: "run the proxy that programs use", Long: clientHelp, Args: exactly(),
		Example: "  chive client --genesis genesis.chive\n" +
			"  curl --proxy socks5h://127.0.0.1:9250 http://example.com/\n" +
			"  chive status",
		RunE: func(c *cobra.Command, _ []string) error {
			prepareProcess()
			endWithInput(c)
			cfg, err := a.configuration(c)
			if err != nil {
				return err
			}
			o, err := a.clientOptions(c, cfg, wait)
			if err != nil {
				return err
			}
			ctx, stop := untilSignal(c.Context(), func() { a.note("Stopping.") }, a.atOnce)
			defer stop()
			o.Effect.Without("relay.")
			o.Ready = a.whenClientReady(ctx, "off")
			heed, deaf := a.heed(o.Effect)
			defer deaf()
			o.Serving = heed
			return node.RunClient(ctx, o)
		},
	}
	clientFlags(c, &wait)
	endWithInputFlag(c)
	return c
}

// clientFlags are the flags of a command that runs a client. What they say is read by way
// of the configuration.
func clientFlags(c *cobra.Command, wait *time.Duration) {
	f := c.Flags()
	f.String("genesis", "", "the network's genesis document is in `FILE`")
	f.String("anchor", "", "begin with the anchor in `FILE` where nothing was fetched for long; chive network anchor makes one")
	f.StringSlice("socks", []string{node.DefaultSocks}, "programs find the proxy at `ADDR,...`: loopback IP:PORT, or unix:/PATH")
	f.String("dns", "off", "answer DNS queries at `ADDR`, such as "+config.DefaultDNS+"; loopback only")
	f.String("web", "auto", "the local page is at `ADDR`, loopback only; off: there is none; auto: "+config.DefaultWeb+", or none for a service of the system")
	f.StringArray("peer", nil, "ask the relay `RID@IP:PORT` first; repeat it for more")
	f.Int("hops", client.DefaultHops, fmt.Sprintf("build circuits of `N` relays, %d to %d", client.MinHops, client.MaxHops))
	f.DurationVar(wait, "wait", 0, "give up after `D`, such as 30s, and exit with 3 if the network is not reached by then")
}

// clientOptions are what the configuration says of the client.
func (a *app) clientOptions(c *cobra.Command, cfg *config.Config, wait time.Duration) (node.ClientOptions, error) {
	if c.Flags().Changed("wait") && wait <= 0 {
		return node.ClientOptions{}, usage(c, "--wait takes a duration above zero, such as 30s")
	}
	o := node.ClientOptions{
		State: a.global.state, Genesis: cfg.Network.Genesis, Anchor: cfg.Network.Anchor, Peers: cfg.Network.Peers, Hops: cfg.Client.Hops,
		Upstream: cfg.Client.Upstream, Dirtiness: cfg.Client.CircuitDirtiness, Wait: wait, Log: a.log("info"), Version: version,
		Effect: a.effect(c, cfg), Tell: a.tell, Progress: a.newProgress().step, Check: checkNetwork(cfg),
	}
	for _, p := range cfg.Client.Ports {
		o.Ports = append(o.Ports, uint16(p))
	}
	at := node.FrontOf(cfg, a.env.System, answers)
	o.Socks, o.DNS, o.Web, o.WebUsual, o.System = at.Socks, at.DNS, at.Web, at.WebUsual, a.env.System
	step := o.Progress
	o.Progress = func(p client.Progress) {
		step(p)
		if p.Percent < 100 {
			node.Notifier{}.Starting(p.Percent, p.Tag)
		}
	}
	var err error
	o.Control, err = a.controlSocket()
	return o, err
}

// checkNetwork refuses what the configuration may say in a testnet only.
func checkNetwork(cfg *config.Config) func(testnet bool) error {
	return func(testnet bool) error { return configFault(cfg.ForNetwork(testnet)) }
}

// prepareProcess sets up what a daemon's process needs. It is called before anything is
// said, which would be said twice otherwise.
func prepareProcess() {
	coarseTimers() // first: it may start the program again
	harden()
	node.TuneMemory()
}

// whenClientReady returns what is done when a client is ready, beside a relay or none.
func (a *app) whenClientReady(ctx context.Context, relay string) func(node.ClientReady) {
	return func(r node.ClientReady) {
		node.TuneProcessors(ctx)
		node.Notifier{}.Ready("connected")
		a.clientReady(r, relay)
	}
}

// clientReady prints the ready line. Spec: product CLI-8.
func (a *app) clientReady(r node.ClientReady, relay string) {
	a.answer(clientObject{"chive.client/1", "ready", "client", r.Network, r.Testnet, r.Socks, seconds(r.Took), r.Control, r.Notes, r.DNS, r.Web, relay}, func(w io.Writer) {
		fmt.Fprintf(w, "ready client socks=%s dns=%s web=%s control=%s relay=%s took=%s\n", strings.Join(r.Socks, ","), r.DNS, r.Web, r.Control, relay, took(r.Took))
	})
	a.pageLine(r.Page, a.ask("status --web"))
	for _, n := range r.Notes {
		a.tell(n)
	}
}

// pageLine says where the page can be opened, to a terminal alone: the address has a key
// in it. later is the command that makes another address; empty: none does. Spec: product
// PAGE-2.
func (a *app) pageLine(address, later string) {
	if f, isFile := a.err.(*os.File); address != "" && isFile && term.IsTerminal(int(f.Fd())) {
		a.note("The local page, for a minute and once: %s", address)
		if later != "" {
			a.note("Later: %s", later)
		}
	}
}
