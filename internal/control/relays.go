// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"net/http"
	"time"
)

// RelaysSchema names the form of Relays. Fields are added within it, never changed.
const RelaysSchema = "chive.relays/1"

// MaxListed bounds the relays of one answer; Relays.Left counts the others.
const MaxListed = 8192

// Lister is the ability to show the list of relays.
type Lister interface {
	// List returns the newest list that is held. The result belongs to the caller.
	List() *Relays
}

// Relays is the list of relays as this process holds it.
type Relays struct {
	Schema string        `json:"schema"`
	Time   time.Time     `json:"time"`
	Epoch  uint64        `json:"epoch"` // of the list
	Day    float64       `json:"day_seconds"`
	Relays []ListedRelay `json:"relays"`         // by rid
	Left   int           `json:"left,omitempty"` // not shown, since there are too many
}

// ListedRelay is one relay of the list.
type ListedRelay struct {
	RID       string   `json:"rid"`
	Nickname  string   `json:"nickname,omitempty"` // what it calls itself in its descriptor, where a relay of this process holds that; the list has none. Not unique, and nobody vouches for it
	Addresses []string `json:"addresses"`
	Running   bool     `json:"running"`
	Flags     []string `json:"flags"` // guard, exit, founder, probation and so on
	Exit      string   `json:"exit"`  // ports that it permits, in words; off
	AgeDays   int      `json:"age_days"`
	Rate      uint64   `json:"rate_bytes_per_second"` // that the list gives it: its step at or below what the relay declares, up to 16 % less
	Share     float64  `json:"share"`                 // of all running relays' rate, before age and position count
	// Penalty is until when it is shut out of the committee, for proof that it has signed two things; left out: it is not, or no relay runs in this
	// process: clients are not told.
	Penalty time.Time `json:"penalty_ends,omitzero"`
}

// FetchRelays asks for the list of relays; see Fetch.
func FetchRelays(ctx context.Context, path string) (*Relays, []byte, error) {
	return ask[Relays](ctx, path, http.MethodGet, "/v1/relays", RelaysSchema, nil)
}

func (a *api) relays(r *request) {
	s, can := a.source.(Lister)
	if !can {
		r.absent("no list of relays in this process")
		return
	}
	list := s.List()
	if list == nil {
		r.absent("no list of relays in this process")
		return
	}
	list.Schema, list.Relays = RelaysSchema, orEmpty(list.Relays)
	r.answer(list)
}
