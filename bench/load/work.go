// SPDX-License-Identifier: BSD-3-Clause

package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Parallel downloads size bytes over each of n streams with a key of its own,
// all at once, and returns the time until the last one is done. The first error
// ends all.
func (c *Client) Parallel(ctx context.Context, prefix string, n int, size int64, patience time.Duration) (time.Duration, error) {
	began := time.Now()
	err := together(ctx, n, func(ctx context.Context, i int) error {
		_, err := c.Download(ctx, fmt.Sprint(prefix, i), size, patience)
		return err
	})
	return time.Since(began), err
}

// Warm fetches a small object with each of n keys, four at a time: afterwards
// there is a circuit for each.
func (c *Client) Warm(ctx context.Context, prefix string, n int) error {
	return Each(ctx, n, 4, func(ctx context.Context, i int) error {
		_, err := c.FirstByte(ctx, fmt.Sprint(prefix, i))
		return err
	})
}

// Small fetches objects of size bytes for d, or until limit are done: n clients
// with a key each, a fresh stream for each object, without pause. It returns how
// many arrived, how many streams failed, and the time it took. Only if nothing
// arrives is there an error.
func (c *Client) Small(ctx context.Context, prefix string, n int, size int64, d time.Duration, limit int64) (done, failed int64, took time.Duration, err error) {
	var begun, good, bad atomic.Int64
	var last atomic.Value
	began := time.Now()
	end := began.Add(d)
	_ = together(ctx, n, func(ctx context.Context, i int) error {
		key := fmt.Sprint(prefix, i)
		for time.Now().Before(end) && ctx.Err() == nil && begun.Add(1) <= limit {
			if _, err := c.Fetch(ctx, key, size); err != nil {
				bad.Add(1)
				last.Store(err.Error())
				continue
			}
			good.Add(1)
		}
		return nil
	})
	took = time.Since(began)
	if good.Load() == 0 {
		why, _ := last.Load().(string)
		return 0, bad.Load(), took, errors.Join(ctx.Err(), fmt.Errorf("load: no object arrived: %s", why))
	}
	return good.Load(), bad.Load(), took, nil
}

// together runs f n times at once and returns the first error, which ends the
// others' ctx.
func together(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	return Each(ctx, n, n, f)
}

// Each runs f for 0 to n-1, at most width at once, and returns the first error,
// which ends the others' ctx.
func Each(ctx context.Context, n, width int, f func(ctx context.Context, i int) error) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	var next atomic.Int64
	var tasks sync.WaitGroup
	for range min(width, n) {
		tasks.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(ctx, i); err != nil {
					end(err)
				}
			}
		})
	}
	tasks.Wait()
	return context.Cause(ctx)
}
