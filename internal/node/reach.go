// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"chive/internal/control"
	"chive/internal/metrics"
	"chive/relay"
)

// readyPatience is how long the ready line waits for the first test of the addresses.
const readyPatience = 10 * time.Second

// awaitTest waits for a relay's first test of its addresses, but not for long. false: the
// role ends. What ended it stays in ended.
func awaitTest(ctx context.Context, role *relay.Relay, ended chan error) bool {
	t := time.NewTimer(readyPatience)
	defer t.Stop()
	select {
	case <-role.Tested():
	case <-t.C:
	case <-ctx.Done():
		return false
	case err := <-ended:
		ended <- err
		return false
	}
	return true
}

// causes are what keeps others from an address, in words behind "N relays", and what to
// do.
var causes = map[relay.Unreached]struct{ words, fix string }{
	relay.UnreachedRefused: {"found nobody listening there", "Check that the router forwards the port to this machine, and that chive listens at the port that it forwards to"},
	relay.UnreachedTimeout: {"heard nothing from there", "Let the port through the firewall, and forward it in the router to this machine"},
	relay.UnreachedNoWay:   {"found no way there", "Check that the address is right, and that this machine's connection has it"},
	relay.UnreachedOther:   {"were answered by something else", "Another machine or program has that port: have the router forward it to this machine, or give the relay another one"},
}

// reachable says what a relay's test of its own addresses says, and without one the list:
// other relays dial the addresses of those on it. Spec: product REL-7.
func reachable(s relay.ReachStatus, r *control.Relay) *control.Reachable {
	out := &control.Reachable{State: "unknown", ConfirmedBy: s.ConfirmedBy, Addresses: []control.ReachableAddress{}}
	var yes, no []string
	for i := range s.Addresses {
		a := &s.Addresses[i]
		shown := control.ReachableAddress{Address: a.Address.String(), State: "unknown", ConfirmedBy: a.Reached}
		for _, f := range a.Failed {
			shown.Causes = append(shown.Causes, string(f))
		}
		switch {
		case a.Confirmed():
			shown.State = "yes"
			yes = append(yes, fmt.Sprintf("Reachable at %s (confirmed by %s)", a.Address, count(a.Reached, "relay")))
		case a.Refuted():
			shown.State = "no"
			no = append(no, unreachedText(a, s.Observed, r))
		}
		out.Addresses = append(out.Addresses, shown)
	}
	if len(yes)+len(no) > 0 {
		out.State, out.Checked = "yes", utc(s.Tested)
		if len(no) > 0 {
			out.State = "no"
		}
		out.Text = strings.Join(append(yes, no...), ". ")
		return out
	}
	where := strings.Join(r.Published, " and ")
	switch {
	case r.Listed && r.Running:
		out.State, out.Text = "yes", "Other relays reach it, as the list says."
	case r.Listed:
		out.State, out.Text = "no", "Other relays do not reach it at "+where+": check that port from outside, and the address that it declares."
	default:
		out.Text = "It is not on the list, so nobody has said so yet."
	}
	switch {
	case s.Tested.IsZero():
		out.Text += " Its own test is under way."
	default:
		out.Text += " It could ask no running relay to test it, and goes on trying."
	}
	return out
}

// unreachedText says why others do not reach an address, and what to do.
func unreachedText(a *relay.AddressReach, observed netip.Addr, r *control.Relay) string {
	times := map[relay.Unreached]int{}
	var order []relay.Unreached
	most := a.Failed[0]
	for _, f := range a.Failed {
		if times[f]++; times[f] == 1 {
			order = append(order, f)
		}
		if times[f] > times[most] {
			most = f
		}
	}
	var parts []string
	for _, f := range order {
		parts = append(parts, count(times[f], "relay")+" "+causes[f].words)
	}
	if a.Reached > 0 {
		parts = append(parts, count(a.Reached, "relay")+" reached it")
	}
	text := fmt.Sprintf("Not reachable at %s: %s. %s: TCP port %s, to %s here", a.Address, strings.Join(parts, ", "), causes[most].fix, strconv.Itoa(int(a.Address.Port())), r.Listen)
	if observed.IsValid() && observed != a.Address.Addr() && observed.Is4() == a.Address.Addr().Is4() {
		text += ". Others see this machine at " + observed.String()
	}
	return text
}

// reachNumbers are the families in which others reach a relay.
func reachNumbers(r *control.Relay) (four, six metrics.Known) {
	if r.Reachable == nil {
		return four, six
	}
	for _, a := range r.Reachable.Addresses {
		at, err := netip.ParseAddrPort(a.Address)
		if err != nil {
			continue
		}
		family := &six
		if at.Addr().Unmap().Is4() {
			family = &four
		}
		switch {
		case a.State == "yes":
			*family = metrics.Yes // at one of its addresses
		case *family == metrics.Yes:
		case a.State == "no":
			*family = metrics.No
		case r.Listed: // others dial the addresses of a relay on the list
			*family = known(r.Running)
		}
	}
	return four, six
}
