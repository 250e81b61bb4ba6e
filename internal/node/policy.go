// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"chive/directory/record"
	"chive/internal/store"
	"chive/relay/exit"
)

// customPolicy is how a declaration names a policy that is no preset: its rules are in
// the state folder.
const customPolicy = "custom"

// choosePolicy takes the exit policy that is given, a preset or a file of rules, or
// else the one that was declared before. Spec: product REL-2.
func (s *State) choosePolicy(d *declared, given string) error {
	name, file := given, given
	if given == "" {
		name, file = cmp.Or(d.Exit, "off"), s.path(policyFile)
	}
	if p, ok := exit.Preset(name); ok {
		d.policy, d.Exit = p, name
		return nil
	}
	p, rules, err := readPolicy(file)
	if given == "" && err != nil {
		var f *Fault
		if errors.As(err, &f) && f.Code == "exit_unknown" {
			return fault(Usage, "exit_missing", "Say again what it permits: --exit off, web, reduced or FILE.", "The file %s, with this relay's exit policy, is missing", file)
		}
	}
	d.policy, d.rules, d.Exit = p, rules, customPolicy
	return err
}

// readPolicy reads a file of rules.
func readPolicy(name string) (*exit.Policy, []byte, error) {
	data, err := store.ReadFile(name, exit.MaxPolicySize)
	if err != nil {
		f := fileFault(name, "exit policy", err)
		if f.Code == "file_missing" {
			f = fault(Usage, "exit_unknown", "Use --exit off, --exit web, --exit reduced, or the path of a file of rules.",
				"--exit %s is no preset, and there is no such file", name)
		}
		return nil, nil, f
	}
	p, err := exit.ParsePolicy(string(data))
	var bad *exit.PolicyError
	if errors.As(err, &bad) {
		return nil, nil, fault(Usage, "exit_policy", sentence(bad.Fix), "The exit policy %s, line %d, rule %q: %s", name, bad.Line, bad.Rule, bad.Problem)
	}
	if err != nil {
		return nil, nil, fault(Usage, "exit_policy", "Write rules such as: accept tcp *:443", "The exit policy %s cannot be read", name)
	}
	if hidden := p.Hidden(); len(p.Summary()) == 0 && !slices.ContainsFunc(hidden, permits) {
		return nil, nil, emptyPolicy(name, hidden)
	}
	return p, data, nil
}

// permits reports whether a rule that clients do not see permits anything all the same.
func permits(h exit.HiddenRule) bool { return h.Why != exit.HiddenNever }

// emptyPolicy refuses a file of rules that makes no exit: who wants none says off.
func emptyPolicy(name string, hidden []exit.HiddenRule) *Fault {
	f := fault(Usage, "exit_policy", "Write rules such as: accept tcp *:443. For no exit at all: --exit off.", "The exit policy %s permits nothing", name)
	if len(hidden) > 0 {
		f.Text += fmt.Sprintf(" that could be reached: line %d, %q, %s", hidden[0].Line, hidden[0].Rule, hidden[0].Why)
	}
	return f
}

// unseenNote says that a policy permits something, but nothing that a descriptor can say.
// A relay without a summary is no exit. Spec: protocol §6 (EXIT-1), product REL-2.
const unseenNote = "Clients see nothing of this exit policy, so none chooses this relay as its exit, and it is published as a relay without one. " +
	"A descriptor lists only ports that are open towards all public addresses, of IPv4 and of IPv6: permit some with *, as in accept tcp *:443 " +
	"(a destination that this host has no IPv6 for is then reached by IPv4), or say off"

// unseen reports whether a policy permits something that clients see nothing of.
func (d *declared) unseen() bool { return d.Exit == customPolicy && !d.isExit() }

// maxShownHidden bounds the rules that are named of those hidden for one reason.
const maxShownHidden = 3

// hiddenWords names what clients will not see of a policy: one text for each reason.
func hiddenWords(hidden []exit.HiddenRule) (out []string) {
	for _, why := range []string{exit.HiddenNarrow, exit.HiddenBeyond, exit.HiddenNever} {
		var shown []string
		more := 0
		for _, h := range hidden {
			switch {
			case h.Why != why:
			case len(shown) < maxShownHidden:
				shown = append(shown, fmt.Sprintf("line %d, %q", h.Line, h.Rule))
			default:
				more++
			}
		}
		if more > 0 {
			shown = append(shown, fmt.Sprintf("and %d more", more))
		}
		if len(shown) > 0 {
			out = append(out, strings.Join(shown, ", ")+": "+why)
		}
	}
	return out
}

// maxShownRanges bounds the ports that describePolicy spells out.
const maxShownRanges = 8

// describePolicy puts a policy's summary into words: "tcp 80, 443; udp 53".
func describePolicy(policy []record.PortRange) string {
	if len(policy) == 0 {
		return "nothing"
	}
	var out string
	var last byte
	for i, r := range policy {
		switch {
		case i == maxShownRanges:
			return out + " and more"
		case r.Protocol == last:
			out += ", "
		case r.Protocol == record.UDP && out != "":
			out += "; udp "
		case r.Protocol == record.UDP:
			out += "udp "
		default:
			out += "tcp "
		}
		last = r.Protocol
		switch {
		case r.First == 1 && r.Last == 65535:
			out += "*"
		case r.First == r.Last:
			out += fmt.Sprint(r.First)
		default:
			out += fmt.Sprintf("%d-%d", r.First, r.Last)
		}
	}
	return out
}

// sentence makes a clause a sentence.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	first := s[0]
	if first >= 'a' && first <= 'z' {
		first -= 'a' - 'A'
	}
	return string(first) + s[1:] + "."
}
