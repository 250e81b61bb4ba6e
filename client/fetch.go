// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/internal/redact"
	"chive/link"
)

const (
	// voices relays in different places must have answered before their word on what
	// is newest is taken for the network's. Spec: directory §8 (CHAIN).
	voices = 3
	// maxSources relays are tried in one round; the next one tries others.
	maxSources = 12
	// dialPatience is how long one of them may take to be linked to in the first
	// round, and twice as long in the next, up to the pool's own limit.
	dialPatience = 4 * time.Second
	// fetchPatience is how long a source may take to begin to answer, and for each
	// fetchPortion bytes after that: who sends a little now and then is no source.
	fetchPatience = 10 * time.Second
	fetchRate     = 2000 // bytes in a second, at least
	fetchPortion  = int(fetchPatience/time.Second) * fetchRate
	// fetchBase bounds a fetch without its table, fetchLimit all of it.
	fetchBase  = time.Minute
	fetchLimit = 5 * time.Minute
	// fetchPart is what a part of a table may take, in bytes.
	fetchPart = 72 << 10
)

var (
	errNoSource = errors.New("client: no relay is left to be asked for the list of relays")
	errStale    = errors.New("client: the list of relays is too old, and no newer one was found")
	errAnchor   = errors.New("client: what was saved is too old to go on from")
	errUnproven = errors.New("client: a relay cannot show how its list follows from the one held")
)

// stream is a directory stream, of a link or of a circuit.
type stream interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
}

// patient bounds the waits on a stream: fetchPatience after each request for each
// fetchPortion bytes of what answers it, and a time for all together.
type patient struct {
	stream
	began, end time.Time
	due        time.Time // when the portion must be there
	got        int       // bytes of it
	all        int64     // bytes that have come
}

func (p *patient) wait() {
	by := p.due
	if by.After(p.end) {
		by = p.end
	}
	_ = p.SetDeadline(by)
}

func (p *patient) Read(b []byte) (int, error) {
	p.wait()
	n, err := p.stream.Read(b)
	p.all += int64(n)
	if p.got += n; p.got >= fetchPortion {
		p.got, p.due = 0, time.Now().Add(fetchPatience)
	}
	return n, err
}

func (p *patient) Write(b []byte) (int, error) {
	p.got, p.due = 0, time.Now().Add(fetchPatience)
	p.wait()
	return p.stream.Write(b)
}

// expect gives a table of so many parts its time.
func (p *patient) expect(parts int) {
	p.end = p.began.Add(min(fetchLimit, fetchBase+time.Duration(min(parts, 1<<10)*(fetchPart/fetchRate))*time.Second))
}

// patiently returns s with its waits bounded, closed when ctx ends. stop must be
// called.
func patiently(ctx context.Context, s stream) (rw *patient, stop func()) {
	after := context.AfterFunc(ctx, func() { _ = s.Close() })
	now := time.Now()
	return &patient{stream: s, began: now, end: now.Add(fetchBase), due: now.Add(fetchPatience)}, func() { after() }
}

// fetchOver asks the relay at the other end of s for the newest list of relays, and
// uses what it brought if that is newer and verifies. Errors: dirsync's, s's, ctx's.
func (c *Client) fetchOver(ctx context.Context, s stream) (dirsync.Result, error) {
	rw, stop := patiently(ctx, s)
	defer stop()
	var result dirsync.Result
	var err error
	held := c.withFollower(ctx, func(f *dirsync.Follower) {
		c.enter(StateChain)
		before := findingsOf(f)
		result, err = f.Fetch(rw, time.Now, func(done, total int) {
			rw.expect(total)
			c.tableProgress(done, total, rw.all)
		})
		if err == nil && result == dirsync.Newer || findingsOf(f) != before {
			c.keep(f)
		}
		if err == nil && (result == dirsync.Newer || result == dirsync.Unproven) { // the others' word was not verified
			c.mu.Lock()
			c.dir.fetched = time.Now()
			c.mu.Unlock()
		}
	})
	return result, errors.Join(held, err)
}

