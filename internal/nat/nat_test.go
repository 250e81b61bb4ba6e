// SPDX-License-Identifier: BSD-3-Clause

package nat

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var (
	loopback = netip.MustParseAddr("127.0.0.1")
	nobody   = netip.MustParseAddrPort("127.0.0.1:9") // nobody answers there
	none     = func() ([]netip.Addr, error) { return nil, nil }
)

func TestPublicAddresses(t *testing.T) {
	for text, want := range map[string]bool{
		"203.0.113.5": true, "::ffff:203.0.113.5": true, "2001:db8::1": true, "10.1.2.3": false, "192.168.1.1": false, "172.16.0.1": false,
		"100.64.0.1": false, "100.128.0.1": true, "127.0.0.1": false, "169.254.1.1": false, "0.0.0.0": false, "224.0.0.1": false,
		"fd00::1": false, "fe80::1": false, "::1": false, "::ffff:10.0.0.1": false,
	} {
		if IsPublic(netip.MustParseAddr(text)) != want {
			t.Errorf("%s is public: %v", text, !want)
		}
	}
	if IsPublic(netip.Addr{}) {
		t.Error("no address is public")
	}
}

func TestTheGatewayIsReadFromTheRoutes(t *testing.T) {
	const head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	for table, want := range map[string]string{
		head + "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\neth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n": "192.168.1.1",
		head + "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n":                                                               "invalid IP",
		head + "tun0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000080\t0\t0\t0\n":                                                               "invalid IP", // half of everything
		"eth0\t00000000\tzz\t0003\t0\t0\t100\t00000000\n":                                                                                   "invalid IP", "": "invalid IP",
	} {
		if got := gatewayIn(strings.NewReader(table)).String(); got != want {
			t.Errorf("%q: %s", table, got)
		}
	}
}

