// SPDX-License-Identifier: BSD-3-Clause

package gossip

import "chive/directory/record"

// classes are those that travel, in the order of HELLO's counts.
const classes = "DCREVPGF"

const classCount = len(classes)

// at returns a class's place in classes, or -1.
func at(class byte) int {
	for i := range classCount {
		if classes[i] == class {
			return i
		}
	}
	return -1
}

// MaxItemSize returns the bound of a record of a class in bytes; 0: no such class.
// Spec: directory §3 (tables).
func MaxItemSize(class byte) int {
	switch class {
	case record.ClassDescriptor:
		return record.MaxDescriptorSize
	case record.ClassCandidate:
		return record.MaxCandidateSize
	case record.ClassTombstone:
		return record.MaxTombstoneSize
	case record.ClassEvidence:
		return record.MaxEvidenceSize
	case record.ClassVote:
		return 60 << 10
	case record.ClassProposal:
		return 4 << 10
	case record.ClassSignature:
		return 256
	case record.ClassCertificate:
		return 8 << 10
	}
	return 0
}

// urgent classes are announced almost at once. Spec: directory §4.
func urgent(class byte) bool {
	return class == record.ClassVote || class == record.ClassProposal || class == record.ClassSignature
}

// pushed classes are sent unasked. Spec: directory §4 (PUSH).
func pushed(class byte) bool {
	return class == record.ClassCertificate || class == record.ClassTombstone || class == record.ClassEvidence
}

// repaired are the classes that a repair compares. Spec: directory §4 (repair).
const repaired = "DCR"
