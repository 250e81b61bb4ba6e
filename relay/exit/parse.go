// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"net/netip"
	"strconv"
	"strings"
)

// PolicyError says what is wrong with a policy and how to put it right. It is
// for the operator whose policy it is, not for a log: it holds the rule.
type PolicyError struct {
	Line    int    // from 1
	Rule    string // the rule as written, shortened to maxShownSize bytes
	Problem string
	Fix     string
}

// maxShownSize bounds the part of a rule that an error shows, in bytes.
const maxShownSize = 80

// Error gives line, rule, problem and fix.
func (e *PolicyError) Error() string {
	return "exit: policy line " + strconv.Itoa(e.Line) + ", rule " + strconv.Quote(e.Rule) + ": " + e.Problem + "; " + e.Fix
}

// fault is a PolicyError without its place.
type fault struct{ problem, fix string }

const grammarFix = "write it like: accept tcp *:443"

// ParsePolicy reads a policy: rules in lines or separated by commas, "#" begins
// a comment.
//
//	rule  = ("accept"|"reject") ["tcp"|"udp"|"any"] addr ":" ports
//	ports = "*" | n | n "-" n
//	addr  = "*" | "*4" | "*6" | "private" | IPv4["/"bits] | "[" IPv6["/"bits] "]"
//
// Without a protocol, accept means TCP and reject means both. Error: *PolicyError.
// Spec: product REL-2.
func ParsePolicy(text string) (*Policy, error) {
	if len(text) > MaxPolicySize {
		return nil, &PolicyError{Line: 1, Problem: "the policy is longer than 64 KiB", Fix: "write networks instead of single addresses"}
	}
	p := new(Policy)
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, "#")
		for written := range strings.SplitSeq(line, ",") {
			written = strings.TrimSpace(written)
			if written == "" {
				continue
			}
			r, bad := parseRule(written)
			if bad == nil && len(p.rules) == MaxRuleCount {
				bad = &fault{"the policy has more than 2048 rules", "write networks instead of single addresses"}
			}
			if bad != nil {
				return nil, &PolicyError{Line: number, Rule: written[:min(len(written), maxShownSize)], Problem: bad.problem, Fix: bad.fix}
			}
			r.line = number
			p.rules = append(p.rules, r)
		}
	}
	return p, nil
}

func parseRule(written string) (rule, *fault) {
	words := strings.Fields(written)
	var r rule
	switch words[0] {
	case "accept":
		r.accept, r.tcp = true, true
	case "reject":
		r.tcp, r.udp = true, true
	default:
		if _, err := strconv.Atoi(words[0]); err == nil {
			return r, &fault{"a port stands alone", "write one rule for each port: accept tcp *:80, accept tcp *:443"}
		}
		return r, &fault{"a rule begins with accept or reject", grammarFix}
	}
	words = words[1:]
	if len(words) == 2 {
		switch words[0] {
		case "tcp":
			r.tcp, r.udp = true, false
		case "udp":
			r.tcp, r.udp = false, true
		case "any":
			r.tcp, r.udp = true, true
		default:
			return r, &fault{"there is no such protocol", "write tcp, udp or any, or leave it out"}
		}
		words = words[1:]
	}
	if len(words) != 1 {
		if len(words) > 1 {
			return r, &fault{"the rule has too many words", grammarFix + ", with no space around the colon"}
		}
		return r, &fault{"the rule has no address and port", grammarFix}
	}
	colon := strings.LastIndexByte(words[0], ':')
	if colon < 0 || strings.LastIndexByte(words[0], ']') > colon {
		return r, &fault{"the rule has no port", "add one, as in *:80, *:8000-8100 or *:*"}
	}
	var bad *fault
	if r.place, bad = parsePlace(words[0][:colon]); bad != nil {
		return r, bad
	}
	r.first, r.last, bad = parsePorts(words[0][colon+1:])
	return r, bad
}

func parsePlace(s string) (place, *fault) {
	switch s {
	case "*":
		return place{kind: everywhere}, nil
	case "*4":
		return place{kind: everywhere4}, nil
	case "*6":
		return place{kind: everywhere6}, nil
	case "private":
		return place{kind: private}, nil
	}
	inner, bracketed := s, false
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		inner, bracketed = s[1:len(s)-1], true
	}
	text, bitsText, hasBits := strings.Cut(inner, "/")
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return place{}, &fault{"that is no address", "write *, *4, *6, private, 192.0.2.0/24 or [2001:db8::/32]; names are not possible"}
	case a.Zone() != "":
		return place{}, &fault{"an address with a zone is not public", "leave out the part from % on"}
	case a.Is4() && bracketed:
		return place{}, &fault{"IPv4 stands without brackets", "write 192.0.2.0/24"}
	case a.Is6() && !bracketed:
		return place{}, &fault{"IPv6 stands in brackets, the bits too", "write [2001:db8::/32]"}
	case unwrap(a) != a:
		return place{}, &fault{"IPv4 inside IPv6 is judged as IPv4", "write the IPv4 address"}
	}
	bits := a.BitLen()
	if hasBits {
		bits, err = strconv.Atoi(bitsText)
		if err != nil || bits < 0 || bits > a.BitLen() || strconv.Itoa(bits) != bitsText {
			return place{}, &fault{"that is no prefix length", "write /0 to /32 for IPv4, /0 to /128 for IPv6"}
		}
	}
	p := netip.PrefixFrom(a, bits)
	if p.Masked() != p {
		return place{}, &fault{"the address has bits outside its network", "write " + place{network, p.Masked()}.String()}
	}
	return place{network, p}, nil
}

func parsePorts(s string) (first, last uint16, bad *fault) {
	if s == "*" {
		return 1, 65535, nil
	}
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	first, ok1 := parsePort(from)
	last, ok2 := parsePort(to)
	switch {
	case !ok1 || !ok2:
		return 0, 0, &fault{"that is no port", "write *, one port from 1 to 65535, or a range as in 8000-8100"}
	case first > last:
		return 0, 0, &fault{"the range runs backwards", "write " + to + "-" + from}
	}
	return first, last, nil
}

func parsePort(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && n != 0 && strconv.FormatUint(n, 10) == s
}
