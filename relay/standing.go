// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"time"

	"github.com/rs/zerolog"

	"chive/internal/redact"
)

// standing is what a network cannot be relied on for, as it was last logged. The zero
// value: nothing was. Spec: directory §6 (young).
type standing struct {
	young, unmeasured, stalled bool
	noRoom                     bool // see noRoomForExit
	forked                     bool // at the start; a fork that is met later is a report
	said                       bool
	began                      time.Time // the first one: whoever was away is behind for a moment
}

// stand logs what has changed of what the network can be relied on for.
func (d *replica) stand(now time.Time, s *DirectoryStatus) {
	last := &d.r.standing
	if last.began.IsZero() {
		last.began = now
	}
	last.say(&d.r.cfg.Log, standing{
		young: s.Young, noRoom: s.NoRoomForExit, unmeasured: s.Unmeasured, forked: s.Forked, began: last.began,
		stalled: s.Stalled && (last.stalled || now.Sub(last.began) >= d.r.genesis.Params.EpochLen),
	})
}

// say logs what has changed: a line for each thing, none for an epoch like the last.
func (s *standing) say(log *zerolog.Logger, now standing) {
	info := func(event redact.Field) *zerolog.Event {
		return log.Info().EmbedObject(redact.RoleRelay).EmbedObject(event)
	}
	if now.young != s.young {
		if now.young {
			info(redact.Event("young")).Msg("this network is young: few relays decide what is on its list; do not rely on it for protection; see the relay's status")
		} else {
			info(redact.Event("grown")).Msg("this network is no longer young: enough relays in enough networks can sit on its committee")
		}
	}
	if now.unmeasured != s.unmeasured {
		if now.unmeasured {
			info(redact.Event("unmeasured")).Msg("nobody measures this network's relays: how much they can carry is their own word")
		} else {
			info(redact.Event("measured")).Msg("this network's relays are measured")
		}
	}
	if now.stalled != s.stalled {
		if now.stalled {
			log.Warn().EmbedObject(redact.RoleRelay).EmbedObject(redact.Event("stalled")).
				Msg("no new list of relays for some epochs: the network is stalled, or this relay is cut off from it; see the relay's status")
		} else {
			info(redact.Event("goes_on")).Msg("there is a new list of relays: the network goes on")
		}
	}
	if now.noRoom && !s.noRoom {
		log.Warn().EmbedObject(redact.RoleRelay).EmbedObject(redact.Event("no_room")).
			Msg("the list has no room for your exit policy, so it does not show this relay as an exit: choose a preset, which others have too")
	}
	if now.forked && !s.said {
		log.Error().EmbedObject(redact.RoleRelay).EmbedObject(redact.Event("forked")).
			Msg("two histories of the relay list have certificates, as was found before this start; see the relay's status")
	}
	*s = now
	s.said = true
}
