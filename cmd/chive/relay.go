// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

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
	Notes       []string `json:"notes,omitempty"`
}

const relayRunHelp = `Runs a relay until it is interrupted; then it takes no new circuits, gives those that are
open up to 30 s, and ends. A second interrupt ends it at once.

In this version a relay must be a founder of the network: make its keys with
"chive keys founder", the network with "chive network new", and sign it with
"chive network sign". Joining a running network comes later.

An exit connects to destinations on behalf of others, and what they do looks as if this
host did it. It is off unless --exit turns it on. The policy must be the one that the
relay was founded with.`

func (a *app) relayCommand() *cobra.Command {
	var o node.RelayOptions
	run := &cobra.Command{
		Use: "run", Short: "run a relay", Long: relayRunHelp, Args: exactly(),
		Example: "  chive relay run --state relay1 --genesis genesis.chive --listen 0.0.0.0:9240",
		RunE: func(c *cobra.Command, _ []string) error {
			o.State, o.Log = a.global.state, a.log("info")
			coarseTimers() // first: it may start the program again
			harden()
			node.TuneMemory()
			ctx, stop := untilSignal(c.Context(), func() {
				a.note("Draining: no new circuits, and up to 30 s for those that are open. Interrupt again to stop at once.")
			})
			defer stop()
			o.Ready = func(r node.RelayReady) {
				node.TuneProcessors(ctx)
				a.relayReady(r)
			}
			err := node.RunRelay(ctx, o)
			if err == nil {
				a.note("Stopped.")
			}
			return err
		},
	}
	f := run.Flags()
	f.StringVar(&o.Genesis, "genesis", "", "the network's genesis document is in `FILE`")
	f.StringVar(&o.Listen, "listen", node.DefaultListen, "accept links at `ADDR`, IP:PORT; [::]:9240 is IPv4 and IPv6")
	f.StringVar(&o.Exit, "exit", "off", "connect to destinations as `POLICY` permits: off, web, reduced, or a file of rules")
	f.StringVar(&o.About.Nickname, "nickname", "", "call the relay `NAME`; kept for later runs")
	f.StringVar(&o.About.Contact, "contact", "", "its operator can be reached at `TEXT`; kept for later runs, exits need one")
	return parent("relay", "carry other people's traffic", "Runs a relay, which passes on encrypted cells and cannot read them.", run)
}

// relayReady prints the ready line. Spec: product CLI-8.
func (a *app) relayReady(r node.RelayReady) {
	published := texts(r.Published)
	a.answer(relayObject{
		"chive.relay.run/1", "ready", "relay", r.Network, r.Testnet, r.Listen.String(), published,
		r.ConfirmedBy, r.Exit, seconds(r.Took), r.Notes,
	}, func(w io.Writer) {
		fmt.Fprintf(w, "ready relay listen=%s published=%s confirmed_by=%d exit=%s took=%s\n",
			r.Listen, strings.Join(published, ","), r.ConfirmedBy, r.Exit, took(r.Took))
	})
	for _, n := range r.Notes {
		a.note("Note: %s", n)
	}
}

func texts(addrs []netip.AddrPort) []string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return out
}
