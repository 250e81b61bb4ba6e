// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/directory/vote"
	"chive/link"
)

// TestAMemberThatIsShutOutSaysUntilWhen, over a restart too, and the others say it of it.
// Spec: directory §5 (PEN).
func TestAMemberThatIsShutOutSaysUntilWhen(t *testing.T) {
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(1)
		liar, nid := w.all[3], w.doc.NetworkID()
		l, err := link.Dial(context.Background(), w.net.Host(netip.AddrFrom4([4]byte{13, 0, 0, 1})), townAddr(0), link.Config{NetworkID: nid, Rand: rand.Reader})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		keys, err := liar.ring.Committee()
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys { // of those, one has a seat
			var signed [2][]byte
			for i := range signed {
				v, err := vote.NewVote(nid, key, 1, [32]byte{4}, 1, []byte{byte(i)})
				if err != nil {
					t.Fatal(err)
				}
				signed[i] = v.Signed()
			}
			e, err := record.NewEvidence(record.ClassVote, key.Public().(ed25519.PublicKey), signed[0], signed[1])
			if err != nil {
				t.Fatal(err)
			}
			st, err := l.Open(link.StreamDirectory)
			if err != nil {
				t.Fatal(err)
			}
			if err := dirsync.SendEvidence(st, e); err != nil {
				t.Fatal(err)
			}
		}
		w.atEnd(4)
		check := func(when string) {
			t.Helper()
			own := liar.Status().Directory.Committee
			if !own.Penalty.After(time.Now()) || !strings.HasPrefix(own.Reason, "it is shut out of the committee until "+own.Penalty.UTC().Format(dateWords)) {
				t.Errorf("%s: until %v: %q", when, own.Penalty, own.Reason)
			}
			for _, c := range w.all[:3] {
				if all := c.Penalties(); len(all) != 1 || !all[liar.RID()].Equal(own.Penalty) {
					t.Errorf("%s: relay %d knows of %v", when, c.n, all)
				}
				s := c.Status().Directory.Committee
				if !s.Penalty.IsZero() || !slices.ContainsFunc(s.Members, func(m MemberStatus) bool { return m.RID == liar.RID() && m.Penalty.Equal(own.Penalty) }) {
					t.Errorf("%s: relay %d: %+v", when, c.n, s)
				}
			}
		}
		check("at once")
		liar.kill()
		liar.start()
		w.atEnd(6)
		check("after a restart")
	})
}

// TestCommitteesHaveNames: the one of the epoch, and the one that has signed, with what it
// needs. Spec: directory §6.
func TestCommitteesHaveNames(t *testing.T) {
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		w.startAll()
		for epoch, want := range map[uint64]string{1: "A", 3: "A", 4: "B", 5: "A", 9: "B"} {
			if got := nameOf(epoch); got != want {
				t.Errorf("epoch %d belongs to %s", epoch, got)
			}
		}
		for epoch := uint64(3); epoch <= 5; epoch++ {
			w.atEnd(epoch)
			d := w.all[0].Status().Directory
			s := d.Committee
			if s.Name != nameOf(d.Current) || s.SignedBy != nameOf(d.Head) || s.Seats != 4 || s.Needed != 3 || !slices.Equal(s.In, []string{"A", "B"}) {
				t.Errorf("epoch %d, list %d: %+v", d.Current, d.Head, s)
			}
		}
	})
}
