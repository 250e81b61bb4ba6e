// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"crypto/ed25519"
	"net/netip"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/link"
)

// TestARelayJoinsThroughAPeerWhenNoFounderIsLeft: others have taken the founders' place,
// and one that is on no list that the newcomer knows is enough to find them.
func TestARelayJoinsThroughAPeerWhenNoFounderIsLeft(t *testing.T) {
	p := genesis.Testnet()
	p.Term, p.DrawLead = 12, 3
	inCity(t, 2, p, func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(2)
		for range 5 {
			w.citizen().start()
		}
		for _, c := range w.all[2:] {
			select {
			case <-c.Listed():
			case <-time.After(10 * time.Minute):
				t.Fatalf("relay %d was not listed: %+v", c.n, c.Status().Directory)
			}
		}
		pass(2 * time.Duration(p.Term) * p.EpochLen)
		for _, c := range w.all[:2] {
			c.kill()
		}
		pass(time.Minute)

		alone := w.citizen()
		alone.start()
		pass(2 * time.Minute)
		if d := alone.Status().Directory; d.Listed || d.Joining != troubleSilent {
			t.Errorf("without a peer: %+v", d)
		}
		late := w.citizen()
		dead := Peer{RID: record.RID{1}, Addresses: []netip.AddrPort{townAddr(99)}}
		late.peers = []Peer{dead, {RID: w.all[4].RID(), Addresses: []netip.AddrPort{townAddr(98), townAddr(4)}}}
		late.start()
		select {
		case <-late.Listed():
		case <-time.After(5 * time.Minute):
			t.Fatalf("it was not listed: %+v", late.Status().Directory)
		}
		w.until(w.doc.EpochAt(time.Now())+3, p.SignEnd)
		w.agree(append(w.all[2:7:7], late)...)
		if d := late.Status().Directory; d.Joining != "" || d.Neighbours < 5 {
			t.Errorf("afterwards: %+v", d)
		}
	})
}

// TestAPeerOfAnotherNameIsTold: what is wrong with it, though others let the relay join; and
// its own name is none to ask.
func TestAPeerOfAnotherNameIsTold(t *testing.T) {
	inCity(t, 3, genesis.Testnet(), func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(2)
		late := w.citizen()
		rid := record.NewRID(w.doc.NetworkID(), late.identity.Public().(ed25519.PublicKey))
		late.peers = []Peer{{RID: record.RID{1}, Addresses: []netip.AddrPort{townAddr(0)}}, {RID: rid, Addresses: []netip.AddrPort{townAddr(late.n)}}}
		late.start()
		if p := late.Peers(); p[0].State != PeerUntried || p[1].State != PeerSelf {
			t.Errorf("before: %+v", p)
		}
		select {
		case <-late.Listed():
		case <-time.After(5 * time.Minute):
			t.Fatalf("it was not listed: %+v", late.Status().Directory)
		}
		if p := late.Peers(); p[0].State != PeerOther || p[0].Tried.IsZero() || p[1].State != PeerSelf {
			t.Errorf("afterwards: %+v", p)
		}
		late.notePeer(record.RID{1}, link.ErrRefused)
		late.notePeer(record.RID{1}, context.Canceled) // ours, not the peer's
		late.notePeer(record.RID{2}, nil)
		if p := late.Peers(); p[0].State != PeerRefused {
			t.Errorf("later: %+v", p)
		}
	})
}

// TestARelayKnowsWhatOthersCallThemselves, by the descriptors that it holds.
func TestARelayKnowsWhatOthersCallThemselves(t *testing.T) {
	inCity(t, 3, genesis.Testnet(), func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(1)
		if err := w.all[1].ChangeAbout(func(a *About) { a.Nickname = "maple" }); err != nil {
			t.Fatal(err)
		}
		w.atEnd(12)
		if got := w.all[0].Nickname(w.all[1].RID()); got != "maple" {
			t.Errorf("it is called %q", got)
		}
		if got := w.all[0].Nickname(record.RID{1}); got != "" {
			t.Errorf("nobody is called %q", got)
		}
	})
}

// TestPeersAreBounded: more of them, or of one's addresses, are no configuration.
func TestPeersAreBounded(t *testing.T) {
	a := []netip.AddrPort{townAddr(1)}
	many := make([]Peer, MaxPeers+1)
	for i := range many {
		many[i] = Peer{Addresses: a}
	}
	for name, test := range map[string]struct {
		peers []Peer
		fit   bool
	}{
		"none":               {nil, true},
		"the most":           {many[1:], true},
		"one too many":       {many, false},
		"no address":         {[]Peer{{}}, false},
		"no valid address":   {[]Peer{{Addresses: make([]netip.AddrPort, 1)}}, false},
		"most addresses":     {[]Peer{{Addresses: append(a[:1:1], a[0], a[0], a[0])}}, true},
		"too many addresses": {[]Peer{{Addresses: append(a[:1:1], a[0], a[0], a[0], a[0])}}, false},
	} {
		if got := peersFit(test.peers); got != test.fit {
			t.Errorf("%s: %v", name, got)
		}
	}
}
