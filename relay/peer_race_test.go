// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"testing"
	"time"

	"chive/directory/genesis"
)

// TestWhoIsKnownCanBeAskedMeanwhile: the timekeeper asks whom the relay knows while the
// joiner goes on. The race detector decides.
func TestWhoIsKnownCanBeAskedMeanwhile(t *testing.T) {
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(3)
		j := w.all[3].replica.Load().joiner
		end, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			t := time.NewTicker(10 * time.Millisecond)
			defer t.Stop()
			for {
				j.known(nil, nil)
				select {
				case <-t.C:
				case <-end:
					return
				}
			}
		}()
		back := w.all[3]
		back.away().set(true)
		pass(5 * time.Second)
		close(end)
		<-ended
	})
}

// away is what has the relay be a client.
func (c *citizen) away() *awayness { return &c.replica.Load().away }
