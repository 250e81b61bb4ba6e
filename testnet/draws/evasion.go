// SPDX-License-Identifier: BSD-3-Clause

package draws

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/sybil"
	"chive/directory/transition"
	"chive/directory/weight"
)

// Evasion is how an attacker goes round the caps with the relays that it has, in a
// network of which some of the aged relays are its own from the start (Turned). The zero
// value: it does not. Spec: directory §13 (admission).
type Evasion struct {
	// Hop: each machine has a new address every day, in another /16, and runs Each
	// relays there. They publish it, and none is reached anywhere else.
	Hop bool
	// Share is how many relays share the uptime of a machine: each runs for Block epochs,
	// then the next one. 0 or 1: they do not.
	Share, Block int
	// Each is how many relays a machine runs under one address, with Hop.
	Each int
	// Leave and Return are days: all are away from the one until the other. 0: never.
	Leave, Return int
}

// machines is how many the attacker's relays need.
func (e *Evasion) machines(relays int) int {
	if e.Hop {
		return (relays + e.Each - 1) / e.Each
	}
	return (relays + max(e.Share, 1) - 1) / max(e.Share, 1)
}

// Evaded is what came of an evasion.
type Evaded struct {
	Machines  int
	Listed    int     // relays of the attacker in the last table
	Running   int     // the most that the table called running in an epoch, after the first two days
	Reached   int     // the most of these that could be reached
	Serving   float64 // of guard weight that can be reached, the mean of all epochs after the first two days
	Service   float64 // days of service gained per day and machine by those in the last table
	Committee float64 // of the eligible weight, at the end
	Returned  int     // the most that came back in a rolling day
	Slots     int     // how many might, then
	Back      int     // days until the last was back; 0: none was away, -1: some never were
	Credited  int     // days of service that any of those gained by being away
}

// evasion is the state of one.
type evasion struct {
	Evasion
	all    []*node
	start  map[record.RID]int  // days of service at the start
	age    map[record.RID]int  // when it was last in the table
	back   []uint64            // epochs of returns
	gone   map[record.RID]bool // out of the table again
	served float64
	looked int
	out    Evaded
}

// ofMachine is the place of a machine on a day.
func ofMachine(n, machines, day int, r *node) place {
	p := r.place
	p.group, p.nth = firstHostileGroup+day%40*machines+n, day/40
	return p
}

// newEvasion gets ready: the attacker's relays are those of the start that are turned,
// and those of the plan.
func (s *growth) newEvasion() *evasion {
	e := &evasion{Evasion: s.Evade, start: map[record.RID]int{}, age: map[record.RID]int{}, gone: map[record.RID]bool{}}
	for _, r := range s.nodes {
		if r.side == hostile {
			e.all = append(e.all, r)
		}
	}
	slices.SortFunc(e.all, func(a, b *node) int { return cmp.Compare(a.serial, b.serial) })
	e.out.Machines = e.machines(len(e.all))
	for i := range s.state.Snapshot().Table().Len() {
		e.start[s.state.Snapshot().Table().At(i).RID] = serviceOf(s.state, i)
	}
	return e
}

// serviceOf is the age of a relay of the table: its days of service.
func serviceOf(state *transition.State, i int) int {
	return state.Snapshot().Day() - int(state.Snapshot().Table().At(i).BirthDay)
}

// dayFromStart counts the days of the attack.
func (s *growth) dayFromStart(epoch uint64) int { return int(epoch-s.first) / s.p.Day }

// up reports whether the attacker's relay i runs in an epoch.
func (e *evasion) up(i int, epoch uint64, day int) bool {
	if e.Leave > 0 && day >= e.Leave && day < e.Return {
		return false
	}
	return e.Share <= 1 || (int(epoch)/e.Block+i)%e.Share == 0
}

// evade has the attacker's relays move, stop and return, and says who is reached where
// the table has it.
func (s *growth) evade(epoch uint64, now time.Time) (map[record.RID]bool, error) {
	e, day := s.evading, s.dayFromStart(epoch)
	reached := map[record.RID]bool{}
	table := s.state.Snapshot().Table()
	for i, r := range e.all {
		at, listed := table.Index(r.rid)
		if moved := ofMachine(i%e.out.Machines, e.out.Machines, day, r); e.Hop && moved != r.place {
			r.place = moved
			if err := r.publish(s.Seed, 0, false); err != nil {
				return nil, err
			}
			if listed {
				s.changed[r.rid] = transition.Seen{Body: r.body, Descriptor: r.desc}
			}
		}
		if !listed {
			if _, _, held := s.pending.Get(r.rid); e.up(i, epoch, day) && e.gone[r.rid] && (!held || epoch-r.told >= refresh) {
				s.put(r, epoch, now)
			}
			continue
		}
		reached[r.rid] = e.up(i, epoch, day) && table.At(at).IPv4 == address(r.group, r.nth)
	}
	return reached, nil
}

// evaded looks at the next snapshot.
func (s *growth) evaded(child *transition.State, reached map[record.RID]bool) {
	e, table, day := s.evading, child.Snapshot().Table(), s.dayFromStart(child.Epoch())
	guards := weight.Guards(table, s.p, child.Snapshot().Day(), false)
	var all, serving float64
	for _, w := range guards {
		all += float64(w)
	}
	running, there := 0, 0
	for _, r := range e.all {
		i, listed := table.Index(r.rid)
		_, was := s.state.Snapshot().Table().Index(r.rid)
		switch {
		case was && !listed:
			e.gone[r.rid] = true
		case listed && e.gone[r.rid]:
			e.out.Credited = max(e.out.Credited, serviceOf(child, i)-e.age[r.rid])
			e.out.Back, e.back = day-e.Return, append(e.back, child.Epoch())
			delete(e.gone, r.rid)
		}
		if !listed {
			continue
		}
		e.age[r.rid] = serviceOf(child, i)
		if table.At(i).Flags&snapshot.FlagRunning != 0 {
			running++
			if reached[r.rid] {
				there++
				serving += float64(guards[i])
			}
		}
	}
	for len(e.back) > 0 && e.back[0]+uint64(s.p.Day) <= child.Epoch() {
		e.back = e.back[1:]
	}
	if len(e.back) > e.out.Returned {
		slots := sybil.Slots(s.p, s.state.Snapshot().Table().Len(), child.Epoch())
		e.out.Returned, e.out.Slots = len(e.back), slots[sybil.LaneReturning]
	}
	if day >= settled {
		e.out.Running, e.out.Reached = max(e.out.Running, running), max(e.out.Reached, there)
		e.served += serving / max(all, 1)
		e.looked++
	}
	for _, n := range []int{running, there, len(e.back)} {
		s.trace.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
	}
}

// settled is the day from which on a table that began with all relays running counts.
const settled = 2

// evasionEnds sums up.
func (s *growth) evasionEnds() {
	e := s.evading
	gained := 0
	for _, r := range e.all {
		if i, listed := s.state.Snapshot().Table().Index(r.rid); listed {
			e.out.Listed++
			gained += serviceOf(s.state, i) - e.start[r.rid]
		}
	}
	if len(e.gone) > 0 {
		e.out.Back = -1
	}
	e.out.Service = float64(gained) / float64(s.Days*e.out.Machines)
	e.out.Serving = e.served / float64(max(e.looked, 1))
	may := weight.Guards(s.state.Snapshot().Table(), s.p, s.state.Snapshot().Day(), true)
	for i := range may {
		if !s.state.Eligible(s.p, i) {
			may[i] = 0
		}
	}
	e.out.Committee = s.part(may)
	s.out.Evaded = e.out
}
