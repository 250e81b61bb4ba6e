// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"net/netip"
	"strings"
)

// maxNameSize and maxLabelSize are the bounds of DNS, in bytes.
const (
	maxNameSize  = 253
	maxLabelSize = 63
)

// destination is a host as a client wrote it: an address, or a name.
type destination struct {
	addr netip.Addr // valid: the host is a literal, unmapped
	name string     // lower case, without a trailing dot
}

// closedDomains are those that no public name server knows: a question would
// only tell it what the client wants, or reach into the exit's own network.
var closedDomains = []string{"alt", "onion", "local", "localhost", "internal", "home.arpa", "invalid"}

// parseHost reads a host. Errors: ReasonPolicy for an address with a zone, which
// is not public; ReasonUnresolvable for what is neither address nor name, and
// for names that no public name server knows.
func (e *Exit) parseHost(host string) (destination, error) {
	literal, bracketed := host, false
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		literal, bracketed = host[1:len(host)-1], true
	}
	if a, err := netip.ParseAddr(literal); err == nil && (a.Is6() || !bracketed) {
		if a.Zone() != "" {
			return destination{}, e.count.notPublic()
		}
		return destination{addr: a.Unmap()}, nil
	}
	name, ok := parseName(host)
	if !ok {
		return destination{}, Error{ReasonUnresolvable}
	}
	if !e.testnet && !strings.Contains(name, ".") {
		return destination{}, Error{ReasonUnresolvable}
	}
	for _, d := range closedDomains {
		if (name == d || strings.HasSuffix(name, "."+d)) && !(e.testnet && d == "localhost") {
			return destination{}, Error{ReasonUnresolvable}
		}
	}
	return destination{name: name}, nil
}

// parseName brings a host name into its one form. It refuses what a resolver
// might take for an address (127.1, 0x7f.1, 2130706433): the last label of a
// name is never a number.
func parseName(s string) (string, bool) {
	s = strings.ToLower(strings.TrimSuffix(s, "."))
	if s == "" || len(s) > maxNameSize {
		return "", false
	}
	last := ""
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > maxLabelSize || label[0] == '-' || label[len(label)-1] == '-' {
			return "", false
		}
		for i := range len(label) {
			if c := label[i]; !(c >= 'a' && c <= 'z' || isDigit(c) || c == '-' || c == '_') {
				return "", false
			}
		}
		last = label
	}
	if looksNumeric(last) {
		return "", false
	}
	return s, true
}

func looksNumeric(label string) bool {
	if strings.HasPrefix(label, "0x") {
		return !strings.ContainsFunc(label[2:], func(r rune) bool { return !strings.ContainsRune("0123456789abcdef", r) })
	}
	return !strings.ContainsFunc(label, func(r rune) bool { return r < '0' || r > '9' })
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
