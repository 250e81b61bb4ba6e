// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"fmt"
	"slices"
	"strings"
)

// listener takes the block of one listener: its head and its options.
func (l *loader) listener(file string, block []entry) {
	if len(block) == 0 {
		return
	}
	head := Origin{Layer: Files, Name: file, Line: block[0].line, Column: block[0].column}
	name := ""
	for _, e := range block[1:] {
		if e.path[2] != listenerName {
			continue
		}
		where := Origin{Layer: Files, Name: file, Line: e.value.line, Column: e.value.column}
		const label = listenerSection + "." + listenerName
		before, other := len(l.bad), l.c.origins[label] // of a listener that is named so
		l.set(label, false, textField{&name, checkListenerName}, e.value, where, "")
		delete(l.c.origins, label)
		if other != (Origin{}) {
			l.c.origins[label] = other
		}
		if len(l.bad) > before {
			return
		}
		if l.c.origins[listenerSection+"."+name].Name == file {
			l.add(where, "", "twice", fmt.Sprintf("There are two listeners named %q in this file", name), "Name one of them otherwise.")
			return
		}
	}
	if name == "" {
		l.add(head, "", "listener_name", "The listener has no name", `Write name = "..." below [[client.listener]], such as name = "browser".`)
		return
	}
	l.c.origins[listenerSection+"."+name] = head
	for _, e := range block[1:] {
		if e.path[2] != listenerName {
			where := Origin{Layer: Files, Name: file, Line: e.value.line, Column: e.value.column}
			l.listenerOption(name, e.path[2], e.value, where, Origin{Layer: Files, Name: file, Line: e.line, Column: e.column})
		}
	}
}

// listenerOption sets an option of a listener, which is made if it is not there.
func (l *loader) listenerOption(name, option string, v value, where, at Origin) {
	k := l.findOption(option)
	if k == nil {
		var names []string
		for _, o := range l.options {
			names = append(names, o.name)
		}
		l.unknown(at, clip(listenerSection+"."+option), option, append(names, listenerName), "key", func(near string) string { return near })
		return
	}
	l.set(listenerSection+"."+name+"."+option, false, k.at(l.c.Client.listener(name)), v, where, "")
}

// checkListenerName takes what a listener is called. It is no address, so that it is
// never one of client.socks.
func checkListenerName(text string) *refusal {
	odd := func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-') }
	if text == "" || len(text) > MaxListenerName || strings.ContainsFunc(text, odd) {
		return &refusal{code: "listener_name", says: fmt.Sprintf("is not 1 to %d small letters, digits and -", MaxListenerName), literal: `"browser"`}
	}
	return nil
}

// checkListeners checks each listener as all layers together made it.
func (l *loader) checkListeners() {
	if n := len(l.c.Client.Listener); n > MaxListeners {
		l.add(Origin{Layer: Files, Name: listenerSection}, listenerSection, "too_many", fmt.Sprintf("There are %d listeners, more than %d", n, MaxListeners), "Remove some: one serves any number of programs.")
	}
	for name, where := range l.listenersSaid() {
		at := slices.IndexFunc(l.c.Client.Listener, func(c Listener) bool { return c.Name == name })
		if at < 0 || l.c.Client.Listener[at].Address == "" {
			if l.failed(listenerSection + "." + name + ".address") {
				continue // that was said
			}
			l.add(where, listenerSection+"."+name, "listener_address", fmt.Sprintf("The listener %q has no address", name), `Write address = "127.0.0.1:9260", or another.`)
			continue
		}
		c := l.c.Client.Listener[at]
		key := listenerSection + "." + name + ".address"
		where := l.c.origins[key]
		switch {
		case c.Address.remote() && !c.AllowRemote:
			l.add(where, key, "remote", fmt.Sprintf("The listener %q at %s would let other machines in", name, c.Address),
				"Use a loopback address, or a unix socket. If that is what you want, and a firewall keeps strangers out: allow_remote = true.")
		case c.Address.remote():
			l.c.notes = append(l.c.notes, Note{where, fmt.Sprintf("Everybody who reaches the listener %q at %s can use this proxy. Keep strangers out by a firewall.", name, c.Address)})
		}
	}
}

// failed reports whether something is wrong with a key already.
func (l *loader) failed(key string) bool {
	return slices.ContainsFunc(l.bad, func(p Problem) bool { return p.Key == key })
}

// listenersSaid yields the listeners that a layer made, by name.
func (l *loader) listenersSaid() func(yield func(string, Origin) bool) {
	return func(yield func(string, Origin) bool) {
		var names []string
		for key := range l.c.origins {
			if path := key; len(path) > len(listenerSection)+1 && path[:len(listenerSection)+1] == listenerSection+"." && last(path) == path[len(listenerSection)+1:] {
				names = append(names, last(path))
			}
		}
		slices.Sort(names)
		for _, name := range names {
			if !yield(name, l.c.origins[listenerSection+"."+name]) {
				return
			}
		}
	}
}
