// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"chive/internal/config"
	"chive/internal/node"
)

type founderObject struct {
	Schema    string   `json:"schema"`
	File      string   `json:"file"`
	Identity  string   `json:"identity"`
	Addresses []string `json:"addresses"`
	Exit      string   `json:"exit"`
	Rate      uint64   `json:"rate_bytes_per_second"`
	Family    string   `json:"family,omitempty"`
	KeysMade  bool     `json:"keys_made"`
	NewFamily bool     `json:"family_made"`
	Hidden    []string `json:"hidden_rules,omitempty"` // what clients will not see of the exit policy
}

const founderHelp = `Writes the file with which this relay helps to found a network: its public keys, address,
declared rate and exit policy, signed. Pass the file to whoever runs "chive network new".

The relay's keys are in the state folder and are made when there are none. What is not
said stays as it was said before. The network begins with what the file declares; later
changes travel with the relay's descriptor.`

func (a *app) keysCommand() *cobra.Command {
	return parent("keys", "a relay's keys", "Makes, lists, backs up and restores the keys of the relay in the state folder, and has them signed by an identity that is kept offline.",
		a.keysFounder(), a.keysList(), a.keysBackup(), a.keysRestore(), a.keysRotate(), a.keysInitOffline(), a.keysRequest(), a.keysSign(), a.keysInstall())
}

func (a *app) keysFounder() *cobra.Command {
	var o node.FounderOptions
	c := &cobra.Command{
		Use: "founder", Short: "write the file with which a relay founds a network", Long: founderHelp, Args: exactly(),
		Example: "  chive keys founder --state relay1 --address 203.0.113.5:9240 --out relay1.founder\n" +
			"  chive keys founder --state relay2 --address 198.51.100.7:9240 --exit web --contact ops@example.net --out relay2.founder",
		RunE: func(c *cobra.Command, _ []string) error {
			withdraw(c, &o.Declaring)
			state, err := a.openState(c)
			if err != nil {
				return err
			}
			defer state.Close()
			r, err := state.Found(o, rand.Reader, time.Now())
			if err != nil {
				return err
			}
			a.noteMade(r.Made, state.Dir(), o.Family)
			a.warnOfAddresses(r.Addresses)
			if r.Exit != "off" {
				for _, line := range exitNotes(r.About.Contact) {
					a.note("%s", line)
				}
			}
			rate := uint64(r.RateKbit) * 125
			a.answer(founderObject{
				"chive.keys.founder/1", r.File, r.Identity, texts(r.Addresses), r.Exit, rate,
				r.Family, r.KeysMade, r.NewFamily, r.Hidden,
			}, func(w io.Writer) {
				fmt.Fprintf(w, "founder %s\nidentity %s\naddresses %s\nrate %s\nexit %s\n", r.File, r.Identity, strings.Join(texts(r.Addresses), ","), config.Kbit(r.RateKbit).About(), r.Exit)
			})
			return nil
		},
	}
	declareFlags(c, &o.Declaring)
	c.Flags().StringVar(&o.Out, "out", "", "write `FILE`")
	return c
}

// warnOfAddresses says what is wrong with the addresses that a relay declares.
func (a *app) warnOfAddresses(addrs []netip.AddrPort) {
	if text := node.ExampleAddresses(addrs); text != "" {
		a.note("Warning: %s", text)
	}
	if text := node.NearAddresses(addrs); text != "" {
		a.note("Note: %s", text)
	}
}

