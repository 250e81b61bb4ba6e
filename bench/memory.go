// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"time"

	"chive/bench/lab"
	"chive/bench/measure"
	"chive/bench/report"
)

// freshMemory is what the largest relay holds before there is any load.
func (t *trial) freshMemory(ctx context.Context) error {
	if !t.o.quick { // tor's relays fetch and compress the consensus first
		if err := pause(ctx, 5*settle); err != nil {
			return err
		}
	}
	return t.largest(ctx, report.RSSFresh)
}

// loadedMemory is what the largest relay holds after the load.
func (t *trial) loadedMemory(ctx context.Context) error { return t.largest(ctx, report.RSSLoaded) }

func (t *trial) largest(ctx context.Context, id string) error {
	if err := pause(ctx, settle); err != nil {
		return err
	}
	sizes, err := t.resident()
	if err != nil {
		return err
	}
	var most float64
	for _, s := range sizes {
		most = max(most, s)
	}
	t.set(id, most/1e6)
	return nil
}

// resident returns the bytes of memory that each relay holds.
func (t *trial) resident() ([]float64, error) {
	var out []float64
	for _, r := range t.net.Relays() {
		m, err := measure.MemoryOf(r.PID())
		if err != nil {
			return nil, err
		}
		out = append(out, float64(m.Resident))
	}
	return out, nil
}

// idleCircuits is by how much guards and middles grow for each circuit that passes
// them and carries nothing: just after it was built, and a while later, when both
// programs have given back what they hold for work. Exits are left out: chive's
// circuits each hold an open stream there.
func (t *trial) idleCircuits(ctx context.Context) error {
	if err := pause(ctx, settle); err != nil {
		return err
	}
	before, err := t.resident()
	if err != nil {
		return err
	}
	count := 0
	for range t.sizes.IdleClients {
		c, err := t.net.NewClient(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.WaitReady(ctx); err != nil {
			return err
		}
		n, err := c.Idle(ctx, t.sizes.IdleCircuits)
		if err != nil {
			return err
		}
		count += n
	}
	if err := t.grown(ctx, report.Circuit, settle, before, count); err != nil {
		return err
	}
	return t.grown(ctx, report.Settled, time.Duration(t.sizes.IdleSeconds*float64(time.Second)), before, count)
}

// grown records, after a while, by how much relays have grown for each circuit.
func (t *trial) grown(ctx context.Context, id string, wait time.Duration, before []float64, circuits int) error {
	if err := pause(ctx, wait); err != nil {
		return err
	}
	after, err := t.resident()
	if err != nil {
		return err
	}
	var sum float64
	for i, r := range t.net.Relays() {
		if r.Role != lab.Exit {
			sum += after[i] - before[i]
		}
	}
	const passed = 2 // guard and middle
	t.set(id, sum/float64(passed*circuits)/1e3)
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
