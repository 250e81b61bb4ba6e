// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"chive/internal/control"
	"chive/internal/node"
)

// statusTime bounds one question; watchEvery is the pause between two.
const (
	statusTime = 5 * time.Second
	watchEvery = 2 * time.Second
)

const statusHelp = `Asks the client or relay that runs with this state folder how it stands, and says it in
plain words: how old the list of relays is, who agrees on it and what that is worth,
which guards and circuits there are and why these; of a relay, whether it is on the list,
its place in the committee, and what is wrong.

With --relays it prints the list of relays that the daemon holds: name, addresses, age,
rate (in the list's steps), and what each may be used for.

A stream is slow that took more than 10 s to connect; how fast its bytes come
afterwards does not count.

The socket that is asked is where the daemon's ready line says: under XDG_RUNTIME_DIR, or
in the state folder when --state names one. Exits with 3 when nobody answers there.`

func (a *app) statusCommand() *cobra.Command {
	var watch, relays, streams, page bool
	var explain string
	c := &cobra.Command{
		Use: "status", Short: "ask a running client or relay how it stands", Long: statusHelp, Args: exactly(),
		Example: "  chive status\n  chive status --state relay1 --watch\n  chive status --relays\n  chive status --streams\n  chive status --explain last\n  chive status --json --control unix:/run/user/1000/chive/control.sock",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := a.locate(c); err != nil {
				return err
			}
			socket, err := a.askedSocket()
			if err == nil {
				err = socket.Check()
			}
			if err != nil {
				return err
			}
			switch {
			case explain != "":
				return a.explain(c.Context(), explain)
			case streams:
				return asked(a, c.Context(), control.FetchStreams, printStreams)
			case page:
				return asked(a, c.Context(), control.PostWeb, func(w io.Writer, p *control.Web) { fmt.Fprintln(w, p.Address) })
			}
			if relays {
				if watch {
					return usage(c, "--relays and --watch do not go together")
				}
				return a.showList(c.Context(), socket)
			}
			if !watch {
				return a.showStatus(c.Context(), socket, "")
			}
			ctx, stop := untilSignal(c.Context(), func() {}, func() {})
			defer stop()
			return a.watch(ctx, func(before string) error { return a.showStatus(ctx, socket, before) })
		},
	}
	c.Flags().StringVar(&explain, "explain", "", "tell the story of the stream `ID`, or last: of the one that last failed, or took over 10 s to connect")
	c.Flags().BoolVar(&page, "web", false, "print the address of the local page, which is good once and for a minute")
	c.Flags().BoolVar(&relays, "relays", false, "print the list of relays that the daemon holds")
	c.Flags().BoolVar(&streams, "streams", false, "print the streams that are open, and those that failed or were slow, with the ids that --explain takes")
	c.Flags().BoolVar(&watch, "watch", false, "go on until interrupted, every 2 s")
	return c
}

// watch shows something again and again, on a terminal at the same place: show writes
// before, and then what it shows.
func (a *app) watch(ctx context.Context, show func(before string) error) error {
	before := ""
	if f, isFile := a.out.(*os.File); isFile && term.IsTerminal(int(f.Fd())) {
		before = "\x1b[H\x1b[2J"
	}
	again := time.NewTicker(watchEvery)
	defer again.Stop()
	for {
		if err := show(before); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if before == "" && !a.global.json {
			before = "\n"
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

// showStatus asks once and prints the answer behind before.
func (a *app) showStatus(ctx context.Context, socket node.ControlSocket, before string) error {
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	s, raw, err := control.Fetch(ctx, socket.Path)
	if err != nil {
		return a.statusFault(socket, err)
	}
	if a.global.json {
		_, _ = fmt.Fprintf(a.out, "%s\n", raw)
		return nil
	}
	var text strings.Builder
	printStatus(&text, s)
	_, _ = io.WriteString(a.out, before+text.String())
	return nil
}

// showList asks for the list of relays and prints it.
func (a *app) showList(ctx context.Context, socket node.ControlSocket) error {
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	l, raw, err := control.FetchRelays(ctx, socket.Path)
	if err != nil {
		return a.statusFault(socket, err)
	}
	if a.global.json {
		_, _ = fmt.Fprintf(a.out, "%s\n", raw)
		return nil
	}
	printList(a.out, l)
	return nil
}

// statusFault says why nobody could be asked. Spec: product CLI-6.
func (a *app) statusFault(socket node.ControlSocket, err error) *node.Fault {
	f := &node.Fault{
		Kind: node.Unreachable, Code: "no_daemon", Text: "No chive client or relay answers at " + socket.Name(),
		Fix: "Start one: chive client --genesis FILE, or chive relay run --genesis FILE. If one runs, give the --state that it runs with, or the socket of its ready line: --control unix:PATH",
	}
	if at := a.testnetClient(); at != "" {
		f.Fix = "A testnet of yours runs: --control " + at + " names its client. " + f.Fix
	}
	var failure *control.Failure
	switch {
	case errors.As(err, &failure):
		f.Code, f.Text, f.Fix = failure.Code, failure.Text, failure.Fix
	case errors.Is(err, control.ErrForbidden):
		f.Code, f.Text, f.Fix = "control_forbidden", "This user may not ask at "+socket.Name(), "Ask as the user that the daemon runs as."
	case errors.Is(err, control.ErrAnswer):
		f.Code, f.Text, f.Fix = "control_answer", "What is at "+socket.Name()+" gives no answer of a chive daemon", "Check the path. If it is the daemon's, it hangs: start it again."
	}
	return f
}
