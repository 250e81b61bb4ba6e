// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"chive/directory/record"
	"chive/internal/store"
)

// FounderOptions say what a relay declares when it helps to found a network.
type FounderOptions struct {
	Declaring
	Out string // the file to write
}

// Made is what was declared, and what was made for it.
type Made struct {
	Identity  string // hexadecimal
	Addresses []netip.AddrPort
	Exit      string // what it permits, in words; "off"
	Policy    string // off, web, reduced, or custom
	RateKbit  uint32 // kbit/s
	KeysMade  bool   // the state folder held none before
	Offline   bool   // its identity key is elsewhere
	Family    string // public key of the family, hexadecimal; empty: none
	NewFamily bool   // the family's key was made
	Hidden    []string
	Unseen    string // that clients see nothing of an exit policy that permits something; empty: they do, or it permits nothing
}

// Founding is what Found did.
type Founding struct {
	Made
	File  string
	About About // what it is called, and who answers for it
}

// made begins a Made with what is declared.
func (d *declared) made() Made {
	m := Made{Addresses: d.Addresses, Exit: "off", Policy: d.Exit, RateKbit: d.RateKbit}
	if d.isExit() {
		m.Exit = describePolicy(d.policy.Summary())
	}
	m.Hidden = hiddenWords(d.policy.Hidden())
	if d.unseen() {
		m.Unseen = unseenNote
	}
	return m
}

// roles are what every relay offers, the exit aside.
const roles = record.RoleGuard | record.RoleHSDir | record.RoleRendezvous | record.RoleMailbox

// Found writes the founder's file of the relay in this state folder, and makes the
// relay's keys if there are none. What it declares is kept for the relay's runs.
// Spec: directory §2; product CLI-2.
func (s *State) Found(o FounderOptions, rand io.Reader, now time.Time) (*Founding, error) {
	if err := fresh(o.Out); err != nil {
		return nil, err
	}
	d, err := s.declare(o.Declaring)
	if err != nil {
		return nil, err
	}
	if len(d.Addresses) == 0 {
		return nil, errNoAddress("A founder")
	}
	f := record.Founder{Roles: roles, Addresses: d.Addresses, DeclaredRate: d.RateKbit, Policy: d.policy.Summary()}
	if d.isExit() {
		f.Roles |= record.RoleExit
	}
	done := &Founding{File: o.Out, Made: d.made(), About: d.About}
	if err := s.foundKeys(d, &f, done, rand, now); err != nil {
		return nil, err
	}
	return done, s.keepDeclared(d)
}

// foundKeys fills in the keys, and signs and writes the file.
func (s *State) foundKeys(d *declared, f *record.Founder, done *Founding, rand io.Reader, now time.Time) error {
	ring, err := s.foundRing(done, rand, now)
	if err != nil {
		return err
	}
	defer ring.wipe()
	identity := ring.identityKey()
	defer clear(identity)
	public, err := ring.identityPublic()
	if err != nil {
		return err
	}
	f.Identity = public[:]
	if f.Onion, err = ring.onion[ring.onion.current()].public(); err != nil {
		return err
	}
	if f.VRF, err = ring.vrf.public(); err != nil {
		return err
	}
	if f.Committee, err = ring.founderKeys(); err != nil {
		return err
	}
	if done.NewFamily, err = d.makeFamily(rand, now); err != nil {
		return err
	}
	if d.Family != nil {
		f.Family = d.Family.Key
		done.Family = hex.EncodeToString(f.Family)
	}
	done.Identity = hex.EncodeToString(public[:])
	data, err := f.SignFile(identity)
	if err != nil {
		return fault(Usage, "founder", "Check --address, --exit and --rate.", "These values do not make a founder's record")
	}
	return writePublic(done.File, data)
}

// foundRing opens the keys of a founder, and makes those that are not there. A relay
// that runs may found another network while it has the first terms' keys.
func (s *State) foundRing(done *Founding, rand io.Reader, now time.Time) (*keyRing, error) {
	var err error
	if done.KeysMade, err = s.needOrMakeKeys(rand, now); err != nil {
		return nil, err
	}
	keys, err := s.loadKeys()
	if err != nil {
		return nil, err
	}
	if err := keys.needIdentity("a founder's file"); err != nil {
		keys.wipe()
		return nil, err
	}
	ring := s.newRing(keys, rand)
	if keys.founders() {
		return ring, nil
	}
	bound, err := exists(s.path(relayNetworkFile), "file")
	if err == nil && bound {
		err = fault(Usage, "keys_used", "Found the network with fresh keys: --state of an empty folder.",
			"The relay in %s has served in a network, and no longer has the first committee keys that a founder needs", s.dir)
	}
	if err == nil {
		err = s.Lock() // others are made
	}
	if err != nil {
		ring.wipe()
		return nil, err
	}
	return ring, nil
}

// needOrMakeKeys makes a relay's keys if the folder holds none.
func (s *State) needOrMakeKeys(rand io.Reader, now time.Time) (made bool, err error) {
	there, err := s.hasKeys()
	if err != nil || there {
		return false, err
	}
	if err := s.Lock(); err != nil {
		return false, err
	}
	return true, s.createKeys(rand, now)
}

// fresh refuses to overwrite a file.
func fresh(path string) error {
	if path == "" {
		return fault(Usage, "out_missing", "Name the file to write: --out FILE.", "There is no place for the result")
	}
	_, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fileFault(path, "file", err)
	default:
		return fault(Usage, "file_exists", "Name another file, or remove that one first.", "The file %s is there already and is not overwritten", path)
	}
	folder := filepath.Dir(path)
	info, err := os.Stat(folder)
	if err != nil {
		return fileFault(folder, "folder", err)
	}
	if !info.IsDir() {
		return fault(Usage, "file_missing", "Check the path.", "%s is no folder", folder)
	}
	return nil
}

// writePublic writes a file that others may read.
func writePublic(path string, data []byte) error {
	if err := store.WriteFile(path, data); err != nil {
		return fileFault(path, "file", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		return fileFault(path, "file", err)
	}
	return nil
}
