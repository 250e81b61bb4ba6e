// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"os"
	"strings"
	"testing"
)

// vectors reads testdata/vectors/socks.txt.
func vectors(t testing.TB) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors/socks.txt")
	if err != nil {
		t.Fatal(err)
	}
	m := map[string][]byte{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, " = ")
		b, err := hex.DecodeString(value)
		if !ok || err != nil {
			t.Fatalf("bad line for %q", name)
		}
		m[name] = b
	}
	return m
}

func TestVectorsDecodeAsWritten(t *testing.T) {
	v := vectors(t)
	doc, six := netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("2001:db8::1")
	for name, want := range map[string]socks4Request{
		"socks4_connect":  {1, address{ip: doc, port: 80}, "joe"},
		"socks4a_connect": {1, address{name: "Example.COM.", port: 443}, "joe"},
		"socks4a_resolve": {0xF0, address{name: "example.com"}, ""},
	} {
		got, n, err := parseSOCKS4(v[name])
		if err != nil || n != len(v[name]) || got != want {
			t.Errorf("%s: %+v, %d, %v", name, got, n, err)
		}
	}
	for name, want := range map[string]socks5Request{
		"socks5_connect_name": {1, address{name: "example.com", port: 443}, false},
		"socks5_connect_ipv4": {1, address{ip: doc, port: 80}, false},
		"socks5_connect_ipv6": {1, address{ip: six, port: 80}, false},
		"socks5_associate":    {3, address{ip: netip.IPv4Unspecified()}, false},
		"socks5_resolve":      {0xF0, address{name: "example.com"}, false},
		"socks5_resolve_ptr":  {0xF1, address{ip: doc}, false},
	} {
		got, n, err := parseSOCKS5(v[name])
		if err != nil || n != len(v[name]) || got != want {
			t.Errorf("%s: %+v, %d, %v", name, got, n, err)
		}
	}
	for name, want := range map[string]address{
		"udp_name": {name: "example.com", port: 53},
		"udp_ipv4": {ip: doc, port: 443},
	} {
		got, n, err := parseUDPHeader(v[name])
		if err != nil || string(v[name][n:]) != "payload" || got != want {
			t.Errorf("%s: %+v, %d, %v", name, got, n, err)
		}
	}
	if _, _, err := parseUDPHeader(v["udp_fragment"]); err != errMalformed {
		t.Errorf("fragment: %v", err)
	}
	if methods, _, err := parseGreeting(v["socks5_greeting"]); err != nil || !bytes.Equal(methods, []byte{0, 1, 2}) {
		t.Errorf("greeting: % x, %v", methods, err)
	}
	if c, _, err := parseUserPass(v["socks5_userpass"]); err != nil || c != (credentials{user: "user", password: "pass"}) {
		t.Errorf("user and password: %v", err)
	}
	for name, got := range map[string][]byte{
		"socks4_granted":       appendSOCKS4Reply(nil, 90, netip.Addr{}),
		"socks4_resolved":      appendSOCKS4Reply(nil, 90, netip.MustParseAddr("192.0.2.7")),
		"socks4_refused":       appendSOCKS4Reply(nil, 91, netip.Addr{}),
		"socks5_reply_ok":      appendSOCKS5Reply(nil, 0, address{}),
		"socks5_reply_refused": appendSOCKS5Reply(nil, 5, address{}),
		"socks5_reply_name":    appendSOCKS5Reply(nil, 0, address{name: "example.com"}),
	} {
		if !bytes.Equal(got, v[name]) {
			t.Errorf("%s: % x", name, got)
		}
	}
}
