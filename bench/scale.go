// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"
	"time"

	"chive/bench/chivelab"
	"chive/bench/lab"
	"chive/bench/measure"
	"chive/bench/swarm"
	"chive/directory/snapshot"
)

// scaleSizes are how far --scale goes.
type scaleSizes struct {
	counts []int         // circuits, rising
	work   time.Duration // of light traffic at each count
	idle   time.Duration // until memory is looked at again
	watch  time.Duration // of idling in which processor time is counted
}

var (
	fullScale  = scaleSizes{[]int{10, 100, 1_000, 10_000}, 10 * time.Second, 75 * time.Second, 30 * time.Second}
	quickScale = scaleSizes{[]int{10, 100, 500}, 2 * time.Second, 5 * time.Second, 2 * time.Second}
)

const (
	maxScaleTime = 15 * time.Minute
	scaleWorkers = 8     // circuits built at once
	mostTouches  = 1_000 // exchanges a second in all
	maxTouching  = 512   // exchanges under way
	// lastHops share the circuits: a relay admits 8,192 on the link from another.
	lastHops = 2
)

// scale measures what one relay holds and uses while it carries more and more
// circuits. All begin at one relay, the guard, and end at one of two others, which
// are no exits. The relays are processes of their own; what makes the circuits is
// this one.
func scale(ctx context.Context, o options, out, errs io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, maxScaleTime)
	defer cancel()
	sizes := fullScale
	if o.quick {
		sizes = quickScale
	}
	// The relays' own runtime tells heap and stacks apart; it says so on standard
	// error whenever it collects.
	if err := os.Setenv("GODEBUG", "gctrace=1"); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "chive-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	var ports lab.Ports
	binary, err := chivelab.Open(ctx, o.chive, folder, &ports)
	if err != nil {
		return err
	}
	g := growth{sizes: sizes, errs: errs}
	binary.Listen(g.heard)
	port, err := ports.Next() // nobody listens there: no circuit carries anything
	if err != nil {
		return err
	}
	net, err := binary.Start(ctx, folder, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port))
	if err != nil {
		return err
	}
	defer net.Close()
	if err := g.run(ctx, net); err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		return err
	}
	_, err = io.WriteString(out, g.table(binary.Version()))
	return err
}

// growth is one call of scale.
type growth struct {
	sizes scaleSizes
	errs  io.Writer
	swarm *swarm.Swarm
	guard *lab.Process
	lasts []*lab.Process
	paths [][]*snapshot.Relay
	fresh usedMemory
	rows  []grown
	gone  usedMemory // after all circuits have ended

	mu    sync.Mutex
	heaps map[string]measure.Heap // of each relay, at its last collection
}

// usedMemory is what relays hold, in bytes.
type usedMemory struct {
	guard, last uint64 // resident; last: the mean of the last hops
	heap        measure.Heap
}

// grown is what was found at one number of circuits.
type grown struct {
	circuits     int
	built        float64 // circuits a second
	atOnce, idle usedMemory
	trip         time.Duration // of an exchange with the last hop, p50
	touches      float64       // a second
	busy, quiet  float64       // share of one processor that the guard uses
}

func (g *growth) heard(relay, line string) {
	h, ok := measure.ParseCollection(line)
	if !ok {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.heaps == nil {
		g.heaps = make(map[string]measure.Heap)
	}
	g.heaps[relay] = h
}

func (g *growth) say(format string, args ...any) {
	fmt.Fprintf(g.errs, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

func (g *growth) run(ctx context.Context, net *chivelab.Network) error {
	s, err := swarm.Open(net.Genesis())
	if err != nil {
		return err
	}
	defer s.Close()
	g.swarm = s
	relays := net.Relays()
	first, err := s.Relay(relays[0].Port)
	if err != nil {
		return err
	}
	g.guard = relays[0].Process
	for _, r := range relays[1 : 1+lastHops] {
		last, err := s.Relay(r.Port)
		if err != nil {
			return err
		}
		g.lasts = append(g.lasts, r.Process)
		g.paths = append(g.paths, []*snapshot.Relay{first, last})
	}
	for _, p := range g.paths { // the links between relays are no circuit's
		if err := s.Build(ctx, 1, 1, p...); err != nil {
			return err
		}
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	if g.fresh, err = g.memory(); err != nil {
		return err
	}
	for _, n := range g.sizes.counts {
		row, err := g.step(ctx, n)
		if err != nil {
			return fmt.Errorf("%d circuits: %w", n, err)
		}
		g.rows = append(g.rows, row)
		if alive := s.Alive(); alive != s.Len() {
			return fmt.Errorf("%d circuits: only %d are left", n, alive)
		}
	}
	s.Close()
	g.say("all circuits are closed")
	if err := pause(ctx, g.sizes.idle); err != nil {
		return err
	}
	g.gone, err = g.memory()
	return err
}

// step builds up to n circuits and measures.
func (g *growth) step(ctx context.Context, n int) (row grown, err error) {
	g.say("building up to %d circuits", n)
	began, before := time.Now(), g.swarm.Len()
	var builders sync.WaitGroup
	failed := make([]error, len(g.paths))
	for i, p := range g.paths {
		more := n/len(g.paths) - before/len(g.paths)
		builders.Go(func() { failed[i] = g.swarm.Build(ctx, more, scaleWorkers/len(g.paths), p...) })
	}
	builders.Wait()
	for _, err := range failed {
		if err != nil {
			return row, err
		}
	}
	row.circuits = g.swarm.Len()
	row.built = float64(row.circuits-before) / time.Since(began).Seconds()
	if err := pause(ctx, settle); err != nil {
		return row, err
	}
	if row.atOnce, err = g.memory(); err != nil {
		return row, err
	}
	if err := g.work(ctx, &row); err != nil {
		return row, err
	}
	g.say("%d circuits idle for %v", row.circuits, g.sizes.idle)
	if err := pause(ctx, g.sizes.idle-g.sizes.watch); err != nil {
		return row, err
	}
	row.quiet, err = g.used(func() error { return pause(ctx, g.sizes.watch) })
	if err != nil {
		return row, err
	}
	row.idle, err = g.memory()
	return row, err
}

// used returns what share of one processor the guard uses while f runs.
func (g *growth) used(f func() error) (float64, error) {
	before, err := measure.CPU(g.guard.PID())
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := f(); err != nil {
		return 0, err
	}
	after, err := measure.CPU(g.guard.PID())
	return (after - before).Seconds() / time.Since(began).Seconds(), err
}

func (g *growth) memory() (u usedMemory, err error) {
	m, err := measure.MemoryOf(g.guard.PID())
	if err != nil {
		return u, err
	}
	u.guard = m.Resident
	for _, p := range g.lasts {
		if m, err = measure.MemoryOf(p.PID()); err != nil {
			return u, err
		}
		u.last += m.Resident / lastHops
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	u.heap = g.heaps[g.guard.Name()]
	return u, nil
}
