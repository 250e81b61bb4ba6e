// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"chive/internal/control"
	"chive/internal/node"
)

type anchorObject struct {
	Schema  string   `json:"schema"`
	File    string   `json:"file"`
	Network string   `json:"network,omitempty"`
	Epoch   uint64   `json:"epoch"`
	Began   string   `json:"began"`
	Digest  string   `json:"digest"`
	Relays  int      `json:"relays"`
	Until   string   `json:"until,omitempty"`
	Notes   []string `json:"notes,omitempty"`
}

const networkAnchorHelp = `Makes an anchor: a file with the signed header of the newest list of relays, the committee
that goes on from there, and up to 150 relays to ask. A client or relay whose genesis document is older
than the network's limit (90 days in a public network) cannot start from it, since keys
that were retired since then must not speak; with --anchor FILE, or the key
network.anchor, it starts from the anchor. One that has fetched a list lately needs none.

It is made by the client or relay that runs with the state folder; where none runs, of what
the folder holds, and then --genesis FILE is needed.

Whoever gives you an anchor is believed, as whoever gave you the genesis document was:
somebody who makes a false one leads you into a network of his own. Take it with a
release, or from the network's founders, and compare the digest with what others get.
With FILE the command shows such a file, which it verifies by the network's document:
--genesis FILE is needed for that, or the key network.genesis.`

func (a *app) networkAnchor() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: "anchor [FILE]", Short: "make or show an anchor, for who starts with an old genesis document", Long: networkAnchorHelp,
		Example: "  chive network anchor --out latest.anchor\n" +
			"  chive network anchor --genesis genesis.chive latest.anchor\n" +
			"  chive client --genesis genesis.chive --anchor latest.anchor",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && out != "" {
				return usage(c, "it takes one FILE to show, or --out FILE to make one")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := a.configuration(c)
			if err != nil {
				return err
			}
			genesis, file := cfg.Network.Genesis, out
			var info *node.AnchorInfo
			if len(args) == 1 {
				file = args[0]
				info, err = node.ShowAnchor(file, genesis, time.Now())
			} else {
				info, err = a.makeAnchor(c.Context(), genesis, out)
			}
			if err != nil {
				return err
			}
			o := anchorObject{"chive.network.anchor/1", file, info.Network, info.Epoch, info.Began.Format(time.RFC3339), info.Digest, info.Relays, "", info.Notes}
			if !info.Until.IsZero() {
				o.Until = info.Until.Format(time.RFC3339)
			}
			for _, n := range info.Notes {
				a.note("Note: %s", n)
			}
			a.answer(o, func(w io.Writer) {
				fmt.Fprintf(w, "anchor %s\n", file)
				if info.Network != "" {
					fmt.Fprintf(w, "network %s\n", info.Network)
				}
				fmt.Fprintf(w, "epoch %d, which began at %s UTC\ndigest %s\nrelays %d\n", info.Epoch, info.Began.Format(time.DateTime), info.Digest, info.Relays)
				if !info.Until.IsZero() {
					fmt.Fprintf(w, "good until %s\n", info.Until.Format(time.DateOnly))
				}
			})
			return nil
		},
	}
	c.Flags().String("genesis", "", "the network's genesis document is in `FILE`")
	c.Flags().StringVar(&out, "out", "", "write `FILE`")
	return c
}

// makeAnchor asks the process that runs with the state folder; where none does it reads
// the folder.
func (a *app) makeAnchor(ctx context.Context, genesis, out string) (*node.AnchorInfo, error) {
	socket, err := a.askedSocket()
	if err != nil {
		return nil, err
	}
	if socket.Check() == nil { // else there is none to be asked: --control off
		ctx, cancel := context.WithTimeout(ctx, statusTime)
		defer cancel()
		made, _, err := control.FetchAnchor(ctx, socket.Path)
		switch {
		case err == nil:
			return node.WriteAnchor(made, genesis, out, time.Now())
		case !errors.Is(err, control.ErrNobody):
			return nil, a.askFault(socket, err)
		}
	}
	state, err := node.OpenState(a.global.state)
	if err != nil {
		return nil, err
	}
	defer state.Close()
	return state.StoredAnchor(genesis, out, time.Now())
}
