// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"chive/internal/config"
	"chive/internal/node"
)

// app is one run of the command.
type app struct {
	out, err io.Writer
	env      config.Environment
	global   global
	running  bool // flags and arguments were good: what fails now is no usage error
	inRun    bool // this is within chive run, and the command line names no other client
}

// global are the flags that every command has.
type global struct {
	state     string
	control   string
	json      bool
	noColor   bool
	quiet     bool
	logLevel  string
	logFormat string
	configs   []string // files
	options   []string // KEY=VALUE
}

const rootHelp = `chive sends your connections through three relays, encrypted in layers, so that no
relay knows both who you are and where you go. It is new and unaudited: do not stake
anybody's safety on it yet.

Start with a whole network on this machine:

  chive testnet up`

// root builds the tree of commands.
func (a *app) root() *cobra.Command {
	var showVersion bool
	c := &cobra.Command{
		Use: "chive", Short: "an onion-routed anonymity network", Long: rootHelp,
		SilenceErrors: true, SilenceUsage: true,
		Args: noCommand,
		RunE: func(c *cobra.Command, args []string) error {
			if showVersion {
				return a.printVersion()
			}
			return showHelp(c, args)
		},
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			a.running = true
			a.inRun = a.env.RunSocks != "" && !a.namesClient(c)
			if c.Flags().Changed("state") && a.global.state == "" {
				return &node.Fault{Kind: node.Usage, Code: "state_unknown", Text: "--state names no folder: it is empty", Fix: "Name a folder: --state DIR, or leave --state out for the usual one."}
			}
			return a.checkGlobal()
		},
	}
	c.SetOut(a.out)
	c.SetErr(a.err)
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return flagFault(c, err) })
	c.SetHelpCommand(helpCommand())
	c.Flags().BoolVar(&showVersion, "version", false, "print what this binary is")
	f := c.PersistentFlags()
	f.StringVar(&a.global.state, "state", a.env.StateDir, "keep keys, guards and other state in `DIR`")
	f.StringVar(&a.global.control, "control", "", "a running daemon is asked, or answers, at `unix:PATH`; unless given, the socket is where --state says")
	f.StringArrayVarP(&a.global.configs, "config", "c", nil, "read the configuration in `FILE`, too; repeat it for more, of which later ones win")
	f.StringArrayVarP(&a.global.options, "option", "o", nil, "set `KEY=VALUE` of the configuration, such as relay.rate=2MiB/s; repeat it for more")
	f.BoolVar(&a.global.json, "json", false, "print objects for programs instead of text")
	f.BoolVar(&a.global.noColor, "no-color", a.env.NoColor, "no colours, even on a terminal")
	f.BoolVarP(&a.global.quiet, "quiet", "q", false, "no progress, and errors only in the log")
	f.StringVar(&a.global.logLevel, "log-level", "", "log from `LEVEL` on: error, warn, info, or in testnets debug")
	f.StringVar(&a.global.logFormat, "log-format", "auto", "log as `FORMAT`: auto, console or json; auto is console on a terminal")
	c.AddCommand(a.testnetCommand(), a.upCommand(), a.clientCommand(), a.relayCommand(), a.statusCommand(), a.networkCommand(), a.keysCommand(), a.newnymCommand(), a.healthCommand(), a.versionCommand(), a.configCommand())
	c.AddCommand(a.envCommand(), a.ncCommand(), a.resolveCommand(), a.runCommand(), a.doctorCommand(), a.runInsideCommand())
	c.AddCommand(a.generators()...)
	a.completeShells(c)
	completeWords(c)
	return c
}

// run executes the command line and returns the exit code.
func (a *app) run(args []string) int {
	c := a.root()
	c.SetArgs(args)
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) { // and its form without descriptions
		c.SetOut(unmarked{a.out})
	}
	for _, arg := range args { // errors before the flags are read follow it too
		a.global.json = a.global.json || arg == "--json"
	}
	if err := c.Execute(); err != nil {
		return a.fail(err)
	}
	return 0
}

func (a *app) checkGlobal() error {
	switch a.global.logFormat {
	case "auto", "console", "json":
	default:
		return &node.Fault{Kind: node.Usage, Code: "log_format", Text: "--log-format " + a.global.logFormat + " is not a format", Fix: "Use auto, console or json."}
	}
	switch a.global.logLevel {
	case "", "error", "warn", "info", "debug":
	default:
		return &node.Fault{Kind: node.Usage, Code: "log_level", Text: "--log-level " + a.global.logLevel + " is not a level", Fix: "Use error, warn, info or debug."}
	}
	return nil
}

