// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"errors"
	"sync"
)

// Limits of events. Spec: security B31, product API-2.
const (
	// EventCount is how many events wait for one subscriber. One that lags loses those
	// that come then, and is told with the kind gap.
	EventCount = 256
	// SubscriberCount is how many subscribers a hub has; more are refused.
	SubscriberCount = 16
)

// Kinds of events.
const (
	EventBootstrap = "bootstrap"
	EventCircuit   = "circuit"
	EventStream    = "stream"
	EventRelay     = "relay"
	EventService   = "service"
	EventMessage   = "message"
	EventWarning   = "warning"
	EventGap       = "gap" // events were lost: read the state anew
)

// States of an event of the kind relay, whose id is the relay's.
const (
	RelayListed      = "listed"      // it has come onto the list of relays
	RelayUnlisted    = "unlisted"    // it is not on the list any more
	RelayRunning     = "running"     // the list marks it as running
	RelayNotRunning  = "not_running" // it does not any more
	RelayAddress     = "address"     // where others reach it has changed
	RelayReachable   = "reachable"   // others have dialled its addresses and found it
	RelayUnreachable = "unreachable" // they have not
	RelayRests       = "quota"       // its quota is used up: it rests
	RelayWorks       = "works"       // it has a quota again
	RelayDrains      = "draining"    // it takes no new circuits and will end
)

// What Hub.Subscribe and Subscription.Next may answer.
var (
	// ErrSubscribers means that as many follow a hub as may.
	ErrSubscribers = errors.New("control: too many follow the events")
	// ErrClosed means that the subscription was closed.
	ErrClosed = errors.New("control: the subscription is closed")
)

// Event says that something changed, not how: whoever hears it reads the state.
type Event struct {
	Schema string `json:"schema"`
	Kind   string `json:"kind"`             // bootstrap, circuit, stream, relay, service, message, warning or gap
	ID     string `json:"id,omitempty"`     // of what changed, as elsewhere in this API
	State  string `json:"state,omitempty"`  // what it is now, one word
	Missed int    `json:"missed,omitempty"` // of a gap: how many events were lost
}

// Hub hands events to its subscribers. The zero value is ready; it is safe for
// concurrent use. Spec: product API-2.
type Hub struct {
	mu   sync.Mutex
	subs map[*Subscription]struct{}
}

// Publish hands an event to all subscribers. It never blocks: one that lags loses it.
func (h *Hub) Publish(e Event) {
	e.Schema = EventSchema
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		s.put(e)
	}
}

// Subscribe returns a subscription that gets the events from now on. The caller closes
// it. Error: ErrSubscribers.
func (h *Hub) Subscribe() (*Subscription, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.subs) >= SubscriberCount {
		return nil, ErrSubscribers
	}
	if h.subs == nil {
		h.subs = make(map[*Subscription]struct{})
	}
	s := &Subscription{hub: h, events: make(chan Event, EventCount), closed: make(chan struct{})}
	h.subs[s] = struct{}{}
	return s, nil
}

// Subscription is one subscriber's queue. Next is called by one goroutine at a time.
type Subscription struct {
	hub    *Hub
	events chan Event
	closed chan struct{}
	missed int // under hub.mu; since then nothing is queued
}

// put is called with the hub's lock held. Once an event was lost nothing more is queued
// until the gap was told, so that the gap stands where the events are missing.
func (s *Subscription) put(e Event) {
	if s.missed == 0 {
		select {
		case s.events <- e:
			return
		default:
		}
	}
	s.missed++
}

// Next returns the next event, or the end of ctx, or ErrClosed.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	select {
	case e := <-s.events:
		return e, nil
	default:
	}
	s.hub.mu.Lock()
	missed := 0
	if len(s.events) == 0 {
		missed, s.missed = s.missed, 0
	}
	s.hub.mu.Unlock()
	if missed > 0 {
		return Event{Schema: EventSchema, Kind: EventGap, Missed: missed}, nil
	}
	select {
	case e := <-s.events:
		return e, nil
	case <-s.closed:
		return Event{}, ErrClosed
	case <-ctx.Done():
		return Event{}, ctx.Err()
	}
}

// Close ends a subscription; it may be called again.
func (s *Subscription) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if _, open := s.hub.subs[s]; open {
		delete(s.hub.subs, s)
		close(s.closed)
	}
}
