// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"chive/directory/genesis"
	dirsync "chive/directory/sync"
)

// TestARelayJoinsAnOldNetworkFromAnAnchor: its genesis document is beyond the limit, and
// by that alone it gets nowhere. The anchor is made by a relay that runs, or of what one
// has stored. Spec: protocol §7 (ANC-2).
func TestARelayJoinsAnOldNetworkFromAnAnchor(t *testing.T) {
	p := genesis.Testnet()
	p.AnchorAge = 100 * time.Second
	p.Term, p.DrawLead = 12, 3
	inCity(t, 4, p, func(t *testing.T, w *city) {
		w.startAll()
		if _, err := w.all[0].Anchor(); !errors.Is(err, dirsync.ErrAnchor) {
			t.Errorf("an anchor of snapshot 0: %v", err)
		}
		w.atEnd(30)
		late := w.citizen()
		late.start()
		w.atEnd(33)
		if d := late.Status().Directory; d.Listed || d.Joining != troubleOld {
			t.Fatalf("without an anchor: %+v", d)
		}
		late.leave()
		w.all[3].leave()
		a, err := w.all[0].Anchor()
		if err != nil {
			t.Fatal(err)
		}
		stored, err := StoredAnchor(w.doc, w.all[3].store, rand.Reader)
		if err != nil || stored.Epoch()+2 < a.Epoch() || len(stored.Fallback) < 4 {
			t.Errorf("of a store: %v, epoch %d of %d, %d relays", err, stored.Epoch(), a.Epoch(), len(stored.Fallback))
		}
		taken, err := StoredSuccession(w.doc, w.all[3].store, rand.Reader)
		if err != nil || taken.Predecessor.NetworkID != w.doc.NetworkID() || taken.Epoch != stored.Epoch() ||
			taken.Predecessor.Header != stored.Certificate.HeaderDigest() || len(taken.Heirs)+taken.Unnamed < 4 || taken.Left > 0 {
			t.Errorf("a successor would take over %+v, %v", taken, err)
		}
		for _, h := range taken.Heirs {
			if h.Age > 5 { // days of service; p.Day is a minute
				t.Errorf("%d days old", h.Age)
			}
		}
		if _, err := StoredSuccession(w.doc, NewMemoryStore(), rand.Reader); !errors.Is(err, dirsync.ErrAnchor) {
			t.Errorf("of an empty store: %v", err)
		}
		w.all[3].start()
		if late.anchor, err = dirsync.ParseAnchorFile(a.Encode()); err != nil || !bytes.Equal(late.anchor.Encode(), a.Encode()) {
			t.Fatal(err)
		}
		late.start()
		select {
		case <-late.Listed():
		case <-time.After(3 * time.Minute):
			t.Fatalf("it was not listed: %+v", late.Status().Directory)
		}
		w.until(w.doc.EpochAt(time.Now())+3, p.SignEnd)
		if epoch := w.doc.EpochAt(time.Now()); w.agree(w.all...) != epoch {
			t.Errorf("it does not hold epoch %d: %+v", epoch, late.Status().Directory)
		}
		if d := late.Status().Directory; d.Joining != "" || d.Forked {
			t.Errorf("afterwards: %+v", d)
		}
	})
}
