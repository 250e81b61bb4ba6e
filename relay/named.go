// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/link"
)

// PeerState is how it went with a relay that the operator has named, the last time that it
// was asked for the list, from a closed list.
type PeerState string

// The states of a peer.
const (
	PeerUntried     PeerState = "untried"
	PeerReached     PeerState = "reached"
	PeerRefused     PeerState = "refused"       // nobody listens there
	PeerNoRoute     PeerState = "no_route"      // this machine has no way there
	PeerTimeout     PeerState = "timeout"       // no answer
	PeerOther       PeerState = "other_relay"   // a relay of this network with another name
	PeerStranger    PeerState = "other_network" // no relay of this network
	PeerClock       PeerState = "clock"         // its certificate is not of this clock's time
	PeerForged      PeerState = "forged"        // its list of relays does not verify
	PeerSelf        PeerState = "self"          // it is this relay
	PeerUnspecified PeerState = "failed"        // any other
)

// PeerStatus is a relay that the operator has named, and how it went.
type PeerStatus struct {
	Peer
	State PeerState
	Tried time.Time // zero: not yet
}

// namedPeers remembers how it went with those of Config.Peers. Any goroutine may use it.
type namedPeers struct {
	mu    sync.Mutex
	tries map[record.RID]PeerStatus // State and Tried
}

// peerState is what an error says of the relay that was asked; empty: nothing.
func peerState(err error) PeerState {
	for _, s := range []struct {
		err   error
		state PeerState
	}{
		{errOtherRelay, PeerOther}, {link.ErrSelf, PeerSelf}, {link.ErrRefused, PeerRefused}, {link.ErrNetworkDown, PeerNoRoute}, {link.ErrUnreachable, PeerNoRoute},
		{link.ErrTimeout, PeerTimeout}, {link.ErrCertificateTime, PeerClock}, {link.ErrHandshake, PeerStranger},
		{dirsync.ErrForged, PeerForged}, {dirsync.ErrOrphan, PeerForged},
		{dirsync.ErrBusy, PeerReached}, {dirsync.ErrAbsent, PeerReached}, {dirsync.ErrTooOld, PeerReached}, {dirsync.ErrAhead, PeerReached},
		{context.Canceled, ""}, {link.ErrBusy, ""}, {link.ErrClosed, ""}, {link.ErrDescriptors, ""},
	} {
		if errors.Is(err, s.err) {
			return s.state
		}
	}
	if err == nil {
		return PeerReached
	}
	return PeerUnspecified
}

// notePeer takes how a try went to ask a relay, if the operator has named it.
func (r *Relay) notePeer(rid record.RID, err error) {
	state := peerState(err)
	if state == "" || !slices.ContainsFunc(r.cfg.Peers, func(p Peer) bool { return p.RID == rid }) {
		return
	}
	r.named.mu.Lock()
	defer r.named.mu.Unlock()
	if r.named.tries == nil {
		r.named.tries = make(map[record.RID]PeerStatus)
	}
	r.named.tries[rid] = PeerStatus{State: state, Tried: r.wall()}
}

// Peers returns how it went with each relay of Config.Peers, in their order. A relay that
// is on the list and follows asks none of them.
func (r *Relay) Peers() []PeerStatus {
	r.named.mu.Lock()
	defer r.named.mu.Unlock()
	out := make([]PeerStatus, len(r.cfg.Peers))
	for i, p := range r.cfg.Peers {
		out[i] = PeerStatus{Peer: Peer{p.RID, slices.Clone(p.Addresses)}, State: PeerUntried}
		if n, tried := r.named.tries[p.RID]; tried {
			out[i].State, out[i].Tried = n.State, n.Tried
		}
		if p.RID == r.rid {
			out[i].State = PeerSelf
		}
	}
	return out
}
