// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"net/netip"
	"time"

	"chive/client"
	"chive/directory/record"
)

// Own are the addresses of this machine's interfaces, without those that lead to itself or
// to its cable alone.
type Own struct {
	Public4, Public6 []netip.Addr // strangers can reach them, as far as their number tells
	Private          []netip.Addr // behind a router, which has another one towards others
	Passing6         []netip.Addr // as Public6, for some time only: no place for a relay
}

// OwnAddresses looks at the interfaces. Nobody is asked.
func OwnAddresses() (Own, error) {
	all, passing, err := lastingAddrs()
	own := sortAddresses(all)
	own.Passing6 = sortAddresses(passing).Public6
	return own, err
}

func sortAddresses(all []netip.Addr) (own Own) {
	for _, a := range all {
		a = a.Unmap()
		switch {
		case a.IsLoopback() || a.IsLinkLocalUnicast() || !a.IsGlobalUnicast():
		case !record.Public(a):
			own.Private = append(own.Private, a)
		case a.Is4():
			own.Public4 = append(own.Public4, a)
		default:
			own.Public6 = append(own.Public6, a)
		}
	}
	return own
}

// Remembered are the relays that the client of a state folder has met before.
type Remembered struct {
	Guards []PeerAddresses
	Listed []PeerAddresses // of its saved list; none where there are guards
}

// PeerAddresses are where one relay is reached.
type PeerAddresses []netip.AddrPort

// Remember reads what the client of the state folder dir would begin with in the network of
// a genesis document, and changes nothing. Faults: guards_damaged, or that of a file.
func Remember(dir, genesisFile string, now time.Time) (out Remembered, err error) {
	doc, err := loadGenesis(genesisFile)
	if err != nil {
		return out, err
	}
	s := &State{dir: dir}
	line, _, there, err := s.readBinding(networkFile)
	if err != nil || !there || line != networkLine(doc) {
		return out, nil // of another network, or of none: a start says what is wrong about it
	}
	met, err := client.Remember(doc, guardStore{s.path(guardsFile)}, listStore{s.path(clientTableFile)}, now)
	if err != nil {
		return out, s.clientFault(err, doc)
	}
	for _, p := range met.Guards {
		out.Guards = append(out.Guards, p.Addresses)
	}
	for _, p := range met.Listed {
		out.Listed = append(out.Listed, p.Addresses)
	}
	return out, nil
}
