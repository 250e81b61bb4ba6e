// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"errors"
	"net/netip"
	"testing"
)

func TestAddressListsAreChecked(t *testing.T) {
	for _, test := range []struct {
		name  string
		addrs []netip.AddrPort
		ok    bool
	}{
		{"one", addrs("192.0.2.1:1"), true},
		{"one of IPv6", addrs("[2001:db8::1]:1"), true},
		{"two and two", addrs("192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:1", "[2001:db8::2]:1"), true},
		{"loopback", addrs("127.0.0.1:1"), true},
		{"one address, two ports", addrs("192.0.2.1:1", "192.0.2.1:2"), true},
		{"none", nil, false},
		{"five", addrs("192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1"), false},
		{"three of IPv4", addrs("192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"), false},
		{"three of IPv6", addrs("[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1"), false},
		{"twice", addrs("192.0.2.1:1", "192.0.2.1:1"), false},
		{"port 0", addrs("192.0.2.1:0"), false},
		{"unspecified", addrs("0.0.0.0:1"), false},
		{"unspecified IPv6", addrs("[::]:1"), false},
		{"multicast", addrs("224.0.0.1:1"), false},
		{"mapped", addrs("[::ffff:192.0.2.1]:1"), false},
		{"zoned", addrs("[fe80::1%eth0]:1"), false},
		{"invalid", []netip.AddrPort{{}}, false},
	} {
		err := CheckAddresses(test.addrs)
		if (err == nil) != test.ok || (err != nil && !errors.Is(err, ErrAddress)) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestPublicAddresses(t *testing.T) {
	for text, want := range map[string]bool{
		"1.1.1.1": true, "9.255.255.255": true, "11.0.0.0": true, "100.63.255.255": true, "100.128.0.0": true,
		"172.15.255.255": true, "172.32.0.0": true, "192.0.1.0": true, "223.255.255.255": true,
		"2606:4700::1": true, "2003::1": true, "2001:4860::8888": true,
		"0.1.2.3": false, "10.0.0.1": false, "100.64.0.1": false, "127.0.0.1": false, "169.254.169.254": false,
		"172.16.0.1": false, "192.0.0.8": false, "192.168.1.1": false, "198.18.0.1": false, "192.0.2.1": false,
		"198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"::1": false, "::7f00:1": false, "::ffff:1.1.1.1": false, "64:ff9b::101:101": false, "64:ff9b:1::1": false,
		"100::1": false, "2001::1": false, "2001:db8::1": false, "2002:101:101::1": false, "fc00::1": false,
		"fe80::1": false, "fec0::1": false, "ff02::1": false, "4000::1": false,
	} {
		if got := Public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

func TestNetwork(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7": "192.0.0.0/16", "192.1.2.7": "192.1.0.0/16",
		"2001:db8:1::7": "2001:db8::/32", "2001:db9::": "2001:db9::/32",
	} {
		if got := Network(netip.MustParseAddr(text)); got.String() != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if Network(netip.Addr{}).IsValid() {
		t.Error("no address has a network")
	}
}
