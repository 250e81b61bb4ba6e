// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"chive/internal/node"
	"chive/testnet/bootstrap"
	"chive/testnet/draws"
	"chive/testnet/model"
	"chive/testnet/scenario"
)

// maxSeeds bounds --seeds.
const maxSeeds = 1000

// modelMemory is what the collector keeps the simulator below while it can.
const modelMemory = 1800 << 20

type runOptions struct {
	driver, seeds, out string
	seed               uint64
	relays             int
	short              bool
}

type runObject struct {
	Schema   string      `json:"schema"`
	Scenario string      `json:"scenario"`
	Goal     string      `json:"goal,omitempty"`
	Driver   string      `json:"driver"`
	Version  string      `json:"version"`
	Commit   string      `json:"commit,omitempty"`
	Seeds    []uint64    `json:"seeds"`
	Rows     []rowObject `json:"rows"`
	Trace    string      `json:"trace_sha256,omitempty"`
	Notes    []string    `json:"notes,omitempty"`
	Breach   string      `json:"breach,omitempty"`
	Met      bool        `json:"met"`
	Seconds  float64     `json:"took_seconds"`
}

type rowObject struct {
	scenario.Row
	Interval []float64 `json:"interval,omitempty"` // 95 %, of three seeds or more
}

type listObject struct {
	Schema    string       `json:"schema"`
	Scenarios []nameObject `json:"scenarios"`
}

type nameObject struct {
	Name string `json:"name"`
	Goal string `json:"goal,omitempty"`
	Text string `json:"text"`
}

// scenarios are all that can be run.
func scenarios() []scenario.Scenario {
	return slices.Concat(model.Scenarios(), draws.Scenarios(), bootstrap.Scenarios())
}

const testnetRunHelp = `Runs a named experiment on a simulated network: the same machines that relays run, in
virtual time, in one process that opens no socket. Equal seeds give equal results. Only
"idle" is otherwise: it starts two relays of this program and takes real time, 20 minutes.

It prints a table of metrics: the mean over the seeds, the 95 % interval where there are
three seeds or more, the goal, and whether it is met. The exit code is 4 when a goal is
missed or an invariant does not hold; the command that shows a breach again is printed.`

func (a *app) testnetRun() *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use: "run NAME", Short: "run an experiment on a simulated network", Long: testnetRunHelp, Args: exactly("NAME"),
		Example: "  chive testnet run spread --seeds 1..3\n  chive testnet run cost --relays 10000 --seed 1\n" +
			"  chive testnet list",
		RunE: func(c *cobra.Command, args []string) error {
			s, opts, err := o.check(args[0], c.Flags().Changed("seed"), c.Flags().Changed("seeds"), c.Flags().Changed("relays"))
			if err != nil {
				return err
			}
			debug.SetMemoryLimit(modelMemory)
			ctx, stop := untilSignal(c.Context(), func() { a.note("Stopping.") }, a.atOnce)
			defer stop()
			return a.runScenario(ctx, s, opts, o.out)
		},
	}
	f := c.Flags()
	f.StringVar(&o.driver, "driver", "model", "run relays as `NAME` says: model is machines alone, in virtual time")
	f.Uint64Var(&o.seed, "seed", 0, "run the one seed `N`")
	f.StringVar(&o.seeds, "seeds", "", "run the seeds `A..B`; when not given, the experiment's own")
	f.IntVarP(&o.relays, "relays", "n", 0, "make `N` relays; when not given, the experiment's own number")
	f.BoolVar(&o.short, "short", false, "a tenth of the size and time, for a first look")
	f.StringVar(&o.out, "out", "", "write the result to `DIR` too")
	return c
}

func (a *app) testnetList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "name the experiments that testnet run knows", Args: exactly(),
		Long:    "Names the experiments that testnet run knows, and the goals that they measure.",
		Example: "  chive testnet list",
		RunE: func(*cobra.Command, []string) error {
			out := listObject{Schema: "chive.testnet.list/1"}
			for _, s := range scenarios() {
				out.Scenarios = append(out.Scenarios, nameObject{s.Name, s.Goal, s.Text})
			}
			a.answer(out, func(w io.Writer) {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				for _, s := range out.Scenarios {
					fmt.Fprintf(t, "%s\t%s\t%s\n", s.Name, s.Goal, s.Text)
				}
				_ = t.Flush()
			})
			return nil
		},
	}
}

