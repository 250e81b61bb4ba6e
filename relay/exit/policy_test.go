// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"chive/directory/record"
)

func TestPoliciesAreReadAndWritten(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"# nothing\n\n , ,\n", ""},
		{"accept *:80", "accept tcp *:80\n"},
		{"reject *:80", "reject any *:80\n"},
		{"accept tcp *:80", "accept tcp *:80\n"},
		{"accept udp *:53", "accept udp *:53\n"},
		{"reject udp *:53", "reject udp *:53\n"},
		{"accept any *:*", "accept any *:*\n"},
		{"accept *:1-65535", "accept tcp *:*\n"},
		{"accept *:80-80", "accept tcp *:80\n"},
		{"accept *:1-2", "accept tcp *:1-2\n"},
		{"accept *4:80", "accept tcp *4:80\n"},
		{"accept *6:80", "accept tcp *6:80\n"},
		{"reject private:*", "reject any private:*\n"},
		{"accept 1.2.3.4:80", "accept tcp 1.2.3.4:80\n"},
		{"accept 1.2.3.4/32:80", "accept tcp 1.2.3.4:80\n"},
		{"accept 1.2.0.0/16:80", "accept tcp 1.2.0.0/16:80\n"},
		{"accept 0.0.0.0/0:80", "accept tcp 0.0.0.0/0:80\n"},
		{"accept [2606::1]:80", "accept tcp [2606::1]:80\n"},
		{"accept [2606:0:0::/32]:80", "accept tcp [2606::/32]:80\n"},
		{"accept [::/0]:80", "accept tcp [::/0]:80\n"},
		{"  accept\ttcp   *:80 # web\r\nreject *:*", "accept tcp *:80\nreject any *:*\n"},
		{"accept tcp *:80, accept tcp *:443,", "accept tcp *:80\naccept tcp *:443\n"},
	} {
		p, err := ParsePolicy(test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		if got := p.String(); got != test.want {
			t.Errorf("%q reads as %q, want %q", test.text, got, test.want)
		}
		again, err := ParsePolicy(p.String())
		if err != nil || again.String() != p.String() {
			t.Errorf("%q does not come back: %v", test.text, err)
		}
	}
}

