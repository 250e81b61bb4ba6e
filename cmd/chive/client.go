// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chive/client"
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
}

const clientHelp = `Runs a client and its proxy until it is interrupted. Programs reach the network through
the proxy's one port, which speaks SOCKS5, SOCKS4a and HTTP. Names are looked up at the
far end: with curl, write socks5h and not socks5.

Programs that send different user names or passwords to the proxy never share a circuit.

The client prints one line that begins with "ready client" when its first circuit is
open. This version has no public network built in: name a network's genesis document. It
asks the network's founders for the list of relays, and the relays it has met before;
where none of them can be reached any more, --peer names others.`

func (a *app) clientCommand() *cobra.Command {
	var o node.ClientOptions
	var wait time.Duration
	c := &cobra.Command{
		Use: "client", Short: "run the proxy that programs use", Long: clientHelp, Args: exactly(),
		Example: "  chive client --genesis genesis.chive\n" +
			"  curl --proxy socks5h://127.0.0.1:9250 http://example.com/\n" +
			"  chive status",
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("wait") && wait <= 0 {
				return usage(c, "--wait takes a duration above zero, such as 30s")
			}
			if c.Flags().Changed("hops") && o.Hops == 0 {
				o.Hops = -1 // out of bounds, as it was said
			}
			o.Socks.Answers = answers
			var err error
			if o.Control, err = a.controlSocket(); err != nil {
				return err
			}
			o.State, o.Wait, o.Log, o.Version = a.global.state, wait, a.log("info"), version
			o.Tell = a.tell
			o.Progress = a.newProgress().step
			coarseTimers() // first: it may start the program again
			harden()
			node.TuneMemory()
			ctx, stop := untilSignal(c.Context(), func() { a.note("Stopping.") })
			defer stop()
			o.Ready = func(r node.ClientReady) {
				node.TuneProcessors(ctx)
				a.clientReady(r)
			}
			return node.RunClient(ctx, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Genesis, "genesis", "", "the network's genesis document is in `FILE`")
	f.StringSliceVar(&o.Socks.Addrs, "socks", []string{node.DefaultSocks}, "programs find the proxy at `ADDR,...`: loopback IP:PORT, or unix:/PATH")
	f.StringArrayVar(&o.Peers, "peer", nil, "ask the relay `RID@IP:PORT` first; repeat it for more")
	f.IntVar(&o.Hops, "hops", client.DefaultHops, fmt.Sprintf("build circuits of `N` relays, %d to %d", client.MinHops, client.MaxHops))
	f.DurationVar(&wait, "wait", 0, "give up after `D`, such as 30s, and exit with 3 if the network is not reached by then")
	return c
}

// clientReady prints the ready line. Spec: product CLI-8.
func (a *app) clientReady(r node.ClientReady) {
	a.answer(clientObject{"chive.client/1", "ready", "client", r.Network, r.Testnet, r.Socks, seconds(r.Took), r.Control, r.Notes}, func(w io.Writer) {
		fmt.Fprintf(w, "ready client socks=%s dns=off web=off control=%s relay=off took=%s\n", strings.Join(r.Socks, ","), r.Control, took(r.Took))
	})
	for _, n := range r.Notes {
		a.tell(n)
	}
}
