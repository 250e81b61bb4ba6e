// SPDX-License-Identifier: BSD-3-Clause

package path

import (
	"io"

	"chive/directory/snapshot"
)

// maxTries bounds the candidates that one search looks at in depth, so that a
// table made to have no path cannot hold a client up.
const maxTries = 2048

// quickDraws is how often a candidate is drawn from all relays and thrown away
// when a rule forbids it, before the candidates are listed. The outcome has the
// same odds either way; drawing is cheaper while few are forbidden.
const quickDraws = 24

// choice is one search for a path, depth first: at each position candidates are
// tried in a random order by weight until the rest of the path exists.
type choice struct {
	s      *Selector
	rand   io.Reader
	req    *Request
	path   []int // table indices: last hop, guard, middles
	budget int

	failed   bool
	depth    int // of the deepest failure
	failedAt Position
	failedBy Rule
}

// position returns the place that is filled next.
func (c *choice) position() Position {
	switch len(c.path) {
	case 0:
		return Last
	case 1:
		return Guard
	}
	return Middle
}

// fill completes the path. It reports whether it could.
func (c *choice) fill() (bool, error) {
	if len(c.path) == c.req.Hops {
		return true, nil
	}
	if c.position() == Guard && !c.req.FreshGuard {
		return c.fillFromGuards()
	}
	tried := map[int]bool{}
	for {
		i, ok, err := c.next(tried)
		if err != nil || !ok {
			return false, err
		}
		found, err := c.try(i)
		if err != nil || found {
			return found, err
		}
		if c.budget <= 0 {
			c.failed, c.failedAt, c.failedBy = true, c.position(), RuleTries
			return false, nil
		}
		tried[i] = true
	}
}

// try puts a relay at the next place and completes the path behind it.
func (c *choice) try(i int) (bool, error) {
	c.budget--
	c.path = append(c.path, i)
	found, err := c.fill()
	if !found {
		c.path = c.path[:len(c.path)-1]
	}
	return found, err
}

// fillFromGuards takes the first of the client's guards that the rules allow.
func (c *choice) fillFromGuards() (bool, error) {
	rule := RuleGuards
	for _, rid := range c.req.Guards {
		i, inTable := c.s.table.Index(rid)
		if !inTable || c.s.table.At(i).Flags&snapshot.FlagRunning == 0 {
			continue
		}
		if by, ok := c.allowed(i); !ok {
			rule = max(rule, by)
			continue
		}
		found, err := c.try(i)
		if err != nil || found {
			return found, err
		}
		if c.budget <= 0 {
			break
		}
	}
	c.fail(rule)
	return false, nil
}

// fail keeps the reason of the deepest failure: that is the place where the path
// would have been completed.
func (c *choice) fail(rule Rule) {
	if !c.failed || len(c.path) > c.depth {
		c.failed, c.depth, c.failedAt, c.failedBy = true, len(c.path), c.position(), rule
	}
}

// sampler returns the weights of the next place.
func (c *choice) sampler() sampler {
	if at := c.position(); at != Last || c.req.Target.kind == targetExit {
		return c.s.weights[at]
	}
	return c.s.weights[Middle]
}

// next draws a relay that may come next and was not tried there yet.
func (c *choice) next(tried map[int]bool) (int, bool, error) {
	if c.position() == Last && c.req.Target.kind == targetRelay {
		return c.asked(tried)
	}
	all := c.sampler()
	if all.total() == 0 {
		c.fail(RuleWeight)
		return 0, false, nil
	}
	for range quickDraws {
		i, err := all.draw(c.rand)
		if err != nil {
			return 0, false, err
		}
		if _, ok := c.allowed(i); ok && !tried[i] {
			return i, true, nil
		}
	}
	return c.listed(all, tried)
}

// asked returns the one relay that the target names.
func (c *choice) asked(tried map[int]bool) (int, bool, error) {
	i, ok := c.s.table.Index(c.req.Target.rid)
	if !ok || c.s.table.At(i).Flags&snapshot.FlagRunning == 0 {
		c.fail(RulePolicy)
		return 0, false, nil
	}
	if by, ok := c.allowed(i); !ok {
		c.fail(by)
		return 0, false, nil
	}
	return i, !tried[i], nil
}

// listed draws from the list of relays that may come next.
func (c *choice) listed(all sampler, tried map[int]bool) (int, bool, error) {
	weights := make([]uint64, c.s.table.Len())
	rule, left := RuleWeight, false
	for i := range weights {
		w := all.weight(i)
		if w == 0 {
			continue
		}
		by, ok := c.allowed(i)
		switch {
		case !ok:
			rule = max(rule, by)
		case !tried[i]:
			weights[i], left = w, true
		}
	}
	if !left {
		if len(tried) == 0 {
			c.fail(rule)
		}
		return 0, false, nil
	}
	i, err := newSampler(weights).draw(c.rand)
	return i, err == nil, err
}

// allowed reports whether a relay may come next, or the first rule that forbids it.
func (c *choice) allowed(i int) (Rule, bool) {
	r := c.s.table.At(i)
	if c.position() == Last && !c.req.Target.accepts(r) {
		return RulePolicy, false
	}
	if c.req.Exclude[r.RID] {
		return RuleExcluded, false
	}
	for _, j := range c.path {
		if rule, bad := c.s.conflict(r, c.s.table.At(j)); bad {
			return rule, false
		}
	}
	return 0, true
}