// declareFlags are the flags by which a relay declares itself.
func declareFlags(c *cobra.Command, d *node.Declaring) {
	f := c.Flags()
	f.StringSliceVar(&d.Addresses, "address", nil, "others reach this relay at `IP:PORT`; several with commas")
	f.StringVar(&d.Exit, "exit", "", "connect to destinations as `POLICY` permits: off (unless it was said otherwise), web, reduced, or a file of rules")
	f.StringVar(&d.Rate, "rate", "", "offer `SIZE` per second (unless it was said: "+node.DefaultRate+"): the more, the more clients choose the relay; a ceiling as well where your configuration file keeps it")
	f.StringVar(&d.Family, "family", "", "you run several relays: the key of their family is in `FILE`, and is made if it is not there")
	f.StringVar(&d.About.Nickname, "nickname", "", "call the relay `NAME`; \"\" takes back what was said")
	f.StringVar(&d.About.Contact, "contact", "", "you can be reached at `TEXT`; exits need one; \"\" takes back what was said")
}

// withdraw says what of a declaration is said as empty, and so is taken back.
func withdraw(c *cobra.Command, d *node.Declaring) {
	empty := func(flag, value string) bool { return c.Flags().Changed(flag) && strings.TrimSpace(value) == "" }
	d.Withdrawn = node.Withdrawn{Nickname: empty("nickname", d.About.Nickname), Contact: empty("contact", d.About.Contact)}
	if d.Withdrawn.Nickname {
		d.About.Nickname = ""
	}
	if d.Withdrawn.Contact {
		d.About.Contact = ""
	}
}

// noteMade says what was made for a relay.
func (a *app) noteMade(m node.Made, dir, family string) {
	switch {
	case m.KeysMade && m.Offline:
		a.note("Made this relay's other keys in %s. Its identity key stays where it is.", dir)
	case m.KeysMade:
		a.note("Made this relay's keys in %s. Keep a copy in a safe place, with chive keys backup: whoever has them is this relay.", dir)
	}
	if m.NewFamily {
		a.note("Made a new family key in %s. Copy it to the family's other relays.", family)
	}
	if len(m.Hidden) > 0 {
		a.note("Note: clients will not see all of the exit policy: %s.", strings.Join(m.Hidden, "; "))
	}
	if m.Unseen != "" {
		a.note("Warning: %s.", m.Unseen)
	}
}

type keyObject struct {
	Use     string `json:"use"`
	Term    *int64 `json:"term,omitempty"`
	Public  string `json:"public"`
	Created string `json:"created,omitempty"`
	Ends    string `json:"ends,omitempty"`
	Spent   bool   `json:"spent,omitempty"`
	File    string `json:"file"`
}

type keysObject struct {
	Schema string      `json:"schema"`
	Keys   []keyObject `json:"keys"`
}

func (a *app) keysList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list a relay's keys without their secrets", Args: exactly(),
		Long: "Lists the keys of the relay in the state folder: what each is for, its public half, its age and its file.\n" +
			"Where the identity key is kept offline, also what it has signed, and until when.",
		Example: "  chive keys list --state relay1",
		RunE: func(c *cobra.Command, _ []string) error {
			state, err := a.openState(c)
			if err != nil {
				return err
			}
			defer state.Close()
			keys, err := state.Keys()
			if err != nil {
				return err
			}
			out := keysObject{Schema: "chive.keys.list/1"}
			for _, k := range keys {
				o := keyObject{Use: k.Use, Public: k.Public, Spent: k.Spent, File: k.File}
				if !k.Created.IsZero() {
					o.Created = k.Created.Format(time.RFC3339)
				}
				if !k.Ends.IsZero() {
					o.Ends = k.Ends.Format(time.RFC3339)
				}
				if k.Term >= 0 {
					o.Term = &k.Term
				}
				out.Keys = append(out.Keys, o)
			}
			a.answer(out, func(w io.Writer) {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "USE\tTERM\tPUBLIC\tCREATED\tFILE")
				for _, k := range out.Keys {
					term, created := "-", k.Created
					switch {
					case k.Spent:
						created = "spent"
					case k.Ends != "":
						created = "until " + k.Ends
					case created == "":
						created = "-"
					}
					if k.Term != nil {
						term = strconv.FormatInt(*k.Term, 10)
					}
					fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", k.Use, term, k.Public, created, k.File)
				}
				_ = t.Flush()
			})
			return nil
		},
	}
}
