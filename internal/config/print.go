// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"fmt"
	"strings"
)

// textWidth is where the lines of comments end.
const textWidth = 90

const defaultHead = `The configuration of chive. Every line that begins with # and a letter is a key with the
value that it has if nothing is said: remove the # to say something else.

Text stands in quotes, and so does what has a unit: sizes ("200 GiB"), rates ("2 MiB/s",
"20 Mbit/s") and durations ("90s", "10m", "1d"). An address is "auto", "off", "IP:PORT" or
"unix:/path". Relative paths begin at this file's folder.

chive config check finds mistakes, chive config show prints what is in force and why.`

const listenerHead = `More ports for programs, each with options of its own. Streams of different listeners
never share a circuit: a browser, which cannot name itself to a proxy, gets one for
itself. To make one, write the lines below without their #, and without what stays false:`

// DefaultFile returns the default configuration as a file with comments: without its
// comments' marks it says the defaults, and as it stands, nothing. Spec: product CFG-3.
func DefaultFile() string {
	var b strings.Builder
	comment(&b, defaultHead)
	section := ""
	c := Default()
	for _, k := range keys() {
		if s := cutLast(k.name); s != section {
			section = s
			fmt.Fprintf(&b, "\n[%s]\n", s)
		}
		b.WriteByte('\n')
		comment(&b, wrap(k.help+" Takes "+k.takes+".", textWidth-2))
		fmt.Fprintf(&b, "#%s = %s\n", last(k.name), literal(k.at(c).show()))
	}
	b.WriteByte('\n')
	comment(&b, listenerHead)
	b.WriteString("#\n# [[" + listenerSection + "]]\n# name = \"browser\"\n# address = \"127.0.0.1:9260\"\n")
	l := newListener("browser")
	for _, k := range listenerKeys()[1:] {
		fmt.Fprintf(&b, "# %-27s # %s\n", k.name+" = "+literal(k.at(&l).show()), k.help)
	}
	return b.String()
}

// comment writes lines as comments.
func comment(b *strings.Builder, text string) {
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight("# "+strings.TrimSuffix(line, "\n"), " ") + "\n")
	}
}

// wrap breaks a text into lines.
func wrap(text string, width int) string {
	var b strings.Builder
	at := 0
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case at+1+len(word) > width:
			b.WriteByte('\n')
			at = 0
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	return b.String()
}

// Show writes settings as a configuration file that says them, with where each comes
// from.
func Show(settings []Setting) string {
	width := 0
	for _, s := range settings {
		if !strings.HasPrefix(s.Key, listenerSection) {
			width = max(width, min(len(s.Key+" = "+s.Text), 60))
		}
	}
	var b strings.Builder
	listener := ""
	for _, s := range settings {
		name := s.Key
		if rest, ok := strings.CutPrefix(s.Key, listenerSection+"."); ok {
			of, option, _ := strings.Cut(rest, ".")
			if of != listener {
				listener = of
				fmt.Fprintf(&b, "\n[[%s]]\nname = %s\n", listenerSection, tomlText(of))
			}
			name = option
		}
		fmt.Fprintf(&b, "%-*s  # %s\n", width, name+" = "+s.Text, s.Origin)
	}
	return b.String()
}

// Reference returns the table of keys as Markdown, for docs/configuration.md.
func Reference() string {
	var b strings.Builder
	c := Default()
	section := "-"
	row := func(name, takes, usual, help string, reload bool) {
		when := ""
		if reload {
			when = "yes"
		}
		if usual != "" {
			usual = "`" + usual + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", name, takes, usual, help, when)
	}
	head := func(s string) {
		title := "### [" + s + "]"
		if s == "" {
			title = "### Above all sections"
		}
		fmt.Fprintf(&b, "\n%s\n\n| key | takes | unless it is said | meaning | at once |\n|---|---|---|---|---|\n", title)
	}
	for _, k := range keys() {
		if s := cutLast(k.name); s != section {
			section = s
			head(s)
		}
		row(last(k.name), k.takes, literal(k.at(c).show()), k.help, k.reload)
	}
	head("[" + listenerSection + "]")
	row(listenerName, "text", "", "Required: what the listener is called, in small letters, digits and -.", true)
	l := newListener("")
	for _, k := range listenerKeys() {
		usual := literal(k.at(&l).show())
		if usual == `""` {
			usual = ""
		}
		row(k.name, k.takes, usual, k.help, true)
	}
	return strings.TrimPrefix(b.String(), "\n")
}

// Described is a key as a program is told about it.
type Described struct {
	Key, Takes, Meaning, Variable string
	Default                       any
	Reload                        bool // a change applies at once
}

// Describe returns the table of keys, those of listeners left out.
func Describe() []Described {
	c := Default()
	var out []Described
	for _, k := range keys() {
		out = append(out, Described{k.name, k.takes, k.help, k.variable(), k.at(c).show(), k.reload})
	}
	return out
}
