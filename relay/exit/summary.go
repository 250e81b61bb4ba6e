// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"net/netip"
	"slices"

	"chive/directory/record"
)

// HiddenRule is a rule that clients will not see, or not in full, because a
// summary of ports cannot say it: they will not choose this exit for it.
type HiddenRule struct {
	Line int
	Rule string // in the policy's one form
	Why  string // a constant
}

// Why a rule is hidden.
const (
	HiddenNever  = "its addresses are never dialled"
	HiddenNarrow = "only ports that are open towards all public addresses, of IPv4 and of IPv6, are listed"
	HiddenBeyond = "only the 40 widest ranges of ports are listed"
)

// Summary returns what the policy permits towards all public addresses, in the
// form of a descriptor: at most record.MaxPolicyCount ranges, the widest, sorted
// by protocol and port. It takes about a tenth of a second at MaxRuleCount rules.
// Spec: product REL-2.
func (p *Policy) Summary() []record.PortRange {
	kept, _ := record.Summarise(p.open(p.regions()))
	return kept
}

// Hidden names the accepting rules whose effect the summary does not show, in
// their order.
func (p *Policy) Hidden() []HiddenRule {
	regions := p.regions()
	open := p.open(regions)
	kept, _ := record.Summarise(open)
	why := make([]string, len(p.rules))
	for _, protocol := range protocols {
		listed, all := spansOf(kept, protocol), spansOf(open, protocol)
		for _, a := range regions {
			for _, s := range p.accepted(protocol, a) {
				if len(subtract([]span{s}, listed)) == 0 {
					continue
				}
				if why[s.rule] == "" {
					why[s.rule] = HiddenBeyond
				}
				if len(subtract([]span{s}, all)) != 0 {
					why[s.rule] = HiddenNarrow
				}
			}
		}
	}
	var out []HiddenRule
	for i, r := range p.rules {
		if r.accept && !slices.ContainsFunc(regions, r.place.contains) {
			why[i] = HiddenNever
		}
		if why[i] != "" {
			out = append(out, HiddenRule{r.line, r.String(), why[i]})
		}
	}
	return out
}

var protocols = [...]byte{record.TCP, record.UDP}

// open returns the ports that are accepted in every region.
func (p *Policy) open(regions []netip.Addr) (out []record.PortRange) {
	for _, protocol := range protocols {
		all := []span{{first: 1, last: 65535}}
		for _, a := range regions {
			if len(all) == 0 {
				break
			}
			all = intersect(all, p.accepted(protocol, a))
		}
		for _, s := range all {
			out = append(out, record.PortRange{Protocol: protocol, First: uint16(s.first), Last: uint16(s.last)})
		}
	}
	return out
}

// regions returns one public address of each part of the address space that the
// rules treat alike: networks are nested or apart, so a part is a network without
// the networks in it.
func (p *Policy) regions() (out []netip.Addr) {
	nets := []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	for _, r := range p.rules {
		if r.place.kind == network {
			nets = append(nets, r.place.net)
		}
	}
	slices.SortFunc(nets, netip.Prefix.Compare)
	nets = slices.Compact(nets)
	for i, n := range nets {
		var holes []netip.Prefix
		for _, inner := range nets[i+1:] { // sorted: networks inside n follow it
			if !n.Contains(inner.Addr()) {
				break
			}
			if len(holes) == 0 || !holes[len(holes)-1].Contains(inner.Addr()) {
				holes = append(holes, inner)
			}
		}
		denied := denied6
		if n.Addr().Is4() {
			denied = denied4
		}
		for _, d := range denied {
			if d.prefix.Overlaps(n) {
				holes = append(holes, d.prefix)
			}
		}
		if a, ok := outside(n, holes); ok {
			out = append(out, a)
		}
	}
	return out
}

// outside returns an address of n that is in none of the holes.
func outside(n netip.Prefix, holes []netip.Prefix) (netip.Addr, bool) {
	if len(holes) == 0 {
		return n.Addr(), true
	}
	for _, h := range holes {
		if h.Bits() <= n.Bits() { // it overlaps n, so it covers n
			return netip.Addr{}, false
		}
	}
	for _, half := range halves(n) {
		var inHalf []netip.Prefix
		for _, h := range holes {
			if h.Overlaps(half) {
				inHalf = append(inHalf, h)
			}
		}
		if a, ok := outside(half, inHalf); ok {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// halves splits a network of more than one address.
func halves(n netip.Prefix) [2]netip.Prefix {
	bits := n.Bits()
	raw := n.Addr().AsSlice()
	raw[bits/8] |= 0x80 >> (bits % 8)
	upper, _ := netip.AddrFromSlice(raw)
	return [2]netip.Prefix{netip.PrefixFrom(n.Addr(), bits+1), netip.PrefixFrom(upper, bits+1)}
}

// span is the ports first to last, and the rule that decides about them.
type span struct{ first, last, rule int }

// accepted returns the ports of a that are accepted, sorted, each with its rule.
func (p *Policy) accepted(protocol byte, a netip.Addr) (out []span) {
	undecided := []span{{first: 1, last: 65535}}
	for i, r := range p.rules {
		if len(undecided) == 0 {
			break
		}
		if !r.speaks(protocol) || !r.place.contains(a) {
			continue
		}
		own := []span{{int(r.first), int(r.last), i}}
		if r.accept {
			for _, s := range intersect(undecided, own) {
				out = append(out, span{s.first, s.last, i})
			}
		}
		undecided = subtract(undecided, own)
	}
	slices.SortFunc(out, func(x, y span) int { return x.first - y.first })
	return out
}

func spansOf(ranges []record.PortRange, protocol byte) (out []span) {
	for _, r := range ranges {
		if r.Protocol == protocol {
			out = append(out, span{first: int(r.First), last: int(r.Last)})
		}
	}
	return out
}

// intersect returns what is in both of two sorted lists; touching pieces of ys
// are joined, so that pieces of several rules do not split a range.
func intersect(xs, ys []span) (out []span) {
	for len(xs) > 0 && len(ys) > 0 {
		x, y := xs[0], ys[0]
		if s := (span{first: max(x.first, y.first), last: min(x.last, y.last)}); s.first <= s.last {
			if n := len(out); n > 0 && out[n-1].last+1 == s.first {
				out[n-1].last = s.last
			} else {
				out = append(out, s)
			}
		}
		if x.last < y.last {
			xs = xs[1:]
		} else {
			ys = ys[1:]
		}
	}
	return out
}

// subtract returns what is in the sorted xs and not in the sorted ys.
func subtract(xs, ys []span) (out []span) {
	for _, x := range xs {
		for _, y := range ys {
			if y.last < x.first {
				continue
			}
			if y.first > x.last {
				break
			}
			if y.first > x.first {
				out = append(out, span{first: x.first, last: y.first - 1})
			}
			x.first = y.last + 1
		}
		if x.first <= x.last {
			out = append(out, span{first: x.first, last: x.last})
		}
	}
	return out
}
