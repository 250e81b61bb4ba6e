// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"time"

	"chive/directory/genesis"
	dirsync "chive/directory/sync"
	"chive/directory/vote"
	"chive/internal/control"
	"chive/internal/store"
	"chive/relay"
)

// anchorTime bounds how long the control socket waits for a client that is fetching.
const anchorTime = 3 * time.Second

// Anchor implements control.Anchorer: of the newest list that a role of this process holds.
func (s *Sources) Anchor(ctx context.Context) (*control.Anchor, error) {
	ctx, cancel := context.WithTimeout(ctx, anchorTime)
	defer cancel()
	var newest *dirsync.AnchorFile
	take := func(a *dirsync.AnchorFile, err error) {
		if err == nil && (newest == nil || a.Epoch() > newest.Epoch()) {
			newest = a
		}
	}
	if s.Client != nil {
		take(s.Client.Anchor(ctx))
	}
	for _, r := range s.relays() {
		take(r.now().Anchor())
	}
	if newest == nil {
		return nil, &control.Failure{
			Status: http.StatusServiceUnavailable, Code: "no_anchor", Text: "This process holds no list of relays beyond the genesis document's yet",
			Fix: "Wait until it has one: chive status.",
		}
	}
	digest := newest.Certificate.HeaderDigest()
	return &control.Anchor{
		Epoch: newest.Epoch(), Began: s.Document.EpochStart(newest.Epoch()).UTC(), Digest: hex.EncodeToString(digest[:]),
		Relays: len(newest.Fallback), Data: newest.Encode(),
	}, nil
}

// AnchorInfo is what an anchor file says.
type AnchorInfo struct {
	Network string
	Epoch   uint64
	Began   time.Time // that epoch
	Digest  string    // of its header, hexadecimal
	Relays  int       // named in it
	Until   time.Time // nobody starts from it later; zero: no limit
	Notes   []string
}

func describeAnchor(doc *genesis.Document, a *dirsync.AnchorFile, now time.Time) *AnchorInfo {
	digest := a.Certificate.HeaderDigest()
	out := &AnchorInfo{
		Network: doc.Name, Epoch: a.Epoch(), Began: doc.EpochStart(a.Epoch()).UTC(), Digest: hex.EncodeToString(digest[:]), Relays: len(a.Fallback),
	}
	if limit := doc.Params.AnchorAge; limit > 0 {
		out.Until = out.Began.Add(limit)
	}
	if old, over := a.Old(doc, now); old && !over {
		out.Notes = append(out.Notes, oldAnchorNote("The anchor", out.Until))
	}
	return out
}

func oldAnchorNote(what string, until time.Time) string {
	return what + " is getting old: nobody can start from it after " + until.Format(time.DateOnly) + ". Get a newer one before: chive network anchor."
}

// WriteAnchor writes the anchor file that a running process has made. Nothing of it is
// believed that does not verify. genesis is the network's document; empty: only the
// file's own parts are held against each other.
func WriteAnchor(made *control.Anchor, genesisFile, out string, now time.Time) (*AnchorInfo, error) {
	if err := fresh(out); err != nil {
		return nil, err
	}
	a, err := dirsync.ParseAnchorFile(made.Data)
	if err != nil {
		return nil, fault(Failed, "anchor_failed", "Report this as a fault of chive.", "The running process has made an anchor that cannot be read")
	}
	info := &AnchorInfo{Epoch: made.Epoch, Began: made.Began, Digest: made.Digest, Relays: len(a.Fallback)}
	if genesisFile != "" {
		doc, err := loadGenesis(genesisFile)
		if err != nil {
			return nil, err
		}
		if err := verifyAnchor(out, a, doc); err != nil {
			return nil, err
		}
		info = describeAnchor(doc, a, now)
	}
	return info, writePublic(out, made.Data)
}

