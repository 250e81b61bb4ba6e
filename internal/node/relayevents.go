// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"encoding/hex"
	"net/netip"
	"slices"
	"time"

	"chive/directory/snapshot"
	"chive/internal/control"
	"chive/relay"
)

// publishEvery is how often a relay is looked at for what has changed.
const publishEvery = time.Second

// standing is what of a relay is told when it changes.
type standing struct {
	unknown         bool             // the role has only begun, and knows no list but the first
	listed, running bool             // as the newest list says
	reach           string           // yes or no by the newest test of its addresses; empty: not known
	drains, rests   bool             // for the end of the process; until the next period
	published       []netip.AddrPort // by the descriptor, or as it will
}

// changes returns the states of the events that lead from one standing to the next, in
// the order in which they are told. Spec: product API-2.
func (was *standing) changes(now *standing) (states []string) {
	say := func(changed bool, yes, no string, is bool) {
		if state := no; changed {
			if is {
				state = yes
			}
			states = append(states, state)
		}
	}
	say(now.listed != was.listed && !was.unknown, control.RelayListed, control.RelayUnlisted, now.listed)
	say(now.listed && now.running != was.running && !was.unknown, control.RelayRunning, control.RelayNotRunning, now.running)
	say(!slices.Equal(now.published, was.published), control.RelayAddress, "", true)
	say(now.reach != was.reach && now.reach != "", control.RelayReachable, control.RelayUnreachable, now.reach == "yes")
	say(now.rests != was.rests, control.RelayRests, control.RelayWorks, now.rests)
	say(now.drains && !was.drains, control.RelayDrains, "", true)
	return states
}

// reachState is what a test of a relay's addresses says of all of them, as Reachable.State
// does; empty: nothing.
func reachState(s *relay.ReachStatus) (state string) {
	for i := range s.Addresses {
		switch a := &s.Addresses[i]; {
		case a.Refuted():
			return "no"
		case a.Confirmed():
			state = "yes"
		}
	}
	return state
}

// standing looks at the relay. What a new role does not know yet is as it was.
func (r *relayRun) standing(was *standing, ends bool) *standing {
	role := r.live.Load()
	reach := role.Reach()
	now := &standing{reach: reachState(&reach), drains: ends || role.Draining(), published: role.Published()}
	now.rests, _ = r.allowed.used(time.Now())
	if role.Remembers() {
		if self, ok := role.View().Table().Relay(r.rid); ok {
			now.listed, now.running = true, self.Flags&snapshot.FlagRunning != 0
		}
	} else if now.unknown = was == nil || was.unknown; was != nil {
		now.listed, now.running = was.listed, was.running
	}
	if was != nil && now.reach == "" {
		now.reach = was.reach
		if len(now.published) == 0 { // they are being tested
			now.published = was.published
		}
	}
	return now
}

// publish tells the hub what changes about the relay, until ctx ends; ends is done when
// the relay begins to end.
func (r *relayRun) publish(ctx, ends context.Context, hub *control.Hub) {
	every := time.NewTicker(publishEvery)
	defer every.Stop()
	ending := ends.Done()
	was := r.standing(nil, false)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ending:
			ending = nil
		case <-every.C:
		}
		now := r.standing(was, ends.Err() != nil)
		for _, state := range was.changes(now) {
			hub.Publish(control.Event{Kind: control.EventRelay, ID: hex.EncodeToString(r.rid[:]), State: state})
		}
		was = now
	}
}
