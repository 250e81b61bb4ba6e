// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Layer is where a value comes from; a later one wins. Spec: product CFG-1.
type Layer byte

// The layers, in their order.
const (
	Defaults Layer = iota
	Files
	Variables
	Options
	Flags
)

// Origin is where a value was said.
type Origin struct {
	Layer  Layer
	Name   string // of the file, variable or flag; the key of an option
	Line   int    // of a file, from 1; 0: the whole file
	Column int    // in bytes, from 1
}

// String names the place: default, FILE:LINE:COLUMN, a variable, -o KEY or a flag.
func (o Origin) String() string {
	switch {
	case o.Layer == Defaults:
		return "default"
	case o.Layer == Options:
		return "-o " + o.Name
	case o.Layer == Files && o.Line > 0:
		return o.Name + ":" + strconv.Itoa(o.Line) + ":" + strconv.Itoa(o.Column)
	}
	return o.Name
}

// Problem is one thing that is wrong. It may quote what the user wrote, so it goes to
// the user's terminal and never into a log. Spec: product CFG-2.
type Problem struct {
	Where Origin
	Key   string // empty: no single one
	Code  string // one word for programs; never changes
	Text  string // what is wrong, without a full stop; begins with what Where does not say
	Fix   string // what to do about it
}

// String is the problem on one line: where, what, and what to do about it.
func (p Problem) String() string { return p.Line() + ". Fix: " + p.Fix }

// Line is where and what, without the fix.
func (p Problem) Line() string {
	if p.Where.Layer == Files {
		return p.Where.String() + ": " + p.Text
	}
	return p.Text
}

// Problems is everything that is wrong, in the order of the layers.
type Problems []Problem

// Error lists the problems, one a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}

// maxProblems bounds what is listed: more come of a file that is no configuration.
const maxProblems = 50

// Note is something that is allowed, and that the user should look at.
type Note struct {
	Where Origin
	Text  string // a sentence
}

// String is the note on one line.
func (n Note) String() string {
	if n.Where.Layer == Defaults {
		return n.Text
	}
	return n.Where.String() + ": " + n.Text
}

// maxShown bounds what is shown of a value that somebody wrote, in bytes.
const maxShown = 80

// clip shortens a text for a message.
func clip(text string) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
}

// said quotes an assignment as its place writes one.
func (o Origin) said(key, value string) string {
	switch o.Layer {
	case Variables, Options:
		return o.String() + "=" + clip(value)
	case Flags:
		return o.Name + " " + clip(value)
	}
	return fmt.Sprintf("%s = %s", key, clip(value))
}

// write is an assignment as its place would write a good one; literal is a value of
// TOML.
func (o Origin) write(key, literal string) string {
	bare := literal
	if text, err := strconv.Unquote(literal); err == nil {
		bare = text
	}
	word := bare
	if strings.ContainsAny(bare, " ,:/") {
		word = `"` + bare + `"`
	}
	switch o.Layer {
	case Variables:
		return o.Name + "=" + word
	case Options:
		return "-o " + o.Name + "=" + word
	case Flags:
		return o.Name + " " + word
	}
	return key[strings.LastIndexByte(key, '.')+1:] + " = " + literal
}
