// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"iter"
	"time"

	"chive/directory/record"
)

// Verdict is what the owner says about a record that came from a peer.
type Verdict uint8

// Verdicts.
const (
	// VerdictNew: it holds, the owner has stored it, and it is announced.
	VerdictNew Verdict = iota
	// VerdictKnown: there was no need of it: held already, superseded, or of a time or
	// place that this relay no longer takes. Nobody is blamed.
	VerdictKnown
	// VerdictLater: the owner keeps it (Has says so) but cannot decide yet. It is announced
	// by the event Announce, or forgotten. Nobody is blamed.
	VerdictLater
	// VerdictInvalid: no honest relay passes it on: bad form, signature or rule. The peer
	// is closed. What another clock or another snapshot may judge otherwise is
	// VerdictKnown or VerdictLater.
	VerdictInvalid
)

// Records is the owner's store. Calls come from within Step and must not call it.
type Records interface {
	// Has reports whether a record is held, one for later included.
	Has(class byte, d Digest) bool
	// Count returns how many of a class are held.
	Count(class byte) int
	// Digests goes through the digests of a class, one for later included, in
	// any order: the order reaches no frame.
	Digests(class byte) iter.Seq[Digest]
	// Get returns a record that may be passed on, or nil. Nobody changes the bytes.
	Get(class byte, d Digest) []byte
	// Accept judges a record of at most MaxItemSize that a peer has sent and stores
	// it if it is new or for later. The digest names it (record.ItemDigest's scheme for
	// its class) and is not used when it is invalid. The owner may keep data.
	// Votes, proposals and signatures are new only if by a seat holder of this or the
	// previous epoch, the first of its seat; of proposals the three lowest.
	Accept(now time.Time, from record.RID, class byte, data []byte) (Digest, Verdict)
}

// States is the owner's relay-only tables in parts.
type States interface {
	// Part returns a part of at most MaxStatePartSize bytes and how many there are;
	// count 0: not held. Nobody changes the bytes.
	Part(header Digest, part uint32) (data []byte, count uint32)
}
