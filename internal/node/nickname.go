// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"encoding/hex"

	"chive/directory/record"
	"chive/internal/control"
)

// nickname is what a relay calls itself, as far as a relay of this process holds its
// descriptor: the list has no names, so a client alone knows none. A name that its owner's
// chive would not have taken is left out: it may be made to deceive a terminal.
func (s *Sources) nickname(rid record.RID) string {
	relays := s.relays()
	for i := range relays {
		role := relays[i].now()
		name := ""
		if role.RID() == rid {
			name, _ = relays[i].words()
		}
		if name == "" {
			name = role.Nickname(rid)
		}
		if name != "" && (About{Nickname: name}).check() == nil {
			return name
		}
	}
	return ""
}

// named puts nicknames beside the RIDs of a status.
func (s *Sources) named(out *control.Status) {
	relays := s.relays()
	if len(relays) == 0 {
		return
	}
	name := func(rid string) string {
		raw, err := hex.DecodeString(rid)
		if err != nil || len(raw) != len(record.RID{}) {
			return ""
		}
		return s.nickname(record.RID(raw))
	}
	if c := out.Client; c != nil {
		for i := range c.Guards {
			c.Guards[i].Nickname = name(c.Guards[i].RID)
		}
		for i := range c.Circuits {
			for k := range c.Circuits[i].Hops {
				h := &c.Circuits[i].Hops[k]
				h.Nickname = name(h.RID)
			}
		}
	}
	if len(relays) > fewNamed {
		return // a testnet's: each has a line, and none names members
	}
	for i := range out.Relays {
		seats := out.Relays[i].Directory.Committee.Seats
		for k := range seats {
			seats[k].Nickname = name(seats[k].RID)
		}
	}
}

// fewNamed is how many relays of one process show their committee's names.
const fewNamed = 2