func TestAPublicAddressNeedsNoRouter(t *testing.T) {
	for _, c := range []struct {
		own  []string
		want string
	}{
		{[]string{"127.0.0.1", "10.0.0.2", "203.0.113.9"}, "203.0.113.9:9240"},
		{[]string{"2001:db8::7", "::ffff:203.0.113.9"}, "203.0.113.9:9240"},
		{[]string{"fe80::1", "192.168.1.2", "2001:db8::7"}, "[2001:db8::7]:9240"}, // those with IPv6 reach it
	} {
		var own []netip.Addr
		for _, a := range c.own {
			own = append(own, netip.MustParseAddr(a))
		}
		m, err := Map(t.Context(), Config{
			Port: 9240, Gateway: loopback, Search: nobody, Timeout: 200 * time.Millisecond,
			Addresses: func() ([]netip.Addr, error) { return own, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Mapping(); got.Method != Public || got.External.String() != c.want {
			t.Errorf("%v: %v", c.own, got)
		}
		m.Release(t.Context())
	}
}

func TestNATPMPMapsRenewsAndReleases(t *testing.T) {
	r := startPMP(t, outside, 2)
	m, err := Map(t.Context(), Config{Port: 9240, Gateway: pmpGateway, Search: nobody, Addresses: none})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.Mapping(), (Mapping{NATPMP, netip.AddrPortFrom(outside, 9240), 2 * time.Second}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if r.at(9240) != 9240 {
		t.Error("the router has no mapping")
	}
	if err := m.Renew(t.Context()); err != nil || r.asked() != 2 {
		t.Errorf("renewal: %v, asked %d times", err, r.asked())
	}
	m.Release(t.Context())
	if r.at(9240) != 0 {
		t.Error("the lease was not released")
	}
}

func TestRunRenewsAndReleases(t *testing.T) {
	r := startPMP(t, outside, 1)
	m, err := Map(t.Context(), Config{Port: 9240, Gateway: pmpGateway, Search: nobody, Addresses: none, Lease: 400 * time.Millisecond, Timeout: 200 * time.Millisecond})
	if err == nil { // NAT-PMP has no leases below a second
		t.Fatal("a lease of no seconds was given")
	}
	m, err = Map(t.Context(), Config{Port: 9240, Gateway: pmpGateway, Search: nobody, Addresses: none, Lease: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	renewed := make(chan struct{})
	r.mu.Lock()
	before := r.adds
	r.answers = func(_, reply []byte) []byte {
		if r.adds > before {
			select {
			case <-renewed:
			default:
				close(renewed)
			}
		}
		return reply
	}
	r.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.Run(ctx, nil)
	}()
	<-renewed
	stop()
	<-ended
	if r.at(9240) != 0 {
		t.Error("the lease was not released")
	}
}

func TestUPnPMapsRenewsAndReleases(t *testing.T) {
	for _, permanent := range []bool{false, true} {
		r, search := startIGD(t, igdConfig{address: outside.String(), permanent: permanent, taken: map[uint16]uint16{9240: 1}})
		m, err := Map(t.Context(), Config{Port: 9240, Gateway: loopback, Search: search, Addresses: none})
		if err != nil {
			t.Fatal(err)
		}
		want := Mapping{UPnP, netip.AddrPortFrom(outside, 9241), DefaultLease}
		if permanent {
			want.Lease = 0
		}
		if got := m.Mapping(); got != want || r.at(9241) != 9240 {
			t.Errorf("%v, want %v", got, want)
		}
		if err := m.Renew(t.Context()); err != nil || m.Mapping() != want || r.asked() != 2 {
			t.Errorf("renewal: %v, %v, asked %d times", err, m.Mapping(), r.asked())
		}
		for _, name := range r.names {
			if strings.Contains(strings.ToLower(name), "chive") || name == "" {
				t.Errorf("the lease is named %q", name)
			}
		}
		m.Release(t.Context())
		if r.at(9241) != 0 || r.at(9240) != 1 {
			t.Error("released too little, or too much")
		}
	}
}

// TestNothingWorks says so, what was tried, and what to do; the error itself has no address.
func TestNothingWorks(t *testing.T) {
	behind, behindSearch := startIGD(t, igdConfig{address: "100.64.3.4"})
	_, odd := startIGD(t, igdConfig{address: "no address"})
	_, elsewhere := startIGD(t, igdConfig{address: outside.String(), location: "http://127.0.0.2:80/root.xml"})
	_, control := startIGD(t, igdConfig{address: outside.String(), control: "http://127.0.0.2:80/control"})
	_, huge := startIGD(t, igdConfig{address: outside.String(), huge: true})
	for _, c := range []struct {
		name   string
		search netip.AddrPort
		cause  Cause
		fix    string
	}{
		{"nobody", nobody, NoAnswer, "Forward TCP port 9240 on your router to this host (127.0.0.1), port 9240, or allow"},
		{"behind another", behindSearch, BehindNAT, "ask it for a public IPv4 address"},
		{"odd", odd, BadAnswer, "Forward TCP port 9240"},
		{"elsewhere", elsewhere, NoAnswer, "Forward TCP port 9240"},
		{"control elsewhere", control, BadAnswer, "Forward TCP port 9240"},
		{"without end", huge, BadAnswer, "Forward TCP port 9240"},
	} {
		_, err := Map(t.Context(), Config{Port: 9240, Gateway: loopback, Search: c.search, Addresses: none, Timeout: 300 * time.Millisecond})
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if e.Causes[UPnP] != c.cause || e.Causes[NATPMP] == "" || e.Causes[Public] != Private {
			t.Errorf("%s: %v", c.name, e.Causes)
		}
		if !strings.Contains(e.Fix(), c.fix) || !strings.Contains(e.Text(), string(c.cause)) || strings.ContainsAny(e.Error(), "0123456789") {
			t.Errorf("%s: %s | %s | %s", c.name, e.Error(), e.Text(), e.Fix())
		}
	}
	if behind.at(9240) != 0 {
		t.Error("a mapping of no use was kept")
	}
}

// TestARouterBehindAnotherIsOfNoUse by NAT-PMP.
func TestARouterBehindAnotherIsOfNoUse(t *testing.T) {
	r := startPMP(t, netip.MustParseAddr("192.168.0.7"), 100)
	_, err := Map(t.Context(), Config{Port: 9240, Gateway: pmpGateway, Search: nobody, Addresses: none, Timeout: 500 * time.Millisecond})
	var e *Error
	if !errors.As(err, &e) || e.Causes[NATPMP] != BehindNAT || r.at(9240) != 0 {
		t.Errorf("%v", err)
	}
}

func TestMapEndsWithItsContext(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := Map(ctx, Config{Port: 9240, Gateway: loopback, Search: nobody, Addresses: none}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
