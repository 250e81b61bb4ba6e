// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"chive/directory/record"
)

// Bounds of a policy, far above what an operator writes.
const (
	MaxPolicySize = 64 << 10 // bytes of text
	MaxRuleCount  = 2_048
)

// Policy is an exit policy: rules in order, the first that matches decides, and
// what none matches is rejected. It does not change; the zero value permits
// nothing. Spec: product REL-2.
type Policy struct{ rules []rule }

// A rule accepts or rejects ports of a place.
type rule struct {
	line        int
	accept      bool
	tcp, udp    bool
	place       place
	first, last uint16
}

// place is a set of addresses.
type place struct {
	kind placeKind
	net  netip.Prefix // of kind network
}

type placeKind byte

const (
	everywhere  placeKind = iota // *
	everywhere4                  // *4
	everywhere6                  // *6
	private                      // private: all that is never dialled
	network                      // an address or a network
)

// contains reports whether an unwrapped address is in p.
func (p place) contains(a netip.Addr) bool {
	switch p.kind {
	case everywhere4:
		return a.Is4()
	case everywhere6:
		return a.Is6()
	case private:
		return judgeRange(a) != public
	case network:
		return p.net.Contains(a)
	}
	return true
}

func (p place) String() string {
	switch p.kind {
	case everywhere4:
		return "*4"
	case everywhere6:
		return "*6"
	case private:
		return "private"
	case network:
		text := p.net.String()
		if p.net.IsSingleIP() {
			text = p.net.Addr().String()
		}
		if p.net.Addr().Is6() {
			return "[" + text + "]"
		}
		return text
	}
	return "*"
}

func (r rule) String() string {
	action, protocol := "reject", "any"
	if r.accept {
		action = "accept"
	}
	switch {
	case !r.udp:
		protocol = "tcp"
	case !r.tcp:
		protocol = "udp"
	}
	ports := strconv.Itoa(int(r.first))
	switch {
	case r.first == 1 && r.last == 65535:
		ports = "*"
	case r.first != r.last:
		ports += "-" + strconv.Itoa(int(r.last))
	}
	return action + " " + protocol + " " + r.place.String() + ":" + ports
}

// speaks reports whether the rule is about that protocol of IP.
func (r rule) speaks(protocol byte) bool {
	return protocol == record.TCP && r.tcp || protocol == record.UDP && r.udp
}

// String returns the policy in its one form, a rule a line, which ParsePolicy
// reads back.
func (p *Policy) String() string {
	var b strings.Builder
	for _, r := range p.rules {
		b.WriteString(r.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// Permits reports whether the policy permits a port of an address; protocol is
// record.TCP or record.UDP. IPv4 in IPv6 counts as IPv4. It says nothing about
// addresses that are never dialled.
func (p *Policy) Permits(protocol byte, a netip.Addr, port uint16) bool {
	if !a.IsValid() || a.Zone() != "" || port == 0 {
		return false
	}
	a = unwrap(a)
	for _, r := range p.rules {
		if r.speaks(protocol) && r.first <= port && port <= r.last && r.place.contains(a) {
			return r.accept
		}
	}
	return false
}

// permitsSome reports whether some address could be permitted: if not, its name
// need not be resolved. Port 0 means any port.
func (p *Policy) permitsSome(protocol byte, port uint16) bool {
	for _, r := range p.rules {
		if r.accept && r.speaks(protocol) && (port == 0 || r.first <= port && port <= r.last) {
			return true
		}
	}
	return false
}

// The presets. Spec: product REL-2.
const (
	presetOff = "reject *:*"
	presetWeb = "accept tcp *:80, accept tcp *:443, accept udp *:53, accept udp *:443"
)

var presetReduced = presetWeb +
	tcpPorts(20, 22, 53, 53, 465, 465, 587, 587, 853, 853, 989, 995, 5222, 5223, 6697, 6697, 8333, 8333, 9418, 9418) +
	", accept udp *:123, accept udp *:3478"

func tcpPorts(bounds ...int) string {
	var b strings.Builder
	for ; len(bounds) >= 2; bounds = bounds[2:] {
		fmt.Fprintf(&b, ", accept tcp *:%d-%d", bounds[0], bounds[1])
	}
	return b.String()
}

// Preset returns the policy of that name: off, web or reduced. ok is false for
// any other name, which is then that of a file for ParsePolicy.
func Preset(name string) (p *Policy, ok bool) {
	text, ok := map[string]string{"off": presetOff, "web": presetWeb, "reduced": presetReduced}[name]
	if !ok {
		return nil, false
	}
	p, err := ParsePolicy(text)
	return p, err == nil
}
