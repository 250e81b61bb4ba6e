// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of what is read.
const (
	MaxFileSize  = 256 << 10 // bytes
	MaxFiles     = 16
	MaxOptions   = 256
	MaxVariables = 1024 // that begin as ours do
)

// File is a configuration file to read.
type File struct {
	Path     string
	Optional bool // it need not be there
}

// Flag is a flag that was given, and the key that it means.
type Flag struct {
	Key    string
	Name   string // as it was written: --socks
	Values []string
}

// Sources are the layers of a configuration, all as arguments. Spec: product CFG-1.
type Sources struct {
	Files     []File   // a later one wins
	Variables []string // of the environment, NAME=VALUE; others than ours are passed over
	Options   []string // SECTION.KEY=VALUE
	Flags     []Flag
	// Read reads a file; nil means ReadFile.
	Read func(path string) (data []byte, mode fs.FileMode, err error)
	// Named looks into the files that the configuration names; its zero value does not.
	Named Named
}

// Named checks files that a configuration names. Each may be nil, and returns an
// *Unfit for the user, or any other error.
type Named struct {
	Genesis func(path string) (testnet bool, err error)
	Policy  func(path string) (hidden []string, err error) // hidden: what clients will not see
	Family  func(path string) error
	Voucher func(path, state string) error // state: the key of that name; empty is auto
	Anchor  func(path string) error
	// Contact reports whether the relay of a state folder was told a contact before; state is
	// as for Voucher.
	Contact func(state string) bool
}

// Unfit says why a file cannot be what it is named as.
type Unfit struct{ Code, Text, Fix string }

// Error returns the text.
func (u *Unfit) Error() string { return u.Text }

// Load reads the layers in their order and checks what they say together. The error is
// Problems, and lists everything that is wrong; then there is no configuration.
// Spec: product CFG-1, CFG-2.
func Load(s Sources) (*Config, error) {
	l := &loader{c: Default(), keys: keys(), options: listenerKeys(), read: s.Read}
	if l.read == nil {
		l.read = ReadFile
	}
	if len(s.Files) > MaxFiles {
		l.add(Origin{Layer: Flags, Name: "-c"}, "", "too_many", fmt.Sprintf("There are more than %d configuration files", MaxFiles), "Join some of them.")
		return nil, l.bad
	}
	for _, f := range s.Files {
		l.file(f)
	}
	l.variables(s.Variables)
	if len(s.Options) > MaxOptions {
		l.add(Origin{Layer: Options}, "", "too_many", fmt.Sprintf("-o is there more than %d times", MaxOptions), "Write a file for -c.")
		return nil, l.bad
	}
	for _, o := range s.Options {
		l.option(o)
	}
	for _, f := range s.Flags {
		l.flag(f)
	}
	l.check()
	l.named(s.Named)
	if len(l.bad) > 0 {
		return nil, l.bad[:min(len(l.bad), maxProblems)]
	}
	return l.c, nil
}

// loader puts the layers on top of each other.
type loader struct {
	c       *Config
	keys    []key
	options []listenerKey
	read    func(path string) ([]byte, fs.FileMode, error)
	bad     Problems
}

func (l *loader) add(where Origin, key, code, text, fix string) {
	l.bad = append(l.bad, Problem{where, key, code, text, fix})
}

func (l *loader) find(name string) *key {
	i := slices.IndexFunc(l.keys, func(k key) bool { return k.name == name })
	if i < 0 {
		return nil
	}
	return &l.keys[i]
}

func (l *loader) findOption(name string) *listenerKey {
	i := slices.IndexFunc(l.options, func(k listenerKey) bool { return k.name == name })
	if i < 0 {
		return nil
	}
	return &l.options[i]
}

