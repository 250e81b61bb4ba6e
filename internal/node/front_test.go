// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"chive/internal/config"
)

// TestPlacesCanBeDialled holds that what the status says of listeners is an address,
// whatever they are called: chive env, nc and run dial it.
func TestPlacesCanBeDialled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	f, err := OpenFront(FrontOptions{Socks: SocksOptions{Named: []config.Listener{
		{Name: "browser", Address: "127.0.0.1:0"}, {Name: "mail", Address: config.Address("unix:" + path)},
		{Name: "unix:" + path + "2", Address: config.Address("unix:" + path + "2")},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	places := f.Places()
	if len(places) != 3 || places[0].Text != "Listener browser." || places[1].Text != "Listener mail." || places[2].Text != "" {
		t.Errorf("the listeners are shown as %+v", places)
	}
	for _, p := range places {
		network, address := "tcp", p.Address
		if at, isUnix := strings.CutPrefix(p.Address, unixPrefix); isUnix {
			network, address = "unix", at
		}
		c, err := net.Dial(network, address)
		if err != nil {
			t.Errorf("nobody can dial %s", p.Address)
			continue
		}
		_ = c.Close()
	}
}
