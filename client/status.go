// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"time"

	"chive/directory/record"
)

// CircuitStatus is what a client shows its own user about one circuit.
type CircuitStatus struct {
	Path    []record.RID // guard first
	Opened  time.Time
	InUse   bool // carries, or has carried, streams of one isolation key
	Streams int  // open now
}

// Circuits returns the open circuits, the oldest first.
func (c *Client) Circuits() []CircuitStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]CircuitStatus, len(c.open))
	for i, q := range c.open {
		out[i] = CircuitStatus{Path: q.rids(), Opened: q.openedAt, InUse: q.taken, Streams: q.streams}
	}
	return out
}

// Guards returns the client's guards in their order.
func (c *Client) Guards() []record.RID {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []record.RID
	if c.guards == nil {
		return nil // Run has not read them yet
	}
	for _, g := range c.guards.List(time.Now()) {
		out = append(out, g.RID)
	}
	return out
}
