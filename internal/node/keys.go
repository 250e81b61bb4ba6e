// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"cmp"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"chive/internal/store"
)

// Files in relay/keys. An onion key's file carries its serial number.
const (
	identityFile    = "identity.key"
	vrfFile         = "vrf.key"
	committeePrefix = "committee-"
	onionPrefix     = "onion-"
	keySuffix       = ".key"
	founderTerms    = 2  // a founder has committee keys for the terms 0 and 1
	maxKeyFiles     = 64 // in the folder
)

// committeeName is the file of a term's key.
func committeeName(term uint64) string {
	return committeePrefix + strconv.FormatUint(term, 10) + keySuffix
}

// relayKeys are the secret keys of one relay.
type relayKeys struct {
	folder    string
	identity  *secretKey       // nil: offline
	offline   *offlineIdentity // nil: identity is here
	vrf       *secretKey
	committee []*secretKey // by term
	onion     onionKeys
}

// Format prints nothing of the keys, whatever the verb (KEY-5).
func (k *relayKeys) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("keys(redacted)")) }

// wipe clears the keys, as far as Go lets it (KEY-7).
func (k *relayKeys) wipe() {
	for _, s := range k.all() {
		clear(s.seed[:])
	}
	k.offline.wipe()
}

func (k *relayKeys) all() []*secretKey {
	out := append([]*secretKey{k.vrf}, k.committee...)
	if k.identity != nil {
		out = slices.Insert(out, 0, k.identity)
	}
	for _, o := range k.onion {
		out = append(out, o.secretKey)
	}
	return out
}

// hasKeys reports whether the folder holds a relay's keys.
func (s *State) hasKeys() (bool, error) { return exists(s.path(keysFolder), "key folder") }

// createKeys makes a new relay's keys; the committee's are made when their terms
// come. They appear all at once: a kill leaves either no keys or all of them. The
// caller holds the lock.
func (s *State) createKeys(rand io.Reader, now time.Time) error {
	return s.createKeysOf(nil, rand, now)
}

// createKeysOf is createKeys; offline is the public half of an identity that is kept
// elsewhere, or nil.
func (s *State) createKeysOf(offline *[32]byte, rand io.Reader, now time.Time) error {
	fresh, err := s.folder(keysFolder + ".new")
	if err != nil {
		return err
	}
	if err := os.RemoveAll(fresh); err != nil { // what a kill left behind
		return fileFault(fresh, "key folder", err)
	}
	if fresh, err = s.folder(keysFolder + ".new"); err != nil {
		return err
	}
	now = now.UTC().Truncate(time.Second)
	made := map[string]*secretKey{
		identityFile:               {use: useIdentity},
		vrfFile:                    {use: useVRF},
		onionName(firstSerial):     {use: useOnion, active: now},
		onionName(firstSerial + 1): {use: useOnion},
	}
	if offline != nil {
		delete(made, identityFile)
		if err := store.Replace(filepath.Join(fresh, offlinePublicFile), encodePublic(*offline)); err != nil {
			return fileFault(fresh, "public identity", err)
		}
	}
	for name, k := range made {
		k.created = now
		if err := writeKey(filepath.Join(fresh, name), k, rand); err != nil {
			return err
		}
		clear(k.seed[:])
	}
	if err := os.Rename(fresh, s.path(keysFolder)); err != nil {
		return fileFault(s.path(keysFolder), "key folder", err)
	}
	return nil
}

// writeKey draws the key's secret and writes its file.
func writeKey(path string, k *secretKey, rand io.Reader) error {
	if _, err := io.ReadFull(rand, k.seed[:]); err != nil {
		return fault(Failed, "no_randomness", "Restart the machine; if that does not help, do not run chive on it.", "The system gives no random bytes")
	}
	return saveKey(path, k)
}

// saveKey writes a key's file in place of the one before.
func saveKey(path string, k *secretKey) error {
	data, err := k.encode()
	if err != nil {
		return err
	}
	defer clear(data)
	if err := store.Replace(path, data); err != nil {
		return fileFault(path, "key file", err)
	}
	return nil
}

// readKey reads a key file.
func readKey(path string, want use) (*secretKey, error) {
	data, err := store.ReadKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault(Usage, "key_missing",
			"Restore it from a backup. Without one this relay is lost: make another with chive relay init and --state of an empty folder.",
			"The key file %s is missing", path)
	}
	if err != nil {
		return nil, fileFault(path, "key file", err)
	}
	defer clear(data)
	k, err := decodeKey(data, want)
	if err != nil {
		fix := "Restore it from a backup."
		if want == useOnion {
			fix = "Restore it from a backup. Where another onion key is beside it this one may be removed instead: circuits begun with it fail until clients have a newer list."
		}
		if want == useCommittee {
			fix = "Restore it from a backup, or remove it: this relay then takes no part in the committee in that term."
		}
		return nil, fault(Usage, "key_damaged", fix, "The key file %s is damaged or is not the %s key", path, want)
	}
	return k, nil
}

