// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"bytes"
	"os"
	"strconv"
	"testing"

	"chive/directory/committee"
	"chive/directory/genesis"
)

func upTo(from, to int) []int {
	var out []int
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

func sizes(all ...int) []int {
	if testing.Short() {
		return all[:(len(all)+1)/2]
	}
	return all
}

// agreed fails unless every honest node ends with the same snapshot.
func (s *sim) agreed() {
	s.t.Helper()
	if n := len(s.heads()); n != 1 {
		s.t.Errorf("K=%d: %d newest snapshots", s.w.k, n)
	}
}

// Without faults every epoch has its final snapshot, at every size, and everybody
// ends with the same one, followers too. Spec: EPOCH-1, EPOCH-3..7.
func TestEveryEpochIsFinalWithoutFaults(t *testing.T) {
	for _, k := range sizes(1, 2, 3, 4, 5, 7, 9, 13, 21) {
		s := newSim(t, k, 2, uint64(k), genesis.Testnet())
		s.run(13)
		if longest, skipped := s.gaps(1, 12); skipped > 0 {
			t.Errorf("K=%d: %d epochs skipped, %d in a row", k, skipped, longest)
		}
		s.agreed()
		if len(s.accused) > 0 {
			t.Errorf("K=%d: somebody is accused", k)
		}
		t.Logf("K=%d: %d events, %s to final", k, s.events, s.median())
	}
}

// The same at the largest size. Spec: EPOCH-6.
func TestEveryEpochIsFinalAtTheLargestSize(t *testing.T) {
	epochs := uint64(3)
	if testing.Short() {
		epochs = 2
	}
	s := newSim(t, MaxSeatCount, 2, 96, genesis.Testnet())
	s.betray(silent, upTo(0, 20)...)
	s.run(epochs + 1)
	if longest, skipped := s.gaps(1, epochs); skipped > 0 {
		t.Errorf("%d epochs skipped, %d in a row", skipped, longest)
	}
	s.agreed()
	t.Logf("%d events, %s to final", s.events, s.median())
}

// I9: with as many silent as may be, finals go on, and come back within two epochs
// after others were cut off. Spec: EPOCH-7.
func TestFinalsResumeWithSilentMembers(t *testing.T) {
	for _, k := range sizes(4, 5, 7, 13, 21) {
		s := newSim(t, k, 1, uint64(k), genesis.Testnet())
		s.betray(silent, upTo(0, k-committee.Quorum(k))...)
		s.run(5)
		// One more is silent: nothing can be final.
		last := s.nodes[k-1]
		last.up = false
		last.life++
		s.more(5)
		for e := uint64(6); e <= 9; e++ {
			if len(s.finals[e]) > 0 {
				t.Errorf("K=%d: epoch %d is final without a quorum", k, e)
			}
		}
		s.boot(last)
		s.more(8)
		if longest, skipped := s.gaps(1, 4); skipped > 0 {
			t.Errorf("K=%d before: %d epochs skipped, %d in a row", k, skipped, longest)
		}
		if longest, skipped := s.gaps(11, 17); longest > 1 {
			t.Errorf("K=%d after: %d epochs skipped, %d in a row", k, skipped, longest)
		}
		s.agreed()
	}
}

// Each way of a traitor alone, with fewer than can make two finals: I1, I2 and I3
// hold, nobody honest is accused, and the directory goes on. Spec: EPOCH-6, EPOCH-8.
func TestTraitorsAlone(t *testing.T) {
	for name, test := range map[string]struct {
		b       behaviour
		accused bool
	}{
		"two votes":              {twoVotes, true},
		"votes to some":          {partialVote, false},
		"late proposal":          {lateProposal, false},
		"two proposals":          {twoProposals, true},
		"two proposals, signed":  {twoProposals | doubleSign, true},
		"illegal proposal":       {illegalProposal, false},
		"no signature":           {withholdSignature, false},
		"no certificate":         {withholdCertificate, false},
		"no signature, no cert.": {withholdSignature | withholdCertificate, false},
		"false votes":            {turncoat, false},
	} {
		for _, k := range sizes(7, 13) {
			s := newSim(t, k, 1, uint64(k), genesis.Testnet())
			few := min(k-committee.Quorum(k), 2*committee.Quorum(k)-k-1)
			s.betray(test.b, upTo(0, few)...)
			s.run(10)
			longest, skipped := s.gaps(1, 9)
			if skipped > 7 {
				t.Errorf("%s, K=%d, %d traitors: %d of 9 epochs skipped, %d in a row", name, k, few, skipped, longest)
			}
			if !test.accused && len(s.accused) > 0 || test.accused && k == 13 && len(s.accused) == 0 {
				t.Errorf("%s, K=%d: %d accused", name, k, len(s.accused))
			}
			s.agreed()
			t.Logf("%s, K=%d, %d traitors: %d skipped, %d accused, %s to final", name, k, few, skipped, len(s.accused), s.median())
		}
	}
}

// All ways mixed, with members that crash around their stores. Spec: EPOCH-6.
func TestTraitorsAndCrashesMixed(t *testing.T) {
	for seed := range uint64(len(sizes(1, 2, 3, 4))) {
		k := []int{4, 7, 10, 13}[seed%4]
		s := newSim(t, k, 1, seed, genesis.Testnet())
		few := min(k-committee.Quorum(k), 2*committee.Quorum(k)-k-1)
		all := []behaviour{
			twoVotes | doubleSign, partialVote, lateProposal | doubleSign, twoProposals | doubleSign, illegalProposal,
			withholdSignature, withholdCertificate | twoProposals | doubleSign, turncoat, silent,
		}
		for i := range few {
			s.betray(all[(int(seed)*3+i)%len(all)], i)
		}
		for _, n := range s.nodes[few:k] {
			n.crashy = 12
		}
		s.run(21)
		longest, skipped := s.gaps(1, 20)
		if skipped > 15 {
			t.Errorf("seed %d, K=%d: %d of 20 epochs skipped, %d in a row", seed, k, skipped, longest)
		}
		t.Logf("seed %d, K=%d, %d traitors: %d skipped, %d in a row, %s to final", seed, k, few, skipped, longest, s.median())
	}
}

// I1 with crashes before and after each store, and memories that cannot be read.
// Spec: EPOCH-4, EPOCH-11.
func TestCrashesAroundStores(t *testing.T) {
	for _, k := range sizes(1, 4, 7) {
		s := newSim(t, k, 0, uint64(k), genesis.Testnet())
		for _, n := range s.nodes {
			n.crashy = 4
		}
		s.run(40)
		restarts := 0
		for _, n := range s.nodes {
			restarts += n.life / 2
		}
		if restarts < 10 {
			t.Errorf("K=%d: only %d crashes", k, restarts)
		}
		_, skipped := s.gaps(1, 39)
		t.Logf("K=%d: %d crashes, %d skipped", k, restarts, skipped)
	}
	// Whoever lost its memory is silent until the term ends.
	p := genesis.Testnet()
	p.Term, p.DrawLead = 10, 3
	s := newSim(t, 4, 0, 1, p)
	s.nodes[0].lose = true
	s.run(25)
	for at := range s.promised {
		if at.node == 0 && at.epoch < 5 {
			t.Errorf("class %c said in epoch %d", at.class, at.epoch)
		}
	}
	if _, skipped := s.gaps(1, 24); skipped > 0 {
		t.Errorf("%d skipped", skipped)
	}
	late := 0
	for at := range s.promised {
		if at.node == 0 && at.epoch >= 10 {
			late++
		}
	}
	if late == 0 {
		t.Error("it never took part again")
	}
}

// A partition in halves makes nothing final; afterwards finals resume within two
// epochs and everybody agrees. One in which one side has a quorum goes on, and the
// other side catches up. Spec: EPOCH-9.
func TestPartition(t *testing.T) {
	for _, k := range sizes(4, 7, 21) {
		s := newSim(t, k, 2, uint64(k), genesis.Testnet())
		s.run(4)
		s.side = func(node int) int { return node % 2 }
		s.more(4)
		s.side = func(int) int { return 0 }
		s.more(5)
		if longest, skipped := s.gaps(9, 12); longest > 1 {
			t.Errorf("K=%d: %d epochs skipped after the partition", k, skipped)
		}
		for e := uint64(5); e <= 7; e++ {
			if len(s.finals[e]) > 0 {
				t.Errorf("K=%d: epoch %d is final in half a network", k, e)
			}
		}
		minority := k - committee.Quorum(k)
		s.side = func(node int) int {
			if node < minority || node == k {
				return 1
			}
			return 0
		}
		s.more(8)
		if len(s.heads()) < 2 {
			t.Errorf("K=%d: the minority is not cut off", k)
		}
		s.side = func(int) int { return 0 }
		s.more(5)
		s.agreed()
		if longest, skipped := s.gaps(14, 25); longest > 1 {
			t.Errorf("K=%d: %d epochs skipped, %d in a row", k, skipped, longest)
		}
	}
}

// The simulation has teeth: as many traitors as two finals need do make two, every
// double signer is accused, and nobody else. Spec: VOTE-7.
func TestTwoFinalsNeedTraitors(t *testing.T) {
	found, accused := 0, 0
	for seed := range uint64(3) {
		s := newSim(t, 10, 0, seed, genesis.Testnet())
		s.mayFork = true
		s.betray(twoProposals|doubleSign, upTo(0, 2*committee.Quorum(10)-10)...)
		s.run(11)
		for _, f := range s.finals {
			if len(f) > 1 {
				found++
			}
		}
		accused = max(accused, len(s.accused))
	}
	if found == 0 {
		t.Error("no epoch had two finals")
	}
	if accused < 2*committee.Quorum(10)-10 {
		t.Errorf("%d accused", accused)
	}
	t.Logf("%d epochs with two finals, %d accused", found, accused)
}

// Lists follow one another, keys are erased, and every member's keys that are left
// are of terms that may still count. Spec: EPOCH-1, EPOCH-10.
func TestTermsEndAndKeysGo(t *testing.T) {
	p := genesis.Testnet()
	p.Term, p.DrawLead = 10, 3
	s := newSim(t, 5, 1, 1, p)
	s.run(26)
	if longest, skipped := s.gaps(1, 25); skipped > 0 {
		t.Errorf("%d skipped, %d in a row", skipped, longest)
	}
	s.agreed()
	for _, n := range s.nodes[:5] {
		if n.keys[0] != nil || n.keys[1] != nil || n.keys[2] == nil {
			t.Errorf("node %d keeps the keys of %d terms", n.id, len(n.keys))
		}
	}
}

// I10: same seed, same trace; another seed, another one.
func TestSameSeedSameTrace(t *testing.T) {
	trace := func(seed uint64) []byte {
		s := newSim(t, 7, 1, seed, genesis.Testnet())
		s.betray(twoVotes|twoProposals|doubleSign, 0)
		s.nodes[3].crashy = 5
		s.run(12)
		return s.trace.Sum(nil)
	}
	a := trace(1)
	if !bytes.Equal(a, trace(1)) {
		t.Error("one seed, two traces")
	}
	if bytes.Equal(a, trace(2)) {
		t.Error("two seeds, one trace")
	}
}

// longEpochs is how many epochs the long runs have: CHIVE_VOTE_EPOCHS=1000 go test
// -run 'Long|Many' -v.
func longEpochs(t *testing.T) int {
	epochs, err := strconv.Atoi(os.Getenv("CHIVE_VOTE_EPOCHS"))
	if err != nil || epochs <= 0 {
		t.Skip("SKIPPED: takes minutes; set CHIVE_VOTE_EPOCHS=2000")
	}
	return epochs
}

// Figures for each share of traitors that do everything at once.
func TestLongCount(t *testing.T) {
	epochs := longEpochs(t)
	for _, k := range []int{7, 21} {
		for _, share := range []int{0, 10, 15, 20} {
			total, skipped, finals := 0, 0, 0
			var s *sim
			for seed := uint64(0); total < epochs; seed++ {
				s = newSim(t, k, 0, 1000+seed, genesis.Testnet())
				s.betray(twoVotes|twoProposals|doubleSign|lateProposal|withholdCertificate, upTo(0, k*share/100)...)
				s.run(51)
				_, gone := s.gaps(1, 50)
				total, skipped, finals = total+50, skipped+gone, finals+50-gone
			}
			t.Logf("K=%d, %d %% traitors (%d): %d epochs, %d finals, %d skipped (%d per mille), %s to final",
				k, share, k*share/100, total, finals, skipped, 1000*skipped/total, s.median())
		}
	}
}

// Many seeds of mixed traitors, crashes and partitions, after which everybody agrees
// again.
func TestManySeeds(t *testing.T) {
	epochs := longEpochs(t)
	all := []behaviour{
		twoVotes | doubleSign, partialVote, lateProposal | doubleSign, twoProposals | doubleSign, illegalProposal, withholdSignature,
		withholdCertificate | twoProposals | doubleSign, turncoat, silent, silent | withholdCertificate, withholdSignature | withholdCertificate,
	}
	for seed := range uint64(epochs / 25) {
		k := []int{4, 5, 7, 10, 13}[seed%5]
		s := newSim(t, k, 1, seed, genesis.Testnet())
		few := min(k-committee.Quorum(k), 2*committee.Quorum(k)-k-1)
		for i := range few {
			s.betray(all[(int(seed)*3+i)%len(all)], i)
		}
		for _, n := range s.nodes[few:k] {
			n.crashy = 20
		}
		s.run(10)
		if seed%3 == 0 {
			s.side = func(node int) int { return node % 2 }
			s.more(3)
			s.side = func(int) int { return 0 }
		}
		for _, n := range s.nodes {
			n.crashy = 0
		}
		s.more(14)
		at := s.w.doc.EpochAt(s.now)
		if longest, skipped := s.gaps(at-11, at-1); longest > 4 {
			t.Errorf("seed %d, K=%d: %d skipped, %d in a row", seed, k, skipped, longest)
		}
		s.agreed()
	}
}

// A traitor completes a certificate alone, shows it to one member only, and helps
// another snapshot of the next epoch to be final: the member that followed the first
// one replaces it, and only it. Spec: EPOCH-9.
func TestWithheldCertificateIsOrphaned(t *testing.T) {
	s := newSim(t, 7, 0, 3, genesis.Testnet())
	// Seven seats, five make final: one is silent, two are traitors that sign
	// everything, four are honest. Signatures of traitors do not reach the honest in
	// epoch 3, so that there only the traitors have a certificate.
	s.betray(silent, 6)
	s.betray(doubleSign|withholdCertificate, 4, 5)
	s.run(3)
	s.quiet = func(n *simNode, class byte) bool { return n.bad&doubleSign != 0 && (class == 'G' || class == 'F') }
	s.more(1)
	s.quiet = nil
	var withheld *Certificate
	for _, n := range s.nodes[4:6] {
		if _, c := n.m.Head(); c != nil && c.Header.Epoch == 3 {
			withheld = c
		}
	}
	if withheld == nil || len(s.finals[3]) > 0 {
		t.Fatal("the certificate is not withheld")
	}
	// Member 0 alone gets it, and hears nobody for an epoch.
	s.state[withheld.HeaderDigest()] = s.nodes[4].head
	s.side = func(node int) int { return map[int]int{0: 1}[node] }
	s.step(s.nodes[0], Received{Class: 'F', Data: withheld.Encode()})
	if s.nodes[0].head.Digest() != withheld.HeaderDigest() {
		// It lacks the votes' proposal: it was asked to load.
		s.step(s.nodes[0], Loaded{State: s.state[withheld.HeaderDigest()]})
	}
	if s.nodes[0].head.Digest() != withheld.HeaderDigest() {
		t.Fatal("member 0 does not follow the certificate it was shown")
	}
	// The traitors forget it, and sign the next one on the older parent.
	for _, n := range s.nodes[4:6] {
		n.head, n.cert, n.parent = s.nodes[1].head, s.nodes[1].cert, nil
		n.life++
		s.boot(n)
	}
	s.more(2)
	if len(s.finals[4])+len(s.finals[5]) == 0 {
		t.Fatal("nothing is final without member 0")
	}
	s.side = func(int) int { return 0 }
	s.more(2)
	if c := s.nodes[0].m.Counts(); c.Orphans != 1 || c.Forks != 0 {
		t.Errorf("%d orphans, %d forks", c.Orphans, c.Forks)
	}
	s.agreed()
}
