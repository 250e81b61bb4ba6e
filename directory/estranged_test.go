// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"maps"
	"slices"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/vote"
)

// shortTerms have terms of two minutes.
func shortTerms() genesis.Params {
	p := genesis.Testnet()
	p.Term, p.DrawLead = 12, 3
	return p
}

// storeOf returns a copy of what a node has stored.
func (n *node) storeOf() (out [BucketCount]map[string][]byte) {
	for b := range n.store {
		out[b] = maps.Clone(n.store[b])
	}
	return out
}

// matters returns what a node has reported.
func (n *node) matters() map[Matter]int {
	all := map[Matter]int{}
	for _, r := range n.reports {
		all[r.What]++
	}
	return all
}

// TestTwoProcessesWithOneKeyAreBothSilent as soon as they notice each other, and the one
// that is left takes part again when it was quiet for long enough. Spec: EPOCH-11.
func TestTwoProcessesWithOneKeyAreBothSilent(t *testing.T) {
	s := newSimOf(t, 4, 31, shortTerms())
	s.startAll()
	s.until(45 * time.Second)
	first := s.nodes[1]
	twin := &node{s: s, n: 1, rid: first.rid, store: first.storeOf(), life: 500, onion: 7}
	s.until(58 * time.Second)
	twin.start()
	s.until(165 * time.Second)
	for name, n := range map[string]*node{"first": first, "twin": twin} {
		v := n.m.Status()
		if v.Reason != vote.OtherSelf && v.Reason != vote.MemoryLost {
			t.Errorf("%s: %+v, reports %v", name, v, n.matters())
		}
	}
	if first.matters()[ReportOtherSelf] == 0 || !first.m.Status().Other {
		t.Errorf("the first one: %+v, %v", first.m.Status(), first.matters())
	}
	if twin.matters()[ReportOtherSelf]+twin.matters()[ReportOldMemory] == 0 {
		t.Errorf("the twin: %v", twin.matters())
	}
	if out := s.skipped(1, 15); len(out) > 0 {
		t.Errorf("skipped %v", out)
	}
	twin.stop()
	s.until(165*time.Second + time.Duration(vote.Quiet(s.doc.Params)+10)*s.doc.Params.EpochLen)
	if v := first.m.Status(); v.Reason == vote.OtherSelf || v.Reason == vote.MemoryLost || v.Other {
		t.Errorf("alone again: %+v", v)
	}
}

// TestAnOldStorePutBackIsNoticed by what the relay has signed since. Spec: EPOCH-11.
func TestAnOldStorePutBackIsNoticed(t *testing.T) {
	s := newSimOf(t, 4, 32, shortTerms())
	s.startAll()
	n := s.nodes[2]
	s.until(22 * time.Second)
	old := n.storeOf()
	s.until(54 * time.Second)
	n.stop()
	n.store = old
	s.until(55 * time.Second)
	n.start()
	s.until(85 * time.Second)
	if v := n.m.Status(); v.Reason != vote.MemoryLost || !v.Old || v.Other || n.epoch() != 8 {
		t.Errorf("%+v", v)
	}
	if got := n.matters(); got[ReportOldMemory] != 1 || len(got) != 1 {
		t.Errorf("reports %v", got)
	}
	s.until(400 * time.Second) // the terms are over
	if v := n.m.Status(); v.Old || v.Reason == vote.MemoryLost {
		t.Errorf("in the next term: %+v", v)
	}
}

