// SPDX-License-Identifier: BSD-3-Clause

package metrics

import "time"

// Snapshot is everything at one moment. Counters are totals since the start. A part that
// is nil is not shown.
type Snapshot struct {
	Version   string // of the program
	Directory *Directory
	Relay     *Relay
	Exit      *Exit
	Client    *Client
}

// Directory is the list of relays that this process holds.
type Directory struct {
	Entries int           // relays on the list
	Age     time.Duration // since the epoch of the newest list began
}

// Both is a count for each direction.
type Both struct{ In, Out uint64 }

// Relay is the relay part.
type Relay struct {
	Gossip                     []GossipKind // by what a message is for
	GossipBytes                Both
	Traffic                    Both   // bytes of links, at the socket
	Links                      *Links // nil: not counted
	Circuits                   int    // open
	Created, Refused, Replayed uint64
	RateLimited                *uint64 // circuits refused to a link that asks for too many at once; nil: not counted
	LinksRefused               *uint64 // connections and handshakes that ended at a bound of links; nil: not counted
	Violations                 uint64  // circuits closed because a peer broke the protocol
	Overflows                  uint64  // circuits closed at a bound of ours
	KilledForMemory            *uint64 // circuits closed to free memory; nil: none is
	Overload                   Overload
	Memory                     *Memory // nil: not counted
	Quota                      *Quota  // nil: none
	Reachable4, Reachable6     Known
	Listed, Running, Seat      bool
	Weight                     float64   // share of all running relays' weight
	SigningExpiry, LinkExpiry  time.Time // zero: not known
}

// GossipKind counts the messages of one kind.
type GossipKind struct {
	Kind string // the specification's name, in small letters
	Both
}

// Links are those that are open, and those that are coming up.
type Links struct{ In, Out, OpeningIn, OpeningOut int }

// Overload says what there is too much of now; Unknown is not shown.
type Overload struct{ Handshakes, Memory, Descriptors, Quota Known }

// Memory is the bytes of a relay's memory account.
type Memory struct{ Circuits, Queues, Buffers, Boxes, Directory int64 }

// Quota is the bytes of the current period, and how many they may be.
type Quota struct{ Used, Max int64 }

// Known is yes, no, or not known.
type Known int8

// Values of Known; the zero value is not known.
const (
	Unknown Known = iota
	No
	Yes
)

// Exit is the exit part.
type Exit struct {
	Connected, Failed                     uint64  // streams
	RefusedPolicy                         uint64  // destinations; private ones, too, where those are not told apart
	RefusedPrivate                        *uint64 // destinations; nil: counted with the policy's
	RefusedBusy                           uint64
	Resolved, NotFound, ResolutionsFailed uint64
	Datagrams                             Both
}

// Client is the client part.
type Client struct {
	CircuitsBuilt, CircuitsFailed, CircuitsTimedOut uint64
	StreamsOpened, StreamsFailed                    uint64
	BareAddresses                                   uint64    // asked for, and not looked up through chive
	Build                                           Histogram // of circuits
}

// buildBounds are the upper bounds of a Histogram's buckets, in seconds.
var buildBounds = [...]float64{0.1, 0.3, 1, 3, 10, 30}

// Histogram counts durations. Not safe for concurrent use; the zero value is empty.
type Histogram struct {
	buckets [len(buildBounds)]uint64
	count   uint64
	sum     time.Duration
}

// Add counts one.
func (h *Histogram) Add(d time.Duration) {
	h.count++
	h.sum += d
	for i, bound := range buildBounds {
		if d.Seconds() <= bound {
			h.buckets[i]++
		}
	}
}
