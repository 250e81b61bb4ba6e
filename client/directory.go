// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"time"

	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/directory/transition"
	"chive/internal/redact"
	"chive/link"
)

// directory is what the client knows about the list of relays.
type directory struct {
	// follower has one slot. Whoever took the Follower out may use it, and puts it
	// back: it is one goroutine's at a time, while bytes travel too.
	follower chan *dirsync.Follower
	stir     chan struct{} // a token: refetch now

	// Under Client.mu.
	table     *table
	state     State // as far as steps go; Client.stateAt knows what the clock makes of it
	step      Progress
	moved     time.Time // the last step forward
	setback   error     // what went wrong last since then; nil: nothing yet
	seats     int       // of the list that signs now; 0: not known
	fetched   time.Time
	nextFetch time.Time
	checked   time.Time
	taken     bool // a certificate was taken, and nobody apart was asked about it yet
	grounded  bool // an anchor is all that is known yet: no table
	lagging   bool // the last round found nothing fresh
	stalled   bool
	standing  standing // as it was last logged
	alarms    []Alarm  // the first ones, at most maxAlarms
	unasked   int      // CHECKs in a row for which nobody could be asked
	sent      int      // records of evidence that relays took
	readings  []reading
	futures   []future
	places    int                      // different places that can be asked
	dropped   map[record.RID]time.Time // since when
	strangers []stranger
	renewed   time.Time                 // strangers were drawn, or one of them was replaced
	borrowed  map[record.RID]*link.Link // links to relays that are no guards
	refetch   *refetch                  // asked for, or under way; nil: none
	fetchedAt time.Time                 // a round ended last
}

// newDirectory makes the directory of a client that knows the genesis document alone.
func newDirectory(c *Config) directory {
	f := dirsync.NewFollower(c.Genesis, c.Verifier)
	d := directory{
		follower: make(chan *dirsync.Follower, 1), stir: make(chan struct{}, 1),
		table: newTable(f.Snapshot(), c.Genesis.Params), state: StateCold, seats: seatsOf(f),
		dropped: make(map[record.RID]time.Time), borrowed: make(map[record.RID]*link.Link),
	}
	d.follower <- f
	return d
}

// seatsOf returns K of the list that owns the epoch of the snapshot held.
func seatsOf(f *dirsync.Follower) int {
	owner, seats, term := transition.OwnerName(f.Snapshot().Epoch()), 0, uint64(0)
	for _, l := range f.Anchor().Lists {
		if l.Committee == owner && (seats == 0 || l.Term > term) {
			seats, term = len(l.Keys), l.Term
		}
	}
	return seats
}

// current returns the snapshot in use.
func (c *Client) current() *table {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dir.table
}

// withFollower runs use with the Follower, when nobody else does. Error: ctx's.
func (c *Client) withFollower(ctx context.Context, use func(*dirsync.Follower)) error {
	select {
	case f := <-c.dir.follower:
		defer func() { c.dir.follower <- f }()
		use(f)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// loadDirectory goes on from what was saved. What cannot be used is left behind: the
// genesis document is there, and nothing in the list of relays is a secret.
func (c *Client) loadDirectory() {
	var saved []byte
	var err error
	if c.cfg.Directory != nil {
		saved, err = c.cfg.Directory.Load()
	}
	reason := redact.Other
	if err != nil {
		reason = redact.Classify(err)
	}
	if err == nil && saved == nil && c.cfg.Anchor == nil {
		return
	}
	f, unread := dirsync.Resume(c.doc, c.cfg.Verifier, saved, c.cfg.Anchor, time.Now())
	if err != nil || unread != nil {
		c.cfg.Log.Warn().EmbedObject(redact.RoleClient).EmbedObject(redact.Event("directory_state")).EmbedObject(reason).
			Msg("the saved list of relays cannot be used; it is fetched anew")
	}
	if f == nil { // New has verified the anchor
		return
	}
	<-c.dir.follower
	c.install(f)
	c.dir.follower <- f
	c.mu.Lock()
	c.dir.taken = false // it was compared when it was taken, or is once the client runs
	c.mu.Unlock()
}

// keep saves what f holds, whole, and then uses it. The caller holds f.
func (c *Client) keep(f *dirsync.Follower) {
	if c.cfg.Directory != nil {
		c.saved(savesList, c.cfg.Directory.Save(f.Encode()), "the list of relays could not be saved; after a restart an older one is gone on from")
	}
	c.install(f)
}

// Anchor makes an anchor file of the list of relays that this client holds. It waits while
// a fetch is under way. Errors: dirsync.ErrAnchor while it holds that of the genesis
// document alone; ctx's.
func (c *Client) Anchor(ctx context.Context) (a *dirsync.AnchorFile, err error) {
	if held := c.withFollower(ctx, func(f *dirsync.Follower) { a, err = f.AnchorFile() }); held != nil {
		return nil, held
	}
	return a, err
}

// install makes the snapshot that f holds the one in use, view and selector at once.
// Guards are judged by it; open circuits stay. The caller holds f.
func (c *Client) install(f *dirsync.Follower) {
	snap := f.Snapshot()
	t := c.current()
	taken := t.view.Header().Digest() != snap.Header().Digest()
	if taken {
		t = newTable(snap, c.doc.Params)
	}
	c.mu.Lock()
	c.dir.taken = c.dir.taken || taken
	c.dir.table, c.dir.seats, c.dir.grounded = t, seatsOf(f), f.Grounded()
	drawn := c.guards != nil && len(c.guards.List(time.Now())) > 0
	c.mu.Unlock()
	c.notice(f)
	if t.view.Epoch() > 0 { // who has snapshot 0 alone says it when it is ready
		c.stand()
	}
	if drawn {
		_ = c.updateGuards()
	}
	c.kick()
}

// borrow notes a link to a relay that need not be a guard.
func (c *Client) borrow(rid record.RID, l *link.Link) {
	c.mu.Lock()
	c.dir.borrowed[rid] = l
	c.mu.Unlock()
}

// carry counts the circuits on a link.
func (c *Client) carry(l *link.Link, more int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.carrying[l] += more; c.carrying[l] == 0 {
		delete(c.carrying, l)
	}
}

// giveBack closes the links to relays that are no guards: a client is seen by as few
// relays as possible. Those that carry circuits, as one to a guard that was replaced
// does, are left to the next time.
func (c *Client) giveBack() {
	now := time.Now()
	var over []*link.Link
	c.mu.Lock()
	for _, g := range c.guards.List(now) {
		delete(c.dir.borrowed, g.RID)
	}
	for rid, l := range c.dir.borrowed {
		if c.carrying[l] > 0 {
			continue
		}
		over = append(over, l)
		delete(c.dir.borrowed, rid)
	}
	c.mu.Unlock()
	for _, l := range over {
		_ = l.Close()
	}
}
