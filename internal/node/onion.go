// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"cmp"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// firstSerial numbers a relay's first onion key.
const firstSerial = 1

// onionKey is one onion key and the number in its file's name.
type onionKey struct {
	*secretKey
	serial int
}

// onionKeys are a relay's onion keys, the newest first: a successor, which is
// published and answered to but not used yet; the current one; and those before it.
type onionKeys []onionKey

func (o onionKeys) sort() {
	slices.SortFunc(o, func(a, b onionKey) int { return cmp.Compare(b.serial, a.serial) })
}

func onionName(serial int) string { return onionPrefix + strconv.Itoa(serial) + keySuffix }

// onionSerial reads the number in a file's name. Error: errKeyFile.
func onionSerial(name string) (int, error) {
	serial, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(name, onionPrefix), keySuffix))
	if err != nil || serial < firstSerial || onionName(serial) != name {
		return 0, errKeyFile
	}
	return serial, nil
}

func readOnion(folder, name string) (onionKey, error) {
	serial, err := onionSerial(name)
	if err != nil {
		return onionKey{}, fault(Usage, "key_folder", "Move it away.", "The file %s is not named as onion keys are", filepath.Join(folder, name))
	}
	k, err := readKey(filepath.Join(folder, name), useOnion)
	return onionKey{k, serial}, err
}

// current is the place of the key that clients are to use: the newest one that was
// made active. Keys of a version that had no successors count by their age.
func (o onionKeys) current() int {
	for i, k := range o {
		if !k.active.IsZero() {
			return i
		}
	}
	return 0
}

// since is when a key became the current one.
func (k onionKey) since() time.Time {
	if k.active.IsZero() {
		return k.created
	}
	return k.active
}

// due reports whether the current key has reached its life. One that became current
// a whole life from now did so under a wrong clock. Spec: security KEY-3.
func (k onionKey) due(now time.Time, life time.Duration) bool {
	age := now.Sub(k.since())
	return age >= life || age <= -life
}

// over lists the keys before the current one whose overlap is over, so that what they
// protected stays protected. The one that the network's list names stays whatever
// its age, as clients know no other.
func (o onionKeys) over(now time.Time, overlap time.Duration, named func(public [32]byte) bool) (erase onionKeys) {
	for i := o.current() + 1; i < len(o); i++ {
		public, err := o[i].public()
		if now.Sub(o[i-1].since()) >= overlap && (err != nil || !named(public)) {
			erase = append(erase, o[i])
		}
	}
	return erase
}

// names reports whether one of the keys is the one named.
func (o onionKeys) names(named [32]byte) bool {
	return slices.ContainsFunc(o, func(k onionKey) bool {
		public, err := k.public()
		return err == nil && public == named
	})
}
