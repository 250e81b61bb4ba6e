// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"io"
	"time"

	"golang.org/x/time/rate"

	"chive/directory"
	dirsync "chive/directory/sync"
)

// Limits of answering clients. Spec: B23 of the threat model.
const (
	maxRequests        = 256             // of one directory stream
	maxDirectoryPerEnd = 16              // directory streams at once on one link or circuit
	maxAnswering       = 4               // requests at once on one link or circuit; others wait
	answerPatience     = 5 * time.Second // how long they do, then they hear "busy"
	answerBytes        = 1 << 20         // a second, to one link or circuit
	answerPiece        = 64 << 10        // of an answer, written at once
	maxAnswerBytes     = 64 << 20        // of answers that are being written, in all
	requestPatience    = 2 * time.Minute // for the next request of a stream
	claimsPerSecond    = 1               // evidence from clients
	claimsAtOnce       = 16              //
)

// ration is what one link or circuit may have of the directory.
type ration struct {
	streams chan struct{} // tokens
	turns   chan struct{} // tokens
	bytes   *rate.Limiter
}

func newRation() *ration {
	return &ration{
		streams: make(chan struct{}, maxDirectoryPerEnd), turns: make(chan struct{}, maxAnswering),
		bytes: rate.NewLimiter(answerBytes, answerBytes),
	}
}

// enter waits for a turn. false: there was none in time.
func (a *ration) enter(ctx context.Context) bool {
	select {
	case a.turns <- struct{}{}:
		return true
	default:
	}
	t := time.NewTimer(answerPatience)
	defer t.Stop()
	select {
	case a.turns <- struct{}{}:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

func (a *ration) leave() { <-a.turns }

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
		if crowded || !a.enter(ctx) {
			if _, err := rw.Write(dirsync.Busy()); err != nil || crowded {
				return
			}
			continue
		}
		err = r.answer(ctx, rw, a, body)
		a.leave()
		if err != nil {
			return
		}
	}
}

// answer answers one request, at the rate of its link or circuit.
func (r *Relay) answer(ctx context.Context, w io.Writer, a *ration, body []byte) error {
	frames, evidence := r.serve.Load().Answer(r.wall(), body)
	if size := int64(len(frames)); r.answering.Add(size) > maxAnswerBytes {
		r.answering.Add(-size)
		frames = dirsync.Busy()
	} else {
		defer r.answering.Add(-size)
	}
	if len(evidence) > 0 && r.claims.Allow() {
		if d := r.replica.Load(); d != nil {
			d.offer(input{event: directory.Evidence{Data: evidence}})
		}
	}
	for len(frames) > 0 {
		piece := frames[:min(len(frames), answerPiece)]
		if err := a.bytes.WaitN(ctx, len(piece)); err != nil {
			return err
		}
		if _, err := w.Write(piece); err != nil {
			return err
		}
		frames = frames[len(piece):]
	}
	return nil
}
