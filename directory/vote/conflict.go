// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"chive/directory/committee"
	"chive/directory/record"
)

// EvidenceRules says when two votes, proposals or signatures under one committee key
// are evidence: when they are of one epoch and not the same. Record.Evidence
// verifies with it. The map belongs to the caller. Spec: directory §3 (class E),
// protocol (REC-6, VOTE-7).
func EvidenceRules() record.Rules {
	return record.Rules{
		record.ClassVote: {Label: voteKind, Conflict: conflict(func(p []byte) (uint64, error) {
			v, err := openVote(p)
			if err != nil {
				return 0, err
			}
			return v.Epoch, nil
		})},
		record.ClassProposal: {Label: proposalKind, Conflict: conflict(func(p []byte) (uint64, error) {
			said, err := openProposal(p)
			if err != nil {
				return 0, err
			}
			return said.epoch, nil
		})},
		record.ClassSignature: {Label: signatureKind, Conflict: conflict(func(p []byte) (uint64, error) {
			s, err := openSignature(p)
			if err != nil {
				return 0, err
			}
			return s.Epoch, nil
		})},
	}
}

func conflict(epoch func(payload []byte) (uint64, error)) func(a, b []byte) error {
	return func(a, b []byte) error {
		one, err := epoch(a)
		if err != nil {
			return err
		}
		two, err := epoch(b)
		if err != nil {
			return err
		}
		if one != two {
			return record.ErrNoConflict
		}
		return nil
	}
}

// accuse makes evidence of two signed records under one committee key.
func accuse(class byte, key [32]byte, a, b []byte) *record.Evidence {
	// Both were verified under the key and differ.
	return must(record.NewEvidence(class, key[:], append([]byte(nil), a...), append([]byte(nil), b...)))
}

// DoubleSigners returns evidence against every seat that signed both of two
// certificates of one epoch, which the list has verified. There are at least 2Q-K.
// Nothing when they are of one header or of two epochs. Spec: directory §6 (choice).
func DoubleSigners(list *committee.List, a, b *Certificate) []*record.Evidence {
	if a.Header.Epoch != b.Header.Epoch || a.digest == b.digest || ownerRoot(a.Header) != ownerRoot(b.Header) {
		return nil
	}
	var out []*record.Evidence
	for _, seat := range a.Signers.Members() {
		if b.Signers.Has(seat) && seat < len(list.Keys) {
			out = append(out, accuse(record.ClassSignature, list.Keys[seat], a.signature(seat), b.signature(seat)))
		}
	}
	return out
}
