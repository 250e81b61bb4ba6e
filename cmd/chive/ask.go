// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"chive/internal/control"
	"chive/internal/node"
)

// asked puts one question to the daemon and prints the answer: as it came for programs,
// or what text writes of it.
func asked[T any](a *app, ctx context.Context, question func(ctx context.Context, path string) (*T, []byte, error), text func(io.Writer, *T)) error {
	socket, err := a.askedSocket()
	if err == nil {
		err = socket.Check()
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	answer, raw, err := question(ctx, socket.Path)
	if err != nil {
		return a.askFault(socket, err)
	}
	if a.global.json {
		_, _ = fmt.Fprintf(a.out, "%s\n", raw)
		return nil
	}
	text(a.out, answer)
	return nil
}

// ask is a command line that asks the daemon which this command line means, from any folder.
func (a *app) ask(words string) string {
	words = "chive " + words
	where := a.askFlags()
	if where == "" {
		return words
	}
	return words + " " + where
}

// askFlags are what a command line needs to ask that daemon; empty: nothing.
func (a *app) askFlags() string {
	flag, place := "", ""
	if path, ok := strings.CutPrefix(a.global.control, "unix:"); ok {
		flag, place = "--control unix:", path
	} else if a.global.state != a.env.StateDir && a.global.state != "" {
		flag, place = "--state ", a.global.state
	} else if a.env.System && a.env.RuntimeDir != "" { // no shell has the service's variables
		if s, err := a.controlSocket(); err == nil && s.Path != "" {
			flag, place = "--control unix:", s.Path
		}
	}
	if flag == "" {
		return ""
	}
	if full, err := filepath.Abs(place); err == nil {
		place = full
	}
	return flag + shellWord(place)
}

// questions finds what texts have people ask: the daemon that they are about, or, where they
// say whose, another's.
var questions = regexp.MustCompile(`(\b(?:own|operator's|their) )?\bchive (?:relay status|status|doctor)\b((?: --[a-z]+)*(?: with the --state)?)`)

// addressed is a text whose questions to this daemon say which it is, as ask does.
func (a *app) addressed(text string) string {
	where := a.askFlags()
	if where == "" || !strings.Contains(text, "chive ") {
		return text
	}
	return questions.ReplaceAllStringFunc(text, func(q string) string {
		m := questions.FindStringSubmatch(q)
		if m[1] != "" || strings.Contains(m[2], "--state") || strings.Contains(m[2], "--control") {
			return q
		}
		return strings.TrimSuffix(q, m[2]) + " " + where + m[2]
	})
}

// askFault says what became of a question: what the daemon said to it, or why there is no
// answer.
func (a *app) askFault(socket node.ControlSocket, err error) *node.Fault {
	var said *control.Failure
	if !errors.As(err, &said) {
		return a.statusFault(socket, err)
	}
	kind := node.Failed
	if said.Code == "not_ready" || said.Code == "not_here" { // what is asked for runs elsewhere, or nowhere
		kind = node.Unreachable
	}
	return &node.Fault{Kind: kind, Code: said.Code, Text: strings.TrimSuffix(said.Text, "."), Fix: said.Fix}
}

func (a *app) newnymCommand() *cobra.Command {
	return &cobra.Command{
		Use: "newnym", Short: "use new circuits from now on", Args: exactly(),
		Long: `Has the running client use new circuits for all streams from now on, so that what comes
cannot be linked to what was by its circuits. Addresses given for names, and the stories
of failed streams, are forgotten. Open streams go on where they are; cookies and logins of
your programs are theirs to forget.`,
		Example: "  chive newnym",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := a.locate(c); err != nil {
				return err
			}
			return asked(a, c.Context(), control.PostNewIdentity, func(w io.Writer, _ *control.NewIdentityDone) {
				fmt.Fprintln(w, "New streams use new circuits.")
			})
		},
	}
}

const healthHelp = `Exits with 0 if the daemon of this state folder can do its work, and with 3 and the reason if it
cannot, or if there is none: a client that has no list of relays yet; a relay that drains, that
rests because its quota is used up, that publishes no address, or that others do not reach. A
relay that waits for its place on the list is ready. Of "chive up" the client counts, and that
the relay does not drain. What is wrong with the machine while it works all the same, such as
a full disk, stands behind the answer, with what to do about it; in JSON as troubles.

None of these is mended by a restart. What starts programs again when they are unhealthy asks with
--alive: 0 if the daemon answers at all.`

