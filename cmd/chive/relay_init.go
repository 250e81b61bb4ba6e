// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"chive/internal/config"
	"chive/internal/node"
)

type initObject struct {
	Schema    string   `json:"schema"`
	State     string   `json:"state"`
	Identity  string   `json:"identity"`
	Network   string   `json:"network,omitempty"`
	RID       string   `json:"rid,omitempty"`
	Founder   bool     `json:"founder"`
	Addresses []string `json:"addresses"`
	Exit      string   `json:"exit"`
	Rate      uint64   `json:"rate_bytes_per_second"`
	Family    string   `json:"family,omitempty"`
	Vouched   string   `json:"vouched_by,omitempty"` // rid of the sponsor
	KeysMade  bool     `json:"keys_made"`
	NewFamily bool     `json:"family_made"`
	Hidden    []string `json:"hidden_rules,omitempty"` // what clients will not see of the exit policy
	Notes     []string `json:"notes,omitempty"`
	Offline   bool     `json:"identity_offline,omitempty"`
	Kept      string   `json:"configuration,omitempty"` // the file that holds the ceilings
	Nickname  string   `json:"nickname,omitempty"`
	Contact   string   `json:"contact,omitempty"`
	Before    []string `json:"kept_from_before,omitempty"` // as InitOptions' flags are called

	Overruled []overruledObject `json:"overruled,omitempty"`
}

const relayInitHelp = `Makes a relay: its keys, if the state folder holds none, and what it declares about itself,
which "chive relay run" publishes. Called again it changes what is said anew; the rest and
the keys stay, and it says what it kept. --nickname "" and --contact "" take back what was said.
Stop the relay first.

On a terminal a new relay's operator is asked three questions, but for those that a flag
answers: what the relay is called, where you can be reached, and how much it may carry. The
answers are kept in your configuration file. --yes takes what they propose, and so does no
terminal: 1 MiB/s and 200 GiB a month. A ceiling that a file, the environment, -c or -o says is
declared as it is, and neither asked nor written. For a state folder of its own, or a service, the lines
are printed: until a configuration has them nothing holds the relay back. A machine without a public address is asked for the one that others reach it at; where
none is said, the router is asked to forward the port when the relay runs.

The relay's identity key may be kept away from its host: see "chive keys init-offline --help".
To move the one of a relay that has it here, stop the relay, move relay/keys/identity.key
from the state folder into a folder DIR on another machine or a stick, and call this with
--offline-identity DIR. The relay stays the one it was.

The exit is off unless --exit turns it on, and no question proposes it. What an exit's users do
looks as if this host did it: expect complaints, tell your provider and whoever shares the
address beforehand, and name a --contact that you read.`

func (a *app) relayInit() *cobra.Command {
	var o node.InitOptions
	var ceilings ceilings
	var yes bool
	c := &cobra.Command{
		Use: "init", Short: "make a relay's keys and say what it offers", Long: relayInitHelp, Args: exactly(),
		Example: "  chive relay init\n" +
			"  chive relay init --nickname maple --contact ops@example.net --address 203.0.113.5:9240 --rate 2MiB/s --monthly 500GiB\n" +
			"  chive relay init --state relay2 --address 198.51.100.7:9240 --exit web --contact ops@example.net --genesis genesis.chive",
		RunE: func(c *cobra.Command, _ []string) error {
			withdraw(c, &o.Declaring)
			state, err := a.openState(c)
			if err != nil {
				return err
			}
			defer state.Close()
			kept, err := a.sayRelay(c, state, &o, ceilings, yes)
			if err != nil {
				return err
			}
			r, err := state.Init(o, rand.Reader, time.Now())
			if err != nil {
				return err
			}
			if kept, err = a.keepRelay(kept); err != nil {
				return err
			}
			a.noteMade(r.Made, state.Dir(), o.Family)
			for _, n := range r.Notes {
				a.note("Note: %s", n)
			}
			a.warnOfAddresses(r.Addresses)
			if r.Exit != "off" {
				for _, line := range exitNotes(r.About.Contact) {
					a.note("%s", line)
				}
			}
			over := a.overruled(c, r, kept)
			for _, o := range over {
				a.note("Warning: %s", o.text())
			}
			a.answer(initObject{
				"chive.relay.init/1", state.Dir(), r.Identity, r.Network, r.RID, r.Founder, texts(r.Addresses), r.Exit,
				uint64(r.RateKbit) * 125, r.Family, r.Vouched, r.KeysMade, r.NewFamily, r.Hidden, r.Notes, r.Offline, a.keptIn(kept),
				r.About.Nickname, r.About.Contact, r.Before, over,
			}, func(w io.Writer) {
				fmt.Fprintf(w, "relay %s\nidentity %s\n", state.Dir(), r.Identity)
				if r.RID != "" {
					fmt.Fprintf(w, "rid %s in network %s\n", r.RID, r.Network)
				}
				if r.Vouched != "" {
					fmt.Fprintf(w, "vouched by %s\n", r.Vouched)
				}
				printDeclared(w, r)
			})
			return nil
		},
	}
	declareFlags(c, &o.Declaring)
	f := c.Flags()
	f.StringVar(&ceilings.burst, "burst", "", "at most `SIZE` at once beyond the rate, such as 4MiB; kept in your configuration file, so with your usual state folder only")
	f.StringVar(&ceilings.listen, "listen", "", "accept links at `IP:PORT` (unless it was said: "+node.DefaultListen+"); kept in your configuration file, so with your usual state folder only")
	f.StringVar(&ceilings.monthly, "monthly", "", "carry `SIZE` a month at most, such as 200GiB, or off; kept in your configuration file, so with your usual state folder only")
	f.BoolVarP(&yes, "yes", "y", false, "ask nothing: take what the questions propose")
	f.StringVar(&o.Offline, "offline-identity", "", "the identity key stays elsewhere: its identity.pub is in the folder `DIR`, or is DIR (chive keys init-offline --help)")
	f.StringVar(&o.Voucher, "voucher", "", "the relay joins with the voucher in `FILE`, which another relay's operator made with chive relay vouch")
	f.StringVar(&o.Genesis, "genesis", "", "the relay is for the network whose genesis document is in `FILE`: check what it declares, and bind the state folder to it")
	return c
}

