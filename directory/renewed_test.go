// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"net/netip"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/gossip"
	"chive/directory/record"
)

// A renewal is a candidate that was checked at one machine, and the next descriptor of it,
// with other work.
type renewal struct {
	t    *testing.T
	s    *sim
	m    *Machine
	n    *node
	work record.Work // of the next
	next []byte
}

func newRenewal(t *testing.T) *renewal {
	t.Helper()
	p := genesis.Testnet()
	p.StampBits, p.WorkBits, p.AdmitRate, p.AdmitFloor = 8, 1, 10, 2
	s := newSimOf(t, 4, 27, p)
	s.startAll()
	s.until(25 * time.Second)
	r := &renewal{t: t, s: s, m: s.nodes[0].m, n: s.add()}
	first := *r.n.solved(s.nodes[0])
	if r.take(r.candidate(1, first)) != gossip.VerdictLater || !r.m.pending.Checked(r.opened(r.candidate(1, first)).Digest, p.WorkBits) {
		t.Fatal("not taken")
	}
	s.now = s.now.Add(2*p.RepublishGap + time.Second)
	r.work = r.other(first)
	r.next = r.candidate(2, r.work)
	return r
}

// candidate is a record of the relay; the same for the same arguments at one time.
func (r *renewal) candidate(seq uint64, w record.Work) []byte {
	r.t.Helper()
	now := r.s.now.Truncate(time.Second)
	d := r.n.descriptor(Publish{Seq: seq, Published: now, Expires: now.Add(r.s.doc.Params.DescriptorLife)})
	data, err := (&record.Candidate{Descriptor: d, Work: &w}).Encode()
	if err != nil {
		r.t.Fatal(err)
	}
	return data
}

// other is work with another nonce and a stamp that holds.
func (r *renewal) other(w record.Work) record.Work {
	identity := public(signingKey("identity", r.n.n))
	for w.Nonce++; ; w.Stamp++ {
		if c, ok := r.m.challenge(identity[:], &w); ok && c.CheckStamp(&w) == nil {
			return w
		}
	}
}

func (r *renewal) opened(data []byte) *record.Opened {
	r.t.Helper()
	o, err := record.OpenCandidate(data, r.s.doc.NetworkID(), r.s.now, r.m.times())
	if err != nil {
		r.t.Fatal(err)
	}
	return o
}

// take is what gossip brings, introduced by another relay.
func (r *renewal) take(data []byte) gossip.Verdict {
	r.t.Helper()
	r.m.now = r.s.now
	o := r.opened(data)
	o.Entry = &record.Entry{Entry: r.s.nodes[1].rid}
	return r.m.takeCandidate(o, data)
}

func (r *renewal) join(data []byte) (gossip.JoinCode, bool) {
	r.m.now = r.s.now
	return r.m.enter(gossip.JoinAsked{Link: 1, RID: r.n.rid, Source: netip.AddrFrom4([4]byte{20, 9, 1, 1}), Data: data})
}

// A renewal that waits for its check is known to who asks to join with it, or with a copy.
func TestARenewalThatWaitsIsKnown(t *testing.T) {
	r := newRenewal(t)
	if r.take(r.next) != gossip.VerdictLater {
		t.Fatal("not taken")
	}
	for name, data := range map[string][]byte{"itself": r.next, "a copy": r.candidate(2, r.other(r.work))} {
		if code, done := r.join(data); !done || code != gossip.JoinKnown {
			t.Errorf("%s: %d, %v", name, code, done)
		}
	}
}

// What a check has found counts for the work that was checked: a copy with other work has
// the same digest.
func TestACheckIsOfOneWork(t *testing.T) {
	for name, copyWaits := range map[string]bool{"the copy waits": true, "the renewal waits": false} {
		r := newRenewal(t)
		bad := r.other(r.work)
		held, checked, bits := r.next, bad, 0
		if copyWaits {
			held, checked, bits = r.candidate(2, bad), r.work, r.s.doc.Params.WorkBits
		}
		if r.take(held) != gossip.VerdictLater {
			t.Fatal("not taken")
		}
		r.m.workChecked(WorkChecked{Digest: r.opened(r.next).Digest, Work: checked, Bits: bits})
		if _, was, ok := r.m.pending.ByDigest(r.opened(r.next).Digest); !ok || was {
			t.Errorf("%s: held %v, checked %v", name, ok, was)
		}
		if c, was, _ := r.m.pending.Get(r.n.rid); c.Seq != 1 || !was {
			t.Errorf("%s: seq %d stands, checked %v", name, c.Seq, was)
		}
	}
}

// What was found out of a record is not taken for another one that stands in its place when
// it is over; a renewal with the same addresses that replaces it keeps it.
func TestWhoWasReachedWithAnotherRecord(t *testing.T) {
	for name, over := range map[string]bool{"it replaces the former": false, "the former is over": true} {
		r := newRenewal(t)
		r.m.reach.last[r.n.rid] = r.s.now
		if r.take(r.next) != gossip.VerdictLater || r.m.reach.last[r.n.rid].IsZero() {
			t.Fatal("an unchecked record takes what was found out about the checked one")
		}
		if c, _, _ := r.m.pending.Get(r.n.rid); over {
			r.m.pending.Expire(r.m.at.state.Epoch(), c.Expires)
		}
		r.m.workChecked(WorkChecked{Digest: r.opened(r.next).Digest, Work: r.work, Bits: r.s.doc.Params.WorkBits})
		if c, checked, _ := r.m.pending.Get(r.n.rid); c.Seq != 2 || !checked || r.m.reach.last[r.n.rid].IsZero() != over {
			t.Errorf("%s: seq %d, checked %v, reached %v", name, c.Seq, checked, !r.m.reach.last[r.n.rid].IsZero())
		}
	}
}
