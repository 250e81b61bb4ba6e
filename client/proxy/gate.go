// SPDX-License-Identifier: BSD-3-Clause

package proxy

import "context"

// Gate counts the connections of one or several listeners against the caps of
// B29. At a cap, accepting pauses: at most one accepted connection for each
// listener waits inside enter, the others in the listener's own queue.
type Gate struct {
	places     chan struct{} // every connection, from accept to its end
	handshakes chan struct{} // those whose request is not complete
}

// NewGate returns a gate for that many handshakes and connections at once; both
// at least 1.
func NewGate(handshakes, streams int) *Gate {
	return &Gate{places: make(chan struct{}, streams), handshakes: make(chan struct{}, handshakes)}
}

// enter waits for a place and a handshake; false when ctx ended first.
func (g *Gate) enter(ctx context.Context) bool {
	select {
	case g.places <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	select {
	case g.handshakes <- struct{}{}:
		return true
	case <-ctx.Done():
		<-g.places
		return false
	}
}

func (g *Gate) leaveHandshake() { <-g.handshakes }
func (g *Gate) leave()          { <-g.places }
