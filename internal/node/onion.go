// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"cmp"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"chive/internal/store"
)

// firstSerial numbers a relay's first onion key.
const firstSerial = 1

// onionKey is one onion key and the number in its file's name.
type onionKey struct {
	*secretKey
	serial int
}

// onionKeys are a relay's onion keys, the newest first: the current one, the
// previous one in its overlap, and the one that the table names.
type onionKeys []onionKey

func (o onionKeys) sort() {
	slices.SortFunc(o, func(a, b onionKey) int { return cmp.Compare(b.serial, a.serial) })
}

func onionName(serial int) string { return onionPrefix + strconv.Itoa(serial) + keySuffix }

func readOnion(folder, name string) (onionKey, error) {
	serial, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(name, onionPrefix), keySuffix))
	if err != nil || serial < firstSerial || onionName(serial) != name {
		return onionKey{}, fault(Usage, "key_folder", "Move it away.", "The file %s is not named as onion keys are", filepath.Join(folder, name))
	}
	k, err := readKey(filepath.Join(folder, name), useOnion)
	return onionKey{k, serial}, err
}

// due reports whether the newest key has reached its life and a successor is to
// be made. Spec: security KEY-3.
func (o onionKeys) due(now time.Time, life time.Duration) bool {
	return len(o) == 0 || now.Sub(o[0].created) >= life
}

// split says which keys stay and which are erased: a key whose successor is older
// than the overlap goes, so that what it protected stays protected. The one that
// the table names stays whatever its age, as clients know no other.
func (o onionKeys) split(now time.Time, overlap time.Duration, named [32]byte) (keep, erase onionKeys) {
	for i, k := range o {
		public, err := k.public()
		if i > 0 && (err != nil || public != named) && (i > 1 || now.Sub(o[i-1].created) >= overlap) {
			erase = append(erase, k)
			continue
		}
		keep = append(keep, k)
	}
	return keep, erase
}

// names reports whether one of the keys is the one named.
func (o onionKeys) names(named [32]byte) bool {
	return slices.ContainsFunc(o, func(k onionKey) bool {
		public, err := k.public()
		return err == nil && public == named
	})
}

// rotateOnion makes a successor for an onion key that is due and erases the keys
// that are over. The caller holds the state's lock.
func (k *relayKeys) rotateOnion(rand io.Reader, now time.Time, life, overlap time.Duration, named [32]byte) error {
	now = now.UTC().Truncate(time.Second)
	if k.onion.due(now, life) {
		next := onionKey{&secretKey{use: useOnion, created: now}, k.onion[0].serial + 1}
		if err := writeKey(filepath.Join(k.folder, onionName(next.serial)), next.secretKey, rand); err != nil {
			return err
		}
		k.onion = append(onionKeys{next}, k.onion...)
	}
	keep, erase := k.onion.split(now, overlap, named)
	for _, old := range erase {
		clear(old.seed[:])
		path := filepath.Join(k.folder, onionName(old.serial))
		if err := store.Remove(path); err != nil {
			return fileFault(path, "key file", err)
		}
	}
	k.onion = keep
	return nil
}
