// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"chive/internal/config"
	"chive/internal/node"
)

const configHelp = `Shows and checks the configuration: what is built in, /etc/chive/chive.toml, the user's
chive.toml, the files of -c, variables such as CHIVE_RELAY_RATE, and -o, of which later ones
win. docs/configuration.md names every key.`

func (a *app) configCommand() *cobra.Command {
	return parent("config", "check and show the configuration", configHelp, a.configCheck(), a.configShow(), a.configDefault())
}

type checkObject struct {
	Schema   string          `json:"schema"`
	Good     bool            `json:"good"`
	Files    []string        `json:"files"`
	Errors   []problemObject `json:"errors"`
	Warnings []warningObject `json:"warnings"`
}

type problemObject struct {
	Where  string `json:"where"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Key    string `json:"key,omitempty"`
	Code   string `json:"code"`
	Text   string `json:"text"`
	Fix    string `json:"fix"`
}

type warningObject struct {
	Where string `json:"where"`
	Text  string `json:"text"`
}

func (a *app) configCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "look for mistakes, without starting anything", Args: filesByFlag,
		Long: "Checks the whole configuration, and the files that it names, without a network. Lists every\n" +
			"mistake with its place and what to do about it, and exits with 2 if there is one.",
		Example: "  chive config check\n  chive config check -c chive.toml",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(a.sources(c, a.namedFiles()))
			out := checkObject{"chive.config.check/1", err == nil, []string{}, []problemObject{}, []warningObject{}}
			var bad config.Problems
			errors.As(err, &bad)
			for _, p := range bad {
				o := problemObject{Where: p.Where.String(), Key: p.Key, Code: p.Code, Text: p.Text, Fix: p.Fix}
				if p.Where.Layer == config.Files {
					o.File, o.Line, o.Column = p.Where.Name, p.Where.Line, p.Where.Column
				}
				out.Errors = append(out.Errors, o)
			}
			if cfg != nil {
				out.Files = append(out.Files, cfg.Files()...)
				for _, n := range cfg.Notes() {
					out.Warnings = append(out.Warnings, warningObject{n.Where.String(), n.Text})
				}
			}
			a.answer(out, func(w io.Writer) {
				if cfg == nil {
					return
				}
				for _, n := range cfg.Notes() {
					fmt.Fprintf(w, "warning: %s\n", n)
				}
				fmt.Fprintf(w, "good: %s\n", readFrom(cfg))
			})
			return a.badConfig(err)
		},
	}
}

// filesByFlag takes no argument, and says how a file that stands there is named.
func filesByFlag(c *cobra.Command, args []string) error {
	err := exactly()(c, args)
	if f := (*node.Fault)(nil); errors.As(err, &f) {
		f.Fix = "Name a configuration file with -c: " + c.CommandPath() + " -c " + shellWord(args[0])
	}
	return err
}

// readFrom says which files a configuration is from.
func readFrom(cfg *config.Config) string {
	files := cfg.Files()
	said := slices.ContainsFunc(cfg.Settings(), func(s config.Setting) bool {
		return cfg.Origin(s.Key).Layer > config.Files
	})
	switch {
	case len(files) == 0 && said:
		return "no configuration file; what options, flags and the environment do not say has its default"
	case len(files) == 0:
		return "no configuration file, so the defaults are in force"
	}
	return strings.Join(files, ", ")
}

type showObject struct {
	Schema   string          `json:"schema"`
	Files    []string        `json:"files"`
	Settings []settingObject `json:"settings"`
}

type settingObject struct {
	Key     string `json:"key"`
	Value   any    `json:"value"`
	Origin  string `json:"origin"`
	Default bool   `json:"default"`
}

func (a *app) configShow() *cobra.Command {
	var changed bool
	c := &cobra.Command{
		Use: "show", Short: "print what is in force, and why", Args: filesByFlag,
		Long: "Prints the value of every key, and where it comes from. What is printed is a configuration file\n" +
			"that says the same from any folder, but for the password of a proxy, which is not shown.",
		Example: "  chive config show --changed\n  chive config show -c chive.toml -o relay.rate=2MiB/s",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(a.sources(c, config.Named{}))
			if err != nil {
				return a.badConfig(err)
			}
			here, err := filepath.Abs("")
			if err != nil {
				return &node.Fault{Kind: node.Failed, Code: "folder_gone", Text: "The folder in which this runs is not there any more", Fix: "Change to another: cd"}
			}
			out := showObject{"chive.config.show/1", append([]string{}, cfg.Files()...), []settingObject{}}
			var shown []config.Setting
			for _, s := range cfg.SettingsFrom(here) {
				if !changed || !s.Default {
					shown = append(shown, s)
					out.Settings = append(out.Settings, settingObject{s.Key, s.Value, s.Origin.String(), s.Default})
				}
			}
			a.answer(out, func(w io.Writer) { fmt.Fprint(w, config.Show(shown)) })
			return nil
		},
	}
	c.Flags().BoolVar(&changed, "changed", false, "only what differs from the defaults")
	return c
}

type defaultObject struct {
	Schema string            `json:"schema"`
	Text   string            `json:"text"`
	Keys   []configKeyObject `json:"keys"`
}

type configKeyObject struct {
	Key      string `json:"key"`
	Takes    string `json:"takes"`
	Default  any    `json:"default"`
	Meaning  string `json:"meaning"`
	Variable string `json:"variable"`
	AtOnce   bool   `json:"at_once"` // a change applies without a restart
}

func (a *app) configDefault() *cobra.Command {
	return &cobra.Command{
		Use: "default", Short: "print a configuration file that explains every key", Args: exactly(),
		Long: "Prints the default configuration as a file with comments: a file to begin with. As it is, it\n" +
			"changes nothing.",
		Example: "  chive config default > chive.toml",
		RunE: func(*cobra.Command, []string) error {
			out := defaultObject{"chive.config.default/1", config.DefaultFile(), []configKeyObject{}}
			for _, k := range config.Describe() {
				out.Keys = append(out.Keys, configKeyObject{k.Key, k.Takes, k.Default, k.Meaning, k.Variable, k.Reload})
			}
			a.answer(out, func(w io.Writer) { fmt.Fprint(w, out.Text) })
			return nil
		},
	}
}

// configuration reads every layer of the configuration for a command that runs a node:
// the files of the system and the user, -c, the environment, -o, and the command's own
// flags, which win. What the global flags say of state, control socket and log is then
// what the configuration says. Its notes are told. The error is a *node.Fault.
// Spec: product CFG-1.
func (a *app) configuration(c *cobra.Command) (*config.Config, error) {
	cfg, err := config.Load(a.sources(c, config.Named{Contact: a.toldContact}))
	if err != nil {
		return nil, a.badConfig(err)
	}
	a.placed(cfg)
	if cfg.Given("log.level") {
		a.global.logLevel = cfg.Log.Level
	}
	a.global.logFormat = cfg.Log.Format
	for _, n := range cfg.Notes() {
		a.tell(n.String())
	}
	return cfg, nil
}

// locate finds where the daemon is that a command asks: the configuration with which it
// runs says its state folder and its socket, so the same files, variables and options say
// them here. Mistakes in files that this command line does not name do not matter: a
// daemon that runs can be asked all the same, and the one that variables or flags name.
func (a *app) locate(c *cobra.Command) error {
	s := a.placeSources(c)
	cfg, err := config.Load(s)
	if err != nil && len(a.global.configs)+len(a.global.options) == 0 {
		s.Files, s.Flags = nil, nil // what flags say the global ones say already
		s.Variables = slices.DeleteFunc(slices.Clone(s.Variables), func(v string) bool {
			name, _, _ := strings.Cut(v, "=")
			return name != "CHIVE_STATE" && name != "CHIVE_CONTROL" || c.Flags().Changed(strings.ToLower(strings.TrimPrefix(name, "CHIVE_")))
		})
		cfg, err = config.Load(s)
	}
	if err != nil {
		return a.badConfig(err)
	}
	a.placed(cfg)
	return nil
}

// openState opens the state folder that the command line and the configuration name, which is
// the one that a daemon would run with.
func (a *app) openState(c *cobra.Command) (*node.State, error) {
	if err := a.locate(c); err != nil {
		return nil, err
	}
	return node.OpenState(a.global.state)
}

// placeSources are the layers, of which flags say no more than where the daemon is.
func (a *app) placeSources(c *cobra.Command) config.Sources {
	s := a.sources(c, config.Named{})
	s.Flags = nil
	for _, f := range configFlags() {
		if f.key == "state" || f.key == "control" {
			s.Flags = append(s.Flags, f.given(c)...)
		}
	}
	return s
}

// placed has the global flags say what the configuration says of state and socket.
func (a *app) placed(cfg *config.Config) {
	if cfg.State != "" {
		a.global.state = cfg.State
	}
	if cfg.Control != config.Auto {
		a.global.control = string(cfg.Control)
	}
}

// sources are the layers as this command line has them.
func (a *app) sources(c *cobra.Command, named config.Named) config.Sources {
	s := config.Sources{
		Files:     append([]config.File{}, a.env.Files...),
		Variables: a.env.Variables,
		Options:   a.global.options,
		Named:     named,
	}
	for _, path := range a.global.configs {
		s.Files = append(s.Files, config.File{Path: path})
	}
	for _, f := range configFlags() {
		s.Flags = append(s.Flags, f.given(c)...)
	}
	return s
}

// configFlag is a flag that says what a key says.
type configFlag struct {
	name string
	key  string
	says string // what it says when it is given; empty: its value
	also config.Flag
}

// configFlags returns the table of flags, whatever command they are of. Later ones win.
func configFlags() []configFlag {
	return []configFlag{
		{name: "state", key: "state"},
		{name: "control", key: "control"},
		{name: "quiet", key: "log.level", says: "error"},
		{name: "log-level", key: "log.level"},
		{name: "log-format", key: "log.format"},
		{name: "genesis", key: "network.genesis"},
		{name: "anchor", key: "network.anchor"},
		{name: "peer", key: "network.peers"},
		{name: "socks", key: "client.socks"},
		{name: "dns", key: "client.dns.listen"},
		{name: "hops", key: "client.hops"},
		{name: "web", key: "web.listen"},
		{name: "relay", key: "relay.enabled", says: "true"},
		{name: "no-relay", key: "relay.enabled", says: "false"},
		{name: "listen", key: "relay.listen"},
		{name: "address", key: "relay.addresses"},
		{name: "nickname", key: "relay.nickname"},
		{name: "contact", key: "relay.contact"},
		{name: "rate", key: "relay.rate"},
		{name: "burst", key: "relay.burst"},
		{name: "monthly", key: "relay.accounting.max", also: config.Flag{Key: "relay.accounting.period", Values: []string{"month"}}},
		{name: "nat", key: "relay.nat"},
		{name: "family", key: "relay.family"},
		{name: "voucher", key: "relay.voucher"},
		{name: "exit", key: "relay.exit.policy"},
	}
}

// given returns what the flag says, if the command has it and it was given.
func (f configFlag) given(c *cobra.Command) []config.Flag {
	flag := c.Flags().Lookup(f.name)
	if flag == nil || !flag.Changed {
		return nil
	}
	name := "--" + f.name
	out := config.Flag{Key: f.key, Name: name, Values: []string{flag.Value.String()}}
	switch list, isList := flag.Value.(interface{ GetSlice() []string }); {
	case f.says != "" && flag.Value.String() == "false": // --relay=false
		if f.key != "relay.enabled" {
			return nil
		}
		out.Values = []string{map[string]string{"true": "false", "false": "true"}[f.says]}
	case f.says != "":
		out.Values = []string{f.says}
	case isList:
		out.Values = list.GetSlice()
	}
	if f.also.Key == "" {
		return []config.Flag{out}
	}
	f.also.Name = name
	return []config.Flag{out, f.also}
}

// badConfig is configFault for a configuration that this command line has a part in: what
// looks again looks at the same.
func (a *app) badConfig(err error) error {
	fault := configFault(err)
	var f *node.Fault
	if errors.As(fault, &f) && f.Code == "configuration" {
		words := "chive config check"
		for _, path := range a.global.configs {
			words += " -c " + shellWord(path)
		}
		if len(a.global.options) > 0 { // which may hold a password
			words += ", with the same -o,"
		}
		f.Fix = strings.Replace(f.Fix, "chive config check", words, 1)
	}
	return fault
}

// configFault puts what is wrong with a configuration into a fault; nil stays nil.
func configFault(err error) error {
	var bad config.Problems
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &bad) || len(bad) == 0:
		return err
	case len(bad) == 1:
		return &node.Fault{Kind: node.Usage, Code: bad[0].Code, Text: bad[0].Line(), Fix: bad[0].Fix}
	}
	text := fmt.Sprintf("The configuration has %d mistakes:", len(bad))
	for _, p := range bad {
		text += "\n  " + p.String()
	}
	return &node.Fault{Kind: node.Usage, Code: "configuration", Text: text, Fix: "Put each of them right; chive config check looks again."}
}
