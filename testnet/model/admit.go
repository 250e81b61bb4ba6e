// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"time"

	"chive/directory"
	"chive/directory/record"
	"chive/directory/sybil"
)

// admit does what is asked for on the way into a table.
func (n *node) admit(e directory.Effect) {
	w := n.w
	switch e := e.(type) {
	case directory.CheckWork:
		n.later(20*time.Millisecond, func() {
			n.step(directory.WorkChecked{Digest: e.Digest, Work: e.Work, Bits: e.Challenge.Bits(&e.Work)})
		})
	case directory.Solve:
		// The work itself takes no virtual time beyond this.
		work, ok := sybil.NewSolver(e.Challenge, uint64(n.n)<<32).Step(1 << 16)
		if ok {
			n.later(time.Second, func() { n.step(directory.Solved{Work: work}) })
		}
	case directory.SignEntry:
		data, err := record.SealEntry(e.Entry, w.nid, n.identity, nil)
		must(err)
		n.later(time.Millisecond, func() { n.step(directory.EntrySigned{RID: e.Entry.Candidate, Data: data}) })
	}
}