// controlSocket is where a daemon of this state folder has its control socket: in the
// session's folder if the state is where it usually is, else beside the state.
// Spec: product §3.
func (a *app) controlSocket() (node.ControlSocket, error) {
	folder := a.global.state
	if folder == a.env.StateDir && a.env.RuntimeDir != "" {
		folder = a.env.RuntimeDir
	}
	s, err := node.ControlPath(a.global.control, folder)
	if a.env.System {
		s.Group = serviceGroup
	}
	return s, err
}

// askedSocket is where the daemon that this command line means is asked: where its control
// socket usually is, or else where it said in its state folder that it has it. Within chive run
// it is the one whose proxy the run uses, unless the command line names another: the files and
// the session of this user are the same within, and would lead to the usual one.
func (a *app) askedSocket() (node.ControlSocket, error) {
	if a.inRun {
		if socket, known := a.runsClient(); known {
			return socket, nil
		}
		return node.ControlSocket{}, &node.Fault{
			Kind: node.Unreachable, Code: "control_unknown", Text: "This is within chive run, which does not know the client whose proxy it was given",
			Fix: "Name the client here: --control unix:PATH or --state DIR. Or start the run with one of these in place of --socks.",
		}
	}
	s, err := a.controlSocket()
	if err != nil {
		return s, err
	}
	return s.Or(a.global.state), nil
}

// serviceGroup is whose members may ask a service of the system, beside its own user.
const serviceGroup = "chive"

// log says how the process logs, with the command's own default level.
func (a *app) log(level string) node.Log {
	if a.global.quiet {
		level = "error"
	}
	if a.global.logLevel != "" {
		level = a.global.logLevel
	}
	f, isFile := a.err.(*os.File)
	terminal := isFile && term.IsTerminal(int(f.Fd()))
	console := a.global.logFormat == "console" || a.global.logFormat == "auto" && terminal
	return node.Log{Writer: a.err, Level: level, Console: console, Color: terminal && !a.global.noColor, Terminal: terminal}
}

// parent makes a command that only groups others.
func parent(use, short, long string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Long: long, Args: noCommand, RunE: showHelp}
	c.AddCommand(children...)
	return c
}

func showHelp(c *cobra.Command, _ []string) error { return c.Help() }

// helpCommand shows the help of the command that its arguments name.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "show the help of a command",
		Long: "Shows the help of a command, as --help behind it does.", Example: "  chive help testnet up",
		RunE: func(c *cobra.Command, args []string) error {
			found, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				if found == nil {
					found, rest = c.Root(), args
				}
				return noCommand(found, rest)
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

// flagFault says in our words what the flag library says in Go's.
func flagFault(c *cobra.Command, err error) error {
	var bad interface{ GetValue() string } // as an invalid value has
	if !errors.As(err, &bad) {
		return usage(c, err.Error())
	}
	// invalid argument "x" for "-n, --relays" flag: what Go says
	text := strings.TrimPrefix(err.Error(), fmt.Sprintf("invalid argument %q for ", bad.GetValue()))
	text, _, _ = strings.Cut(text, `" flag: `)
	_, name, _ := strings.Cut(text, "--")
	flag := c.Flags().Lookup(name)
	if flag == nil {
		return usage(c, err.Error())
	}
	takes := "another kind of value"
	switch flag.Value.Type() {
	case "int":
		takes = "a whole number"
	case "duration":
		takes = "a duration with its unit, such as 30s or 2m"
	case "bool":
		takes = "true or false"
	case "stringSlice":
		takes = "values with commas between them, and no lone quotes"
	}
	return usage(c, fmt.Sprintf("--%s takes %s, not %q", name, takes, bad.GetValue()))
}

// noCommand refuses what is no command of a group, and says which is near.
func noCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	f := &node.Fault{
		Kind: node.Usage, Code: "usage", Text: fmt.Sprintf("There is no command %q", c.CommandPath()+" "+args[0]),
		Fix: "See the commands there are: " + c.CommandPath() + " --help",
	}
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		f.Fix = "Did you mean: " + c.CommandPath() + " " + near[0]
	}
	return f
}

// exactly takes that many arguments; names are how the help calls them.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usage(c, names[len(args)]+" is missing")
		case len(args) > len(names):
			return usage(c, fmt.Sprintf("%q is one argument too many", args[len(names)]))
		}
		return nil
	}
}

// usage is the fault of a command line that cannot be understood.
func usage(c *cobra.Command, text string) *node.Fault {
	if text[0] != '-' {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	return &node.Fault{Kind: node.Usage, Code: "usage", Text: text, Fix: "See: " + c.CommandPath() + " --help"}
}
