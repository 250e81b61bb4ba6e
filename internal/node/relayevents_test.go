// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"chive/internal/control"
	"chive/relay"
)

// TestWhatChangesAboutARelayIsAnEvent: one for each, and none for what stays (API-2).
func TestWhatChangesAboutARelayIsAnEvent(t *testing.T) {
	at := []netip.AddrPort{netip.MustParseAddrPort("203.0.113.5:9240")}
	for _, c := range []struct {
		was, now standing
		want     string
	}{
		{standing{}, standing{}, ""},
		{standing{}, standing{listed: true, running: true}, "listed running"},
		{standing{listed: true, running: true}, standing{listed: true}, "not_running"},
		{standing{listed: true, running: true}, standing{}, "unlisted"},
		{standing{}, standing{published: at}, "address"},
		{standing{unknown: true}, standing{listed: true, running: true}, ""}, // as before this start
		{standing{published: at, reach: "yes"}, standing{published: at, reach: "no"}, "unreachable"},
		{standing{reach: "no"}, standing{published: at, reach: "yes"}, "address reachable"},
		{standing{reach: "yes"}, standing{}, ""}, // not known yet
		{standing{}, standing{rests: true}, "quota"},
		{standing{rests: true}, standing{}, "works"},
		{standing{}, standing{drains: true}, "draining"},
		{standing{drains: true}, standing{drains: true}, ""},
	} {
		if got := strings.Join(c.was.changes(&c.now), " "); got != c.want {
			t.Errorf("%+v to %+v: %q, want %q", c.was, c.now, got, c.want)
		}
	}
	refused := relay.AddressReach{Failed: []relay.Unreached{relay.UnreachedRefused}}
	for want, s := range map[string]relay.ReachStatus{
		"": {}, "yes": {Addresses: []relay.AddressReach{{Reached: 1}}}, "no": {Addresses: []relay.AddressReach{{Reached: 1}, refused}},
	} {
		if got := reachState(&s); got != want {
			t.Errorf("%+v: %q, want %q", s, got, want)
		}
	}
}

// TestARelayTellsItsEvents over its own hub, without a client: that it drains is told
// before it ends (API-2).
func TestARelayTellsItsEvents(t *testing.T) {
	w := found(t, 3, func(int) FounderOptions {
		return FounderOptions{Declaring: Declaring{Addresses: []string{freePort(t)}}}
	})
	w.sign(t)
	info, err := ShowNetwork(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	s := w.states[0]
	serving, ready := make(chan *RelaySources, 1), make(chan RelayReady, 1)
	o := RelayOptions{
		State: s.Dir(), Genesis: w.doc, Listen: listenOf(t, s, info), Drain: -1,
		Serving: func(s control.Source) { serving <- s.(*RelaySources) }, Ready: func(r RelayReady) { ready <- r },
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- RunRelay(ctx, o) }()
	source := <-serving
	sub, err := source.Events().Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	rid := source.Relays[0].now().RID()
	hear := func(state string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for {
			e, err := sub.Next(ctx)
			if err != nil {
				t.Fatalf("%s is not told: %v", state, err)
			}
			if e.Kind != control.EventRelay || e.ID != hex.EncodeToString(rid[:]) {
				t.Errorf("%+v", e)
			}
			if e.State == state {
				return
			}
		}
	}
	if err := source.Drain(0); err != nil {
		t.Fatal(err)
	}
	hear(control.RelayDrains)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestARoleThatBeginsIsNoChange: a role begins at each start and after each rest of a quota,
// and until it has read its memory its list is the first one, which has founders alone. That
// is not told as a relay that left the list and has come back (API-2).
func TestARoleThatBeginsIsNoChange(t *testing.T) {
	w := found(t, 3, nil)
	w.sign(t)
	s := stateOf(t, w.dir+"/later")
	if _, err := s.Init(InitOptions{Declaring: Declaring{Addresses: []string{freePort(t)}}}, rand.Reader, time.Now()); err != nil {
		t.Fatal(err)
	}
	r, err := prepareRelay(t.Context(), RelayOptions{State: s.Dir(), Genesis: w.doc, Listen: freePort(t), Drain: -1}, s)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	defer r.close()
	before := &standing{listed: true, running: true}
	if got := before.changes(r.standing(before, false)); len(got) > 0 {
		t.Errorf("a role that begins is told as %q", got)
	}
	first := r.standing(nil, false)
	if got := first.changes(&standing{listed: true, running: true}); len(got) > 0 {
		t.Errorf("what it was before the start is told as %q", got)
	}
}
