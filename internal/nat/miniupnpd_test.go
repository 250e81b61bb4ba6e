// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package nat

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"chive/internal/testutil"
)

// TestMiniupnpd maps, renews and releases at a real router's daemon, in network
// namespaces of its own that lead nowhere.
func TestMiniupnpd(t *testing.T) {
	testutil.BehindRouter(t, 20*time.Second, func(method string) {
		behindRouter(t, map[string]Method{"NAT-PMP": NATPMP, "UPnP": UPnP}[method])
	})
}

// behindRouter is what a relay at home does. The daemon may still be starting.
func behindRouter(t *testing.T, how Method) {
	var m *Mapper
	var err error
	for until := time.Now().Add(10 * time.Second); m == nil && time.Now().Before(until); {
		m, err = Map(t.Context(), Config{Port: 9240, Timeout: time.Second})
	}
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			t.Fatal(e.Text())
		}
		t.Fatal(err)
	}
	got := m.Mapping()
	if got.Method != how || got.External != netip.MustParseAddrPort(testutil.RouterAddress+":9240") || got.Lease <= 0 {
		t.Errorf("%+v", got)
	}
	if err := m.Renew(t.Context()); err != nil {
		t.Errorf("renewal: %v", err)
	}
	m.Release(t.Context())
	// Another one may have the port now, so it was released.
	other, err := Map(t.Context(), Config{Port: 9241, External: 9240, Timeout: time.Second})
	if err != nil || other.Mapping().External.Port() != 9240 {
		t.Fatalf("after the release: %v", err)
	}
	other.Release(t.Context())
}