// StoredAnchor writes the anchor file of the newest list that the state folder of a client
// or relay that does not run holds.
func (s *State) StoredAnchor(genesisFile, out string, now time.Time) (*AnchorInfo, error) {
	if err := fresh(out); err != nil {
		return nil, err
	}
	if genesisFile == "" {
		return nil, fault(Usage, "genesis_missing", "Name the network's genesis document: --genesis FILE. Or ask a client or relay that runs: --state DIR of it.",
			"Nothing runs with the state folder %s, and what it holds cannot be read without the network's document", s.dir)
	}
	doc, err := loadGenesis(genesisFile)
	if err != nil {
		return nil, err
	}
	if err := s.Lock(); err != nil {
		return nil, err
	}
	a, err := s.newestAnchor(doc)
	if err != nil {
		return nil, err
	}
	if a == nil {
		if l, err := s.storeless(); err != nil || l.code != "" {
			return nil, l.fault("no_anchor", err)
		}
		return nil, fault(Usage, "no_anchor", "Run a client or a relay in that network for a while, or name another folder: --state DIR.",
			"The state folder %s holds no list of relays of the network %s beyond its document's", s.dir, doc.Name)
	}
	if _, over := a.Old(doc, now); over {
		return nil, fault(Usage, "anchor_old", "Run the client or relay, so that it fetches a newer list; or ask somebody whose does.",
			"The newest list in %s is of %s, and nobody can start from one that is older than %s", s.dir, doc.EpochStart(a.Epoch()).UTC().Format(time.DateOnly), ageLimit(doc))
	}
	return describeAnchor(doc, a, now), writePublic(out, a.Encode())
}

// newestAnchor makes an anchor of the newest list in the folder; nil: there is none.
func (s *State) newestAnchor(doc *genesis.Document) (newest *dirsync.AnchorFile, err error) {
	if saved, err := (listStore{s.path(clientTableFile)}).Load(); err == nil && saved != nil {
		if f, err := dirsync.LoadFollower(doc, vote.Plain{}, saved); err == nil {
			newest, _ = f.AnchorFile()
		}
	}
	path := s.path(tableFile)
	there, err := exists(path, "directory's store")
	if err != nil || !there {
		return newest, err
	}
	table, err := store.OpenTable(path)
	if err != nil {
		return nil, tableFault(path, err)
	}
	defer table.Close()
	if a, err := relay.StoredAnchor(doc, table, rand.Reader); err == nil && (newest == nil || a.Epoch() > newest.Epoch()) {
		newest = a
	}
	return newest, nil
}

// ShowAnchor reads an anchor file and verifies it for a network.
func ShowAnchor(path, genesisFile string, now time.Time) (*AnchorInfo, error) {
	if genesisFile == "" {
		return nil, fault(Usage, "genesis_missing", "Name it: chive network anchor --genesis FILE "+quote(path)+".",
			"The anchor %s can only be verified by the genesis document of its network, and none was named", path)
	}
	doc, err := loadGenesis(genesisFile)
	if err != nil {
		return nil, err
	}
	a, err := readAnchor(path, doc)
	if err != nil {
		return nil, err
	}
	if _, over := a.Old(doc, now); over {
		return nil, anchorOver(path, doc, a)
	}
	return describeAnchor(doc, a, now), nil
}

// CheckAnchor reads an anchor file, of whatever network.
func CheckAnchor(path string) error {
	_, err := parseAnchor(path)
	return err
}

const newAnchorFix = "Get it again: whoever runs a client or relay in that network makes one with chive network anchor --out FILE."

// isAnchor reports whether a file is an anchor, of whatever network.
func isAnchor(path string) bool {
	data, err := store.ReadFile(path, dirsync.MaxAnchorSize)
	if err != nil {
		return false
	}
	_, err = dirsync.ParseAnchorFile(data)
	return err == nil
}

