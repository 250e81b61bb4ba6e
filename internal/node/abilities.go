// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"net/http"
	"time"

	"chive/client"
	"chive/internal/control"
)

// ClientSources are the Sources of a process with a client: what a control socket or the
// page can also ask of it, and have it do. It is a control.Source with the abilities of
// control.Streamer, Renewer, Closer, Eventful, Pager, Configured, Reloader and Drainer.
type ClientSources struct {
	*Sources
	Front  *Front
	Effect *Effect // the configuration in force; nil: there is none to show
}

// Streams implements control.Streamer.
func (s *ClientSources) Streams() []control.Stream {
	all := s.Client.Streams()
	out := make([]control.Stream, len(all))
	for i := range all {
		out[i] = streamPart(&all[i])
	}
	return out
}

// Explain implements control.Streamer.
func (s *ClientSources) Explain(id string) (*control.Stream, bool) {
	if id == "last" {
		id = client.LastStream
	}
	found, ok := s.Client.Stream(id)
	if !ok {
		return nil, false
	}
	out := streamPart(&found)
	return &out, true
}

// slowTime is from when on a stream counts as slow. Spec: product §4.6.
const slowTime = 10 * time.Second

// streamPart shows a stream.
func streamPart(s *client.StreamExplained) control.Stream {
	out := control.Stream{
		ID: s.ID, Kind: s.Kind, Target: s.Target, Listener: s.Listener, CircuitID: s.CircuitID, State: s.State,
		Began: utc(s.Began), Ended: utc(s.Ended), Reason: s.Reason, Text: s.Text, Fix: s.Fix,
		Took: s.Took.Seconds(), FirstByte: s.FirstByte.Seconds(), Up: s.Up, Down: s.Down, Slow: s.Took > slowTime, Times: s.Times,
	}
	if s.Took == 0 && s.Ended.IsZero() {
		out.Slow = time.Since(s.Began) > slowTime
	}
	for _, t := range s.Tries {
		out.Tries = append(out.Tries, control.Try{Phase: t.Phase, Hop: t.Hop, Relay: t.Relay, Took: t.Took.Seconds(), Reason: t.Reason, Text: t.Text})
	}
	return out
}

// NewIdentity implements control.Renewer.
func (s *ClientSources) NewIdentity() {
	s.Client.NewIdentity()
	s.Front.forget()
}

// CloseCircuit implements control.Closer.
func (s *ClientSources) CloseCircuit(id string) bool { return s.Client.CloseCircuit(id) }

// Events implements control.Eventful.
func (s *ClientSources) Events() *control.Hub { return &s.Front.hub }

// WebAddress implements control.Pager.
func (s *ClientSources) WebAddress() (string, time.Duration, error) { return s.Front.pageAddress() }

// Settings implements control.Configured.
func (s *ClientSources) Settings() []control.Setting { return s.Effect.Settings() }

// Reload implements control.Reloader.
func (s *ClientSources) Reload() (*control.Reloaded, error) { return s.Effect.reloaded() }

// Drain implements control.Drainer: the relay beside the client drains, and the process
// ends.
func (s *ClientSources) Drain(after time.Duration) error {
	var b *besideRelay
	if s.beside != nil {
		b = s.beside()
	}
	if b == nil {
		return &control.Failure{Status: http.StatusNotFound, Code: "not_here", Text: "This process has no relay that could drain", Fix: "An interrupt ends a client; it carries nobody else's traffic."}
	}
	b.drain(after)
	return nil
}

// RelaySources are the Sources of a process with a relay and no client: a control.Source
// with the abilities of control.Drainer, Eventful, Configured and Reloader.
type RelaySources struct {
	*Sources
	hub    *control.Hub              // what the relay says that changes
	Effect *Effect                   // the configuration in force; nil: there is none to show
	drain  func(after time.Duration) // has the relay drain and the process end
}

// Events implements control.Eventful.
func (s *RelaySources) Events() *control.Hub { return s.hub }

// Drain implements control.Drainer.
func (s *RelaySources) Drain(after time.Duration) error {
	s.drain(after)
	return nil
}

// Settings implements control.Configured.
func (s *RelaySources) Settings() []control.Setting { return s.Effect.Settings() }

// Reload implements control.Reloader.
func (s *RelaySources) Reload() (*control.Reloaded, error) { return s.Effect.reloaded() }
