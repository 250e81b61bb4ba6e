// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"chive/internal/metrics"
)

// Counts are totals of a client since its start. They name nobody and no destination.
type Counts struct {
	CircuitsBuilt, CircuitsFailed, CircuitsTimedOut uint64            // builds by how they ended; one that its program gave up is in none
	Build                                           metrics.Histogram // of those that were built
	StreamsOpened, StreamsFailed                    uint64            // connections and UDP associations
}

// counts are kept for Counts.
type counts struct {
	mu sync.Mutex
	c  Counts
}

// built counts a circuit's build, which took so long. ctx is its caller's, who may have
// given it up.
func (n *counts) built(ctx context.Context, err error, took time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var ce *circuitError
	switch {
	case err == nil:
		n.c.CircuitsBuilt++
		n.c.Build.Add(took)
	case ctx.Err() != nil, errors.Is(err, errClosing):
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &ce) && ce.timeout:
		n.c.CircuitsTimedOut++
	default:
		n.c.CircuitsFailed++
	}
}

// stream counts a stream that is open, or that failed with err. One that its program gave
// up is not counted.
func (n *counts) stream(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case err == nil:
		n.c.StreamsOpened++
	case !errors.Is(err, context.Canceled):
		n.c.StreamsFailed++
	}
}

// Counts returns the totals. It may be called at any time, by any goroutine.
func (c *Client) Counts() Counts {
	c.counts.mu.Lock()
	defer c.counts.mu.Unlock()
	return c.counts.c
}
