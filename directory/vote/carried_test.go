// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"bytes"
	"testing"
	"time"

	"chive/directory/committee"
	"chive/directory/record"
)

// TestWhoWasAwaySignsWhatMostHaveSigned: a proposal that came too late for this member alone, for
// it has restarted, gets its signature once M seats have signed it; and then goes before one
// that came in time. Fewer count for nothing. Spec: EPOCH-6.
func TestWhoWasAwaySignsWhatMostHaveSigned(t *testing.T) {
	const k = 7
	most := committee.Matching(k)
	for name, c := range map[string]struct {
		timely     bool // another proposal came in time
		signatures int
		want       int // of which: 0 none, 1 the late one, 2 the timely one
	}{
		"M have signed it":                     {false, most, 1},
		"fewer have":                           {false, most - 1, 0},
		"M have, and one came in time":         {true, most, 1},
		"fewer have, and one has come in time": {true, most - 1, 2},
	} {
		b := newBench(t, k, nil)
		var votes []*Vote
		for seat := range k {
			if seat != b.ownSeat() && len(votes) < committee.Quorum(k) {
				votes = append(votes, b.ballotOf(seat, nil))
			}
		}
		for _, v := range votes {
			b.give(b.at(1, 400*time.Millisecond), record.ClassVote, v.Encode())
		}
		var others []int
		for seat := range k {
			if seat != b.ownSeat() {
				others = append(others, seat)
			}
		}
		late, timely := b.proposalOf(others[0], votes...), b.proposalOf(others[1], votes...)
		if c.timely {
			b.give(b.at(1, 2400*time.Millisecond), record.ClassProposal, timely.Encode())
		}
		b.give(b.at(1, 2600*time.Millisecond), record.ClassProposal, late.Encode())
		for _, seat := range others[:c.signatures] {
			g, err := NewSignature(b.m.nid, b.keyOf(b.w.genesis().Owner(1), seat), 1, late.HeaderDigest(), seat)
			if err != nil {
				t.Fatal(err)
			}
			b.give(b.at(1, 2700*time.Millisecond), record.ClassSignature, g.Encode())
		}
		now := b.at(1, 3100*time.Millisecond)
		got := 0
		for _, e := range b.step(now, Tick{}) {
			store, ok := e.(Store)
			if !ok {
				continue
			}
			for _, e := range b.step(now, Stored{Token: store.Token, OK: true}) {
				if s, ok := e.(Send); ok && s.Class == record.ClassSignature {
					g, err := DecodeSignature(s.Data)
					if err != nil {
						t.Fatal(err)
					}
					for i, p := range []*Proposal{late, timely} {
						if digest := p.HeaderDigest(); bytes.Equal(g.Header[:], digest[:]) {
							got = i + 1
						}
					}
				}
			}
		}
		if got != c.want {
			t.Errorf("%s: signed %d, want %d", name, got, c.want)
		}
	}
}