// needKeys refuses a folder without a relay's keys, before anything is written.
func (s *State) needKeys() error {
	there, err := s.hasKeys()
	if err == nil && !there {
		err = s.noKeys()
	}
	return err
}

func (s *State) noKeys() *Fault {
	f := fault(Usage, "keys_missing",
		"Check --state. A new relay's keys are made with: chive relay init --state "+quote(s.dir)+" --address IP:PORT",
		"The state folder %s holds no keys of a relay", s.dir)
	if there, err := exists(s.dir, "state folder"); err == nil && !there {
		f.Text = "There is no state folder " + s.dir + ", and so no keys of a relay"
	}
	return f
}

// loadKeys reads a relay's keys. The caller wipes them.
func (s *State) loadKeys() (*relayKeys, error) {
	folder := s.path(keysFolder)
	there, err := s.hasKeys()
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, s.noKeys()
	}
	if err := s.checkFolders(folder); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fileFault(folder, "key folder", err)
	}
	if len(entries) > maxKeyFiles {
		return nil, fault(Usage, "key_folder", "Move what does not belong there.", "The key folder %s holds more files than a relay has keys", folder)
	}
	k := &relayKeys{folder: folder}
	if k.offline, err = loadOffline(folder); err != nil {
		return nil, err
	}
	if k.offline == nil {
		if k.identity, err = readKey(filepath.Join(folder, identityFile), useIdentity); err != nil {
			return nil, s.maybeOffline(err)
		}
	}
	if k.vrf, err = readKey(filepath.Join(folder, vrfFile), useVRF); err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case strings.HasPrefix(name, committeePrefix) && strings.HasSuffix(name, keySuffix):
			c, err := readKey(filepath.Join(folder, name), useCommittee)
			if err != nil {
				return nil, err
			}
			k.committee = append(k.committee, c)
		case strings.HasPrefix(name, onionPrefix) && strings.HasSuffix(name, keySuffix):
			o, err := readOnion(folder, name)
			if err != nil {
				return nil, err
			}
			k.onion = append(k.onion, o)
		}
	}
	slices.SortFunc(k.committee, func(a, b *secretKey) int { return cmp.Compare(a.term, b.term) })
	k.onion.sort()
	if len(k.onion) == 0 {
		return nil, fault(Usage, "key_missing", "Restore it from a backup.", "The key folder %s holds no onion key", folder)
	}
	return k, nil
}

// maybeOffline says, where identity.key is missing, what to do if it was moved away.
func (s *State) maybeOffline(err error) error {
	var f *Fault
	if errors.As(err, &f) && f.Code == "key_missing" {
		f.Fix += " If it is kept offline from now on: chive relay init --state " + quote(s.dir) + " --offline-identity DIR."
	}
	return err
}

// identityKey returns the relay's signing key; needIdentity says whether there is one.
func (k *relayKeys) identityKey() ed25519.PrivateKey { return k.identity.signing() }

// KeyInfo is what may be shown of a key.
type KeyInfo struct {
	Use     string    // identity, onion, vrf, committee; of an offline identity also signing, link, request
	Term    int64     // of a committee key, else -1
	Public  string    // hexadecimal
	Created time.Time // whole seconds, UTC; zero: not known
	Ends    time.Time // of what an offline identity has certified; else zero
	Spent   bool      // it is not used any more
	File    string
}

// Keys lists a relay's keys without their secrets.
func (s *State) Keys() ([]KeyInfo, error) {
	k, err := s.loadKeys()
	if err != nil {
		return nil, err
	}
	defer k.wipe()
	var out []KeyInfo
	for _, key := range k.all() {
		public, err := key.public()
		if err != nil {
			return nil, err
		}
		info := KeyInfo{Use: string(key.use), Term: -1, Public: hex.EncodeToString(public[:]), Created: key.created}
		switch key.use {
		case useIdentity:
			info.File = identityFile
		case useVRF:
			info.File = vrfFile
		case useCommittee:
			info.Term = int64(key.term)
			info.File = committeeName(key.term)
		}
		info.File = filepath.Join(k.folder, info.File)
		out = append(out, info)
	}
	for i, o := range k.onion {
		out[len(out)-len(k.onion)+i].File = filepath.Join(k.folder, onionName(o.serial))
	}
	if k.offline != nil {
		return append(k.offline.infos(k.folder), out...), nil
	}
	return out, nil
}