// fetchFrom is fetchOver with a link to a relay.
func (c *Client) fetchFrom(ctx context.Context, s source, patience time.Duration) (dirsync.Result, error) {
	dial, cancel := context.WithTimeout(ctx, patience)
	l, err := c.links.Get(dial, s.rid, s.addrs)
	cancel()
	if errors.Is(err, link.ErrCertificateTime) {
		c.linkForTime(ctx, s, patience)
	}
	if err != nil {
		return 0, err
	}
	c.borrow(s.rid, l)
	c.progress(Progress{Percent: 10, Tag: "handshake"})
	st, err := l.Open(link.StreamDirectory)
	if err != nil {
		return 0, err
	}
	defer st.Close()
	c.progress(Progress{Percent: 20, Tag: "loading_checkpoint"})
	result, err := c.fetchOver(ctx, st)
	if told, ok := c.askTime(ctx, st, err); ok {
		c.heardTold(s.of(c), told)
	}
	return result, err
}

// tableProgress reports how much of a list of relays is there: parts, and the bytes that
// have come for it so far. How many bytes the whole takes only its parts will tell.
func (c *Client) tableProgress(done, total int, bytes int64) {
	c.enter(StateTable)
	if total > 0 {
		c.progress(Progress{
			Percent: 30 + 40*min(done, total)/total, Tag: "loading_directory",
			Text: fmt.Sprintf("%d of %d parts of the list of relays, %s received", done, total, sizeText(bytes)), done: done,
		})
	}
}