// check reads the command line.
func (o *runOptions) check(name string, one, several, relays bool) (s scenario.Scenario, opts scenario.Options, err error) {
	bad := func(code, text, fix string) error {
		return &node.Fault{Kind: node.Usage, Code: code, Text: text, Fix: fix}
	}
	var names []string
	for _, s = range scenarios() {
		if names = append(names, s.Name); s.Name == name {
			break
		}
	}
	switch {
	case s.Name != name:
		return s, opts, bad("scenario", name+" is not an experiment", "Use one of "+strings.Join(names, ", ")+".")
	case o.driver != "model":
		return s, opts, bad("driver", "--driver "+o.driver+" is not in this version", "Use --driver model, the default.")
	case one && several:
		return s, opts, bad("seeds", "--seed and --seeds cannot be used together", "Use one of them.")
	case relays && o.relays < 1:
		return s, opts, bad("relays", "--relays takes a number of relays", "Leave it out for the experiment's own.")
	case one:
		opts.Seeds = []uint64{o.seed}
	case several:
		first, last, ok := strings.Cut(o.seeds, "..")
		from, err1 := strconv.ParseUint(first, 10, 32)
		to, err2 := strconv.ParseUint(last, 10, 32)
		if !ok || err1 != nil || err2 != nil || to < from || to-from >= maxSeeds {
			return s, opts, bad("seeds", fmt.Sprintf("--seeds takes a range such as 1..10, of %d at most", maxSeeds), "Write the first and the last seed with two points between.")
		}
		for seed := from; seed <= to; seed++ {
			opts.Seeds = append(opts.Seeds, seed)
		}
	}
	opts.Relays, opts.Short = o.relays, o.short
	return s, opts, nil
}

// runScenario runs an experiment and prints what it found.
func (a *app) runScenario(ctx context.Context, s scenario.Scenario, opts scenario.Options, folder string) error {
	if folder != "" {
		if err := canWrite(folder); err != nil {
			return err
		}
	}
	began := time.Now()
	res, err := s.Run(ctx, opts, func(line string) { a.note("%s", line) })
	var breach *scenario.Breach
	errors.As(err, &breach)
	if res == nil {
		res = &scenario.Result{}
	}
	switch {
	case breach != nil:
	case errors.Is(err, scenario.ErrOption):
		_, takes, _ := strings.Cut(err.Error(), scenario.ErrOption.Error()+": ")
		return &node.Fault{Kind: node.Usage, Code: "relays", Text: "The experiment takes " + cmp.Or(takes, "another number of relays"), Fix: "Leave --relays out for its own number."}
	case err != nil && ctx.Err() == nil:
		return err
	case len(res.Rows) == 0:
		return nil // interrupted before there was anything
	case ctx.Err() != nil:
		res.Notes = append(res.Notes, "Interrupted: only the seeds that are named were run.")
	}
	out := result(s, res, time.Since(began))
	if breach != nil {
		out.Breach, out.Met = breach.Error(), false
	}
	a.answer(out, func(w io.Writer) { table(w, out) })
	if folder != "" {
		if err := out.write(folder); err != nil {
			return err
		}
	}
	switch {
	case breach != nil:
		return &node.Fault{Kind: node.Denied, Code: "invariant", Text: fmt.Sprintf("Invariant %s does not hold: %s, at %v with seed %d",
			breach.Invariant, breach.Text, breach.At, breach.Seed), Fix: "See it again: " + breach.Replay}
	case !out.Met:
		return &node.Fault{Kind: node.Denied, Code: "goal_missed", Text: "A goal is missed", Fix: "The rows are marked in the table."}
	}
	return nil
}

func result(s scenario.Scenario, res *scenario.Result, d time.Duration) *runObject {
	out := &runObject{
		Schema: "chive.testnet.run/1", Scenario: s.Name, Goal: s.Goal, Driver: "model", Version: version, Commit: commit(),
		Seeds: res.Seeds, Trace: res.TraceHash, Notes: res.Notes, Met: !res.Missed(), Seconds: seconds(d),
	}
	for _, r := range res.Rows {
		row := rowObject{Row: r}
		if r.Interval {
			row.Interval = []float64{r.Low, r.High}
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

// commit is what the program was built from, with a mark when the source differs.
func commit() (out string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			out = s.Value + out
		case s.Key == "vcs.modified" && s.Value == "true":
			out += "+changes"
		}
	}
	return out
}

// table prints a result for people.
func table(w io.Writer, out *runObject) {
	for _, n := range out.Notes {
		fmt.Fprintln(w, n)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "metric\tmean\t95 %\tunit\tgoal\t")
	for i := range out.Rows {
		r := &out.Rows[i].Row
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Metric, scenario.Figure(r.Value), r.Range(), r.Unit, r.Goal, r.Verdict)
	}
	_ = t.Flush()
	fmt.Fprintf(w, "seeds %v, trace %s, took %.0f s\n", out.Seeds, cmp.Or(out.Trace, "none"), out.Seconds)
}

// canWrite tries, before a run of hours, whether its result can be written.
func canWrite(folder string) error {
	err := os.MkdirAll(folder, 0o755)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(folder, ".summary-*"); err == nil {
			_ = f.Close()
			err = os.Remove(f.Name())
		}
	}
	return outFault(folder, err)
}

// outFault is what stands in the way of the result; nil for a nil error.
func outFault(folder string, err error) error {
	if err == nil {
		return nil
	}
	return &node.Fault{Kind: node.Failed, Code: "out", Text: "The result cannot be written to " + folder, Fix: "Name a folder that you may write to."}
}

// write puts the result into a folder.
func (out *runObject) write(folder string) error {
	data, err := json.MarshalIndent(out, "", "\t")
	if err == nil {
		err = os.MkdirAll(folder, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "summary.json"), append(data, '\n'), 0o644)
	}
	return outFault(folder, err)
}
