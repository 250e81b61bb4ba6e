// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// variables takes the layer of the environment, by name. An empty variable says
// nothing.
func (l *loader) variables(environment []string) {
	byVariable := make(map[string]*key)
	var names []string
	for i := range l.keys {
		v := l.keys[i].variable()
		byVariable[v] = &l.keys[i]
		names = append(names, v)
	}
	var ours []string
	for _, e := range environment {
		if strings.HasPrefix(e, variablePrefix) {
			ours = append(ours, e)
		}
	}
	slices.Sort(ours)
	if len(ours) > MaxVariables {
		l.add(Origin{Layer: Variables}, "", "too_many", fmt.Sprintf("More than %d variables begin with %s", MaxVariables, variablePrefix), "Unset those that are not for chive.")
		return
	}
	for _, e := range ours {
		name, text, _ := strings.Cut(e, "=")
		where := Origin{Layer: Variables, Name: name}
		k := byVariable[name]
		switch {
		case text == "":
		case k != nil:
			l.set(k.name, k.secret, k.at(l.c), bare(text), where, "")
		case foreign(name):
		case claimed(name):
			l.unknown(where, clip(name), name, names, "variable", func(near string) string { return near })
		default:
			note := Note{where, "No key has this variable, so it is passed over."}
			if near := nearest(name, names); near != "" {
				note.Text += " Did you mean " + near + "?"
			}
			l.c.notes = append(l.c.notes, note)
		}
	}
}

// claimed reports whether a variable would be that of a key: it begins with a section.
func claimed(name string) bool {
	for _, s := range sections() {
		if strings.HasPrefix(name, variableName(s)+"_") {
			return true
		}
	}
	return false
}

// foreign reports whether a variable that begins as ours do is not for the
// configuration: of the program itself, of its tests, or made by Kubernetes for a
// service that is named chive or chive-something.
func foreign(name string) bool {
	switch name {
	case "CHIVE_STARTED_AGAIN", "CHIVE_REQUIRE_TOOLS", "CHIVE_FULL", "CHIVE_BENCH", "CHIVE_VOTE_EPOCHS", "CHIVE_STORE_TEST_HOLD", RunSocksVariable, RunControlVariable:
		return true
	}
	if strings.HasPrefix(name, "CHIVE_TEST_") || strings.HasSuffix(name, "_SERVICE_HOST") ||
		strings.Contains(name, "_SERVICE_PORT") || strings.HasSuffix(name, "_PORT") {
		return true
	}
	_, behind, ok := strings.Cut(name, "_PORT_")
	port, _, _ := strings.Cut(behind, "_")
	_, err := strconv.ParseUint(port, 10, 16)
	return ok && err == nil
}
