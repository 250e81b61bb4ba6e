// SPDX-License-Identifier: BSD-3-Clause

package bootstrap

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"chive/testnet/scenario"
)

// Scenarios returns this package's experiments.
func Scenarios() []scenario.Scenario {
	return []scenario.Scenario{
		{
			Name: "bootstrap", Goal: "G7", Run: runBootstrap,
			Text: "Clients begin from genesis or a saved list at most two weeks old; none, a third or two thirds of their first peers and of all relays are hostile: " +
				"forged lists accepted, stale ones noticed, relays asked until a fresh list is held",
		},
		{
			Name: "join", Goal: "G4", Run: runJoin,
			Text: "Bytes on the link of a client that begins with an old list, of one that follows for days, and of one that joins a testnet, over chains with real churn and certificates",
		},
	}
}

// seeds returns those to run with.
func seeds(o scenario.Options, count int) []uint64 {
	if len(o.Seeds) > 0 {
		return o.Seeds
	}
	if o.Short {
		count = 1
	}
	var out []uint64
	for i := range count {
		out = append(out, uint64(i+1))
	}
	return out
}

// quantile returns a quantile of values, by the nearest rank.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Clone(values)
	slices.Sort(v)
	return v[min(len(v)-1, int(q*float64(len(v))))]
}

// trial is one run of clients.
type trial struct {
	name    string
	share   float64
	kind    kind
	dead    bool
	clients func(s setting) int
}

func trials() []trial {
	all := func(s setting) int { return s.clients }
	out := []trial{
		{"all honest", 0, mixed, false, all},
		{"1/3 hostile", 1. / 3, mixed, false, all},
		{"2/3 hostile", 2. / 3, mixed, false, all},
		{"all dead, one known peer", 0, mixed, true, all},
	}
	for _, k := range allKinds() {
		out = append(out, trial{"2/3 " + string(k), 2. / 3, k, false, func(s setting) int { return s.each }})
	}
	return out
}

// runBootstrap is the scenario bootstrap.
func runBootstrap(ctx context.Context, o scenario.Options, progress func(string)) (*scenario.Result, error) {
	set := settingOf(o.Short)
	if o.Relays != 0 {
		set.relays = o.Relays
	}
	if set.relays < 100 || set.relays > 5000 {
		return nil, fmt.Errorf("%w: 100 to 5000 relays", scenario.ErrOption)
	}
	res := &scenario.Result{Seeds: seeds(o, 10)}
	all := trials()
	results := make([][]*tally, len(all))
	trace := sha256.New()
	for n, seed := range res.Seeds {
		start := time.Now()
		w, err := newEclipse(seed, set)
		if err != nil {
			return nil, err
		}
		for i, tr := range all {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			t, err := w.run(tr.name, tr.share, tr.kind, tr.dead, tr.clients(set))
			if err != nil {
				return nil, err
			}
			results[i] = append(results[i], t)
			fmt.Fprintln(trace, seed, tr.name, t)
			if t.forged > 0 {
				// The table has the seeds that ran whole.
				if res.Seeds = res.Seeds[:n]; n > 0 {
					for k := range results {
						results[k] = results[k][:n]
					}
					res.Rows = bootstrapRows(all, results)
				}
				return res, &scenario.Breach{
					Invariant: "I5", Text: fmt.Sprintf("%d of %d clients took what no quorum in office signed, with %s", t.forged, t.clients, tr.name),
					Seed: seed, At: w.now.Sub(w.doc.Time), Replay: fmt.Sprintf("chive testnet run bootstrap --seed %d", seed),
				}
			}
		}
		progress(fmt.Sprintf("seed %d: %v, %d of %d signatures verified", seed, time.Since(start).Round(time.Second), w.v.verified, w.v.asked))
	}
	res.Rows = bootstrapRows(all, results)
	res.TraceHash = hex.EncodeToString(trace.Sum(nil))
	res.Notes = []string{
		fmt.Sprintf("%d relays, K = 96 where so many are eligible, %d hours old, public parameters; every second client begins with genesis, the others with a list saved before.", set.relays, set.epochs),
		fmt.Sprintf("A client has %d first peers, of which the share is hostile, then the relays of its list, hostile at random with the same share. A try is a relay that was asked or dialled.", peerCount),
		"Whom it asks and when it stops is the client's rule, written once more (rules.go); further rounds stand for its retries. Waiting is not simulated.",
	}
	return res, nil
}

// bootstrapRows are the rows of all trials.
func bootstrapRows(all []trial, results [][]*tally) (rows []scenario.Row) {
	for i, tr := range all {
		each := func(f func(t *tally) float64) (out []float64) {
			for _, t := range results[i] {
				out = append(out, f(t))
			}
			return out
		}
		part := func(n func(t *tally) int) []float64 {
			return each(func(t *tally) float64 { return float64(n(t)) / float64(t.clients) })
		}
		add := func(r scenario.Row) { r.Metric = tr.name + ": " + r.Metric; rows = append(rows, r) }
		add(scenario.AtMost("forged accepted", "clients", each(func(t *tally) float64 { return float64(t.forged) }), 0))
		add(scenario.AtLeast("fresh list at last", "", part(func(t *tally) int { return t.done }), 1))
		add(scenario.AtMost("tries, median", "", each(func(t *tally) float64 { return quantile(t.tries, .5) }), 3))
		add(scenario.Show("tries, p95", "", each(func(t *tally) float64 { return quantile(t.tries, .95) })))
		add(scenario.Show("fresh list in the first round", "", part(func(t *tally) int { return t.first })))
		if tr.share == 0 {
			continue
		}
		add(scenario.AtMost("stale list taken for fresh", "clients", each(func(t *tally) float64 { return float64(t.missed) }), 0))
		add(scenario.Show("met a stale list", "", part(func(t *tally) int { return t.met })))
		add(scenario.Show("went on with a stale list and a warning", "", part(func(t *tally) int { return t.warned })))
		add(scenario.Show("told that its clock is wrong", "", part(func(t *tally) int { return t.worried })))
		add(scenario.Show("took the snapshot that was withheld", "", part(func(t *tally) int { return t.strayed })))
		add(scenario.AtMost("of these not healed by the next fetch", "clients", each(func(t *tally) float64 { return float64(t.unhealed) }), 0))
		add(scenario.Show("bytes on links, mean", "kB", each(func(t *tally) float64 { return t.bytes / float64(t.clients) / 1000 })))
	}
	return rows
}
