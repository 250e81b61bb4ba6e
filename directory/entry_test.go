// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"net/netip"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/sybil"
)

// candidate is what a relay that does not run asks an entry relay with, as of now.
func (n *node) candidate(w *record.Work) []byte {
	now := n.s.now.Truncate(time.Second)
	p := Publish{Seq: 1, Published: now, Expires: now.Add(n.s.doc.Params.DescriptorLife)}
	data, err := (&record.Candidate{Descriptor: n.descriptor(p), Work: w}).Encode()
	if err != nil {
		n.s.t.Fatal(err)
	}
	return data
}

// solved is the work of a relay under the newest beacon of an entry relay.
func (n *node) solved(entry *node) *record.Work {
	h := entry.m.at.state.Snapshot().Header()
	identity := public(signingKey("identity", n.n))
	c := sybil.NewChallenge(n.s.doc.Params, n.s.doc.NetworkID(), identity[:], h.Epoch, h.Beacon)
	w, ok := sybil.NewSolver(c, 1).Step(1000)
	if !ok {
		n.s.t.Fatal("not solved")
	}
	return w
}

// What brings no stamp takes none of an hour's places, from however many sources; what
// brings one is counted before memory-hard work is done for it.
// Spec: ADM-8, GOS-10.
func TestGarbageClosesNoEntryRelay(t *testing.T) {
	p := genesis.Testnet()
	p.StampBits, p.WorkBits, p.AdmitRate, p.AdmitFloor = 8, 1, 10, 2
	p.AddrPerIPv4Net, p.AddrPerIPv6Net = 4, 4
	s := newSimOf(t, 4, 27, p)
	s.startAll()
	s.until(25 * time.Second)
	entry, n := s.nodes[0], s.add()
	source := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{20, 99, byte(i), 1}) }
	ask := func(i int, data []byte) (gossip.JoinCode, bool) {
		return entry.m.enter(gossip.JoinAsked{Link: uint64(1000 + i), RID: n.rid, Source: source(i), Data: data})
	}
	identity := public(signingKey("identity", n.n))
	unstamped := *n.solved(entry)
	for unstamped.Stamp++; ; unstamped.Stamp++ {
		if c, ok := entry.m.challenge(identity[:], &unstamped); ok && c.CheckStamp(&unstamped) != nil {
			break
		}
	}
	for i := range 2 * sybil.JoinsPerHour {
		for _, data := range [][]byte{{1, 2, 3}, n.candidate(nil), n.candidate(&unstamped)} {
			if code, done := ask(i, data); !done || code != gossip.JoinRefused {
				t.Fatalf("garbage %d: %v, %d", i, done, code)
			}
		}
	}
	good := n.candidate(n.solved(entry))
	for i := range sybil.JoinsPerHourNet {
		if code, done := ask(0, good); done {
			t.Fatalf("request %d with a stamp: %d", i, code)
		}
	}
	waits := len(entry.m.entering)
	if code, done := ask(0, good); !done || code != gossip.JoinBusy || len(entry.m.entering) != waits {
		t.Errorf("one more than a source has: %v, %d", done, code)
	}
	if _, done := ask(1, good); done {
		t.Error("another source is refused")
	}
}
