// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/internal/store"
)

// NewNetwork writes an unsigned genesis document made of founders' files.
// Spec: directory §2.
func NewNetwork(name string, founderFiles []string, testnet bool, now time.Time, out string) (*NetworkInfo, error) {
	return NewSuccessor(name, founderFiles, testnet, now, Succeeding{}, out)
}

// NewSuccessor is NewNetwork of a network that succeeds another, and takes over the ages
// of its relays. Spec: directory §2, protocol §7 (DIR-16).
func NewSuccessor(name string, founderFiles []string, testnet bool, now time.Time, of Succeeding, out string) (*NetworkInfo, error) {
	if len(founderFiles) == 0 {
		return nil, fault(Usage, "founders_missing", "Collect the files that founders make with chive keys founder, and name each: --founder FILE.", "A network needs founders")
	}
	if err := fresh(out); err != nil {
		return nil, err
	}
	founders, files, err := readFounders(founderFiles)
	if err != nil {
		return nil, err
	}
	plan := genesis.Plan{Name: name, Testnet: testnet, Time: now, Founders: founders}
	var notes []string
	if !of.Empty() {
		taken, said, err := of.read()
		if err != nil {
			return nil, err
		}
		plan.Predecessor, plan.Heirs, notes = &taken.Predecessor, heirs(taken, founders, genesis.Preset(testnet)), said
	}
	doc, err := plan.Document()
	if err != nil {
		f := refusedFault("This network", err, files)
		if !testnet {
			f.Fix += " For a network of your own, to try things out: --testnet."
		}
		return nil, f
	}
	if err := writeGenesis(out, doc); err != nil {
		return nil, err
	}
	info := describe(doc)
	info.Notes = notes
	return info, nil
}

// NewTestnet writes an unsigned genesis document of a testnet with these parameters.
func NewTestnet(name string, founderFiles []string, params genesis.Params, now time.Time, out string) error {
	if err := fresh(out); err != nil {
		return err
	}
	founders, files, err := readFounders(founderFiles)
	if err != nil {
		return err
	}
	doc, err := genesis.Plan{Name: name, Testnet: true, Time: now, Params: &params, Founders: founders}.Document()
	if err != nil {
		return refusedFault("This network", err, files)
	}
	return writeGenesis(out, doc)
}

// readFounders reads founders' files, and tells which is whose.
func readFounders(paths []string) ([]*record.Founder, map[*record.Founder]string, error) {
	var founders []*record.Founder
	files := make(map[*record.Founder]string)
	for _, path := range paths {
		data, err := store.ReadFile(path, record.MaxFounderFileSize)
		if err != nil {
			return nil, nil, fileFault(path, "founder's file", err)
		}
		f, err := record.ParseFounderFile(data)
		if err != nil {
			return nil, nil, fault(Usage, "founder_damaged", "Get the file again from its founder, who makes it with chive keys founder.", "%s is not a founder's file, or was changed", path)
		}
		founders = append(founders, f)
		files[f] = path
	}
	return founders, files, nil
}

// SignNetwork adds the signature of the relay in this state folder to the genesis
// document in the file, and binds the folder to that network. One that begins later than now
// it refuses: a document is made with the time of its making, so that one of the two clocks
// is wrong, and what is signed cannot be changed.
func (s *State) SignNetwork(path string, now time.Time) (*NetworkInfo, error) {
	doc, err := readDraft(path)
	if err != nil {
		return nil, err
	}
	keys, err := s.loadKeys()
	if err != nil {
		return nil, err
	}
	defer keys.wipe()
	if err := keys.needIdentity("a network's document"); err != nil {
		return nil, err
	}
	identity := keys.identityKey()
	defer clear(identity)
	if err := doc.Sign(identity); err != nil {
		return nil, fault(Usage, "not_founder",
			"Give this relay's founder file to whoever makes the document: chive keys founder, then chive network new --founder FILE.",
			"The relay in %s is not a founder of the network %s", s.dir, doc.Name)
	}
	if text := beginsLater(doc, now); text != "" {
		return nil, fault(Usage, "genesis_ahead", fixLater+" Then sign.", "%s is not signed. %s", path, text)
	}
	note, err := s.bindSigned(doc)
	if err != nil {
		return nil, err
	}
	if err := writeGenesis(path, doc); err != nil {
		return nil, err
	}
	info := describe(doc)
	if note != "" {
		info.Notes = []string{note}
	}
	if doc.Predecessor != nil {
		info.Notes = append(info.Notes, "This document succeeds another network. What it takes over can be compared with your own last list: chive network lint --successor-of DIR --predecessor FILE "+quote(path))
	}
	return info, nil
}

