// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A field is where a key's value is kept: it takes a value, or says why not.
type field interface {
	set(v value, base string) *refusal // base is the folder that relative paths begin at
	show() any                         // string, bool, int, []string or []int, as TOML and JSON write it
}

// refusal says why a value was not taken.
type refusal struct {
	code    string
	item    *value // of a list; nil: the whole value
	says    string // behind the value: "is not a rate with a unit"
	literal string // a good value, as TOML
	fix     string // instead of showing the good value
}

// word returns the text of a value that is written as text. wants says what it
// should be.
func (v value) word(wants, literal string) (string, *refusal) {
	switch {
	case v.kind != textValue && v.kind != bareValue:
		return "", &refusal{code: "wrong_type", says: "is " + v.kind.String() + ", not " + wants, literal: literal}
	case len(v.text) > MaxTextSize:
		return "", &refusal{code: "too_long", says: fmt.Sprintf("is longer than %d bytes", MaxTextSize), literal: literal}
	case strings.ContainsFunc(v.text, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }):
		return "", &refusal{code: "odd_text", says: "holds a character that cannot be shown", literal: literal}
	}
	return strings.TrimSpace(v.text), nil
}

// list returns the values of a list; a single text is a list of one, and a bare one
// has commas.
func (v value) list() []value {
	switch v.kind {
	case listValue:
		return v.items
	case bareValue:
		var out []value
		for _, part := range strings.Split(v.text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, value{kind: bareValue, text: part, line: v.line, column: v.column})
			}
		}
		return out
	}
	return []value{v}
}

// quantity returns the text of a value with a unit. A bare number is refused, and
// shown with the unit that is likely.
func (v value) quantity(wants, likely, literal string) (string, *refusal) {
	bare := v.kind == numberValue
	if _, err := strconv.ParseFloat(v.text, 64); v.kind == textValue || v.kind == bareValue {
		bare = err == nil
	}
	if bare {
		return "", &refusal{code: "unit_missing", says: "has no unit", literal: strconv.Quote(v.text + likely)}
	}
	return v.word(wants, literal)
}

type boolField struct{ to *bool }

func (f boolField) show() any { return *f.to }

func (f boolField) set(v value, _ string) *refusal {
	switch {
	case v.kind == boolValue || v.kind == bareValue && (v.text == "true" || v.text == "false"):
		*f.to = v.text == "true"
		return nil
	case v.kind == textValue && (v.text == "true" || v.text == "false"):
		return &refusal{code: "wrong_type", says: "is text, not true or false", literal: v.text}
	}
	return &refusal{code: "wrong_type", says: "is not true or false", literal: "true"}
}

type intField struct {
	to        *int
	low, high int
}

func (f intField) show() any { return *f.to }

func (f intField) set(v value, _ string) *refusal {
	n, r := v.number(f.low, f.high, strconv.Itoa(f.low))
	if r == nil {
		*f.to = n
	}
	return r
}

// number returns a whole number within bounds.
func (v value) number(low, high int, literal string) (int, *refusal) {
	n, err := strconv.Atoi(strings.ReplaceAll(v.text, "_", ""))
	switch {
	case v.kind == textValue && err == nil:
		return 0, &refusal{code: "wrong_type", says: "is text, not a whole number", literal: v.text}
	case v.kind != numberValue && v.kind != bareValue || err != nil && !isNumber(v.text):
		return 0, &refusal{code: "wrong_type", says: "is not a whole number", literal: literal}
	case err != nil || n < low || n > high:
		return 0, &refusal{code: "out_of_range", says: fmt.Sprintf("is not a whole number from %d to %d", low, high), literal: literal}
	}
	return n, nil
}

func isNumber(text string) bool {
	_, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
	return err == nil
}

// portsField keeps a list of ports.
type portsField struct{ to *[]int }

func (f portsField) show() any { return append([]int{}, *f.to...) }

func (f portsField) set(v value, _ string) *refusal {
	out := []int{}
	for _, item := range v.list() {
		n, r := item.number(1, 65535, "[443]")
		if r != nil {
			r.item = &item
			if r.code == "wrong_type" {
				r.literal = "[443]"
			}
			return r
		}
		out = append(out, n)
	}
	if len(out) > MaxPorts {
		return &refusal{code: "too_many", says: fmt.Sprintf("names more than %d ports", MaxPorts), literal: "[443]"}
	}
	*f.to = out
	return nil
}

type durationField struct {
	to        *time.Duration
	low, high time.Duration
}

func (f durationField) show() any { return durationText(*f.to) }

func (f durationField) set(v value, _ string) *refusal {
	literal := strconv.Quote(durationText(max(f.low, 30*time.Second)))
	text, r := v.quantity("a duration", "s", literal)
	if r != nil {
		return r
	}
	d, err := ParseDuration(text)
	switch {
	case err != nil:
		return &refusal{code: "duration", says: "is not a duration with a unit", literal: literal}
	case d < f.low || d > f.high:
		return &refusal{code: "out_of_range", says: fmt.Sprintf("is not from %s to %s", durationText(f.low), durationText(f.high)), literal: literal}
	}
	*f.to = d
	return nil
}

// sizeField keeps a size, or a word that stands for none.
type sizeField struct {
	to        *Size
	zero      string // auto or off
	low, high Size
	example   string
}

