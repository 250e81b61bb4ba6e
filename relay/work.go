// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"encoding/binary"
	"io"

	"chive/directory"
	"chive/directory/sybil"
)

// maxChecks bounds the works that wait to be checked. One beyond it is not answered:
// the machine asks for two a second and twenty an hour at most.
const maxChecks = 64

// worker computes Argon2id, one at a time and beside the loop: the work of others to be
// checked, milliseconds each, and our own, minutes of a core.
type worker struct {
	d      *replica
	checks chan directory.CheckWork
}

func newWorker(d *replica) *worker {
	return &worker{d: d, checks: make(chan directory.CheckWork, maxChecks)}
}

// check leaves a work to be checked. The loop does not wait.
func (w *worker) check(e directory.CheckWork) {
	select {
	case w.checks <- e:
	default:
	}
}

// run checks works until the replica ends.
func (w *worker) run() {
	for {
		select {
		case <-w.d.ctx.Done():
			return
		case e := <-w.checks:
			w.d.send(input{event: directory.WorkChecked{Digest: e.Digest, Work: e.Work, Bits: e.Challenge.Bits(&e.Work)}})
		}
	}
}

// solve does our own work in a goroutine of its own. The machine asks for one at a time.
func (w *worker) solve(e directory.Solve) {
	var nonce [8]byte
	if _, err := io.ReadFull(w.d.r.cfg.Rand, nonce[:]); err != nil {
		return
	}
	w.d.tasks.Go(func() {
		s := sybil.NewSolver(e.Challenge, binary.BigEndian.Uint64(nonce[:]))
		for w.d.ctx.Err() == nil {
			if work, ok := s.Step(1); ok {
				w.d.send(input{event: directory.Solved{Work: work}})
				return
			}
		}
	})
}
