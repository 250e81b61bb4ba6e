// SPDX-License-Identifier: BSD-3-Clause

package weight

import (
	"chive/directory/genesis"
	"chive/directory/snapshot"
)

// founderCohort is the cohort of the founders, whenever they were born. Others
// count from 1.
const founderCohort = 0

// clipper knows who holds weight together with whom.
type clipper struct {
	p       genesis.Params
	groups  []int // holder of each relay
	cohorts []int
	nGroups int // number of holders, the empty ones included
	nCohort int
}

func newClipper(t *snapshot.Table, p genesis.Params) *clipper {
	n := t.Len()
	c := &clipper{p: p, groups: make([]int, n), cohorts: make([]int, n), nGroups: len(t.Dictionaries().Groups), nCohort: 1}
	for i := range n {
		r := t.At(i)
		c.groups[i] = int(r.Group)
		c.cohorts[i] = founderCohort
		if r.Flags&snapshot.FlagFounder == 0 && p.Cohort > 0 {
			c.cohorts[i] = founderCohort + 1 + int(r.BirthDay)/p.Cohort
			c.nCohort = max(c.nCohort, c.cohorts[i]+1)
		}
	}
	return c
}

// clip scales holders of more than their cap of a position down to it, in rounds,
// each: relays, groups, and for guards cohorts.
func (c *clipper) clip(weights []uint64, guards bool) {
	sums := make([]uint64, max(c.nGroups, c.nCohort))
	for range clipRounds {
		clipRelays(weights, c.p.CapRelay)
		clipHolders(weights, c.groups, sums[:c.nGroups], c.p.CapGroup)
		if guards {
			clipHolders(weights, c.cohorts, sums[:c.nCohort], c.p.CapCohort)
		}
	}
}

// limit returns max(thousandths of total, 2/holders of total), and total itself
// where that is no less.
func limit(total uint64, thousandths, holders int) uint64 {
	if holders <= 2 || thousandths >= 1000 {
		return total
	}
	return max(mulDiv(total, uint64(thousandths), 1000), mulDiv(total, 2, uint64(holders)))
}

// clipRelays scales single relays down to their cap; 0 is no cap.
func clipRelays(weights []uint64, thousandths int) {
	if thousandths <= 0 {
		return
	}
	holders := 0
	for _, v := range weights {
		if v > 0 {
			holders++
		}
	}
	most := limit(sum(weights), thousandths, holders)
	for i := range weights {
		weights[i] = min(weights[i], most)
	}
}

// clipHolders scales the relays of a holder down until together they meet its cap;
// 0 is no cap. sums is scratch, one for each holder.
func clipHolders(weights []uint64, holder []int, sums []uint64, thousandths int) {
	if thousandths <= 0 {
		return
	}
	clear(sums)
	for i, v := range weights {
		sums[holder[i]] += v
	}
	holders := 0
	for _, s := range sums {
		if s > 0 {
			holders++
		}
	}
	most := limit(sum(weights), thousandths, holders)
	for i, v := range weights {
		if s := sums[holder[i]]; s > most {
			weights[i] = mulDiv(v, most, s)
		}
	}
}
