// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"chive/directory/snapshot"
	dirsync "chive/directory/sync"
	"chive/directory/vote"
	"chive/internal/redact"
)

// The CHECK: relays in different places are asked, each through a circuit of its own,
// which header they hold for the epoch of the list in use. A client that is shown a
// list made for it alone hears of it here. Spec: directory §8 (CHECK).

const (
	checkCircuits = 2 // relays that must hold the same
	maxQuestions  = 6 // relays asked, at most, for these
	maxChecks     = 3 // lists compared in one go, if they change meanwhile
	checkLimit    = time.Minute
	// firstPatience bounds the CHECK before the first request: whoever answers nothing
	// can hold up a client no longer. It is then done later.
	firstPatience = 20 * time.Second
	checkEvery    = 24 * time.Hour
	checkAgain    = 10 * time.Minute // after one that came to nothing
	unaskedLimit  = 3                // of those in a row are told

	// What a client asks for itself comes so long after its start, at random in
	// between: it holds up no user, and who sees it learns only about when that was.
	checkSoonest = 5 * time.Second
	checkLatest  = 15 * time.Second
)

// errUnchecked says that too few relays could be asked.
var errUnchecked = errors.New("client: too few relays could be asked which list of relays they hold")

// answer is what one relay's answer means.
type answer byte

const (
	answerNone    answer = iota // none
	answerSame                  // it holds the list in use
	answerSkipped               // it says that the epoch has no list
	answerOther                 // it holds another one, and showed the certificate
	answerBroken                // it said something that is not so
)

// unchecked reports whether a list was taken from somebody that nobody apart was asked
// about. What follows from the genesis document alone is everybody's.
func (c *Client) unchecked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dir.taken && c.dir.table.view.Epoch() > 0
}

// firstCheck is the CHECK before the first request.
func (c *Client) firstCheck(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, firstPatience)
	defer cancel()
	_ = c.crossCheck(ctx) // what is not answered now is asked later
}

// checkDaily compares lists some time after the start and once a day, and passes
// evidence on, until ctx ends.
func (c *Client) checkDaily(ctx context.Context) {
	c.mu.Lock()
	done := !c.dir.checked.IsZero()
	c.mu.Unlock()
	wait := checkSoonest + c.random(checkLatest-checkSoonest)
	if done {
		c.sendEvidence(ctx)
		wait = checkEvery
	} else {
		wait += checkSoonest // the first fetch comes before
	}
	for pause(ctx, wait) == nil {
		wait = checkEvery
		if err := c.crossCheck(ctx); err != nil {
			wait = checkAgain
		}
		c.sendEvidence(ctx)
	}
}

// crossCheck compares the list in use with what relays apart hold. What it finds
// stands in the Status. Error: errUnchecked.
func (c *Client) crossCheck(ctx context.Context) error {
	for range maxChecks {
		t := c.current()
		err := c.checkTable(ctx, t)
		if c.current() == t {
			c.checkEnded(err)
			return err
		}
	}
	return errUnchecked
}

// checkEnded counts CHECKs that came to nothing.
func (c *Client) checkEnded(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dir.unasked++; err == nil {
		c.dir.unasked = 0
	}
	if c.dir.unasked == unaskedLimit {
		c.cfg.Log.Warn().EmbedObject(redact.RoleClient).EmbedObject(redact.Event("unchecked")).
			Msg("no relay could be asked which list of relays it holds, several times in a row; the guards may keep others from answering")
	}
}

// checkTable asks relays about t until checkCircuits hold the same, t is not in use
// any more, or nobody is left to ask.
func (c *Client) checkTable(ctx context.Context, t *table) error {
	var asked []*snapshot.Relay
	same := 0
	for len(asked) < maxQuestions && ctx.Err() == nil {
		before := len(asked)
		for _, q := range c.askMany(ctx, t, asked, checkCircuits-same) {
			if q.last == nil {
				continue
			}
			asked = append(asked, q.last)
			switch q.answer {
			case answerSame:
				same++
			case answerBroken:
				c.drop(q.last.RID)
				c.cfg.Log.Warn().EmbedObject(redact.RoleClient).EmbedObject(redact.Event("forged")).
					Msg("a relay says of the list of relays in use what is not so; it is not asked again")
			}
		}
		switch {
		case c.current() != t:
			return nil
		case same >= checkCircuits, same > 0 && len(asked) == before: // the network has no more to ask
			c.mu.Lock()
			c.dir.checked, c.dir.taken = time.Now(), false
			c.mu.Unlock()
			return nil
		case len(asked) == before:
			return errUnchecked
		}
	}
	return errUnchecked
}

