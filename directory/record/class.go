// SPDX-License-Identifier: BSD-3-Clause

package record

// Classes of records, as items are named by and gossip spreads them. V, P, G and F
// belong to the committee; their payloads are made and judged elsewhere.
// Spec: directory §3 (tables).
const (
	ClassDescriptor  = 'D'
	ClassCandidate   = 'C'
	ClassVoucher     = 'W' // travels only within a candidate
	ClassTombstone   = 'R'
	ClassEvidence    = 'E'
	ClassVote        = 'V'
	ClassProposal    = 'P'
	ClassSignature   = 'G'
	ClassCertificate = 'F'
)

// Kinds label the signatures of this package's records.
// Spec: protocol §7 (DIR-2).
const (
	descriptorKind = "descriptor"
	entryKind      = "entry"
	voucherKind    = "voucher"
	tombstoneKind  = "tombstone"
)
