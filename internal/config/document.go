// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// valueKind is what a value was written as.
type valueKind byte

const (
	textValue valueKind = iota
	numberValue
	boolValue
	timeValue
	listValue
	tableValue
	bareValue // of a variable, an option or a flag: what it is follows from the key
)

func (k valueKind) String() string {
	return [...]string{"text", "a number", "true or false", "a date or time", "a list", "a section", "bare text"}[k]
}

// value is a value as somebody wrote it.
type value struct {
	kind         valueKind
	text         string // of a list: empty
	raw          string // as it stands in the file
	items        []value
	line, column int // in a file
}

// shown is the value as it was written.
func (v value) shown() string {
	if v.raw != "" {
		return v.raw
	}
	if v.kind == listValue {
		parts := make([]string, len(v.items))
		for i, item := range v.items {
			parts[i] = item.shown()
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return v.text
}

// entry is one assignment of a file, or the head of a section.
type entry struct {
	path         []string // of the key, with its section
	section      bool     // a head; value is not used
	array        bool     // a head in double brackets
	block        int      // which head in double brackets it is below, from 1; 0: none
	line, column int      // of the key
	value        value
}

// document is a file that was read.
type document struct {
	lines  []int // where each line begins
	parser unstable.Parser
	out    []entry
	bad    Problems
	file   string
}

// byteOrderMark is what some editors begin a text with.
var byteOrderMark = []byte("\xef\xbb\xbf")

// parseDocument reads TOML into its assignments, in their order. After a syntax error
// there are none.
func parseDocument(file string, data []byte) ([]entry, Problems) {
	data = bytes.TrimPrefix(data, byteOrderMark)
	var whole map[string]any
	wrong := toml.Unmarshal(data, &whole)
	d := &document{file: file, lines: []int{0}}
	for i, b := range data {
		if b == '\n' {
			d.lines = append(d.lines, i+1)
		}
	}
	d.parser.Reset(data)
	var section []string
	block, blocks := 0, 0
	for d.parser.NextExpression() {
		e := d.parser.Expression()
		switch e.Kind {
		case unstable.KeyValue:
			d.assignment(section, block, e)
		case unstable.Table, unstable.ArrayTable:
			head := entry{section: true, array: e.Kind == unstable.ArrayTable}
			section, head.line, head.column = d.key(e)
			block = 0
			if head.array {
				blocks++
				block = blocks
			}
			head.path, head.block = section, block
			d.out = append(d.out, head)
		}
	}
	if d.parser.Error() != nil {
		return nil, Problems{d.syntax(wrong)}
	}
	d.twice()
	if wrong != nil && len(d.bad) == 0 {
		return nil, Problems{d.syntax(wrong)}
	}
	return d.out, d.bad
}

// syntax puts an error of the library into words. Its position is what matters.
func (d *document) syntax(err error) Problem {
	p := Problem{
		Where: Origin{Layer: Files, Name: d.file}, Code: "syntax", Text: "This is not TOML",
		Fix: `Write lines such as key = "value" below lines such as [section]; chive config default shows all of them.`,
	}
	var at *toml.DecodeError
	if errors.As(err, &at) {
		p.Where.Line, p.Where.Column = at.Position()
		p.Text += ": " + clip(strings.TrimPrefix(at.Error(), "toml: "))
	}
	return p
}

// key reads the dotted key of a node and where it begins.
func (d *document) key(n *unstable.Node) (path []string, line, column int) {
	for it := n.Key(); it.Next(); {
		k := it.Node()
		if line == 0 {
			line, column = d.place(int(k.Raw.Offset))
		}
		path = append(path, string(k.Data))
	}
	return path, line, column
}

// place turns an offset into a line and a column.
func (d *document) place(offset int) (line, column int) {
	low, high := 0, len(d.lines)
	for low+1 < high {
		if middle := (low + high) / 2; d.lines[middle] <= offset {
			low = middle
		} else {
			high = middle
		}
	}
	return low + 1, offset - d.lines[low] + 1
}

// assignment takes one assignment, or those of a table on one line.
func (d *document) assignment(section []string, block int, n *unstable.Node) {
	path, line, column := d.key(n)
	path = append(append([]string{}, section...), path...)
	if v := n.Value(); v.Kind == unstable.InlineTable {
		d.out = append(d.out, entry{path: path, section: true, block: block, line: line, column: column})
		for it := v.Children(); it.Next(); {
			d.assignment(path, block, it.Node())
		}
		return
	}
	e := entry{path: path, block: block, line: line, column: column, value: d.value(n.Value())}
	if e.value.line == 0 {
		e.value.line, e.value.column = line, column
	}
	d.out = append(d.out, e)
}

func (d *document) value(n *unstable.Node) value {
	v := value{text: string(n.Data)}
	if n.Raw.Length > 0 {
		v.raw = string(d.parser.Raw(n.Raw))
		v.line, v.column = d.place(int(n.Raw.Offset))
	}
	switch n.Kind {
	case unstable.String:
		v.kind = textValue
	case unstable.Bool:
		v.kind = boolValue
	case unstable.Integer, unstable.Float:
		v.kind = numberValue
	case unstable.Array:
		v.kind = listValue
		for it := n.Children(); it.Next(); {
			v.items = append(v.items, d.value(it.Node()))
		}
	case unstable.InlineTable:
		v.kind = tableValue
	default:
		v.kind = timeValue
	}
	return v
}

// twice finds keys and sections that are said twice.
func (d *document) twice() {
	type id struct {
		name  string
		block int
	}
	first := make(map[id]entry)
	for _, e := range d.out {
		if e.array {
			continue
		}
		k := id{strings.Join(e.path, "\x00"), e.block}
		before, again := first[k]
		if !again {
			first[k] = e
			continue
		}
		if len(d.bad) < maxProblems {
			d.bad = append(d.bad, Problem{
				Where: Origin{Layer: Files, Name: d.file, Line: e.line, Column: e.column}, Key: dotted(e.path), Code: "twice",
				Text: clip(dotted(e.path)) + " is there twice: line " + strconv.Itoa(before.line) + " says it as well",
				Fix:  "Keep one: put what belongs together at line " + strconv.Itoa(before.line) + ", and remove this.",
			})
		}
	}
}

// dotted joins a path as a key is written. A part that holds a dot itself is quoted, so
// that it is never taken for two.
func dotted(path []string) string {
	parts := make([]string, len(path))
	for i, p := range path {
		parts[i] = p
		if p == "" || strings.ContainsAny(p, ". \"") {
			parts[i] = `"` + p + `"`
		}
	}
	return strings.Join(parts, ".")
}

// parseLiteral reads what stands behind = of an option or variable when it is written
// as TOML: a text in quotes or a list in brackets. ok is false for bare text.
func parseLiteral(text string) (v value, ok bool) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, `"`) && !strings.HasPrefix(text, "[") {
		return value{}, false
	}
	entries, bad := parseDocument("", []byte("v = "+text))
	if len(bad) > 0 || len(entries) != 1 || entries[0].section {
		return value{}, false
	}
	return entries[0].value, true
}
