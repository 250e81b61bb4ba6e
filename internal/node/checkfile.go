// SPDX-License-Identifier: BSD-3-Clause

package node

// Checks of the files that a configuration names, as a daemon makes them at its start.
// They change nothing. Spec: product CFG-3.

// CheckGenesis reads and verifies a genesis document, and reports whether it is a
// testnet's.
func CheckGenesis(path string) (testnet bool, err error) { return CheckGenesisFor("", path) }

// CheckGenesisFor is CheckGenesis for what is to run in the state folder state, which tells
// the network if path is empty.
func CheckGenesisFor(state, path string) (testnet bool, err error) {
	doc, err := loadGenesisFor(state, path)
	if err != nil {
		return false, err
	}
	return doc.Testnet, nil
}

// CheckPolicy reads a file of exit rules, never the name of a preset, and says what of
// them clients will not see: a text for each reason, and one if nothing is left.
func CheckPolicy(file string) (hidden []string, err error) {
	p, _, err := readPolicy(file)
	if err != nil {
		return nil, err
	}
	hidden = hiddenWords(p.Hidden())
	if len(p.Summary()) == 0 {
		hidden = append(hidden, unseenNote)
	}
	return hidden, nil
}

// CheckFamily reads the key of a family, if it is there; one that is not is made when
// it is needed.
func CheckFamily(path string) error { return new(declared).nameFamily(path) }
