// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"bytes"
	"cmp"

	"chive/directory/committee"
	"chive/directory/genesis"
)

// agreed returns the ops that enough seats want, in canonical order. Error: ErrVotes.
func agreed(doc *genesis.Document, parent *State, in *Input) ([]Op, error) {
	list := parent.Owner(doc.Params, in.Epoch)
	if list == nil || in.Seat < 0 || in.Seat >= len(list.Seats) || len(in.Votes) < committee.Quorum(len(list.Seats)) {
		return nil, ErrVotes
	}
	seen := make([]bool, len(list.Seats))
	var wanted opHeap
	for _, v := range in.Votes {
		if v.Seat < 0 || v.Seat >= len(seen) || seen[v.Seat] {
			return nil, ErrVotes
		}
		seen[v.Seat] = true
		if len(v.Ops) > 0 && !parent.Ignored(&list.Seats[v.Seat]) && canonical(v.Ops, len(parent.aux)) &&
			OpsSize(v.Ops) <= MaxOpsSize(len(parent.aux)) {
			wanted = append(wanted, v.Ops)
		}
	}
	return wanted.matching(committee.Matching(len(list.Seats))), nil
}

// opHeap holds votes, each in canonical order, the one whose first op is lowest on
// top: counting takes no memory that hostile votes could fill.
type opHeap [][]Op

// compareAll orders ops by all of their bytes, canonical order first.
func compareAll(a, b *Op) int {
	switch {
	case a.Code != b.Code:
		return cmp.Compare(a.Code, b.Code)
	case a.Index != b.Index:
		return cmp.Compare(a.Index, b.Index)
	case *a == *b:
		return 0
	}
	return cmp.Or(a.RID.Compare(b.RID), bytes.Compare(a.Body[:], b.Body[:]), cmp.Compare(a.Lane, b.Lane), cmp.Compare(a.Sponsor, b.Sponsor),
		cmp.Compare(a.Reason, b.Reason), bytes.Compare(a.Evidence[:], b.Evidence[:]))
}

// matching empties the heap and returns the ops that at least so many votes have. As
// that is more than half of the seats, there is at most one of a number for a relay.
func (h opHeap) matching(votes int) []Op {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.sink(i)
	}
	var out []Op
	var last Op // code 0: none
	count := 0
	for len(h) > 0 {
		o := &h[0][0]
		if *o != last {
			last, count = *o, 0
		}
		if count++; count == votes {
			out = append(out, last)
		}
		if h[0] = h[0][1:]; len(h[0]) == 0 {
			h[0] = h[len(h)-1]
			h = h[:len(h)-1]
		}
		h.sink(0)
	}
	return out
}

func (h opHeap) sink(i int) {
	for {
		low := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if compareAll(&h[child][0], &h[low][0]) < 0 {
				low = child
			}
		}
		if low == i {
			return
		}
		h[i], h[low] = h[low], h[i]
		i = low
	}
}
