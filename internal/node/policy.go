// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"cmp"
	"errors"
	"fmt"

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
	if len(p.Summary()) == 0 {
		return nil, nil, emptyPolicy(name, p)
	}
	return p, data, nil
}

// emptyPolicy refuses a file of rules that makes no exit: who wants none says off.
func emptyPolicy(name string, p *exit.Policy) *Fault {
	f := fault(Usage, "exit_policy", "Write rules such as: accept tcp *:443. For no exit at all: --exit off.", "The exit policy %s permits nothing", name)
	if hidden := p.Hidden(); len(hidden) > 0 {
		f.Text += fmt.Sprintf(" that clients could see: line %d, %q, %s", hidden[0].Line, hidden[0].Rule, hidden[0].Why)
	}
	return f
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
