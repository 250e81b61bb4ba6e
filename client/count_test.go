// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"testing"
	"time"

	"chive/internal/metrics"
)

// TestBuildsAndStreamsAreCountedByTheirEnd: what a program gave up is nobody's failure.
// Spec: product §6 (REL-10).
func TestBuildsAndStreamsAreCountedByTheirEnd(t *testing.T) {
	goes := t.Context()
	over, cancel := context.WithCancel(goes)
	cancel()
	var n counts
	n.built(goes, nil, 2*time.Second)
	n.built(goes, &circuitError{hop: 1, timeout: true}, time.Second)
	n.built(goes, context.DeadlineExceeded, time.Second)
	n.built(goes, &circuitError{hop: 1}, time.Second)
	n.built(goes, errors.New("no link"), time.Second)
	n.built(goes, errClosing, time.Second)
	n.built(over, &circuitError{hop: 1}, time.Second)
	n.stream(nil)
	n.stream(errPolicy)
	n.stream(context.DeadlineExceeded)
	n.stream(context.Canceled)
	want := Counts{CircuitsBuilt: 1, CircuitsTimedOut: 2, CircuitsFailed: 2, StreamsOpened: 1, StreamsFailed: 2}
	want.Build = metrics.Histogram{}
	want.Build.Add(2 * time.Second)
	if n.c != want {
		t.Errorf("%+v, want %+v", n.c, want)
	}
}
