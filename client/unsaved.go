// SPDX-License-Identifier: BSD-3-Clause

package client

import "chive/internal/redact"

// What of a client is saved.
const (
	savesGuards = 1 << iota
	savesList
)

// unsavedWords say that what is to be saved cannot be.
const unsavedWords = "the state folder cannot be written: guards or the list of relays are not kept, and after a restart others may be drawn. Nothing else waits for it."

// saved takes how it went to save something, and says once that it does not work. While it
// does not, that is the cause that is told where there is no other.
// Spec: product CLI-7.
func (c *Client) saved(what int, err error, log string) {
	c.mu.Lock()
	before := c.unsaved
	if c.unsaved &^= what; err != nil {
		c.unsaved |= what
	}
	began := before == 0 && c.unsaved != 0
	p := c.withUnsaved(c.dir.step)
	c.mu.Unlock()
	if err != nil {
		c.cfg.Log.Warn().EmbedObject(redact.RoleClient).EmbedObject(redact.Event("directory_state")).EmbedObject(redact.Classify(err)).Msg(log)
	}
	if !began {
		return
	}
	if p.Cause == causeDisk && c.cfg.Progress != nil {
		c.cfg.Progress(p)
	}
	c.tell(Event{Kind: EventWarning, State: causeDisk})
}

const causeDisk = "disk"

// withUnsaved gives a step that has no cause the one that what it leads to cannot be saved.
// Under c.mu.
func (c *Client) withUnsaved(p Progress) Progress {
	if c.unsaved != 0 && p.Cause == "" {
		p.Cause, p.Text, p.Fix = causeDisk, unsavedWords, CauseFix(causeDisk)
	}
	return p
}
