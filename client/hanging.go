// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"fmt"
	"slices"
	"time"

	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/link"
)

// A guard whose process has stopped keeps its links, as every relay does, and all circuits that
// begin there fall silent together: leaving one for another of them helps nobody. So while a
// circuit does not answer its guard is asked something over the link itself. If nothing at all
// comes over that link meanwhile, circuits through it take no further streams and new ones go
// without it, until something comes or the link ends. The link is left as it is: a network that
// is down for some seconds looks the same, and streams that are open outlive that.

// errGuardUnheard is the errUnheard of a circuit whose guard is silent.
var errGuardUnheard = fmt.Errorf("%w: nor does its guard", errUnheard)

// hanging is a link to a guard over which nothing came.
type hanging struct {
	l     *link.Link
	since time.Time
}

// guardHangs notes that a guard does not answer over a link.
func (c *Client) guardHangs(rid record.RID, l *link.Link) {
	now := time.Now()
	c.mu.Lock()
	c.hung(now)
	if c.hanging == nil {
		c.hanging = make(map[record.RID]hanging)
	}
	c.hanging[rid] = hanging{l, now}
	for _, q := range c.open { // those that come by it later are silent, too
		if q.link == l || slices.ContainsFunc(q.path, func(r *snapshot.Relay) bool { return r.RID == rid }) {
			q.retired = true
		}
	}
	c.mu.Unlock()
	c.kick()
}

// hung returns the guards from which nothing came since that was noted. Under Client.mu.
func (c *Client) hung(now time.Time) map[record.RID]hanging {
	for rid, h := range c.hanging {
		if h.l.Err() != nil || h.l.Quiet() < now.Sub(h.since) {
			delete(c.hanging, rid)
		}
	}
	return c.hanging
}

// guardsAt returns the guards that a path may begin with, best first; those that hang come last.
// Under Client.mu.
func (c *Client) guardsAt(now time.Time) []record.RID {
	all, hung := c.guards.Usable(now), c.hung(now)
	if len(hung) == 0 {
		return all
	}
	var first, last []record.RID
	for _, rid := range all {
		if _, hangs := hung[rid]; hangs {
			last = append(last, rid)
		} else {
			first = append(first, rid)
		}
	}
	return append(first, last...)
}

// askGuard asks the guard of q something over the link, until ctx ends, and says so in asked
// before. What it answers does not matter: that something comes does.
func (q *circ) askGuard(ctx context.Context, asked func()) {
	if !q.c.begin() {
		return
	}
	defer q.c.tasks.Done()
	st, err := q.link.Open(link.StreamDirectory)
	if err != nil {
		return
	}
	asked()
	_, _ = q.c.timeOver(ctx, st)
	_ = st.Close()
}
