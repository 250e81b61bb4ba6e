// SPDX-License-Identifier: BSD-3-Clause

package torlab

import (
	"errors"
	"slices"
	"strings"
)

// Mode is a set of settings.
type Mode struct {
	Name  string
	About string // one line for the report

	params  []string // consensus parameters that the authorities vote for
	options []string // lines of every process's torrc
}

// publicParams are the parameters of the public network's consensus that concern
// speed. Its defence against floods of circuits is left out: here all clients have
// one address, and chive's is off in testnets, too.
var publicParams = []string{
	"CircuitPriorityHalflifeMsec=30000", "KISTSchedRunInterval=3", "cc_alg=2", "cc_cwnd_full_gap=4",
	"cc_cwnd_full_minpct=25", "cc_cwnd_inc=1", "cc_cwnd_inc_rate=31", "cc_cwnd_min=124", "cc_sscap_exit=600",
	"cc_vegas_alpha_exit=186", "cc_vegas_delta_exit=310", "cfx_low_exit_threshold=5000",
	"circ_max_cell_queue_size=1250", "circ_max_cell_queue_size_out=1000",
	"guard-n-primary-dir-guards-to-use=2", "guard-n-primary-guards-to-use=2",
}

// wideParams let a circuit hold far more cells under way than the public network
// permits.
var wideParams = []string{
	"CircuitPriorityHalflifeMsec=30000", "cc_alg=2", "cc_cwnd_init=500", "cc_cwnd_min=500", "cc_sscap_exit=2000",
	"cc_vegas_alpha_exit=1000", "cc_vegas_beta_exit=1000", "cc_vegas_gamma_exit=1000", "cc_vegas_delta_exit=1000",
}

// Modes are the settings there are, the network's own first.
func Modes() []Mode {
	return []Mode{
		{
			Name:   "live",
			About:  "tor's defaults and the public network's parameters: KIST scheduler, Vegas, conflux on",
			params: publicParams,
		},
		{
			Name:    "noconflux",
			About:   "as live, with conflux off",
			params:  publicParams,
			options: []string{"ConfluxEnabled 0"},
		},
		{
			Name:    "tuned",
			About:   "the fastest settings found on loopback: Vanilla scheduler, wide Vegas windows, conflux off",
			params:  wideParams,
			options: []string{"Schedulers Vanilla", "ConfluxEnabled 0"},
		},
	}
}

// ErrMode says that there is no such mode.
var ErrMode = errors.New("torlab: unknown mode")

// ParseModes reads a list of names with commas between them; "both" is live and
// tuned.
func ParseModes(text string) ([]Mode, error) {
	var out []Mode
	for name := range strings.SplitSeq(text, ",") {
		names := []string{strings.TrimSpace(name)}
		if names[0] == "both" {
			names = []string{"live", "tuned"}
		}
		for _, n := range names {
			i := slices.IndexFunc(Modes(), func(m Mode) bool { return m.Name == n })
			if i < 0 {
				return nil, ErrMode
			}
			if !slices.ContainsFunc(out, func(m Mode) bool { return m.Name == n }) {
				out = append(out, Modes()[i])
			}
		}
	}
	return out, nil
}
