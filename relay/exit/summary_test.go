// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"chive/directory/record"
)

func wantSummary(t *testing.T, p *Policy, want []record.PortRange) {
	t.Helper()
	got := p.Summary()
	if !slices.Equal(got, want) {
		t.Errorf("summary %v, want %v", got, want)
	}
	if err := record.CheckPolicy(got); err != nil {
		t.Errorf("no descriptor would carry %v", got)
	}
}

func TestSummaryHoldsWhatIsOpenToAll(t *testing.T) {
	tcp := func(first, last uint16) record.PortRange {
		return record.PortRange{Protocol: record.TCP, First: first, Last: last}
	}
	udp := func(first, last uint16) record.PortRange {
		return record.PortRange{Protocol: record.UDP, First: first, Last: last}
	}
	for _, test := range []struct {
		text   string
		want   []record.PortRange
		hidden []string
	}{
		{"accept any *:*", []record.PortRange{tcp(1, 65535), udp(1, 65535)}, nil},
		{"reject *:25, accept *:20-30", []record.PortRange{tcp(20, 24), tcp(26, 30)}, nil},
		{"accept *:80, accept *:81, accept *:79", []record.PortRange{tcp(79, 81)}, nil},
		{"accept *4:80, accept *6:80", []record.PortRange{tcp(80, 80)}, nil},
		{"accept *4:80-90, accept *6:85-95", []record.PortRange{tcp(85, 90)},
			[]string{"accept tcp *4:80-90: " + HiddenNarrow, "accept tcp *6:85-95: " + HiddenNarrow}},
		{"accept *4:80", nil, []string{"accept tcp *4:80: " + HiddenNarrow}},
		{"accept 0.0.0.0/0:80, accept [::/0]:80", []record.PortRange{tcp(80, 80)}, nil},
		{"accept 0.0.0.0/0:80, accept [2000::/3]:80", []record.PortRange{tcp(80, 80)}, nil},
		{"accept 0.0.0.0/1:80, accept 128.0.0.0/1:80, accept *6:80", []record.PortRange{tcp(80, 80)}, nil},
		{"reject private:*, accept *:80", []record.PortRange{tcp(80, 80)}, nil},
		{"reject 10.0.0.0/8:*, reject [fc00::/7]:*, reject 127.0.0.1:*, accept *:80", []record.PortRange{tcp(80, 80)}, nil},
		{"accept *:80, reject 8.8.8.8:80", []record.PortRange{tcp(80, 80)}, nil},
		{"reject 8.8.8.8:80, accept *:80-81", []record.PortRange{tcp(81, 81)}, []string{"accept tcp *:80-81: " + HiddenNarrow}},
		{"reject 8.8.8.8:80, accept 8.8.8.0/24:80, accept 8.8.8.8:80, accept *:443", []record.PortRange{tcp(443, 443)},
			[]string{"accept tcp 8.8.8.0/24:80: " + HiddenNarrow}},
		{"accept 8.8.8.8:80, reject 8.8.8.8:80, accept *:80", []record.PortRange{tcp(80, 80)}, nil},
		{"accept private:80, accept 10.0.0.0/8:81, accept [::1]:82, accept udp *:53", []record.PortRange{udp(53, 53)},
			[]string{"accept tcp private:80: " + HiddenNever, "accept tcp 10.0.0.0/8:81: " + HiddenNever, "accept tcp [::1]:82: " + HiddenNever}},
		{"reject *:*, accept *:80", nil, nil},
	} {
		p := mustPolicy(t, test.text)
		wantSummary(t, p, test.want)
		var hidden []string
		for _, h := range p.Hidden() {
			hidden = append(hidden, h.Rule+": "+h.Why)
		}
		if !slices.Equal(hidden, test.hidden) {
			t.Errorf("%s: hidden %q, want %q", test.text, hidden, test.hidden)
		}
	}
}

