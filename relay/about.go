// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"net/netip"
	"slices"
	"time"

	"chive/circuit/handshake"
	"chive/directory"
	"chive/directory/record"
)

// ErrAbout says that an About makes no descriptor. The fault is joined to it.
var ErrAbout = errors.New("relay: this cannot be said in a descriptor")

// About is what a relay's descriptor says, its keys aside.
type About struct {
	// Addresses are where others link to the relay, one to four.
	Addresses []netip.AddrPort
	// Rate is what the relay declares to carry, in kbit/s; 0: it rests.
	Rate uint32
	// Roles are what it offers; RoleExit stands there exactly if Policy is not empty.
	Roles record.Roles
	// Policy is the exit policy in summary form; empty: no exit.
	Policy []record.PortRange
	// Family is the family's word for this relay (record.SignFamily); nil: none.
	Family *record.Family
	// Nickname, Contact and Software may be empty. Everybody can read them.
	Nickname, Contact, Software string
}

// descriptor returns the unsigned descriptor that says a.
func (a *About) descriptor(identity ed25519.PublicKey) *record.Descriptor {
	return &record.Descriptor{
		Identity: identity, Addresses: a.Addresses, DeclaredRate: a.Rate, Roles: a.Roles, Policy: a.Policy,
		Family: a.Family, Software: a.Software, Nickname: a.Nickname, Contact: a.Contact,
	}
}

// check refuses what would make no descriptor. Errors: record's.
func (a *About) check(identity ed25519.PublicKey) error {
	d := a.descriptor(identity)
	// Keys are the key ring's matter: any that hold.
	d.Onion, d.NextOnion = exampleKey(), exampleKey()
	d.VRF = [32]byte(identity)
	d.Published, d.Expires = time.Unix(0, 0), time.Unix(1, 0)
	return d.Check()
}

// exampleKey is an onion key that holds.
func exampleKey() [32]byte { return handshake.NewOnionKey(&[32]byte{1}).Public() }

// describe returns the descriptor that a Publish asks for, with the public halves of
// the committee keys of its terms.
func (a *About) describe(identity ed25519.PublicKey, p directory.Publish, onion *OnionKeys, vrf [32]byte, committee map[uint64][32]byte) *record.Descriptor {
	d := a.descriptor(identity)
	d.Seq, d.Published, d.Expires = p.Seq, p.Published, p.Expires
	d.Onion, d.NextOnion, d.VRF = onion.Current.Public(), onion.Next.Public(), vrf
	for _, term := range slices.Sorted(slices.Values(p.Terms)) {
		if key, ok := committee[term]; ok {
			d.Committee = append(d.Committee, record.CommitteeKey{Term: term, Key: key[:]})
		}
	}
	return d
}

// says reports whether a descriptor of this relay says what it says now, committee
// keys aside, which the machine looks after.
func (a *About) says(d *record.Descriptor, onion *OnionKeys, vrf [32]byte) bool {
	family := a.Family == nil && d.Family == nil
	if a.Family != nil && d.Family != nil {
		family = bytes.Equal(a.Family.Key, d.Family.Key) && bytes.Equal(a.Family.Signature, d.Family.Signature)
	}
	return family && d.Onion == onion.Current.Public() && d.NextOnion == onion.Next.Public() && d.VRF == vrf &&
		slices.Equal(a.Addresses, d.Addresses) && a.Rate == d.DeclaredRate && a.Roles == d.Roles &&
		slices.Equal(a.Policy, d.Policy) && a.Nickname == d.Nickname && a.Contact == d.Contact && a.Software == d.Software
}
