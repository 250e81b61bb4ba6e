// SPDX-License-Identifier: BSD-3-Clause

package sybil

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"chive/directory/genesis"
)

// whole checks what must hold of a store after whatever was done to it.
func (s *Pending) whole(t *rapid.T) {
	t.Helper()
	var unchecked int
	for digest, h := range s.digests {
		if h.Digest != digest || s.all[h.RID] != h && s.newer[h.RID] != h {
			t.Fatal("a digest leads to a record that is not held")
		}
		if !h.checked {
			unchecked++
		}
		if slices.Contains(s.waiting, h) == h.checked {
			t.Fatalf("a record waits: %v, and was checked: %v", !h.checked, h.checked)
		}
		if h.Vouched && s.params.VoucherGap > 0 && s.named[h.Sponsor] != h.RID {
			t.Fatal("a sponsor is free that has a candidate")
		}
	}
	if len(s.digests) != len(s.all)+len(s.newer) || len(s.waiting) != unchecked {
		t.Fatalf("%d digests, %d and %d records, %d unchecked, %d wait", len(s.digests), len(s.all), len(s.newer), unchecked, len(s.waiting))
	}
	for rid, h := range s.newer {
		if first := s.all[rid]; h.checked || first == nil || !first.checked {
			t.Fatal("what stands beside another was checked, or that was not")
		}
	}
	for sponsor, rid := range s.named {
		has := func(h *held) bool { return h != nil && h.Vouched && h.Sponsor == sponsor }
		if !has(s.all[rid]) && !has(s.newer[rid]) {
			t.Fatal("a sponsor is taken that has no candidate")
		}
	}
	if len(s.waiting) > s.maxWaiting() || s.checked() > s.maxChecked() {
		t.Fatalf("%d wait of %d, %d were checked of %d", len(s.waiting), s.maxWaiting(), s.checked(), s.maxChecked())
	}
}

// TestPendingIsWholeAfterAnything does all that can be done to a small store, in any order.
// Spec: ADM-6.
func TestPendingIsWholeAfterAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genesis.Public()
		if rapid.Bool().Draw(t, "no work") {
			p.WorkBits = 0
		}
		s, now, epoch := NewPending(p, 10), start(), uint64(100)
		s.bound = rapid.IntRange(8, 40).Draw(t, "bound")
		var put []Candidate
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			default:
				n := rapid.IntRange(0, 9).Draw(t, "who")
				c := waiting(n)
				c.Seq = uint64(rapid.IntRange(1, 3).Draw(t, "seq"))
				c.Work.Nonce, c.Work.Epoch = uint64(rapid.IntRange(0, 2).Draw(t, "work")), 100
				c.Entry = ridOf(1_000_000 + rapid.IntRange(0, 20).Draw(t, "entry"))
				c.Expires = now.Add(time.Duration(rapid.IntRange(1, 7).Draw(t, "days")) * 24 * time.Hour)
				name := n*100 + int(c.Seq)*10
				if sponsor := rapid.IntRange(0, 3).Draw(t, "sponsor"); sponsor > 0 {
					c.Vouched, c.Sponsor = true, ridOf(2_000_000+sponsor)
					name += sponsor
				}
				c.Digest = hashOf("any", name)
				if s.Put(c, epoch, now) == Taken {
					put = append(put, c)
				}
			case 5, 6:
				if c, _, ok := s.NextCheck(now); ok && rapid.Bool().Draw(t, "answered") {
					s.Checked(c.Digest, rapid.SampledFrom([]int{0, 12, 14}).Draw(t, "bits"))
				}
			case 7:
				now, epoch = now.Add(time.Duration(rapid.IntRange(1, 60).Draw(t, "hours"))*time.Hour), epoch+1
				s.Expire(epoch, now)
			case 8:
				s.Remove(ridOf(rapid.IntRange(0, 9).Draw(t, "gone")))
			case 9:
				if len(put) > 0 {
					s.Restore(put[rapid.IntRange(0, len(put)-1).Draw(t, "back")], Receipt{Epoch: 99, Bits: 12})
				}
			}
			s.whole(t)
		}
	})
}
