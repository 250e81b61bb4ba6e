// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"chive/internal/control"
	"chive/internal/store"
	"chive/internal/strictcbor"
	"chive/link"
	"chive/relay"
)

// certifiedKeys are secret keys with the offline identity's word for them.
type certifiedKeys struct {
	answer  *signingAnswer
	signing [32]byte   // seed
	links   [][32]byte // seeds, one for each certificate
	spent   uint32     // a bit for each link key that is not to be used any more
	// made of them
	relay *relay.Certified
}

type wireCertified struct {
	Version uint64   `cbor:"0,keyasint"`
	Answer  []byte   `cbor:"1,keyasint"`
	Signing []byte   `cbor:"2,keyasint"`
	Links   [][]byte `cbor:"3,keyasint"`
	Spent   uint32   `cbor:"4,keyasint"`
}

// Format prints nothing of the keys, whatever the verb (KEY-5).
func (c *certifiedKeys) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("keys(redacted)")) }

func (c *certifiedKeys) wipe() {
	if c != nil {
		clear(c.signing[:])
		clear(c.links)
		clear(c.relay.Key)
	}
}

// newCertified joins keys with an answer, and verifies all of it but the times. Error:
// errOffline.
func newCertified(a *signingAnswer, signing [32]byte, links [][32]byte, spent uint32) (*certifiedKeys, error) {
	key := ed25519.NewKeyFromSeed(signing[:])
	if !a.cert.Key.Equal(key.Public()) || !a.certHolds() || len(links) != len(a.certificates) || spent>>len(links) != 0 {
		return nil, errOffline
	}
	c := &certifiedKeys{answer: a, signing: signing, links: links, spent: spent, relay: &relay.Certified{Key: key, Cert: &a.cert}}
	for i := range links {
		id, err := link.CertifiedIdentity(a.nid, &links[i], a.certificates[i])
		if err != nil || !id.Public().Equal(ed25519.PublicKey(a.identity[:])) {
			return nil, errOffline
		}
		if spent&(1<<i) == 0 {
			c.relay.Links = append(c.relay.Links, id)
		}
	}
	return c, nil
}

// encode returns the file's bytes, which the caller wipes.
func (c *certifiedKeys) encode() ([]byte, error) {
	answer, err := c.answer.pack()
	if err != nil {
		return nil, err
	}
	data, err := strictcbor.Marshal(wireCertified{offlineVersion, answer, c.signing[:], slicesOf(c.links), c.spent})
	defer clear(data)
	return armour(certifiedBlock, data), err
}

// decodeCertified reads it, and verifies all of it but the times. Error: errOffline.
func decodeCertified(file []byte) (*certifiedKeys, error) {
	data, err := disarm(certifiedBlock, file, maxCertifiedSize)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	var w wireCertified
	extra, err := strictcbor.Unmarshal(data, maxCertifiedSize, &w)
	if err != nil || extra.Count() > 0 || w.Version != offlineVersion || len(w.Signing) != 32 || len(w.Links) > linkKeyCount {
		return nil, errOffline
	}
	a, err := unpackAnswer(w.Answer)
	if err != nil {
		return nil, err
	}
	links := make([][32]byte, len(w.Links))
	for i, s := range w.Links {
		if len(s) != 32 {
			return nil, errOffline
		}
		links[i] = [32]byte(s)
		clear(s)
	}
	defer clear(w.Signing)
	return newCertified(a, [32]byte(w.Signing), links, w.Spent)
}

// readCertified reads certified.key; nil: there is none.
func readCertified(folder string) (*certifiedKeys, error) {
	path := filepath.Join(folder, certifiedFile)
	data, err := store.ReadKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fileFault(path, "key file", err)
	}
	defer clear(data)
	c, err := decodeCertified(data)
	if err != nil {
		return nil, fault(Usage, "key_damaged", "Restore it from a backup, or remove it and ask anew: chive keys request FILE.",
			"The key file %s is damaged or does not hold certified keys", path)
	}
	return c, nil
}

// saveCertified writes certified.key in place of the one before.
func saveCertified(folder string, c *certifiedKeys) error {
	data, err := c.encode()
	if err != nil {
		return err
	}
	defer clear(data)
	path := filepath.Join(folder, certifiedFile)
	if err := store.Replace(path, data); err != nil {
		return fileFault(path, "key file", err)
	}
	return nil
}

// certifiedSource gives a running relay what its offline identity has certified, and sees
// when there is something newer. It is a relay.CertifiedKeys; safe for concurrent use.
type certifiedSource struct {
	folder   string
	identity [32]byte
	nid      [32]byte
	held     atomic.Pointer[heldCertified]
}

// heldCertified is what was read, and the file as it was then.
type heldCertified struct {
	file fs.FileInfo
	keys *certifiedKeys
}

var _ relay.CertifiedKeys = (*certifiedSource)(nil)

// Public implements relay.CertifiedKeys.
func (s *certifiedSource) Public() ed25519.PublicKey { return s.identity[:] }

// Certified implements relay.CertifiedKeys. A file that has gone, or cannot be read, takes
// nothing away from what was read before.
func (s *certifiedSource) Certified() (*relay.Certified, error) {
	held := s.held.Load()
	info, err := os.Stat(filepath.Join(s.folder, certifiedFile))
	if held != nil && (err != nil || os.SameFile(info, held.file) && info.ModTime().Equal(held.file.ModTime())) {
		return held.keys.relay, nil
	}
	keys, err := readCertified(s.folder)
	if err == nil && (keys == nil || keys.answer.identity != s.identity || keys.answer.nid != s.nid) {
		err = errOffline
	}
	switch {
	case err == nil:
		s.held.Store(&heldCertified{info, keys})
		return keys.relay, nil
	case held != nil:
		return held.keys.relay, nil
	}
	return nil, err
}

// wipe clears the keys, as far as Go lets it (KEY-7).
func (s *certifiedSource) wipe() {
	if held := s.held.Load(); held != nil {
		held.keys.wipe()
	}
}

// certificatesPart shows until when a relay whose identity is offline can go on.
func certificatesPart(c *relay.CertifiedStatus, now time.Time) *control.Certificates {
	warning, fix := endsSoon(c.Ends, now), ""
	if warning != "" {
		fix = RenewFix
		warning += ". " + fix + "."
	}
	return &control.Certificates{
		Warning: warning, Fix: fix, Signing: utc(c.Signing), Links: utc(c.Links),
		Text: "Its identity key is kept offline; what it has signed for this relay ends on " + c.Ends.UTC().Format(time.DateTime) + " UTC.",
	}
}

// warnBefore is how long before its certificates end a relay speaks of it (REL-12).
const warnBefore = 7 * 24 * time.Hour

// RenewFix names the commands by which an offline identity certifies anew.
const RenewFix = "Ask the identity to sign anew: chive keys request FILE here, chive keys sign --identity DIR FILE where the key is, chive keys install ANSWER here"

// endsSoon says that what the identity has certified ends, from warnBefore on, without a
// full stop; else nothing.
func endsSoon(ends, now time.Time) string {
	if ends.Sub(now) > warnBefore {
		return ""
	}
	if !now.Before(ends) {
		return "What the relay's offline identity has signed ended on " + ends.UTC().Format(time.DateTime) + " UTC: nobody accepts this relay any more"
	}
	return "What the relay's offline identity has signed ends on " + ends.UTC().Format(time.DateTime) + " UTC, and the relay then ends with it"
}
