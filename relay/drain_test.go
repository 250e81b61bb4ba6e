// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestTheDrainEndsWhenCircuitsAreSilent, long before its limit, and not while one has
// cells.
func TestTheDrainEndsWhenCircuitsAreSilent(t *testing.T) {
	for _, c := range []struct {
		name        string
		busy        time.Duration // cells come for so long
		least, most time.Duration
		within      time.Duration // that the operator names; 0: none
	}{
		{"idle", 0, drainQuiet, drainQuiet + 3*sweepEvery, 0},
		{"busy for a while", 10 * time.Second, 14 * time.Second, 17 * time.Second, 0},
		{"busy to the limit", time.Minute, 30 * time.Second, 31 * time.Second, 0},
		{"busy to a limit of its own", time.Minute, 40 * time.Second, 41 * time.Second, 40 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			inTown(t, func(t *testing.T, w *town) {
				w.relay.SetDrainTimeout(0) // the usual one
				w.circuit(w.client(), 1)
				held := make([]*circ, 0, 1)
				w.relay.mu.Lock()
				for one := range w.relay.circuits {
					held = append(held, one)
				}
				w.relay.mu.Unlock()
				pass(10 * sweepEvery)
				began := time.Now()
				if c.within > 0 {
					w.relay.DrainWithin(c.within)
				}
				w.stop()
				var err error
				for ended := false; !ended; {
					if time.Since(began) < c.busy {
						w.relay.warm.touch(held[0])
					}
					next := time.NewTimer(sweepEvery)
					select {
					case err = <-w.ended:
						ended = true
					case <-next.C:
					}
					next.Stop()
				}
				w.ended <- err
				if took := time.Since(began); took < c.least || took > c.most {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestALongDrainDeclaresNothing (REL-9): one that a list can tell of. A short one leaves
// the rate, which a relay that starts again would wait for.
func TestALongDrainDeclaresNothing(t *testing.T) {
	for _, long := range []bool{true, false} {
		inTown(t, func(t *testing.T, w *town) {
			gap, epoch := w.doc.Params.RepublishGap+time.Second, w.doc.Params.EpochLen
			pass(gap)
			within, want := 2*epoch, uint32(0)
			if !long {
				within, want = epoch-time.Second, 100_000
			}
			w.circuit(w.client(), 1)
			var held *circ
			w.relay.mu.Lock()
			for one := range w.relay.circuits {
				held = one
			}
			w.relay.mu.Unlock()
			ctx, quiet := context.WithCancel(t.Context())
			defer quiet()
			go func() { // cells come all the time
				for ctx.Err() == nil {
					w.relay.warm.touch(held)
					select {
					case <-ctx.Done():
					case <-time.After(sweepEvery):
					}
				}
			}()
			replica := w.relay.replica.Load()
			w.relay.DrainWithin(within)
			pass(gap)
			_ = w.relay.SetRate(50_000 + want/2) // as a quota's look does each second
			pass(gap)
			synctest.Wait()
			if d := replica.machine.Own(); long && d.DeclaredRate != 0 || !long && d.DeclaredRate != 100_000 || w.relay.Rate() != want {
				t.Errorf("a drain of %v in epochs of %v declares %d, says %d", within, epoch, d.DeclaredRate, w.relay.Rate())
			}
			quiet()
			w.stop()
			err := <-w.ended
			w.ended <- err
		})
	}
}
