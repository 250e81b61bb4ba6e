// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"net"
	"path/filepath"
	"testing"

	"chive/internal/node"
)

// TestTakenPortMovesUnlessItWasNamed, and whoever asked hears of it.
func TestTakenPortMovesUnlessItWasNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	o := testnetOptions{clients: 2, socks: []string{taken}}
	p, err := o.listen(false)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.names) != 2 || !p.moved[0] || p.moved[1] || p.names[0] == taken {
		t.Errorf("names %v, moved %v", p.names, p.moved)
	}
	p.close()
	p.close()
	if l, err := net.Listen("tcp", p.names[0]); err != nil {
		t.Errorf("the port stays open: %v", err)
	} else {
		l.Close()
	}
	_, err = o.listen(true)
	var f *node.Fault
	if !errors.As(err, &f) || f.Code != "port_in_use" {
		t.Errorf("a named port that is taken: %v", err)
	}
}

// TestAnswers: only a socket that refuses is one that nobody has.
func TestAnswers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Skip("no unix sockets here")
	}
	if !answers(path) {
		t.Error("a listener counts as gone")
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as after a kill
	l.Close()
	if answers(path) {
		t.Error("what a killed program left counts as in use")
	}
}