func TestSummaryKeepsTheWidest(t *testing.T) {
	for count := 39; count <= 41; count++ {
		var b strings.Builder
		for i := range count {
			first := 1000 * (i + 1)
			fmt.Fprintf(&b, "accept *:%d-%d\n", first, first+100+i) // later ones are wider
		}
		p := mustPolicy(t, b.String())
		summary, hidden := p.Summary(), p.Hidden()
		if len(summary) != min(count, record.MaxPolicyCount) {
			t.Errorf("%d ranges give %d", count, len(summary))
		}
		if count <= 40 {
			if len(hidden) != 0 {
				t.Errorf("%d ranges hide %v", count, hidden)
			}
			continue
		}
		if len(hidden) != 1 || hidden[0].Line != 1 || hidden[0].Why != HiddenBeyond {
			t.Errorf("%d ranges hide %v", count, hidden)
		}
		if record.Permits(summary, record.TCP, 1000) || !record.Permits(summary, record.TCP, 2000) {
			t.Error("not the narrowest went")
		}
	}
}

// TestSummaryAgreesWithCounting compares the summary with a model that asks the
// policy about each of a small world's addresses.
func TestSummaryAgreesWithCounting(t *testing.T) {
	// The world: sixteen /12 of 8.0.0.0/8, one address outside, two of IPv6.
	world := addrs("1.1.1.1", "2606::1", "2a00::1")
	places := []string{"*", "*4", "*6", "private", "8.0.0.0/8", "[2606::/16]", "10.0.0.0/8"}
	for i := range 16 {
		world = append(world, netip.AddrFrom4([4]byte{8, byte(i << 4), 1, 1}))
		places = append(places, fmt.Sprintf("8.%d.0.0/12", i<<4))
	}
	places = append(places, "8.0.0.0/9", "8.128.0.0/9", "8.64.0.0/10")
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		for range rapid.IntRange(0, 12).Draw(t, "rules") {
			first := rapid.IntRange(1, 8).Draw(t, "first")
			last := rapid.IntRange(first, 9).Draw(t, "last")
			fmt.Fprintf(&b, "%s %s %s:%d-%d\n",
				rapid.SampledFrom([]string{"accept", "reject"}).Draw(t, "action"),
				rapid.SampledFrom([]string{"tcp", "udp", "any"}).Draw(t, "protocol"),
				rapid.SampledFrom(places).Draw(t, "place"), first, last)
		}
		p, err := ParsePolicy(b.String())
		if err != nil {
			t.Fatal(err)
		}
		summary := p.Summary()
		shown := len(p.Hidden()) == 0
		for _, protocol := range protocols {
			for port := uint16(1); port <= 10; port++ {
				all, some := true, false
				for _, a := range world {
					permits := p.Permits(protocol, a, port)
					all, some = all && permits, some || permits
				}
				if listed := record.Permits(summary, protocol, port); listed != all {
					t.Fatalf("port %d of %d: listed %v, open to all %v, in\n%s", port, protocol, listed, all, p)
				}
				if some && !all && shown {
					t.Fatalf("port %d of %d is hidden from clients and no rule is named, in\n%s", port, protocol, p)
				}
			}
		}
	})
}

// TestManyNarrowRejectsCloseTheirPorts is also the kind of policy whose summary
// costs most: the time grows with the square of the rules.
func TestManyNarrowRejectsCloseTheirPorts(t *testing.T) {
	const count = 300
	var b strings.Builder
	for i := range count {
		fmt.Fprintf(&b, "reject %d.%d.0.0/16:%d\n", 1+i/256, i%256, 1+i)
	}
	b.WriteString("accept *:*")
	p := mustPolicy(t, b.String())
	wantSummary(t, p, []record.PortRange{{Protocol: record.TCP, First: count + 1, Last: 65535}})
	if hidden := p.Hidden(); len(hidden) != 1 || hidden[0].Line != count+1 || hidden[0].Why != HiddenNarrow {
		t.Errorf("hidden %v", hidden)
	}
}