func TestPolicyErrorsNameLineRuleAndFix(t *testing.T) {
	for _, test := range []struct {
		text         string
		line         int
		rule         string
		problem, fix string // parts
	}{
		{"accpet *:80", 1, "accpet *:80", "begins with", "accept tcp *:443"},
		{"accept *:80\n\nACCEPT *:81", 3, "ACCEPT *:81", "begins with", ""},
		{"accept *:80,443", 1, "443", "port stands alone", "one rule for each port"},
		{"accept", 1, "accept", "no address", ""},
		{"accept tcp", 1, "accept tcp", "no port", "*:80"},
		{"accept icmp *:80", 1, "accept icmp *:80", "no such protocol", "tcp, udp or any"},
		{"accept tcp *: 80", 1, "accept tcp *: 80", "too many words", "colon"},
		{"accept tcp * : 80", 1, "accept tcp * : 80", "too many words", ""},
		{"accept *", 1, "accept *", "no port", ""},
		{"accept [2606::1]", 1, "accept [2606::1]", "no port", ""},
		{"accept *:", 1, "accept *:", "no port", "1 to 65535"},
		{"accept :80", 1, "accept :80", "no address", "names are not possible"},
		{"accept example.com:80", 1, "accept example.com:80", "no address", "names are not possible"},
		{"accept *5:80", 1, "accept *5:80", "no address", ""},
		{"accept 1.2.3:80", 1, "accept 1.2.3:80", "no address", ""},
		{"accept 1.2.3.04:80", 1, "accept 1.2.3.04:80", "no address", ""},
		{"accept 2606::1:80", 1, "accept 2606::1:80", "in brackets", "[2001:db8::/32]"},
		{"accept [2606::1]/32:80", 1, "accept [2606::1]/32:80", "no address", ""},
		{"accept [1.2.3.4]:80", 1, "accept [1.2.3.4]:80", "without brackets", ""},
		{"accept [fe80::1%eth0]:80", 1, "accept [fe80::1%eth0]:80", "zone", "%"},
		{"accept [::ffff:1.2.3.4]:80", 1, "accept [::ffff:1.2.3.4]:80", "judged as IPv4", ""},
		{"accept [64:ff9b::/96]:80", 1, "accept [64:ff9b::/96]:80", "judged as IPv4", ""},
		{"accept 1.2.3.4/33:80", 1, "accept 1.2.3.4/33:80", "prefix length", "/32"},
		{"accept 1.2.3.4/:80", 1, "accept 1.2.3.4/:80", "prefix length", ""},
		{"accept 1.0.0.0/08:80", 1, "accept 1.0.0.0/08:80", "prefix length", ""},
		{"accept 1.0.0.0/-1:80", 1, "accept 1.0.0.0/-1:80", "prefix length", ""},
		{"accept [2606::/129]:80", 1, "accept [2606::/129]:80", "prefix length", ""},
		{"accept 1.2.3.4/8:80", 1, "accept 1.2.3.4/8:80", "bits outside", "write 1.0.0.0/8"},
		{"accept [2606::1/32]:80", 1, "accept [2606::1/32]:80", "bits outside", "write [2606::/32]"},
		{"accept *:0", 1, "accept *:0", "no port", ""},
		{"accept *:65536", 1, "accept *:65536", "no port", ""},
		{"accept *:080", 1, "accept *:080", "no port", ""},
		{"accept *:80-", 1, "accept *:80-", "no port", ""},
		{"accept *:-80", 1, "accept *:-80", "no port", ""},
		{"accept *:1-2-3", 1, "accept *:1-2-3", "no port", ""},
		{"accept *:http", 1, "accept *:http", "no port", ""},
		{"accept *:90-80", 1, "accept *:90-80", "backwards", "write 80-90"},
		{"x" + strings.Repeat("y", 500), 1, "x" + strings.Repeat("y", maxShownSize-1), "begins with", ""},
		{strings.Repeat("#", MaxPolicySize+1), 1, "", "64 KiB", "networks"},
		{strings.Repeat("accept *:80\n", MaxRuleCount+1), MaxRuleCount + 1, "accept *:80", "2048 rules", "networks"},
	} {
		_, err := ParsePolicy(test.text)
		var bad *PolicyError
		if !errors.As(err, &bad) {
			t.Errorf("%.40q: no error", test.text)
			continue
		}
		if bad.Line != test.line || bad.Rule != test.rule || !strings.Contains(bad.Problem, test.problem) || !strings.Contains(bad.Fix, test.fix) || bad.Fix == "" {
			t.Errorf("%.40q: %v", test.text, err)
		}
		for _, part := range []string{bad.Problem, bad.Fix} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("the text lacks %q: %v", part, err)
			}
		}
	}
}

func TestPolicyBoundsAreMet(t *testing.T) {
	if _, err := ParsePolicy(strings.Repeat("#", MaxPolicySize)); err != nil {
		t.Error(err)
	}
	if p, err := ParsePolicy(strings.Repeat("reject *:1\n", MaxRuleCount)); err != nil || len(p.rules) != MaxRuleCount {
		t.Error(err)
	}
}

// Spec: EXIT-1.
func TestFirstMatchDecidesAndTheRestIsRejected(t *testing.T) {
	p := mustPolicy(t, `
		reject 8.8.8.8:53
		accept any 8.8.0.0/16:53
		accept tcp *4:80-90
		reject *6:443
		accept any *:443
		accept [2606::/16]:22
		accept private:7
		reject *:*
		accept any *:9`)
	for _, test := range []struct {
		protocol byte
		addr     string
		port     uint16
		want     bool
	}{
		{record.TCP, "8.8.8.8", 53, false},
		{record.UDP, "8.8.8.8", 53, false},
		{record.UDP, "8.8.8.9", 53, true},
		{record.TCP, "::ffff:8.8.8.9", 53, true},
		{record.TCP, "64:ff9b::808:809", 53, true},
		{record.TCP, "::ffff:8.8.8.8", 53, false},
		{record.UDP, "8.9.0.0", 53, false},
		{record.TCP, "1.1.1.1", 79, false},
		{record.TCP, "1.1.1.1", 80, true},
		{record.TCP, "1.1.1.1", 90, true},
		{record.TCP, "1.1.1.1", 91, false},
		{record.UDP, "1.1.1.1", 85, false},
		{record.TCP, "2606::1", 85, false},
		{record.TCP, "2606::1", 443, false},
		{record.UDP, "1.1.1.1", 443, true},
		{record.TCP, "2606::1", 22, true},
		{record.UDP, "2606::1", 22, false},
		{record.TCP, "2607::1", 22, false},
		{record.TCP, "10.0.0.1", 7, true}, // the judge refuses it below
		{record.TCP, "11.0.0.1", 7, false},
		{record.TCP, "1.1.1.1", 9, false},
		{record.TCP, "1.1.1.1", 0, false},
		{1, "1.1.1.1", 443, false},
	} {
		if got := p.Permits(test.protocol, netip.MustParseAddr(test.addr), test.port); got != test.want {
			t.Errorf("%d %s %d: %v, want %v", test.protocol, test.addr, test.port, got, test.want)
		}
	}
	if p.Permits(record.TCP, netip.Addr{}, 443) || p.Permits(record.TCP, netip.MustParseAddr("fe80::1%a"), 443) {
		t.Error("no address, or one with a zone, is permitted")
	}
	if new(Policy).Permits(record.TCP, netip.MustParseAddr("1.1.1.1"), 443) {
		t.Error("the empty policy permits something")
	}
}

