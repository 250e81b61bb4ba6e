// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"time"
)

// RelayReady is what a relay says when it serves. Spec: product CLI-8.
type RelayReady struct {
	Network     string
	Testnet     bool
	RID         string // hexadecimal
	Listen      netip.AddrPort
	Published   []netip.AddrPort
	ConfirmedBy int    // relays that dialled back
	Exit        string // off, web, reduced, or custom
	Listed      bool   // by the list of relays that it holds
	Control     string // unix:PATH or off
	Took        time.Duration
	Notes       []string // what the operator should look at
}

// ready says that links are accepted, and what is odd about it.
func (r *relayRun) ready() RelayReady {
	d := r.declares()
	out := RelayReady{
		Network: r.doc.Name, Testnet: r.doc.Testnet, RID: hex.EncodeToString(r.rid[:]), Listen: r.role.Addr(),
		Published: r.role.Published(), ConfirmedBy: r.role.Reach().ConfirmedBy, Exit: d.Exit, Control: r.o.Control.Shown(), Took: time.Since(r.began),
		Notes: append(r.placeNotes(d), r.noted...),
	}
	if r.table.note != "" {
		out.Notes = append(out.Notes, r.table.note)
	}
	_, out.Listed = r.role.View().Table().Relay(r.rid)
	if note := clockNote(r.doc, time.Now()); note != "" {
		out.Notes = append(out.Notes, note)
	}
	if !out.Listed {
		out.Notes = append(out.Notes, joinNote(r.doc))
		if r.late != "" {
			out.Notes = append(out.Notes, r.late)
		}
	}
	if note := r.o.Control.note(); note != "" {
		out.Notes = append(out.Notes, note)
	}
	return out
}

// placeNotes says what is odd about where the relay is, as far as its operator says it: a
// router may forward one port to another.
func (r *relayRun) placeNotes(d *declared) []string {
	if len(d.Addresses) == 0 {
		return nil
	}
	_, listed := r.role.View().Table().Relay(r.rid)
	return listenNotes(r.role.Addr(), d.Addresses, listed)
}

// listenNotes says what does not fit between where a relay listens and what it declares,
// which the network knows once it is listed.
func listenNotes(listen netip.AddrPort, published []netip.AddrPort, listed bool) (notes []string) {
	var known []string
	samePort, allHere := false, true
	for _, p := range published {
		known = append(known, p.String())
		samePort = samePort || p.Port() == listen.Port()
		allHere = allHere && p.Addr().IsLoopback()
	}
	who := "This relay declares that others reach it at "
	if listed {
		who = "The network knows this relay at "
	}
	but := who + strings.Join(known, " and ") + ", but it listens at " + listen.String()
	if listen.Addr().IsLoopback() && !allHere {
		notes = append(notes, but+", which only this machine reaches. Use --listen "+netip.AddrPortFrom(netip.IPv4Unspecified(), listen.Port()).String()+".")
	}
	if !samePort {
		notes = append(notes, but+": unless a router forwards to that port, nobody reaches it. Check --listen.")
	}
	return notes
}
