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
	// Listeners are the places where this process serves local programs.
	Listeners []Listener `json:"listeners,omitempty"`
	Disk      string     `json:"disk,omitempty"` // that the disk of the state folder has little room left
}

// Listener is a place where a daemon serves its user's programs.
type Listener struct {
	Kind    string `json:"kind"`           // socks, dns, web, metrics or relay
	Address string `json:"address"`        // as host:port or unix:PATH
	Text    string `json:"text,omitempty"` // what is wrong with it, or worth knowing
	// BareAddresses counts, for socks, the addresses asked for there that were not looked up through chive: a program's look-ups may leak.
	BareAddresses uint64 `json:"bare_addresses_total,omitempty"`
}

// Network is the network that the daemon is in.
type Network struct {
	Name         string    `json:"name"`
	ID           string    `json:"network_id"` // hexadecimal
	Testnet      bool      `json:"testnet"`
	Began        time.Time `json:"began"`
	EpochSeconds float64   `json:"epoch_seconds"`
	DaySeconds   float64   `json:"day_seconds,omitempty"` // in which ages are told: minutes in a testnet
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
	Code  string `json:"code"`          // one word; never changes
	Text  string `json:"text"`          // sentences
	RID   string `json:"rid,omitempty"` // of the relay that it is about, hexadecimal
	// Time is when it was last so; zero: it is so now.
	Time time.Time `json:"time,omitzero"`
}

// Directory is the list of relays as one role holds it.
type Directory struct {
	Epoch        uint64    `json:"epoch"`              // of the newest list that was verified
	EpochTime    time.Time `json:"epoch_time"`         // when that epoch began
	CurrentEpoch uint64    `json:"current_epoch"`      // by this machine's clock
	Freshness    string    `json:"freshness"`          // a sentence
	DirRoot      string    `json:"dir_root,omitempty"` // the list's digest, hexadecimal: the same wherever its epoch is
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
	Stalled      bool      `json:"stalled"`    // no new list is agreed, by this machine's clock
	Forked       bool      `json:"forked"`     // another history was seen: at a relay within the last 90 days
	Alarm        *Alarm    `json:"alarm,omitempty"`
	Notes        []Note    `json:"notes"` // what follows from all this
}

// Alarm is what a network without traitors never shows: two lists of one epoch that are
// each signed by enough members, two such histories, or such a list that breaks the
// rules. The digests are for whoever compares with others.
type Alarm struct {
	Kind   string    `json:"kind"` // split_view, forked or illegal
	Epoch  uint64    `json:"epoch"`
	Since  time.Time `json:"since"`
	Ours   string    `json:"ours"`   // hexadecimal; zeros: not held any more
	Theirs string    `json:"theirs"` // hexadecimal
	Text   string    `json:"text"`
}

// Committee is who agrees on the list now.
type Committee struct {
	Name     string `json:"name,omitempty"` // A, or B, which agrees on each fifth epoch; "": not told
	Members  int    `json:"members"`        // K
	Majority int    `json:"majority"`       // M: so many change what is on the list
	Quorum   int    `json:"quorum"`         // Q: so many make a list final
	Networks int    `json:"networks"`       // groups that the members are in
	// Reached is how many of the members a relay is itself, or has a stream with.
	Reached int `json:"reached,omitempty"`
	// Signed of Signers have signed the newest list that a relay holds; 0 of 0: nobody
	// had to, or it is not known.
	Signed  int `json:"signed,omitempty"`
	Signers int `json:"signers,omitempty"`
	// SignedBy is the committee that has signed it, SignersNeeded how many of Signers must.
	SignedBy      string `json:"signed_by,omitempty"`
	SignersNeeded int    `json:"signers_needed,omitempty"`
	// Seats are the members one by one, at a relay.
	Seats []Seat `json:"seats,omitempty"`
}

// Seat is one member of the committee, as a relay sees it.
type Seat struct {
	RID      string `json:"rid"`
	Nickname string `json:"nickname,omitempty"` // what it calls itself in its descriptor, where a relay of this process holds that: not unique, and nobody vouches for it
	Self     bool   `json:"self,omitempty"`
	Stream   bool   `json:"stream"`  // this relay has one with it
	Signer   bool   `json:"signer"`  // it has a seat in the committee that signed the newest list (signed_by); where it has none, nothing is known of its signatures
	Signed   bool   `json:"signed"`  // a signer: the newest list has its signature; a list is closed once enough have signed, and those that come later are not counted
	Running  bool   `json:"running"` // as the list says
	// Penalty is until when it has no say, for proof that it has signed two things; zero: it has one.
	Penalty time.Time `json:"penalty_ends,omitzero"`
}