func parseAnchor(path string) (*dirsync.AnchorFile, error) {
	data, err := store.ReadFile(path, dirsync.MaxAnchorSize)
	if err != nil {
		return nil, fileFault(path, "anchor", err)
	}
	a, err := dirsync.ParseAnchorFile(data)
	if _, wrong := genesis.ParseDraft(data); err != nil && wrong == nil {
		return nil, fault(Usage, "anchor_is_genesis", "Name it with --genesis. "+newAnchorFix, "%s is a genesis document, not an anchor", path)
	}
	if err != nil {
		return nil, fault(Usage, "anchor_damaged", newAnchorFix, "%s is not an anchor, or was changed", path)
	}
	return a, nil
}

func readAnchor(path string, doc *genesis.Document) (*dirsync.AnchorFile, error) {
	a, err := parseAnchor(path)
	if err != nil {
		return nil, err
	}
	return a, verifyAnchor(path, a, doc)
}

func verifyAnchor(path string, a *dirsync.AnchorFile, doc *genesis.Document) error {
	err := a.Verify(doc, vote.Plain{})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, dirsync.ErrAnchorNetwork):
		return fault(Usage, "anchor_network", "Name that of the network "+doc.Name+", or the other network's genesis document.", "The anchor %s is of another network", path)
	}
	return fault(Usage, "anchor_forged", newAnchorFix+" Do not use this one: ask whoever gave it to you.", "The anchor %s is not signed by the committee that it names", path)
}

// ageLimit is how old a list may be that somebody starts from.
func ageLimit(doc *genesis.Document) string {
	limit := doc.Params.AnchorAge
	if days := int(limit / (24 * time.Hour)); days > 1 {
		return strconv.Itoa(days) + " days"
	}
	return limit.String()
}

func anchorOver(path string, doc *genesis.Document, a *dirsync.AnchorFile) *Fault {
	return fault(Usage, "anchor_old", "Get a newer one: whoever runs a client or relay in that network makes one with chive network anchor --out FILE. Or set this machine's clock, if it is fast.",
		"The anchor %s is of %s, and nobody can start from one that is older than %s: keys retired since then must not speak", path, doc.EpochStart(a.Epoch()).UTC().Format(time.DateOnly), ageLimit(doc))
}

// takeAnchor reads the anchor that a role is to begin with where what it holds itself is
// too old; held is the epoch of that, 0: that of the document. An anchor that is not
// needed is left alone, however old; nil: there is none to be used.
func takeAnchor(path string, doc *genesis.Document, held func() uint64, now time.Time) (a *dirsync.AnchorFile, note string, err error) {
	if path == "" {
		return nil, "", nil
	}
	if a, err = readAnchor(path, doc); err != nil {
		return nil, "", err
	}
	if ahead := a.Age(doc, now); ahead < -doc.Params.ClockClient {
		return nil, "", fault(Usage, "clock_skew", "Set the clock, for example with timedatectl set-ntp true.",
			"This machine's clock says %s, but the anchor %s is of %s", now.UTC().Format(time.DateTime), path, doc.EpochStart(a.Epoch()).UTC().Format(time.DateTime))
	}
	old, over := a.Old(doc, now)
	if !old {
		return a, "", nil
	}
	epoch := held()
	switch {
	case doc.Params.AnchorAge > 0 && now.Sub(doc.EpochStart(epoch)) <= doc.Params.AnchorAge:
		return nil, "", nil // what is held will do
	case over:
		return nil, "", anchorOver(path, doc, a)
	}
	return a, oldAnchorNote("The anchor "+path, doc.EpochStart(a.Epoch()).Add(doc.Params.AnchorAge).UTC()), nil
}

// heldEpoch is the epoch of the list that a client has saved; 0: none that can be used.
func heldEpoch(saved listStore, doc *genesis.Document) uint64 {
	data, err := saved.Load()
	if err != nil || data == nil {
		return 0
	}
	f, err := dirsync.LoadFollower(doc, vote.Plain{}, data)
	if err != nil {
		return 0
	}
	return f.Anchor().Epoch
}