func TestPresetsAreThoseOfTheSpecification(t *testing.T) {
	tcp := func(first, last uint16) record.PortRange {
		return record.PortRange{Protocol: 6, First: first, Last: last}
	}
	udp := func(port uint16) record.PortRange {
		return record.PortRange{Protocol: 17, First: port, Last: port}
	}
	for name, want := range map[string][]record.PortRange{
		"off": nil,
		"web": {tcp(80, 80), tcp(443, 443), udp(53), udp(443)},
		"reduced": {
			tcp(20, 22), tcp(53, 53), tcp(80, 80), tcp(443, 443), tcp(465, 465), tcp(587, 587), tcp(853, 853), tcp(989, 995),
			tcp(5222, 5223), tcp(6697, 6697), tcp(8333, 8333), tcp(9418, 9418), udp(53), udp(123), udp(443), udp(3478),
		},
	} {
		p, ok := Preset(name)
		if !ok {
			t.Fatalf("no preset %s", name)
		}
		wantSummary(t, p, want)
		if hidden := p.Hidden(); len(hidden) != 0 {
			t.Errorf("%s hides %v", name, hidden)
		}
		if p.Permits(record.TCP, netip.MustParseAddr("1.1.1.1"), 25) {
			t.Errorf("%s permits port 25", name)
		}
	}
	for _, name := range []string{"", "Web", "all", "/etc/chive/exit"} {
		if _, ok := Preset(name); ok {
			t.Errorf("%q is a preset", name)
		}
	}
}

func FuzzPolicy(f *testing.F) {
	for _, text := range []string{
		"", presetOff, presetWeb, presetReduced, "accept *:80\nreject private:*\naccept any [2606::/16]:1-65535",
		"reject 8.8.0.0/16:25, accept 8.8.8.0/24:*, accept any *4:1-100 # x", "accept *:443-80", "reject udp *6:53,,accept tcp 1.2.3.4/32:5",
		"accept [::ffff:1.2.3.4]:80", "accept 300.1.1.1:80", "\x00", "accept tcp *:99999", "accept *:80-90, reject *:85, accept *:*",
	} {
		f.Add(text)
	}
	samples := addrs("8.8.8.8", "1.1.1.1", "10.0.0.1", "223.255.255.255", "2606:4700::1111", "2001:200::1", "3ffe::1", "::1", "64:ff9b::808:808")
	ports := []uint16{0, 1, 22, 53, 80, 85, 443, 65535}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 2_000 { // longer ones only repeat
			return
		}
		p, err := ParsePolicy(text)
		if err != nil {
			var bad *PolicyError
			if !errors.As(err, &bad) || bad.Line < 1 || bad.Fix == "" || bad.Problem == "" {
				t.Fatalf("an error without line or fix: %v", err)
			}
			return
		}
		again, err := ParsePolicy(p.String())
		if err != nil || again.String() != p.String() {
			t.Fatalf("%q does not come back: %v", p.String(), err)
		}
		summary := p.Summary()
		if err := record.CheckPolicy(summary); err != nil {
			t.Fatalf("no descriptor would carry %v", summary)
		}
		for _, protocol := range protocols {
			for _, r := range summary {
				ports = append(ports[:8], r.First, r.Last)
			}
			for _, port := range ports {
				for _, a := range samples {
					permits := p.Permits(protocol, a, port)
					if permits != again.Permits(protocol, a, port) {
						t.Fatalf("%q means something else when read again", p.String())
					}
					if permits && !p.permitsSome(protocol, port) {
						t.Fatalf("port %d is permitted and refused unresolved", port)
					}
					if !permits && judgeRange(unwrap(a)) == public && record.Permits(summary, protocol, port) {
						t.Fatalf("the summary promises port %d of %v", port, a)
					}
				}
			}
		}
	})
}
