// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"errors"
	"time"

	"chive/internal/redact"
	"chive/link"
)

// linkKeyLife is how long one link key is used; its certificate is valid for two
// such periods. Spec: protocol §1.
const (
	linkKeyLife  = 24 * time.Hour
	linkKeyCheck = time.Hour // how often the wall clock is looked at
	// certifiedCheck is how often an offline identity's certificates are looked for: new
	// ones may have been put there.
	certifiedCheck = time.Minute
)

// renewLinkKey asks for a new link key, since the clock was set: the certificate of the
// one in use ends at a time by the old clock.
func (r *Relay) renewLinkKey() {
	select {
	case r.renew <- struct{}{}:
	default:
	}
}

// useLinkKey makes an identity the one that new links prove.
func (r *Relay) useLinkKey(id *link.Identity) {
	r.mu.Lock()
	r.identity = id
	r.mu.Unlock()
}

// rotateLinkKey makes a new link key every day by the wall clock, which goes on while
// the machine sleeps, and when it is asked for. Links that are up keep theirs.
func (r *Relay) rotateLinkKey(ctx context.Context, made time.Time) {
	if r.cfg.Certified != nil {
		r.followCertified(ctx)
		return
	}
	t := time.NewTicker(linkKeyCheck)
	defer t.Stop()
	for {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-r.renew:
			asked = true
		case <-t.C:
		}
		now := r.wall().Round(0) // without the monotonic reading
		if age := now.Sub(made); !asked && age >= 0 && age < linkKeyLife {
			continue
		}
		id, err := r.newLinkIdentity(now)
		if err != nil {
			r.cfg.Log.Error().EmbedObject(redact.RoleRelay).EmbedObject(redact.Event("link_key")).
				Msg("no new link key; restart the relay before its certificate expires")
			made = now.Add(-linkKeyLife) // at the next check again
			continue
		}
		made = now
		r.useLinkKey(id)
	}
}

// certifiedMisses is at how many looks in a row, each a certifiedCheck after the one
// before, all certificates have to be over before the relay drains: a clock that jumps
// ahead and comes back must not end it.
const certifiedMisses = 5

// followCertified uses, of the link keys that an offline identity has certified, the one
// of the day. When all are over the relay drains, and Run says why. When they are of a time
// to come the clock is behind: it goes on, since that passes.
func (r *Relay) followCertified(ctx context.Context) {
	t := time.NewTicker(certifiedCheck)
	defer t.Stop()
	misses, behind := 0, false
	for {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-r.renew:
			asked = true
		case <-t.C:
		}
		now := r.wall().Round(0)
		id, err := r.newLinkIdentity(now)
		switch {
		case err == nil:
			misses, behind = 0, false
			r.useLinkKey(id)
			if d := r.replica.Load(); d != nil {
				d.keeper.wakeUp() // it looks whether the signing key has changed
			}
		case !errors.Is(err, ErrUncertified):
		case r.certifiedAhead(now):
			if misses = 0; !behind {
				behind = true
				r.cfg.Log.Error().EmbedObject(redact.RoleRelay).EmbedObject(redact.Event("certificates_ahead")).
					Msg("what the offline identity has certified is of a time to come: this clock is behind; set it")
			}
		default:
			if !asked {
				misses++
			}
			if misses < certifiedMisses {
				continue
			}
			r.uncertified.Store(true)
			r.cfg.Log.Error().EmbedObject(redact.RoleRelay).EmbedObject(redact.Event("certificates_over")).
				Msg("what the offline identity has certified is over; the relay drains: chive keys request")
			r.Drain()
			return
		}
	}
}
