// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"testing"
	"time"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
)

// TestARelayTellsWhoseSignatureIsMissing: a member that is gone has no stream and signs
// no more, and the others name it, while they are enough to go on.
func TestARelayTellsWhoseSignatureIsMissing(t *testing.T) {
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(2)
		gone := w.all[3].RID()
		w.all[3].kill()
		w.atEnd(w.doc.EpochAt(time.Now()) + 2)
		for _, c := range w.all[:3] {
			s := c.Status().Directory.Committee
			if len(s.Members) != 4 || s.Seats != 4 || s.Signed != 3 {
				t.Errorf("relay %d: %+v", c.n, s)
			}
			for _, m := range s.Members {
				if !m.Signer || m.Signed != (m.RID != gone) || m.Self != (m.RID == c.RID()) || m.Stream != (m.RID != c.RID() && m.RID != gone) {
					t.Errorf("relay %d: %+v", c.n, m)
				}
			}
		}
	})
}

// TestNothingIsKnownOfWhoHadNothingToSign: the newest list may be the other committee's, in
// which some members have a seat and some have none.
func TestNothingIsKnownOfWhoHadNothingToSign(t *testing.T) {
	both, late, none, other := record.RID{1}, record.RID{2}, record.RID{3}, record.RID{4}
	members := []MemberStatus{{RID: none}, {RID: late}, {RID: both}}
	seats := []committee.Seat{{RID: both}, {RID: other}, {RID: late}}
	if n := noteSigners(members, seats, func(seat int) bool { return seat < 2 }); n != 2 {
		t.Errorf("%d have signed", n)
	}
	for i, want := range []MemberStatus{{RID: none}, {RID: late, Signer: true}, {RID: both, Signer: true, Signed: true}} {
		if members[i] != want {
			t.Errorf("%+v, want %+v", members[i], want)
		}
	}
}
