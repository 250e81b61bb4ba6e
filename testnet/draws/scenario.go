// SPDX-License-Identifier: BSD-3-Clause

package draws

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"chive/testnet/scenario"
)

// Scenarios returns what this package can run.
func Scenarios() []scenario.Scenario {
	return []scenario.Scenario{
		{
			Name: "agreement", Goal: "G3",
			Text: "a million epochs of drawn committees, part of the seats hostile, against an adversary that has the network in its hand; and small committees of the real machines with traitors",
			Run:  agreement,
		},
		{
			Name: "flood", Goal: "G5",
			Text: "35,000 bots ask to join 1,000 aged relays for 180 days: what they hold, and how long honest newcomers wait",
			Run:  flood,
		},
		{
			Name: "weight", Goal: "G6",
			Text: "each attacker of the design's table joins 1,000 aged relays for 180 days: its share of paths and of the committee beside the table's",
			Run:  weights,
		},
		{
			Name: "evasion", Goal: "",
			Text: "an attacker's relays change their address every day, share the uptime of a machine, leave and return: what the caps leave it",
			Run:  evading,
		},
	}
}

// seedsOf are those asked for, or the five first ones; of a short run one.
func seedsOf(o scenario.Options) []uint64 {
	switch {
	case len(o.Seeds) > 0:
		return o.Seeds
	case o.Short:
		return []uint64{1}
	}
	return []uint64{1, 2, 3, 4, 5}
}

// collector gathers one value per seed for each metric, in the order of their first
// mention.
type collector struct {
	order  []string
	values map[string][]float64
	units  map[string]string
	judge  map[string]func(metric, unit string, values []float64, limit float64) scenario.Row
	limits map[string]float64
	traces []string
}

func newCollector() *collector {
	return &collector{
		values: map[string][]float64{}, units: map[string]string{}, limits: map[string]float64{},
		judge: map[string]func(string, string, []float64, float64) scenario.Row{},
	}
}

func (c *collector) show(metric, unit string, value float64) {
	if _, known := c.values[metric]; !known {
		c.order = append(c.order, metric)
	}
	c.values[metric] = append(c.values[metric], value)
	c.units[metric] = unit
}

func (c *collector) atMost(metric, unit string, value, limit float64) {
	c.show(metric, unit, value)
	c.judge[metric], c.limits[metric] = scenario.AtMost, limit
}

func (c *collector) atLeast(metric, unit string, value, limit float64) {
	c.show(metric, unit, value)
	c.judge[metric], c.limits[metric] = scenario.AtLeast, limit
}

// result is what was gathered.
func (c *collector) result(seeds []uint64, notes ...string) *scenario.Result {
	r := &scenario.Result{Seeds: slices.Clone(seeds), Notes: notes}
	for _, metric := range c.order {
		if judge := c.judge[metric]; judge != nil {
			r.Rows = append(r.Rows, judge(metric, c.units[metric], c.values[metric], c.limits[metric]))
		} else {
			r.Rows = append(r.Rows, scenario.Show(metric, c.units[metric], c.values[metric]))
		}
	}
	h := sha256.New()
	for _, t := range c.traces {
		h.Write([]byte(t))
	}
	r.TraceHash = hex.EncodeToString(h.Sum(nil))
	return r
}

// percent of a whole.
func percent(part float64) float64 { return 100 * part }

// model is what every report of growth begins with.
const model = "1,000 honest relays of the capacities of tor2019, 79 Gbit/s in all, in Pitman-Yor networks, aged 90 to 1,140 days in 35 cohorts; the parameters of public networks; the attacker asks from the first day of a cohort; 180 days (short runs: fewer days, relays and bots); every snapshot by the real transition and held against its rules"

// grow runs one and tells of it.
func (c *collector) grow(ctx context.Context, g Growth, progress func(string), what string) (*Outcome, error) {
	progress(fmt.Sprintf("seed %d: %s", g.Seed, what))
	o, err := g.Run(ctx)
	if err != nil {
		return nil, err
	}
	c.traces = append(c.traces, o.Trace)
	return o, nil
}
