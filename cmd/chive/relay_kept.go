// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"chive/internal/config"
	"chive/internal/node"
)

// printDeclared writes what a relay declares, and what of it was said before and not now.
func printDeclared(w io.Writer, r *node.Initiation) {
	line := func(name, key, value string) {
		if slices.Contains(r.Before, key) {
			value += " (kept from before)"
		}
		fmt.Fprintf(w, "%s %s\n", name, value)
	}
	line("nickname", "nickname", orNone(r.About.Nickname))
	line("contact", "contact", orNone(r.About.Contact))
	line("addresses", "address", orLater(strings.Join(texts(r.Addresses), ",")))
	line("rate", "rate", config.Kbit(r.RateKbit).About())
	line("exit", "exit", r.Exit)
	if r.Family != "" {
		line("family", "family", r.Family)
	}
}

// overruledObject is a setting that wins over what relay init has declared.
type overruledObject struct {
	Key      string `json:"key"`
	Value    string `json:"value"`    // in force whenever the relay runs so
	Declared string `json:"declared"` // by the state folder
	Origin   string `json:"origin"`
}

func (o overruledObject) text() string {
	if o.Declared == "" {
		return fmt.Sprintf("%s is %s in %s, which holds whenever the relay runs with it, though nothing was said of it here. Change it there, or run the relay with -o %q.",
			o.Key, said(o.Value), o.Origin, o.Key+"=")
	}
	return fmt.Sprintf("%s is %s in %s, which wins over %s whenever the relay runs with it. Change it there, or run the relay with -o %q.",
		o.Key, said(o.Value), o.Origin, said(o.Declared), o.Key+"="+o.Declared)
}

// said is a value in a sentence.
func said(value string) string {
	if value == "" {
		return "nothing"
	}
	return fmt.Sprintf("%q", value)
}

// overruled compares what a relay declares with what every other layer of the
// configuration says: a run takes that. The flags of this command are none of them. Of what
// was kept in the user's file it says, too, where another layer wins.
func (a *app) overruled(c *cobra.Command, r *node.Initiation, kept [][2]string) []overruledObject {
	s := a.sources(c, config.Named{})
	s.Flags = nil
	cfg, err := config.Load(s)
	if err != nil {
		a.note("Note: the configuration has mistakes, so it was not compared with what is declared here; chive config check names them.")
		return nil
	}
	d, declared := node.DeclaringOf(cfg), config.Kbit(r.RateKbit)
	policy := r.Policy
	if !cfg.Relay.Exit.IsFile() {
		policy = cmp.Or(policy, "off")
	} else if policy != "off" && policy != "web" && policy != "reduced" {
		policy = d.Exit // both are rules of one's own
	}
	var out []overruledObject
	for _, k := range []struct {
		key, value, declared string
		differs              bool
	}{
		{"relay.nickname", d.About.Nickname, r.About.Nickname, d.About.Nickname != r.About.Nickname},
		{"relay.contact", d.About.Contact, r.About.Contact, d.About.Contact != r.About.Contact},
		{"relay.addresses", strings.Join(d.Addresses, ","), strings.Join(texts(r.Addresses), ","), len(d.Addresses) > 0 && !slices.Equal(d.Addresses, texts(r.Addresses))},
		{"relay.rate", d.Rate, declared.About(), cfg.Relay.Rate/125 != declared/125},
		{"relay.exit.policy", d.Exit, policy, d.Exit != policy},
	} {
		if k.differs && cfg.Given(k.key) {
			out = append(out, overruledObject{k.key, k.value, k.declared, cfg.Origin(k.key).String()})
		}
	}
	inForce := values(cfg)
	for _, k := range kept {
		where := cfg.Origin(k[0])
		mine := where.Layer == config.Files && where.Name == a.env.UserFile
		told := slices.ContainsFunc(out, func(o overruledObject) bool { return o.Key == k[0] })
		if mine || told || takesAs(k[0], k[1]) == inForce[k[0]] {
			continue
		}
		out = append(out, overruledObject{k[0], inForce[k[0]], k[1], where.String()})
	}
	return out
}

// values are a configuration's, by their keys.
func values(cfg *config.Config) map[string]string {
	out := map[string]string{}
	for _, s := range cfg.Settings() {
		out[s.Key] = fmt.Sprint(s.Value)
	}
	return out
}

// takesAs is a value as the configuration has it that says it alone.
func takesAs(key, value string) string {
	cfg, err := config.Load(config.Sources{Options: []string{key + "=" + value}})
	if err != nil {
		return value
	}
	return values(cfg)[key]
}
