// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Setting is one effective value.
type Setting struct {
	Key     string
	Value   any    // string, bool, int, []string or []int; without passwords
	Text    string // Value as TOML writes it
	Origin  Origin
	Default bool // it is what it would be if nobody had said anything
}

// Settings returns every effective value, in the order of the default file; options of
// listeners last. Spec: product CFG-3.
func (c *Config) Settings() []Setting {
	usual := Default()
	var out []Setting
	for _, k := range keys() {
		v := k.at(c).show()
		out = append(out, Setting{k.name, v, literal(v), c.Origin(k.name), same(v, k.at(usual).show())})
	}
	for i := range c.Client.Listener {
		l := &c.Client.Listener[i]
		plain := newListener(l.Name)
		for _, k := range listenerKeys() {
			v := k.at(l).show()
			name := listenerSection + "." + l.Name + "." + k.name
			out = append(out, Setting{name, v, literal(v), c.Origin(name), same(v, k.at(&plain).show())})
		}
	}
	return out
}

// SettingsFrom is Settings with every path whole: relative ones begin at folder, where this
// process stands. What it returns says the same when a file of any folder says it.
func (c *Config) SettingsFrom(folder string) []Setting {
	out := c.Settings()
	for i, k := range keys() { // in the order of Settings; no option of a listener is a relative path
		if text, whole := wholePath(k.at(c), folder); whole {
			out[i].Value, out[i].Text = text, literal(text)
		}
	}
	return out
}

// wholePath returns what a field shows with its relative path at a folder, if it has one.
func wholePath(f field, folder string) (string, bool) {
	text, isText := f.show().(string)
	if !isText {
		return "", false
	}
	switch f := f.(type) {
	case pathField:
		if text == "" || f.auto && text == string(Auto) || slices.Contains(f.words, text) || filepath.IsAbs(text) {
			return "", false
		}
		return filepath.Join(folder, text), true
	case addressField:
		path, isUnix := strings.CutPrefix(text, unixPrefix)
		if !isUnix || !f.beside || filepath.IsAbs(path) {
			return "", false
		}
		text = unixPrefix + filepath.Join(folder, path)
		_, r := f.parse(text)
		return text, r == nil // else it is too long for a socket
	}
	return "", false
}

// same compares what fields show.
func same(a, b any) bool { return literal(a) == literal(b) }

// literal writes what a field shows as TOML.
func literal(v any) string {
	switch v := v.(type) {
	case bool:
		return strconv.FormatBool(v)
	case int:
		return strconv.Itoa(v)
	case []string:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = tomlText(v[i])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case []int:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = strconv.Itoa(v[i])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return tomlText(v.(string))
}

// tomlText quotes a text that holds nothing that cannot be shown.
func tomlText(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// Origin returns where a key's value was said; the zero value is the default.
func (c *Config) Origin(key string) Origin { return c.origins[key] }

// Given reports whether anything but the defaults says a key: then it wins over what a
// state folder remembers of an earlier run.
func (c *Config) Given(key string) bool { return c.Origin(key).Layer != Defaults }

// Notes returns what is allowed, and should be looked at.
func (c *Config) Notes() []Note { return slices.Clone(c.notes) }

// Files returns the paths of the files that were read, in their order.
func (c *Config) Files() []string { return slices.Clone(c.files) }

// Diff tells two configurations apart: the keys whose change applies at once when a
// running node reads its files again, and those that need a restart, each in the order
// of the default file. A listener is one key. What a file holds that both name, such as
// an exit policy, is not compared. Spec: product CFG-4.
func Diff(old, new *Config) (applied, restart []string) {
	for _, k := range keys() {
		switch {
		case same(k.at(old).show(), k.at(new).show()) && (!k.secret || old.Client.Upstream == new.Client.Upstream):
		case k.reload:
			applied = append(applied, k.name)
		default:
			restart = append(restart, k.name)
		}
	}
	var names []string
	for _, l := range slices.Concat(old.Client.Listener, new.Client.Listener) {
		if !slices.Contains(names, l.Name) {
			names = append(names, l.Name)
		}
	}
	for _, name := range names {
		switch {
		case old.runs(name) == new.runs(name):
		case listenersReload:
			applied = append(applied, listenerSection+"."+name)
		default:
			restart = append(restart, listenerSection+"."+name)
		}
	}
	return applied, restart
}

// Reloads returns what says of a key, as Setting.Key, whether its change applies at once.
// Options of a listener do as [Diff] says it of the listener.
func Reloads() func(key string) bool {
	at := make(map[string]bool)
	for _, k := range keys() {
		at[k.name] = k.reload
	}
	return func(key string) bool {
		return at[key] || listenersReload && strings.HasPrefix(key, listenerSection+".")
	}
}

// listenersReload says whether a listener with options changes at once.
const listenersReload = true

// runs returns the listener of that name; the zero value: there is none, or it is off.
func (c *Config) runs(name string) Listener {
	for _, l := range c.Client.Listener {
		if l.Name == name && !l.Address.IsOff() {
			return l
		}
	}
	return Listener{}
}