func (f sizeField) show() any {
	if *f.to == 0 {
		return f.zero
	}
	return f.to.String()
}

func (f sizeField) set(v value, _ string) *refusal {
	literal := strconv.Quote(f.example)
	text, r := v.quantity("a size", " MiB", literal)
	if r != nil {
		return r
	}
	if text == f.zero {
		*f.to = 0
		return nil
	}
	size, err := ParseSize(text)
	switch rateless, isRate := strings.CutSuffix(text, "/s"); {
	case err != nil && isRate:
		return &refusal{code: "size", says: "is a rate, not a size", literal: strconv.Quote(strings.TrimSpace(rateless))}
	case err != nil:
		return &refusal{code: "size", says: "is not a size with a unit, nor " + f.zero, literal: literal}
	case size < f.low || size > f.high:
		return &refusal{code: "out_of_range", says: fmt.Sprintf("is not from %s to %s", f.low, f.high), literal: literal}
	}
	*f.to = size
	return nil
}

type rateField struct {
	to  *Rate
	low Rate
}

func (f rateField) show() any { return f.to.String() }

func (f rateField) set(v value, _ string) *refusal {
	const literal = `"2 MiB/s"`
	text, r := v.quantity("a rate", " MiB/s", literal)
	if r != nil {
		return r
	}
	bits, err := ParseRate(text)
	if err != nil {
		if _, again := ParseRate(text + "/s"); again == nil {
			return &refusal{code: "rate", says: "is a size, not a rate", literal: strconv.Quote(text + "/s")}
		}
		return &refusal{code: "rate", says: "is not a rate with a unit", literal: literal, fix: RateHint(text)}
	}
	if Rate(bits/8) < f.low {
		return &refusal{code: "out_of_range", says: fmt.Sprintf("is less than %s", f.low), literal: literal}
	}
	*f.to = Rate(bits / 8)
	return nil
}

// wordField keeps one of some words.
type wordField struct {
	to    *string
	words []string
}

func (f wordField) show() any { return *f.to }

func (f wordField) set(v value, _ string) *refusal {
	choice := strings.Join(f.words[:len(f.words)-1], ", ") + " or " + f.words[len(f.words)-1]
	text, r := v.word(choice, strconv.Quote(f.words[0]))
	if r != nil {
		return r
	}
	if !slices.Contains(f.words, text) {
		r := &refusal{code: "unknown_word", says: "is not " + choice, fix: "Use one of them."}
		if near := nearest(text, f.words); near != "" {
			r.fix, r.literal = "", strconv.Quote(near)
		}
		return r
	}
	*f.to = text
	return nil
}

// switchField keeps auto or off as a bool.
type switchField struct{ to *bool }

func (f switchField) show() any {
	if *f.to {
		return string(Auto)
	}
	return string(Off)
}

func (f switchField) set(v value, base string) *refusal {
	text := f.show().(string)
	r := wordField{&text, []string{string(Auto), string(Off)}}.set(v, base)
	*f.to = text == string(Auto)
	return r
}

// textField keeps a text that check takes.
type textField struct {
	to    *string
	check func(text string) *refusal
}

func (f textField) show() any { return *f.to }

func (f textField) set(v value, _ string) *refusal {
	text, r := v.word("text in quotes", `"..."`)
	if r == nil {
		r = f.check(text)
	}
	if r == nil {
		*f.to = text
	}
	return r
}

// pathField keeps the path of a file or folder, or nothing, or one of some words.
type pathField struct {
	to    *string
	words []string
	auto  bool // "auto" is how nothing is written
}

func (f pathField) show() any {
	if f.auto && *f.to == "" {
		return string(Auto)
	}
	return *f.to
}

func (f pathField) set(v value, base string) *refusal {
	text, r := v.word("the path of a file", `"/etc/chive/..."`)
	switch {
	case r != nil:
		return r
	case strings.HasPrefix(text, "~"):
		return &refusal{code: "path", says: "begins with ~, which only a shell understands", fix: "Write the whole path."}
	case f.auto && text == string(Auto):
		text = ""
	case text != "" && !slices.Contains(f.words, text) && !filepath.IsAbs(text):
		text = filepath.Join(base, text)
		if slices.Contains(f.words, text) || f.auto && text == string(Auto) {
			text = "." + string(filepath.Separator) + text // a file that is called so
		}
	}
	*f.to = text
	return nil
}

// textsField keeps a list of texts that check takes.
type textsField struct {
	to    *[]string
	most  int
	check func(text string) *refusal
	all   func(texts []string) *refusal // looks at them together; may be nil
}

func (f textsField) show() any { return append([]string{}, *f.to...) }

func (f textsField) set(v value, _ string) *refusal {
	out := []string{}
	for _, item := range v.list() {
		text, r := item.word("text in quotes", `["..."]`)
		if r == nil {
			r = f.check(text)
		}
		if r == nil && slices.Contains(out, text) {
			r = &refusal{code: "twice", says: "is there twice", fix: "Remove one of them."}
		}
		if r != nil {
			r.item = &item
			return r
		}
		out = append(out, text)
	}
	if len(out) > f.most {
		return &refusal{code: "too_many", says: fmt.Sprintf("has more than %d parts", f.most), fix: "Name fewer."}
	}
	if f.all != nil {
		if r := f.all(out); r != nil {
			return r
		}
	}
	*f.to = out
	return nil
}
