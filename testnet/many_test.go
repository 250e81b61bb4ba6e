// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"sync"
	"testing"
	"time"

	"chive/internal/memnet"
)

// TestManyStreamsAtOnceLoseNone opens more streams of one key at once than an exit
// connects for one circuit at a time, to a host that takes a while to answer: the
// exit is busy with the first ones, and the others wait instead of failing.
func TestManyStreamsAtOnceLoseNone(t *testing.T) {
	inMemory(t, oneExit, 80*time.Millisecond, func(t *testing.T, n *Network, _ *memnet.Network, _ *Memory) {
		const streams = 200
		began := time.Now()
		errs := make([]error, streams)
		var wg sync.WaitGroup
		for i := range streams {
			wg.Go(func() { _, errs[i] = get(t.Context(), n.Clients[0], "one", "/") })
		}
		wg.Wait()
		lost := 0
		for _, err := range errs {
			if err != nil {
				lost++
			}
		}
		if lost > 0 {
			t.Errorf("%d of %d were lost", lost, streams)
		}
		if d := time.Since(began); d > 15*time.Second {
			t.Errorf("they took %v", d)
		}
	})
}