func (a *app) healthCommand() *cobra.Command {
	var alive bool
	c := &cobra.Command{
		Use: "health", Short: "say whether a running daemon is ready", Args: exactly(), Long: healthHelp,
		Example: "  chive health --control unix:/data/control.sock\n  chive health --alive",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := a.locate(c); err != nil {
				return err
			}
			question, word := control.FetchReady, "ready"
			if alive {
				question, word = control.FetchAlive, "alive"
			}
			return asked(a, c.Context(), question, func(w io.Writer, h *control.Health) {
				fmt.Fprintln(w, word)
				for _, t := range h.Troubles {
					wrap(w, "  ! "+t.Code+": ", t.Text)
					wrap(w, "    Fix: ", a.addressed(t.Fix))
				}
			})
		},
	}
	c.Flags().BoolVar(&alive, "alive", false, "whether it answers at all, ready or not")
	return c
}

func (a *app) relayStatus() *cobra.Command {
	var watch bool
	c := &cobra.Command{
		Use: "status", Short: "ask a running relay how it stands", Args: exactly(),
		Long: `Asks the relay that runs with this state folder: whether it is reachable and on the list,
its age and weight and why, what it carries, what limits it, and what is wrong. It has
totals only: a relay does not tell of circuits or peers.`,
		Example: "  chive relay status --state relay1\n  chive relay status --state relay1 --watch",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := a.locate(c); err != nil {
				return err
			}
			if !watch {
				return a.showRelay(c.Context(), "")
			}
			ctx, stop := untilSignal(c.Context(), func() {}, func() {})
			defer stop()
			return a.watch(ctx, func(before string) error { return a.showRelay(ctx, before) })
		},
	}
	c.Flags().BoolVar(&watch, "watch", false, "go on until interrupted, every 2 s")
	return c
}

// showRelay asks a relay once and prints the answer behind before.
func (a *app) showRelay(ctx context.Context, before string) error {
	if a.global.json {
		return asked(a, ctx, control.FetchRelay, nil)
	}
	ask := func(ctx context.Context, path string) (*control.Status, []byte, error) {
		s, raw, err := control.Fetch(ctx, path)
		if err == nil && len(s.Relays) == 0 {
			_, _, err = control.FetchRelay(ctx, path) // which says that there is none
		}
		return s, raw, err
	}
	return asked(a, ctx, ask, func(w io.Writer, s *control.Status) {
		var text strings.Builder
		text.WriteString(before)
		s.Client = nil
		printStatus(&text, s)
		_, _ = io.WriteString(w, text.String())
	})
}

// maxDrainTime bounds what --after takes, as the local API does.
const maxDrainTime = 24 * time.Hour

func (a *app) relayDrain() *cobra.Command {
	var after time.Duration
	c := &cobra.Command{
		Use: "drain", Short: "let a running relay end its work", Args: exactly(),
		Long: `Has the running relay take no new circuits, and end once those that are open have ended,
or have been idle for 5 s, or when the time for that is over: what relay.drain in the
configuration says, 30 s unless it is said, or --after, at most 24h. What is open then is
cut. A drain that may take an epoch (an hour) or longer declares a rate of 0 meanwhile, so that
clients choose others; the rate comes back slowly. An interrupt does the same with the time of the configuration. Of "chive up" the
whole process ends: its client at once, its relay so.`,
		Example: "  chive relay drain --state relay1\n  chive relay drain --state relay1 --after 10m",
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("after") && (after < time.Second || after > maxDrainTime) {
				return usage(c, "--after takes a duration from 1s to 24h")
			}
			if err := a.locate(c); err != nil {
				return err
			}
			ask := func(ctx context.Context, path string) (*control.DrainBegun, []byte, error) {
				return control.PostDrain(ctx, path, after)
			}
			return asked(a, c.Context(), ask, func(w io.Writer, _ *control.DrainBegun) {
				fmt.Fprintln(w, "It takes no new circuits, and ends when those that are open are done.")
			})
		},
	}
	c.Flags().DurationVar(&after, "after", 0, "end after `D` at the latest, such as 10m; 1s to 24h; without it the configuration says")
	return c
}

