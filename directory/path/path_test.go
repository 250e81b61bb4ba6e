// SPDX-License-Identifier: BSD-3-Clause

package path

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"testing"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"

	"pgregory.net/rapid"
)

// checkPath holds a path against every rule, by other means than the selector's.
func checkPath(t interface{ Fatalf(string, ...any) }, p []*snapshot.Relay, req Request, params genesis.Params) {
	if len(p) != req.Hops {
		t.Fatalf("%d hops, wanted %d", len(p), req.Hops)
	}
	for i, a := range p {
		if a.Flags&snapshot.FlagRunning == 0 || req.Exclude[a.RID] {
			t.Fatalf("hop %d is stopped or excluded", i)
		}
		for _, b := range p[:i] {
			switch {
			case a.RID == b.RID:
				t.Fatalf("a relay is there twice")
			case params.PathFamilyRule && a.Family != 0 && a.Family == b.Family:
				t.Fatalf("two of a family")
			case params.PathNetworkRule && a.Group == b.Group:
				t.Fatalf("two of a group")
			}
			for _, x := range a.Addresses {
				for _, y := range b.Addresses {
					if params.PathNetworkRule && record.Network(x.Addr()) == record.Network(y.Addr()) {
						t.Fatalf("two of a network")
					}
				}
			}
		}
	}
	if req.FreshGuard && p[0].Flags&snapshot.FlagGuard == 0 {
		t.Fatalf("the first hop is no guard")
	}
	if !req.FreshGuard && !slices.Contains(req.Guards, p[0].RID) {
		t.Fatalf("the first hop is none of the client's guards")
	}
	last := p[len(p)-1]
	switch req.Target.kind {
	case targetExit:
		if last.Flags&snapshot.FlagExit == 0 || !record.Permits(last.Policy, req.Target.protocol, req.Target.port) {
			t.Fatalf("the last hop does not permit the port")
		}
	case targetRelay:
		if last.RID != req.Target.rid {
			t.Fatalf("the last hop is another relay")
		}
	}
}

// Invariant I8. Spec: DIR-11.
func TestAMillionPathsKeepEveryRule(t *testing.T) {
	relays := large(500)
	s := selector(t, relays, strict())
	r := seeded(1)
	targets := []Target{Any(), Exit(record.TCP, 80), Exit(record.TCP, 22), Exit(record.UDP, 53), Relay(rid(7))}
	count := 1_000_000
	if testing.Short() {
		count /= 10
	}
	for i := range count {
		req := Request{Hops: MinHops + i%6, Target: targets[i%len(targets)], FreshGuard: true}
		if i%2 == 0 {
			req.FreshGuard, req.Guards = false, []record.RID{rid(i % 500), rid(i / 7 % 500), rid(i / 11 % 500)}
			req.Exclude = map[record.RID]bool{rid(i % 50): true, rid(i % 51): true}
		}
		p, err := s.Choose(r, req)
		var refused *RuleError
		if errors.As(err, &refused) && !req.FreshGuard && (refused.Position == Guard || req.Target.kind == targetRelay) {
			continue // these guards suit nothing, or the asked relay is excluded
		}
		if err != nil {
			t.Fatal(err)
		}
		checkPath(t, p, req, strict())
	}
}

