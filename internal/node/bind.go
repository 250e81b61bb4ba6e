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
// come into another. A founder's is bound when it signs the network's document.

// bindNetwork notes the network of a client's first run for checkNetwork.
func (s *State) bindNetwork(doc *genesis.Document) error {
	return s.bind(networkFile, clientFolder, doc)
}

// bindRelay notes the network that a relay is made for, for checkRelayNetwork.
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
// another. path is the document's file. It writes nothing.
func (s *State) checkRelayNetwork(doc *genesis.Document, path string) error {
	kept, err := s.boundTo(relayNetworkFile, doc)
	if err != nil || kept == "" {
		return err
	}
	mark, err := s.relayMark()
	if err != nil {
		return err
	}
	founds, hasFounded, err := s.founding(doc)
	if err != nil {
		return err
	}
	ran := mark == wordRan || mark == wordLost
	fix := "Check --genesis. For a relay in this network too, give it a folder of its own: chive relay init --state DIR --address IP:PORT"
	switch {
	case founds && !ran:
		fix = "Check --genesis. If this network is the right one, bind the folder to it: chive network sign --state " + quote(s.dir) + " " + quote(path)
	case founds:
		fix = "Check --genesis. If this relay was started in the other network by mistake and never came onto its list, free the folder and start again; the keys stay: rm " +
			quote(s.path(relayNetworkFile))
		if stored, err := exists(s.path(tableFile), "directory's store"); err == nil && stored {
			fix += " " + quote(s.path(tableFile))
		}
	case mark == wordSigned:
		fix = "Check --genesis: name the document that this relay has signed. For a relay in this network too, give it a folder of its own: chive relay init --state DIR --address IP:PORT"
	case hasFounded && !ran: // one that has run may have them as any member
		fix = "Check --genesis: name the document of the network that this relay founds. Do not make new keys for it: a founder's cannot be replaced."
	}
	what := "holds a relay of"
	if mark == wordSigned {
		what = "holds a founder of"
	}
	return fault(Usage, "other_network", fix,
		"The state folder %s %s another network (%s), not of this one (%s). Nothing was changed", s.dir, what, kept, shortNetwork(networkLine(doc)))
}

// checkFounding keeps a founder from being bound to a network that it does not found, as
// one run with a wrong document would: only what says so does that. It writes nothing.
func (s *State) checkFounding(doc *genesis.Document) error {
	bound, err := exists(s.path(relayNetworkFile), "file")
	if err != nil || bound {
		return err
	}
	founds, hasFounded, err := s.founding(doc)
	if err != nil || founds || !hasFounded {
		return err
	}
	return fault(Usage, "not_founder",
		"Check --genesis: name the document that this relay has signed; chive network show FILE lists a document's founders. If it is to join this network as any other relay does, say so once: chive relay init --state "+quote(s.dir)+" --genesis FILE",
		"The relay in %s was made to found a network (chive keys founder), but is no founder of this one (%s). Nothing was changed", s.dir, shortNetwork(networkLine(doc)))
}

// founding reports whether the relay of this folder is a founder of the network, and
// whether its keys are those with which a relay founds one.
func (s *State) founding(doc *genesis.Document) (founds, hasFounded bool, err error) {
	if there, err := s.hasKeys(); err != nil || !there {
		return false, false, err
	}
	keys, err := s.loadKeys()
	if err != nil {
		return false, false, err
	}
	defer keys.wipe()
	public, err := keys.identityPublic()
	if err != nil {
		return false, false, err
	}
	return isFounder(doc, public), keys.founders(), nil
}

// founders reports whether the keys of the first terms are there, which only whoever
// founds a network has from the start.
func (k *relayKeys) founders() bool {
	return len(k.committee) >= founderTerms && k.committee[0].term == 0 && k.committee[1].term == 1
}

