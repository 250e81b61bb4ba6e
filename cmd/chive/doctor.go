// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chive/internal/config"
	"chive/internal/control"
	"chive/internal/node"
)

const doctorHelp = `Looks for what is wrong on this machine, whether a client or relay runs or not: clock,
configuration, state folder and keys, control socket, the way to the network and who is
known there, relays' ports that are filtered on the way, this machine's ports, limits and
memory, how others reach a relay (router, IPv6), and ways by which programs here go around
the proxy. Each finding is ok, a warning or a fault, with what to do about it.

With --offline nothing is sent to other machines; a look at relays is all that is sent
otherwise, and only while no client runs. With --leak it looks a name up and fetches a page
through the proxy, and checks that the daemon's connections lead to relays and nowhere else.

Exits with 4 if there is a fault; warnings do not count.`

// Levels of a finding.
const (
	levelOK      = "ok"
	levelWarning = "warning"
	levelFault   = "fault"
)

// finding is one thing that the doctor has looked at.
type finding struct {
	Check string `json:"check"`
	Level string `json:"level"`
	Code  string `json:"code"` // one word; never changes
	Text  string `json:"text"` // sentences: what is so, and why
	Fix   string `json:"fix,omitempty"`
}

type doctorObject struct {
	Schema   string    `json:"schema"`
	Daemon   bool      `json:"daemon"` // one answered
	Faults   int       `json:"faults"`
	Warnings int       `json:"warnings"`
	Findings []finding `json:"findings"`
}

// doctor is one examination.
type doctor struct {
	app           *app
	offline, leak bool
	relayOnly     bool // the state folder has a relay's keys, and no client has run with it
	unread        bool // the configuration is not right: cfg is the default one
	cfg           *config.Config
	folder        node.Examined
	socket        node.ControlSocket
	status        *control.Status // nil: no daemon answers
	tries         portTries       // connections to relays that were tried
	found         []finding
}

func (a *app) doctorCommand() *cobra.Command {
	d := &doctor{app: a}
	c := &cobra.Command{
		Use: "doctor", Short: "look for what is wrong, and say what to do", Long: doctorHelp, Args: exactly(),
		Example: "  chive doctor\n  chive doctor --offline --json\n  chive doctor --leak",
		RunE: func(c *cobra.Command, _ []string) error {
			if d.offline && d.leak {
				return usage(c, "--offline and --leak do not go together")
			}
			d.examine(c)
			return d.report()
		},
	}
	c.Flags().String("genesis", "", "the network's genesis document is in `FILE`")
	c.Flags().BoolVar(&d.offline, "offline", false, "send nothing to other machines")
	c.Flags().BoolVar(&d.leak, "leak", false, "try the proxy, and look where the daemon's connections lead")
	return c
}

// examine makes all checks, in the order in which a person puts things right.
func (d *doctor) examine(c *cobra.Command) {
	ctx, now := c.Context(), time.Now()
	d.checkConfiguration(c)
	e := node.ExamineState(d.app.global.state)
	d.folder = e
	d.relayOnly = e.Keys && e.Client == "" && !d.cfg.Relay.Enabled // chive up runs both
	d.checkState(e)
	d.checkDaemon(ctx, e)
	d.checkClock(e, now)
	d.checkNetwork(ctx, now)
	d.checkFiltered()
	d.checkRelays()
	d.checkPlace()
	d.checkPorts(ctx)
	d.checkLimits()
	d.checkMemory(ctx)
	d.checkSurroundings()
	if d.leak {
		d.checkLeak(ctx)
	}
}

// report prints the findings. Spec: product CLI-5, CLI-6, CLI-11.
func (d *doctor) report() error {
	for i := range d.found {
		f := &d.found[i]
		f.Text, f.Fix = d.app.addressed(f.Text), d.app.addressed(f.Fix)
	}
	out := doctorObject{Schema: "chive.doctor/1", Daemon: d.status != nil, Findings: d.found}
	for _, f := range d.found {
		switch f.Level {
		case levelFault:
			out.Faults++
		case levelWarning:
			out.Warnings++
		}
	}
	d.app.answer(out, func(w io.Writer) {
		for _, f := range d.found {
			mark := fmt.Sprintf("%-8s %-13s ", f.Level, f.Check)
			wrap(w, mark, f.Text)
			if f.Fix != "" {
				wrap(w, strings.Repeat(" ", len(mark)), "Fix: "+f.Fix)
			}
		}
	})
	if out.Faults > 0 {
		return &node.Fault{
			Kind: node.Denied, Code: "doctor_faults", Text: number(out.Faults, "fault") + " and " + number(out.Warnings, "warning") + " were found",
			Fix: "Do what the first fault says, and ask again.",
		}
	}
	return nil
}

func (d *doctor) ok(check, code, text string) {
	d.found = append(d.found, finding{check, levelOK, code, text, ""})
}

func (d *doctor) warn(check, code, text, fix string) {
	d.found = append(d.found, finding{check, levelWarning, code, text, fix})
}

func (d *doctor) fault(check, code, text, fix string) {
	d.found = append(d.found, finding{check, levelFault, code, text, fix})
}

// hasFault reports whether a check has found a fault so far.
func (d *doctor) hasFault(check string) bool {
	return slices.ContainsFunc(d.found, func(f finding) bool { return f.Check == check && f.Level == levelFault })
}

