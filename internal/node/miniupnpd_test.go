// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package node

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"chive/internal/nat"
	"chive/internal/testutil"
)

// TestARelayBehindMiniupnpd starts a relay behind a real router's daemon, in network
// namespaces of its own that lead nowhere. Spec: REL-8.
func TestARelayBehindMiniupnpd(t *testing.T) {
	testutil.BehindRouter(t, 40*time.Second, func(method string) { relayBehindRouter(t, method) })
}

// relayBehindRouter starts a relay and ends it. The daemon may still be starting.
func relayBehindRouter(t *testing.T, how string) {
	dir, doc := homeless(t)
	until := time.Now().Add(15 * time.Second)
	for {
		ctx, stop := context.WithCancel(t.Context())
		ready, told := make(chan RelayReady, 1), make(chan string, 64)
		ended := make(chan error, 1)
		o := RelayOptions{
			State: dir, Genesis: doc, Listen: "0.0.0.0:9240", Drain: -1, NAT: &NATOptions{nat.Config{Timeout: time.Second}, true},
			Ready: func(r RelayReady) { ready <- r }, Tell: func(text string) { told <- text },
		}
		go func() { ended <- RunRelay(ctx, o) }()
		select {
		case r := <-ready:
			if len(r.Published) != 1 || r.Published[0] != netip.MustParseAddrPort(testutil.RouterAddress+":9240") {
				t.Errorf("%+v", r)
			}
			<-told // that the router is asked
			if text := <-told; text != "The router forwards "+testutil.RouterAddress+":9240 to this machine ("+how+")." {
				t.Error(text)
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			// Another one may have the port now, so it was released.
			other, err := nat.Map(t.Context(), nat.Config{Port: 9241, External: 9240, Timeout: time.Second})
			if err != nil || other.Mapping().External.Port() != 9240 {
				t.Fatalf("after the release: %v", err)
			}
			other.Release(t.Context())
			return
		case err := <-ended:
			stop()
			if time.Now().After(until) {
				t.Fatal(err)
			}
		}
	}
}
