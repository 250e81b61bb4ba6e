// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// TestLaggingSubscriberIsToldOfTheGap: it gets the events that waited, then how many are
// missing, then what comes after (API-2, security B31).
func TestLaggingSubscriberIsToldOfTheGap(t *testing.T) {
	var h Hub
	slow, err := h.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	quick, err := h.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	defer quick.Close()
	next := func(s *Subscription) Event {
		t.Helper()
		e, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	const sent = EventCount + 3
	for i := range sent {
		h.Publish(Event{Kind: EventStream, ID: fmt.Sprint(i)})
		if e := next(quick); e.ID != fmt.Sprint(i) {
			t.Fatalf("the quick one got %+v", e)
		}
	}
	for i := range EventCount {
		if e := next(slow); e.ID != fmt.Sprint(i) {
			t.Fatalf("event %d: %+v", i, e)
		}
		if i == 0 { // there is room again, but nothing may stand before the gap
			h.Publish(Event{Kind: EventStream, ID: "behind"})
		}
	}
	if e := next(slow); e.Kind != EventGap || e.Missed != sent-EventCount+1 || e.Schema != EventSchema {
		t.Fatalf("instead of a gap: %+v", e)
	}
	h.Publish(Event{Kind: EventWarning})
	if e := next(slow); e.Kind != EventWarning {
		t.Fatalf("behind the gap: %+v", e)
	}
}

func TestSubscribersAreBounded(t *testing.T) {
	var h Hub
	var subs []*Subscription
	for range SubscriberCount {
		s, err := h.Subscribe()
		if err != nil {
			t.Fatal(err)
		}
		subs = append(subs, s)
	}
	if _, err := h.Subscribe(); !errors.Is(err, ErrSubscribers) {
		t.Errorf("one beyond the bound: %v", err)
	}
	subs[0].Close()
	subs[0].Close()
	if _, err := subs[0].Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	s, err := h.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
}
