// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"testing"
	"time"

	"chive/directory/genesis"
)

// A relay that was away while a list was drawn votes by the old one when it comes back, and
// hears of votes by the new one. Nobody is closed or accused for that. Spec: GOS-11.
func TestNobodyIsShutOutForAListThatWasMissed(t *testing.T) {
	p := genesis.Testnet()
	p.Term, p.DrawLead = 12, 2
	w := started(t, setting{seed: 1, relays: 10, params: p, alone: true})
	missed := 0
	for term := 1; term <= 2; term++ {
		n, first := w.nodes[term], term*p.Term
		w.at(time.Duration(first-p.DrawLead)*p.EpochLen-p.EpochLen/2, n.stop)
		w.at(time.Duration(first)*p.EpochLen+50*time.Millisecond, func() {
			n.start()
			if n.m.Head().State.Epoch() < uint64(first-p.DrawLead) {
				missed++
			}
		})
	}
	go_(t, w, 28*p.EpochLen+9*time.Second)
	if missed != 2 || w.check.closed != 0 || w.stragglers() != 0 {
		t.Errorf("%d came back behind a draw, %d streams were closed for lying, %d relays are behind", missed, w.check.closed, w.stragglers())
	}
}
