// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"net/netip"
	"time"

	"chive/directory/record"
)

// Event is what happened: Tick, View, LinkUp, LinkDown, DialFailed, Received,
// Announce, JoinAnswer, AskJoin, AskState, BadState, Want or RepairNow.
type Event interface{ isEvent() }

// Tick says that time has passed.
type Tick struct{}

// View is a new final snapshot, the first one before anything else. The machine keeps
// the slice and nobody changes it.
type View struct {
	Epoch     uint64
	Head      Digest   // of its header
	Beacon    [32]byte // that ended the previous day: the day beacon
	DayBefore [32]byte // the day beacon of the day before
	Relays    []Relay  // the whole list, by rising rid
	Seats     int      // of the committee in force
	Entry     bool     // this relay is old enough to introduce others
}

// LinkUp is a gossip stream on a link, opened by us or by the peer, whose identity
// the link has proven.
type LinkUp struct {
	Link    uint64
	RID     record.RID
	Inbound bool       // the peer opened it
	Session [32]byte   // the link's handshake hash
	Source  netip.Addr // of an inbound link
}

// LinkDown is the end of a gossip stream that the machine did not close.
type LinkDown struct{ Link uint64 }

// DialFailed answers an Open that led to nothing.
type DialFailed struct{ RID record.RID }

// Received is one frame's CBOR array. The machine does not keep Body.
type Received struct {
	Link uint64
	Body []byte
}

// Announce is a record that the owner has from elsewhere, or that was Later and has
// now been found to hold. Records must have it.
type Announce struct {
	Class  byte
	Digest Digest
}

// JoinAnswer answers a JoinAsked.
type JoinAnswer struct {
	Link uint64
	Code JoinCode
}

// AskJoin asks an entry relay to introduce us. A JoinAnswered follows.
type AskJoin struct {
	RID  record.RID
	Data []byte // a candidate; kept until it is sent
}

// AskState asks a peer for a part of the relay-only table. A StateReceived follows.
type AskState struct {
	RID    record.RID
	Header Digest
	Part   uint32
}

// BadState says that what a peer gave as a state does not hold. Forged: nobody honest has
// sent it; else the hand-over does not lead to it from what we believe, which may be our
// own fault. Spec: directory §10, protocol §7 (GOS-11).
type BadState struct {
	RID    record.RID
	Forged bool
}

// Want asks for records by name, whether somebody has announced them or not: one peer
// after another, until one delivers or all were asked. Beyond 256 at once none are
// asked for, and what nobody had is to be asked for again.
type Want struct {
	Class   byte
	Digests []Digest
}

// RepairNow opens a repair before its turn, if one may be: something is missing whose
// name is not known.
type RepairNow struct{}

func (Want) isEvent()       {}
func (RepairNow) isEvent()  {}
func (Tick) isEvent()       {}
func (View) isEvent()       {}
func (LinkUp) isEvent()     {}
func (LinkDown) isEvent()   {}
func (DialFailed) isEvent() {}
func (Received) isEvent()   {}
func (Announce) isEvent()   {}
func (JoinAnswer) isEvent() {}
func (AskJoin) isEvent()    {}
func (AskState) isEvent()   {}
func (BadState) isEvent()   {}

// Effect is what is to be done: Send, Open, Close, Wake, or one of the reports
// HeadSeen, PrivateChanged, JoinAsked, JoinAnswered, StateReceived, Repaired.
type Effect interface{ isEffect() }

// Send writes one frame (its CBOR array; see AppendFrame). Body is the receiver's.
type Send struct {
	Link uint64
	RID  record.RID
	Body []byte
}

// Open dials a relay and opens a gossip stream. LinkUp or DialFailed follows.
type Open struct{ RID record.RID }

// Close closes a gossip stream. The link itself may stay for others.
type Close struct {
	Link   uint64
	RID    record.RID
	Reason Reason
}

// Reason says why a stream is closed.
type Reason uint8

// Reasons. They are for counting; the peer is not told.
const (
	ReasonDuplicate Reason = iota // there is another stream with that relay
	ReasonFull                    // no place for another guest
	ReasonForeign                 // another network or version
	ReasonSilent                  // no HELLO in time
	ReasonPenalty                 // its penalties have reached the limit, by little and little
	ReasonBroken                  // it has sent what nobody honest sends
	ReasonWaits                   // one of these was not long ago
	ReasonDone                    // a visit is over
	ReasonStale                   // no neighbour any more
)

// Wake asks for a Tick at that time at the latest.
type Wake struct{ At time.Time }

// HeadSeen is what a peer says its newest final snapshot is.
type HeadSeen struct {
	RID    record.RID
	Epoch  uint64
	Head   Digest
	Counts [classCount]uint64 // of records held: D C R E V P G F
}

// PrivateChanged are the private neighbours from now on. They are to be kept across
// restarts and to be told to nobody.
type PrivateChanged struct{ RIDs []record.RID }

// JoinAsked is a candidate that asks to be introduced. A JoinAnswer is to follow.
type JoinAsked struct {
	Link   uint64
	RID    record.RID // whom the link has proven
	Source netip.Addr // of its link
	Data   []byte     // the receiver's
}

// JoinAnswered answers an AskJoin. Sent is false when the relay was not reached.
type JoinAnswered struct {
	RID  record.RID
	Sent bool
	Code JoinCode
}

// StateReceived answers an AskState; Count 0: not held, or not reached.
type StateReceived struct {
	RID    record.RID
	Header Digest
	Part   uint32
	Count  uint32
	Data   []byte // the receiver's
}

// Repaired is a session that has ended: how many records each side lacked.
type Repaired struct {
	RID    record.RID
	Ours   int // only we had
	Theirs int // only the peer had
	Err    error
}

func (Send) isEffect()           {}
func (Open) isEffect()           {}
func (Close) isEffect()          {}
func (Wake) isEffect()           {}
func (HeadSeen) isEffect()       {}
func (PrivateChanged) isEffect() {}
func (JoinAsked) isEffect()      {}
func (JoinAnswered) isEffect()   {}
func (StateReceived) isEffect()  {}
func (Repaired) isEffect()       {}
