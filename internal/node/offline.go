// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"chive/internal/store"
)

// A relay's identity key may be kept away from the relay: in a folder of its own, on
// another machine. The relay's folder then has identity.pub in place of identity.key. The
// relay asks for a signing key and link keys to be certified (keys request), the identity
// certifies them for 30 days at most (keys sign), and the relay takes the answer (keys
// install): three files and three commands.
//
// Spec: product REL-12; protocol §1 (LINK-4), §7 (DIR-2).

// OfflineIdentity is an identity that is kept away from its relay.
type OfflineIdentity struct {
	Dir      string
	Identity string // public key, hexadecimal
	Public   string // the file for the relay's machine
}

// InitOffline makes an identity in a folder that holds none.
func InitOffline(dir string, rand io.Reader, now time.Time) (*OfflineIdentity, error) {
	if dir == "" {
		return nil, fault(Usage, "folder_missing", "Name it: chive keys init-offline DIR.", "There is no folder for the identity")
	}
	dir = filepath.Clean(dir)
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, fault(Usage, "folder_is_file", "Name a folder.", "%s is a file", dir)
	}
	path := filepath.Join(dir, identityFile)
	there, err := exists(path, "key file")
	if err == nil && there {
		err = fault(Usage, "identity_there", "Name an empty folder; or use the identity that is there: chive relay init --offline-identity "+quote(dir),
			"The folder %s holds an identity already, which is not overwritten", dir)
	}
	if err != nil {
		return nil, err
	}
	if err := store.MakeFolder(dir); err != nil {
		return nil, fileFault(dir, "folder", err)
	}
	if err := store.CheckFolder(dir); err != nil {
		return nil, fileFault(dir, "folder", err)
	}
	k := &secretKey{use: useIdentity, created: now.UTC().Truncate(time.Second)}
	defer clear(k.seed[:])
	if _, err := io.ReadFull(rand, k.seed[:]); err != nil {
		return nil, fault(Failed, "no_randomness", "Restart the machine; if that does not help, do not run chive on it.", "The system gives no random bytes")
	}
	public, err := k.public()
	if err != nil {
		return nil, err
	}
	// The key comes last: a kill before leaves a folder without an identity.
	done := &OfflineIdentity{Dir: dir, Identity: hex.EncodeToString(public[:]), Public: filepath.Join(dir, offlinePublicFile)}
	if err := writePublic(done.Public, encodePublic(public)); err != nil {
		return nil, err
	}
	return done, saveKey(path, k)
}

// readPublic reads identity.pub, or the one in a folder. Where a folder has the key alone
// that tells, too.
func readPublic(path string) (public [32]byte, err error) {
	path = filepath.Clean(path)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		folder := path
		path = filepath.Join(folder, offlinePublicFile)
		if there, err := exists(path, "public identity"); err == nil && !there {
			if there, err := exists(filepath.Join(folder, identityFile), "key file"); err == nil && there {
				k, err := readKey(filepath.Join(folder, identityFile), useIdentity)
				if err != nil {
					return public, err
				}
				defer clear(k.seed[:])
				return k.public()
			}
			return public, fault(Usage, "identity_missing", "Make one where the key is to be kept: chive keys init-offline DIR. Then bring its "+offlinePublicFile+" here.",
				"The folder %s holds no identity: neither %s nor %s", folder, offlinePublicFile, identityFile)
		}
	}
	data, err := store.ReadFile(path, maxPublicSize)
	if err != nil {
		return public, fileFault(path, "public identity", err)
	}
	if public, err = decodePublic(data); err != nil {
		return public, fault(Usage, "identity_damaged", "Name the file identity.pub that chive keys init-offline has written, or its folder.",
			"The file %s is damaged or is no identity's public key", path)
	}
	return public, nil
}

