// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"errors"
	"fmt"
	"slices"

	"chive/directory/record"
	"chive/internal/store"
	"chive/relay/exit"
)

// exitPolicy finds the policy that --exit names: a preset, or a file of rules.
// Spec: product REL-2.
func exitPolicy(name string) (*exit.Policy, error) {
	if name == "" {
		name = "off"
	}
	if p, ok := exit.Preset(name); ok {
		return p, nil
	}
	data, err := store.ReadFile(name, exit.MaxPolicySize)
	if err != nil {
		f := fileFault(name, "exit policy", err)
		if f.Code == "file_missing" {
			return nil, fault(Usage, "exit_unknown", "Use --exit off, --exit web, --exit reduced, or the path of a file of rules.",
				"--exit %s is no preset, and there is no such file", name)
		}
		return nil, f
	}
	p, err := exit.ParsePolicy(string(data))
	var bad *exit.PolicyError
	if errors.As(err, &bad) {
		return nil, fault(Usage, "exit_policy", sentence(bad.Fix), "The exit policy %s, line %d, rule %q: %s", name, bad.Line, bad.Rule, bad.Problem)
	}
	if err != nil {
		return nil, fault(Usage, "exit_policy", "Write rules such as: accept tcp *:443", "The exit policy %s cannot be read", name)
	}
	if len(p.Summary()) == 0 {
		return nil, emptyPolicy(name, p)
	}
	return p, nil
}

// emptyPolicy refuses a file of rules that makes no exit: who wants none says off.
func emptyPolicy(name string, p *exit.Policy) *Fault {
	f := fault(Usage, "exit_policy", "Write rules such as: accept tcp *:443. For no exit at all: --exit off.", "The exit policy %s permits nothing", name)
	if hidden := p.Hidden(); len(hidden) > 0 {
		f.Text += fmt.Sprintf(" that clients could see: line %d, %q, %s", hidden[0].Line, hidden[0].Rule, hidden[0].Why)
	}
	return f
}

// checkExit refuses a policy that is not the one that the table declares: clients
// choose by the table, and would be refused, or never come.
func checkExit(policy *exit.Policy, name string, declared []record.PortRange) error {
	runs := policy.Summary()
	if slices.Equal(runs, declared) {
		return nil
	}
	const fix = "Run with the --exit that the founder's record was made with."
	switch {
	case len(declared) == 0:
		return fault(Usage, "exit_mismatch", "Run without --exit: this network was founded with this relay as no exit.",
			"The founder's record of this relay says that it is no exit, but --exit is %s", name)
	case len(runs) == 0:
		return fault(Usage, "exit_mismatch", fix, "The founder's record of this relay says that it is an exit (%s), but --exit is off", describePolicy(declared))
	}
	return fault(Usage, "exit_mismatch", fix, "The founder's record of this relay permits %s, but --exit %s permits %s",
		describePolicy(declared), name, describePolicy(runs))
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