// TestPathIsFoundExactlyWhenOneExists compares the search with trying everything,
// on networks small enough to have dead ends.
func TestPathIsFoundExactlyWhenOneExists(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		relays := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) relay {
			r := relay{
				addr:   fmt.Sprintf("20.%d.0.1", rapid.IntRange(0, 4).Draw(t, "network")),
				family: uint16(rapid.IntRange(0, 2).Draw(t, "family")),
				policy: uint8(rapid.IntRange(1, 3).Draw(t, "policy")),
			}
			for _, f := range []snapshot.Flags{guardFlag, exitFlag, stopped} {
				if rapid.IntRange(0, 3).Draw(t, "flag") > 0 != (f == stopped) {
					r.flags |= f
				}
			}
			return r
		}), 1, 7).Draw(rt, "relays")
		p := genesis.Testnet()
		p.PathNetworkRule = rapid.Bool().Draw(rt, "network rule")
		p.PathFamilyRule = rapid.Bool().Draw(rt, "family rule")
		s := selector(t, relays, p)
		req := Request{Hops: rapid.IntRange(3, 4).Draw(rt, "hops"), FreshGuard: rapid.Bool().Draw(rt, "fresh")}
		req.Target = rapid.SampledFrom([]Target{Any(), Exit(record.TCP, 80), Exit(record.UDP, 53), Exit(record.TCP, 0)}).Draw(rt, "target")
		req.Guards = []record.RID{rid(0), rid(2), rid(90)}
		req.Exclude = map[record.RID]bool{rid(rapid.IntRange(0, 9).Draw(rt, "excluded")): true}
		got, err := s.Choose(seeded(rapid.Uint64().Draw(rt, "seed")), req)
		exists := anyPath(s, req, nil)
		if (err == nil) != exists {
			rt.Fatalf("a path exists: %v; %v", exists, err)
		}
		var refused *RuleError
		if err != nil && !errors.As(err, &refused) {
			rt.Fatalf("%v", err)
		}
		if err == nil && req.Target.port != 0 {
			checkPath(rt, got, req, p)
		}
	})
}

// anyPath tries every path: last hop, guard, middles.
func anyPath(s *Selector, req Request, path []int) bool {
	if len(path) == req.Hops {
		return true
	}
	for i := range s.table.Len() {
		r := s.table.At(i)
		ok := r.Flags&snapshot.FlagRunning != 0 && !req.Exclude[r.RID]
		switch {
		case len(path) == 0 && req.Target.kind == targetExit:
			ok = ok && s.weights[Last].weight(i) > 0 && req.Target.accepts(r)
		case len(path) == 1 && req.FreshGuard:
			ok = ok && s.weights[Guard].weight(i) > 0
		case len(path) == 1:
			ok = ok && slices.Contains(req.Guards, r.RID)
		default:
			ok = ok && s.weights[Middle].weight(i) > 0
		}
		for _, j := range path {
			_, bad := s.conflict(r, s.table.At(j))
			ok = ok && !bad
		}
		if ok && anyPath(s, req, append(slices.Clone(path), i)) {
			return true
		}
	}
	return false
}

