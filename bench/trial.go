// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"time"

	"chive/bench/lab"
	"chive/bench/load"
	"chive/bench/report"
)

// Bounds of a run.
const (
	phaseTime = 4 * time.Minute       // for each thing that is measured
	bulkTime  = 3 * time.Minute       // for each stream
	joinTime  = time.Minute           // for each new client
	settle    = time.Second           // before memory is read
	gap       = 20 * time.Millisecond // between samples on an idle circuit, so that none meets the end of the last
)

// trial is one run of one system.
type trial struct {
	*session
	net    lab.Network
	client lab.Client
	load   *load.Client
	values map[string]float64
	notes  []string
}

// one runs a system from its start to its end.
func (s *session) one(ctx context.Context, sys *system) report.Run {
	ctx, cancel := context.WithTimeout(ctx, maxRunTime)
	defer cancel()
	t := &trial{session: s, values: make(map[string]float64)}
	speed, _ := sealSpeed() // on shared hosts it changes while nobody looks
	memory := phase{"memory of idle circuits", t.idleCircuits}
	work := []phase{
		{"new clients", t.joins},
		{"circuits", t.builds},
		{"a client", t.start},
		{"round trips", t.roundTrips},
		{"first bytes on a built circuit", t.builtFirstBytes},
		{"first bytes on fresh circuits", t.freshFirstBytes},
		{"one stream down", t.down},
		{"one stream up", t.up},
		{"several streams down", t.parallel},
		{"round trips beside a download", t.loadedRoundTrips},
		{"many small objects", t.small},
		{"memory after load", t.loadedMemory},
	}
	if s.o.quick {
		t.network(ctx, sys, append([]phase{{"memory", t.freshMemory}, memory}, work...))
	} else {
		// Idle circuits get a network of their own: memory that they leave behind
		// would count as memory of the load, and the other way round.
		t.network(ctx, sys, append([]phase{{"memory", t.freshMemory}}, work...))
		t.network(ctx, sys, []phase{memory})
	}
	return report.Run{Processor: speed, Values: t.values, Notes: t.notes}
}

// phase measures one thing.
type phase struct {
	name string
	do   func(ctx context.Context) error
}

// network starts the system's network and goes through the phases. One that fails
// is noted and does not keep the next from being tried.
func (t *trial) network(ctx context.Context, sys *system, phases []phase) {
	net, err := sys.start(ctx)
	if err != nil {
		t.note("the network did not start: %v", err)
		return
	}
	t.net, t.client = net, nil
	defer net.Close()
	for _, p := range phases {
		if ctx.Err() != nil {
			return
		}
		bounded, cancel := context.WithTimeout(ctx, phaseTime)
		err := p.do(bounded)
		cancel()
		if err != nil {
			t.note("%s: %v", p.name, err)
		}
	}
}

func (t *trial) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	t.say("  %s", text)
	t.notes = append(t.notes, text)
}

// set records a value.
func (t *trial) set(id string, v float64) {
	t.values[id] = v
	for _, f := range report.Figures() {
		if f.ID == id {
			t.say("  %-36s %10.*f %s", f.Title, f.Decimals, v, f.Unit)
		}
	}
}

// start starts the client that the load goes through.
func (t *trial) start(ctx context.Context) error {
	var err error
	if t.client, err = t.net.NewClient(ctx); err != nil {
		return err
	}
	t.load = &load.Client{Proxy: t.client.Proxy(), Target: t.target.Addr()}
	if err := t.client.WaitReady(ctx); err != nil {
		return err
	}
	return t.load.Warm(ctx, "main", 1)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// several calls f n times, with a pause before each, and returns the times in
// milliseconds.
func several(ctx context.Context, n int, wait time.Duration, f func(i int) (time.Duration, error)) ([]float64, error) {
	var out []float64
	for i := range n {
		if wait > 0 {
			if err := pause(ctx, wait); err != nil {
				return out, err
			}
		}
		d, err := f(i)
		if err != nil {
			return out, err
		}
		out = append(out, milliseconds(d))
	}
	return out, nil
}

// setQuantiles records p50 and p95.
func (t *trial) setQuantiles(id50, id95 string, values []float64) {
	t.set(id50, report.Quantile(values, 0.5))
	t.set(id95, report.Quantile(values, 0.95))
}