// set gives a key its value, or says why not. A secret value is not quoted.
func (l *loader) set(name string, secret bool, f field, v value, where Origin, base string) {
	r := f.set(v, base)
	if r == nil {
		l.c.origins[name] = where
		return
	}
	text := where.said(name, v.shown())
	if r.item != nil {
		text = where.said(name, r.item.shown())
		if where.Layer == Files {
			text = name + ": " + clip(r.item.shown())
		}
		if r.item.line > 0 {
			where.Line, where.Column = r.item.line, r.item.column
		}
	}
	if secret {
		text = where.String()
		if where.Layer == Files {
			text = name
		}
	}
	fix := r.fix
	if r.item != nil && v.kind == listValue && where.Layer == Files && strings.HasPrefix(r.literal, `"`) {
		r.literal = "[" + r.literal + "]"
	}
	if fix == "" {
		fix = "Write " + where.write(name, r.literal) + "."
	}
	l.add(where, name, r.code, text+" "+r.says, fix)
}

// file reads one file.
func (l *loader) file(f File) {
	where := Origin{Layer: Files, Name: f.Path}
	data, mode, err := l.read(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.Optional:
		return
	case errors.Is(err, fs.ErrNotExist):
		l.add(where, "", "file_missing", "There is no such file", "Check the path.")
		return
	case errors.Is(err, fs.ErrPermission):
		l.add(where, "", "file_forbidden", "This user may not read the file", "Run chive as the user who owns it: ls -l "+quote(f.Path))
		return
	case errors.Is(err, ErrTooLarge):
		l.add(where, "", "file_too_large", "The file is larger than "+Size(MaxFileSize).String(), "Name the right file.")
		return
	case err != nil:
		l.add(where, "", "file_failed", "The file cannot be read", "Check that it is a file, and the disk.")
		return
	case mode.Perm()&0o002 != 0:
		l.add(where, "", "file_exposed", "Every user of this machine can change the file", "chmod o-w "+quote(f.Path))
		return
	}
	l.c.files = append(l.c.files, f.Path)
	entries, bad := parseDocument(f.Path, data)
	before := len(l.bad)
	l.bad = append(l.bad, bad...)
	l.entries(f.Path, entries)
	slices.SortStableFunc(l.bad[before:], func(a, b Problem) int { return a.Where.Line - b.Where.Line })
}

// entries takes the assignments of a file.
func (l *loader) entries(file string, entries []entry) {
	heads := sections()
	var unknown []entry // heads whose keys are passed over
	var block []entry   // of the listener that is being read
	for _, e := range entries {
		where := Origin{Layer: Files, Name: file, Line: e.line, Column: e.column}
		name := dotted(e.path)
		if slices.ContainsFunc(unknown, func(u entry) bool { return e.block == u.block && below(e.path, u.path) }) {
			continue
		}
		if len(l.bad) >= maxProblems {
			return
		}
		inListener := below(e.path, strings.Split(listenerSection, "."))
		switch {
		case e.section && e.array && name == listenerSection:
			l.listener(file, block)
			block = []entry{e}
		case e.section && !e.array && slices.Contains(heads, name) && !inListener:
		case e.block > 0 && !e.section && len(e.path) == 3 && inListener && len(block) > 0:
			block = append(block, e)
		case inListener && len(e.path) < 4 && e.block == 0 || inListener && e.section:
			l.add(where, name, "listener", "A listener is written in double brackets", `Write [[client.listener]] on a line of its own, and name = "..." and address = "..." below it.`)
			unknown = append(unknown, e)
		case e.section && e.array && slices.Contains(heads, name):
			l.add(where, name, "section", clip(name)+" is one section, not a list of them", "Write ["+name+"].")
			unknown = append(unknown, e)
		case e.section && l.find(name) != nil:
			l.add(where, name, "section", clip(name)+" is a key, not a section", "Write "+last(name)+" = ... in the section "+cutLast(name)+".")
			unknown = append(unknown, e)
		case e.section:
			l.unknown(where, "["+clip(name)+"]", name, heads, "section", func(near string) string {
				if near == listenerSection {
					return "[[" + near + "]]"
				}
				return "[" + near + "]"
			})
			unknown = append(unknown, e)
		case l.find(name) != nil:
			k := l.find(name)
			where.Line, where.Column = e.value.line, e.value.column
			l.set(name, k.secret, k.at(l.c), e.value, where, filepath.Dir(file))
		case slices.Contains(heads, name):
			l.add(where, name, "section", clip(name)+" is a section, not a key", "Write ["+name+"] on a line of its own, and its keys below it.")
		default:
			l.unknown(where, clip(name), name, l.names(), "key", func(near string) string { return near })
		}
	}
	l.listener(file, block)
}

