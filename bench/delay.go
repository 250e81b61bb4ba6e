// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chive/bench/lab"
	"chive/bench/load"
	"chive/bench/measure"
	"chive/bench/report"
)

// errClient says that there is no client, as was noted before.
var errClient = errors.New("there is no client")

// joins starts clients that know nothing, and times each until its first byte.
func (t *trial) joins(ctx context.Context) error {
	var seconds, kilobytes []float64
	for range t.sizes.Joins {
		s, bytes, err := t.join(ctx)
		if err != nil {
			return err
		}
		seconds = append(seconds, s.Seconds())
		if bytes > 0 {
			kilobytes = append(kilobytes, float64(bytes)/1e3)
		}
	}
	t.set(report.Join, report.Quantile(seconds, 0.5))
	if len(kilobytes) > 0 {
		t.set(report.JoinBytes, report.Quantile(kilobytes, 0.5))
	} else {
		t.note("bytes of a new client: not shown to this user, root sees them")
	}
	return nil
}

func (t *trial) join(ctx context.Context) (took time.Duration, bytes uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	began := time.Now()
	c, err := t.net.NewClient(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	l := &load.Client{Proxy: c.Proxy(), Target: t.target.Addr()}
	err = lab.Poll(ctx, func() (bool, error) {
		_, err := l.FirstByte(ctx, "join")
		return err == nil, ctx.Err()
	})
	took = time.Since(began)
	if err != nil {
		return 0, 0, err
	}
	sockets, err := measure.Sockets(c.PID())
	if err == nil {
		for _, s := range sockets {
			if s.Local.String() != c.Proxy() { // what is left leads to relays
				bytes += s.Received + s.Sent
			}
		}
	}
	return took, bytes, nil
}

// builds times circuits.
func (t *trial) builds(ctx context.Context) error {
	times, err := t.net.BuildTimes(ctx, t.sizes.Builds)
	if err != nil {
		return err
	}
	var ms []float64
	for _, d := range times {
		ms = append(ms, milliseconds(d))
	}
	t.setQuantiles(report.Build, report.Build95, ms)
	return nil
}

// roundTrips times single bytes on a circuit that carries nothing else: with pauses,
// so that every program on the way sleeps, and one after another.
func (t *trial) roundTrips(ctx context.Context) error {
	if t.client == nil {
		return errClient
	}
	e, err := t.load.OpenEcho(ctx, "main0")
	if err != nil {
		return err
	}
	defer e.Close()
	ms, err := several(ctx, t.sizes.RoundTrips, gap, func(int) (time.Duration, error) { return e.RoundTrip() })
	if err != nil {
		return err
	}
	t.set(report.Idle, report.Quantile(ms, 0.5))
	const more = 5 // they take less time
	ms, err = several(ctx, more*t.sizes.RoundTrips, 0, func(int) (time.Duration, error) { return e.RoundTrip() })
	if err != nil {
		return err
	}
	t.set(report.Awake, report.Quantile(ms, 0.5))
	return nil
}

// loadedRoundTrips times single bytes while the same circuit carries a download.
func (t *trial) loadedRoundTrips(ctx context.Context) error {
	if t.client == nil {
		return errClient
	}
	const warmUp = 500 * time.Millisecond
	e, err := t.load.OpenEcho(ctx, "main0")
	if err != nil {
		return err
	}
	defer e.Close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	over := make(chan error, 1)
	go func() {
		_, err := t.load.Download(ctx, "main0", 100*t.sizes.BulkBytes, bulkTime) // until it is stopped
		over <- err
	}()
	select {
	case err := <-over:
		return err
	case <-time.After(warmUp):
	}
	ms, err := several(ctx, t.sizes.RoundTrips/2, 0, func(int) (time.Duration, error) { return e.RoundTrip() })
	select {
	case broken := <-over:
		return fmt.Errorf("the download ended: %w", broken)
	default:
	}
	stop()
	<-over
	if err != nil {
		return err
	}
	t.set(report.Loaded, report.Quantile(ms, 0.5))
	return nil
}

func (t *trial) builtFirstBytes(ctx context.Context) error {
	if t.client == nil {
		return errClient
	}
	ms, err := several(ctx, t.sizes.FirstBytes, gap, func(int) (time.Duration, error) { return t.load.FirstByte(ctx, "main0") })
	if err != nil {
		return err
	}
	t.setQuantiles(report.Built50, report.Built95, ms)
	return nil
}

// freshFirstBytes does not pause: what a client has built ahead is soon used up, and
// what is timed is new circuits.
func (t *trial) freshFirstBytes(ctx context.Context) error {
	if t.client == nil {
		return errClient
	}
	ms, err := several(ctx, t.sizes.FirstBytes, 0, func(i int) (time.Duration, error) {
		return t.load.FirstByte(ctx, fmt.Sprint("fresh", i))
	})
	if err != nil {
		return err
	}
	t.setQuantiles(report.Fresh50, report.Fresh95, ms)
	return nil
}
