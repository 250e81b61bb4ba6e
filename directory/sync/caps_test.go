// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"slices"
	"testing"

	"chive/directory/genesis"
	"chive/directory/transition"
	"chive/directory/vote"
)

// For one step 256 certificates are looked at, the newest first: what a client asks for
// costs no more, however many are held. Spec: SYNC-6.
func TestCertificatesLookedAtBeyondTheBound(t *testing.T) {
	p := genesis.Testnet()
	l := newLab(t, 4, p)
	for epoch := uint64(0); epoch < uint64(p.Term-p.DrawLead); epoch++ {
		l.grow()
	}
	s := l.server()
	old := s.certs[0] // commits to nothing that is drawn later
	var root [32]byte
	var commits *kept
	for _, k := range s.certs {
		c, err := vote.DecodeCertificate(k.data)
		if err != nil {
			t.Fatal(err)
		}
		if root = c.Header.NextB; root != [32]byte{} && transition.OwnerName(k.epoch) == 'A' {
			commits = k
			break
		}
	}
	if commits == nil {
		t.Fatal("no list was drawn ahead")
	}
	s.hand.known, s.hand.more = nil, nil
	for after, found := range map[int]bool{1: true, 255: true, 256: false} {
		s.certs = slices.Concat([]*kept{commits}, slices.Repeat([]*kept{old}, after))
		for i := range s.certs {
			k := *s.certs[i]
			k.epoch = uint64(100 + i)
			s.certs[i] = &k
		}
		if got := s.hand.search(s.certs, &vote.Anchor{}).candidates(root, 1<<20, false); (len(got) > 0) != found {
			t.Errorf("with %d newer ones: %d steps", after, len(got))
		}
	}
}