// bindSigned binds the folder to the network whose document its founder signs. A folder
// that was bound to another network is bound anew if it has never run there: founders
// begin anew with the same keys. One that has run stays as it is, and the note says so.
func (s *State) bindSigned(doc *genesis.Document) (note string, err error) {
	kept, err := s.boundTo(relayNetworkFile, doc)
	if err != nil {
		return "", err
	}
	mark, err := s.relayMark()
	if err != nil {
		return "", err
	}
	bound, err := exists(s.path(relayNetworkFile), "file")
	if err != nil {
		return "", err
	}
	stored, err := exists(s.path(tableFile), "directory's store")
	switch {
	case err != nil:
		return "", err
	case bound && kept == "":
		return "", nil
	case kept != "" && (stored || mark == wordRan || mark == wordLost):
		return fmt.Sprintf("This folder's relay has run in another network (%s) and stays bound to it. To run in the network %s as well, put a copy of relay/keys and relay/about into a folder of its own.", kept, doc.Name), nil
	}
	if s.lock == nil {
		if err := s.Lock(); err != nil {
			return "", err
		}
		defer s.Close()
	}
	if kept != "" {
		note = fmt.Sprintf("This folder was bound to another network (%s), in which its relay has never run; it is bound to %s now.", kept, doc.Name)
	}
	return note, s.markRelay(doc, wordSigned)
}

// Words in a relay's file, below its network: it has signed the network's document, has
// run there, and what it had stored was lost since. None: it was made for the network.
const (
	wordSigned = "signed"
	wordRan    = "ran"
	wordLost   = "lost"
)

// markRelay notes that the relay has run in the network, so that a store that is not
// there is known to be lost; or that it was.
func (s *State) markRelay(doc *genesis.Document, word string) error {
	return replace(s.path(relayNetworkFile), []byte(networkLine(doc)+"\n"+word+"\n"))
}

// readBinding returns the two lines of a binding file: the network's, and the word of
// markRelay. there is false, and both empty, where there is no file.
func (s *State) readBinding(file string) (line, word string, there bool, err error) {
	data, err := store.ReadFile(s.path(file), maxSmallSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", "", false, nil
	case err != nil:
		return "", "", false, fileFault(s.path(file), "file", err)
	}
	line, word, _ = strings.Cut(string(data), "\n")
	return strings.TrimSpace(line), strings.TrimSpace(word), true, nil
}

// relayMark returns the word of markRelay; empty: none, or no file.
func (s *State) relayMark() (string, error) {
	_, word, _, err := s.readBinding(relayNetworkFile)
	return word, err
}

// boundTo returns the network that the file binds to, shortened, if it is another than
// doc's; else nothing.
func (s *State) boundTo(file string, doc *genesis.Document) (other string, err error) {
	kept, _, there, err := s.readBinding(file)
	switch {
	case err != nil || !there || kept == networkLine(doc):
		return "", err
	case !isNetworkLine(kept):
		return "", s.bindingDamaged(file, doc)
	}
	return shortNetwork(kept), nil
}

// networkIDSize is that of a network's id, in bytes.
const networkIDSize = 32

// isNetworkLine reports whether a line is one that networkLine makes.
func isNetworkLine(line string) bool {
	id, name, _ := strings.Cut(line, " ")
	nid, err := hex.DecodeString(id)
	return err == nil && len(nid) == networkIDSize && name != "" && len(name) <= genesis.MaxNameSize
}

// bindingDamaged says how to write a binding file again: guards and keys stay. A relay's
// says that it ran, so that a store that is not there counts as lost.
func (s *State) bindingDamaged(file string, doc *genesis.Document) *Fault {
	path, lines := s.path(file), quote(networkLine(doc))
	if file == relayNetworkFile {
		lines += " " + wordRan
	}
	return fault(Usage, "network_damaged",
		"If this folder has been used in this network and no other, write the file again; everything else stays: printf '%s\\n' "+lines+" > "+quote(path),
		"The file %s, which says of what network this folder is, is damaged. Nothing was changed", path)
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
