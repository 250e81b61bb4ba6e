// SPDX-License-Identifier: BSD-3-Clause

package control

import "time"

// Source is asked for what the API serves. Status must not block for long; the
// result belongs to the caller.
//
// A Source may also have any of the abilities below. Paths that need one that it
// lacks answer 404 with the code not_here; so do those that need a client while Status
// has none, whatever the Source can.
type Source interface{ Status() *Status }

// Streamer is the ability to tell of streams.
type Streamer interface {
	// Streams returns the open streams and the last ones that failed or were slow, the
	// newest first. The result belongs to the caller.
	Streams() []Stream
	// Explain returns the stream of that name; last is the one that failed or was slow
	// last.
	Explain(id string) (*Stream, bool)
}

// Renewer is the ability to begin anew: streams from now on share no circuit with
// those before, and explanations are forgotten.
type Renewer interface{ NewIdentity() }

// Closer is the ability to end a circuit with all that it carries. False: there is no
// circuit of that name.
type Closer interface{ CloseCircuit(id string) bool }

// Reloader is the ability to read the configuration again: all of it is applied, or
// nothing. An error that is a *Failure is shown as it is. Spec: product CFG-4.
type Reloader interface{ Reload() (*Reloaded, error) }

// Drainer is the ability to take no new circuits, and to end when the rest is done or
// after that time; zero: the time that the configuration names. It returns at once. An
// error that is a *Failure is shown as it is. Spec: product REL-9.
type Drainer interface {
	Drain(after time.Duration) error
}

// Configured is the ability to show the settings in force, in the order of the
// documentation; nil: there are none to show. Values that are secrets are not among
// them.
type Configured interface{ Settings() []Setting }

// Eventful is the ability to say when something changes. Serve asks once; a nil hub is
// none.
type Eventful interface{ Events() *Hub }

// Readier is the ability to say itself whether it is ready, and why not. Without it a
// client is ready when it has a list of relays to work with, and a relay when it publishes
// an address that others were not seen to miss it at, and neither drains nor rests.
type Readier interface {
	Ready() (ready bool, why string)
}

// Pager is the ability to hand out an address of the local page, with a token in it
// that is good once and for so long. It is asked for over the socket only. An error
// that is a *Failure is shown as it is.
type Pager interface {
	WebAddress() (address string, good time.Duration, err error)
}

// States of a Stream.
const (
	StreamWaiting    = "waiting"    // for a circuit
	StreamConnecting = "connecting" // the exit connects
	StreamOpen       = "open"
	StreamClosed     = "closed" // in order
	StreamFailed     = "failed"
)

// Stream is the story of one stream. It names a destination, so it stays in memory,
// with the user whose stream it is. Spec: product §4.6.
type Stream struct {
	ID        string    `json:"id"`   // local to this process, and never sent
	Kind      string    `json:"kind"` // connect, resolve or udp
	Target    string    `json:"target"`
	Listener  string    `json:"listener,omitempty"`   // where the program asked
	CircuitID string    `json:"circuit_id,omitempty"` // empty: none yet
	State     string    `json:"state"`                // waiting, connecting, open, closed or failed
	Slow      bool      `json:"slow"`                 // connecting takes, or took, over 10 s
	Began     time.Time `json:"began"`
	Ended     time.Time `json:"ended,omitzero"`
	Reason    string    `json:"reason,omitempty"`             // one word, of a failure
	Text      string    `json:"text,omitempty"`               // what happened, for a person
	Fix       string    `json:"fix,omitempty"`                // what to do about it
	Took      float64   `json:"took_seconds"`                 // until connected; 0: not yet
	FirstByte float64   `json:"first_byte_seconds,omitempty"` // until the first byte came back
	Up        uint64    `json:"up_bytes"`
	Down      uint64    `json:"down_bytes"`
	Times     int       `json:"times,omitempty"` // how often it was refused before a relay was asked; began and ended are of the last time
	Tries     []Try     `json:"tries"`           // the first one first
}

// Try is one attempt to connect a stream.
type Try struct {
	Phase  string  `json:"phase"`           // client (it was refused there), bootstrap, circuit, exit, connect or answer (what came did not serve)
	Hop    int     `json:"hop,omitempty"`   // where it failed: 1 is the guard; 0: at none
	Relay  string  `json:"relay,omitempty"` // hexadecimal
	Took   float64 `json:"took_seconds"`
	Reason string  `json:"reason,omitempty"` // one word; waiting: it went on then, and the next one says how; empty: it worked
	Text   string  `json:"text,omitempty"`
}

// Setting is one value of the configuration in force.
type Setting struct {
	Key    string `json:"key"`    // section.key
	Value  string `json:"value"`  // as it is written in a file
	Origin string `json:"origin"` // default, or the file and line, variable or flag
}

// Reloaded is what reading the configuration again has changed.
type Reloaded struct {
	Applied []string `json:"applied"` // keys
	Restart []string `json:"restart"` // keys that changed but need a restart to count
}
