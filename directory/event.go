// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"crypto/ed25519"
	"net/netip"

	"chive/directory/record"
	"chive/directory/snapshot"
)

// Event is what happened. There is one type for each.
type Event interface{ isEvent() }

// Tick says that time has passed, at the latest when a Wake asked for it. The first
// event is a Tick.
type Tick struct{}

// LinkUp is a gossip stream (type 2) on a link, opened by either side, whose other
// end has proven its identity.
type LinkUp struct {
	Link    uint64 // the role's number of the stream, never used twice
	RID     record.RID
	Inbound bool     // the other side opened it
	Session [32]byte // handshake hash of the link
	Source  netip.Addr
}

// LinkDown is the end of a gossip stream that the machine did not close.
type LinkDown struct{ Link uint64 }

// DialFailed answers an Open that led to no stream.
type DialFailed struct{ RID record.RID }

// Frame is one gossip frame that was received, its CBOR array. Body is only read.
type Frame struct {
	Link uint64
	Body []byte
}

// Contact says that a link of any kind with a relay was made just now, its identity
// proven: a probe of it is not needed.
type Contact struct{ RID record.RID }

// ProbeDone answers a Probe: every address was reached and proved the identity, or
// not.
type ProbeDone struct {
	ID uint64 // the Probe's
	OK bool
}

// Stored answers a Store with a token: it is durable, or it is not and never will be.
type Stored struct {
	Token uint64
	OK    bool
}

// Descriptor is our own new descriptor, signed: the answer to Publish. The bytes
// belong to the machine afterwards.
type Descriptor struct{ Data []byte }

// Renew says that what our descriptor says has changed: a Publish follows as soon as
// one may be.
type Renew struct{}

// Key brings the committee key of a term, which the machine wipes in time. The role
// has made it durable before.
type Key struct {
	Term uint64
	Key  ed25519.PrivateKey
}

// Revocation is a tombstone of our own to be spread. The bytes belong to the machine
// afterwards.
type Revocation struct{ Data []byte }

// WorkChecked answers a CheckWork: how many bits the work has. A candidate's digest does not
// cover its work, so that two of one digest may be on their way.
type WorkChecked struct {
	Digest [32]byte
	Work   record.Work // that was checked
	Bits   int
}

// EntrySigned answers a SignEntry: the statement about a newcomer, signed. The bytes
// belong to the machine afterwards.
type EntrySigned struct {
	RID  record.RID
	Data []byte
}

// Join says that this relay wants to be on the list, with a voucher if it has one.
// The machine asks for as long as it is not listed.
type Join struct{ Voucher []byte }

// Solved answers a Solve.
type Solved struct{ Work *record.Work }

// Seen is a snapshot that the role, as a client, has verified: how one that is not on
// the list, or was away for long, learns who to call. The state that it then catches up with
// is verified from the lists that this one commits to. It is only read.
type Seen struct{ Snapshot *snapshot.Snapshot }

// Evidence is what a client has brought (protocol §7, request 8). It is judged like a
// PUSH, but nobody is penalised for it. The bytes belong to the machine afterwards.
type Evidence struct{ Data []byte }

func (Evidence) isEvent()    {}
func (WorkChecked) isEvent() {}
func (EntrySigned) isEvent() {}
func (Join) isEvent()        {}
func (Solved) isEvent()      {}
func (Seen) isEvent()        {}
func (Tick) isEvent()        {}
func (LinkUp) isEvent()      {}
func (LinkDown) isEvent()    {}
func (DialFailed) isEvent()  {}
func (Frame) isEvent()       {}
func (Contact) isEvent()     {}
func (ProbeDone) isEvent()   {}
func (Stored) isEvent()      {}
func (Descriptor) isEvent()  {}
func (Renew) isEvent()       {}
func (Key) isEvent()         {}
func (Revocation) isEvent()  {}
