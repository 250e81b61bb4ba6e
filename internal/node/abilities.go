// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"time"

	"chive/client"
	"chive/internal/control"
)

// ClientSources are the Sources of a process with a client: what a control socket or the
// page can also ask of it, and have it do. It is a control.Source with the abilities of
// control.Streamer, Renewer, Closer, Eventful, Pager and Configured.
type ClientSources struct {
	*Sources
	Front  *Front
	Effect []control.Setting // the configuration in force
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
		Took: s.Took.Seconds(), FirstByte: s.FirstByte.Seconds(), Up: s.Up, Down: s.Down, Slow: s.Took > slowTime,
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
func (s *ClientSources) Settings() []control.Setting { return s.Effect }

// RelaySources are the Sources of a process with a relay and no client: a control.Source
// with the ability of control.Drainer.
type RelaySources struct {
	*Sources
	end func() // has the relay drain and the process end
}

// Drain implements control.Drainer. How long the relay drains was said at its start.
func (s *RelaySources) Drain(after time.Duration) error {
	if after > 0 {
		return &control.Failure{Code: "drain_time", Text: "How long a relay drains is said when it is started", Fix: "Ask without a time. At its next start: -o relay.drain=10m."}
	}
	s.end()
	return nil
}
