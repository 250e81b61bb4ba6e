// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"chive/internal/config"
	"chive/internal/node"
)

const upHelp = `Runs a node until it is interrupted: a client, whose local port programs use, and beside it
a relay that passes on others' traffic, if you said yes. On a terminal it asks once, with a
ceiling that you can change, and keeps the answer in your configuration file; --relay and
--no-relay say it without a question. Nothing leaves the network from such a relay: an exit
is never proposed ("chive relay init --exit" makes one).

A relay needs an address that others reach: --address says it, and without one the address
of this machine is used if it has a public one. Behind a router, the router is asked to forward
the port (NAT-PMP, UPnP); where it does not, forward it by hand and say the router's address.

This version has no public network built in: name a network's genesis document, or start a
network of your own with "chive testnet up".`

func (a *app) upCommand() *cobra.Command {
	var wait time.Duration
	c := &cobra.Command{
		Use: "up", Short: "run a node: the proxy, and a relay if you like", Long: upHelp, Args: exactly(),
		Example: "  chive up --genesis genesis.chive\n" +
			"  chive up --genesis genesis.chive --relay --address 203.0.113.5:9240 --rate 2MiB/s --monthly 500GiB",
		RunE: func(c *cobra.Command, _ []string) error { return a.up(c, wait) },
	}
	clientFlags(c, &wait)
	f := c.Flags()
	f.Bool("relay", false, "carry others' traffic, too")
	f.Bool("no-relay", false, "carry nobody else's traffic")
	f.String("listen", node.DefaultListen, "the relay accepts links at `ADDR`, IP:PORT")
	f.StringSlice("address", nil, "others reach the relay at `IP:PORT`")
	f.String("rate", "", "the relay carries `SIZE` per second at most, such as 1MiB/s")
	f.String("monthly", "", "the relay carries `SIZE` a month at most, such as 200GiB")
	f.String("nat", "auto", "ask the router to forward the relay's port where no address was said; `MODE` is auto or off")
	return c
}

func (a *app) up(c *cobra.Command, wait time.Duration) error {
	if c.Flags().Changed("relay") && c.Flags().Changed("no-relay") {
		return &node.Fault{
			Kind: node.Usage, Code: "relay_both", Text: "--relay and --no-relay cannot be used together", Fix: "Use one of them.",
		}
	}
	prepareProcess()
	cfg, err := a.configuration(c)
	if err != nil {
		return err
	}
	testnet, err := node.CheckGenesisFor(a.global.state, cfg.Network.Genesis) // before anything is asked or said about a relay in it
	if err != nil {
		return err
	}
	if cfg, err = a.consented(c, cfg, testnet); err != nil {
		return err
	}
	o := node.UpOptions{}
	if o.Client, err = a.clientOptions(c, cfg, wait); err != nil {
		return err
	}
	ctx, stop := untilSignal(c.Context(), func() { a.note("Stopping.") }, a.atOnce)
	defer stop()
	relaying := "off"
	if cfg.Relay.Enabled {
		r, err := a.relayOptions(cfg)
		if err != nil {
			return err
		}
		r.Effect = o.Client.Effect
		r.Make = true
		r.Ready = a.relayReady
		o.Relay, relaying = &r, r.Listen
		// An answer that was kept must not take the proxy from its user.
		if cfg.Origin("relay.enabled").Layer != config.Flags {
			o.Without = func(f *node.Fault) {
				goes := ". It goes on without a relay. "
				if f.MayPass() {
					goes = ". It goes on without a relay, and asks the router again: the relay starts when it does. "
				}
				a.tell(f.Text + goes + f.Fix)
				relaying = "off"
			}
		}
		if cfg.Client.Upstream != string(config.Off) {
			a.tell("client.upstream carries the links of this node's client. Its relay is reached, and connects, without that proxy.")
		}
	} else {
		a.note("This node carries nobody else's traffic. The network lives from those that do: chive up --relay.")
	}
	o.Client.Ready = func(r node.ClientReady) { a.whenClientReady(ctx, relaying)(r) }
	heed, deaf := a.heed(o.Client.Effect)
	defer deaf()
	o.Client.Serving = heed
	return node.RunUp(ctx, o)
}

// consented asks whether to carry others' traffic, if nobody has said so, and there is
// somebody to ask; it keeps the answer and returns the configuration with it.
// Spec: product CLI-3.
func (a *app) consented(c *cobra.Command, cfg *config.Config, testnet bool) (*config.Config, error) {
	out, isFile := a.err.(*os.File)
	if cfg.Given("relay.enabled") || a.global.json || a.global.quiet || a.env.UserFile == "" ||
		!term.IsTerminal(int(os.Stdin.Fd())) || !isFile || !term.IsTerminal(int(out.Fd())) {
		return cfg, nil
	}
	said, err := askConsent(os.Stdin, a.err, reachHint(cfg, testnet))
	if err != nil {
		return nil, err
	}
	if said.none {
		a.note("Nothing was answered: no relay this time, and the next start asks again.")
		return cfg, nil
	}
	if err := said.keep(a.env.UserFile); err != nil {
		return nil, err
	}
	a.note("Kept in %s.", a.env.UserFile)
	return a.configuration(c)
}
