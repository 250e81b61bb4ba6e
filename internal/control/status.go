// SPDX-License-Identifier: BSD-3-Clause

package control

import "time"

// StatusSchema names the form of Status. Fields are added within it, never changed.
const StatusSchema = "chive.status/1"

// Status is what a daemon says about itself. Times are UTC.
type Status struct {
	Schema  string    `json:"schema"`
	Time    time.Time `json:"time"`
	Version string    `json:"version,omitempty"`
	Network Network   `json:"network"`
	Client  *Client   `json:"client,omitempty"` // nil: this process is no client
	Relays  []Relay   `json:"relays"`           // one in a relay's process, more in a testnet's
}

// Network is the network that the daemon is in.
type Network struct {
	Name         string    `json:"name"`
	ID           string    `json:"network_id"` // hexadecimal
	Testnet      bool      `json:"testnet"`
	Began        time.Time `json:"began"`
	EpochSeconds float64   `json:"epoch_seconds"`
}

// Levels of a Note, in the order of their weight.
const (
	LevelInfo    = "info"    // good to know
	LevelWarning = "warning" // protection or service is less than it could be
	LevelAlarm   = "alarm"   // somebody attacks, or something is broken
)

// Note is a sentence for a person, with a word for programs.
type Note struct {
	Level string `json:"level"`
	Code  string `json:"code"` // one word; never changes
	Text  string `json:"text"` // sentences
	// Time is when it was last so; zero: it is so now.
	Time time.Time `json:"time,omitzero"`
}

// Directory is the list of relays as one role holds it.
type Directory struct {
	Epoch        uint64    `json:"epoch"`         // of the newest list that was verified
	EpochTime    time.Time `json:"epoch_time"`    // when that epoch began
	CurrentEpoch uint64    `json:"current_epoch"` // by this machine's clock
	Freshness    string    `json:"freshness"`     // a sentence
	Fetched      time.Time `json:"fetched,omitzero"`
	NextFetch    time.Time `json:"next_fetch,omitzero"`
	Checked      time.Time `json:"checked,omitzero"` // relays apart were last found to hold this very list
	Relays       int       `json:"relays"`
	Running      int       `json:"running"`
	Guards       int       `json:"guards"`
	Exits        int       `json:"exits"`
	Committee    Committee `json:"committee"`
	Young        bool      `json:"young"`      // so few can agree that the list protects little
	Unmeasured   bool      `json:"unmeasured"` // rates are what relays say
	Stalled      bool      `json:"stalled"`    // no new list is agreed
	Forked       bool      `json:"forked"`     // another history was seen
	Alarm        *Alarm    `json:"alarm,omitempty"`
	Notes        []Note    `json:"notes"` // what follows from all this
}

// Alarm is what a network without traitors never shows: two lists of one epoch that are
// each signed by enough members, or such a list that breaks the rules. The digests are
// for whoever compares with others.
type Alarm struct {
	Kind   string    `json:"kind"` // split_view or illegal
	Epoch  uint64    `json:"epoch"`
	Since  time.Time `json:"since"`
	Ours   string    `json:"ours"`   // hexadecimal; zeros: not held any more
	Theirs string    `json:"theirs"` // hexadecimal
	Text   string    `json:"text"`
}

// Committee is who agrees on the list now.
type Committee struct {
	Members  int `json:"members"`  // K
	Majority int `json:"majority"` // M: so many change what is on the list
	Quorum   int `json:"quorum"`   // Q: so many make a list final
	Networks int `json:"networks"` // groups that the members are in
}

// Client is the client part.
type Client struct {
	State     string    `json:"state"` // cold, chain, table, check, ready, stale or refused
	Percent   int       `json:"percent"`
	Tag       string    `json:"tag"`
	Cause     string    `json:"cause,omitempty"` // of a standstill
	Text      string    `json:"text,omitempty"`  // what stands in the way, for a person
	Clock     string    `json:"clock,omitempty"` // what is wrong with it
	Directory Directory `json:"directory"`
	Guards    []Guard   `json:"guards"`
	Circuits  []Circuit `json:"circuits"`
}

// Guard is one of the relays through which this client enters.
type Guard struct {
	RID   string    `json:"rid"`
	Until time.Time `json:"until,omitzero"` // day
	State string    `json:"state"`
	Share float64   `json:"share"` // of all guards' weight
	Why   string    `json:"why"`
}

// Circuit is one open circuit.
type Circuit struct {
	Opened  time.Time `json:"opened"`
	InUse   bool      `json:"in_use"`
	Streams int       `json:"streams"`
	Epoch   uint64    `json:"epoch"` // of the list it was chosen from
	Hops    []Hop     `json:"hops"`  // guard first
}

// Hop is one relay of a circuit.
type Hop struct {
	RID      string  `json:"rid"`
	Position string  `json:"position"` // guard, middle or last
	Share    float64 `json:"share"`    // of the position's weight
	Why      string  `json:"why"`
}

// Relay is the relay part: totals, never circuits or peers.
type Relay struct {
	Name       string    `json:"name,omitempty"` // in a testnet
	RID        string    `json:"rid"`
	Nickname   string    `json:"nickname,omitempty"`
	Listen     string    `json:"listen"`
	Published  []string  `json:"published"`
	Exit       string    `json:"exit"`
	Directory  Directory `json:"directory"`
	Listed     bool      `json:"listed"`
	Running    bool      `json:"running"` // as the list says
	AgeDays    int       `json:"age_days"`
	Seat       bool      `json:"seat"`               // in the committee of this epoch
	Abstains   string    `json:"abstains,omitempty"` // why it takes no part though it has a seat
	Neighbours int       `json:"neighbours"`
	Joining    string    `json:"joining,omitempty"`
	Clock      string    `json:"clock,omitempty"` // what is wrong with it
	Store      string    `json:"store,omitempty"` // what is wrong with it
	Keys       string    `json:"keys,omitempty"`  // what is wrong with them
	Reports    []Note    `json:"reports"`
	Traffic    Traffic   `json:"traffic"`
}

// Traffic is what a relay has done since its start.
type Traffic struct {
	Circuits  int    `json:"circuits"` // open now
	Created   uint64 `json:"circuits_total"`
	Refused   uint64 `json:"circuits_refused_total"`
	Forwarded uint64 `json:"forwarded_bytes_total"` // both directions, in whole MiB
}
