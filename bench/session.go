// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"chive/bench/chivelab"
	"chive/bench/lab"
	"chive/bench/load"
	"chive/bench/measure"
	"chive/bench/report"
	"chive/bench/torlab"
)

// Sizes of a measurement and of a trial.
var (
	fullSizes = report.Sizes{
		BulkBytes: 200e6, StreamBytes: 50e6, SmallBytes: 10 << 10, SmallSeconds: 8, SmallClients: 50,
		FirstBytes: 50, RoundTrips: 200, Builds: 50, Joins: 3, IdleCircuits: 300, IdleClients: 4, IdleSeconds: 75, ParallelCount: 8,
	}
	quickSizes = report.Sizes{
		BulkBytes: 20e6, StreamBytes: 5e6, SmallBytes: 10 << 10, SmallSeconds: 1.5, SmallClients: 50,
		FirstBytes: 20, RoundTrips: 50, Builds: 10, Joins: 1, IdleCircuits: 100, IdleClients: 1, IdleSeconds: 1, ParallelCount: 8,
	}
)

// maxRunTime bounds one run of one network.
const maxRunTime = 12 * time.Minute

// busyLoad is from where on other programs disturb the figures.
const busyLoad = 0.7

// system is one network under test.
type system struct {
	report.System
	start func(ctx context.Context) (lab.Network, error)
}

// session is one call of the bench.
type session struct {
	o       options
	sizes   report.Sizes
	errs    io.Writer
	folder  string
	ports   lab.Ports
	target  *load.Target
	systems []system
}

// newSession prepares everything that does not belong to a run: keys, the binary,
// the target.
func newSession(ctx context.Context, o options, errs io.Writer) (_ *session, err error) {
	if runtime.GOOS != "linux" {
		return nil, errors.New("the bench reads processor time and memory from /proc, which only Linux has")
	}
	s := &session{o: o, sizes: fullSizes, errs: errs}
	if o.quick {
		s.sizes = quickSizes
	}
	s.sizes.Runs = o.runs
	if s.folder, err = os.MkdirTemp("", "chive-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.target, err = load.Serve(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, maxRunTime)
	defer cancel()
	if o.only != "chive" {
		if err := s.addTor(ctx); err != nil {
			return nil, err
		}
	}
	if o.only != "tor" {
		return s, s.addChive(ctx)
	}
	return s, nil
}

func (s *session) addTor(ctx context.Context) error {
	modes, err := torlab.ParseModes(s.o.torMode)
	if err != nil {
		return err
	}
	s.say("making the keys of Tor's authorities and relays")
	keys, err := torlab.MakeKeys(ctx, s.folder, &s.ports)
	if err != nil {
		return err
	}
	for _, m := range modes {
		s.systems = append(s.systems, system{
			System: report.System{Name: "tor " + m.Name, Version: "tor " + keys.Version(), About: m.About},
			start:  func(ctx context.Context) (lab.Network, error) { return keys.Start(ctx, s.folder, m) },
		})
	}
	return nil
}

func (s *session) addChive(ctx context.Context) error {
	if s.o.chive == "" {
		s.say("building chive")
	}
	binary, err := chivelab.Open(ctx, s.o.chive, s.folder, &s.ports)
	if err != nil {
		return err
	}
	s.systems = append(s.systems, system{
		System: report.System{Name: "chive", Chive: true, Version: binary.Version(), About: "defaults of a testnet"},
		start: func(ctx context.Context) (lab.Network, error) {
			return binary.Start(ctx, s.folder, s.target.Addr())
		},
	})
	return nil
}

// close removes what the session wrote.
func (s *session) close() {
	if s.target != nil {
		s.target.Close()
	}
	_ = os.RemoveAll(s.folder)
}

func (s *session) say(format string, args ...any) {
	fmt.Fprintf(s.errs, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// run runs every system in turn, again and again. What fails in a run is noted in
// it; an error means that there is no report.
func (s *session) run(ctx context.Context) (*report.Report, error) {
	began := time.Now()
	busy, _ := measure.Load()
	if busy > busyLoad {
		s.say("other programs are busy (load %.1f): the figures will suffer", busy)
	}
	r := &report.Report{
		Schema: report.Schema, Began: began, Quick: s.o.quick, Sizes: s.sizes,
		Machine: report.Machine{
			Processor: measure.ProcessorModel(), Processors: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH,
			Kernel: measure.Kernel(), Go: runtime.Version(), Load: busy,
		},
	}
	for n := range s.o.runs {
		for i := range s.systems {
			sys := &s.systems[i]
			s.say("run %d of %d: %s", n+1, s.o.runs, sys.Name)
			one := s.one(ctx, sys)
			if ctx.Err() != nil {
				return nil, errInterrupted
			}
			sys.Runs = append(sys.Runs, one)
		}
	}
	s.say("limits of the machine")
	r.Limits = s.limits(ctx)
	for _, sys := range s.systems {
		r.Systems = append(r.Systems, sys.System)
	}
	r.Summarize()
	r.Seconds = time.Since(began).Round(time.Second).Seconds()
	return r, nil
}