// below reports whether a path is in a section, or is the section.
func below(path, section []string) bool {
	return len(path) >= len(section) && slices.Equal(path[:len(section)], section)
}

func cutLast(name string) string { return name[:max(0, strings.LastIndexByte(name, '.'))] }

func (l *loader) names() []string {
	var out []string
	for _, k := range l.keys {
		out = append(out, k.name)
	}
	return out
}

// unknown refuses a name that nothing has, and names the nearest that something has.
func (l *loader) unknown(where Origin, shown, name string, candidates []string, what string, as func(near string) string) {
	fix := "See what there is: chive config default"
	if near := nearest(name, candidates); near != "" {
		fix = "Did you mean " + as(near) + "?"
	}
	text := shown + " is no " + what
	if what == "variable" {
		text += " of the configuration"
	}
	l.add(where, name, "unknown_"+what, text, fix)
}

// bare is the value that a variable, an option or a flag holds.
func bare(text string) value {
	if v, ok := parseLiteral(text); ok {
		v.line, v.column, v.raw = 0, 0, text
		for i := range v.items {
			v.items[i].line = 0
		}
		return v
	}
	return value{kind: bareValue, text: strings.TrimSpace(text)}
}

// option takes one -o.
func (l *loader) option(text string) {
	name, written, ok := strings.Cut(text, "=")
	name = strings.TrimSpace(name)
	where := Origin{Layer: Options, Name: clip(name)}
	if !ok {
		l.add(where, "", "option", "-o "+clip(name)+" has no value", "Write -o section.key=value, such as -o relay.rate=2MiB/s.")
		return
	}
	if rest, of := strings.CutPrefix(name, listenerSection+"."); of {
		listener, option, _ := strings.Cut(rest, ".")
		if r := checkListenerName(listener); r != nil || option == "" {
			l.add(where, "", "option", "-o "+clip(name)+" names no option of a listener", "Write -o client.listener.NAME.OPTION=value, such as -o client.listener.browser.address=127.0.0.1:9260.")
			return
		}
		if _, there := l.c.origins[listenerSection+"."+listener]; !there && l.findOption(option) != nil {
			l.c.origins[listenerSection+"."+listener] = where
		}
		l.listenerOption(listener, option, bare(written), where, where)
		return
	}
	k := l.find(name)
	if k == nil {
		l.unknown(where, "-o "+clip(name), name, l.names(), "key", func(near string) string { return near })
		return
	}
	l.set(k.name, k.secret, k.at(l.c), bare(written), where, "")
}

// flag takes one flag. Its key exists: the caller's table is ours.
func (l *loader) flag(f Flag) {
	where := Origin{Layer: Flags, Name: f.Name}
	k := l.find(f.Key)
	if k == nil {
		l.add(where, f.Key, "unknown_key", f.Name+" means a key that does not exist", "Report this as a fault of chive.")
		return
	}
	v := value{kind: bareValue}
	if len(f.Values) == 1 {
		v.text = strings.TrimSpace(f.Values[0])
	} else {
		v.kind = listValue
		for _, text := range f.Values {
			v.items = append(v.items, value{kind: bareValue, text: text})
		}
	}
	l.set(k.name, k.secret, k.at(l.c), v, where, "")
}
