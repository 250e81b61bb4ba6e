// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"chive/internal/control"
	"chive/internal/node"
	"chive/testnet"
)

// Times of questions to a testnet: one of all its nodes, and until nodes that were
// started are ready.
const (
	testnetTime = 10 * time.Second
	joinTime    = 30 * time.Second
	joinEvery   = 200 * time.Millisecond
)

// runningTestnet is a testnet that answers.
type runningTestnet struct {
	socket string
	raw    []byte
	*control.Testnet
}

func keepFlag(c *cobra.Command, keep *string) {
	c.Flags().StringVar(keep, "keep", "", "of the testnet whose folder is `DIR`; unless given, or --control, of the one that runs")
}

func (a *app) testnetStatus() *cobra.Command {
	var keep string
	c := &cobra.Command{
		Use: "status", Short: "show the nodes of a running testnet", Args: exactly(),
		Long: `Shows the nodes of the testnets of this user that run: process ids, epochs, what the newest
list of relays says of each, and whether all that hold a list of one epoch hold the same
one. With --json it also names each node's folder, log, control socket and the command that
runs it. Exits with 3 when no testnet runs.`,
		Example: "  chive testnet status\n  chive testnet status --keep lab\n  chive testnet status --json",
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := a.testnets(c.Context(), keep)
			if err != nil {
				return err
			}
			for i, t := range all {
				if a.global.json {
					_, _ = fmt.Fprintf(a.out, "%s\n", t.raw)
					continue
				}
				if i > 0 {
					fmt.Fprintln(a.out)
				}
				printTestnet(a.out, t)
			}
			return nil
		},
	}
	keepFlag(c, &keep)
	return c
}

func (a *app) testnetAdd() *cobra.Command {
	var keep string
	var exits int
	c := &cobra.Command{
		Use: "add N", Short: "start more relays, which join a running testnet", Args: exactly("N"),
		Long: `Makes and starts N relays, processes that join a testnet of processes (--driver proc) as
volunteers join a network: three relays introduce each, and it is on the list within a few
epochs. It returns when they accept links; "chive testnet status" says when they are on the
list. They end with the testnet.`,
		Example: "  chive testnet add 4\n  chive testnet add 2 --exits 1 --keep lab",
		RunE: func(c *cobra.Command, args []string) error {
			var n int
			if _, err := fmt.Sscanf(args[0], "%d", &n); err != nil || n < 1 || n > testnet.MaxProcesses || fmt.Sprint(n) != args[0] {
				return usage(c, fmt.Sprintf("N is a number of relays, 1 to %d", testnet.MaxProcesses))
			}
			if exits < 0 || exits > n {
				return usage(c, "--exits takes 0 to N")
			}
			t, err := a.oneTestnet(c.Context(), keep)
			if err != nil {
				return err
			}
			return a.begin(c.Context(), t, func(ctx context.Context) (*control.Testnet, []byte, error) {
				return control.PostTestnetAdd(ctx, t.socket, n, exits)
			})
		},
	}
	c.Flags().IntVar(&exits, "exits", 0, "make `N` of them exits")
	keepFlag(c, &keep)
	return c
}

func (a *app) testnetStart() *cobra.Command {
	var keep string
	c := &cobra.Command{
		Use: "start NAME", Short: "start a node of a running testnet again, in place", Args: exactly("NAME"),
		Long: `Starts a node of a testnet of processes (--driver proc) that was killed or has ended: with its
keys and what it had stored, at its port. It returns when the node is ready.`,
		Example: "  chive testnet start relay7\n  chive testnet start client1 --keep lab",
		RunE: func(c *cobra.Command, args []string) error {
			t, err := a.oneTestnet(c.Context(), keep)
			if err != nil {
				return err
			}
			return a.begin(c.Context(), t, func(ctx context.Context) (*control.Testnet, []byte, error) {
				return control.PostTestnetStart(ctx, t.socket, args[0])
			})
		},
	}
	keepFlag(c, &keep)
	return c
}

