// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"time"

	"chive/directory/record"
	"chive/internal/redact"
	"chive/link"
)

// ErrListen says that the link port could not be opened.
var ErrListen = errors.New("relay: the link port cannot be opened")

// Run serves until ctx ends and everything it started has ended. When ctx ends
// the relay drains: no new circuits, up to DrainTimeout for those that are open.
// It returns nil after a drain, or the first cause; ErrUncertified when what the offline
// identity has certified is over.
func (r *Relay) Run(ctx context.Context) error {
	made := r.wall().Round(0)
	id, err := r.newLinkIdentity(made)
	if err != nil {
		return err
	}
	ln, err := r.cfg.Transport.Listen(r.cfg.Listen)
	if err != nil {
		return errors.Join(ErrListen, redact.Classify(err))
	}
	replica, err := r.newReplica() // it may say that it joins: only who has the port does
	if err != nil {
		_ = ln.Close()
		return err
	}
	r.useLinkKey(id)

	// Links and circuits outlive ctx by the drain.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	r.pool = link.NewPool(link.PoolConfig{
		Dial: r.dial,
		// A link serves circuits from either side, whoever dialled it.
		Up: func(l *link.Link) {
			r.tasks.Add(1)
			go func() {
				defer r.tasks.Done()
				r.serveLink(life, l)
			}()
		},
	})
	listener := link.NewListener(ln, link.ListenerConfig{
		Link:            r.linkConfig,
		NoAddressLimits: r.genesis.Testnet, // there all nodes share one address
	})
	r.listener.Store(listener)
	r.mu.Lock()
	r.listen = listener.AddrPort()
	r.mu.Unlock()

	r.tasks.Add(6)
	go func() {
		defer r.tasks.Done()
		r.guardMemory(life, listener)
	}()
	go func() {
		defer r.tasks.Done()
		r.testSelf(life)
	}()
	go func() {
		defer r.tasks.Done()
		r.replicate(life, replica)
	}()
	go func() {
		defer r.tasks.Done()
		r.sweep(life)
	}()
	go func() {
		defer r.tasks.Done()
		r.acceptLinks(life, listener)
	}()
	go func() {
		defer r.tasks.Done()
		r.rotateLinkKey(life, made)
	}()
	close(r.ready)
	r.cfg.Log.Info().EmbedObject(redact.RoleRelay).EmbedObject(redact.Event("ready")).Msg("relay is ready")

	select {
	case <-ctx.Done():
	case <-r.drain:
	}
	r.Drain()
	r.awaitCircuits()
	end()
	_ = listener.Close()
	_ = r.pool.Close()
	r.tasks.Wait()
	r.memory.close()
	if r.uncertified.Load() && ctx.Err() == nil {
		return ErrUncertified
	}
	return nil
}

// Ready is closed when links are accepted.
func (r *Relay) Ready() <-chan struct{} { return r.ready }

// Addr returns the address links are accepted at; before Ready it is the
// configured one.
func (r *Relay) Addr() netip.AddrPort {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listen.IsValid() {
		return r.listen
	}
	return r.cfg.Listen
}

// RID returns the relay's name in this network.
func (r *Relay) RID() record.RID { return r.rid }

// Drain stops the admission of circuits and lets Run end once those that are open
// have gone or the drain time is over. It does not wait.
func (r *Relay) Drain() { r.DrainWithin(0) }

// DrainWithin is Drain with another time for open circuits than the one that was
// configured; zero is that one. Once a drain has begun its time does not change. A relay
// that may drain for an epoch or longer declares a rate of 0 meanwhile, so that clients
// choose others: a shorter drain is over before a list could say it, and the 0 would only
// be held against a relay that starts again (decision 0015).
//
// Spec: product §6 (REL-9).
func (r *Relay) DrainWithin(most time.Duration) {
	r.drainOnce.Do(func() {
		r.drainMost = max(most, 0)
		if r.drainTime() >= r.genesis.Params.EpochLen {
			r.leaves.Store(true)
			_ = r.ChangeAbout(func(*About) {}) // any rate can be said
		}
		close(r.drain)
	})
}

// drainTime is how long open circuits are given; below 0: none.
func (r *Relay) drainTime() time.Duration {
	return cmp.Or(r.drainMost, time.Duration(r.live.drain.Load()))
}

// Draining reports whether Drain was called: the relay takes no new circuits and will end.
func (r *Relay) Draining() bool { return r.draining() }

func (r *Relay) draining() bool {
	select {
	case <-r.drain:
		return true
	default:
		return false
	}
}

// drainQuiet is how long no open circuit had cells when the drain ends: those that are
// left were built ahead of need, or nobody waits for them.
const drainQuiet = 5 * time.Second

// awaitCircuits waits for open circuits to end or to fall silent, up to the drain time.
func (r *Relay) awaitCircuits() {
	most := r.drainTime()
	if most < 0 {
		return
	}
	r.mu.Lock()
	if len(r.circuits) == 0 {
		r.mu.Unlock()
		return
	}
	empty := make(chan struct{})
	r.empty = empty
	r.mu.Unlock()
	t := time.NewTimer(most)
	defer t.Stop()
	look := time.NewTicker(sweepEvery / 2)
	defer look.Stop()
	busy := time.Now()
	for {
		select {
		case <-empty:
			return
		case <-t.C:
			return
		case now := <-look.C:
			if r.warm.any() {
				busy = now
			} else if now.Sub(busy) >= drainQuiet {
				return
			}
		}
	}
}

func (r *Relay) circuitBegun(c *circ) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.circuits) >= maxCircuits {
		return false
	}
	r.circuits[c] = struct{}{}
	r.memory.circuits.Add(circuitHeld)
	return true
}

func (r *Relay) circuitEnded(c *circ) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.circuits[c]; there {
		delete(r.circuits, c)
		r.memory.circuits.Add(-circuitHeld)
	}
	if len(r.circuits) == 0 && r.empty != nil {
		close(r.empty)
		r.empty = nil
	}
}
