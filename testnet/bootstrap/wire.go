// SPDX-License-Identifier: BSD-3-Clause

package bootstrap

import (
	"bytes"
	"errors"
	"io"
	"time"

	dirsync "chive/directory/sync"
	"chive/link"
)

// What a link adds. Spec: protocol §1 (records, multiplexing).
const (
	recordSize   = link.RecordSize
	recordData   = 2092
	muxHead      = 12
	muxData      = 16384
	muxWindow    = 128 << 10      // bytes after which a reader opens its window again
	handshakeOut = 2 + 1232 + 322 // by the client, to make a link
	handshakeIn  = 1442
)

// errSilent is what a read comes to when nobody answers.
var errSilent = errors.New("bootstrap: no answer in time")

// traffic is what travelled, in bytes.
type traffic struct {
	requests, answers int // on the stream
	up, down          int // on the link
	asked             []dirsync.Code
	// Of the answers: what stands in them.
	certificates, steps, diffs, tiles, proofs int
}

func (t *traffic) add(o *traffic) {
	t.requests += o.requests
	t.answers += o.answers
	t.up += o.up
	t.down += o.down
	t.asked = append(t.asked, o.asked...)
	t.certificates += o.certificates
	t.steps += o.steps
	t.diffs += o.diffs
	t.tiles += o.tiles
	t.proofs += o.proofs
}

// link is both directions.
func (t *traffic) link() float64 { return float64(t.up + t.down) }

// records is what a burst of stream data takes on a link.
func records(size int) int {
	frames := (size + muxData - 1) / muxData
	return (size + muxHead*frames + recordData - 1) / recordData * recordSize
}

// wire is a directory stream to a relay, without goroutines and time: what is written is
// answered at once.
type wire struct {
	traffic
	relay responder
	out   bytes.Buffer
	dead  error // what reading comes to from now on
}

// responder is a relay: it answers a request, with an error instead when it falls
// silent or the stream ends. What came before the error still arrives.
type responder interface {
	answer(body []byte) ([]byte, error)
}

func newWire(r responder) *wire { return &wire{relay: r} }

// close counts the opening and closing of the stream, which take a record each way,
// and the windows that the client opens again for large answers.
func (w *wire) close() *traffic {
	w.up += (1 + w.answers/muxWindow) * recordSize
	w.down += recordSize
	return &w.traffic
}

// Write takes one request.
func (w *wire) Write(p []byte) (int, error) {
	body, err := dirsync.ReadRequest(bytes.NewReader(p))
	if err != nil {
		return 0, err
	}
	q, err := dirsync.DecodeRequest(body)
	if err != nil {
		return 0, err
	}
	w.asked = append(w.asked, q.Code)
	w.requests += len(p)
	w.up += records(len(p))
	if w.dead != nil {
		return len(p), nil
	}
	frames, err := w.relay.answer(body)
	w.dead = err
	w.answers += len(frames)
	w.down += records(len(frames))
	w.contents(q, frames)
	w.out.Write(frames)
	return len(p), nil
}

// contents counts what an answer holds, if it is one.
func (w *wire) contents(q *dirsync.Request, frames []byte) {
	whole, err := dirsync.ReadAnswer(bytes.NewReader(frames))
	if err != nil {
		return
	}
	a, err := dirsync.DecodeAnswer(whole, q)
	if err != nil {
		return
	}
	w.certificates += len(a.Certificate)
	for _, s := range a.Steps {
		w.steps += len(s)
	}
	w.diffs += len(a.Diff)
	w.tiles += len(a.Dict) + 32*len(a.TileRoots)
	for _, t := range a.Tiles {
		w.tiles += len(t)
	}
	if q.Code == dirsync.CodeProof {
		w.proofs += 32 * (1 + len(a.Path))
	}
}

func (w *wire) Read(p []byte) (int, error) {
	if w.out.Len() > 0 {
		return w.out.Read(p)
	}
	if w.dead != nil {
		return 0, w.dead
	}
	return 0, io.EOF
}

// honest is a relay that serves what it has.
type honest struct {
	server *dirsync.Server
	now    time.Time
	memory map[string][]byte // answers given: equal questions at one time have equal ones
}

func newHonest(s *dirsync.Server, now time.Time) *honest {
	return &honest{s, now, map[string][]byte{}}
}

func (h *honest) answer(body []byte) ([]byte, error) {
	frames, known := h.memory[string(body)]
	if !known {
		frames, _ = h.server.Answer(h.now, body)
		h.memory[string(body)] = frames
	}
	return frames, nil
}

// refresh has a follower fetch from a relay and returns what travelled.
func refresh(f *dirsync.Follower, r responder, now time.Time) (*traffic, dirsync.Result, error) {
	w := newWire(r)
	result, err := f.Fetch(w, func() time.Time { return now }, nil)
	return w.close(), result, err
}
