// SPDX-License-Identifier: BSD-3-Clause

package control

import "time"

// The forms of what the API answers besides Status. Fields are added within one,
// never changed.
const (
	BootstrapSchema   = "chive.bootstrap/1"
	CircuitsSchema    = "chive.circuits/1"
	StreamsSchema     = "chive.streams/1"
	ExplainSchema     = "chive.explain/1"
	RelaySchema       = "chive.relay/1"
	ConfigSchema      = "chive.config/1"
	EventSchema       = "chive.event/1"
	NewIdentitySchema = "chive.newnym/1"
	ClosedSchema      = "chive.closed/1"
	ReloadSchema      = "chive.reload/1"
	DrainSchema       = "chive.drain/1"
	WebSchema         = "chive.web/1"
	HealthSchema      = "chive.health/1"
	FailureSchema     = "chive.error/1"
)

// Bootstrap says how far a client is.
type Bootstrap struct {
	Schema  string `json:"schema"`
	State   string `json:"state"` // as in Client
	Percent int    `json:"percent"`
	Tag     string `json:"tag"`             // of the step
	Cause   string `json:"cause,omitempty"` // of a standstill
	Text    string `json:"text,omitempty"`  // what stands in the way, for a person
	Fix     string `json:"fix,omitempty"`   // what to do about the cause
	Clock   string `json:"clock,omitempty"` // what is wrong with it
	Ready   bool   `json:"ready"`           // new streams work
}

// Circuits are a client's open circuits and the guards that they begin with.
type Circuits struct {
	Schema   string    `json:"schema"`
	Time     time.Time `json:"time"`
	Guards   []Guard   `json:"guards"`
	Circuits []Circuit `json:"circuits"` // the oldest first
}

// Streams are the streams that are told of.
type Streams struct {
	Schema  string    `json:"schema"`
	Time    time.Time `json:"time"`
	Streams []Stream  `json:"streams"` // the newest first
}

// Explained is the story of one stream.
type Explained struct {
	Schema  string    `json:"schema"`
	Time    time.Time `json:"time"`
	Stream  Stream    `json:"stream"`
	Circuit *Circuit  `json:"circuit,omitempty"` // that it is on, while that is open
}

// RelayStatus is the relay part of Status.
type RelayStatus struct {
	Schema string    `json:"schema"`
	Time   time.Time `json:"time"`
	Relays []Relay   `json:"relays"`
}

// Config is the configuration in force.
type Config struct {
	Schema   string    `json:"schema"`
	Settings []Setting `json:"settings"`
}

// NewIdentityDone says that a new identity began.
type NewIdentityDone struct {
	Schema string `json:"schema"`
}

// Closed says that a circuit was ended.
type Closed struct {
	Schema string `json:"schema"`
	ID     string `json:"id"`
}

// ReloadDone says what reading the configuration again has changed.
type ReloadDone struct {
	Schema string `json:"schema"`
	Reloaded
}

// DrainAsked is what is sent to drain; none is the same as an empty one.
type DrainAsked struct {
	After float64 `json:"after_seconds,omitempty"` // when to end at the latest; 0: as configured
}

// DrainBegun says that a daemon drains.
type DrainBegun struct {
	Schema string  `json:"schema"`
	After  float64 `json:"after_seconds,omitempty"` // as asked
}

// Web is an address of the local page.
type Web struct {
	Schema  string  `json:"schema"`
	Address string  `json:"address"`       // with a token, good once
	Good    float64 `json:"valid_seconds"` // for so long
}

// Health says that a daemon runs, or is ready.
type Health struct {
	Schema string `json:"schema"`
	OK     bool   `json:"ok"`
	// Troubles are what is wrong here although it works. Only of who asks whether it is ready.
	Troubles []Trouble `json:"troubles,omitempty"`
}

// Trouble is something that is wrong with this machine while the daemon does its work.
type Trouble struct {
	Code string `json:"code"` // disk_low (there is little room), disk (the client keeps nothing); of a relay store, keys, certificates (they end soon), twin, clock or list (it grows old); never changes
	Text string `json:"text"` // what is so, and why
	Fix  string `json:"fix"`  // what to do about it
}

// Failure is an error for programs and people. Spec: product CLI-5.
type Failure struct {
	Schema string `json:"schema"`
	Code   string `json:"code"` // one word; never changes
	Text   string `json:"text"` // what happened
	Fix    string `json:"fix"`  // what to do about it
	// Status is that of HTTP; 0 is 409. On the client's side it is what came.
	Status int `json:"-"`
}

// Error returns the text.
func (f *Failure) Error() string { return "control: " + f.Text }
