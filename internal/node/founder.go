// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"chive/directory/record"
	"chive/internal/config"
	"chive/internal/store"
)

// FounderOptions say what a relay declares when it helps to found a network.
type FounderOptions struct {
	Addresses []string // IP:PORT, 1 to 4
	Exit      string   // off, web, reduced or a file of rules; empty: off
	Rate      string   // with a unit, such as 1 MiB/s
	Family    string   // file of the family's key, made if it is not there; empty: none
	About     About
	Out       string // the file to write
}

// Founding is what Found did.
type Founding struct {
	File      string
	Identity  string // hexadecimal
	Addresses []netip.AddrPort
	Exit      string // what it permits, in words; "off"
	RateKbit  uint32 // kbit/s
	KeysMade  bool   // the state folder held none before
	Family    string // public key of the family, hexadecimal; empty: none
	NewFamily bool   // the family's key was made
	Hidden    []string
}

// roles are what every founder offers, the exit aside.
const roles = record.RoleGuard | record.RoleHSDir | record.RoleRendezvous | record.RoleMailbox

// Found writes the founder's file of the relay in this state folder, and makes the
// relay's keys if there are none. Spec: directory §2; product CLI-2.
func (s *State) Found(o FounderOptions, rand io.Reader, now time.Time) (*Founding, error) {
	f := record.Founder{Roles: roles}
	var err error
	if f.Addresses, err = parseAddresses(o.Addresses); err != nil {
		return nil, err
	}
	bits, err := config.ParseRate(o.Rate)
	if err != nil || bits/1000 > math.MaxUint32 || bits < 1000 {
		return nil, fault(Usage, "rate", "Write a number with its unit, such as 2 MiB/s or 20 Mbit/s.", "--rate %s is no rate", o.Rate)
	}
	f.DeclaredRate = uint32(bits / 1000)
	policy, err := exitPolicy(o.Exit)
	if err != nil {
		return nil, err
	}
	if f.Policy = policy.Summary(); len(f.Policy) > 0 {
		f.Roles |= record.RoleExit
	}
	if err := fresh(o.Out); err != nil {
		return nil, err
	}
	about, err := s.about(o.About)
	if err != nil {
		return nil, err
	}
	if err := about.needContact(len(f.Policy) > 0); err != nil {
		return nil, err
	}
	done := &Founding{File: o.Out, Addresses: f.Addresses, Exit: "off", RateKbit: f.DeclaredRate}
	if len(f.Policy) > 0 {
		done.Exit = describePolicy(f.Policy)
	}
	for _, h := range policy.Hidden() {
		done.Hidden = append(done.Hidden, h.Rule+": "+h.Why)
	}
	if err := s.foundKeys(o, &f, done, rand, now); err != nil {
		return nil, err
	}
	return done, s.keepAbout(about)
}

// foundKeys fills in the keys, and signs and writes the file.
func (s *State) foundKeys(o FounderOptions, f *record.Founder, done *Founding, rand io.Reader, now time.Time) error {
	there, err := s.hasKeys()
	if err != nil {
		return err
	}
	if !there {
		if o.Family != "" { // a bad one is found out before there are keys
			if err := checkFamily(o.Family); err != nil {
				return err
			}
		}
		if err := s.Lock(); err != nil {
			return err
		}
		if err := s.createKeys(rand, now); err != nil {
			return err
		}
		done.KeysMade = true
	}
	keys, err := s.loadKeys()
	if err != nil {
		return err
	}
	defer keys.wipe()
	if len(keys.committee) < founderTerms || keys.committee[0].term != 0 || keys.committee[1].term != 1 {
		return fault(Usage, "keys_used", "Found the network with fresh keys: --state of an empty folder.",
			"The keys in %s no longer have the first committee keys that a founder needs", s.dir)
	}
	identity := keys.identityKey()
	defer clear(identity)
	public, err := keys.identity.public()
	if err != nil {
		return err
	}
	f.Identity = public[:]
	if f.Onion, err = keys.onion[0].public(); err != nil {
		return err
	}
	if f.VRF, err = keys.vrf.public(); err != nil {
		return err
	}
	for term := range founderTerms {
		if f.Committee[term], err = keys.committee[term].public(); err != nil {
			return err
		}
	}
	if o.Family != "" {
		key, err := familyKey(o.Family, rand, now, done)
		if err != nil {
			return err
		}
		f.Family = key[:]
		done.Family = hex.EncodeToString(key[:])
	}
	done.Identity = hex.EncodeToString(public[:])
	data, err := f.SignFile(identity)
	if err != nil {
		return fault(Usage, "founder", "Check --address, --exit and --rate.", "These values do not make a founder's record")
	}
	return writePublic(o.Out, data)
}

// checkFamily refuses a file that is there and is not a family's key.
func checkFamily(path string) error {
	if there, err := exists(path, "family key"); err != nil || !there {
		return err
	}
	k, err := readKey(path, useFamily)
	if err == nil {
		clear(k.seed[:])
	}
	return err
}

// familyKey reads the family's key, or makes it, and returns the public half.
func familyKey(path string, rand io.Reader, now time.Time, done *Founding) ([32]byte, error) {
	there, err := exists(path, "family key")
	if err != nil {
		return [32]byte{}, err
	}
	if !there {
		k := &secretKey{use: useFamily, created: now.UTC().Truncate(time.Second)}
		if err := writeKey(path, k, rand); err != nil {
			return [32]byte{}, err
		}
		clear(k.seed[:])
		done.NewFamily = true
	}
	k, err := readKey(path, useFamily)
	if err != nil {
		return [32]byte{}, err
	}
	defer clear(k.seed[:])
	return k.public()
}

// parseAddresses reads the addresses that a relay publishes.
func parseAddresses(texts []string) ([]netip.AddrPort, error) {
	const fix = "Give the address that others reach this relay at: --address IP:PORT, for example --address 127.0.0.1:9240 in a testnet on one machine."
	if len(texts) == 0 {
		return nil, fault(Usage, "address_missing", fix, "A founder needs an address")
	}
	var out []netip.AddrPort
	for _, text := range texts {
		a, err := netip.ParseAddrPort(text)
		if err != nil {
			return nil, fault(Usage, "address", fix, "--address %s is not an IP address with a port", text)
		}
		out = append(out, a)
	}
	if record.CheckAddresses(out) != nil {
		return nil, fault(Usage, "address", fix,
			"These addresses cannot be published: at most %d of each IP version, none twice, none unspecified or multicast", record.MaxAddressesPerVersion)
	}
	return out, nil
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
