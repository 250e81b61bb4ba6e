// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"errors"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/transition"
)

// ErrState means a state that is not one of Transition's.
var ErrState = errors.New("vote: state of other rules")

// Transition is package transition as the Rules of a member. View is
// *transition.Observations.
type Transition struct {
	Document *genesis.Document
	// Descriptor returns the descriptor of a relay whose body digest begins so; nil:
	// it is not at hand.
	Descriptor func(rid record.RID, body [16]byte) *record.Descriptor
}

// agreed is a transition.State with its lists as members look at them.
type agreed struct {
	*transition.State
	doc     *genesis.Document
	rosters [4]*Roster
}

// State returns a state for a member.
func (t *Transition) State(s *transition.State) State {
	out := &agreed{State: s, doc: t.Document}
	for i, c := range []committee.Name{committee.A, committee.B} {
		now, next := s.List(c)
		out.rosters[2*i], out.rosters[2*i+1] = rosterOf(now), rosterOf(next)
	}
	return out
}

// Inner returns the state that State was given; nil for a state of other rules.
func Inner(s State) *transition.State {
	if a, ok := s.(*agreed); ok {
		return a.State
	}
	return nil
}

func rosterOf(l *transition.List) *Roster {
	if l == nil {
		return nil
	}
	return &Roster{List: l.ForClients(), Root: l.Root(), Seats: l.Seats}
}

// Header returns the header.
func (a *agreed) Header() *snapshot.Header { return a.Snapshot().Header() }

// Rosters returns the lists that the header commits to.
func (a *agreed) Rosters() [4]*Roster { return a.rosters }

// Owner returns the list that a child at an epoch belongs to.
func (a *agreed) Owner(epoch uint64) *Roster {
	l := a.State.Owner(a.doc.Params, epoch)
	if l == nil {
		return nil
	}
	for _, r := range a.rosters {
		if r != nil && r.List.Committee == l.Name && r.List.Term == l.Term {
			return r
		}
	}
	return nil
}

// Propose returns what an honest member votes.
func (t *Transition) Propose(parent State, epoch uint64, view View) []byte {
	s := Inner(parent)
	seen, ok := view.(*transition.Observations)
	if s == nil || !ok || seen == nil {
		return nil
	}
	ops := transition.Propose(t.Document, s, epoch, seen)
	// A table of more than 57,000 relays allows more ops than a vote holds.
	return transition.AppendOps(nil, transition.Truncate(s.Snapshot(), ops, MaxVoteOps))
}

// Next returns the child of a parent. Errors: *MissingError, ErrState, transition's.
func (t *Transition) Next(parent State, in *Input) (State, error) {
	s := Inner(parent)
	if s == nil {
		return nil, ErrState
	}
	votes := make([]transition.Vote, len(in.Ballots))
	for i, b := range in.Ballots {
		// What is no list of ops changes nothing, as TRN-1 has it.
		ops, err := transition.ParseOps(b.Ops, s.Snapshot().Table().Len())
		if err != nil {
			ops = nil
		}
		votes[i] = transition.Vote{Seat: b.Seat, Ops: ops}
	}
	child, err := transition.Next(t.Document, s, transition.Input{
		Epoch: in.Epoch, Seat: in.Seat, Proof: in.Proof, Output: in.Output, VotesDigest: in.VotesDigest,
		Votes: votes, Descriptor: t.Descriptor,
	})
	if errors.Is(err, transition.ErrMissing) {
		return nil, &MissingError{Wants: t.missing(s, in.Epoch, votes)}
	}
	if err != nil {
		return nil, err
	}
	return t.State(child), nil
}

// missing returns the descriptors behind ops that enough votes have, as far as they
// are not at hand. It is only called when some are not.
func (t *Transition) missing(s *transition.State, epoch uint64, votes []transition.Vote) []Want {
	matching := committee.Matching(len(s.Owner(t.Document.Params, epoch).Seats))
	counts := map[Want]int{}
	var out []Want
	for _, v := range votes {
		for _, o := range v.Ops {
			w := Want{RID: o.RID, Body: o.Body}
			switch o.Code {
			case transition.Update:
				w.RID = s.Snapshot().Table().At(int(o.Index)).RID
			case transition.Add:
			default:
				continue
			}
			if counts[w]++; counts[w] == matching && (t.Descriptor == nil || t.Descriptor(w.RID, w.Body) == nil) {
				out = append(out, w)
			}
		}
	}
	return out
}

// Check refuses a child that breaks the rules of validity. Errors: ErrState,
// transition's.
func (t *Transition) Check(ancestor, child State) error {
	a, c := Inner(ancestor), Inner(child)
	switch {
	case a == nil || c == nil:
		return ErrState
	case child.Header().Parent == a.Digest():
		return transition.CheckState(t.Document, a, c)
	}
	return transition.Check(t.Document, a.Snapshot(), c.Snapshot())
}
