// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"errors"
	"slices"

	"chive/directory/committee"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/transition"
	"chive/directory/vote"
)

// Judgement is what a certificate from elsewhere means to what we hold.
type Judgement byte

// Judgements.
const (
	JudgeUnknown Judgement = iota // it cannot be verified with the lists we have, or is of an earlier epoch
	JudgeSame                     // ours
	JudgeOther                    // valid, for another header of our epoch: two views were made
	JudgeHigher                   // valid, of a later epoch
	JudgeForged                   // does not hold: whoever sent it lies
)

// Judge verifies a certificate that another relay has for a header. With JudgeOther come
// the records that prove who signed both; Evidence keeps them, and Split the certificate.
// Spec: directory §8 (CHECK), protocol §7 (SYNC-9).
func (f *Follower) Judge(theirs *vote.Certificate) (Judgement, []*record.Evidence) {
	h := theirs.Header
	held, ours := f.held()
	switch {
	case held != nil && theirs.HeaderDigest() == held.HeaderDigest():
		return JudgeSame, nil
	case h.NetworkID != f.nid:
		return JudgeForged, nil
	case h.Epoch < ours.Epoch:
		return JudgeUnknown, nil
	}
	list := f.owner(h.Epoch)
	if held != nil && h.Epoch == ours.Epoch {
		list = signer(f.at.Lists, ours)
	}
	if list == nil {
		return JudgeUnknown, nil
	}
	err := theirs.Verify(f.nid, list, f.v)
	if errors.Is(err, vote.ErrList) && transition.TermAt(f.doc.Params, list.Committee, h.Epoch) > list.Term {
		return JudgeUnknown, nil // a later list may have been drawn
	}
	if err != nil {
		return JudgeForged, nil
	}
	if h.Epoch > ours.Epoch || held == nil {
		return JudgeHigher, nil
	}
	found := vote.DoubleSigners(list, held, theirs)
	for _, e := range found {
		f.keepEvidence(e)
	}
	if f.split == nil || f.split.Header.Epoch < h.Epoch {
		f.split = theirs
	}
	return JudgeOther, found
}

// signer returns the list among some that has signed a header that is believed. It may have
// drawn, after a standstill, one whose term has begun: that is not the one. nil: none has.
func signer(lists []*committee.List, h *snapshot.Header) *committee.List {
	for _, l := range lists {
		if root, err := l.Root(); err == nil && root == ownerRoot(h) {
			return l
		}
	}
	return nil
}

// owner returns the list that an epoch belongs to, as far as is known: the latest of its
// committee whose term had begun.
func (f *Follower) owner(epoch uint64) *committee.List {
	var out *committee.List
	for _, l := range f.at.Lists {
		if l.Committee == transition.OwnerName(epoch) && transition.TermStart(f.doc.Params, l.Committee, l.Term) <= epoch &&
			(out == nil || l.Term > out.Term) {
			out = l
		}
	}
	return out
}

// keepEvidence keeps a record once, as long as there is room.
func (f *Follower) keepEvidence(e *record.Evidence) {
	digest, err := e.Digest()
	known := func(k *record.Evidence) bool { d, err := k.Digest(); return err == nil && d == digest }
	if err == nil && len(f.evidence) < maxEvidence && !slices.ContainsFunc(f.evidence, known) {
		f.evidence = append(f.evidence[:len(f.evidence):len(f.evidence)], e)
	}
}
