// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"crypto/ed25519"
	"time"

	"chive/directory/record"
)

// Event is what a driver tells a member. There is one type for each.
type Event interface{ event() }

// Tick says that time has passed, at the latest when a Wake asked for it.
type Tick struct{}

// Received is an item of class V, P, G or F, from a peer or asked for by Fetch. The
// bytes are only read.
type Received struct {
	Class byte
	Data  []byte
	// Decoded is the *Vote, *Proposal, *Signature or *Certificate that Data is, if the
	// driver has decoded it; nil: the member decodes.
	Decoded any
}

// Observed is what was seen of the network by the cut-off of an epoch: the answer to
// Observe.
type Observed struct {
	Epoch uint64
	View  View
}

// Stored answers a Store: it is durable, or it is not and never will be.
type Stored struct {
	Token uint64
	OK    bool
}

// Loaded answers a Load: the state of that header, compared with it.
type Loaded struct{ State State }

// Found says that descriptors have arrived which FetchDescriptors asked for.
type Found struct{}

// Neighbours is what the neighbours say, as far as it bears on voting: until the
// first of these a member assumes that all is well. Spec: directory §6, §10.
type Neighbours struct {
	Count int           // how many there are
	Clock time.Duration // own clock against their median
	Head  uint64        // median of their newest epochs
}

// NewKey brings the committee key of a later term.
type NewKey struct {
	Term uint64
	Key  ed25519.PrivateKey
}

// Estranged says that the driver has seen another process with this relay's identity,
// or that the memory is older than what the relay has done. The member stops at once.
type Estranged struct{ Other bool }

func (Estranged) event()  {}
func (Tick) event()       {}
func (Received) event()   {}
func (Observed) event()   {}
func (Stored) event()     {}
func (Loaded) event()     {}
func (Found) event()      {}
func (Neighbours) event() {}
func (NewKey) event()     {}

// Effect is what a member wants done, in the order given. There is one type for
// each.
type Effect interface{ effect() }

// Store asks that a memory be made durable in place of the one before, and for a
// Stored with the token. Nothing that it promises is said before.
type Store struct {
	Token  uint64
	Memory []byte
}

// Send spreads an item of one's own, a certificate made of others' signatures, or a
// proposal that could not be judged when it came. Urgent: V, P, G are announced at once; F is pushed.
type Send struct {
	Class  byte
	Digest [32]byte // item digest
	Data   []byte
}

// Accept says that the item just received is valid and new: it is to be kept, and
// announced; a certificate is to be pushed on.
type Accept struct {
	Class  byte
	Digest [32]byte
}

// Refuse says that nobody honest sends what was just received. Who did is to be
// penalised. Items that are late, early, or not to be judged yet come without any
// word.
type Refuse struct {
	Class byte
	Err   error
}

// Fetch asks for items, by item digest, from whoever has them.
type Fetch struct {
	Class   byte
	Digests [][32]byte
}

// FetchDescriptors asks for descriptors that agreed ops need, and for a Found.
type FetchDescriptors struct{ Wants []Want }

// Load asks for the state of a header, by diff or whole, and for a Loaded.
type Load struct{ Certificate *Certificate }

// Observe asks for what was seen of the network as of now, the cut-off of an epoch.
type Observe struct{ Epoch uint64 }

// Final says that a snapshot is the newest final one. It is to be kept together with
// its certificate.
type Final struct {
	State       State
	Certificate *Certificate
	Parent      State        // its nearest ancestor at hand, nil: none; for the next Config
	Orphan      *Certificate // the newest one until now, if this replaces it and it had one
}

// Accuse spreads evidence.
type Accuse struct{ Evidence *record.Evidence }

// Forked reports two histories that each have certificates and part before our
// newest snapshot. Ours is kept. Ours is nil when it is snapshot 0.
type Forked struct{ Ours, Theirs *Certificate }

// Illegal reports a certificate whose snapshot breaks the rules. It is refused,
// whoever signed it.
type Illegal struct {
	Certificate *Certificate
	Err         error
}

// Rejoin reports a final snapshot so far ahead that it is to be reached like by a
// newcomer: with a hand-over, and a new Member.
type Rejoin struct{ Certificate *Certificate }

// Erase asks that the private key of a term be destroyed: no list of that term is in
// force any more.
type Erase struct{ Term uint64 }

// Strange says that the member has stopped: another process signs with its key, or its
// memory is older than what it has signed. It comes each time that this is seen of
// another process, and once of an old memory.
type Strange struct{ Other bool }

// Wake says when the member wants a Tick at the latest. It is the last effect of
// each step and replaces the one before.
type Wake struct{ At time.Time }

func (Store) effect()            {}
func (Send) effect()             {}
func (Accept) effect()           {}
func (Refuse) effect()           {}
func (Fetch) effect()            {}
func (FetchDescriptors) effect() {}
func (Load) effect()             {}
func (Observe) effect()          {}
func (Final) effect()            {}
func (Accuse) effect()           {}
func (Forked) effect()           {}
func (Illegal) effect()          {}
func (Rejoin) effect()           {}
func (Erase) effect()            {}
func (Strange) effect()          {}
func (Wake) effect()             {}
