// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"chive/directory/genesis"
	"chive/directory/vote"
)

// SeedFollower goes on from a final state that the caller has verified itself: a relay
// from its own. Snapshot 0 has no certificate.
// Spec: directory §8, §10 (relay wakes).
func SeedFollower(doc *genesis.Document, v vote.Verifier, own Final) *Follower {
	f := NewFollower(doc, v)
	if own.State == nil || own.Certificate == nil || own.Certificate.HeaderDigest() != own.State.Digest() {
		return f
	}
	f.snap, f.cert = own.State.Snapshot(), own.Certificate
	f.at = &vote.Anchor{Epoch: f.snap.Epoch()}
	for _, l := range own.State.Lists() {
		if l != nil {
			f.at.Lists = append(f.at.Lists, l.ForClients())
		}
	}
	return f
}
