// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"cmp"
	"errors"

	"chive/internal/config"
	"chive/internal/node"
)

// namedFiles checks the files that a configuration names as a node would at its start.
// Spec: product CFG-3.
func (a *app) namedFiles() config.Named {
	return config.Named{
		Genesis: func(path string) (bool, error) {
			testnet, err := node.CheckGenesis(path)
			return testnet, unfit(err)
		},
		Policy: func(path string) ([]string, error) {
			hidden, err := node.CheckPolicy(path)
			var f *node.Fault
			if errors.As(err, &f) && f.Code == "exit_unknown" { // it speaks of a flag
				return nil, &config.Unfit{Code: f.Code, Text: "There is no file " + path, Fix: "Use off, web, reduced, or the path of a file of rules."}
			}
			return hidden, unfit(err)
		},
		Family:  func(path string) error { return unfit(node.CheckFamily(path)) },
		Anchor:  func(path string) error { return unfit(node.CheckAnchor(path)) },
		Contact: a.toldContact,
		Voucher: func(path, state string) error { return unfit(node.CheckVoucher(path, cmp.Or(state, a.global.state))) },
	}
}

// toldContact reports whether the relay of a state folder was told a contact; empty is the
// folder of this command line.
func (a *app) toldContact(state string) bool { return node.ToldContact(cmp.Or(state, a.global.state)) }

// unfit is a node's fault as the configuration tells it.
func unfit(err error) error {
	var f *node.Fault
	if errors.As(err, &f) {
		return &config.Unfit{Code: f.Code, Text: f.Text, Fix: f.Fix}
	}
	return err
}
