// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"archive/tar"
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"chive/internal/agefile"
	"chive/internal/store"
)

// A backup is a tar archive under a passphrase, which the tools age and tar open, too:
// backupNote, the files of relay/keys, and what the relay declares. The directory's store
// is not in it, and never may be: it holds what the relay has promised and signed since,
// and an old one would have it sign again (KEY-8).
//
// Spec: product REL-12.
const (
	backupNote   = "chive-backup"
	backupFirst  = "chive relay backup 1"
	restoredFile = "relay/restored"
)

// MinPassphraseSize is how long a backup's passphrase is at least, in bytes.
const MinPassphraseSize = 10

// maxBackupFiles bounds the files in a backup.
const maxBackupFiles = maxKeyFiles + 8

// besideKeys are the files of a backup that are no keys.
func besideKeys() []string { return []string{aboutFile, policyFile, relayNetworkFile} }

// Backup is what was written or put back.
type Backup struct {
	File     string
	Identity string // hexadecimal
	Keys     int
	Made     time.Time
	// Ran says that the relay may have been in a network's committee: restored, it takes
	// no seat before the terms that run then are over.
	Ran bool
}

// errBackup says that an archive is not a relay's backup.
var errBackup = errors.New("node: not a relay's backup")

// packed is one file in a backup.
type packed struct {
	name string
	data []byte
}

func wipePacked(files []packed) {
	for _, f := range files {
		clear(f.data)
	}
}

// WriteBackup writes the relay's keys, and what it declares, into a file under a
// passphrase. It overwrites nothing, and the relay may run meanwhile.
func (s *State) WriteBackup(file string, passphrase []byte, now time.Time) (*Backup, error) {
	return s.writeBackup(file, passphrase, now, agefile.WorkFactor)
}

func (s *State) writeBackup(file string, passphrase []byte, now time.Time, work int) (*Backup, error) {
	if err := fresh(file); err != nil {
		return nil, err
	}
	if err := CheckPassphrase(passphrase); err != nil {
		return nil, err
	}
	keys, err := s.loadKeys()
	if err != nil {
		return nil, err
	}
	defer keys.wipe()
	public, err := keys.identityPublic()
	if err != nil {
		return nil, err
	}
	done := &Backup{File: file, Identity: hex.EncodeToString(public[:]), Made: now.UTC().Truncate(time.Second)}
	files := []packed{{backupNote, []byte(backupFirst + "\n" + done.Made.Format(time.RFC3339) + "\n" +
		"Keys of a chive relay. Put them back with: chive keys restore FILE\n" +
		"Never run two relays with them at once.\n")}}
	defer func() { wipePacked(files) }()
	kept, err := keys.packed()
	files = append(files, kept...)
	if err != nil {
		return nil, err
	}
	done.Keys = len(kept)
	for _, name := range besideKeys() {
		data, err := store.ReadFile(s.path(name), agefile.MaxSize/2)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, fileFault(s.path(name), "file", err)
		}
		files = append(files, packed{name, data})
	}
	archive, err := pack(files, done.Made)
	defer clear(archive)
	if err != nil {
		return nil, err
	}
	sealed, err := agefile.Seal(passphrase, archive, work)
	if errors.Is(err, agefile.ErrSize) {
		return nil, fault(Usage, "backup_large", "Shorten the relay's exit policy.", "What belongs into the backup is larger than any such file")
	}
	if err != nil {
		return nil, fault(Failed, "no_randomness", "Restart the machine; if that does not help, do not run chive on it.", "The system gives no random bytes")
	}
	if err := store.WriteFile(file, sealed); err != nil {
		return nil, fileFault(file, "backup", err)
	}
	return done, nil
}

// packed are the files of the keys.
func (k *relayKeys) packed() ([]packed, error) {
	var out []packed
	add := func(name string, key *secretKey) error {
		data, err := key.encode()
		out = append(out, packed{path.Join(keysFolder, name), data})
		return err
	}
	err := add(vrfFile, k.vrf)
	if k.identity != nil {
		err = errors.Join(err, add(identityFile, k.identity))
	}
	if k.offline != nil {
		files, failed := k.offline.packed()
		out, err = append(out, files...), errors.Join(err, failed)
	}
	for _, c := range k.committee {
		err = errors.Join(err, add(committeeName(c.term), c))
	}
	for _, o := range k.onion {
		err = errors.Join(err, add(onionName(o.serial), o.secretKey))
	}
	return out, err
}