// sizeText is a number of bytes as a person reads it.
func sizeText(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 999_500:
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// hearing gathers what relays answered in one round.
type hearing struct {
	c        *Client
	linked   bool           // one of them could be spoken to
	answered map[place]bool // who answered, without anything fresh
	ahead    map[place]bool // who has a list of the future
	unproven int
	tooOld   int
	fresh    bool
	last     error // of one that did not answer
}

func (c *Client) newHearing() *hearing {
	return &hearing{c: c, answered: make(map[place]bool), ahead: make(map[place]bool)}
}

// note takes what a relay answered and reports whether nobody else need be asked.
func (h *hearing) note(rid record.RID, at place, result dirsync.Result, err error) bool {
	c := h.c
	var future *dirsync.AheadError
	if err == nil {
		c.heardNow(at)
	}
	switch {
	case err == nil && result == dirsync.Unproven:
		h.unproven++
		h.last = errUnproven
	case err == nil:
		h.fresh = c.servedFresh()
	case errors.Is(err, dirsync.ErrOrphan):
		h.last = err // what it showed is kept (alarm.go)
	case errors.Is(err, dirsync.ErrForged):
		c.drop(rid)
		h.last = err
		c.cfg.Log.Warn().EmbedObject(redact.RoleClient).EmbedObject(redact.Event("forged")).
			Msg("a relay sent a list of relays that does not verify; it is not asked again")
		return false
	case errors.Is(err, dirsync.ErrTooOld):
		h.tooOld++
		h.last = err
	case errors.As(err, &future):
		c.heardAhead(at, future.Epoch)
		h.linked, h.ahead[at] = true, true
		h.last = err
		_, proven := h.future()
		return proven
	default:
		h.last = err
		return false
	}
	h.linked = true
	if !h.fresh {
		h.answered[at] = true
	}
	shown, proven := h.future()
	return h.fresh && (!shown || proven) || len(h.answered) >= voices
}

// servedFresh reports whether the list in use is fresh by this clock; by one that is slow for
// certain nothing is.
func (c *Client) servedFresh() bool {
	now := time.Now()
	return !c.isBehind(now) && dirsync.ServedFresh(c.doc.Params, c.current().view.Epoch(), c.doc.EpochAt(now))
}

// spoke reports whether an error is an answer.
func spoke(err error) bool {
	for _, e := range []error{dirsync.ErrForged, dirsync.ErrOrphan, dirsync.ErrBusy, dirsync.ErrAbsent, dirsync.ErrTooOld, dirsync.ErrAhead} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// askAll asks sources in their order until one has brought a fresh list, or voices of
// them in different places have none. What they show of the time is for settle.
func (h *hearing) askAll(ctx context.Context, all []source, patience time.Duration) error {
	c := h.c
	asked := 0
	for _, s := range all {
		at := s.of(c)
		if asked >= maxSources {
			break
		}
		if h.answered[at] {
			continue // another one there adds nothing
		}
		asked++
		result, err := c.fetchFrom(ctx, s, patience)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.notePeer(s.rid, err)
		if err != nil {
			c.setback(err)
		}
		c.strangerAnswered(s.rid, err == nil || spoke(err))
		if h.note(s.rid, at, result, err) || errors.Is(err, link.ErrNetworkDown) {
			break
		}
	}
	return nil
}

// settle draws the conclusion of a round. Errors: *clockError; errStale when the list
// held must not be used; errAnchor; dirsync.ErrAhead; why nobody answered.
func (h *hearing) settle(ctx context.Context) error {
	c := h.c
	now := time.Now()
	enough := len(h.answered) >= min(voices, c.knownPlaces())
	if !h.fresh && h.unproven > 0 && h.unproven == len(h.answered) && enough {
		// Nobody can show how the one follows from the other; a quorum signed both.
		if err := c.withFollower(ctx, func(f *dirsync.Follower) {
			if f.Adopt() {
				c.keep(f)
			}
		}); err != nil {
			return err
		}
		h.fresh = dirsync.ServedFresh(c.doc.Params, c.current().view.Epoch(), c.doc.EpochAt(now))
	}
	clock := c.clockWrong(now)
	c.mu.Lock()
	before := c.stateAt(now)
	c.dir.lagging = !h.fresh
	after, behind := c.stateAt(now), c.behindAt(now) > 0
	// What a clock calls old that is wrong for certain need not be. What relays only say of it
	// hides nothing: it stands beside.
	c.dir.stalled = !h.fresh && enough && len(h.answered) > h.tooOld && !behind
	c.mu.Unlock()
	if after != before {
		c.stateChanged(after, clock != nil)
	}
	if c.current().view.Epoch() > 0 {
		c.stand()
	}
	switch {
	case clock != nil && behind:
		return clock // certain, whatever is fresh by it
	case h.fresh:
		return nil
	case clock != nil && (!c.hasCircuit() || c.refusesAt(now)):
		return clock
	}
	switch {
	case h.tooOld > 0 && h.tooOld == len(h.answered) && c.refusesAt(now):
		return errAnchor
	case len(h.answered) == 0 && len(h.ahead) > 0:
		return dirsync.ErrAhead // it says more than who did not answer
	case len(h.answered) == 0 && h.last != nil:
		return h.last
	case len(h.answered) == 0:
		return errNoSource
	case c.refusesAt(now):
		return errStale
	}
	return nil
}

// hasCircuit reports whether a circuit is open: then relays' word on this clock stops
// nothing.
func (c *Client) hasCircuit() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.open, func(q *circ) bool { return !q.retired })
}

// stateChanged says in the log what has become of the list of relays, once: or that it
// cannot be told, where this clock is wrong.
func (c *Client) stateChanged(s State, clock bool) {
	switch s {
	case StateStale, StateRefused:
		if clock {
			c.cfg.Log.Error().EmbedObject(redact.RoleClient).EmbedObject(redact.Event("clock_skew")).
				Msg("this machine's clock is wrong, so that how old the list of relays is cannot be told; set the clock")
			return
		}
	}
	switch s {
	case StateStale:
		c.cfg.Log.Warn().EmbedObject(redact.RoleClient).EmbedObject(redact.Event("directory_stale")).
			Msg("the list of relays is stale and no relay asked has a newer one; it is gone on with, and others are asked")
	case StateRefused:
		c.cfg.Log.Error().EmbedObject(redact.RoleClient).EmbedObject(redact.Event("directory_stale")).
			Msg("the list of relays is too old: no new circuits are made until a newer one is found; check this machine's clock and connection")
	case StateReady:
		c.cfg.Log.Info().EmbedObject(redact.RoleClient).EmbedObject(redact.Event("directory_fresh")).
			Msg("the list of relays is fresh again")
	}
}
