// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"chive/internal/config"
	"chive/internal/node"
)

const networkHelp = `A network begins with a genesis document: its name, its parameters and its founders, signed
by each of them. There is no authority: whoever has the document can run a client, and the
founders can run relays.

  1. each founder     chive keys founder --address IP:PORT --out FILE
  2. one of them      chive network new NAME --founder FILE ... --out GENESIS
  3. each founder     chive network sign GENESIS
  4. everybody        chive network show GENESIS, and compare the network id`

func (a *app) networkCommand() *cobra.Command {
	return parent("network", "make, sign, check and show a network's genesis document, and make anchors", networkHelp,
		a.networkNew(), a.networkSign(), a.networkLint(), a.networkShow(), a.networkAnchor())
}

func (a *app) networkNew() *cobra.Command {
	var founders []string
	var testnet bool
	var out string
	var of node.Succeeding
	c := &cobra.Command{
		Use: "new NAME --founder FILE ...", Short: "make a genesis document of founders' files",
		Long: "Makes an unsigned genesis document. A public network needs 7 founders in at least 3 networks; a testnet,\n" +
			"with short epochs and without address rules, needs one, and 3 to build circuits.\n\n" +
			"Where a network has lost more of its committee than it can bear, --successor-of names it as the predecessor\n" +
			"and takes over its relays' ages, from the state folder of a relay of it that is stopped. Everybody has to\n" +
			"agree to go there: a network that somebody calls its successor is none for that.",
		Example: "  chive network new demo --testnet --founder relay1.founder relay2.founder relay3.founder --out genesis.chive\n" +
			"  chive network new demo-2 --successor-of ~/.local/state/chive --predecessor genesis.chive --founder *.founder --out genesis-2.chive",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(c, "NAME is missing")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			// A shell's --founder *.founder leaves all but the first to the arguments.
			info, err := node.NewSuccessor(args[0], append(founders, args[1:]...), testnet, time.Now(), of, out)
			if err != nil {
				return err
			}
			for _, n := range info.Notes {
				a.note("Note: %s", n)
			}
			a.note("Now each founder signs it: chive network sign %s", out)
			a.printNetwork("chive.network.new/1", info)
			return nil
		},
	}
	f := c.Flags()
	f.StringArrayVar(&founders, "founder", nil, "a founder's `FILE`; repeat it, or let more files follow")
	f.BoolVar(&testnet, "testnet", false, "a network for experiments: short times, loopback and private addresses allowed")
	f.StringVar(&out, "out", "", "write `FILE`")
	succeedingFlags(c, &of)
	return c
}

// succeedingFlags are the flags by which a network's predecessor is named.
func succeedingFlags(c *cobra.Command, of *node.Succeeding) {
	c.Flags().StringVar(&of.From, "successor-of", "", "it succeeds the network whose last list the stopped relay with the state folder `PATH` holds; or, without ages, that of an anchor file")
	c.Flags().StringVar(&of.Genesis, "predecessor", "", "the genesis document of the network that it succeeds is in `FILE`")
}

func (a *app) networkSign() *cobra.Command {
	return &cobra.Command{
		Use: "sign FILE", Short: "add a founder's signature to a genesis document", Args: exactly("FILE"),
		Long: "Adds the signature of the relay in the state folder, and binds the folder to that network. Founders sign\n" +
			"one after another and pass the file on. It refuses a document that begins later than this machine's clock says.",
		Example: "  chive network sign --state relay1 genesis.chive",
		RunE: func(c *cobra.Command, args []string) error {
			state, err := a.openState(c)
			if err != nil {
				return err
			}
			defer state.Close()
			info, err := state.SignNetwork(args[0], time.Now())
			if err != nil {
				return err
			}
			if info.Missing > 0 {
				a.note("%d of %d founders have not signed yet.", info.Missing, len(info.Founders))
			}
			for _, n := range info.Notes {
				a.note("Note: %s", n)
			}
			a.printNetwork("chive.network.sign/1", info)
			return nil
		},
	}
}

type lintObject struct {
	Schema   string          `json:"schema"`
	Network  string          `json:"network_id"`
	Good     bool            `json:"good"`
	Findings []findingObject `json:"findings"`
}

type findingObject struct {
	Level string `json:"level"` // error, warning or good
	Text  string `json:"text"`
}

