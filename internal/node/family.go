// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"io"
	"path/filepath"
	"time"

	"chive/directory/record"
)

// nameFamily takes the family whose key is in the file, which may be not there yet.
func (d *declared) nameFamily(path string) error {
	full, err := filepath.Abs(path)
	if err != nil {
		return fileFault(path, "family key", err)
	}
	there, err := exists(full, "family key")
	if err != nil {
		return err
	}
	word := &familyWord{File: full}
	if there {
		k, err := readKey(full, useFamily)
		if err != nil {
			return err
		}
		defer clear(k.seed[:])
		public, err := k.public()
		if err != nil {
			return err
		}
		word.Key = public[:]
		if old := d.Family; old != nil && bytes.Equal(old.Key, word.Key) {
			word.Network, word.Signature = old.Network, old.Signature
		}
	}
	d.Family = word
	return nil
}

// makeFamily makes the key of a family that has none yet, and reports whether it did.
func (d *declared) makeFamily(rand io.Reader, now time.Time) (made bool, err error) {
	if d.Family == nil || len(d.Family.Key) > 0 {
		return false, nil
	}
	k := &secretKey{use: useFamily, created: now.UTC().Truncate(time.Second)}
	if err := writeKey(d.Family.File, k, rand); err != nil {
		return false, err
	}
	defer clear(k.seed[:])
	public, err := k.public()
	d.Family.Key = public[:]
	return true, err
}

// joinFamily has the family's key sign this relay in a network, once.
func (d *declared) joinFamily(nid [32]byte, rid record.RID) error {
	f := d.Family
	if f == nil || len(f.Signature) > 0 && bytes.Equal(f.Network, nid[:]) {
		return nil
	}
	there, err := exists(f.File, "family key")
	if err != nil {
		return err
	}
	if !there {
		return fault(Usage, "family_missing", "Put the file there for one start, or name it: chive relay init --family FILE.",
			"The family's key %s is not there to say, for this network, that this relay belongs to the family", f.File)
	}
	k, err := readKey(f.File, useFamily)
	if err != nil {
		return err
	}
	defer clear(k.seed[:])
	public, err := k.public()
	if err != nil {
		return err
	}
	if !bytes.Equal(public[:], f.Key) {
		return fault(Usage, "family_other", "Restore the family's key, or name it anew: chive relay init --family FILE.",
			"The key in %s is of another family than the one that this relay declares", f.File)
	}
	key := k.signing()
	defer clear(key)
	f.Network, f.Signature = nid[:], record.SignFamily(key, nid, rid)
	return nil
}
