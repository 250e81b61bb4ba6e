// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"github.com/rs/zerolog"

	"chive/internal/redact"
)

// standing is what a network cannot be relied on for, as it was last logged. The zero
// value: nothing was. Spec: directory §6 (young).
type standing struct{ young, unmeasured, stalled bool }

// stand logs what has changed of what the network can be relied on for.
func (c *Client) stand() {
	t := c.current()
	eligible, groups := t.eligible()
	now := standing{young: committeeStatus(0, eligible, groups).Young, unmeasured: t.unmeasured()}
	c.mu.Lock()
	now.stalled = c.dir.stalled
	last := c.dir.standing
	c.dir.standing = now
	c.mu.Unlock()
	last.say(&c.cfg.Log, now)
}

// say logs what has changed: a line for each thing, none for a list like the last.
func (s standing) say(log *zerolog.Logger, now standing) {
	info := func(event redact.Field) *zerolog.Event {
		return log.Info().EmbedObject(redact.RoleClient).EmbedObject(event)
	}
	if now.young != s.young {
		if now.young {
			info(redact.Event("young")).Msg("this network is young: few relays decide what is on its list; do not rely on it for protection; see the client's status")
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
			log.Warn().EmbedObject(redact.RoleClient).EmbedObject(redact.Event("stalled")).
				Msg("relays in different places have no newer list either: the network is stalled, or this machine's clock is fast; see the client's status")
		} else {
			info(redact.Event("goes_on")).Msg("there is a new list of relays: the network goes on")
		}
	}
}
