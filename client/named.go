// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"slices"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/link"
)

// PeerState is how it went with a relay that the user has named, the last time that it was
// tried, from a closed list.
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
	PeerPorts       PeerState = "ports"         // Config.Ports leaves its address out
	PeerDenied      PeerState = "proxy_denied"  // the proxy on the way does not connect there
	PeerProxyFails  PeerState = "proxy_fails"   // the proxy on the way answers that it does not connect
	PeerProxySilent PeerState = "proxy_silent"  // nothing came back through the proxy on the way
	PeerForged      PeerState = "forged"        // its list of relays does not verify
	PeerUnspecified PeerState = "failed"        // any other
)

// peerStates is in the order in which it is looked for.
var peerStates = []struct {
	err   error
	state PeerState
}{
	{errOtherRelay, PeerOther}, {link.ErrProxyAnswer, PeerProxyFails}, {link.ErrRefused, PeerRefused}, {link.ErrNetworkDown, PeerNoRoute}, {link.ErrUnreachable, PeerNoRoute},
	{link.ErrTimeout, PeerTimeout}, {link.ErrCertificateTime, PeerClock}, {link.ErrHandshake, PeerStranger}, {errPorts, PeerPorts},
	{link.ErrProxyDenied, PeerDenied}, {dirsync.ErrForged, PeerForged}, {dirsync.ErrOrphan, PeerForged},
}

// peerState is what an error says of the relay that was asked. ok: it says something.
func peerState(err error) (state PeerState, ok bool) {
	if err == nil {
		return PeerReached, true
	}
	for _, s := range peerStates {
		if errors.Is(err, s.err) {
			return s.state, true
		}
	}
	switch {
	case spoke(err):
		return PeerReached, true
	case ofThisSide(err):
		return "", false
	}
	return PeerUnspecified, true
}

// PeerStatus is a relay that the user has named, and how it went.
type PeerStatus struct {
	Peer
	State PeerState
	Tried time.Time // zero: not yet
}

// named remembers how it went with the relays of Config.Peers.
type named struct {
	state PeerState
	tried time.Time
}

// notePeer takes how a try went to ask a relay, if the user has named it.
func (c *Client) notePeer(rid record.RID, err error) {
	if !slices.ContainsFunc(c.cfg.Peers, func(p Peer) bool { return p.RID == rid }) {
		return
	}
	state, ok := peerState(err)
	if !ok {
		return
	}
	if c.proxySilent(err) {
		state = PeerProxySilent
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.peers == nil {
		c.peers = make(map[record.RID]named)
	}
	c.peers[rid] = named{state, time.Now()}
}

// Peers returns how it went with each relay of Config.Peers, in their order.
func (c *Client) Peers() []PeerStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]PeerStatus, len(c.cfg.Peers))
	for i, p := range c.cfg.Peers {
		out[i] = PeerStatus{Peer: Peer{p.RID, slices.Clone(p.Addresses)}, State: PeerUntried}
		if n, tried := c.peers[p.RID]; tried {
			out[i].State, out[i].Tried = n.state, n.tried
		} else if len(c.passing(p.Addresses)) == 0 {
			out[i].State = PeerPorts
		}
	}
	return out
}

// TryPeer makes a link to a relay, as a client of a network would that begins with it, and
// ends it: nothing is asked. At its first address where it is reached, or its last.
func TryPeer(ctx context.Context, t link.Transport, doc *genesis.Document, random io.Reader, p Peer) PeerStatus {
	out, nid := PeerStatus{Peer: p, State: PeerUntried}, doc.NetworkID()
	for _, at := range p.Addresses {
		l, err := link.Dial(ctx, t, at, link.Config{NetworkID: nid, Rand: random, Verify: func(id ed25519.PublicKey) error {
			if record.NewRID(nid, id) != p.RID {
				return errOtherRelay
			}
			return nil
		}})
		if state, ok := peerState(err); ok {
			out.State, out.Tried = state, time.Now()
		}
		if err == nil {
			_ = l.Close()
			break
		}
	}
	return out
}
