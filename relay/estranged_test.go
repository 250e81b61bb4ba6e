// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"slices"
	"strings"
	"testing"
	"time"

	"chive/directory"
	"chive/directory/genesis"
	"chive/directory/vote"
)

// reported reports whether a relay has something to say.
func (c *citizen) reported(what directory.Matter) bool {
	return slices.ContainsFunc(c.Status().Directory.Reports, func(r Report) bool { return r.What == reportWords[what] })
}

// TestTwoProcessesWithOneKeyAbstain, over a restart too, until one of them was gone for a
// term. The second has an old copy of the memory, and so signs nothing from the start; the
// first sees its descriptors. Spec: EPOCH-11.
func TestTwoProcessesWithOneKeyAbstain(t *testing.T) {
	p := genesis.Testnet()
	p.Term, p.DrawLead = 12, 3
	inCity(t, 4, p, func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(2)
		first := w.all[1]
		twin := &citizen{w: w, n: 9, identity: first.identity, ring: first.ring, store: first.store.copy(), claims: townAddr(1)}
		w.atEnd(3)
		defer twin.leave()
		// A relay has one stream with everybody: the twin finds those that the first cannot reach.
		w.net.Sever(townAddr(1).Addr(), townAddr(3).Addr())
		twin.start()
		pass(3 * time.Second)
		// Its next descriptor, before the first one's: two of one second would be the same.
		if !twin.replica.Load().offer(input{event: directory.Renew{}}) {
			t.Fatal("it does not take it")
		}
		w.atEnd(14)
		if d := first.Status().Directory; !strings.HasPrefix(d.Committee.Reason, reasonWords[vote.OtherSelf]+": ") || !d.Committee.Other || !first.reported(directory.ReportOtherSelf) {
			t.Errorf("the first one: %q, %v", d.Committee.Reason, d.Reports)
		}
		reason := twin.Status().Directory.Committee.Reason
		if !strings.HasPrefix(reason, reasonWords[vote.OtherSelf]+": ") && !strings.HasPrefix(reason, reasonWords[vote.MemoryLost]+": ") {
			t.Errorf("the twin: %q", reason)
		}
		twin.leave()
		w.net.Heal(townAddr(1).Addr(), townAddr(3).Addr())
		first.kill()
		first.start()
		w.atEnd(16)
		if reason := first.Status().Directory.Committee.Reason; !strings.HasPrefix(reason, reasonWords[vote.OtherSelf]+": ") {
			t.Errorf("after a restart: %q", reason)
		}
		w.atEnd(17 + vote.Quiet(p) + uint64(p.Term))
		if d := first.Status().Directory; d.Committee.Reason != "" || !d.Committee.Seat {
			t.Errorf("alone for long enough: %+v", d.Committee)
		}
		if w.accused() {
			t.Error("the two have signed two things")
		}
	})
}

// TestAnOldMemoryPutBackCostsTheTerm, over restarts too. Spec: EPOCH-11.
func TestAnOldMemoryPutBackCostsTheTerm(t *testing.T) {
	p := genesis.Testnet()
	p.Term, p.DrawLead = 12, 3
	inCity(t, 4, p, func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(1)
		hurt := w.all[2]
		old := hurt.store.copy()
		w.atEnd(5)
		hurt.kill()
		hurt.store = old
		hurt.start()
		w.atEnd(7)
		if d := hurt.Status().Directory; !strings.HasPrefix(d.Committee.Reason, reasonWords[vote.MemoryLost]+": ") || !hurt.reported(directory.ReportOldMemory) {
			t.Errorf("%q, %v", d.Committee.Reason, d.Reports)
		}
		hurt.kill()
		hurt.start()
		w.atEnd(9)
		if reason := hurt.Status().Directory.Committee.Reason; !strings.HasPrefix(reason, reasonWords[vote.MemoryLost]+": ") {
			t.Errorf("after a restart: %q", reason)
		}
		w.atEnd(27)
		if d := hurt.Status().Directory; d.Committee.Reason != "" || !d.Committee.Seat || w.accused() || w.agree(w.all...) != 27 {
			t.Errorf("in the next term: %+v", d.Committee)
		}
	})
}

// TestANoteOfAnotherProcessThatCannotBeReadCountsAsOne.
func TestANoteOfAnotherProcessThatCannotBeReadCountsAsOne(t *testing.T) {
	m, _ := storing()
	if till, err := m.otherTill(); till != 0 || err != nil {
		t.Errorf("without a note: %d, %v", till, err)
	}
	now := time.Unix(1_700_000_000, 0)
	m.otherSeen(now, 7)
	m.otherSeen(now, 9)
	m.commit(now)
	if till, err := newMemory(m.store, m.own).otherTill(); till != 9 || err != nil {
		t.Errorf("until %d, %v", till, err)
	}
	m.put(now, Write{Bucket: "self", Key: otherKey, Value: []byte{1}}, 0, true)
	m.commit(now)
	if till, err := newMemory(m.store, m.own).otherTill(); till == 0 || err != nil {
		t.Errorf("a spoiled note: %d, %v", till, err)
	}
}