func (a *app) networkLint() *cobra.Command {
	var of node.Succeeding
	c := &cobra.Command{
		Use: "lint FILE", Short: "check a genesis document", Args: exactly("FILE"),
		Long: "Says everything that is wrong or doubtful with a genesis document. Exits with 4 if the network cannot run with it.\n" +
			"With --successor-of, what a successor takes over is compared with the last list of your own relay.",
		Example: "  chive network lint genesis.chive",
		RunE: func(_ *cobra.Command, args []string) error {
			lint := node.LintNetwork
			if !of.Empty() {
				lint = func(path string, now time.Time) (*node.NetworkInfo, []node.Finding, error) {
					return node.LintSuccessor(path, of, now)
				}
			}
			info, findings, err := lint(args[0], time.Now())
			if err != nil {
				return err
			}
			out := lintObject{Schema: "chive.network.lint/1", Network: info.NetworkID, Good: true, Findings: []findingObject{}}
			for _, f := range findings {
				level := "warning"
				switch {
				case f.Error:
					level, out.Good = "error", false
				case f.Good:
					level = "good"
				}
				out.Findings = append(out.Findings, findingObject{level, f.Text})
			}
			a.answer(out, func(w io.Writer) {
				for _, f := range out.Findings {
					fmt.Fprintf(w, "%s: %s\n", f.Level, f.Text)
				}
				if out.Good {
					fmt.Fprintf(w, "good: network %s (%s), %d founders\n", info.Name, info.NetworkID, len(info.Founders))
				}
			})
			if !out.Good {
				return &node.Fault{Kind: node.Denied, Code: "genesis_bad", Text: args[0] + " cannot be used", Fix: "See what was found above."}
			}
			return nil
		},
	}
	succeedingFlags(c, &of)
	return c
}

func (a *app) networkShow() *cobra.Command {
	return &cobra.Command{
		Use: "show FILE", Short: "show what a genesis document says", Args: exactly("FILE"),
		Long: "Shows a genesis document: network id, founders, and who has signed. Compare the network id with\n" +
			"somebody you trust before you use a document from elsewhere.",
		Example: "  chive network show genesis.chive",
		RunE: func(_ *cobra.Command, args []string) error {
			info, err := node.ShowNetwork(args[0])
			if err != nil {
				return err
			}
			a.printNetwork("chive.network.show/1", info)
			return nil
		},
	}
}

type networkObject struct {
	Schema    string                 `json:"schema"`
	Name      string                 `json:"name"`
	NetworkID string                 `json:"network_id"`
	Testnet   bool                   `json:"testnet"`
	Time      string                 `json:"genesis_time"`
	Epoch     float64                `json:"epoch_seconds"`
	Missing   int                    `json:"signatures_missing"`
	Founders  []networkFounderObject `json:"founders"`
	Notes     []string               `json:"notes,omitempty"` // for whoever has made or signed it
	Succeeds  string                 `json:"predecessor,omitempty"`
	Heirs     int                    `json:"ages_taken_over,omitempty"`
}

type networkFounderObject struct {
	Identity  string   `json:"identity"`
	RID       string   `json:"rid"`
	Addresses []string `json:"addresses"`
	Rate      uint64   `json:"rate_bytes_per_second"`
	Exit      string   `json:"exit"`
	Family    string   `json:"family,omitempty"`
	Signed    bool     `json:"signed"`
}

func (a *app) printNetwork(schema string, n *node.NetworkInfo) {
	out := networkObject{
		schema, n.Name, n.NetworkID, n.Testnet, n.Time.UTC().Format(time.RFC3339), seconds(n.Epoch), n.Missing, []networkFounderObject{}, n.Notes,
		n.Predecessor, n.Heirs,
	}
	for _, f := range n.Founders {
		out.Founders = append(out.Founders, networkFounderObject{
			f.Identity, f.RID, texts(f.Addresses), uint64(f.RateKbit) * 125, f.Exit, f.Family, f.Signed,
		})
	}
	a.answer(out, func(w io.Writer) {
		kind := "public"
		if n.Testnet {
			kind = "testnet"
		}
		fmt.Fprintf(w, "network %s\nid %s\nkind %s\nbegins %s\nsigned %d of %d\n\n", n.Name, n.NetworkID, kind, out.Time, len(n.Founders)-n.Missing, len(n.Founders))
		if n.Predecessor != "" {
			fmt.Fprintf(w, "succeeds %s\nages taken over %d\n\n", n.Predecessor, n.Heirs)
		}
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "FOUNDER\tRID\tADDRESSES\tRATE\tEXIT\tFAMILY\tSIGNED")
		families := map[string]int{} // numbered as they come
		for _, f := range n.Founders {
			signed := "no"
			if f.Signed {
				signed = "yes"
			}
			family := "-"
			if f.Family != "" {
				if families[f.Family] == 0 {
					families[f.Family] = len(families) + 1
				}
				family = strconv.Itoa(families[f.Family])
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Identity[:16], f.RID, strings.Join(texts(f.Addresses), ","), config.Kbit(f.RateKbit).About(), f.Exit, family, signed)
		}
		_ = t.Flush()
	})
}
