// SPDX-License-Identifier: BSD-3-Clause

// Package path decides which relays make a circuit and which never meet in one,
// and keeps a client's guards.
//
// A Selector chooses paths from one snapshot: the last hop first, by policy and
// weight, then the guard, then the middles. No path holds the same relay, family
// or network position twice. The rules are never relaxed: when no path keeps
// them, the error names the rule that stood in the way.
//
// Guards is the state machine that decides through which relays a client enters
// the network. The package builds no circuits and measures nothing; random bytes
// and the time are arguments. A Selector may be used by any number of goroutines,
// a Guards by one at a time.
//
// Spec: directory §9.
package path

import (
	"errors"
	"io"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/weight"
)

// MinHops and MaxHops bound the length of a path.
const (
	MinHops = 3
	MaxHops = 8
)

// ErrHops means a path length that is not allowed.
var ErrHops = errors.New("path: a path has 3 to 8 hops")

// Target says what the last hop of a path is for. The zero value is Any.
type Target struct {
	kind     targetKind
	protocol byte
	port     uint16
	rid      record.RID
}

type targetKind byte

const (
	targetAny targetKind = iota
	targetExit
	targetRelay
)

// Any asks for a last hop that need not be an exit, as directory circuits do. It
// is chosen by middle weight.
func Any() Target { return Target{} }

// Exit asks for a last hop whose exit policy permits this port (record.TCP or
// record.UDP). Port 0 asks for an exit whose policy permits anything at all of
// that protocol.
func Exit(protocol byte, port uint16) Target {
	return Target{kind: targetExit, protocol: protocol, port: port}
}

// Relay asks for one certain last hop. It must be in the table and running.
func Relay(rid record.RID) Target { return Target{kind: targetRelay, rid: rid} }

// Request is what a path is chosen for.
type Request struct {
	Hops   int // 3 to 8
	Target Target
	// Guards are the relays that may be the first hop, best first, as
	// Guards.Usable returns them. The first that the rules allow is taken.
	Guards []record.RID
	// FreshGuard draws the first hop by guard weight instead. Only a testnet that
	// samples the whole network wants it: with kept guards few users ever meet a
	// hostile first hop, with fresh ones all do.
	FreshGuard bool
	// Exclude holds relays that must not be used, such as those that failed a
	// moment ago. It binds guards too. It may be nil.
	Exclude map[record.RID]bool
}

// Selector chooses paths from one snapshot. It is immutable.
type Selector struct {
	view    snapshot.View
	table   *snapshot.Table
	params  genesis.Params
	weights [positions]sampler
}

// NewSelector prepares a snapshot for choosing. It costs a few passes over the
// table, once per snapshot.
func NewSelector(view snapshot.View, p genesis.Params) *Selector {
	w := weight.Compute(view.Table(), p, view.Day())
	s := &Selector{view: view, table: view.Table(), params: p}
	s.weights[Guard] = newSampler(w.Guard)
	s.weights[Middle] = newSampler(w.Middle)
	s.weights[Last] = newSampler(w.Exit)
	return s
}

// View returns the snapshot.
func (s *Selector) View() snapshot.View { return s.view }

// Choose returns a path, guard first. The relays belong to the table and must not
// be changed. Errors: ErrHops; *RuleError when no path keeps the rules; what
// reading rand returns. Spec: directory §9 (paths).
func (s *Selector) Choose(rand io.Reader, req Request) ([]*snapshot.Relay, error) {
	if req.Hops < MinHops || req.Hops > MaxHops {
		return nil, ErrHops
	}
	c := choice{s: s, rand: rand, req: &req, path: make([]int, 0, MaxHops), budget: maxTries}
	found, err := c.fill()
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, &RuleError{Position: c.failedAt, Rule: c.failedBy}
	}
	// c.path is last hop, guard, middles.
	out := make([]*snapshot.Relay, req.Hops)
	out[req.Hops-1] = s.table.At(c.path[0])
	for i, index := range c.path[1:] {
		out[i] = s.table.At(index)
	}
	return out, nil
}

// Permits reports whether at least one relay that may be an exit permits this
// port, so that a client can say beforehand that nobody does.
func (s *Selector) Permits(protocol byte, port uint16) bool {
	target := Exit(protocol, port)
	for i := range s.table.Len() {
		if s.weights[Last].weight(i) > 0 && target.accepts(s.table.At(i)) {
			return true
		}
	}
	return false
}

// accepts reports whether a relay suits a target, weights aside.
func (t Target) accepts(r *snapshot.Relay) bool {
	switch t.kind {
	case targetExit:
		if t.port != 0 {
			return record.Permits(r.Policy, t.protocol, t.port)
		}
		for _, p := range r.Policy {
			if p.Protocol == t.protocol {
				return true
			}
		}
		return false
	case targetRelay:
		return r.RID == t.rid
	}
	return true
}
