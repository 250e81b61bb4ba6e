// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"chive/internal/nat"
)

// TestALateRelayThatCannotStartFollowsNothing (CFG-4, REL-8): the client goes on without it,
// and what is read again then opens no port for it, and is not said to be in force.
func TestALateRelayThatCannotStartFollowsNothing(t *testing.T) {
	w := found(t, 3, nil)
	w.sign(t)
	dir, socks, taken, other := w.dir+"/late", freePort(t), freePort(t), freePort(t)
	port := netip.MustParseAddrPort(freePort(t)).Port()
	base := "web.listen = \"off\"\nclient.socks = [\"" + socks + "\"]\n"
	var text written
	e := text.effect(t, base+"relay.metrics.listen = \""+taken+"\"\n")
	l, err := metricsListener(taken)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	told, ended := make(chan string, 1024), make(chan error, 1)
	tell := func(text string) { told <- text }
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	o := UpOptions{
		Client: ClientOptions{State: dir, Genesis: w.doc, Socks: SocksOptions{Addrs: []string{socks}}, Tell: tell, Effect: e},
		Relay: &RelayOptions{
			State: dir, Genesis: w.doc, Listen: netip.AddrPortFrom(netip.IPv4Unspecified(), port).String(), Make: true, Drain: -1, Effect: e, Metrics: taken,
			NAT:      &NATOptions{nat.Config{Gateway: natGateway, Search: nobodyThere, Addresses: noInterfaces, Timeout: 200 * time.Millisecond}, true},
			AskAgain: 20 * time.Millisecond, Tell: tell,
		},
		Without: func(*Fault) { told <- "without" },
	}
	go func() { ended <- RunUp(ctx, o) }()
	hears(t, told, ended, "without")
	startRouter(t, "203.0.113.5", 3600)
	hears(t, told, ended, "it cannot start")
	text.reload(t, e, base+"relay.nickname = \"oak\"\nrelay.metrics.listen = \""+other+"\"\n", "", "")
	if l, err := metricsListener(other); err != nil {
		t.Errorf("a port was opened for it: %v", err)
	} else {
		_ = l.Close()
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