// Client is the client part.
type Client struct {
	State     string    `json:"state"` // cold, chain, table, check, ready, stale, refused or down
	Percent   int       `json:"percent"`
	Tag       string    `json:"tag"`
	Cause     string    `json:"cause,omitempty"` // of a standstill
	Text      string    `json:"text,omitempty"`  // what stands in the way, for a person
	Fix       string    `json:"fix,omitempty"`   // what to do about the cause
	Clock     string    `json:"clock,omitempty"` // what is wrong with it
	Directory Directory `json:"directory"`
	Guards    []Guard   `json:"guards"`
	Circuits  []Circuit `json:"circuits"`
	// Peers are the relays that the user has named to begin with (--peer, network.peers).
	Peers []Peer `json:"named_peers,omitempty"`
	// Traffic is that of streams since the start; nil: not counted.
	Traffic *ClientTraffic `json:"traffic,omitempty"`
}

// Peer is a relay that the user has named, and how it went when it was asked last.
type Peer struct {
	RID       string    `json:"rid"`
	Addresses []string  `json:"addresses"`
	State     string    `json:"state"`          // untried, reached, refused, no_route, timeout, other_relay, other_network, clock, ports, proxy_denied, proxy_fails, proxy_silent, forged, self or failed
	Text      string    `json:"text,omitempty"` // what is wrong, and what to do; left out: nothing is known to be
	Tried     time.Time `json:"tried,omitzero"`
}

// ClientTraffic is what the user's streams have carried since the start.
type ClientTraffic struct {
	Up      uint64 `json:"up_bytes_total"`   // from this machine
	Down    uint64 `json:"down_bytes_total"` // to this machine
	Streams int    `json:"streams"`          // open now
}

// Guard is one of the relays through which this client enters.
type Guard struct {
	RID      string    `json:"rid"`
	Nickname string    `json:"nickname,omitempty"` // as a Seat's
	Until    time.Time `json:"until,omitzero"`     // day
	State    string    `json:"state"`              // in use, failing (while the client is down), ready, unreachable, absent or last
	Share    float64   `json:"share"`              // of all guards' weight
	Why      string    `json:"why"`
}

// Circuit is one open circuit.
type Circuit struct {
	ID      string    `json:"id,omitempty"`      // local to this process, and never sent
	Purpose string    `json:"purpose,omitempty"` // what it is kept for
	Opened  time.Time `json:"opened"`
	Took    float64   `json:"took_seconds,omitempty"` // to build it
	InUse   bool      `json:"in_use"`
	Streams int       `json:"streams"`
	Epoch   uint64    `json:"epoch"` // of the list it was chosen from
	Hops    []Hop     `json:"hops"`  // guard first
}

// Hop is one relay of a circuit.
type Hop struct {
	RID      string  `json:"rid"`
	Nickname string  `json:"nickname,omitempty"` // as a Seat's
	Position string  `json:"position"`           // guard, middle or last
	Share    float64 `json:"share"`              // of the position's weight
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
	Seat       bool      `json:"seat"`                  // in the committee of this epoch
	Abstains   string    `json:"abstains,omitempty"`    // why it takes no part though it has a seat, or is shut out of the committee, or has a twin
	Twin       bool      `json:"twin,omitempty"`        // another process runs with its keys, or did a short while ago
	SeatIn     []string  `json:"seat_in,omitempty"`     // committees, A and B, in which it has a seat
	Penalty    time.Time `json:"penalty_ends,omitzero"` // it is shut out of the committee until then, for two signatures
	Neighbours int       `json:"neighbours"`
	Joining    string    `json:"joining,omitempty"`
	Clock      string    `json:"clock,omitempty"`     // what is wrong with it
	Store      string    `json:"store,omitempty"`     // what is wrong with it
	StoreFix   string    `json:"store_fix,omitempty"` // what to do about that
	Keys       string    `json:"keys,omitempty"`      // what is wrong with them
	KeysFix    string    `json:"keys_fix,omitempty"`  // what to do about that
	Reports    []Note    `json:"reports"`
	Traffic    Traffic   `json:"traffic"`

	Certificates *Certificates `json:"certificates,omitempty"` // nil: its identity key is in its state folder

	Reachable *Reachable `json:"reachable,omitempty"`             // nil: not tested
	Weight    *Weight    `json:"weight,omitempty"`                // nil: not on the list
	Family    string     `json:"family,omitempty"`                // of one that is in a family: which, and whether the list shows it, a sentence
	Permits   string     `json:"exit_permits,omitempty"`          // of an exit: what destinations, as its descriptor says; left out: it is none
	Forwarded string     `json:"forwarded,omitempty"`             // what the router does for it, a sentence
	Rate      uint64     `json:"rate_bytes_per_second,omitempty"` // ceiling each way; 0: none
	Declared  uint64     `json:"declared_bytes_per_second"`       // what clients choose it by; 0: it rests or drains
	RateUse   *RateUse   `json:"rate_use,omitempty"`              // nil: no ceiling
	Quota     *Quota     `json:"quota,omitempty"`                 // nil: none
	Memory    *Memory    `json:"memory,omitempty"`
	Overload  string     `json:"overload,omitempty"` // what there is too much of, a sentence
	Drains    bool       `json:"drains,omitempty"`   // it takes no new circuits and will end
	Vouching  *Vouching  `json:"vouching,omitempty"` // nil: not known
	// Peers are the relays that its operator has named (--peer, network.peers), which it asks while it is not on the list, or behind.
	Peers []Peer `json:"named_peers,omitempty"`
}

