// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"errors"

	"chive/directory/committee"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/vrf"
)

// Roster is a list with all of its seats.
type Roster struct {
	List  *committee.List
	Root  [32]byte
	Seats []committee.Seat
}

// NewRoster returns the list of seats, in seat order. Errors: committee's; ErrSeat
// for more than MaxSeatCount.
func NewRoster(c committee.Name, term uint64, seats []committee.Seat) (*Roster, error) {
	if len(seats) > MaxSeatCount {
		return nil, ErrSeat
	}
	l, err := committee.NewList(c, term, seats)
	if err != nil {
		return nil, err
	}
	root, err := l.Root()
	if err != nil {
		return nil, err
	}
	return &Roster{List: l, Root: root, Seats: seats}, nil
}

// State is a snapshot with all that the next one follows from, as the member's
// machine needs it. Implementations are immutable.
type State interface {
	Header() *snapshot.Header
	// Digest is that of the header.
	Digest() [32]byte
	// Owner returns the list that votes on and signs the child at a later epoch;
	// nil: there is none, and such a child cannot be.
	Owner(epoch uint64) *Roster
	// Rosters returns the lists that the header commits to: A, next A, B, next B;
	// nil: none drawn.
	Rosters() [4]*Roster
	// Ignored reports whether a seat has no say in the child: its relay has left or
	// has a penalty. Its proposals are not taken. Its votes and signatures are, since
	// the sizes of quorums stay as they are: Next lets its votes change nothing.
	Ignored(seat *committee.Seat) bool
}

// View is what a member saw of the network by the cut-off. The machine hands it on
// to Rules.Propose unread.
type View any

// Ballot is a listed vote.
type Ballot struct {
	Seat int
	Ops  []byte
}

// Input is what a proposal adds to its parent. Signatures and proof were verified,
// and the votes are those that the votes digest names.
type Input struct {
	Epoch       uint64
	Seat        int // proposer's
	Proof       [vrf.ProofSize]byte
	Output      [vrf.OutputSize]byte
	VotesDigest [32]byte
	Ballots     []Ballot // by rising seat
}

// Want names a descriptor that an agreed op needs.
type Want struct {
	RID  record.RID
	Body [16]byte // start of the body digest
}

// MissingError is what Rules.Next returns while descriptors are missing: as many of
// them as it can tell.
type MissingError struct{ Wants []Want }

// Error says that descriptors are missing, not which.
func (e *MissingError) Error() string { return errMissing.Error() }

var errMissing = errors.New("vote: descriptors are missing")

// Rules is the transition, as the member's machine needs it. Apart from which
// descriptors are at hand it is a function of its arguments, the same everywhere.
type Rules interface {
	// Propose returns the ops that an honest member votes for the child at an epoch,
	// at most transition.MaxOpsSize of the parent's leaves and MaxVoteOps. View may be nil: nothing was seen.
	Propose(parent State, epoch uint64, view View) []byte
	// Next returns the child of a parent, or *MissingError; every other error says
	// that there is no such child, for anybody.
	Next(parent State, in *Input) (State, error)
	// Check refuses a child that breaks the rules of validity against the nearest
	// ancestor that is held, for one that was not made by Next.
	Check(ancestor, child State) error
}
