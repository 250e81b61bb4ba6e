// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/path"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/vote"
	"chive/testnet/scenario"
)

// A hash is renewed only in a change that says why machines do otherwise.
var renew = flag.Bool("renew", false, "write the trace hashes anew")

const hashFile = "testdata/traces.txt"

func hashes(t *testing.T) map[string]string {
	t.Helper()
	f, err := os.Open(hashFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, hash, ok := strings.Cut(s.Text(), " = "); ok && !strings.HasPrefix(name, "#") {
			out[name] = hash
		}
	}
	return out
}

func short(t *testing.T, e experiment, relays int) *scenario.Result {
	t.Helper()
	res, err := e.all(context.Background(), scenario.Options{Short: true, Relays: relays}, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// Every scenario runs in its short form, meets its goals, keeps the invariants, and
// gives the trace that it gave before. Spec: testnet §1 (DRV-1), §3 (SCN-5).
func TestShortRunsMeetTheirGoalsWithTheTracesOfBefore(t *testing.T) {
	want, text := map[string]string{}, "# SHA-256 over the events of the short runs; see doc.go.\n"
	if !*renew {
		want = hashes(t)
	}
	for _, e := range experiments() {
		t.Run(e.name, func(t *testing.T) {
			res := short(t, e, 0)
			for _, r := range res.Rows {
				if r.Verdict == scenario.Missed {
					t.Errorf("%s: %s %s, goal %s", r.Metric, scenario.Figure(r.Value), r.Unit, r.Goal)
				}
			}
			if !*renew && res.TraceHash != want[e.name] {
				t.Errorf("another trace: %s", res.TraceHash)
			}
			text += e.name + " = " + res.TraceHash + "\n"
		})
	}
	if *renew {
		if err := os.WriteFile(hashFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Invariant I10: equal seeds, equal traces, on one processor and on all; the seed
// changes everything. Spec: testnet §7.
func TestEqualSeedsGiveEqualTraces(t *testing.T) {
	run := func(seed uint64) string {
		w := started(t, setting{seed: seed, relays: 12, params: genesis.Testnet()})
		w.lying(lieAnnounce, 250)
		for _, n := range w.nodes[:2] {
			n.treats = treasonVote | treasonSign
			w.check.traitors++
		}
		go_(t, w, 45*time.Second)
		return w.hash()
	}
	first := run(7)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if run(7) != first {
		t.Error("with one processor the trace is another")
	}
	runtime.GOMAXPROCS(2)
	for range 3 {
		if run(7) != first {
			t.Error("equal seeds, different traces (I10)")
		}
	}
	if run(8) == first {
		t.Error("the seed changes nothing")
	}
}

// What machines share in a catalog and a store in blocks changes nothing.
func TestSharingChangesNothing(t *testing.T) {
	run := func(alone bool) string {
		w := started(t, setting{seed: 3, relays: 8, params: genesis.Testnet(), alone: alone, warm: true})
		w.at(20*time.Second, func() { w.nodes[2].stop() })
		w.at(40*time.Second, func() { w.nodes[2].start(); w.nodes[3].renew() })
		go_(t, w, 75*time.Second)
		if w.stragglers() > 0 {
			t.Error("somebody is behind")
		}
		return w.hash()
	}
	if run(true) != run(false) {
		t.Error("it does")
	}
}

// started makes a world whose relays have started.
func started(t *testing.T, s setting) *world {
	t.Helper()
	s.replay = "again"
	w, err := newWorld(s, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	w.check.begin()
	w.startAll()
	return w
}

// go_ runs to a time after genesis.
func go_(t *testing.T, w *world, d time.Duration) {
	t.Helper()
	w.check.honest = len(w.honest())
	if err := w.until(context.Background(), d); err != nil {
		t.Fatal(err)
	}
}

func TestFullMachinesAtEverySmallSize(t *testing.T) {
	for _, n := range []int{4, 5, 17, 18, 50} {
		w := started(t, setting{seed: 5, relays: n, params: genesis.Testnet(), brief: true})
		w.check.calm = func() bool { return true }
		go_(t, w, 39*time.Second)
		if skipped, _ := w.check.skipped(1, 3); skipped > 0 || w.stragglers() > 0 {
			t.Errorf("%d relays: %d epochs skipped, %d relays behind", n, skipped, w.stragglers())
		}
	}
}

func TestACrowdSpreadsAsFullMachinesDo(t *testing.T) {
	out, err := spreadCrowd(context.Background(), task{seed: 1, relays: 60, short: true, progress: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	again, err := spreadCrowd(context.Background(), task{seed: 1, relays: 60, short: true, progress: func(string) {}})
	if err != nil || again.hash != out.hash {
		t.Error("equal seeds, different traces (I10)")
	}
	for _, r := range rows([][]figure{out.figures}) {
		if r.Verdict == scenario.Missed {
			t.Errorf("%s: %s, goal %s", r.Metric, scenario.Figure(r.Value), r.Goal)
		}
	}
}

// TestClientsLiveBesideTheRelays: in a network whose relays come and go they draw paths, lose
// their own network, and choose other guards only where one has left. Spec: directory §13 (I8, I11).
func TestClientsLiveBesideTheRelays(t *testing.T) {
	w := started(t, setting{seed: 6, relays: 12, params: genesis.Testnet(), warm: true})
	c := w.check.clients
	away := 0
	w.every(25*time.Second, func() { // one after the other goes for good, quorum kept
		if away < 3 {
			w.nodes[away].stop()
			away++
		}
	})
	go_(t, w, 11*time.Minute)
	if c.paths < 10000 || c.outages < 20 || c.changes <= clientCount {
		t.Errorf("%d paths, %d without one, %d outages, %d changes", c.paths, c.refused, c.outages, c.changes)
	}
}

// TestPathsAreJudged by every rule.
func TestPathsAreJudged(t *testing.T) {
	p := genesis.Public()
	relay := func(n byte) *snapshot.Relay {
		r := &snapshot.Relay{Addresses: []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, n, 0, 1}), 9240)}}
		r.RID, r.Flags, r.Group = record.RID{n}, snapshot.FlagRunning, uint16(n)
		r.Policy = []record.PortRange{{Protocol: record.TCP, First: 443, Last: 443}}
		return r
	}
	fine := func() []*snapshot.Relay { return []*snapshot.Relay{relay(1), relay(2), relay(3)} }
	req := path.Request{Hops: 3, Guards: []record.RID{{1}}, Exclude: map[record.RID]bool{{9}: true}}
	if why := judge(fine(), &req, 3, &p); why != "" {
		t.Error(why)
	}
	for name, spoil := range map[string]func(hops []*snapshot.Relay) []*snapshot.Relay{
		"another length":         func(h []*snapshot.Relay) []*snapshot.Relay { return append(h, relay(4)) },
		"does not run":           func(h []*snapshot.Relay) []*snapshot.Relay { h[1].Flags = 0; return h },
		"excluded":               func(h []*snapshot.Relay) []*snapshot.Relay { h[1].RID = record.RID{9}; return h },
		"relay twice":            func(h []*snapshot.Relay) []*snapshot.Relay { h[2].RID = h[1].RID; return h },
		"of a family":            func(h []*snapshot.Relay) []*snapshot.Relay { h[0].Family, h[2].Family = 7, 7; return h },
		"of a group":             func(h []*snapshot.Relay) []*snapshot.Relay { h[2].Group = h[0].Group; return h },
		"of a network":           func(h []*snapshot.Relay) []*snapshot.Relay { h[2].Addresses = h[0].Addresses; return h },
		"no guard of the client": func(h []*snapshot.Relay) []*snapshot.Relay { h[0], h[1] = h[1], h[0]; return h },
		"not permit the port": func(h []*snapshot.Relay) []*snapshot.Relay {
			h[2].Policy[0].First, h[2].Policy[0].Last = 80, 80
			return h
		},
	} {
		if why := judge(spoil(fine()), &req, 3, &p); !strings.Contains(why, name) {
			t.Errorf("%s: %q", name, why)
		}
	}
	req.Target = path.Relay(record.RID{2})
	if judge(fine(), &req, 1, &p) == "" {
		t.Error("another last hop")
	}
}

// A checker that sees nothing proves nothing: each breach is shown to it.
func TestBreachesAreFound(t *testing.T) {
	breach := func(w *world, d time.Duration) *scenario.Breach {
		var b *scenario.Breach
		if err := w.until(context.Background(), d); err != nil && !errors.As(err, &b) {
			t.Fatal(err)
		}
		return b
	}
	for name, c := range map[string]struct {
		invariant string
		spoil     func(w *world)
	}{
		"a seat signs twice": {"I1", func(w *world) {
			w.at(15*time.Second, func() {
				n := w.nodes[0]
				_, l, seat := w.brain.seat(n, 2)
				if seat < 0 {
					return
				}
				for i := range 2 {
					g, err := vote.NewSignature(w.nid, n.committeeKey(l.Term), 2, [32]byte{byte(i)}, seat)
					must(err)
					w.check.said(n, record.ClassSignature, g.Encode())
				}
			})
		}},
		"ops without votes": {"I2", func(w *world) {
			w.every(time.Second, func() {
				for _, v := range w.check.votes {
					v.Ops = nil
				}
			})
		}},
		"votes that were never sent": {"I2", func(w *world) {
			w.every(time.Second, func() { clear(w.check.votes) })
		}},
		"paths of other rules": {"I8", func(w *world) { // that none of the testnet's need keep
			w.check.clients.rules.PathNetworkRule = true
			for _, n := range w.nodes {
				n.address = w.nodes[0].address
				w.at(time.Second, n.renew)
			}
		}},
		"another guard after an outage": {"I11", func(w *world) {
			w.every(time.Second, func() {
				for _, c := range w.check.clients.all {
					for i := range c.before {
						c.before[i].RID = record.RID{byte(i + 1)}
					}
				}
			})
		}},
		"no finals in a calm network": {"I9", func(w *world) {
			for _, n := range w.nodes {
				n.treats = treasonNoSignature
			}
			w.check.calm = func() bool { return true }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := started(t, setting{seed: 9, relays: 5, params: genesis.Testnet()})
			c.spoil(w)
			b := breach(w, 69*time.Second)
			if b == nil || b.Invariant != c.invariant || b.Seed != 9 || b.At == 0 || b.Replay != "again" {
				t.Errorf("%v", b)
			}
		})
	}
}

func TestTraitorsLeaveEvidenceAndForkOnlyWhenTheyAreEnough(t *testing.T) {
	w := started(t, setting{seed: 4, relays: 7, params: genesis.Testnet(), alone: true})
	w.nodes[1].treats = treasonVote | treasonTwins | treasonSign
	w.check.traitors = 1
	go_(t, w, 45*time.Second)
	accused := 0
	for _, n := range w.honest() {
		for _, r := range n.reports {
			if r.RID == w.nodes[1].rid {
				accused++
				break
			}
		}
	}
	if accused != 6 {
		t.Errorf("%d of 6 hold evidence", accused)
	}
}

func TestOptionsAreBounded(t *testing.T) {
	for _, n := range []int{1, minRelays - 1, maxRelays + 1, -5} {
		if _, err := experiments()[0].all(context.Background(), scenario.Options{Relays: n}, func(string) {}); !errors.Is(err, scenario.ErrOption) {
			t.Errorf("%d relays: %v", n, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := experiments()[0].all(ctx, scenario.Options{Relays: 60}, func(string) {}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func Example_rows() {
	for _, r := range rows([][]figure{{atMost("x", "s", 3, 5)}, {atMost("x", "s", 4, 5)}}) {
		fmt.Println(r.Metric, r.Value, r.Goal, r.Verdict)
	}
	// Output: x 3.5 <= 5 met
}
