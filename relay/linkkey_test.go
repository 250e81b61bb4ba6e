// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"testing"
	"time"

	"chive/directory/genesis"
)

// notAfter returns when the certificate of a relay's link key ends; zero: there is none.
func notAfter(r *Relay) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.identity == nil {
		return time.Time{}
	}
	return r.identity.NotAfter()
}

// TestTheLinkKeyIsRenewedWhenTheClockIsSet: else its certificate may have ended already.
func TestTheLinkKeyIsRenewedWhenTheClockIsSet(t *testing.T) {
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		c := w.all[0]
		c.skew.Store(int64(-72 * time.Hour))
		c.start()
		wrong := notAfter(c.Relay)
		c.skew.Store(0)
		pass(5 * time.Second)
		if got := notAfter(c.Relay).Sub(wrong); got < 72*time.Hour {
			t.Errorf("its certificate ends %v later", got)
		}
	})
}

// TestTheLinkKeyLivesADayOfTheWallClock, the time included in which the machine slept.
func TestTheLinkKeyLivesADayOfTheWallClock(t *testing.T) {
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		c := w.all[0]
		c.start()
		r := c.Relay
		c.leave()
		began := time.Now()
		first := notAfter(r)
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); r.rotateLinkKey(ctx, began) }()
		pass(2*linkKeyCheck + time.Minute)
		if !notAfter(r).Equal(first) {
			t.Error("renewed too early")
		}
		c.skew.Store(int64(linkKeyLife - 2*linkKeyCheck)) // it slept
		pass(linkKeyCheck)
		second := notAfter(r)
		if second.Sub(first) < linkKeyLife {
			t.Errorf("after a sleep its certificate ends %v later", second.Sub(first))
		}
		pass(linkKeyLife)
		if got := notAfter(r).Sub(second); got < linkKeyLife {
			t.Errorf("after a day it ends %v later", got)
		}
		stop()
		<-done
	})
}