// ceilings are what a relay's operator says for its runs, not for its descriptor: the
// configuration keeps it. What is empty is not said.
type ceilings struct{ burst, listen, monthly string }

// check refuses what the configuration would.
func (k ceilings) check() error {
	for _, s := range []struct{ flag, value, what, fix string }{
		{"burst", k.burst, "no size that a burst may have", "Write a number with its unit, such as 4MiB; at least 64KiB."},
		{"listen", k.listen, "no place to listen at", "Write an address of this machine with a port, such as " + node.DefaultListen + "."},
	} {
		if s.value != "" && takes("relay."+s.flag, s.value) != nil {
			return &node.Fault{Kind: node.Usage, Code: s.flag, Text: "--" + s.flag + " " + s.value + " is " + s.what, Fix: s.fix}
		}
	}
	return checkMonthly(k.monthly)
}

// exitNotes say what the operator of an exit is to expect, and whom to tell. Spec: product
// REL-2.
func exitNotes(contact string) []string {
	return []string{
		"This relay is an exit: what its users do looks as if this host did it.",
		"  Expect mail about abuse, pages and mail servers that turn this address away, and now and then a question of an authority. You hold no record that could answer it.",
		"  Before it runs, tell your provider (its rules must allow an exit) and whoever shares this address; an address and a reverse name of its own, such as exit.example.net, help.",
		"  Answer what comes to " + contact + ". To stop: chive relay init --exit off.",
	}
}

// orLater says that a relay's address is found when it runs.
func orLater(text string) string {
	if text == "" {
		return "none said: found when the relay runs"
	}
	return text
}

// keptIn is the file that what was said is kept in; empty: nothing was.
func (a *app) keptIn(said [][2]string) string {
	if len(said) == 0 {
		return ""
	}
	return a.env.UserFile
}

// sayRelay completes what the flags say of a new relay, by questions where there is
// somebody to ask, and returns what the configuration file is to say.
func (a *app) sayRelay(c *cobra.Command, state *node.State, o *node.InitOptions, kept ceilings, yes bool) ([][2]string, error) {
	d := &o.Declaring
	if err := kept.check(); err != nil {
		return nil, err
	}
	said := relayAnswers{withdrawn: d.Withdrawn, exit: d.Exit, family: d.Family, nickname: d.About.Nickname, contact: d.About.Contact, rate: d.Rate, monthly: kept.monthly, burst: kept.burst, listen: kept.listen}
	usual := a.usualState()
	fresh, err := state.NewRelay()
	if err != nil {
		return nil, err
	}
	asking := fresh && !yes && a.canAsk()
	if fresh && (yes || asking) && len(d.Addresses) == 0 {
		if own, ok := node.OwnAddress(cmp.Or(kept.listen, node.DefaultListen)); ok {
			d.Addresses = []string{own}
		}
		if o.Find, err = a.asksRouter(c, o.Genesis); err != nil { // what is not said by then, it is asked about
			return nil, err
		}
	}
	if !fresh {
		if !usual {
			a.noteCeilings(relayAnswers{monthly: said.monthly, burst: said.burst, listen: said.listen})
		}
		return a.alsoSaid(usual, said)
	}
	held, err := a.heldCeilings(c)
	if err != nil {
		return nil, err
	}
	if !asking {
		return a.proposed(d, said, held, usual, yes)
	}
	if len(d.Addresses) > 0 {
		said.address = d.Addresses[0]
	}
	named := said
	said.found = o.Find
	held.complete(&said)
	got, err := askRelay(os.Stdin, a.err, said)
	if err != nil {
		return nil, err
	}
	d.About.Nickname, d.About.Contact, d.Rate = got.nickname, got.contact, got.rate
	if len(d.Addresses) == 0 && got.address != "" {
		d.Addresses = []string{got.address}
	}
	held.leave(&got, named)
	if !usual {
		a.noteCeilings(got)
		return nil, nil
	}
	also, err := a.alsoSaid(usual, relayAnswers{exit: got.exit, family: got.family})
	return append(got.settings(), also...), err
}

