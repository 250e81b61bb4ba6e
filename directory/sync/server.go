// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"chive/directory/snapshot"
)

// Server answers requests from one view. A new view needs a new Server; it is
// cheap. It may be used by any number of goroutines.
type Server struct{ view snapshot.View }

// NewServer returns a Server for a view.
func NewServer(view snapshot.View) *Server { return &Server{view} }

// Answer returns the answer to a request's body with its padding, ready to be
// written. A request that is not understood is refused; there is always an answer.
// The result belongs to the caller.
func (s *Server) Answer(body []byte) []byte {
	q, err := DecodeRequest(body)
	if err != nil {
		return refuse(RefusedUnknown)
	}
	a := s.answer(q)
	out, err := a.Encode()
	if err != nil {
		return refuse(RefusedAbsent)
	}
	return padded(out)
}

// Busy returns the answer of a relay that will not work on a request now.
func Busy() []byte { return refuse(RefusedBusy) }

func refuse(r Refusal) []byte {
	a := Answer{Code: CodeRefused, Refusal: r}
	out, err := a.Encode()
	if err != nil {
		panic("sync: a refusal always encodes")
	}
	return padded(out)
}

func (s *Server) answer(q *Request) *Answer {
	table := s.view.Table()
	switch q.Code {
	case CodeSync:
		a := &Answer{Code: CodeSync, Header: s.view.Header().Encode()}
		if q.TableRoot != nil && *q.TableRoot == table.DirRoot() {
			return a
		}
		a.TileRoots = table.TileRoots()
		// What is not a tile stays below this, so that a tile counted here fits.
		room := MaxFrameSize - len(a.Header) - len(a.TileRoots)*32 - 64
		for n := range a.TileRoots {
			t := packTile(table.Tile(n))
			if room -= len(t) + 5; room < 0 {
				break
			}
			a.Tiles = append(a.Tiles, t)
		}
		return a
	case CodeTile:
		if t := table.Tile(int(q.N)); t != nil && *q.TableRoot == table.DirRoot() {
			return &Answer{Code: CodeTile, N: q.N, Tile: packTile(t)}
		}
	case CodeHeader:
		if q.Epoch == s.view.Epoch() {
			return &Answer{Code: CodeHeader, Header: s.view.Header().Encode()}
		}
	}
	return &Answer{Code: CodeRefused, Refusal: RefusedAbsent}
}

func packTile(leaves []byte) []byte {
	return append([]byte{tileRaw}, leaves...)
}
