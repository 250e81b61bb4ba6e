// SPDX-License-Identifier: BSD-3-Clause

package report

import (
	"encoding/json"
	"time"
)

// Schema names the form of the JSON. Fields are added, never changed.
const Schema = "chive.bench/1"

// Report is everything that one call of the bench found.
type Report struct {
	Schema  string    `json:"schema"`
	Began   time.Time `json:"began"`
	Seconds float64   `json:"took_seconds"`
	Machine Machine   `json:"machine"`
	Quick   bool      `json:"quick"` // small sizes: a trial, no measurement
	Sizes   Sizes     `json:"sizes"`
	Limits  []Limit   `json:"limits"`
	Systems []System  `json:"systems"` // Tor's first, chive last
}

// Machine is where it ran.
type Machine struct {
	Processor  string  `json:"processor"`
	Processors int     `json:"processors"`
	System     string  `json:"system"`
	Kernel     string  `json:"kernel"`
	Go         string  `json:"go"`
	Load       float64 `json:"load"` // busy processes on average in the minute before
}

// Sizes are how much was moved and how often.
type Sizes struct {
	Runs          int     `json:"runs"`
	BulkBytes     int64   `json:"bulk_bytes"`
	StreamBytes   int64   `json:"stream_bytes"` // of each of the 8
	SmallBytes    int64   `json:"small_bytes"`
	SmallSeconds  float64 `json:"small_seconds"`
	SmallClients  int     `json:"small_clients"`
	FirstBytes    int     `json:"first_bytes"`
	RoundTrips    int     `json:"round_trips"`
	Builds        int     `json:"builds"`
	Joins         int     `json:"joins"`
	IdleCircuits  int     `json:"idle_circuits"` // of each client
	IdleClients   int     `json:"idle_clients"`
	IdleSeconds   float64 `json:"idle_seconds"` // until they are looked at again
	ParallelCount int     `json:"parallel_streams"`
}

// Limit is what the machine does without any network of relays.
type Limit struct {
	Title string  `json:"title"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// System is one network under test.
type System struct {
	Name    string `json:"name"` // tor live, tor tuned, chive
	Chive   bool   `json:"chive"`
	Version string `json:"version"`
	About   string `json:"about"`
	Runs    []Run  `json:"runs"`
	// Figures summarise the runs, by ID.
	Figures map[string]Summary `json:"figures"`
}

// Run is one network from its start to its end.
type Run struct {
	// Processor is what one processor encrypted with AES-GCM right before, in
	// MB/s: where it differs between runs, the machine did.
	Processor float64            `json:"processor_megabytes_per_second"`
	Values    map[string]float64 `json:"values"`          // by ID of the figure
	Notes     []string           `json:"notes,omitempty"` // what failed or is missing, and why
}

// Summarize fills in every system's Figures.
func (r *Report) Summarize() {
	for i := range r.Systems {
		s := &r.Systems[i]
		s.Figures = make(map[string]Summary)
		for _, f := range Figures() {
			var values []float64
			for _, run := range s.Runs {
				if v, ok := run.Values[f.ID]; ok {
					values = append(values, v)
				}
			}
			if sum := Summarize(values); sum.Count > 0 {
				s.Figures[f.ID] = sum
			}
		}
	}
}

// Missing names a system that lacks a figure altogether; empty if none does.
func (r *Report) Missing() string {
	for i := range r.Systems {
		for _, f := range Figures() {
			if _, ok := r.Systems[i].Figures[f.ID]; !ok {
				return r.Systems[i].Name
			}
		}
	}
	return ""
}

// JSON returns the report as an object.
func (r *Report) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	return append(b, '\n'), err
}

// ratio returns how many times as good as other chive is, and whether both have
// the figure.
func ratio(f Figure, chive, other *System) (float64, bool) {
	if chive == nil || other == nil {
		return 0, false
	}
	c, ok1 := chive.Figures[f.ID]
	o, ok2 := other.Figures[f.ID]
	if !ok1 || !ok2 || c.Median <= 0 || o.Median <= 0 {
		return 0, false
	}
	if f.Higher {
		return c.Median / o.Median, true
	}
	return o.Median / c.Median, true
}

// chive returns chive's system, or nil, and the others.
func (r *Report) split() (chive *System, others []*System) {
	for i := range r.Systems {
		if r.Systems[i].Chive {
			chive = &r.Systems[i]
		} else {
			others = append(others, &r.Systems[i])
		}
	}
	return chive, others
}

// verdict says whether chive reaches the goal of a figure against the best of
// Tor's systems; empty if there is none or it cannot be told.
func verdict(f Figure, chive *System, others []*System) string {
	if chive == nil {
		return ""
	}
	met := func(ok bool) string {
		if ok {
			return "met"
		}
		return "missed"
	}
	if f.Most > 0 {
		if c, ok := chive.Figures[f.ID]; ok {
			return met(c.Median <= f.Most)
		}
		return ""
	}
	if f.Goal == 0 {
		return ""
	}
	least, any := 0.0, false
	for _, o := range others {
		if v, ok := ratio(f, chive, o); ok && (!any || v < least) {
			least, any = v, true
		}
	}
	if !any {
		return ""
	}
	return met(least >= f.Goal)
}
