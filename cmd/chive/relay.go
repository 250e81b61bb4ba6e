// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"chive/internal/config"
	"chive/internal/node"
)

type relayObject struct {
	Schema      string   `json:"schema"`
	Event       string   `json:"event"`
	Role        string   `json:"role"`
	Network     string   `json:"network"`
	Testnet     bool     `json:"testnet"`
	Listen      string   `json:"listen"`
	Published   []string `json:"published"`
	ConfirmedBy int      `json:"confirmed_by"`
	Exit        string   `json:"exit"`
	Seconds     float64  `json:"took_seconds"`
	RID         string   `json:"rid"`
	Listed      bool     `json:"listed"`
	Control     string   `json:"control"`
	Notes       []string `json:"notes,omitempty"`
}

const relayRunHelp = `Runs a relay until it is interrupted; then it takes no new circuits, gives those that are
in use 30 s at most (relay.drain in the configuration), and ends. A second interrupt ends it
at once.

Make the relay first with "chive relay init", or with "chive keys founder" if it helps to
found the network. A relay that is not on the network's list asks three relays to
introduce it, and is admitted by lot: in a testnet within a few epochs, in the public
network within days. "chive status" says how far it is. Where none of the relays that the
network's document names can be reached any more, --peer names others.

An exit connects to destinations on behalf of others, and what they do looks as if this
host did it. It is off unless --exit turns it on, here or when the relay was made.`

func (a *app) relayCommand() *cobra.Command {
	return parent("relay", "carry other people's traffic", "Makes and runs a relay, which passes on encrypted cells and cannot read them.", a.relayInit(), a.relayRun(), a.relayVouch(), a.relayStatus(), a.relayDrain())
}

func (a *app) relayRun() *cobra.Command {
	c := &cobra.Command{
		Use: "run", Short: "run a relay", Long: relayRunHelp, Args: exactly(),
		Example: "  chive relay run --state relay1 --genesis genesis.chive --listen 0.0.0.0:9240\n" +
			"  chive status --state relay1",
		RunE: func(c *cobra.Command, _ []string) error {
			prepareProcess()
			endWithInput(c)
			cfg, err := a.configuration(c)
			if err != nil {
				return err
			}
			o, err := a.relayOptions(cfg)
			if err != nil {
				return err
			}
			o.Effect = a.effect(c, cfg).Without("client.", "relay.enabled")
			ctx, stop := untilSignal(c.Context(), func() {
				a.note("Draining: no new circuits, and %v at most for those that are in use. Interrupt again to stop at once.", o.Effect.Drain())
			}, a.atOnce)
			defer stop()
			heed, deaf := a.heed(o.Effect)
			defer deaf()
			o.Serving = heed
			o.Ready = func(r node.RelayReady) {
				node.TuneProcessors(ctx)
				node.Notifier{}.Ready("accepts links")
				a.relayReady(r)
			}
			o.Waits = a.waitsForPlace()
			err = node.RunRelay(ctx, o)
			if err == nil {
				a.note("Stopped.")
			}
			return err
		},
	}
	f := c.Flags()
	f.String("genesis", "", "the network's genesis document is in `FILE`")
	f.String("anchor", "", "begin with the anchor in `FILE` where nothing was stored for long; chive network anchor makes one")
	f.String("listen", node.DefaultListen, "accept links at `ADDR`, IP:PORT; [::]:9240 is IPv4 and IPv6")
	f.StringArray("peer", nil, "ask the relay `RID@IP:PORT` too, where those of the network's document are gone; repeat it for more")
	f.String("voucher", "", "join with the voucher in `FILE`, which another relay's operator made with chive relay vouch; kept for later runs")
	f.String("nat", "auto", "ask the router to forward the port where no address was said; `MODE` is auto or off")
	f.String("exit", "", "connect to destinations as `POLICY` permits: off, web, reduced, or a file of rules; kept for later runs, and off unless it was ever said")
	f.String("rate", "", "carry `SIZE` per second each way at most, and offer as much; what is offered is kept for later runs")
	f.String("monthly", "", "carry `SIZE` a month at most, such as 200GiB, and rest for what is left of it")
	f.String("nickname", "", "call the relay `NAME`; kept for later runs, \"\" takes it back")
	f.String("contact", "", "its operator can be reached at `TEXT`; kept for later runs, \"\" takes it back, exits need one")
	endWithInputFlag(c)
	return c
}

// waitsForPlace tells once that no router forwards a port to the relay, and keeps systemd
// patient while it is asked again. Spec: product REL-8.
func (a *app) waitsForPlace() func(f *node.Fault) {
	told := false
	return func(f *node.Fault) {
		node.Notifier{}.Starting(0, "asks the router to forward a port, again and again")
		if !told {
			a.tell(f.Text + ". It goes on asking, and the relay starts when one does. " + f.Fix)
		}
		told = true
	}
}

// relayOptions are what the configuration says of the relay.
func (a *app) relayOptions(cfg *config.Config) (node.RelayOptions, error) {
	o := node.RelayOptions{
		State: a.global.state, Genesis: cfg.Network.Genesis, Anchor: cfg.Network.Anchor, Peers: cfg.Network.Peers,
		Listen: cfg.Relay.Listen.Or(config.DefaultListen), Drain: node.DrainOf(cfg), Log: a.log("info"), Version: version, Tell: a.tell,
		Check: checkNetwork(cfg), NAT: node.NATOf(cfg), Declaring: node.DeclaringOf(cfg), Metrics: node.MetricsOf(cfg), Voucher: cfg.Relay.Voucher,
	}
	var err error
	if o.Limits, err = node.LimitsOf(cfg); err != nil {
		return o, err
	}
	o.Control, err = a.controlSocket()
	return o, err
}

// relayReady prints the ready line. Spec: product CLI-8.
func (a *app) relayReady(r node.RelayReady) {
	published := texts(r.Published)
	a.answer(relayObject{
		"chive.relay.run/1", "ready", "relay", r.Network, r.Testnet, r.Listen.String(), published,
		r.ConfirmedBy, r.Exit, seconds(r.Took), r.RID, r.Listed, r.Control, r.Notes,
	}, func(w io.Writer) {
		fmt.Fprintf(w, "ready relay listen=%s published=%s confirmed_by=%d exit=%s took=%s\n",
			r.Listen, orNone(strings.Join(published, ",")), r.ConfirmedBy, r.Exit, took(r.Took))
	})
	for _, n := range r.Notes {
		a.note("Note: %s", n)
	}
}

// orNone writes none in place of nothing.
func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func texts(addrs []netip.AddrPort) []string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return out
}
