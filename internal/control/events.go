// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// pulseTime is how often a silent stream of events gets an empty line, so that a
// subscriber who is gone is noticed.
const pulseTime = 15 * time.Second

// events sends what the hub publishes, until the request or the server ends.
func (a *api) events(r *request) {
	if a.hub == nil {
		r.absent("nothing in this process that publishes events")
		return
	}
	sub, err := a.hub.Subscribe()
	if err != nil {
		r.refuse(http.StatusServiceUnavailable, "subscribers", "As many follow the events as may", "Close another page or program that does.")
		return
	}
	defer sub.Close()
	rc := http.NewResponseController(r.w)
	_ = rc.SetReadDeadline(time.Time{}) // else the request ends with the time for it
	r.w.Header().Set("Content-Type", "text/event-stream")
	r.w.WriteHeader(http.StatusOK)
	ctx := r.r.Context()
	line := []byte(": events\n\n")
	for {
		if rc.SetWriteDeadline(time.Now().Add(answerTime)) != nil {
			return
		}
		if _, err := r.w.Write(line); err != nil || rc.Flush() != nil {
			return
		}
		if line = nextLine(ctx, sub); line == nil {
			return
		}
	}
}

// nextLine waits for the next event, or for a pulse, and returns what is sent; nil: it
// is over.
func nextLine(ctx context.Context, sub *Subscription) []byte {
	waits, cancel := context.WithTimeout(ctx, pulseTime)
	defer cancel()
	e, err := sub.Next(waits)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return []byte(":\n\n")
	case err != nil:
		return nil
	}
	data, err := json.Marshal(e)
	if err != nil {
		return nil
	}
	return append(append([]byte("event: "+e.Kind+"\ndata: "), data...), '\n', '\n')
}
