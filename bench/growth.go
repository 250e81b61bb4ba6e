// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"chive/bench/report"
)

// work exchanges cells: each circuit once a second, or as often as mostTouches lets
// each have its turn.
func (g *growth) work(ctx context.Context, row *grown) error {
	circuits := g.swarm.Circuits()
	rate := min(len(circuits), mostTouches)
	var trips []float64
	var mu sync.Mutex
	var lost atomic.Int64
	began := time.Now()
	busy, err := g.used(func() error {
		places := make(chan struct{}, maxTouching)
		var tasks sync.WaitGroup
		defer tasks.Wait()
		due := time.NewTicker(time.Second / time.Duration(rate))
		defer due.Stop()
		for i := 0; time.Since(began) < g.sizes.work; i++ {
			select {
			case <-due.C:
			case <-ctx.Done():
				return ctx.Err()
			}
			select {
			case places <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			c := circuits[i%len(circuits)]
			tasks.Go(func() {
				defer func() { <-places }()
				start := time.Now()
				if c.Touch(ctx) != nil {
					lost.Add(1)
					return
				}
				took := milliseconds(time.Since(start))
				mu.Lock()
				trips = append(trips, took)
				mu.Unlock()
			})
		}
		return nil
	})
	if err != nil {
		return err
	}
	if n := lost.Load(); n > 0 {
		return fmt.Errorf("%d exchanges failed", n)
	}
	row.busy = busy
	row.trip = time.Duration(report.Quantile(trips, 0.5) * float64(time.Millisecond))
	row.touches = float64(len(trips)) / time.Since(began).Seconds()
	return nil
}

// table is what docs/performance.md shows.
func (g *growth) table(version string) string {
	var b strings.Builder
	mb := func(n uint64) string { return fmt.Sprintf("%.1f", float64(n)/1e6) }
	// Both of a last hop's relays carry half of the circuits.
	each := func(now, fresh uint64, circuits int) string {
		if circuits < 100 {
			return "-" // less than what a process grows by itself
		}
		return fmt.Sprintf("%.1f", (float64(now)-float64(fresh))/float64(circuits)/1e3)
	}
	fmt.Fprintf(&b, "%s; fresh: guard %s MB, last hop %s MB\n\n", version, mb(g.fresh.guard), mb(g.fresh.last))
	b.WriteString("| circuits | built a s | guard, MB: built, idle | kB each: built, idle | heap, stacks in use | last hop, kB each: built, idle | exchanges a s, p50, guard's processor | processor, idle |\n")
	b.WriteString("|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, r := range g.rows {
		n, half := r.circuits, r.circuits/lastHops
		fmt.Fprintf(&b, "| %d | %.0f | %s, %s | %s, %s | %s, %s | %s, %s | %.0f, %.1f ms, %.1f %% | %.2f %% |\n", n, r.built,
			mb(r.atOnce.guard), mb(r.idle.guard),
			each(r.atOnce.guard, g.fresh.guard, n), each(r.idle.guard, g.fresh.guard, n),
			each(r.idle.heap.Live, g.fresh.heap.Live, n), each(r.idle.heap.Stacks, g.fresh.heap.Stacks, n),
			each(r.atOnce.last, g.fresh.last, half), each(r.idle.last, g.fresh.last, half),
			r.touches, milliseconds(r.trip), 100*r.busy, 100*r.quiet)
	}
	fmt.Fprintf(&b, "\nall closed, %.0f s later: guard %s MB, last hop %s MB\n", g.sizes.idle.Seconds(), mb(g.gone.guard), mb(g.gone.last))
	return b.String()
}
