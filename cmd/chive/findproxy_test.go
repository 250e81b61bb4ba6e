// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"testing"

	"chive/internal/control"
	"chive/internal/node"
)

// TestTheProxyIsTheAskedClients (product CLI-10): a port before a path, and no other's port
// where the client that answered has none.
func TestTheProxyIsTheAskedClients(t *testing.T) {
	s := &control.Status{Listeners: []control.Listener{
		{Kind: "web", Address: "http://127.0.0.1:1/"}, {Kind: "socks", Address: "unix:/s"}, {Kind: "socks", Address: "127.0.0.1:2"},
	}}
	if p, err := proxyOf(node.ControlSocket{}, s); err != nil || p.name != "127.0.0.1:2" || !p.asked {
		t.Errorf("%+v, %v", p, err)
	}
	_, err := proxyOf(node.ControlSocket{}, &control.Status{})
	var f *node.Fault
	if !errors.As(err, &f) || f.Code != "no_proxy" || f.Kind != node.Unreachable {
		t.Errorf("%v", err)
	}
}