// explain prints the story of one stream. Spec: product §4.6.
func (a *app) explain(ctx context.Context, id string) error {
	ask := func(ctx context.Context, path string) (*control.Explained, []byte, error) {
		return control.FetchExplained(ctx, path, id)
	}
	return asked(a, ctx, ask, printExplained)
}

// printStreams writes the streams that a client remembers, a line each.
func printStreams(w io.Writer, s *control.Streams) {
	if len(s.Streams) == 0 {
		fmt.Fprintln(w, "No stream is open, and none failed or was slow (over 10 s to connect).")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "id\tstate\tbegan\tkind\ttarget\treason")
	for _, x := range s.Streams {
		state, reason := x.State, x.Reason
		if x.Slow {
			state += ", slow"
		}
		if reason == "" {
			reason = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s ago\t%s\t%s\t%s\n", x.ID, state, since(s.Time, x.Began), x.Kind, x.Target, reason)
	}
	_ = t.Flush()
}

// positions are the hops of a circuit of the usual length, as people call them.
var positions = []string{"", "guard", "middle", "exit"}

// delay shows how long a step took: 12 ms, 3.4 s.
func delay(seconds float64) string {
	if seconds < 0.9995 {
		return fmt.Sprintf("%.0f ms", seconds*1000)
	}
	return fmt.Sprintf("%.1f s", seconds)
}

func printExplained(w io.Writer, e *control.Explained) {
	s := e.Stream
	fmt.Fprintf(w, "%s  %s %s: %s", s.ID, s.Kind, s.Target, s.State)
	if s.Reason != "" {
		fmt.Fprintf(w, " (%s)", s.Reason)
	}
	fmt.Fprintf(w, "\n  began   %s", s.Began.Local().Format(time.DateTime))
	if s.Listener != "" {
		fmt.Fprintf(w, " at %s", s.Listener)
	}
	if s.Times > 1 {
		fmt.Fprintf(w, ", the last of %d times", s.Times)
	}
	fmt.Fprintln(w)
	if s.Took > 0 {
		fmt.Fprintf(w, "  took    %s until connected", delay(s.Took))
		if s.FirstByte > 0 {
			fmt.Fprintf(w, ", %s until the first byte", delay(s.FirstByte))
		}
		fmt.Fprintln(w)
	}
	number := 0
	for n, t := range s.Tries {
		where, label := t.Phase, ""
		switch { // a circuit that worked and what was done on it are one try
		case t.Phase == "bootstrap":
			label = "start"
		case t.Phase == "answer":
		case n > 0 && s.Tries[n-1].Reason == "waiting": // how that went on
		case n == 0 || t.Phase == "circuit" || s.Tries[n-1].Phase != "circuit" || s.Tries[n-1].Reason != "":
			number++
			label = fmt.Sprintf("try %d", number)
		}
		if t.Hop > 0 && t.Hop < len(positions) {
			where += ", " + positions[t.Hop]
		} else if t.Hop > 0 {
			where += fmt.Sprintf(", hop %d", t.Hop)
		}
		if t.Relay != "" {
			where += " " + t.Relay
		}
		result := "worked"
		if t.Reason != "" {
			result = t.Reason
		}
		fmt.Fprintf(w, "  %-7s %s: %s after %s", label, where, result, delay(t.Took))
		if t.Text != "" {
			fmt.Fprintf(w, ". %s", t.Text)
		}
		fmt.Fprintln(w)
	}
	if e.Circuit != nil {
		fmt.Fprintf(w, "  circuit ")
		for i, h := range e.Circuit.Hops {
			if i > 0 {
				fmt.Fprint(w, " > ")
			}
			fmt.Fprintf(w, "%s %s", h.Position, h.RID)
		}
		fmt.Fprintln(w)
	}
	if s.Text != "" {
		fmt.Fprintf(w, "  why     %s\n", s.Text)
	}
	if s.Fix != "" {
		fmt.Fprintf(w, "  fix     %s\n", s.Fix)
	}
}
