// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"chive/internal/control"
	"chive/internal/metrics"
	"chive/relay"
)

// TestWhatASelfTestSays, in words, with each cause and its fix, and in the metrics.
// Spec: REL-7.
func TestWhatASelfTestSays(t *testing.T) {
	four, six := netip.MustParseAddrPort("203.0.113.5:9240"), netip.MustParseAddrPort("[2001:db8::5]:9240")
	tested := time.Unix(1e9, 0)
	const refused, timeout, nowhere, other = relay.UnreachedRefused, relay.UnreachedTimeout, relay.UnreachedNoWay, relay.UnreachedOther
	for name, c := range map[string]struct {
		s               relay.ReachStatus
		listed, running bool
		state           string
		says            []string
		v4, v6          metrics.Known
	}{
		"confirmed": {relay.ReachStatus{Tested: tested, ConfirmedBy: 3, Addresses: []relay.AddressReach{{Address: four, Reached: 3}}}, true, true,
			"yes", []string{"Reachable at 203.0.113.5:9240 (confirmed by 3 relays)"}, metrics.Yes, metrics.Unknown},
		"by one": {relay.ReachStatus{Tested: tested, ConfirmedBy: 1, Addresses: []relay.AddressReach{{Address: four, Reached: 1}}}, false, false,
			"yes", []string{"(confirmed by 1 relay)"}, metrics.Yes, metrics.Unknown},
		"refuted": {relay.ReachStatus{Tested: tested, Observed: netip.MustParseAddr("203.0.113.9"), Addresses: []relay.AddressReach{{Address: four, Failed: []relay.Unreached{refused, timeout, timeout}}}}, true, true,
			"no", []string{"Not reachable at 203.0.113.5:9240: 1 relay found nobody listening there, 2 relays heard nothing from there. Let the port through the firewall", "TCP port 9240, to 0.0.0.0:9240 here", "Others see this machine at 203.0.113.9"}, metrics.No, metrics.Unknown},
		"half": {relay.ReachStatus{Tested: tested, ConfirmedBy: 1, Observed: four.Addr(), Addresses: []relay.AddressReach{{Address: four, Reached: 1, Failed: []relay.Unreached{other}}}}, false, false,
			"no", []string{"1 relay were answered", "1 relay reached it", "Another machine or program has that port"}, metrics.No, metrics.Unknown},
		"one of two": {relay.ReachStatus{Tested: tested, ConfirmedBy: 3, Addresses: []relay.AddressReach{{Address: four, Reached: 3}, {Address: six, Failed: []relay.Unreached{nowhere}}}}, true, true,
			"no", []string{"Reachable at 203.0.113.5:9240 (confirmed by 3 relays). Not reachable at [2001:db8::5]:9240", "Check that the address is right"}, metrics.Yes, metrics.No},
		"nobody to ask, listed": {relay.ReachStatus{Tested: tested, Addresses: []relay.AddressReach{{Address: four}}}, true, true,
			"yes", []string{"as the list says", "could ask no running relay"}, metrics.Yes, metrics.Unknown},
		"nobody to ask, not running": {relay.ReachStatus{Tested: tested, Addresses: []relay.AddressReach{{Address: four}}}, true, false,
			"no", []string{"do not reach it"}, metrics.No, metrics.Unknown},
		"nobody to ask, new": {relay.ReachStatus{Tested: tested, Addresses: []relay.AddressReach{{Address: four}}}, false, false,
			"unknown", []string{"not on the list"}, metrics.Unknown, metrics.Unknown},
		"not tested": {relay.ReachStatus{}, false, false, "unknown", []string{"under way"}, metrics.Unknown, metrics.Unknown},
	} {
		r := &control.Relay{Listed: c.listed, Running: c.running, Listen: "0.0.0.0:9240", Published: []string{four.String()}}
		r.Reachable = reachable(c.s, r)
		if r.Reachable.State != c.state {
			t.Errorf("%s: %+v", name, r.Reachable)
		}
		for _, want := range c.says {
			if !strings.Contains(r.Reachable.Text, want) {
				t.Errorf("%s: %s\nlacks %q", name, r.Reachable.Text, want)
			}
		}
		if v4, v6 := reachNumbers(r); v4 != c.v4 || v6 != c.v6 {
			t.Errorf("%s: metrics %v and %v", name, v4, v6)
		}
	}
}

// TestEachCauseHasWords and a fix.
func TestEachCauseHasWords(t *testing.T) {
	for _, u := range []relay.Unreached{relay.UnreachedRefused, relay.UnreachedTimeout, relay.UnreachedNoWay, relay.UnreachedOther} {
		if c := causes[u]; c.words == "" || c.fix == "" {
			t.Errorf("%s: %+v", u, c)
		}
	}
}

// TestReachabilityIsToldOnceAndTroubleAgain: that all is well once, that it is not each
// hour, and each change.
func TestReachabilityIsToldOnceAndTroubleAgain(t *testing.T) {
	var told []string
	w := watch{tell: func(s string) { told = append(told, s) }, told: map[string]time.Time{}}
	good := &control.Reachable{State: "yes", Text: "Reachable", Checked: time.Unix(1, 0)}
	bad := &control.Reachable{State: "no", Text: "Not reachable", Checked: time.Unix(2, 0)}
	for _, r := range []*control.Reachable{nil, {State: "yes", Text: "by the list"}, good, good, bad, bad, good} {
		w.reach(r)
	}
	if got := strings.Join(told, " "); got != "Reachable. Not reachable. Reachable." {
		t.Error(got)
	}
}
