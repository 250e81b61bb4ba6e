// SPDX-License-Identifier: BSD-3-Clause

package node

import "chive/internal/store"

// storeless is a relay's state folder without a directory's store.
type storeless struct {
	code string // empty: it has one, or is no relay's; founder_unrun, relay_unrun, memory_lost
	text string // why, without a full stop
	fix  string
}

// fault says it to who needs a list of the folder, or why that cannot be said.
func (l storeless) fault(code string, err error) error {
	if err != nil {
		return err
	}
	return fault(Usage, code, l.fix, "%s", l.text)
}

// storeless says why there is no store in a relay's folder: a founder's or another's that
// has never run has none yet, and one that has run has lost it. It writes nothing.
func (s *State) storeless() (l storeless, err error) {
	stored, err := exists(s.path(tableFile), "directory's store")
	if err != nil || stored {
		return l, err
	}
	keyed, err := s.hasKeys()
	if err != nil || !keyed {
		return l, err
	}
	mark, err := s.relayMark()
	if err != nil {
		return l, err
	}
	_, restored, err := s.wasRestored()
	if err != nil {
		return l, err
	}
	run := "Start it: chive relay run --state " + quote(s.dir) + " --genesis FILE."
	switch {
	case restored:
		return storeless{"memory_lost", "The relay in " + s.dir + " was restored from a backup and has not run since, so that it holds no list, and what it has signed is not known",
			run + " It fetches the list, and takes no seat in the committee until the terms that run are over."}, nil
	case mark == wordRan || mark == wordLost:
		return storeless{"memory_lost", "The relay in " + s.dir + " has run, and its directory's store " + s.path(tableFile) + " is gone: the list that it held is lost, and what it has signed is not known",
			run + " It begins a fresh store, and takes no seat in the committee until the terms that run are over. Never put an old copy back."}, nil
	}
	keys, err := s.loadKeys()
	if err != nil {
		return l, err
	}
	defer keys.wipe()
	if mark == wordSigned || keys.founders() {
		what := "has signed a network's document"
		if mark != wordSigned {
			what = "was made to found a network (chive keys founder), whose document it has not signed yet"
			run = "Sign the document: chive network sign --state " + quote(s.dir) + " FILE. Then start it: chive relay run."
		}
		return storeless{"founder_unrun", "The relay in " + s.dir + " " + what + " and has never run, so that it holds no list yet", run}, nil
	}
	return storeless{"relay_unrun", "The relay in " + s.dir + " was made (chive relay init) and has never run, so that it holds no list yet", run}, nil
}

// storeDamaged says that the store of a relay that does not run is damaged. One that cannot
// be read is a matter of the file's rights, which is said elsewhere. It changes nothing.
func (s *State) storeDamaged() (l storeless) {
	if damaged, err := store.CheckTable(s.path(tableFile)); err != nil || !damaged {
		return l
	}
	return storeless{"memory_damaged", "The directory's store " + s.path(tableFile) + " is damaged: the list that it held is lost, and what the relay has signed is not known",
		"Start the relay: it moves the file aside, begins a fresh one, and takes no seat in the committee until the terms that run are over. Look at the disk, too. Never put an old copy back."}
}
