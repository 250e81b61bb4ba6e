// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"

	"chive/internal/node"
)

// memoryNeed is what processes of chive need of a machine's memory, in bytes.
type memoryNeed struct {
	room    node.Room
	whole   uint64 // what the process may come to have
	has     uint64 // what it has already; 0: it does not run
	ceiling uint64 // of the relay; 0: there is none
	said    bool   // in the configuration, not auto
}

// checkMemory looks whether there is memory for what a client or relay may come to need.
// Spec: product CLI-11, REL-5.
func (d *doctor) checkMemory(ctx context.Context) {
	n := memoryNeed{whole: node.ClientMemory}
	switch s := d.status; {
	case s == nil && d.unread:
		return // how much that is nobody says
	case s == nil:
		n.room = node.MemoryRoom(0)
		if d.offersRelay() {
			n.said = d.cfg.Relay.Memory > 0
			n.ceiling, n.whole = node.RelayCeiling(int64(d.cfg.Relay.Memory), n.room)
		}
	default:
		n.room = node.MemoryRoom(daemonProcess(ctx, d.socket.Path))
		if len(s.Relays) == 0 {
			return // it runs, and its need does not grow
		}
		n.whole, n.said = 0, true // what auto was is not told
		for i := range s.Relays {
			m := s.Relays[i].Memory
			if m == nil {
				return // a testnet's, without a ceiling
			}
			n.ceiling += m.Max
			n.has = m.Process // of all of them
		}
		_, n.whole = node.RelayCeiling(int64(n.ceiling), n.room)
	}
	if n.room.Known {
		d.found = append(d.found, judgeMemory(n))
	}
}

// offersRelay reports whether a start would be that of a relay, or of one beside a client.
func (d *doctor) offersRelay() bool { return d.cfg.Relay.Enabled || d.relayOnly }

// judgeMemory says whether what is needed is there. What a process has already is not
// needed again.
func judgeMemory(n memoryNeed) finding {
	const check = "memory"
	mib := func(bytes uint64) string { return fmt.Sprintf("%d MiB", bytes>>20) }
	who, fix := "A client", "End other programs, or use a machine with more memory."
	if n.ceiling > 0 {
		who = "A relay"
		fix = "Give it less: relay.memory, 64 MiB or more. Or end other programs, or use a machine with more memory."
	}
	needs := who + " with this configuration may come to need " + mib(n.whole)
	if n.has > 0 {
		needs = "The relay may come to need " + mib(n.whole)
	}
	if n.ceiling > 0 {
		needs += " (" + mib(n.ceiling) + " for what it keeps for others, and the rest for the program)"
	}
	if n.whole > n.room.Most {
		level := levelWarning
		if n.said && n.has == 0 {
			level = levelFault // no load of others is to blame
		}
		return finding{check, level, "memory_over", needs + ", and a process has " + mib(n.room.Most) + " here at most: the system ends it when others use it much.", fix}
	}
	lacks := n.whole - min(n.has, n.whole)
	free := mib(n.room.Free) + " of " + mib(n.room.Most) + " are free"
	if n.has > 0 {
		needs += ", of which it has " + mib(n.has)
	}
	if lacks > n.room.Free {
		return finding{check, levelWarning, "memory_short", needs + ", and only " + free + " now: the system may end it, or another program, when others use it much.", fix}
	}
	return finding{check, levelOK, "enough", needs + ". " + free + ".", ""}
}
