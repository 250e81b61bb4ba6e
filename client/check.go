// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"io"
	"time"

	"chive/circuit"
	"chive/directory/path"
	dirsync "chive/directory/sync"
	"chive/internal/redact"
	"chive/link"
)

// errView says that a relay holds another table of relays than this client.
var errView = errors.New("client: a relay holds another table of relays")

const (
	checkPatience = 10 * time.Second
	checkLimit    = time.Minute // for one question through a circuit, waiting and building included
	checkEvery    = 24 * time.Hour
	checkCircuits = 2

	// A question comes so long after the start, or after the one before, at random
	// in between: none holds up a user, and who sees them learns only about when the
	// client started.
	checkSoonest = 5 * time.Second
	checkLatest  = 15 * time.Second
)

// checkGuard asks the first guard which table it holds. One that holds another is
// left for later.
func (c *Client) checkGuard(ctx context.Context) error {
	guards := c.usableGuards()
	if len(guards) == 0 {
		return errNoGuard
	}
	l, err := c.linkTo(ctx, guards[0])
	if err != nil {
		return err
	}
	err = c.checkPeer(ctx, l)
	if errors.Is(err, errView) {
		c.avoidRelay(guards[0].RID)
	}
	return err
}

// checkPeer asks the relay at the other end of l which table it holds.
func (c *Client) checkPeer(ctx context.Context, l *link.Link) error {
	st, err := l.Open(link.StreamDirectory)
	if err != nil {
		return err
	}
	defer st.Close()
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { st.Close() })
	defer stop()
	return c.checkOver(st)
}

// checkOver asks one HEADER question over a directory stream. A relay that cannot
// answer is not held against it; one that holds another table is.
func (c *Client) checkOver(rw io.ReadWriter) error {
	c.mu.Lock()
	view := c.view
	c.mu.Unlock()
	q := dirsync.CheckRequest(view)
	body, err := q.Encode()
	if err != nil {
		return err
	}
	if _, err := rw.Write(dirsync.Frame(body)); err != nil {
		return link.ErrConnection
	}
	reply, err := dirsync.ReadAnswer(rw)
	if err != nil {
		return link.ErrConnection
	}
	a, err := dirsync.DecodeAnswer(reply, q)
	if err != nil {
		return errView
	}
	switch dirsync.Check(view, a) {
	case dirsync.Same, dirsync.Unknown:
		return nil
	}
	return errView
}

// crossCheck asks the guard and, through circuits, relays in different places which
// table they hold: a client that is shown a table of its own would hear of it here. It
// runs some time after the start and once a day.
func (c *Client) crossCheck(ctx context.Context) {
	questions := []func(context.Context) error{c.checkGuard}
	for range checkCircuits {
		questions = append(questions, c.checkThrough)
	}
	for {
		for _, ask := range questions {
			if pause(ctx, checkSoonest+c.random(checkLatest-checkSoonest)) != nil {
				return
			}
			if errors.Is(ask(ctx), errView) {
				c.cfg.Log.Error().EmbedObject(redact.RoleClient).EmbedObject(redact.Event("table_differs")).
					Msg("a relay reports another table of relays than this client holds; compare the genesis document with others before relying on this network")
			}
		}
		if pause(ctx, checkEvery) != nil {
			return
		}
	}
}

// checkKey isolates the client's own questions from everybody's streams.
const checkKey Isolation = "\x00check"

// checkThrough asks the last hop of a fresh circuit.
// The answer is returned as it is: one relay that agrees does not make up for one
// that does not.
func (c *Client) checkThrough(ctx context.Context) error {
	var verdict error
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	err := c.try(ctx, checkKey, needDir, func(ctx context.Context, q *circ) (bool, error) {
		defer c.retire(q)
		s, err := q.open(func() (*circuit.Stream, error) { return q.o.BeginDir() })
		if err != nil {
			return false, err
		}
		if err := s.waitOpen(ctx); err != nil {
			return false, err
		}
		defer s.Close()
		_ = s.SetDeadline(time.Now().Add(checkPatience))
		verdict = c.checkOver(s)
		return false, nil
	})
	return errors.Join(err, verdict)
}

// refreshGuards replaces guards that are due, until ctx ends.
func (c *Client) refreshGuards(ctx context.Context) {
	t := time.NewTicker(guardEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		var rule *path.RuleError
		if err := c.updateGuards(); errors.As(err, &rule) {
			c.cfg.Log.Warn().EmbedObject(redact.RoleClient).EmbedObject(redact.Event("guards")).
				Msg("no further relay can become a guard")
		}
	}
}

const guardEvery = time.Minute
