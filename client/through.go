// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"slices"
	"time"

	"chive/circuit"
	"chive/directory/path"
	"chive/directory/record"
	"chive/directory/snapshot"
)

// asker asks one relay over a directory stream at the end of a circuit of its own,
// which ends with it and begins at the usable guard of that number, if there is one. It
// is throughCircuit, but for tests.
type asker func(ctx context.Context, last *snapshot.Relay, guard int, f func(context.Context, stream) error) error

// through picks a relay apart from not and asks it. last is nil when no circuit led
// to any.
func (c *Client) through(ctx context.Context, not []*snapshot.Relay, f func(context.Context, stream) error) (last *snapshot.Relay, err error) {
	if last = c.pickLast(c.current(), not, 0); last == nil {
		return nil, errNoSource
	}
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	spoke := false
	err = c.askLast(ctx, last, 0, func(ctx context.Context, s stream) error {
		spoke = true
		return f(ctx, s)
	})
	if !spoke {
		return nil, err
	}
	return last, err
}

// throughCircuit is the asker of a client that runs. The circuit carries nothing else.
func (c *Client) throughCircuit(ctx context.Context, last *snapshot.Relay, guard int, f func(context.Context, stream) error) error {
	first := c.otherGuard(ctx, guard)
	c.mu.Lock()
	t := c.dir.table
	guards := c.guardsAt(time.Now())
	exclude := make(map[record.RID]bool, len(c.failed))
	for r, when := range c.failed {
		if time.Since(when) <= failedLife && r != last.RID {
			exclude[r] = true
		}
	}
	c.mu.Unlock()
	if i := slices.Index(guards, first); i > 0 {
		guards = append([]record.RID{first}, slices.Delete(slices.Clone(guards), i, i+1)...)
	}
	req := path.Request{Hops: c.cfg.Hops, Target: path.Relay(last.RID), Guards: guards, Exclude: exclude}
	p, err := t.selector.Choose(c.cfg.Rand, req)
	if isPathError(err) {
		req.Exclude = nil // everybody failed a moment ago
		p, err = t.selector.Choose(c.cfg.Rand, req)
	}
	if err != nil {
		return err
	}
	build, cancel := context.WithTimeout(ctx, c.timeout.limit())
	began := time.Now()
	q, err := c.build(build, p, t, needDir)
	cancel()
	c.counts.built(ctx, err, time.Since(began))
	if err != nil {
		if ctx.Err() == nil {
			c.buildFailed(p, err)
		}
		return err
	}
	defer q.close()
	c.guardCircuit(p[0].RID, true)
	s, err := q.open(func() (*circuit.Stream, error) { return q.o.BeginDir() })
	if err != nil {
		return err
	}
	octx, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	if err := s.waitOpen(octx); err != nil {
		return err
	}
	defer s.Close()
	return f(ctx, s)
}

// otherGuard returns the usable guard of a number, if it is not the first one and can be
// linked to.
func (c *Client) otherGuard(ctx context.Context, n int) (rid record.RID) {
	guards := c.usableGuards()
	if n == 0 || n >= len(guards) {
		return rid
	}
	dial, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	if _, err := c.linkTo(dial, guards[n]); err != nil {
		return rid
	}
	return guards[n].RID
}

// pickLast draws a relay to be asked, by middle weight where it can: one apart from
// not, that may be in one path with the first guard and that of a number, and that has
// neither forged lately nor failed a moment ago; nil if there is none.
func (c *Client) pickLast(t *table, not []*snapshot.Relay, guard int) *snapshot.Relay {
	now := time.Now()
	out := make(map[record.RID]bool)
	var guards []*snapshot.Relay
	all := t.view.Table()
	c.mu.Lock()
	if c.guards != nil {
		for i, g := range c.guardsAt(now) {
			if r, ok := all.Relay(g); ok && (i == 0 || i == guard) {
				guards = append(guards, r)
			}
		}
	}
	for r, since := range c.dir.dropped {
		out[r] = c.droppedAt(since, now)
	}
	for r, when := range c.failed {
		out[r] = out[r] || now.Sub(when) <= failedLife
	}
	c.mu.Unlock()
	may := func(r *snapshot.Relay) bool {
		return r.Flags&snapshot.FlagRunning != 0 && !out[r.RID] && c.apart(r, not) &&
			!slices.ContainsFunc(guards, func(g *snapshot.Relay) bool { return !c.mayMeet(g, r) })
	}
	weights := t.middles()
	var likely, any uint64
	for i := range all.Len() {
		if may(all.At(i)) {
			likely += weights[i]
			any++
		}
	}
	if any == 0 {
		return nil
	}
	total := any // the rest may be kept for other places
	if likely > 0 {
		total = likely
	}
	x, err := c.draw(total)
	if err != nil {
		return nil
	}
	for i := range all.Len() {
		r := all.At(i)
		if !may(r) {
			continue
		}
		w := uint64(1)
		if likely > 0 {
			w = weights[i]
		}
		if x < w {
			return r
		}
		x -= w
	}
	return nil
}

// mayMeet reports whether two relays may be in one path.
func (c *Client) mayMeet(a, b *snapshot.Relay) bool {
	p := &c.doc.Params
	return a.RID != b.RID && !(p.PathFamilyRule && a.Family != 0 && a.Family == b.Family) &&
		c.apart(a, []*snapshot.Relay{b})
}

// draw returns a number below n, every one equally likely.
func (c *Client) draw(n uint64) (uint64, error) {
	var b [8]byte
	for {
		if _, err := io.ReadFull(c.cfg.Rand, b[:]); err != nil {
			return 0, errors.Join(errNoSource, err)
		}
		hi, lo := bits.Mul64(binary.BigEndian.Uint64(b[:]), n)
		if lo >= n || lo >= -n%n {
			return hi, nil
		}
	}
}
