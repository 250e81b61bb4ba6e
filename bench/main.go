// SPDX-License-Identifier: BSD-3-Clause

// Command bench measures chive and Debian's Tor side by side: a private network of
// each, real processes on loopback, driven by the same load generator in turn. It
// installs nothing, and everything it starts and writes is gone when it ends. How
// to read what it prints is in docs/performance.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"chive/bench/report"
	"chive/bench/torlab"
)

// options are the command line.
type options struct {
	runs    int
	quick   bool
	scale   bool
	only    string
	torMode string
	out     string
	chive   string
}

// maxRuns bounds how often each network is run.
const maxRuns = 20

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "Error:", err)
		if errors.Is(err, torlab.ErrMissing) {
			fmt.Fprintln(os.Stderr, torlab.InstallHint)
			fmt.Fprintln(os.Stderr, "Without it, chive alone is measured with: --only chive")
		}
		os.Exit(1)
	}
}

var (
	// errUsage says that the command line cannot be understood.
	errUsage = errors.New("usage")
	// errInterrupted says that somebody ended the bench.
	errInterrupted = errors.New("interrupted; everything has been stopped")
)

func parse(args []string, errs io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(errs)
	f.IntVar(&o.runs, "runs", 3, "run each network `N` times, in turn")
	f.BoolVar(&o.quick, "quick", false, "one run with small sizes, under a minute: a trial of the bench itself")
	f.BoolVar(&o.scale, "scale", false, "measure how one relay of chive grows from 10 to 10,000 circuits instead, about 7 minutes")
	f.StringVar(&o.only, "only", "", "measure `NAME` only: tor or chive")
	f.StringVar(&o.torMode, "tor-mode", "", "tor's settings, `NAME,...`: live, tuned, noconflux; both is live,tuned (default both, of a trial tuned)")
	f.StringVar(&o.out, "out", filepath.Join("runs", "bench"), "write bench.json, bench.svg and bench.md into `DIR`")
	f.StringVar(&o.chive, "chive", "", "measure this `BINARY`; without it, it is built from the source")
	f.Usage = func() {
		fmt.Fprint(errs, "Measures chive and Debian's tor side by side, on loopback. About half an hour; nothing else\nshould run meanwhile.\n\n  go run ./bench [flags]\n\n")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("%w: %q is one argument too many", errUsage, f.Arg(0))
	case o.runs < 1 || o.runs > maxRuns:
		return o, fmt.Errorf("%w: --runs takes 1 to %d", errUsage, maxRuns)
	case o.only != "" && o.only != "tor" && o.only != "chive":
		return o, fmt.Errorf("%w: --only takes tor or chive", errUsage)
	}
	var idle string
	f.Visit(func(g *flag.Flag) {
		switch {
		case o.scale && g.Name != "scale" && g.Name != "quick" && g.Name != "chive",
			o.quick && g.Name == "runs" && o.runs != 1:
			idle = g.Name
		}
	})
	if idle != "" {
		return o, fmt.Errorf("%w: --%s says nothing here: --scale is about chive alone and writes no files, --quick is one run", errUsage, idle)
	}
	if o.torMode == "" {
		o.torMode = "both"
		if o.quick {
			o.torMode = "tuned"
		}
	}
	if _, err := torlab.ParseModes(o.torMode); err != nil {
		return o, fmt.Errorf("%w: --tor-mode takes live, tuned, noconflux or both", errUsage)
	}
	if o.quick {
		o.runs = 1
	}
	return o, nil
}

func run(ctx context.Context, args []string, out, errs io.Writer) error {
	o, err := parse(args, errs)
	if err != nil {
		return err
	}
	if o.scale {
		return scale(ctx, o, out, errs)
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil { // now, not when all is measured
		return err
	}
	s, err := newSession(ctx, o, errs)
	if err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		return err
	}
	r, err := s.run(ctx)
	s.close()
	if err != nil {
		return err
	}
	if err := write(r, o.out, out); err != nil {
		return err
	}
	if name := r.Missing(); name != "" {
		return fmt.Errorf("not everything was measured: see the notes about %s", name)
	}
	return nil
}

// write prints the table and writes the files.
func write(r *report.Report, folder string, out io.Writer) error {
	table := r.Table()
	if _, err := io.WriteString(out, table); err != nil {
		return err
	}
	object, err := r.JSON()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var names []string
	for _, f := range []struct {
		name string
		data []byte
	}{{"bench.json", object}, {"bench.svg", r.SVG()}, {"bench.md", []byte(table)}} {
		name := filepath.Join(folder, f.name)
		if err := os.WriteFile(name, f.data, 0o644); err != nil {
			return err
		}
		names = append(names, name)
	}
	_, err = fmt.Fprintf(out, "\nwritten: %s\n", strings.Join(names, " "))
	return err
}
