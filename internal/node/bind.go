// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"chive/directory/genesis"
	"chive/internal/store"
)

// A state folder is bound to a network by its first run there, the client's part and
// the relay's each for itself: guards, signed epochs and keys of one network must not
// come into another.

// bindNetwork notes the network of a client's first run for checkNetwork.
func (s *State) bindNetwork(doc *genesis.Document) error {
	return s.bind(networkFile, clientFolder, doc)
}

// bindRelay notes the network of a relay's first run for checkRelayNetwork.
func (s *State) bindRelay(doc *genesis.Document) error { return s.bind(relayNetworkFile, "relay", doc) }

func (s *State) bind(file, folder string, doc *genesis.Document) error {
	if _, err := s.folder(folder); err != nil {
		return err
	}
	path := s.path(file)
	if there, err := exists(path, "file"); err != nil || there {
		return err
	}
	if err := store.WriteFile(path, []byte(networkLine(doc)+"\n")); err != nil {
		return fileFault(path, "file", err)
	}
	return nil
}

// networkLine is what the file says about the network.
func networkLine(doc *genesis.Document) string {
	nid := doc.NetworkID()
	return hex.EncodeToString(nid[:]) + " " + doc.Name
}

// checkNetwork keeps one network's guards from being used in another.
func (s *State) checkNetwork(doc *genesis.Document) error {
	kept, err := s.boundTo(networkFile, doc)
	if err != nil || kept == "" {
		return err
	}
	return fault(Usage, "other_network", "Give this network a folder of its own: --state DIR. Or, if the old network is gone for good: rm -r "+quote(s.path(clientFolder)),
		"The state folder %s holds the guards of another network (%s), not of this one (%s)", s.dir, kept, shortNetwork(networkLine(doc)))
}

// checkRelayNetwork keeps a relay of one network, and what it has promised there, out of
// another.
func (s *State) checkRelayNetwork(doc *genesis.Document) error {
	kept, err := s.boundTo(relayNetworkFile, doc)
	if err != nil || kept == "" {
		return err
	}
	return fault(Usage, "other_network", "Check --genesis. For a relay in this network too, give it a folder of its own: chive relay init --state DIR --address IP:PORT",
		"The state folder %s holds a relay of another network (%s), not of this one (%s). Nothing was changed", s.dir, kept, shortNetwork(networkLine(doc)))
}

// Words in a relay's file, below its network: it has run there, and what it had stored
// was lost since.
const (
	wordRan  = "ran"
	wordLost = "lost"
)

// markRelay notes that the relay has run in the network, so that a store that is not
// there is known to be lost; or that it was.
func (s *State) markRelay(doc *genesis.Document, word string) error {
	return replace(s.path(relayNetworkFile), []byte(networkLine(doc)+"\n"+word+"\n"))
}

// relayMark returns the word of markRelay; empty: the relay has not run.
func (s *State) relayMark() (string, error) {
	data, err := store.ReadFile(s.path(relayNetworkFile), maxSmallSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fileFault(s.path(relayNetworkFile), "file", err)
	}
	_, word, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(word), nil
}

// boundTo returns the network that the file binds to, shortened, if it is another than
// doc's; else nothing.
func (s *State) boundTo(file string, doc *genesis.Document) (other string, err error) {
	path := s.path(file)
	data, err := store.ReadFile(path, maxSmallSize)
	first, _, _ := strings.Cut(string(data), "\n")
	switch kept := strings.TrimSpace(first); {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fileFault(path, "file", err)
	case kept != networkLine(doc):
		return shortNetwork(kept), nil
	}
	return "", nil
}

// shortIDSize is how many digits of a network id tell two networks apart for a
// person.
const shortIDSize = 8

// shortNetwork shows a line of networkLine: the name, which says little, and the
// id's beginning.
func shortNetwork(line string) string {
	id, name, _ := strings.Cut(line, " ")
	if name == "" || len(name) > genesis.MaxNameSize {
		return "unnamed"
	}
	return fmt.Sprintf("%q, id %.*s...", name, shortIDSize, id)
}