// TestADescriptorOfOurselvesIsOursOrAnothers: what nobody but another process can have
// published stops the member, even if it is not kept; what may be forgotten counts as
// that. Spec: EPOCH-11.
func TestADescriptorOfOurselvesIsOursOrAnothers(t *testing.T) {
	for name, test := range map[string]struct {
		seq       func(own uint64) uint64
		published time.Duration // after the start of the process
		want      []Matter
	}{
		"newer, of now":           {func(own uint64) uint64 { return own + 5 }, 30 * time.Second, []Matter{ReportOtherSelf}},
		"newer, too soon to keep": {func(own uint64) uint64 { return own + 5 }, 10 * time.Second, []Matter{ReportOtherSelf}},
		"newer, of before":        {func(own uint64) uint64 { return own + 5 }, -5 * time.Second, []Matter{ReportOldMemory}},
		"of the same number":      {func(own uint64) uint64 { return own }, 30 * time.Second, []Matter{ReportOtherSelf, ReportEvidence}},
		"older":                   {func(own uint64) uint64 { return own - 1 }, 30 * time.Second, nil},
	} {
		params := genesis.Testnet()
		params.RepublishGap = 20 * time.Second
		s := newSimOf(t, 4, 33, params)
		s.startAll()
		s.until(35 * time.Second)
		n := s.nodes[0]
		p := Publish{Seq: test.seq(n.m.own.seq), Published: n.m.began.Truncate(time.Second).Add(test.published)}
		p.Expires = p.Published.Add(time.Minute)
		n.onion = 9
		n.m.now = s.now
		n.m.acceptDescriptor(n.descriptor(p))
		out := n.m.out
		n.m.out = nil
		for _, e := range out {
			n.carry(e)
		}
		n.step(Tick{})
		var got []Matter
		for _, r := range n.reports {
			got = append(got, r.What)
		}
		slices.Sort(got)
		slices.Sort(test.want)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
		if silent := n.m.Status().Other || n.m.Status().Old; silent != (test.want != nil) {
			t.Errorf("%s: silent %v", name, silent)
		}
	}
}

// TestANoteOfAnotherProcessKeepsTheNextMachineSilent.
func TestANoteOfAnotherProcessKeepsTheNextMachineSilent(t *testing.T) {
	s := newSim(t, 4, 34)
	m, err := New(Config{Document: s.doc, RID: s.nodes[0].rid, Rand: zeros{}, Verifier: s.verify, OtherTill: 3})
	if err != nil {
		t.Fatal(err)
	}
	m.Step(s.doc.EpochStart(1), Tick{}, nil)
	if !m.Status().Other || m.Doubts().OtherTill != 3 {
		t.Errorf("%+v", m.Status())
	}
	m.Step(s.doc.EpochStart(3), Tick{}, nil)
	if m.Status().Other {
		t.Error("for ever")
	}
}

// zeros is a source of nothing but zeros.
type zeros struct{}

func (zeros) Uint64() uint64             { return 0 }
func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestAClockBehindAtTheStartIsNoLostMemory: a machine without a clock battery begins
// before its own newest descriptor, publishes, has its clock set and gets the older
// descriptor back from its peers. Spec: EPOCH-11.
func TestAClockBehindAtTheStartIsNoLostMemory(t *testing.T) {
	s := newSimOf(t, 4, 33, shortTerms())
	s.startAll()
	s.until(130 * time.Second)
	n := s.nodes[0]
	before := n.m.descs.newest(n.rid)
	n.stop()
	now := s.now
	s.now = before.Published.Add(-n.m.p.ClockAhead - 30*time.Second)
	n.start()
	if n.m.descs.newest(n.rid) != nil || n.m.own.seq != before.Seq {
		t.Fatalf("number %d of %d is known", n.m.own.seq, before.Seq)
	}
	said := s.now.Truncate(time.Second)
	n.step(Descriptor{Data: n.descriptor(Publish{
		Seq: max(n.m.own.seq+1, uint64(said.Unix())), Published: said, Expires: said.Add(n.m.p.DescriptorLife), Terms: []uint64{n.m.term(), n.m.term() + 1},
	})})
	n.stop()
	s.now, n.reports = now, nil
	n.start()
	s.until(now.Sub(s.doc.EpochStart(0)) + 30*time.Second)
	for _, r := range n.reports {
		if r.What == ReportOldMemory || r.What == ReportOtherSelf {
			t.Errorf("it reports %v", r.What)
		}
	}
}
