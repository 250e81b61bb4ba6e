// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"encoding/hex"
	"io"
	"net/netip"
	"slices"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
)

// InitOptions say what relay to make.
type InitOptions struct {
	Declaring
	Voucher string // file of a sponsor's voucher, to be placed in the state folder
	Genesis string // file of the network it is to join; empty: that is said when it runs
	Find    bool   // without an address: it is found when the relay runs
	// Offline is the folder of the relay's identity, or its identity.pub; empty: the
	// identity key is, or is made, in the state folder.
	Offline string
}

// Initiation is what Init did.
type Initiation struct {
	Made
	Network string // name; empty: none was named
	RID     string // hexadecimal; in that network
	Founder bool   // of that network
	// Certified says that an offline identity has certified something for this relay.
	Certified bool
	Vouched   string // rid of the sponsor, hexadecimal; empty: no voucher was given
	About     About
	// Before names what is declared because it was before, and was not said now, by the
	// flags that say it: nickname, contact, address, rate, exit, family.
	Before []string
	Notes  []string
}

// Init makes the keys of a relay, if the state folder holds none, and keeps what the
// relay declares: what is not said stays as it was. A relay that runs must be stopped
// first. Spec: product §2 (relay init), CLI-3.
func (s *State) Init(o InitOptions, rand io.Reader, now time.Time) (*Initiation, error) {
	var doc *genesis.Document
	var err error
	if o.Genesis != "" {
		if doc, err = loadGenesis(o.Genesis); err != nil {
			return nil, err
		}
		if err := s.checkRelayNetwork(doc, o.Genesis); err != nil {
			return nil, err
		}
	}
	was, err := s.readDeclared()
	if err != nil {
		return nil, err
	}
	d, err := s.declare(o.Declaring)
	if err != nil {
		return nil, err
	}
	if len(d.Addresses) == 0 && !o.Find {
		return nil, errNoAddress("A relay")
	}
	if doc != nil {
		if err := checkPublic(doc, d.Addresses); err != nil {
			return nil, err
		}
	}
	if err := s.Lock(); err != nil {
		return nil, err
	}
	done := &Initiation{Made: d.made(), About: d.About, Before: o.kept(&was)}
	if o.Offline != "" {
		done.KeysMade, err = s.adoptOffline(o.Offline, rand, now)
	} else {
		done.KeysMade, err = s.needOrMakeKeys(rand, now)
	}
	if err != nil {
		return nil, err
	}
	keys, err := s.loadKeys()
	if err != nil {
		return nil, err
	}
	defer keys.wipe()
	done.Offline = keys.offline != nil
	done.Certified = keys.offline != nil && keys.offline.certified != nil
	public, err := keys.identityPublic()
	if err != nil {
		return nil, err
	}
	done.Identity = hex.EncodeToString(public[:])
	if done.Offline && !done.Certified {
		done.Notes = append(done.Notes, "Before it can run, its identity must sign for it: chive keys request FILE here, chive keys sign --identity DIR FILE where the key is, chive keys install ANSWER here.")
	}
	if o.Voucher != "" {
		v, err := readVoucher(o.Voucher, public, doc)
		if err != nil {
			return nil, err
		}
		if err := s.keepVoucher(v); err != nil {
			return nil, err
		}
		done.Vouched = hex.EncodeToString(v.Voucher.Sponsor[:])
	}
	if done.NewFamily, err = d.makeFamily(rand, now); err != nil {
		return nil, err
	}
	if d.Family != nil {
		done.Family = hex.EncodeToString(d.Family.Key)
	}
	if doc != nil {
		if err := s.initNetwork(doc, d, public, done); err != nil {
			return nil, err
		}
	}
	return done, s.keepDeclared(d)
}

// kept names what of a declaration stays, since nothing is said of it.
func (o *Declaring) kept(was *declaration) (names []string) {
	for _, k := range []struct {
		name      string
		was, said bool
	}{
		{"nickname", was.Nickname != "", o.About.Nickname != "" || o.Withdrawn.Nickname},
		{"contact", was.Contact != "", o.About.Contact != "" || o.Withdrawn.Contact},
		{"address", len(was.Addresses) > 0, len(o.Addresses) > 0},
		{"rate", was.RateKbit > 0, o.Rate != ""},
		{"exit", was.Exit != "" && was.Exit != "off", o.Exit != ""},
		{"family", was.Family != nil, o.Family != ""},
	} {
		if k.was && !k.said {
			names = append(names, k.name)
		}
	}
	return names
}

// initNetwork does what depends on the network.
func (s *State) initNetwork(doc *genesis.Document, d *declared, public [32]byte, done *Initiation) error {
	nid := doc.NetworkID()
	rid := record.NewRID(nid, public[:])
	if err := d.joinFamily(nid, rid); err != nil {
		return err
	}
	done.Network, done.RID, done.Founder = doc.Name, hex.EncodeToString(rid[:]), isFounder(doc, public)
	if !done.Founder {
		done.Notes = append(done.Notes, joinNote(doc))
	}
	return s.bindRelay(doc)
}

// isFounder reports whether the relay of that identity is one of the founders.
func isFounder(doc *genesis.Document, identity [32]byte) bool { return founderOf(doc, identity) != nil }

// founderOf returns the founder of that identity, or nil.
func founderOf(doc *genesis.Document, identity [32]byte) *record.Founder {
	i := slices.IndexFunc(doc.Founders, func(f *record.Founder) bool { return string(f.Identity) == string(identity[:]) })
	if i < 0 {
		return nil
	}
	return doc.Founders[i]
}

// checkPublic refuses addresses that strangers cannot reach, in a network that is no
// testnet.
func checkPublic(doc *genesis.Document, addresses []netip.AddrPort) error {
	if doc.Testnet {
		return nil
	}
	for _, a := range addresses {
		if !record.Public(a.Addr()) {
			return fault(Usage, "address_private", "Declare the address that others reach this relay at: chive relay init --address IP:PORT. A router must forward that port to this machine.",
				"The network %s is no testnet, and strangers cannot reach a relay at %s", doc.Name, a)
		}
	}
	return nil
}

// joinNote says what a newcomer has before it.
func joinNote(doc *genesis.Document) string {
	p := doc.Params
	if doc.Testnet && p.AdmitHold == 0 {
		return "This relay is not on the network's list yet: once it runs it asks 3 relays to introduce it. In a testnet that takes a few epochs of " + p.EpochLen.String() + "."
	}
	return "This relay is not on the network's list yet: once it runs it does some minutes of computing, then asks 3 relays to introduce it. " +
		"In the public network that takes days: few are admitted each day, by lot, and half of the places are for those that a relay of long service vouches for. " +
		"Leave it running; chive status says how far it is."
}

// NewRelay reports whether the state folder holds no relay yet.
func (s *State) NewRelay() (bool, error) {
	there, err := s.hasKeys()
	return !there, err
}

// CheckAbout refuses words that a relay cannot declare.
func CheckAbout(a About) error { return a.check() }

// CheckAddress refuses what cannot be a relay's address.
func CheckAddress(text string) error {
	_, err := parseAddresses([]string{text})
	return err
}

// OwnAddress is where others reach a relay that listens at listen, IP:PORT, if this
// machine has a public address.
func OwnAddress(listen string) (string, bool) {
	at, err := netip.ParseAddrPort(listen)
	if err != nil {
		return "", false
	}
	own, err := ownAddress(at)
	return own.String(), err == nil
}