// Vouching is whether a relay may vouch for newcomers (chive relay vouch).
type Vouching struct {
	May     bool   `json:"may"`
	Text    string `json:"text,omitempty"`     // why it may not
	Day     int    `json:"day"`                // of the network, by its newest list
	FromDay int    `json:"from_day,omitempty"` // it has vouched, and may again from that day
	GapDays int    `json:"gap_days"`           // between two vouchers of one relay that are used; 0: no limit
	Left    int    `json:"left"`               // that count in gap_days from now on: 1 or 0, where gap_days is not 0
	Places  int    `json:"places_per_day"`     // on the list, for all the vouched together; 0: no limit

	FromTime time.Time `json:"from_time,omitzero"` // when from_day begins
}

// Certificates are what a relay's identity, whose key is kept offline, has signed for it.
type Certificates struct {
	Signing time.Time `json:"signing_ends"` // for the key that signs its descriptor
	Links   time.Time `json:"links_end"`    // for the last of its link keys
	Text    string    `json:"text"`
	Warning string    `json:"warning,omitempty"` // it ends soon, and what to do
	Fix     string    `json:"fix,omitempty"`     // what to do alone
}

// Reachable says whether others reach a relay: by its test of its own addresses, or, where nobody could be asked, by the list.
type Reachable struct {
	State       string             `json:"state"`            // yes, no or unknown
	Text        string             `json:"text"`             // at which address, and how many confirm it, or why not and what to do
	Checked     time.Time          `json:"checked,omitzero"` // when others dialled it; left out: by the list
	ConfirmedBy int                `json:"confirmed_by"`     // relays that dialled it and found it, at any address
	Addresses   []ReachableAddress `json:"addresses,omitempty"`
}

// ReachableAddress is what the test says of one address.
type ReachableAddress struct {
	Address     string   `json:"address"`
	State       string   `json:"state"`            // yes, no or unknown
	ConfirmedBy int      `json:"confirmed_by"`     // relays that found this one there
	Causes      []string `json:"causes,omitempty"` // of each relay that did not: refused, timeout, unreachable or wrong_identity
}

// Weight is how much of the network's load a relay is chosen for.
type Weight struct {
	Share float64 `json:"share"` // of all running relays' weight
	Why   string  `json:"why"`   // what raises and lowers it
}

// RateUse is what a relay's ceiling has held back.
type RateUse struct {
	Binds   bool    `json:"binds"`                  // in the last minute it held something back for a twentieth of the time or more
	HeldIn  float64 `json:"held_in_seconds_total"`  // since the start: for how long something that came in waited for it
	HeldOut float64 `json:"held_out_seconds_total"` // same, going out
	Text    string  `json:"text,omitempty"`
}

// Quota is what a relay may carry in a period, and has.
type Quota struct {
	Period string    `json:"period"` // day, week or month
	Used   uint64    `json:"used_bytes"`
	Max    uint64    `json:"max_bytes"`
	Ends   time.Time `json:"ends"`              // when the next period begins
	Text   string    `json:"text,omitempty"`    // what it means now
	UsedUp bool      `json:"used_up,omitempty"` // the relay rests until then
}

// Memory is a relay's account of queues, buffers and lists.
type Memory struct {
	Process uint64    `json:"process_bytes"`        // of the machine's memory that the whole process has, in whole MiB
	Since   time.Time `json:"short_since,omitzero"` // when it became short; left out: it is not
	Used    uint64    `json:"used_bytes"`
	Max     uint64    `json:"max_bytes"`
	Refused uint64    `json:"circuits_refused_total"` // for want of it, since the start
	Killed  uint64    `json:"circuits_closed_total"`  // same
	Text    string    `json:"text,omitempty"`         // what it has come to
}

// Traffic is what a relay has done since its start.
type Traffic struct {
	Circuits  int    `json:"circuits"` // open now
	Created   uint64 `json:"circuits_total"`
	Refused   uint64 `json:"circuits_refused_total"`
	Forwarded uint64 `json:"forwarded_bytes_total"` // both directions, an exit's to and from destinations included, in whole MiB
}