// testnets returns the running testnets that are meant: at --control, of the folder, or
// all of this user.
func (a *app) testnets(ctx context.Context, keep string) ([]*runningTestnet, error) {
	named := a.global.control != ""
	sockets := node.TestnetSockets(a.env.RuntimeDir)
	switch {
	case named:
		at, err := node.ControlPath(a.global.control, "")
		if err == nil {
			err = at.Check()
		}
		if err != nil {
			return nil, err
		}
		sockets = []string{at.Path}
	case keep != "":
		if said, ok := strings.CutPrefix(testnet.ReadPlace(keep), "unix:"); ok {
			sockets = []string{said}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, testnetTime)
	defer cancel()
	var all []*runningTestnet
	for _, s := range sockets {
		t, raw, err := control.FetchTestnet(ctx, s)
		var said *control.Failure
		switch {
		case named && errors.As(err, &said):
			return nil, &node.Fault{Kind: node.Unreachable, Code: said.Code, Text: strings.TrimSuffix(said.Text, "."), Fix: "Name the socket of a testnet, not of one of its nodes; or leave --control out."}
		case err != nil:
			continue
		case keep != "" && t.Folder != absolute(keep):
			continue
		}
		all = append(all, &runningTestnet{s, raw, t})
	}
	if len(all) > 0 {
		return all, nil
	}
	text := "No testnet of this user runs"
	switch {
	case named:
		text = "No testnet answers at " + a.global.control
	case keep != "":
		text = "No testnet runs in " + keep
	}
	return nil, &node.Fault{Kind: node.Unreachable, Code: "no_testnet", Text: text, Fix: "Start one: " + selfCommand() + " testnet up --driver proc"}
}

// testnetClient is what a command line has behind --control for a client of a testnet that
// this user runs, where it means the usual client; else it is empty.
func (a *app) testnetClient() string {
	at := a.testnetSocket()
	if at == "" {
		return ""
	}
	return shellWord(at)
}

// testnetSocket is the control socket of that client.
func (a *app) testnetSocket() string {
	if a.ask("status") != "chive status" {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), testnetTime)
	defer cancel()
	for _, path := range node.TestnetSockets(a.env.RuntimeDir) {
		socket, err := node.ControlPath("unix:"+path, "")
		if err != nil || socket.Check() != nil {
			continue
		}
		t, _, err := control.FetchTestnet(ctx, path)
		if err != nil {
			continue
		}
		if s, _, err := control.Fetch(ctx, path); err == nil && s.Client != nil {
			return socket.Shown()
		}
		for _, n := range t.Nodes {
			if n.Role == "client" && n.State == control.NodeRunning && n.Control != "" {
				return n.Control
			}
		}
	}
	return ""
}

// oneTestnet is testnets for what cannot be done to several.
func (a *app) oneTestnet(ctx context.Context, keep string) (*runningTestnet, error) {
	all, err := a.testnets(ctx, keep)
	if err != nil {
		return nil, err
	}
	if len(all) > 1 {
		f := &node.Fault{Kind: node.Usage, Code: "several_testnets", Text: fmt.Sprintf("%d testnets run", len(all)), Fix: "Say which is meant:"}
		for i, t := range all {
			f.Fix += strings.Repeat(" or", min(i, 1)) + t.which()
		}
		return nil, f
	}
	return all[0], nil
}

// which is the flag that means this testnet.
func (t *runningTestnet) which() string {
	if t.Folder != "" {
		return keptFlag(t.Folder)
	}
	return " --control unix:" + shellWord(t.socket)
}

// begin asks for nodes to be started, waits until they are ready, and shows them.
func (a *app) begin(ctx context.Context, t *runningTestnet, ask func(ctx context.Context) (*control.Testnet, []byte, error)) error {
	before := make(map[string]int)
	for _, n := range t.Nodes {
		before[n.Name] = n.PID
	}
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	got, raw, err := ask(ctx)
	again := time.NewTicker(joinEvery)
	defer again.Stop()
	var begun []control.TestnetNode
	for err == nil {
		starting := false
		begun = begun[:0]
		for _, n := range got.Nodes {
			if n.PID != before[n.Name] || n.State == control.NodeStarting {
				begun = append(begun, n)
				starting = starting || n.State == control.NodeStarting
			}
		}
		if !starting {
			break
		}
		select {
		case <-ctx.Done():
			return &node.Fault{Kind: node.Unreachable, Code: "not_ready", Text: fmt.Sprintf("The nodes were started, but are not ready within %v", joinTime), Fix: "See how they stand: " + selfCommand() + " testnet status" + t.which()}
		case <-again.C:
		}
		got, raw, err = control.FetchTestnet(ctx, t.socket)
	}
	var said *control.Failure
	switch {
	case errors.As(err, &said):
		return &node.Fault{Kind: node.Failed, Code: said.Code, Text: strings.TrimSuffix(said.Text, "."), Fix: said.Fix}
	case err != nil:
		return &node.Fault{Kind: node.Unreachable, Code: "no_testnet", Text: "The testnet does not answer any more", Fix: "Start one: " + selfCommand() + " testnet up --driver proc"}
	}
	if a.global.json {
		_, _ = fmt.Fprintf(a.out, "%s\n", raw)
		return nil
	}
	joins := false
	for _, n := range begun {
		fmt.Fprintf(a.out, "%s %s, process %d%s, folder %s\n", n.Name, n.State, n.PID, listensAt(n), n.Folder)
		joins = joins || n.RID != "" && !n.Listed
	}
	if joins {
		a.note("What is not on the list of relays is taken in within a few epochs of %v: %s testnet status%s", time.Duration(got.Network.EpochSeconds*float64(time.Second)), selfCommand(), t.which())
	}
	return nil
}

