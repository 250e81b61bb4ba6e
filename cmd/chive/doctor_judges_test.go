// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"chive/internal/config"
	"chive/internal/control"
	"chive/internal/node"
)

func ports(list ...string) (out []netip.AddrPort) {
	for _, a := range list {
		out = append(out, netip.MustParseAddrPort(a))
	}
	return out
}

func addrs(list ...string) (out []netip.Addr) {
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// judged writes findings as "level code: words that must be there".
func judged(t *testing.T, name string, got []finding, want string) {
	t.Helper()
	level, rest, _ := strings.Cut(want, " ")
	code, words, _ := strings.Cut(rest, ": ")
	if want == "" {
		if len(got) > 0 {
			t.Errorf("%s: %+v, want nothing", name, got)
		}
		return
	}
	if len(got) != 1 || got[0].Level != level || got[0].Code != code || !strings.Contains(got[0].Text+" "+got[0].Fix, words) || level != levelOK && got[0].Fix == "" {
		t.Errorf("%s: %+v, want %s", name, got, want)
	}
}

// TestMemoryIsJudgedByWhatIsThere (product CLI-11, REL-5).
func TestMemoryIsJudgedByWhatIsThere(t *testing.T) {
	const mib = 1 << 20
	room := func(most, free uint64) node.Room { return node.Room{Most: most * mib, Free: free * mib, Known: true} }
	for name, c := range map[string]struct {
		need memoryNeed
		want string
	}{
		"a client":                  {memoryNeed{room: room(512, 100), whole: 64 * mib}, "ok enough: 100 MiB of 512 MiB are free"},
		"a client, little free":     {memoryNeed{room: room(512, 10), whole: 64 * mib}, "warning memory_short: only 10 MiB of 512 MiB"},
		"a relay":                   {memoryNeed{room: room(2048, 1000), whole: 576 * mib, ceiling: 512 * mib}, "ok enough: 512 MiB for what it keeps"},
		"a relay, little free":      {memoryNeed{room: room(2048, 500), whole: 576 * mib, ceiling: 512 * mib}, "warning memory_short: relay.memory"},
		"one that has most of it":   {memoryNeed{room: room(2048, 100), whole: 576 * mib, has: 500 * mib, ceiling: 512 * mib, said: true}, "ok enough: of which it has 500 MiB"},
		"one that has more than it": {memoryNeed{room: room(2048, 0), whole: 576 * mib, has: 600 * mib, ceiling: 512 * mib, said: true}, "ok enough"},
		"more than there is":        {memoryNeed{room: room(512, 400), whole: 1088 * mib, ceiling: 1024 * mib, said: true}, "fault memory_over: has 512 MiB here at most"},
		"the same by itself":        {memoryNeed{room: room(100, 90), whole: 192 * mib, ceiling: 128 * mib}, "warning memory_over"},
		"the same while it runs":    {memoryNeed{room: room(100, 90), whole: 192 * mib, has: 50 * mib, ceiling: 128 * mib, said: true}, "warning memory_over"},
	} {
		judged(t, name, []finding{judgeMemory(c.need)}, c.want)
	}
}

// TestARouterIsToldFromAPublicAddress (product CLI-11, REL-8): nobody is asked.
func TestARouterIsToldFromAPublicAddress(t *testing.T) {
	behind, public := node.Own{Private: addrs("192.168.1.5")}, node.Own{Public4: addrs("203.0.113.5")}
	any4, any6 := netip.MustParseAddrPort("0.0.0.0:9240"), netip.MustParseAddrPort("[::]:9240")
	for name, c := range map[string]struct {
		place relayPlace
		want  string
	}{
		"public":                      {relayPlace{own: public, listen: any4}, "ok public"},
		"no network":                  {relayPlace{listen: any4}, ""},
		"loopback":                    {relayPlace{own: behind, listen: netip.MustParseAddrPort("127.0.0.1:9240")}, ""},
		"nobody said where":           {relayPlace{own: behind, listen: any4, nat: true}, "warning behind_router: the doctor does not"},
		"and it may not ask":          {relayPlace{own: behind, listen: any4}, `warning behind_router: relay.nat = "off"`},
		"said":                        {relayPlace{own: behind, listen: any4, named: ports("203.0.113.9:9240")}, "ok named: 203.0.113.9:9240"},
		"forwarded":                   {relayPlace{own: behind, listen: any4, runs: true, forwarded: "the router forwards"}, "ok forwarded: the router forwards."},
		"published":                   {relayPlace{own: behind, listen: any4, runs: true, published: ports("203.0.113.9:9240")}, "ok published: 203.0.113.9:9240"},
		"not published":               {relayPlace{own: behind, listen: any4, runs: true}, "warning behind_router: publishes no address yet"},
		"not reached, which is said":  {relayPlace{own: behind, listen: any4, runs: true, reachable: &control.Reachable{State: "no"}}, ""},
		"IPv6 beside private IPv4":    {relayPlace{own: node.Own{Private: addrs("192.168.1.5"), Public6: addrs("2600::5")}, listen: any4, nat: true}, "warning behind_router"},
		"the same, and it hears IPv6": {relayPlace{own: node.Own{Private: addrs("192.168.1.5"), Public6: addrs("2600::5")}, listen: any6}, "ok public"},
		"a private address alone":     {relayPlace{own: node.Own{Private: addrs("10.0.0.7"), Public4: addrs("203.0.113.5")}, listen: netip.MustParseAddrPort("10.0.0.7:9240"), nat: true}, "warning behind_router"},
	} {
		judged(t, name, judgeRouter(c.place), c.want)
	}
}

// TestIPv6IsSaidToBeMissing (product CLI-11).
func TestIPv6IsSaidToBeMissing(t *testing.T) {
	four, both := node.Own{Public4: addrs("203.0.113.5")}, node.Own{Public4: addrs("203.0.113.5"), Public6: addrs("2600::5")}
	any4, any6 := netip.MustParseAddrPort("0.0.0.0:9240"), netip.MustParseAddrPort("[::]:9240")
	six := &control.Reachable{State: "yes", Addresses: []control.ReachableAddress{{Address: "[2600::5]:9240", State: "no"}}}
	for name, c := range map[string]struct {
		place relayPlace
		want  string
	}{
		"none here":                 {relayPlace{own: four, listen: any4}, "ok none"},
		"for some time only":        {relayPlace{own: node.Own{Public4: addrs("203.0.113.5"), Passing6: addrs("2600::6")}, listen: any6, nat: true}, "warning passing: publishes none of them"},
		"one that stays besides":    {relayPlace{own: node.Own{Public4: addrs("203.0.113.5"), Public6: addrs("2600::5"), Passing6: addrs("2600::6")}, listen: any6, named: ports("203.0.113.5:9240")}, `warning unpublished: "[2600::5]:9240"`},
		"loopback":                  {relayPlace{own: both, listen: netip.MustParseAddrPort("127.0.0.1:9240")}, ""},
		"deaf by default":           {relayPlace{own: both, listen: any4, nat: true}, `warning unpublished: relay.listen = "[::]:9240"`},
		"named, of IPv4 alone":      {relayPlace{own: both, listen: any6, named: ports("203.0.113.5:9240")}, `warning unpublished: relay.addresses = ["203.0.113.5:9240", "[2600::5]:9240"]`},
		"found by itself":           {relayPlace{own: both, listen: any6, nat: true}, "ok found"},
		"named":                     {relayPlace{own: both, listen: any6, named: ports("[2600::5]:9240")}, "ok named"},
		"named, and deaf":           {relayPlace{own: both, listen: any4, named: ports("[2600::5]:9240")}, "warning deaf"},
		"published":                 {relayPlace{own: both, listen: any6, runs: true, published: ports("203.0.113.5:9240", "[2600::5]:9240")}, "ok published"},
		"runs without":              {relayPlace{own: both, listen: any4, runs: true, published: ports("203.0.113.5:9240")}, "warning unpublished: publishes none"},
		"has its addresses tested":  {relayPlace{own: both, listen: any6, runs: true}, ""},
		"not reached there":         {relayPlace{own: both, listen: any6, runs: true, published: ports("203.0.113.5:9240"), reachable: six}, "warning unreached: firewalls"},
		"not reached there, a deaf": {relayPlace{own: both, listen: any4, runs: true, published: ports("203.0.113.5:9240"), reachable: six}, "warning deaf"},
	} {
		judged(t, name, judgeIPv6(c.place), c.want)
	}
}

// TestFirstPeersAreCountedByKind (product CLI-11, NET-1).
func TestFirstPeersAreCountedByKind(t *testing.T) {
	kinds := func(founders, named, guards [3]int) []*firstPeers { // known, tried, took
		of := func(code, one, why string, n [3]int) *firstPeers {
			return &firstPeers{code: code, one: one, why: why, known: n[0], tried: n[1], took: n[2]}
		}
		return []*firstPeers{of("peers", kindFounder, "why", founders), of("peers", kindNamed, "", named), of("remembered", kindGuard, "why", guards)}
	}
	for name, c := range map[string]struct {
		kinds []*firstPeers
		ports bool
		want  string // level code words; of each finding
	}{
		"all":               {kinds([3]int{7, 7, 5}, [3]int{}, [3]int{3, 3, 3}), false, "ok peers 5 of 7 founders take connections.|ok remembered 3 of 3 remembered guards take connections."},
		"more are known":    {kinds([3]int{20, 8, 8}, [3]int{1, 1, 1}, [3]int{}), false, "ok peers 8 of 8 founders that were tried take connections; 20 are known.|ok peers 1 of 1 peers of the configuration are reached, and are who they should be."},
		"founders are gone": {kinds([3]int{7, 7, 0}, [3]int{}, [3]int{3, 3, 1}), false, "warning peers 0 of 7 founders take connections.|ok remembered 1 of 3 remembered guards take connections."},
		"all are gone":      {kinds([3]int{7, 7, 0}, [3]int{}, [3]int{3, 3, 0}), false, "warning peers 0 of 7 founders take connections.|warning remembered 0 of 3 remembered guards take connections.|fault no_peers None of the relays that are known here takes a connection: 7 founders, no configured peer, 3 remembered guards."},
		"other ports":       {kinds([3]int{7, 0, 0}, [3]int{1, 1, 1}, [3]int{}), true, "warning peers_ports None of 7 founders is at a port that client.ports names, so none was tried.|ok peers 1 of 1 peers of the configuration are reached, and are who they should be."},
	} {
		var got []string
		for _, f := range judgePeers(c.kinds, c.ports) {
			got = append(got, f.Level+" "+f.Code+" "+f.Text)
		}
		if s := strings.Join(got, "|"); s != c.want {
			t.Errorf("%s:\n%s, want\n%s", name, s, c.want)
		}
	}
}

// TestFilteredPortsAreAFinding (product CLI-11): by what came back from relays, per port.
func TestFilteredPortsAreAFinding(t *testing.T) {
	type tries = map[uint16]string // a letter each: took, answered, silent, nothing
	letters := map[rune]portTry{'t': tryTook, 'a': tryAnswered, 's': trySilent, 'n': tryNothing}
	many := tries{}
	for port := range uint16(20) {
		many[9000+port] = "t"
	}
	for name, c := range map[string]struct {
		tries tries
		want  string
	}{
		"none was tried":         {nil, ""},
		"no way there":           {tries{9240: "nnn"}, ""},
		"all pass":               {tries{9240: "tst", 443: "a"}, "ok passes: ports 443, 9240."},
		"one port":               {tries{9240: "t"}, "ok passes: port 9240."},
		"many ports":             {many, "ok passes: 9006, 9007 and 12 others."},
		"some do not":            {tries{9240: "sss", 443: "tn"}, "warning some_silent: client.ports = [443]"},
		"a refusal comes back":   {tries{9240: "ss", 443: "a"}, "warning some_silent: relays at port 9240, not even"},
		"one relay may be away":  {tries{9240: "s", 443: "t"}, "ok one_silent: port 9240 nothing comes back"},
		"two ports, a try each":  {tries{9240: "s", 9241: "s", 443: "t"}, "warning some_silent: ports 9240, 9241"},
		"some are refused":       {tries{9240: "aa", 443: "ts", 80: "a"}, "warning some_refused: relays at port 9240 is refused, and at port 443"},
		"one is refused":         {tries{9240: "a", 443: "t"}, "ok passes: ports 443, 9240"},
		"all are refused":        {tries{9240: "aa", 443: "aa"}, "ok passes: ports 443, 9240"},
		"refused or taken":       {tries{9240: "aat", 443: "t"}, "ok passes: ports 443, 9240"},
		"nothing comes back":     {tries{9240: "sn", 443: "s"}, "warning all_silent: ports 443, 9240"},
		"one relay in all, away": {tries{9240: "s"}, "warning all_silent: client.upstream"},
	} {
		p := portTries{}
		for port, all := range c.tries {
			for _, l := range all {
				p.add(port, letters[l])
			}
		}
		judged(t, name, p.judge(), c.want)
	}
}

// TestATryTellsSilenceFromARefusal, on this machine.
func TestATryTellsSilenceFromARefusal(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(l.Addr().String())
	if got := tryPort(t.Context(), at, peerTime); got != tryTook {
		t.Errorf("somebody listens: %d", got)
	}
	_ = l.Close()
	if got := tryPort(t.Context(), at, peerTime); got != tryAnswered {
		t.Errorf("nobody listens: %d", got)
	}
	if got := tryPort(t.Context(), at, 0); got != trySilent { // the time is over before an answer can come
		t.Errorf("nothing comes: %d", got)
	}
}

// TestOneDaemonsLinksTellOfFilteredPorts: no relay is tried beside a client that runs.
func TestOneDaemonsLinksTellOfFilteredPorts(t *testing.T) {
	for state, want := range map[string]string{"ready": "ok passes: get through; client.ports leaves it port 443.", "cold": ""} {
		d := &doctor{cfg: config.Default(), status: &control.Status{Client: &control.Client{State: state, Guards: []control.Guard{{}}}}}
		d.cfg.Client.Ports = []int{443}
		d.checkFiltered()
		judged(t, state, d.found, want)
	}
}
