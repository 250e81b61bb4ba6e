// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"net/netip"
	"time"

	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/sybil"
	"chive/directory/transition"
	"chive/directory/vote"
)

// Effect is what the role is to do, in the order given. There is one type for each.
type Effect interface{ isEffect() }

// Send writes one gossip frame: its CBOR array, to be framed with gossip.AppendFrame.
// Body is the role's.
type Send struct {
	Link uint64
	RID  record.RID
	Body []byte
}

// Open dials a relay, expecting its identity, and opens a gossip stream. LinkUp or
// DialFailed follows.
type Open struct {
	RID       record.RID
	Addresses []netip.AddrPort
}

// Close closes a gossip stream. The link may stay for others.
type Close struct {
	Link   uint64
	RID    record.RID
	Reason gossip.Reason
}

// Probe dials a relay at each address over a fresh link that must prove its identity.
// ProbeDone follows, within a fifth of an epoch if it is to count.
type Probe struct {
	ID        uint64 // for ProbeDone
	RID       record.RID
	Addresses []netip.AddrPort
}

// Store makes a value durable under a key, in place of the one before; nil deletes
// it. It is durable, or has failed, before the next effect is run. Where Token is not
// 0 a Stored follows. The slices are only read.
type Store struct {
	Token  uint64 // 0: no answer
	Bucket Bucket
	Key    []byte
	Value  []byte
}

// View is a new final snapshot, with its certificate and the hand-over to it, for
// everybody who uses or serves the table. All of it is immutable.
type View struct {
	State       *transition.State
	Certificate *vote.Certificate // nil: snapshot 0
	Steps       []*vote.Step      // from genesis on, the latest vote.MaxStepCount
}

// Publish asks the role for a new descriptor with these fields and its present keys
// and addresses, among them committee keys of the terms; Descriptor answers, and a
// Key for each term whose key is new. It is asked again when no answer comes.
type Publish struct {
	Seq                uint64
	Published, Expires time.Time
	Terms              []uint64
}

// CheckWork asks how many bits a candidate's work has (Challenge.Bits: some
// milliseconds of a core and 8 MiB). WorkChecked follows. At most two a second are
// asked for, and 20 an hour more for newcomers that ask this relay.
type CheckWork struct {
	Digest    [32]byte
	Challenge sybil.Challenge
	Work      record.Work
}

// SignEntry asks for the entry statement about a newcomer whose addresses were
// dialled to be signed (record.SealEntry). EntrySigned follows.
type SignEntry struct{ Entry *record.Entry }

// Solve asks for our own work as a newcomer (sybil.Solver, a few tries at a time).
// Solved follows, after minutes.
type Solve struct{ Challenge sybil.Challenge }

// Erase destroys the private committee key of a term, on disk too.
type Erase struct{ Term uint64 }

// Report tells what an operator has to know. RID is the relay it is about, if any.
type Report struct {
	What Matter
	RID  record.RID
}

// Matter is what a Report is about.
type Matter uint8

// Matters.
const (
	// ReportForked: there is another history with certificates; ours is kept.
	ReportForked Matter = iota + 1
	// ReportIllegal: a certificate breaks the rules, whoever signed it.
	ReportIllegal
	// ReportEvidence: there is new evidence against a relay.
	ReportEvidence
	// ReportClosed: a relay has sent what nobody honest sends.
	ReportClosed
	// ReportBadState: a relay has sent a state that does not hold.
	ReportBadState
	// ReportOtherSelf: another process publishes or signs with our keys. The member has
	// stopped.
	ReportOtherSelf
	// ReportBadDescriptor: our own descriptor, as the role has signed it, is refused.
	ReportBadDescriptor
	// ReportRefused: an entry relay says that our request to join does not hold.
	ReportRefused
	// ReportOldMemory: we have signed what our memory does not know: it is lost, or an old
	// copy. The member has stopped.
	ReportOldMemory
	// ReportLeft: a relay's penalties have reached the limit little by little: it keeps
	// us waiting, or sends what was not asked for.
	ReportLeft
)

// Wake asks for a Tick at that time at the latest. It comes last in a step and
// replaces the Wake before.
type Wake struct{ At time.Time }

func (Send) isEffect()      {}
func (Open) isEffect()      {}
func (Close) isEffect()     {}
func (Probe) isEffect()     {}
func (Store) isEffect()     {}
func (View) isEffect()      {}
func (Publish) isEffect()   {}
func (Erase) isEffect()     {}
func (CheckWork) isEffect() {}
func (SignEntry) isEffect() {}
func (Solve) isEffect()     {}
func (Report) isEffect()    {}
func (Wake) isEffect()      {}

// Bucket is a part of the role's store.
type Bucket uint8

// Buckets. Spec: directory §10 (storage).
const (
	BucketDesc Bucket = iota // descriptors, tombstones, evidence: class 1 | rid or digest
	BucketCert               // certificates: header digest
	BucketAux                // the two newest states
	BucketSelf               // what was promised, and both certificates of a fork
	BucketPeer               // private neighbours
	BucketCand               // candidates: rid
	// BucketCount is how many there are.
	BucketCount = iota
)
