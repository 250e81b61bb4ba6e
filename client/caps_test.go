// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"net/netip"
	"testing"
	"time"

	"chive/directory/record"
)

// A client that has seen as many forgers as it keeps in mind keeps these, and no more
// until their time is over. Spec: protocol §7 (BOOT-2)
func TestForgersBeyondTheBoundAreNotKept(t *testing.T) {
	inVillage(t, 5, func(t *testing.T, v *village) {
		w := v.walk(nil)
		defer w.end()
		rid := func(n int) record.RID { return record.RID{byte(n >> 8), byte(n)} }
		for n := range 1100 {
			w.drop(rid(n))
		}
		if kept := len(w.dir.dropped); kept != 1024 || !w.isDropped(rid(0)) || !w.isDropped(rid(1023)) || w.isDropped(rid(1024)) {
			t.Errorf("%d are kept", kept)
		}
		v.pass(dropEpochs * v.doc.Params.EpochLen)
		if w.drop(rid(1099)); len(w.dir.dropped) != 1 || !w.isDropped(rid(1099)) {
			t.Errorf("%d are kept when the time of the others is over", len(w.dir.dropped))
		}
	})
}

// Of the readings of other clocks the newest 16 are kept, each of another place.
func TestReadingsBeyondTheBoundAreNotKept(t *testing.T) {
	inVillage(t, 5, func(t *testing.T, v *village) {
		w := v.walk(nil)
		defer w.end()
		at := func(n int) place {
			return place{net: netip.PrefixFrom(netip.AddrFrom4([4]byte{30, byte(n), 0, 0}), 16)}
		}
		for n := range 20 {
			w.heardTold(at(n), time.Duration(n))
		}
		if len(w.dir.readings) != 16 || w.dir.readings[0].at != at(4) || w.dir.readings[15].at != at(19) {
			t.Errorf("%d are kept, from %v", len(w.dir.readings), w.dir.readings[0].at)
		}
	})
}
