// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"crypto/ed25519"
	"errors"
	"time"

	"chive/directory/record"
	"chive/link"
)

// ErrUncertified says that nothing of what the relay's offline identity has certified is
// good now: the relay can prove to nobody who it is.
var ErrUncertified = errors.New("relay: nothing that its identity has certified is good now")

// errCertified says that a CertifiedKeys holds what does not belong together.
var errCertified = errors.New("relay: certified keys are not of this identity")

// errRoom says that a descriptor with a certificate is longer than one may be.
var errRoom = errors.New("relay: with a certificate it is longer than a descriptor may be; say less in nickname, contact and exit policy")

// Certified is what a relay signs and proves itself with while its identity key is kept
// elsewhere: keys that the identity has certified ahead. It is immutable.
//
// Spec: protocol §1 (LINK-4), §7 (DIR-2); product REL-12.
type Certified struct {
	Key  ed25519.PrivateKey // signs descriptors and entry statements
	Cert *record.Cert       // the identity's word for Key
	// Links are the link keys that may be used, in any order. Each is good in the 48
	// hours before its certificate ends.
	Links []*link.Identity
}

// good reports whether the signing key's certificate holds at now.
func (c *Certified) good(now time.Time) bool {
	return now.Before(c.Cert.NotAfter) && c.Cert.NotAfter.Sub(now) <= record.MaxCertLife
}

// Link returns the link identity to use at now: of those that are good the one that is
// for longest. Error: ErrUncertified.
func (c *Certified) Link(now time.Time) (*link.Identity, error) {
	var best *link.Identity
	for _, id := range c.Links {
		if id.GoodAt(now) && (best == nil || id.NotAfter().After(best.NotAfter())) {
			best = id
		}
	}
	if best == nil {
		return nil, ErrUncertified
	}
	return best, nil
}

// LinksEnd is when the last of the link certificates ends; zero: there is none.
func (c *Certified) LinksEnd() (end time.Time) {
	for _, id := range c.Links {
		if id.NotAfter().After(end) {
			end = id.NotAfter()
		}
	}
	return end
}

// Ends is when the relay can prove itself no longer.
func (c *Certified) Ends() time.Time {
	if end := c.LinksEnd(); end.Before(c.Cert.NotAfter) {
		return end
	}
	return c.Cert.NotAfter
}

// of reports whether all is certified by this identity. Whether the signatures hold is
// seen by whoever made the link identities, and by others.
func (c *Certified) of(identity ed25519.PublicKey) bool {
	if c == nil || len(c.Key) != ed25519.PrivateKeySize || c.Cert == nil || !c.Cert.Key.Equal(c.Key.Public()) {
		return false
	}
	for _, id := range c.Links {
		if !id.Public().Equal(identity) {
			return false
		}
	}
	return true
}

// CertifiedKeys keeps what an offline identity has certified ahead. The relay asks it from
// several goroutines, each minute and for each signature; it may block on the disk.
type CertifiedKeys interface {
	// Public returns the identity, which never changes.
	Public() ed25519.PublicKey
	// Certified returns the newest that there is, whatever its times. Errors are the
	// keeper's own, where there is none.
	Certified() (*Certified, error)
}

// CertifiedStatus is until when a relay whose identity is offline can go on.
type CertifiedStatus struct {
	Signing time.Time // the signing key's certificate ends
	Links   time.Time // the last link certificate ends
	Ends    time.Time // the earlier of the two
}

// identityKey returns the public half of the relay's identity.
func (r *Relay) identityKey() ed25519.PublicKey {
	if r.cfg.Certified != nil {
		return r.cfg.Certified.Public()
	}
	return r.cfg.Identity.Public().(ed25519.PublicKey)
}

// certified returns what is good now, and notes for Status how long it is. Errors:
// ErrUncertified, and the keeper's.
func (r *Relay) certified(now time.Time) (*Certified, error) {
	c, err := r.cfg.Certified.Certified()
	if err != nil {
		return nil, errors.Join(ErrUncertified, err)
	}
	if !c.of(r.identityKey()) {
		return nil, errors.Join(ErrUncertified, errCertified)
	}
	r.ends.Store(&CertifiedStatus{Signing: c.Cert.NotAfter, Links: c.LinksEnd(), Ends: c.Ends()})
	if !c.good(now) {
		return nil, ErrUncertified
	}
	return c, nil
}

// certifiedAhead reports whether what was certified, which is not good at now, is not over
// at now either.
func (r *Relay) certifiedAhead(now time.Time) bool {
	ends := r.ends.Load()
	return ends != nil && now.Before(ends.Ends)
}

// signer returns the key that signs records at now, with its certificate; nil: it is the
// identity's own key. Errors: certified's.
func (r *Relay) signer(now time.Time) (ed25519.PrivateKey, *record.Cert, error) {
	if r.cfg.Certified == nil {
		return r.cfg.Identity, nil, nil
	}
	c, err := r.certified(now)
	if err != nil {
		return nil, nil, err
	}
	return c.Key, c.Cert, nil
}

// newLinkIdentity returns the link identity to use from now on. Errors: certified's,
// link.NewIdentity's.
func (r *Relay) newLinkIdentity(now time.Time) (*link.Identity, error) {
	if r.cfg.Certified == nil {
		return link.NewIdentity(r.cfg.Rand, r.nid, r.cfg.Identity, now)
	}
	c, err := r.certified(now)
	if err != nil {
		return nil, err
	}
	return c.Link(now)
}

// checkRoom refuses an About that makes no descriptor beside a certificate.
func (a *About) checkRoom(identity ed25519.PublicKey) error {
	d := a.descriptor(identity)
	d.Published, d.Expires = time.Unix(1<<34, 0), time.Unix(1<<34+1, 0)
	d.Seq = 1 << 40
	d.Onion, d.NextOnion, d.VRF = exampleKey(), exampleKey(), [32]byte(identity)
	for i := range record.MaxCommitteeKeyCount {
		d.Committee = append(d.Committee, record.CommitteeKey{Term: 1<<20 + uint64(i), Key: identity})
	}
	example := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // nobody reads what it signs here
	cert := record.NewCert([record.NetworkIDSize]byte{}, example, example.Public().(ed25519.PublicKey), d.Expires)
	if _, err := record.SealDescriptor(d, [record.NetworkIDSize]byte{}, example, cert); err != nil {
		return errors.Join(errRoom, err)
	}
	return nil
}