// genesisSlack is by how much the clocks of founders may differ.
const genesisSlack = time.Minute

// fixLater is what to do where a network begins later than now.
const fixLater = "Set this machine's clock, for example with timedatectl set-ntp true. If it is right, that of whoever made the document was fast: have it made anew, chive network new."

// beginsLater says that a network begins later than now, or nothing.
func beginsLater(doc *genesis.Document, now time.Time) string {
	ahead := doc.Time.Sub(now)
	if ahead <= genesisSlack {
		return ""
	}
	return fmt.Sprintf("The network %s begins at %s UTC, and this machine's clock says %s, which is %s before that",
		doc.Name, doc.Time.UTC().Format(time.DateTime), now.UTC().Format(time.DateTime), long(ahead))
}

// Finding is one thing that is wrong or doubtful with a genesis document.
type Finding struct {
	Error bool // the network cannot run with it; else it is a warning
	Text  string
	Good  bool // it is no fault, but what was found to be right
}

// LintNetwork says everything that is wrong or doubtful with the genesis document
// in the file, and whether by this clock it has begun. The fault is about the file itself.
func LintNetwork(path string, now time.Time) (*NetworkInfo, []Finding, error) {
	doc, err := readDraft(path)
	var refused *genesis.RefusedError
	if err != nil && (doc == nil || !errors.As(err, &refused)) {
		return nil, nil, err
	}
	var out []Finding
	for _, f := range doc.Lint() {
		out = append(out, Finding{Error: f.Error, Text: f.Text})
	}
	if text := beginsLater(doc, now); text != "" {
		out = append(out, Finding{Text: text + ". " + fixLater})
	}
	if err := doc.Verify(); err != nil {
		f := genesisFault(path, doc, err)
		out = append(out, Finding{Error: true, Text: f.Text + ". " + f.Fix})
	}
	return describe(doc), out, nil
}

// LintSuccessor is LintNetwork of a document that succeeds another network, and says where
// it does not agree with the last list that the caller's own relay holds.
func LintSuccessor(path string, of Succeeding, now time.Time) (*NetworkInfo, []Finding, error) {
	info, out, err := LintNetwork(path, now)
	if err != nil {
		return nil, nil, err
	}
	doc, err := readDraft(path)
	if doc == nil {
		return nil, nil, err
	}
	taken, _, err := of.read()
	var f *Fault
	switch {
	case errors.As(err, &f): // what else was found is worth as much
		return info, append(out, Finding{Error: true, Text: "It could not be compared with your own list: " + f.Text + ". " + f.Fix}), nil
	case err != nil:
		return nil, nil, err
	}
	found := compareHeirs(doc, taken)
	if len(found) == 0 { // said in any case: signatures are missing when founders compare
		found = []Finding{{Good: true, Text: fmt.Sprintf("It succeeds the network and list that you named, and takes over %s, which agree with that list", count(len(doc.Heirs), "age"))}}
	}
	return info, append(out, found...), nil
}

// ShowNetwork reads the genesis document in the file, which may lack signatures.
func ShowNetwork(path string) (*NetworkInfo, error) {
	doc, err := readDraft(path)
	if err != nil {
		return nil, err
	}
	return describe(doc), nil
}

// NetworkInfo is what a genesis document says.
type NetworkInfo struct {
	Name      string
	Testnet   bool
	NetworkID string // hexadecimal
	Time      time.Time
	Epoch     time.Duration
	Missing   int // signatures
	Founders  []FounderInfo
	Notes     []string // for whoever has made or signed it
	// Predecessor is the network that this one succeeds, hexadecimal; empty: none. Heirs
	// is how many of its relays come back with their age.
	Predecessor string
	Heirs       int
}