// asksRouter reports whether a run will ask the router where others reach a relay that does not
// say it: in a testnet only where somebody wrote that down.
func (a *app) asksRouter(c *cobra.Command, genesis string) (bool, error) {
	s := a.sources(c, config.Named{})
	s.Flags = nil
	cfg, err := config.Load(s)
	if err != nil {
		return false, a.badConfig(err)
	}
	path := cmp.Or(genesis, cfg.Network.Genesis)
	if path == "" || cfg.Given("relay.nat") {
		return true, nil
	}
	testnet, err := node.CheckGenesis(path)
	if err != nil && genesis == "" { // the configuration's need not be there yet
		return true, nil
	}
	return !testnet, err
}

// heldCeilings are what the configuration says of a relay's ceilings: each layer that a run
// with this command line would read. What is empty is not said.
type heldCeilings struct{ rate, monthly, period string }

// heldCeilings reads them. This command's own flags are none of them.
func (a *app) heldCeilings(c *cobra.Command) (heldCeilings, error) {
	s := a.sources(c, config.Named{})
	s.Flags = nil
	cfg, err := config.Load(s)
	if err != nil {
		return heldCeilings{}, a.badConfig(err)
	}
	h := heldCeilings{rate: node.DeclaringOf(cfg).Rate}
	if cfg.Given("relay.accounting.max") {
		h.monthly = cfg.Relay.Accounting.Max.String()
	}
	if cfg.Given("relay.accounting.period") {
		h.period = cfg.Relay.Accounting.Period
	}
	return h, nil
}

// complete has answers say what the configuration holds and no flag does, so that it is
// declared and not asked. A quota that is only proposed is one of the period that is held.
func (h heldCeilings) complete(said *relayAnswers) {
	said.rate = cmp.Or(said.rate, h.rate)
	if said.monthly == "" {
		said.monthly, said.period = h.monthly, h.period
	}
}

// leave takes out of answers what the configuration holds: it stays where it is said. named
// are those of flags.
func (h heldCeilings) leave(got *relayAnswers, named relayAnswers) {
	if named.rate == "" && h.rate != "" {
		got.rate = ""
	}
	if named.monthly == "" && h.monthly != "" {
		got.monthly = ""
	}
}

// proposed is what a new relay says whose operator is asked nothing: it has the ceilings
// that the questions propose, as far as nothing else says them.
func (a *app) proposed(d *node.Declaring, said relayAnswers, held heldCeilings, usual, yes bool) ([][2]string, error) {
	ceilings := relayAnswers{rate: said.rate, monthly: said.monthly, burst: said.burst, listen: said.listen}
	held.complete(&ceilings)
	ceilings.rate = cmp.Or(ceilings.rate, proposedRate)
	ceilings.monthly = cmp.Or(ceilings.monthly, proposedQuota(ceilings.period))
	d.Rate = ceilings.rate
	held.leave(&ceilings, said)
	if !usual {
		if yes || said.rate+said.monthly+said.burst+said.listen != "" || foreign(d.Addresses) {
			a.noteCeilings(ceilings)
		}
		return nil, nil
	}
	said.rate, said.monthly = "", ""
	also, err := a.alsoSaid(usual, said)
	return append(ceilings.settings(), also...), err
}

// foreign reports whether others than this machine are to reach a relay at one of the
// addresses: those on loopback are a testnet's, and cost nobody anything.
func foreign(addresses []string) bool {
	return slices.ContainsFunc(addresses, func(text string) bool {
		at, err := netip.ParseAddrPort(text)
		return err == nil && !at.Addr().Unmap().IsLoopback()
	})
}