// failed notes an error that is a fault of ours.
func (d *doctor) failed(check string, err error) {
	var f *node.Fault
	if !errors.As(err, &f) {
		f = &node.Fault{Code: "failed", Text: "The check itself failed", Fix: "Report this as a fault of chive."}
	}
	d.fault(check, f.Code, sentence(f.Text), f.Fix)
}

// sentence ends a text with a full stop.
func sentence(text string) string {
	text = strings.TrimSpace(text)
	if text != "" && !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}

func (d *doctor) checkConfiguration(c *cobra.Command) {
	cfg, err := d.app.configuration(c)
	if err != nil {
		d.failed("configuration", err)
		d.cfg, d.unread = config.Default(), true
		return
	}
	d.cfg = cfg
	from := "No configuration file is there: the defaults are in force."
	if len(cfg.Files()) > 0 {
		from = "It is read from " + readFrom(cfg) + "."
	}
	d.ok("configuration", "good", from)
}

// networkNamed is the network that the configuration names; empty: none, or one that cannot be
// read, which another check says.
func (d *doctor) networkNamed() string {
	if d.cfg.Network.Genesis == "" {
		return ""
	}
	name, err := node.NetworkNamed(d.cfg.Network.Genesis)
	if err != nil {
		return ""
	}
	return name
}

func (d *doctor) checkState(e node.Examined) {
	const check = "state"
	dir := d.app.global.state
	for _, f := range e.Faults {
		d.failed(check, f)
	}
	switch {
	case len(e.Faults) > 0:
	case !e.There:
		d.ok(check, "fresh", "There is no state folder "+dir+" yet; the first start makes it.")
	case e.Keys:
		d.ok(check, "private", "Nobody else can look into "+dir+", and the relay's keys in it are whole.")
	default:
		d.ok(check, "private", "Nobody else can look into "+dir+".")
	}
	switch e.Storeless {
	case "":
	case "memory_lost", "memory_damaged":
		d.warn(check, e.Storeless, sentence(e.StorelessText), e.StorelessFix)
	default:
		d.ok(check, e.Storeless, sentence(e.StorelessText))
	}
	for _, part := range []struct{ what, network string }{{"relay", e.Relay}, {"client", e.Client}} {
		if named := d.networkNamed(); part.network != "" && named != "" && named != part.network {
			d.fault(check, "other_network", "Its "+part.what+" is one of the network "+part.network+", and of no other; the genesis document that is named is that of "+named+".",
				"Name the document of its own network, --genesis FILE, or another state folder, --state DIR.")
		} else if part.network != "" {
			d.ok(check, "bound", "Its "+part.what+" is one of the network "+part.network+", and of no other.")
		}
	}
	if e.Uncertified != nil {
		d.failed(check, e.Uncertified)
	} else if e.Soon != "" && !time.Now().Before(e.Ends) {
		d.fault(check, "certificates", sentence(e.Soon), node.RenewFix+".")
	} else if e.Soon != "" {
		d.warn(check, "certificates", sentence(e.Soon), node.RenewFix+".")
	} else if !e.Ends.IsZero() {
		d.ok(check, "certificates", "What the relay's offline identity has signed is good until "+e.Ends.UTC().Format(time.DateTime)+" UTC.")
	}
	if e.Disk != "" {
		d.warn(check, "disk_low", sentence(e.Disk), control.FixDisk)
	}
}

func (d *doctor) checkDaemon(ctx context.Context, e node.Examined) {
	const check = "daemon"
	socket, err := d.app.askedSocket()
	if err == nil {
		err = socket.Check()
	}
	if f := (*node.Fault)(nil); errors.As(err, &f) && d.app.inRun { // a run that knows no client has none to judge
		d.warn(check, f.Code, sentence(f.Text), f.Fix)
		return
	}
	if err != nil {
		d.failed(check, err)
		return
	}
	d.socket = socket
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	s, _, err := control.Fetch(ctx, socket.Path)
	switch {
	case err == nil:
		d.status = s
		who := "A client answers"
		switch {
		case s.Client != nil && len(s.Relays) > 0:
			who = "A client and a relay answer"
		case s.Client == nil:
			who = "A relay answers"
		}
		d.ok(check, "answers", who+" at "+socket.Name()+".")
	case !errors.Is(err, control.ErrNobody):
		d.failed(check, d.app.statusFault(socket, err))
	case e.InUse:
		who := "Another process"
		if e.Holder != 0 {
			who = fmt.Sprintf("Process %d", e.Holder)
		}
		d.fault(check, "no_answer", who+" runs with this state folder, but nobody answers at "+socket.Name()+".",
			"Name its socket as its ready line does: --control unix:PATH. If it has none, or hangs, start it again.")
	default:
		d.warn(check, "no_daemon", "No client or relay runs here: nobody answers at "+socket.Name()+".",
			d.app.statusFault(socket, err).Fix)
	}
	if info, err := os.Stat(socket.Path); err == nil && openToAll(info.Mode()) {
		d.fault(check, "control_exposed", "Every user of this machine may give the daemon orders: the mode of "+socket.Path+" lets them.", "Start the daemon again; it makes its socket private.")
	}
}