// CheckPassphrase refuses a passphrase that is soon guessed.
func CheckPassphrase(passphrase []byte) error {
	if len(passphrase) < MinPassphraseSize {
		return fault(Usage, "passphrase_short", "Use several words that nobody would guess together.", "A passphrase has at least %d characters", MinPassphraseSize)
	}
	return nil
}

// pack makes the archive.
func pack(files []packed, made time.Time) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o600, Size: int64(len(f.data)), ModTime: made, Format: tar.FormatUSTAR}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// unpack reads an archive: the note first, then files that a relay has, none twice.
// Error: errBackup.
func unpack(archive []byte) (files []packed, made time.Time, err error) {
	r := tar.NewReader(bytes.NewReader(archive))
	seen := map[string]bool{}
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || h.Typeflag != tar.TypeReg || h.Size > agefile.MaxSize || len(files) > maxBackupFiles || seen[h.Name] {
			return files, made, errBackup
		}
		seen[h.Name] = true
		data := make([]byte, h.Size)
		if _, err := io.ReadFull(r, data); err != nil {
			return files, made, errBackup
		}
		files = append(files, packed{h.Name, data})
	}
	if len(files) == 0 || files[0].name != backupNote {
		return files, made, errBackup
	}
	lines := strings.SplitN(string(files[0].data), "\n", 3)
	if len(lines) != 3 || lines[0] != backupFirst {
		return files, made, errBackup
	}
	if made, err = time.Parse(time.RFC3339, lines[1]); err != nil {
		return files, made, errBackup
	}
	for _, f := range files[1:] {
		if !slices.Contains(besideKeys(), f.name) && !isKeyFile(f) {
			return files, made, errBackup
		}
	}
	return files, made, nil
}

// isKeyFile reports whether a file of a backup is the key that its name says.
func isKeyFile(f packed) bool {
	folder, name := path.Split(f.name)
	if folder != keysFolder+"/" {
		return false
	}
	var k *secretKey
	var err error
	right := true
	switch {
	case name == identityFile:
		k, err = decodeKey(f.data, useIdentity)
	case isOfflineFile(name):
		return offlineFileHolds(name, f.data)
	case name == vrfFile:
		k, err = decodeKey(f.data, useVRF)
	case strings.HasPrefix(name, committeePrefix):
		if k, err = decodeKey(f.data, useCommittee); err == nil {
			right = name == committeeName(k.term)
		}
	case strings.HasPrefix(name, onionPrefix):
		if _, err = onionSerial(name); err == nil {
			k, err = decodeKey(f.data, useOnion)
		}
	default:
		return false
	}
	if err != nil {
		return false
	}
	clear(k.seed[:])
	return right
}

// ReadBackup puts a backup's relay into the state folder, which must hold none. It is put
// back whole or not at all, and marked: what it signed before is not known any more, so
// that it takes no seat until the terms that run then are over (KEY-8).
func (s *State) ReadBackup(file string, passphrase []byte, now time.Time) (*Backup, error) {
	sealed, err := store.ReadFile(file, agefile.MaxSize+agefile.MaxSize/2)
	if err != nil {
		return nil, fileFault(file, "backup", err)
	}
	archive, err := agefile.Open(passphrase, sealed)
	if err != nil {
		return nil, backupFault(file, err)
	}
	defer clear(archive)
	files, made, err := unpack(archive)
	defer wipePacked(files)
	if err != nil {
		return nil, backupFault(file, err)
	}
	done := &Backup{File: file, Made: made}
	if err := done.look(files); err != nil {
		return nil, backupFault(file, err)
	}
	if err := s.roomForRelay(); err != nil {
		return nil, err
	}
	if err := s.Lock(); err != nil {
		return nil, err
	}
	return done, s.putBack(files, now)
}

