// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"chive/directory"
	dirsync "chive/directory/sync"
)

// Limits of answering clients. Spec: B23 of the threat model.
const (
	maxRequests        = 256              // of one directory stream
	maxDirectoryPerEnd = 16               // directory streams at once on one link or circuit
	maxAnswering       = 4                // requests at once on one link or circuit; others wait
	maxComputing       = 1                // answers being worked out at once, for one link with its circuits; others wait as long
	answerPatience     = 5 * time.Second  // how long they do, then they hear "busy"
	answerBytes        = 1 << 20          // a second, to one link or circuit
	answerPiece        = 64 << 10         // of an answer, written at once
	answerStall        = 10 * time.Second // an answer of which nothing is taken for so long ends its stream
	maxAnswerBytes     = 64 << 20         // of answers that are being written, in all
	maxLinkAnswerBytes = 16 << 20         // same, of one link with its circuits
	requestPatience    = 2 * time.Minute  // for the next request of a stream
	claimsPerSecond    = 1                // evidence from clients
	claimsAtOnce       = 16               //
	linkClaimsEvery    = 2 * time.Second  // same, of one link with its circuits
	linkClaimsAtOnce   = 8                //
)

// share is what one link may have of the directory together with its circuits: who has a
// link has as many circuits as it likes.
type share struct {
	answering atomic.Int64  // bytes of answers that are being written
	computing chan struct{} // tokens
	claims    *rate.Limiter
}

// ration is what one link or circuit may have of the directory.
type ration struct {
	streams chan struct{} // tokens
	turns   chan struct{} // tokens
	bytes   *rate.Limiter
	link    *share
	caller  *caller // who may ask to be dialled back; nil: nobody, as on circuits
}

// newRation returns that of a link.
func newRation() *ration {
	return rationOf(&share{
		computing: make(chan struct{}, maxComputing), claims: rate.NewLimiter(rate.Every(linkClaimsEvery), linkClaimsAtOnce),
	})
}

func rationOf(link *share) *ration {
	return &ration{
		streams: make(chan struct{}, maxDirectoryPerEnd), turns: make(chan struct{}, maxAnswering),
		bytes: rate.NewLimiter(answerBytes, answerBytes), link: link,
	}
}

// circuit returns the ration of a circuit that comes over a's link.
func (a *ration) circuit() *ration { return rationOf(a.link) }

// enter waits for a turn. false: there was none in time.
func enter(ctx context.Context, turns chan<- struct{}) bool {
	select {
	case turns <- struct{}{}:
		return true
	default:
	}
	t := time.NewTimer(answerPatience)
	defer t.Stop()
	select {
	case turns <- struct{}{}:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

// serveDirectory answers directory requests on rw until the other side ends it, within
// what its link or circuit may have. A stream too many is told "busy" once.
func (r *Relay) serveDirectory(ctx context.Context, rw io.ReadWriter, a *ration) {
	crowded := false
	select {
	case a.streams <- struct{}{}:
		defer func() { <-a.streams }()
	default:
		crowded = true
	}
	for range maxRequests {
		if s, ok := rw.(interface{ SetReadDeadline(time.Time) error }); ok {
			_ = s.SetReadDeadline(time.Now().Add(requestPatience))
		}
		body, err := dirsync.ReadRequest(rw)
		if err != nil {
			return
		}
		if crowded || !enter(ctx, a.turns) {
			if err := deliver(rw, dirsync.Busy()); err != nil || crowded {
				return
			}
			continue
		}
		if reply := r.dialBack(ctx, a.caller, body); reply != nil {
			err = deliver(rw, reply)
		} else {
			err = r.answer(ctx, rw, a, body)
		}
		<-a.turns
		if err != nil {
			return
		}
	}
}

// answer answers one request, at the rate of its link or circuit.
func (r *Relay) answer(ctx context.Context, w io.Writer, a *ration, body []byte) error {
	frames := r.compute(ctx, a, body)
	size := int64(len(frames))
	defer r.answering.Add(-size)
	r.memory.directory.Add(size)
	defer r.memory.directory.Add(-size)
	defer a.link.answering.Add(-size)
	if all, one := r.answering.Add(size), a.link.answering.Add(size); all > maxAnswerBytes || one > maxLinkAnswerBytes {
		frames = dirsync.Busy()
	}
	for len(frames) > 0 {
		piece := frames[:min(len(frames), answerPiece)]
		if err := a.bytes.WaitN(ctx, len(piece)); err != nil {
			return err
		}
		if err := deliver(w, piece); err != nil {
			return err
		}
		frames = frames[len(piece):]
	}
	return nil
}

// compute works an answer out, if there is room for one: who is over the bounds costs no
// work either.
func (r *Relay) compute(ctx context.Context, a *ration, body []byte) []byte {
	if r.answering.Load() >= maxAnswerBytes || a.link.answering.Load() >= maxLinkAnswerBytes || !enter(ctx, a.link.computing) {
		return dirsync.Busy()
	}
	defer func() { <-a.link.computing }()
	frames, evidence := r.serve.Load().Answer(r.wall(), body)
	if len(evidence) > 0 && !r.claim(a, evidence) {
		return dirsync.Busy()
	}
	return frames
}

// claim has the machine judge evidence that a client has brought. false: there was no
// room for it.
func (r *Relay) claim(a *ration, evidence []byte) bool {
	d := r.replica.Load()
	return d != nil && a.link.claims.Allow() && r.claims.Allow() && d.offer(input{event: directory.Evidence{Data: evidence}})
}

// deliver writes b, for as long as the other side takes some of it now and then.
func deliver(w io.Writer, b []byte) error {
	s, bounded := w.(interface{ SetWriteDeadline(time.Time) error })
	for {
		if bounded {
			_ = s.SetWriteDeadline(time.Now().Add(answerStall))
		}
		n, err := w.Write(b)
		if err == nil {
			return nil
		}
		if b = b[n:]; n == 0 || len(b) == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}