func listensAt(n control.TestnetNode) string {
	if n.Listen == "" {
		return ""
	}
	return " at " + n.Listen
}

// printTestnet shows a testnet to a person.
func printTestnet(w io.Writer, t *runningTestnet) {
	where := ""
	if t.Folder != "" {
		where = ", folder " + t.Folder
	}
	fmt.Fprintf(w, "testnet %.8s, driver %s, process %d%s\n", t.Network.ID, t.Driver, t.PID, where)
	fmt.Fprintf(w, "epoch %d, each %v; the list of epoch %d\n", t.CurrentEpoch, time.Duration(t.Network.EpochSeconds*float64(time.Second)), t.ListEpoch)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tPID\tSTATE\tEPOCH\tON THE LIST\tLISTENS AT\tRID")
	for _, n := range t.Nodes {
		pid, epoch := "-", "-"
		if n.PID > 0 {
			pid = fmt.Sprint(n.PID)
		}
		if n.State == control.NodeRunning {
			epoch = fmt.Sprint(n.Epoch)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", nodeName(n), pid, n.State, epoch, onList(n), dash(n.Listen), dash(n.RID))
	}
	_ = table.Flush()
	fmt.Fprintln(w, sameLists(t.Nodes))
	for _, n := range t.Nodes {
		if n.State != control.NodeEnded {
			continue
		}
		fmt.Fprintf(w, "%s has ended: %s. Start it again in place: %s\n", n.Name, n.Ended, startLine(n.Name, t.Folder))
		fmt.Fprintf(w, "  or as a process of yours: %s\n", n.Command)
	}
	if t.Driver == "proc" {
		fmt.Fprintf(w, "Of each node: its state folder %s, and in it log and control.sock (chive status --state).\n", filepath.Join(t.Folder, "NODE"))
	}
}

func nodeName(n control.TestnetNode) string {
	if n.Exit {
		return n.Name + " (exit)"
	}
	return n.Name
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// onList says what the newest list says of a node.
func onList(n control.TestnetNode) string {
	switch {
	case n.RID == "":
		return "-"
	case !n.Listed:
		return "no"
	case n.Marked:
		return "marked not running"
	}
	return "running"
}

// sameLists says how many nodes hold the list of each of the newest epochs, and whether
// it is the same one.
func sameLists(nodes []control.TestnetNode) string {
	digests := make(map[uint64][]string)
	for _, n := range nodes {
		if n.State == control.NodeRunning && n.DirRoot != "" {
			digests[n.Epoch] = append(digests[n.Epoch], n.DirRoot)
		}
	}
	var epochs []uint64
	for e := range digests {
		epochs = append(epochs, e)
	}
	slices.Sort(epochs)
	slices.Reverse(epochs)
	var parts []string
	for _, e := range epochs[:min(2, len(epochs))] {
		held := digests[e]
		slices.Sort(held)
		different := slices.Compact(slices.Clone(held))
		switch {
		case len(different) > 1:
			parts = append(parts, fmt.Sprintf("epoch %d: DIFFERENT LISTS, %s", e, strings.Join(different, " and ")))
		default:
			parts = append(parts, fmt.Sprintf("epoch %d: the same list at %d, digest %.16s", e, len(held), held[0]))
		}
	}
	if len(parts) == 0 {
		return "No node says which list it holds."
	}
	return "Lists held by nodes: " + strings.Join(parts, "; ")
}