// FounderInfo is what a genesis document says about one founder.
type FounderInfo struct {
	Identity  string // hexadecimal
	RID       string // hexadecimal
	Addresses []netip.AddrPort
	RateKbit  uint32 // kbit/s
	Exit      string // what it permits, in words; "off"
	Family    string // hexadecimal; empty: none
	Signed    bool
}

func describe(doc *genesis.Document) *NetworkInfo {
	nid := doc.NetworkID()
	missing := doc.Missing()
	n := &NetworkInfo{
		Name: doc.Name, Testnet: doc.Testnet, NetworkID: hex.EncodeToString(nid[:]),
		Time: doc.Time, Epoch: doc.Params.EpochLen, Missing: len(missing),
	}
	if p := doc.Predecessor; p != nil {
		n.Predecessor, n.Heirs = hex.EncodeToString(p.NetworkID[:]), len(doc.Heirs)
	}
	for _, f := range doc.Founders {
		rid := record.NewRID(nid, f.Identity)
		info := FounderInfo{
			Identity: hex.EncodeToString(f.Identity), RID: hex.EncodeToString(rid[:]),
			Addresses: f.Addresses, RateKbit: f.DeclaredRate, Exit: "off", Signed: true,
			Family: hex.EncodeToString(f.Family),
		}
		if len(f.Policy) > 0 {
			info.Exit = describePolicy(f.Policy)
		}
		n.Founders = append(n.Founders, info)
	}
	for _, i := range missing {
		n.Founders[i].Signed = false
	}
	return n
}

// loadGenesis reads the genesis document in the file and verifies it.
func loadGenesis(path string) (*genesis.Document, error) {
	if path == "" {
		return nil, fault(Unreachable, "no_network",
			"Start a network on this machine: chive testnet up. Or name a network's genesis document: --genesis FILE (chive network new makes one).",
			"No public network is built into this version")
	}
	doc, err := readDraft(path)
	if err != nil {
		return nil, err
	}
	if err := doc.Verify(); err != nil {
		return nil, genesisFault(path, doc, err)
	}
	return doc, nil
}

// NetworkNamed is the network of a genesis document in the words of [Examined]'s Relay and
// Client. The document is not verified. Error: a Fault.
func NetworkNamed(path string) (string, error) {
	doc, err := readDraft(path)
	if err != nil {
		return "", err
	}
	return shortNetwork(networkLine(doc)), nil
}

// loadGenesisFor is loadGenesis for what runs in the state folder state: where no document is
// named, the network that it ran in is.
func loadGenesisFor(state, path string) (*genesis.Document, error) {
	doc, err := loadGenesis(path)
	if path != "" {
		return doc, err
	}
	s := &State{dir: state}
	for _, file := range []string{networkFile, relayNetworkFile} {
		if kept, _, there, unread := s.readBinding(file); unread == nil && there && isNetworkLine(kept) {
			return nil, fault(Unreachable, "no_network", "Name that network's genesis document: --genesis FILE. A daemon keeps none; who gave it to you has it, and chive network show FILE compares.",
				"No network is named. The state folder %s ran in %s", state, shortNetwork(kept))
		}
	}
	return nil, err
}

// readDraft reads a genesis document that may lack signatures. With a fault that
// says that the document breaks rules comes the document.
func readDraft(path string) (*genesis.Document, error) {
	data, err := store.ReadFile(path, genesis.MaxTestnetSize)
	if err != nil {
		return nil, genesisUnread(path, err)
	}
	doc, err := genesis.ParseDraft(data)
	if _, notFounder := record.ParseFounderFile(data); err != nil && notFounder == nil {
		return nil, fault(Usage, "genesis_is_founder", "Make the document of all founders' files: chive network new NAME --founder FILE ... --out FILE",
			"%s is a founder's file, not a genesis document", path)
	}
	if err != nil {
		return doc, genesisFault(path, doc, err)
	}
	return doc, nil
}

// genesisUnread says that a document cannot be read. It is public, and a service of the
// system runs as a user of its own.
func genesisUnread(path string, err error) *Fault {
	f := fileFault(path, "genesis document", err)
	if f.Code == "file_forbidden" {
		f.Fix = "It holds no secret: let everybody read it, chmod a+r " + quote(path) + ", in a folder that everybody may enter, such as /etc/chive."
	}
	return f
}

