// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"unicode"
	"unicode/utf8"

	"chive/directory/record"
	"chive/internal/store"
)

// About is what an operator says about a relay. It is kept in the state folder
// and will be published with the relay's descriptor.
type About struct {
	Nickname string `json:"nickname,omitempty"` // letters, digits, - and _; at most record.MaxNicknameSize bytes
	Contact  string `json:"contact,omitempty"`  // one line; at most record.MaxContactSize bytes
}

// maxSmallSize bounds small files of our own, in bytes.
const maxSmallSize = 4096

func (a About) check() error {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}
	if len(a.Nickname) > record.MaxNicknameSize || strings.ContainsFunc(a.Nickname, odd) {
		return fault(Usage, "nickname", "Choose another.", "--nickname takes at most %d letters, digits, - and _", record.MaxNicknameSize)
	}
	if len(a.Contact) > record.MaxContactSize || !utf8.ValidString(a.Contact) || strings.ContainsFunc(a.Contact, unicode.IsControl) {
		return fault(Usage, "contact", "Shorten it to a mail address or a page.", "--contact takes one line of at most %d bytes", record.MaxContactSize)
	}
	return nil
}

// needContact refuses an exit that nobody could reach about it (REL-2).
func (a About) needContact(isExit bool) error {
	if !isExit || strings.TrimSpace(a.Contact) != "" {
		return nil
	}
	return fault(Usage, "contact_missing", "Add --contact with a mail address or a page where people can reach you.",
		"An exit needs a contact: what its users do looks as if this host did it")
}

// about returns what the state folder holds about the relay, overridden by what is
// given and not empty.
func (s *State) about(given About) (About, error) {
	if err := given.check(); err != nil {
		return About{}, err
	}
	path := s.path(aboutFile)
	data, err := store.ReadFile(path, maxSmallSize)
	var kept About
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return About{}, fileFault(path, "file", err)
	case json.Unmarshal(data, &kept) != nil || kept.check() != nil:
		return About{}, fault(Usage, "about_damaged", "Remove it and name --nickname and --contact again.", "The file %s is damaged", path)
	}
	if given.Nickname != "" {
		kept.Nickname = given.Nickname
	}
	if given.Contact != "" {
		kept.Contact = given.Contact
	}
	return kept, nil
}

// keepAbout saves a for later runs.
func (s *State) keepAbout(a About) error {
	if _, err := s.folder("relay"); err != nil {
		return err
	}
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if err := store.WriteFile(s.path(aboutFile), append(data, '\n')); err != nil {
		return fileFault(s.path(aboutFile), "file", err)
	}
	return nil
}
