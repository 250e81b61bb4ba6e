// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"fmt"
	"slices"
	"time"

	"chive/directory/record"
	"chive/directory/snapshot"
	dirsync "chive/directory/sync"
	"chive/directory/vote"
	"chive/internal/redact"
)

const (
	// evidenceCircuits relays apart are given what proves a double signer.
	evidenceCircuits = 3
	// maxAlarms are kept to be shown: the first ones.
	maxAlarms = 4
)

// Kinds of Alarm.
const (
	AlarmSplit   = "split_view" // two certified lists of one epoch
	AlarmForked  = "forked"     // two certified histories, neither of which holds the other
	AlarmIllegal = "illegal"    // a certified list that breaks the rules
)

// Alarm is what a network without traitors never shows. It stays, over restarts too,
// as long as the saved list of relays does; AlarmForked until a newer anchor is begun with.
type Alarm struct {
	Kind         string
	Epoch        uint64
	Since        time.Time // start of the epoch
	Ours, Theirs [32]byte  // header digests; ours is zero if it is not held any more
	Text         string    // what it means and what to do
}

// findings are what a Follower has found against others.
type findings struct {
	split, illegal *vote.Certificate
	fork           *dirsync.Fork
	evidence       int
}

func findingsOf(f *dirsync.Follower) findings {
	return findings{f.Split(), f.Illegal(), f.Fork(), len(f.Evidence())}
}

// notice raises the alarms for what f has found, one for each kind and epoch. The caller
// holds f.
func (c *Client) notice(f *dirsync.Follower) {
	for _, a := range alarmsOf(f) {
		a.Since = c.doc.EpochStart(a.Epoch)
		c.raise(a)
	}
}

func (c *Client) raise(a Alarm) {
	c.mu.Lock()
	first := len(c.dir.alarms) < maxAlarms && !slices.ContainsFunc(c.dir.alarms, func(o Alarm) bool { return o.Kind == a.Kind && o.Epoch == a.Epoch })
	if first {
		c.dir.alarms = append(c.dir.alarms, a)
	}
	c.mu.Unlock()
	if first {
		c.tell(Event{Kind: EventWarning, State: a.Kind})
	}
	switch {
	case first && a.Kind == AlarmSplit:
		c.cfg.Log.Error().EmbedObject(redact.RoleClient).EmbedObject(redact.Event("split_view")).
			Msg("two different lists of relays of one epoch are signed as final: members of the committee have signed both; compare with others before relying on this network")
	case first && a.Kind == AlarmForked:
		c.cfg.Log.Error().EmbedObject(redact.RoleClient).EmbedObject(redact.Event("forked")).
			Msg("a relay holds a history, signed by a quorum, that the list of relays in use is no part of; it is not followed and both certificates are kept; compare with others before relying on this network")
	case first:
		c.cfg.Log.Error().EmbedObject(redact.RoleClient).EmbedObject(redact.Event("illegal_list")).
			Msg("a list of relays that breaks the network's rules is signed as final; it is not used; compare with others before relying on this network")
	}
}

func alarmsOf(f *dirsync.Follower) (out []Alarm) {
	if theirs := f.Split(); theirs != nil {
		a := Alarm{Kind: AlarmSplit, Epoch: theirs.Header.Epoch, Theirs: theirs.HeaderDigest()}
		if ours := f.Snapshot().Header(); ours.Epoch == a.Epoch {
			a.Ours = ours.Digest()
		}
		a.Text = fmt.Sprintf("Two different lists of relays are signed as final for epoch %d: members of the committee have signed both. "+
			"Whoever made them can show different lists to different people. Both are kept and the proof is passed on to relays. "+
			"Do not rely on this network until you have compared with others.", a.Epoch)
		out = append(out, a)
	}
	if fork := f.Fork(); fork != nil {
		a := Alarm{Kind: AlarmForked, Epoch: fork.Theirs.Header.Epoch, Theirs: fork.Theirs.HeaderDigest(), Ours: fork.Ours.HeaderDigest()}
		a.Text = fmt.Sprintf("There are two histories of this network's list of relays, both signed as final: the list held here for epoch %d is no part of "+
			"the other one, met at epoch %d. The other one is not followed. The certificates of both are kept. Do not rely on this network until you "+
			"have compared with others; a newer anchor from whom you trust (--anchor) decides which one is gone on from.", fork.Ours.Header.Epoch, a.Epoch)
		out = append(out, a)
	}
	if theirs := f.Illegal(); theirs != nil {
		a := Alarm{Kind: AlarmIllegal, Epoch: theirs.Header.Epoch, Theirs: theirs.HeaderDigest()}
		a.Text = fmt.Sprintf("A list of relays that breaks the network's rules is signed as final for epoch %d: the committee is not honest. "+
			"The list is not used. Do not rely on this network until you have compared with others.", a.Epoch)
		out = append(out, a)
	}
	return out
}

// worst returns the alarm to show where there is room for one: two lists of one epoch
// before two histories, and these before a list that breaks rules, which is not used; the
// latest of a kind. Nil: none.
func worst(all []Alarm) *Alarm {
	order := []string{AlarmSplit, AlarmForked, AlarmIllegal}
	var out *Alarm
	for i := range all {
		a := &all[i]
		if out == nil || slices.Index(order, a.Kind) < slices.Index(order, out.Kind) || a.Kind == out.Kind && a.Epoch > out.Epoch {
			out = a
		}
	}
	return out
}

// sendEvidence gives relays apart what proves double signers, each record to
// evidenceCircuits of them; what nobody took is offered again the next time.
func (c *Client) sendEvidence(ctx context.Context) {
	var all []*record.Evidence
	if c.withFollower(ctx, func(f *dirsync.Follower) { all = f.Evidence() }) != nil {
		return
	}
	c.mu.Lock()
	from := min(c.dir.sent, len(all))
	c.dir.sent = len(all) // nobody else sends them meanwhile
	c.mu.Unlock()
	taken := from == len(all)
	var asked []*snapshot.Relay
	for tries := 0; tries < 2*evidenceCircuits && len(asked) < evidenceCircuits && from < len(all); tries++ {
		last, err := c.through(ctx, asked, func(ctx context.Context, s stream) error {
			rw, stop := patiently(ctx, s)
			defer stop()
			for _, e := range all[from:] {
				if err := dirsync.SendEvidence(rw, e); err != nil {
					return err
				}
			}
			return nil
		})
		switch {
		case ctx.Err() != nil:
			tries = 2 * evidenceCircuits
		case last == nil:
		default:
			asked = append(asked, last)
			taken = taken || err == nil
		}
	}
	if !taken {
		c.mu.Lock()
		c.dir.sent = from
		c.mu.Unlock()
	}
}