func writeGenesis(path string, doc *genesis.Document) error {
	data, err := doc.Encode()
	if err != nil {
		return err
	}
	return writePublic(path, data)
}

// genesisError is a Fault that keeps its cause.
type genesisError struct {
	*Fault
	cause error
}

func (e *genesisError) Unwrap() []error { return []error{e.Fault, e.cause} }

func genesisFault(path string, doc *genesis.Document, err error) *genesisError {
	if errors.Is(err, genesis.ErrDocument) && isAnchor(path) {
		f := fault(Usage, "genesis_is_anchor", "Name it with --anchor, and the network's genesis document with --genesis.", "%s is an anchor, not a genesis document", path)
		return &genesisError{f, err}
	}
	f := fault(Usage, "genesis_damaged", "Get the file again from the network's founders, and compare what chive network show prints.",
		"%s is not a genesis document, or was changed", path)
	var refused *genesis.RefusedError
	switch {
	case errors.Is(err, genesis.ErrUnsigned):
		f = fault(Usage, "genesis_unsigned", "Each founder that is missing runs: chive network sign "+quote(path)+"; chive network show "+quote(path)+" names them.",
			"%s lacks the signatures of %d of its %d founders", path, len(doc.Missing()), len(doc.Founders))
	case errors.Is(err, genesis.ErrSignature):
		f = fault(Usage, "genesis_forged", "Get the file again from the network's founders.", "%s holds a founder's signature that does not verify", path)
	case errors.As(err, &refused):
		f = refusedFault(path, err, nil)
	}
	return &genesisError{f, err}
}

// refusedFault puts the rules that a document breaks into words.
func refusedFault(what string, err error, files map[*record.Founder]string) *Fault {
	var refused *genesis.RefusedError
	if !errors.As(err, &refused) {
		return fault(Usage, "genesis_refused", "Leave out founders, or make a testnet: --testnet.", "%s cannot be made a genesis document (%s)", what, oneLine(err))
	}
	if len(refused.Findings) > 1 {
		text := what + " breaks rules of networks:"
		for _, f := range refused.Findings {
			text += "\n  " + founderNamed(f, files)
		}
		return fault(Usage, "genesis_refused", "Put each of them right.", "%s", text)
	}
	first, fix, _ := strings.Cut(founderNamed(refused.Findings[0], files), ": ")
	if fix == "" {
		fix = "Make the document anew."
	}
	return fault(Usage, "genesis_refused", sentence(strings.TrimSuffix(fix, ".")), "%s breaks a rule of networks: %s", what, first)
}

// founderNamed is what a finding says, with the file and the address of the founder whom
// it is about.
func founderNamed(f genesis.Finding, files map[*record.Founder]string) string {
	file, known := files[f.Founder]
	if !known {
		return f.Text
	}
	if len(f.Founder.Addresses) > 0 {
		file += " (" + f.Founder.Addresses[0].String() + ")"
	}
	return f.Named(file)
}

// genesisName is the file that WriteGenesis writes.
const genesisName = "genesis.chive"

// MakeGenesisFolder makes the folder for WriteGenesis, and refuses one that holds
// a network's document.
func MakeGenesisFolder(folder string) error {
	if folder == "" {
		return fault(Usage, "folder_missing", "Name the folder to write to: --keep DIR.", "There is no folder for the genesis document")
	}
	if info, err := os.Stat(folder); err == nil && !info.IsDir() {
		return fault(Usage, "folder_is_file", "Name a folder: --keep DIR.", "%s is a file, not a folder", folder)
	}
	if err := store.MakeFolder(folder); err != nil {
		return fileFault(folder, "folder", err)
	}
	err := fresh(filepath.Join(folder, genesisName))
	if f, ok := errors.AsType[*Fault](err); ok && f.Code == "file_exists" {
		return fault(Usage, "folder_used", "Name another folder, or remove this one first: --keep DIR. A testnet that has ended does not go on.",
			"%s holds a network already: %s is there", folder, genesisName)
	}
	return err
}

// WriteGenesis writes a network's document into a folder of MakeGenesisFolder and
// returns the file's path.
func WriteGenesis(folder string, doc *genesis.Document) (string, error) {
	path := filepath.Join(folder, genesisName)
	if err := fresh(path); err != nil {
		return "", err
	}
	return path, writeGenesis(path, doc)
}
