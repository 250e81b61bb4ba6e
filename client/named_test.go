// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"testing"

	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/link"
)

// TestEachPeerSaysHowItWent: of the relays that the user has named, the one that works from
// those that do not, and why, whether or not somebody else gave the list.
func TestEachPeerSaysHowItWent(t *testing.T) {
	inVillage(t, 7, func(t *testing.T, v *village) {
		gone := v.relays[3]
		v.net.Kill(gone.addr.Addr())
		foreign := v.settle(51)
		peer := func(rid record.RID, at netip.AddrPort) Peer { return Peer{RID: rid, Addresses: []netip.AddrPort{at}} }
		named := []Peer{
			peer(v.relays[0].rid, v.relays[0].addr),
			peer(record.RID{1}, v.relays[1].addr),                         // a wrong RID at the right address
			peer(gone.rid, gone.addr),                                     // its host is gone
			peer(v.relays[4].rid, placeFor(4)),                            // works as well
			peer(foreign.rid, netip.AddrPortFrom(foreign.addr.Addr(), 9)), // nobody listens
		}
		want := []PeerState{PeerReached, PeerOther, PeerRefused, PeerReached, PeerRefused}
		w := v.walk(func(c *Config) { c.Peers = named })
		defer w.end()
		for i, p := range w.Peers() {
			if p.State != PeerUntried || !p.Tried.IsZero() || p.RID != named[i].RID {
				t.Errorf("before: %+v", p)
			}
		}
		for _, p := range named {
			_ = w.newHearing().askAll(t.Context(), []source{{p.RID, p.Addresses}}, dialPatience)
		}
		for i, p := range w.Peers() {
			if p.State != want[i] || p.Tried.IsZero() {
				t.Errorf("peer %d: %s, want %s", i, p.State, want[i])
			}
			if got := TryPeer(t.Context(), w.cfg.Transport, v.doc, w.cfg.Rand, named[i]); got.State != want[i] {
				t.Errorf("peer %d, tried alone: %s, want %s", i, got.State, want[i])
			}
		}
		other := document(t, "another", 7)
		if got := TryPeer(t.Context(), w.cfg.Transport, other, w.cfg.Rand, named[0]); got.State != PeerStranger {
			t.Errorf("in another network: %s", got.State)
		}
		w.notePeer(named[1].RID, nil) // it was put right
		w.notePeer(record.RID{77}, link.ErrRefused)
		if all := w.Peers(); all[1].State != PeerReached || len(all) != len(named) {
			t.Errorf("%+v", all)
		}
		w.cfg.Ports = []uint16{443}
		w.peers = nil
		if s := w.Peers()[0].State; s != PeerPorts {
			t.Errorf("at a port that is left out: %s", s)
		}
	})
}

// TestWhatIsOursIsNotThePeers: faults of this side say nothing about who was asked.
func TestWhatIsOursIsNotThePeers(t *testing.T) {
	for _, c := range []struct {
		err   error
		state PeerState
		says  bool
	}{
		{nil, PeerReached, true}, {dirsync.ErrBusy, PeerReached, true}, {dirsync.ErrForged, PeerForged, true}, {link.ErrUnreachable, PeerNoRoute, true},
		{link.ErrCertificateTime, PeerClock, true}, {link.ErrProxyDenied, PeerDenied, true}, {io.ErrUnexpectedEOF, PeerUnspecified, true},
		{link.ErrProxy, "", false}, {link.ErrProxyAuth, "", false}, {context.Canceled, "", false}, {link.ErrBusy, "", false},
	} {
		if state, says := peerState(errors.Join(c.err)); state != c.state || says != c.says {
			t.Errorf("%v: %q, %v", c.err, state, says)
		}
	}
}