// Spec: DIR-11.
func TestErrorNamesTheRule(t *testing.T) {
	exits := func(relays []relay, policy uint8, which ...int) []relay {
		for _, i := range which {
			relays[i].flags |= exitFlag
			relays[i].policy = policy
		}
		return relays
	}
	family := func(relays []relay, which ...int) []relay {
		for _, i := range which {
			relays[i].family = 1
		}
		return relays
	}
	four := func() []relay { return exits(apart(4, guardFlag), 1, 0) }
	same := apart(4, guardFlag)
	for i := range same {
		same[i].addr = fmt.Sprintf("20.1.0.%d", i+1)
	}
	sixes := apart(4, guardFlag)
	for i := range sixes {
		sixes[i].six = fmt.Sprintf("2606:4700:%d::1", i)
	}
	for name, test := range map[string]struct {
		relays []relay
		req    Request
		at     Position
		rule   Rule
	}{
		"no relays":              {nil, Request{Hops: 3}, Last, RuleWeight},
		"no exits":               {apart(4, guardFlag), Request{Hops: 3, Target: Exit(record.TCP, 80)}, Last, RuleWeight},
		"none permits":           {four(), Request{Hops: 3, Target: Exit(record.TCP, 25)}, Last, RulePolicy},
		"none permits UDP":       {four(), Request{Hops: 3, Target: Exit(record.UDP, 80)}, Last, RulePolicy},
		"asked relay unknown":    {four(), Request{Hops: 3, Target: Relay(rid(9))}, Last, RulePolicy},
		"asked relay stopped":    {append(four(), relay{flags: stopped, addr: "20.9.0.1"}), Request{Hops: 3, Target: Relay(rid(4))}, Last, RulePolicy},
		"exit just failed":       {four(), Request{Hops: 3, Target: Exit(record.TCP, 80), Exclude: map[record.RID]bool{rid(0): true}}, Last, RuleExcluded},
		"asked just failed":      {four(), Request{Hops: 3, Target: Relay(rid(1)), Exclude: map[record.RID]bool{rid(1): true}}, Last, RuleExcluded},
		"no guards":              {exits(apart(4, noRole), 2, 0), Request{Hops: 3, FreshGuard: true, Target: Exit(record.TCP, 80)}, Guard, RuleWeight},
		"no own guards":          {four(), Request{Hops: 3, Target: Exit(record.TCP, 80)}, Guard, RuleGuards},
		"own guard is gone":      {four(), Request{Hops: 3, Guards: []record.RID{rid(9)}, Target: Exit(record.TCP, 80)}, Guard, RuleGuards},
		"own guard is the exit":  {four(), Request{Hops: 3, Guards: []record.RID{rid(0)}, Target: Exit(record.TCP, 80)}, Guard, RuleSame},
		"own guard is family":    {family(four(), 0, 1), Request{Hops: 3, Guards: []record.RID{rid(1)}, Target: Exit(record.TCP, 80)}, Guard, RuleFamily},
		"too few relays":         {exits(apart(2, guardFlag), 2, 0), Request{Hops: 3, FreshGuard: true, Target: Exit(record.TCP, 80)}, Middle, RuleSame},
		"too few for four hops":  {apart(3, guardFlag), Request{Hops: 4, FreshGuard: true}, Middle, RuleSame},
		"all one family":         {family(apart(4, guardFlag), 0, 1, 2, 3), Request{Hops: 3, FreshGuard: true}, Guard, RuleFamily},
		"three of one family":    {family(apart(4, guardFlag), 1, 2, 3), Request{Hops: 3, FreshGuard: true}, Middle, RuleFamily},
		"all in one /16":         {same, Request{Hops: 3, FreshGuard: true}, Guard, RuleNetwork},
		"all in one /32 of IPv6": {sixes, Request{Hops: 3, FreshGuard: true}, Guard, RuleNetwork},
	} {
		_, err := selector(t, test.relays, strict()).Choose(seeded(1), test.req)
		var refused *RuleError
		if !errors.As(err, &refused) || refused.Position != test.at || refused.Rule != test.rule {
			t.Errorf("%s: %v", name, err)
		}
	}
	for at := range Position(positions + 1) {
		for rule := range Rule(rules + 1) {
			if (&RuleError{at, rule}).Error() == "" {
				t.Error("an error without a sentence")
			}
		}
	}
}

func TestHopsAreBounded(t *testing.T) {
	s := selector(t, apart(20, guardFlag), strict())
	for _, hops := range []int{-1, 0, 2, 9} {
		if _, err := s.Choose(seeded(1), Request{Hops: hops, FreshGuard: true}); !errors.Is(err, ErrHops) {
			t.Errorf("%d hops: %v", hops, err)
		}
	}
	for _, hops := range []int{3, 8} {
		if p, err := s.Choose(seeded(1), Request{Hops: hops, FreshGuard: true}); err != nil || len(p) != hops {
			t.Errorf("%d hops: %v", hops, err)
		}
	}
}