// question is one relay's answer; last is nil when it could not be asked.
type question struct {
	last   *snapshot.Relay
	answer answer
}

// askMany asks n relays at once about t, in places apart from each other and from
// those that were asked.
func (c *Client) askMany(ctx context.Context, t *table, asked []*snapshot.Relay, n int) []question {
	out := make([]question, n)
	var tasks sync.WaitGroup
	not := slices.Clone(asked)
	for i := range out {
		last := c.pickLast(t, not, i)
		if last == nil {
			last = c.pickLast(t, not, 0) // of a few relays none may be left that meets both guards
		}
		if last == nil {
			break
		}
		not = append(not, last)
		tasks.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkLimit)
			defer cancel()
			err := c.askLast(ctx, last, i, func(ctx context.Context, s stream) error {
				out[i].answer = c.question(ctx, s, t, c.placeOf(last.RID, last.Addresses))
				return nil
			})
			if err != nil {
				c.avoidRelay(last.RID)
			}
			out[i].last = last
		})
	}
	tasks.Wait()
	return out
}

// question asks the relay at a place, at the other end of s, about t.
func (c *Client) question(ctx context.Context, s stream, t *table, at place) answer {
	rw, stop := patiently(ctx, s)
	defer stop()
	theirs, err := dirsync.FetchHeader(rw, c.nid, t.view.Epoch())
	switch {
	case errors.Is(err, dirsync.ErrForged):
		return answerBroken
	case err != nil:
		return answerNone
	case theirs == nil:
		return c.skipped(ctx, s, at)
	case theirs.Digest() == t.view.Header().Digest():
		return answerSame
	case t.view.Epoch() == 0:
		return answerBroken // snapshot 0 follows from the genesis document
	}
	cert, err := dirsync.FetchCertificate(rw, theirs.Digest())
	if errors.Is(err, dirsync.ErrAbsent) {
		// Its newest one may have been replaced meanwhile.
		again, err := dirsync.FetchHeader(rw, c.nid, t.view.Epoch())
		switch {
		case errors.Is(err, dirsync.ErrForged), err == nil && again != nil && again.Digest() == theirs.Digest():
			return answerBroken // it says so and does not show it
		case err == nil && again != nil && again.Digest() == t.view.Header().Digest():
			return answerSame
		}
		return answerNone
	}
	switch {
	case errors.Is(err, dirsync.ErrForged):
		return answerBroken
	case err != nil:
		return answerNone
	}
	return c.judge(ctx, cert)
}

// skipped follows the chain of a relay that says there is no list of an epoch of
// which a certified one is in use, if it is the higher one.
func (c *Client) skipped(ctx context.Context, s stream, at place) answer {
	_, err := c.fetchOver(ctx, s)
	var future *dirsync.AheadError
	if errors.As(err, &future) {
		c.heardAhead(at, future.Epoch)
	}
	if errors.Is(err, dirsync.ErrForged) {
		return answerBroken
	}
	return answerSkipped
}

// judge compares a certificate for another header of the epoch with what is held.
func (c *Client) judge(ctx context.Context, theirs *vote.Certificate) answer {
	out := answerNone
	err := c.withFollower(ctx, func(f *dirsync.Follower) {
		before := findingsOf(f)
		switch verdict, _ := f.Judge(theirs); verdict {
		case dirsync.JudgeForged, dirsync.JudgeSame:
			out = answerBroken
		case dirsync.JudgeOther:
			out = answerOther
			if findingsOf(f) != before {
				c.keep(f)
			}
		}
	})
	if err != nil {
		return answerNone
	}
	return out
}