// look counts the keys, and refuses a backup that lacks one.
func (b *Backup) look(files []packed) error {
	onion, vrf := false, false
	for _, f := range files[1:] {
		switch name := path.Base(f.name); {
		case f.name == relayNetworkFile:
			b.Ran = true
			continue
		case slices.Contains(besideKeys(), f.name):
			continue
		case name == identityFile:
			k, err := decodeKey(f.data, useIdentity)
			if err != nil {
				return errBackup
			}
			public, err := k.public()
			clear(k.seed[:])
			if err != nil || b.Identity != "" {
				return errBackup
			}
			b.Identity = hex.EncodeToString(public[:])
		case name == offlinePublicFile:
			public, err := decodePublic(f.data)
			if err != nil || b.Identity != "" {
				return errBackup
			}
			b.Identity = hex.EncodeToString(public[:])
		case name == vrfFile:
			vrf = true
		case strings.HasPrefix(name, onionPrefix):
			onion = true
		}
		b.Keys++
	}
	if b.Identity == "" || !vrf || !onion {
		return errBackup
	}
	return nil
}

// roomForRelay refuses a state folder that holds a relay, or the memory of one.
func (s *State) roomForRelay() error {
	const fix = "Put the backup into a folder of its own: --state of an empty one."
	there, err := s.hasKeys()
	if err == nil && there {
		err = fault(Usage, "keys_there", fix, "The state folder %s holds a relay's keys, which are not overwritten", s.dir)
	}
	if err != nil {
		return err
	}
	if there, err = exists(s.path(tableFile), "directory's store"); err == nil && there {
		err = fault(Usage, "memory_there", fix,
			"The state folder %s holds a relay's memory, %s, but not its keys. An old memory would have the relay sign twice", s.dir, s.path(tableFile))
	}
	return err
}

// putBack writes the files, the keys last and all at once: a kill before leaves no keys,
// and the next try writes the rest again.
func (s *State) putBack(files []packed, now time.Time) error {
	fresh := s.path(keysFolder + ".new")
	if err := os.RemoveAll(fresh); err != nil { // what a kill left behind
		return fileFault(fresh, "key folder", err)
	}
	if _, err := s.folder(keysFolder + ".new"); err != nil {
		return err
	}
	if err := replace(s.path(restoredFile), []byte(now.UTC().Format(time.RFC3339)+"\n")); err != nil {
		return err
	}
	for _, f := range files[1:] {
		if slices.Contains(besideKeys(), f.name) {
			if err := replace(s.path(f.name), f.data); err != nil {
				return err
			}
			continue
		}
		at := filepath.Join(fresh, path.Base(f.name))
		if err := store.Replace(at, f.data); err != nil {
			return fileFault(at, "key file", err)
		}
	}
	if err := os.Rename(fresh, s.path(keysFolder)); err != nil {
		return fileFault(s.path(keysFolder), "key folder", err)
	}
	keys, err := s.loadKeys()
	if err == nil {
		keys.wipe()
	}
	return err
}

// restoredTaken ends the file of a restored relay that has been started since.
const restoredTaken = "started\n"

// wasRestored reports whether the relay's keys came out of a backup, and whether it has
// not been started since: then what lies in the folder is no memory of it, whatever was
// put there by hand.
func (s *State) wasRestored() (restored, first bool, err error) {
	data, err := store.ReadFile(s.path(restoredFile), maxSmallSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, false, nil
	case err != nil:
		return false, false, fileFault(s.path(restoredFile), "file", err)
	}
	return true, !strings.HasSuffix(string(data), restoredTaken), nil
}

// takeRestored remembers that a restored relay was started.
func (s *State) takeRestored() error {
	data, err := store.ReadFile(s.path(restoredFile), maxSmallSize)
	if err != nil {
		return fileFault(s.path(restoredFile), "file", err)
	}
	return replace(s.path(restoredFile), append(data, restoredTaken...))
}

// backupFault says why a backup cannot be opened.
func backupFault(file string, err error) error {
	switch {
	case errors.Is(err, agefile.ErrPassphrase):
		return fault(Usage, "passphrase_wrong", "Try again.", "The passphrase is not that of the backup %s", file)
	case errors.Is(err, agefile.ErrDamaged):
		return fault(Usage, "backup_damaged", "Use another copy of it.", "The backup %s is damaged", file)
	}
	return fault(Usage, "backup_unknown", "Name a file that chive keys backup has written.", "The file %s is no backup of a relay", file)
}

// ReadPassphrase reads a passphrase: the first line of a file that only its owner may
// read (KEY-4). The caller wipes it.
func ReadPassphrase(file string) ([]byte, error) {
	data, err := store.ReadKey(file)
	if err != nil {
		return nil, fileFault(file, "passphrase's file", err)
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), nil
}