// adoptOffline makes the relay of this folder one whose identity is offline: a new one, or
// one whose identity.key was moved away. The caller holds the lock.
func (s *State) adoptOffline(from string, rand io.Reader, now time.Time) (made bool, err error) {
	public, err := readPublic(from)
	if err != nil {
		return false, err
	}
	there, err := s.hasKeys()
	if err != nil {
		return false, err
	}
	if !there {
		return true, s.createKeysOf(&public, rand, now)
	}
	folder := s.path(keysFolder)
	if err := s.checkFolders(folder); err != nil {
		return false, err
	}
	key := filepath.Join(folder, identityFile)
	if there, err := exists(key, "key file"); err != nil || there {
		if err == nil {
			err = fault(Usage, "identity_online",
				"Move it to where it is to be kept, and call this again: mv "+quote(key)+" "+quote(filepath.Join(from, identityFile))+". Copies of it may lie in backups.",
				"The identity key of this relay is here still, at %s", key)
		}
		return false, err
	}
	path := filepath.Join(folder, offlinePublicFile)
	if there, err := exists(path, "public identity"); err != nil {
		return false, err
	} else if there {
		kept, err := readPublic(path)
		if err == nil && kept != public {
			err = fault(Usage, "identity_other", "Give that identity a relay of its own: --state of an empty folder.",
				"The relay in %s has another offline identity already, which is not replaced", s.dir)
		}
		return false, err
	}
	return false, replace(path, encodePublic(public))
}

// offlineIdentity is what a relay's folder holds in place of identity.key.
type offlineIdentity struct {
	public    [32]byte
	certified *certifiedKeys // nil: nothing yet
	requested *requestedKeys // nil: none waits for an answer
}

func (o *offlineIdentity) wipe() {
	if o != nil {
		o.certified.wipe()
		o.requested.wipe()
	}
}

// loadOffline reads the files of an offline identity; nil: identity.key is to be there.
func loadOffline(folder string) (*offlineIdentity, error) {
	path := filepath.Join(folder, offlinePublicFile)
	there, err := exists(path, "public identity")
	if err != nil || !there {
		return nil, err
	}
	key := filepath.Join(folder, identityFile)
	if online, err := exists(key, "key file"); err != nil {
		return nil, err
	} else if online {
		return nil, fault(Usage, "identity_twice",
			"Move the key away, or remove "+quote(path)+" if the relay is to keep its identity key here again.",
			"The key folder %s holds an identity key, but says that the relay's identity is kept offline", folder)
	}
	o := &offlineIdentity{}
	if o.public, err = readPublic(path); err != nil {
		return nil, err
	}
	if o.certified, err = readCertified(folder); err != nil {
		return nil, err
	}
	if o.requested, err = readRequested(folder); err == nil &&
		(o.certified != nil && o.certified.answer.identity != o.public || o.requested != nil && o.requested.identity != o.public) {
		err = fault(Usage, "key_mixed", "Restore the folder from a backup, or remove "+certifiedFile+" and "+requestedFile+" from it and ask anew: chive keys request FILE.",
			"The key folder %s holds certified keys of another identity than its own", folder)
	}
	if err != nil {
		o.wipe()
		return nil, err
	}
	return o, nil
}

// readRequested reads requested.key; nil: there is none.
func readRequested(folder string) (*requestedKeys, error) {
	path := filepath.Join(folder, requestedFile)
	data, err := store.ReadKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fileFault(path, "key file", err)
	}
	defer clear(data)
	k, err := decodeRequested(data)
	if err != nil {
		return nil, fault(Usage, "key_damaged", "Remove it, and ask anew: chive keys request FILE.", "The key file %s is damaged or does not hold requested keys", path)
	}
	return k, nil
}

// needIdentity refuses what only the identity key itself can sign.
func (k *relayKeys) needIdentity(what string) error {
	if k.offline == nil {
		return nil
	}
	return fault(Usage, "identity_offline", "Do it with a relay whose identity key is in its state folder.",
		"The identity key of the relay in %s is kept offline, and only it can sign %s", filepath.Dir(filepath.Dir(k.folder)), what)
}

// identityPublic returns the relay's identity.
func (k *relayKeys) identityPublic() ([32]byte, error) {
	if k.offline != nil {
		return k.offline.public, nil
	}
	return k.identity.public()
}
