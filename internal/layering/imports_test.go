// SPDX-License-Identifier: BSD-3-Clause

package layering

import "testing"

func TestImportsOutsideTheTableAreFound(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		wants []string
	}{
		{"unknown package, once", map[string]string{
			"util/a.go": "package util", "util/b.go": "package util",
		}, []string{"package util has no row"}},
		{"a package at the root", map[string]string{"main.go": "package main"}, []string{"package . has no row"}},
		{"upwards", map[string]string{"circuit/cell/a.go": `package cell; import "chive/circuit"`},
			[]string{"circuit/cell (pure) may not import circuit"}},
		{"rightwards in the directory", map[string]string{"directory/record/a.go": `package record; import "chive/directory/path"`},
			[]string{"may not import directory/path"}},
		{"relay to client", map[string]string{"relay/a.go": `package relay; import "chive/client"`},
			[]string{"relay (role) may not import client"}},
		{"relay to end-to-end content", map[string]string{"relay/a.go": `package relay; import ("chive/message"; "chive/service/endpoint")`},
			[]string{"may not import message", "may not import service/endpoint"}},
		{"front door to anything of ours", map[string]string{"client/proxy/a.go": `package proxy; import "chive/link"`},
			[]string{"client/proxy (role) may not import link"}},
		{"a longer path than the row's", map[string]string{"relay/a.go": `package relay; import "chive/link/inner"`},
			[]string{"may not import link/inner"}},
		{"unlisted module", map[string]string{"link/a.go": `package link; import "github.com/spf13/viper"`},
			[]string{"may not import github.com/spf13/viper"}},
		{"listed module in another package", map[string]string{"circuit/a.go": `package circuit; import "github.com/rs/zerolog"`},
			[]string{"may not import github.com/rs/zerolog"}},
		{"a module that only begins alike", map[string]string{"link/a.go": `package link; import "github.com/flynn/noisette"`},
			[]string{"may not import github.com/flynn/noisette"}},
		{"cgo", map[string]string{"link/a.go": `package link; import "C"`}, []string{"cgo"}},
		{"a test module outside a test", map[string]string{"link/a.go": `package link; import "pgregory.net/rapid"`},
			[]string{"may not import pgregory.net/rapid"}},
		{"memnet outside a test", map[string]string{"link/a.go": `package link; import "chive/internal/memnet"`},
			[]string{"may not import internal/memnet"}},
		{"a test may not climb either", map[string]string{"link/a_test.go": `package link; import "chive/relay"`},
			[]string{"may not import relay"}},
		{"allowed", map[string]string{
			"link/a.go":           `package link; import ("net"; "chive/circuit/cell"; "github.com/flynn/noise"; "golang.org/x/sys/unix")`,
			"link/a_test.go":      `package link_test; import ("chive/link"; "chive/internal/memnet"; "pgregory.net/rapid")`,
			"directory/sync/a.go": `package sync; import "chive/directory/snapshot"`,
			"testnet/a.go":        `package testnet; import ("chive/relay"; "chive/client"; "chive/internal/memnet")`,
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			expect(t, checkImports(sources(t, test.files), layers), test.wants...)
		})
	}
}

func TestTableWithAFaultIsFound(t *testing.T) {
	for _, test := range []struct {
		name  string
		table []layer
		wants []string
	}{
		{"two rows", []layer{{path: "a", kind: pure, why: "x"}, {path: "a", kind: pure, why: "x"}}, []string{"two rows"}},
		{"no reason", []layer{{path: "a", kind: pure}}, []string{"no reason"}},
		{"unclean", []layer{{path: "a/", kind: pure, why: "x"}}, []string{"not a clean path"}},
		{"unknown target", []layer{{path: "a", kind: pure, ours: []string{"b"}, why: "x"}}, []string{"imports b, which has no row"}},
		{"pure on I/O", []layer{
			{path: "a", kind: pure, ours: []string{"b"}, why: "x"}, {path: "b", kind: inout, why: "x"},
		}, []string{"a: pure, imports b"}},
		{"I/O on a role", []layer{
			{path: "a", kind: inout, ours: []string{"b"}, why: "x"}, {path: "b", kind: role, why: "x"},
		}, []string{"a: never logs, imports b"}},
		{"role on composition", []layer{
			{path: "a", kind: role, ours: []string{"b"}, why: "x"}, {path: "b", kind: composition, why: "x"},
		}, []string{"a: role, imports b"}},
		{"a log below the roles", []layer{{path: "a", kind: inout, outside: []string{modZerolog}, why: "x"}},
			[]string{"a: nothing below a role can log"}},
		{"relay to client by a detour", []layer{
			{path: "relay/exit", kind: role, ours: []string{"b"}, why: "x"},
			{path: "b", kind: role, ours: []string{"client/proxy"}, why: "x"},
			{path: "client/proxy", kind: role, why: "x"},
		}, []string{"relay/exit reaches client/proxy"}},
	} {
		t.Run(test.name, func(t *testing.T) { expect(t, checkTable(test.table), test.wants...) })
	}
}
