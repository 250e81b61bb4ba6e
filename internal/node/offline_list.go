// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"path"
	"path/filepath"

	"chive/link"
)

// isOfflineFile reports whether a file of relay/keys is one of an offline identity's.
func isOfflineFile(name string) bool {
	return name == offlinePublicFile || name == requestedFile || name == certifiedFile
}

// offlineFileHolds reports whether a file of a backup is what its name says.
func offlineFileHolds(name string, data []byte) bool {
	switch name {
	case offlinePublicFile:
		_, err := decodePublic(data)
		return err == nil
	case requestedFile:
		k, err := decodeRequested(data)
		k.wipe()
		return err == nil
	}
	c, err := decodeCertified(data)
	c.wipe()
	return err == nil
}

// packed are the files for a backup.
func (o *offlineIdentity) packed() ([]packed, error) {
	out := []packed{{path.Join(keysFolder, offlinePublicFile), encodePublic(o.public)}}
	var failed error
	if o.certified != nil {
		data, err := o.certified.encode()
		out, failed = append(out, packed{path.Join(keysFolder, certifiedFile), data}), err
	}
	if o.requested != nil {
		data, err := o.requested.encode()
		out, failed = append(out, packed{path.Join(keysFolder, requestedFile), data}), errors.Join(failed, err)
	}
	return out, failed
}

// infos lists the identity, and what it has certified or is asked to.
func (o *offlineIdentity) infos(folder string) []KeyInfo {
	out := []KeyInfo{{Use: string(useIdentity), Term: -1, Public: hex.EncodeToString(o.public[:]), File: filepath.Join(folder, offlinePublicFile)}}
	if c := o.certified; c != nil {
		file := filepath.Join(folder, certifiedFile)
		out = append(out, KeyInfo{Use: "signing", Term: -1, Public: hex.EncodeToString(c.answer.cert.Key), Ends: c.answer.cert.NotAfter, File: file})
		for i, data := range c.answer.certificates {
			if k, err := link.ParseCertificate(data, c.answer.nid); err == nil {
				out = append(out, KeyInfo{
					Use: "link", Term: -1, Public: hex.EncodeToString(k.LinkKey[:]), Ends: k.NotAfter.UTC(), Spent: c.spent&(1<<i) != 0, File: file,
				})
			}
		}
	}
	if r := o.requested; r != nil {
		key := ed25519.NewKeyFromSeed(r.signing[:])
		out = append(out, KeyInfo{
			Use: "request", Term: -1, Public: hex.EncodeToString(key.Public().(ed25519.PublicKey)), Created: r.made, File: filepath.Join(folder, requestedFile),
		})
		clear(key)
	}
	return out
}
