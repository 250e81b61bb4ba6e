// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"net/http"
	"time"
)

// AnchorSchema names the form of Anchor. Fields are added within it, never changed.
const AnchorSchema = "chive.anchor/1"

// Anchorer is the ability to make an anchor file of the newest list that is held.
type Anchorer interface {
	// Anchor returns it; a *Failure says why there is none.
	Anchor(ctx context.Context) (*Anchor, error)
}

// Anchor is what others may begin with whose genesis document is too old.
type Anchor struct {
	Schema string    `json:"schema"`
	Epoch  uint64    `json:"epoch"`  // of the list
	Began  time.Time `json:"began"`  // that epoch
	Digest string    `json:"digest"` // of its header, hexadecimal: to be compared with others
	Relays int       `json:"relays"` // named in it
	Data   []byte    `json:"data"`   // the file, base64
}

// FetchAnchor asks for an anchor file; see Fetch.
func FetchAnchor(ctx context.Context, path string) (*Anchor, []byte, error) {
	return ask[Anchor](ctx, path, http.MethodGet, "/v1/anchor", AnchorSchema, nil)
}

func (a *api) anchor(r *request) {
	s, can := a.source.(Anchorer)
	if !can {
		r.absent("no list of relays in this process")
		return
	}
	out, err := s.Anchor(r.r.Context())
	if err != nil {
		r.fail(err)
		return
	}
	out.Schema = AnchorSchema
	r.answer(out)
}
