// SPDX-License-Identifier: BSD-3-Clause

package bootstrap

import (
	"errors"
	"testing"

	dirsync "chive/directory/sync"
)

// What each trick comes to at a client with genesis and at one with a saved list:
// nothing is taken that no quorum in office signed, and no trick is an honest answer in
// disguise. Spec: directory §8.
func TestEachTrickIsMetAsWhatItIs(t *testing.T) {
	w, err := newEclipse(3, settingOf(true))
	if err != nil {
		t.Fatal(err)
	}
	honest := w.good.server.Working(w.now).Header().Digest()
	for _, k := range allKinds() {
		for _, tr := range w.does[k] {
			if tr.relay == nil {
				continue
			}
			for i := range 2 {
				f, err := w.anchored(i)
				if err != nil {
					t.Fatal(err)
				}
				before := f.Snapshot().Header().Digest()
				_, result, err := refresh(f, tr.relay, w.now)
				after := f.Snapshot().Header().Digest()
				fresh := dirsync.ServedFresh(w.doc.Params, f.Snapshot().Epoch(), w.newest)
				bad := false
				switch {
				case tr.name == retiredKeys && i == 0: // never shown to it: see source
				case k == stale:
					bad = err != nil || fresh || !w.known(after)
				case k == forged:
					bad = !errors.Is(err, dirsync.ErrForged) && !errors.Is(err, dirsync.ErrTooOld) || after != before
				case tr.name == retiredKeys:
					bad = err == nil || after != before
				case k == orphan:
					bad = err != nil || result != dirsync.Newer || !w.siblings[after]
				case tr.name == "no steps" || tr.name == "no proof":
					bad = after != before && after != honest
				case k == withheld:
					bad = err == nil || after != before
				}
				if bad {
					t.Errorf("%s, %s, client %d: result %d, %v, epoch %d", k, tr.name, i, result, err, f.Snapshot().Epoch())
				}
			}
		}
	}
	// Whatever it has seen, a client goes on to the honest list.
	for _, k := range allKinds() {
		for _, tr := range w.does[k] {
			if tr.relay == nil || tr.name == retiredKeys || k == orphan {
				continue
			}
			f, _ := w.anchored(1)
			_, _, _ = refresh(f, tr.relay, w.now)
			if _, _, err := refresh(f, w.good, w.now); err != nil || f.Snapshot().Header().Digest() != honest {
				t.Errorf("after %s, %s: %v, epoch %d", k, tr.name, err, f.Snapshot().Epoch())
			}
		}
	}
}
