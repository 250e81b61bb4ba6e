// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"chive/testnet/scenario"
)

// figure is one metric of one seed.
type figure struct {
	metric, unit string
	value        float64
	rule         rule
	limit        float64
}

type rule uint8

const (
	ruleShown rule = iota
	ruleMost
)

func show(metric, unit string, value float64) figure {
	return figure{metric: metric, unit: unit, value: value}
}

func atMost(metric, unit string, value, limit float64) figure {
	return figure{metric, unit, value, ruleMost, limit}
}

// outcome is what one seed gave.
type outcome struct {
	figures []figure
	hash    string
	notes   []string
}

// experiment is a scenario of this package.
type experiment struct {
	name, goal, text string
	relays           int
	short            int // relays of the short form
	seeds            []uint64
	run              func(ctx context.Context, t task) (*outcome, error)
}

// task is one seed of an experiment.
type task struct {
	seed     uint64
	relays   int
	short    bool
	replay   string
	progress func(string)
}

// minRelays and maxRelays bound a world.
const (
	minRelays = 4
	maxRelays = 16384
)

// scenario makes it what the command runs.
func (e experiment) scenario() scenario.Scenario {
	return scenario.Scenario{Name: e.name, Goal: e.goal, Text: e.text,
		Run: func(ctx context.Context, o scenario.Options, progress func(string)) (*scenario.Result, error) {
			return e.all(ctx, o, progress)
		}}
}

func (e experiment) all(ctx context.Context, o scenario.Options, progress func(string)) (*scenario.Result, error) {
	relays := e.relays
	if o.Short {
		relays = e.short
	}
	if o.Relays != 0 {
		relays = o.Relays
	}
	if relays < minRelays || relays > maxRelays {
		return nil, fmt.Errorf("%w: %d to %d relays", scenario.ErrOption, minRelays, maxRelays)
	}
	seeds := o.Seeds
	if len(seeds) == 0 {
		seeds = e.seeds
		if o.Short {
			seeds = seeds[:1]
		}
	}
	res := &scenario.Result{}
	var values [][]figure
	sum, traced := sha256.New(), false
	var failed error
	for _, seed := range seeds {
		began := time.Now()
		out, err := e.run(ctx, task{
			seed: seed, relays: relays, short: o.Short, progress: progress,
			replay: fmt.Sprintf("chive testnet run %s --driver model --relays %d --seed %d", e.name, relays, seed),
		})
		if out != nil {
			res.Seeds = append(res.Seeds, seed)
			values = append(values, out.figures)
			if traced = traced || out.hash != ""; out.hash != "" {
				fmt.Fprintln(sum, out.hash)
			}
			if len(res.Seeds) == 1 {
				res.Notes = out.notes
			}
		}
		if failed = err; err != nil {
			break
		}
		progress(fmt.Sprintf("seed %d: done in %.0f s", seed, time.Since(began).Seconds()))
	}
	if res.Rows = rows(values); traced {
		res.TraceHash = hex.EncodeToString(sum.Sum(nil))
	}
	return res, failed
}

// rows joins the figures of all seeds, which have the same metrics in the same order.
func rows(all [][]figure) []scenario.Row {
	if len(all) == 0 {
		return nil
	}
	var out []scenario.Row
	for i, f := range all[0] {
		var values []float64
		for _, figures := range all {
			if i < len(figures) && figures[i].metric == f.metric {
				values = append(values, figures[i].value)
			}
		}
		switch f.rule {
		case ruleMost:
			out = append(out, scenario.AtMost(f.metric, f.unit, values, f.limit))
		default:
			out = append(out, scenario.Show(f.metric, f.unit, values))
		}
	}
	return out
}

// upTo are the seeds from 1 on.
func upTo(n uint64) []uint64 {
	var out []uint64
	for seed := uint64(1); seed <= n; seed++ {
		out = append(out, seed)
	}
	return out
}

// last returns the largest of rising values, or what stands for none.
func last(sorted []float64, none float64) float64 {
	if len(sorted) == 0 {
		return none
	}
	return sorted[len(sorted)-1]
}

// middle returns the median of rising values.
func middle(sorted []float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)/2]
}

// never stands for a time that was not reached.
const never = 1e6
