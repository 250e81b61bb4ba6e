// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"bytes"
	"errors"
	"slices"
	"strings"
)

// ErrEdit means a file into which a key cannot be written: it has mistakes, or says the
// key in a way that only a person should change.
var ErrEdit = errors.New("config: the file cannot be changed by a program")

// Say returns the text of a file with a key said anew: all else in it stays as it is,
// comments included. value is written as for an option, without quotes. Error: ErrEdit.
// Spec: product CLI-3 (what is answered at the first run is kept).
func Say(data []byte, name, value string) ([]byte, error) {
	l := &loader{c: Default(), keys: keys()}
	k := l.find(name)
	if k == nil {
		return nil, ErrEdit
	}
	f := k.at(l.c)
	if f.set(bare(value), "") != nil {
		return nil, ErrEdit
	}
	mark := len(data) - len(bytes.TrimPrefix(data, byteOrderMark))
	entries, bad := parseDocument("", data)
	if len(bad) > 0 {
		return nil, ErrEdit
	}
	from, to, text, ok := place(data[mark:], entries, name, literal(f.show()))
	if !ok {
		return nil, ErrEdit
	}
	out := slices.Concat(data[:mark+from], []byte(text), data[mark+to:])
	if !says(out, len(entries), name, literal(f.show())) {
		return nil, ErrEdit
	}
	return out, nil
}

// place says which bytes of a file to replace with what, so that it says a key.
func place(data []byte, entries []entry, name, literal string) (from, to int, text string, ok bool) {
	section := cutLast(name)
	dotted0, head, firstHead := false, -1, -1
	starts := lineStarts(data)
	at := func(line, column int) int { return starts[line-1] + column - 1 }
	for _, e := range entries {
		here := at(e.line, e.column)
		inHead := e.section && bytes.LastIndexByte(data[:here], '[') >= starts[e.line-1]
		switch n := dotted(e.path); {
		case n == name && !e.section && e.block == 0:
			if e.value.raw == "" {
				return 0, 0, "", false // a list: its end is not known
			}
			v := at(e.value.line, e.value.column)
			return v, v + len(e.value.raw), literal, true
		case inHead && firstHead < 0:
			firstHead = e.line
		}
		if inHead && dotted(e.path) == section {
			head = e.line
		}
		if !inHead && section != "" && strings.HasPrefix(dotted(e.path), section+".") && head < 0 {
			dotted0 = true // said with a dot, where no head of the section may follow
		}
	}
	line := last(name) + " = " + literal + "\n"
	switch {
	case head > 0 && head < len(starts):
		return starts[head], starts[head], line, true
	case head > 0: // the file ends with it
		return len(data), len(data), "\n" + line, true
	case section == "" || dotted0:
		line = name + " = " + literal + "\n"
		if firstHead > 0 {
			return starts[firstHead-1], starts[firstHead-1], line, true
		}
		return len(data), len(data), newline(data) + line, true
	}
	gap := "\n" // between sections
	if len(data) == 0 {
		gap = ""
	}
	return len(data), len(data), newline(data) + gap + "[" + section + "]\n" + line, true
}

// newline ends the last line of a file that does not.
func newline(data []byte) string {
	if len(data) > 0 && data[len(data)-1] != '\n' {
		return "\n"
	}
	return ""
}

func lineStarts(data []byte) []int {
	starts := []int{0}
	for i, b := range data {
		if b == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

// says reports whether a file that was changed says a key, and as much as before.
func says(data []byte, before int, name, want string) bool {
	entries, bad := parseDocument("", data)
	if len(bad) > 0 || len(entries) < before {
		return false
	}
	return slices.ContainsFunc(entries, func(e entry) bool {
		return !e.section && e.block == 0 && dotted(e.path) == name && e.value.shown() == want
	})
}
