// SPDX-License-Identifier: BSD-3-Clause

package client

// Event says that something has changed. Whoever wants to know what reads Status,
// Streams or Circuits.
type Event struct {
	Kind string // EventBootstrap and so on
	ID   string // of the circuit or stream; empty: none in particular
	// State is the new one: a tag or cause of Progress; open or closed of a circuit, or
	// new_identity for all of them; of a stream as in StreamExplained; the kind of an
	// Alarm, or WarningGuardMoved.
	State string
}

// Kinds of Event.
const (
	EventBootstrap = "bootstrap"
	EventCircuit   = "circuit"
	EventStream    = "stream"
	EventWarning   = "warning"
)

// WarningGuardMoved is the State of an EventWarning: a guard broke circuits and is used last.
const WarningGuardMoved = "guard_moved"

// tell passes an event on. Never under a lock.
func (c *Client) tell(e Event) {
	if c.cfg.Events != nil {
		c.cfg.Events(e)
	}
}
