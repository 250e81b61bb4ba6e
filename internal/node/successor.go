// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"

	"chive/directory/genesis"
	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/internal/store"
	"chive/relay"
)

// Succeeding says what network a new one succeeds, and where its last list is.
type Succeeding struct {
	From    string // state folder of a relay of it that does not run, or an anchor file; empty: none
	Genesis string // its document; of an anchor's network it is not needed
}

// Empty reports whether nothing is succeeded.
func (s Succeeding) Empty() bool { return s.From == "" && s.Genesis == "" }

// read returns what is taken over, with sentences for whoever makes the document.
// Of an anchor nothing but the name is known.
func (s Succeeding) read() (*relay.Succession, []string, error) {
	if s.From == "" {
		return nil, nil, fault(Usage, "successor", "Name the state folder of a relay of the old network, stopped: --successor-of DIR.", "--predecessor says which network's document it is, and nothing says where its last list is")
	}
	if info, err := os.Stat(s.From); err == nil && !info.IsDir() {
		a, err := parseAnchor(s.From)
		if err != nil {
			return nil, nil, err
		}
		return &relay.Succession{
				Predecessor: genesis.Predecessor{NetworkID: a.Certificate.Header.NetworkID, Header: a.Certificate.HeaderDigest()}, Epoch: a.Epoch(),
			}, []string{"An anchor holds no ages: all relays of the old network but the founders come as newcomers. To take their ages over name a relay's state folder: --successor-of DIR."},
			nil
	}
	if s.Genesis == "" {
		return nil, nil, fault(Usage, "predecessor_missing", "Name the old network's genesis document: --predecessor FILE.", "What %s holds cannot be read without the document of its network", s.From)
	}
	doc, err := loadGenesis(s.Genesis)
	if err != nil {
		return nil, nil, err
	}
	state, err := OpenState(s.From)
	if err != nil {
		return nil, nil, err
	}
	defer state.Close()
	path := state.path(tableFile)
	there, err := exists(path, "directory's store")
	if err != nil {
		return nil, nil, err
	}
	none := fault(Usage, "no_list", "Name the state folder of a relay that ran in the old network to its end: --successor-of DIR.",
		"%s holds no list of relays of the network %s beyond its document's", s.From, doc.Name)
	if !there {
		if l, err := state.storeless(); err != nil || l.code != "" {
			l.fix = "Name the state folder of a relay that ran in the old network to its end: --successor-of DIR."
			return nil, nil, l.fault("no_list", err)
		}
		return nil, nil, none
	}
	if err := state.Lock(); err != nil {
		return nil, nil, err
	}
	table, err := store.OpenTable(path)
	if err != nil {
		return nil, nil, tableFault(path, err)
	}
	defer table.Close()
	out, err := relay.StoredSuccession(doc, table, rand.Reader)
	switch {
	case errors.Is(err, dirsync.ErrAnchor):
		return nil, nil, none
	case err != nil:
		return nil, nil, fault(Failed, "list_failed", "Check the disk, or take another relay's folder.", "The directory's store %s cannot be read", path)
	}
	var notes []string
	if out.Unnamed > 0 {
		notes = append(notes, fmt.Sprintf("Of %s the identity is not known here, so they come as newcomers; another relay's folder may know more.", count(out.Unnamed, "relay")))
	}
	if out.Left > 0 {
		notes = append(notes, fmt.Sprintf("%s had a penalty and come as newcomers.", count(out.Left, "relay")))
	}
	return out, notes, nil
}

// heirs are those of a succession that are no founders, with ages as far as they count.
func heirs(s *relay.Succession, founders []*record.Founder, p genesis.Params) []genesis.Heir {
	var out []genesis.Heir
	for _, h := range s.Heirs {
		if slices.ContainsFunc(founders, func(f *record.Founder) bool { return h.Identity.Equal(f.Identity) }) {
			continue
		}
		h.Age = min(h.Age, p.GuardFull)
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b genesis.Heir) int { return cmp.Or(b.Age-a.Age, bytes.Compare(a.Identity, b.Identity)) })
	return out[:min(len(out), genesis.MaxHeirs)]
}

// compareHeirs says what a successor's document and a relay's own last list do not agree on.
func compareHeirs(doc *genesis.Document, s *relay.Succession) (out []Finding) {
	if doc.Predecessor == nil {
		return []Finding{{Error: true, Text: "It names no predecessor"}}
	}
	if *doc.Predecessor != s.Predecessor {
		why := "another list of it than your relay holds: one of the two is not its last"
		if doc.Predecessor.NetworkID != s.Predecessor.NetworkID {
			why = "another network"
		}
		return []Finding{{Error: true, Text: "It succeeds " + why}}
	}
	ours := heirs(s, doc.Founders, doc.Params)
	for _, h := range doc.Heirs {
		i := slices.IndexFunc(ours, func(o genesis.Heir) bool { return o.Identity.Equal(h.Identity) })
		switch {
		case i < 0:
			out = append(out, Finding{Error: true, Text: "It takes over the age of a relay that your list does not name: " + hex.EncodeToString(h.Identity)})
		case ours[i].Age != h.Age:
			out = append(out, Finding{Error: true, Text: fmt.Sprintf("It gives the relay %x %d days of service, and your list %d", []byte(h.Identity), h.Age, ours[i].Age)})
		}
	}
	if len(out) == 0 && len(ours) > len(doc.Heirs) {
		out = append(out, Finding{Error: false, Text: fmt.Sprintf("It leaves out the ages of %s that your list names", count(len(ours)-len(doc.Heirs), "relay"))})
	}
	return out
}