// noteCeilings says where the ceilings go of a relay whose configuration is not written here,
// and where it listens: the user's file counts for every relay of the user, and until they
// stand somewhere nothing holds this one back. What is empty stands somewhere already.
func (a *app) noteCeilings(said relayAnswers) {
	var lines []string
	run := "chive relay run"
	if a.global.state != a.env.StateDir {
		run += " --state " + shellWord(a.global.state)
	}
	add := func(value, key, section, flag string) {
		if value == "" {
			return
		}
		lines = append(lines, fmt.Sprintf("%s = %q below [%s]", key, value, section))
		if flag == "" {
			run += " -o " + shellWord(section+"."+key+"="+value)
		} else {
			run += " " + flag + " " + shellWord(value)
		}
	}
	add(said.listen, "listen", "relay", "--listen")
	add(said.rate, "rate", "relay", "--rate")
	add(said.burst, "burst", "relay", "")
	monthly := "--monthly"
	if said.period != "" && said.period != "month" {
		monthly = ""
	}
	add(said.monthly, "max", "relay.accounting", monthly)
	if len(lines) == 0 {
		return
	}
	text := "This relay has a state folder of its own, so give its ceilings when it runs: " + run
	if a.env.UserFile == "" {
		text = "Nothing holds this relay back before its configuration does: " + strings.Join(lines, ", and ") + "; or give them when it runs: " + run
	}
	if a.global.json {
		printObject(a.err, noteObject{"chive.note/1", a.addressed(text)})
	}
	a.note("%s", text)
}

// usualState reports whether the state folder is the one of who runs chive without saying
// which: the user's configuration file counts for that one's relay, and may be changed for it.
func (a *app) usualState() bool {
	if a.env.UserFile == "" {
		return false
	}
	usual := a.env.StateDir
	if cfg, err := config.Load(config.Sources{Files: a.env.Files}); err == nil && cfg.State != "" {
		usual = cfg.State
	}
	return a.global.state == usual
}

// canAsk reports whether somebody sits there who can be asked.
func (a *app) canAsk() bool {
	out, isFile := a.err.(*os.File)
	return !a.global.json && !a.global.quiet && term.IsTerminal(int(os.Stdin.Fd())) && isFile && term.IsTerminal(int(out.Fd()))
}

// checkMonthly refuses what is no quota.
func checkMonthly(text string) error {
	if text == "" || text == "off" {
		return nil
	}
	fault := &node.Fault{Kind: node.Usage, Code: "monthly", Text: "--monthly " + text + " is no size", Fix: "Write a number with its unit, such as 200GiB, or off."}
	if size, err := config.ParseSize(text); err != nil || size == 0 {
		return fault
	}
	if takes("relay.accounting.max", text) != nil {
		fault.Text = "--monthly " + text + " is less than a quota may be, or more"
		return fault
	}
	return nil
}

// alsoSaid are the settings that flags change: those that are kept nowhere else, and
// whatever the user's file says already and would win over what is declared.
func (a *app) alsoSaid(usual bool, said relayAnswers) ([][2]string, error) {
	all := append(said.settings(), said.unasked()...)
	if !usual || len(all) == 0 {
		return nil, nil
	}
	cfg, err := config.Load(config.Sources{Files: []config.File{{Path: a.env.UserFile, Optional: true}}})
	if err != nil {
		return nil, configFault(err)
	}
	var out [][2]string
	for _, s := range all {
		alone := strings.HasPrefix(s[0], "relay.accounting.") || s[0] == "relay.burst" || s[0] == "relay.listen" // kept nowhere else
		if alone || cfg.Given(s[0]) {
			out = append(out, s)
		}
	}
	return out, nil
}

// keepRelay writes settings into the user's configuration file, and returns them.
func (a *app) keepRelay(said [][2]string) ([][2]string, error) {
	if len(said) == 0 {
		return nil, nil
	}
	err := node.ChangeConfig(a.env.UserFile, func(data []byte) ([]byte, error) {
		var err error
		for _, s := range said {
			if err == nil {
				data, err = config.Say(data, s[0], s[1])
			}
		}
		return data, err
	})
	if err != nil {
		return nil, &node.Fault{
			Kind: node.Failed, Code: "config_write", Text: "The relay is made, but its settings could not be kept in " + a.env.UserFile,
			Fix: "Look at that file and its folder, or say them with each start: chive relay run --rate SIZE --monthly SIZE.",
		}
	}
	a.note("Kept in %s.", a.env.UserFile)
	return said, nil
}