func TestFirstUsableGuardIsTaken(t *testing.T) {
	relays := apart(10, guardFlag)
	relays[0].flags |= exitFlag
	relays[1].flags |= stopped
	relays[2].family, relays[0].family = 1, 1
	s := selector(t, relays, strict())
	guards := []record.RID{rid(0), rid(1), rid(2), rid(50), rid(3), rid(4)}
	for range 200 {
		p, err := s.Choose(seeded(2), Request{Hops: 3, Guards: guards, Target: Exit(record.TCP, 80)})
		if err != nil || number(p[0]) != 3 {
			t.Fatalf("%v", err)
		}
	}
}

func TestSearchIsBounded(t *testing.T) {
	// Eight hops among relays of which seven do not conflict: no path, and far
	// more half paths than the search may look at.
	var relays []relay
	for i := range 70 {
		relays = append(relays, relay{flags: guardFlag, addr: fmt.Sprintf("20.%d.0.%d", i%7, i+1)})
	}
	_, err := selector(t, relays, strict()).Choose(seeded(1), Request{Hops: 8, FreshGuard: true})
	var refused *RuleError
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	if refused.Rule != RuleNetwork && refused.Rule != RuleTries {
		t.Errorf("%v", err)
	}
}

func TestHopsAreDrawnByWeight(t *testing.T) {
	relays := apart(12, guardFlag)
	for i := range relays {
		relays[i].bucket = 36 + 4*uint8(i%3) // rates 1 : 2 : 4
		if i < 6 {
			relays[i].flags |= exitFlag
		}
	}
	s := selector(t, relays, genesis.Testnet())
	r, counts := seeded(3), map[int]float64{}
	const draws = 60_000
	for range draws {
		p, err := s.Choose(r, Request{Hops: 3, FreshGuard: true, Target: Exit(record.TCP, 80)})
		if err != nil {
			t.Fatal(err)
		}
		counts[number(p[2])]++
	}
	for i := range 6 {
		want := draws * float64(int(1)<<(i%3)) / 14
		if math.Abs(counts[i]-want) > 5*math.Sqrt(want) {
			t.Errorf("exit %d was last %v times, wanted %v", i, counts[i], want)
		}
	}
}

func TestPermits(t *testing.T) {
	relays := apart(3, exitFlag)
	relays[0].policy, relays[1].policy, relays[2].policy = 1, 3, 2
	relays[2].flags |= stopped
	s := selector(t, relays, strict())
	for _, test := range []struct {
		protocol byte
		port     uint16
		want     bool
	}{{record.TCP, 80, true}, {record.TCP, 25, false}, {record.UDP, 53, true}, {record.UDP, 80, false}, {record.UDP, 0, true}} {
		if got := s.Permits(test.protocol, test.port); got != test.want {
			t.Errorf("%d/%d: %v", test.protocol, test.port, got)
		}
	}
	if s.View().Table().Len() != 3 {
		t.Error("another view")
	}
}

func TestFailingRandomSourceIsReported(t *testing.T) {
	s := selector(t, apart(10, guardFlag), strict())
	for n := range 24 {
		_, err := s.Choose(bytes.NewReader(make([]byte, n)), Request{Hops: 3, FreshGuard: true})
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestBelowIsUniform(t *testing.T) {
	r := seeded(4)
	for _, n := range []uint64{1, 2, 3, 7, 1 << 63, 1<<63 + 1, 1<<64 - 1} {
		var counts [2]float64
		for range 4000 {
			x, err := below(r, n)
			if err != nil || x >= n {
				t.Fatalf("%d of %d: %v", x, n, err)
			}
			if x >= n/2+n%2 {
				counts[1]++
			} else {
				counts[0]++
			}
		}
		if n > 1<<60 && math.Abs(counts[0]-2000) > 200 {
			t.Errorf("below %d: %v in the lower half", n, counts[0])
		}
	}
}

func BenchmarkChoose(b *testing.B) {
	for _, count := range []int{10, 1000, 10_000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			s := selector(b, large(count), strict())
			r := seeded(1)
			for b.Loop() {
				if _, err := s.Choose(r, Request{Hops: 3, Target: Exit(record.TCP, 80), FreshGuard: true}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
