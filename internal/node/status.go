// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"encoding/hex"
	"net/netip"
	"time"

	"chive/client"
	"chive/directory/genesis"
	"chive/directory/snapshot"
	"chive/internal/control"
	"chive/relay"
)

// Sources are the roles of a process that the control socket tells of. It is a
// control.Source.
type Sources struct {
	Document *genesis.Document
	Version  string
	Client   *client.Client // nil: none
	Relays   []RelaySource
}

// RelaySource is one relay and what only composition knows of it.
type RelaySource struct {
	Relay     *relay.Relay
	Name      string // in a testnet
	Nickname  string
	Published []netip.AddrPort
	Exit      string // off, web, reduced or custom
}

// Status implements control.Source.
func (s *Sources) Status() *control.Status {
	doc, now := s.Document, time.Now()
	nid := doc.NetworkID()
	out := &control.Status{
		Time: now.UTC().Truncate(time.Second), Version: s.Version, Relays: []control.Relay{},
		Network: control.Network{
			Name: doc.Name, ID: hex.EncodeToString(nid[:]), Testnet: doc.Testnet,
			Began: doc.Time.UTC(), EpochSeconds: doc.Params.EpochLen.Seconds(),
		},
	}
	if s.Client != nil {
		out.Client = clientPart(doc, s.Client.Status())
	}
	for _, r := range s.Relays {
		out.Relays = append(out.Relays, r.part(doc))
	}
	return out
}

// clientPart shows a client.
func clientPart(doc *genesis.Document, s client.Status) *control.Client {
	c := &control.Client{
		State: string(s.State), Percent: s.Bootstrap.Percent, Tag: s.Bootstrap.Tag, Cause: s.Bootstrap.Cause,
		Text: s.Text, Clock: s.Clock, Guards: []control.Guard{}, Circuits: []control.Circuit{},
	}
	d := newDirectory(doc, s.Epoch, s.Current)
	d.Freshness, d.Fetched, d.NextFetch, d.Checked = s.Freshness, utc(s.Fetched), utc(s.NextFetch), utc(s.Checked)
	d.Relays, d.Running, d.Guards, d.Exits = s.Relays.Listed, s.Relays.Running, s.Relays.Guards, s.Relays.Exits
	d.Committee = control.Committee{Members: s.Committee.K, Majority: s.Committee.M, Quorum: s.Committee.Q, Networks: s.Committee.Groups}
	d.Young, d.Unmeasured, d.Stalled, d.Forked = s.Committee.Young, s.Unmeasured, s.Stalled, s.Forked
	if a := s.Alarm; a != nil {
		d.Alarm = &control.Alarm{
			Kind: a.Kind, Epoch: a.Epoch, Since: utc(a.Since), Text: a.Text,
			Ours: hex.EncodeToString(a.Ours[:]), Theirs: hex.EncodeToString(a.Theirs[:]),
		}
	}
	d.Notes = directoryNotes(doc, &d)
	switch s.State {
	case client.StateStale:
		d.Notes = append(d.Notes, control.Note{Level: control.LevelWarning, Code: noteStale, Text: staleText(doc, &d)})
	case client.StateRefused:
		d.Notes = append(d.Notes, control.Note{Level: control.LevelAlarm, Code: noteRefused, Text: refusedText(doc, &d)})
	}
	c.Directory = d
	for _, g := range s.Guards {
		c.Guards = append(c.Guards, control.Guard{RID: hex.EncodeToString(g.RID[:]), Until: utc(g.Until), State: g.State, Share: g.Share, Why: g.Why})
	}
	for _, q := range s.Circuits {
		shown := control.Circuit{Opened: utc(q.Opened).Truncate(time.Second), InUse: q.InUse, Streams: q.Streams, Epoch: q.Epoch, Hops: []control.Hop{}}
		for _, h := range q.Hops {
			shown.Hops = append(shown.Hops, control.Hop{RID: hex.EncodeToString(h.RID[:]), Position: h.Position, Share: h.Share, Why: h.Why})
		}
		c.Circuits = append(c.Circuits, shown)
	}
	return c
}

// part shows a relay: totals, never circuits or peers (API-1).
func (r *RelaySource) part(doc *genesis.Document) control.Relay {
	s := r.Relay.Status()
	rid := r.Relay.RID()
	f := s.Directory
	out := control.Relay{
		Name: r.Name, RID: hex.EncodeToString(rid[:]), Nickname: r.Nickname, Listen: r.Relay.Addr().String(),
		Published: []string{}, Exit: r.Exit, Listed: f.Listed, Running: f.Running, AgeDays: f.Age,
		Seat: f.Committee.Seat, Neighbours: f.Neighbours,
		Joining: f.Joining, Clock: f.Clock, Store: f.Store, Keys: f.Keys, Reports: []control.Note{},
		Traffic: control.Traffic{
			Circuits: s.OpenCircuits, Created: s.CircuitsCreated, Refused: s.Refused,
			Forwarded: s.CellsForwarded * cellSize >> 20 << 20,
		},
	}
	if out.Seat {
		out.Abstains = f.Committee.Reason
	}
	for _, a := range r.Published {
		out.Published = append(out.Published, a.String())
	}
	d := newDirectory(doc, f.Head, f.Current)
	d.Freshness = newestText(doc, &d)
	countTable(&d, r.Relay.View().Table())
	d.Committee = control.Committee{Members: f.Committee.K, Majority: f.Committee.M, Quorum: f.Committee.Q, Networks: f.Groups}
	d.Young, d.Unmeasured, d.Stalled, d.Forked = f.Young, f.Unmeasured, f.Stalled, f.Forked
	d.Notes = directoryNotes(doc, &d)
	out.Directory = d
	for _, p := range f.Reports {
		text := p.What
		if p.Count > 1 {
			text += " (" + times(p.Count) + ")"
		}
		out.Reports = append(out.Reports, control.Note{Level: control.LevelWarning, Code: "report", Text: text, Time: utc(p.Last)})
	}
	return out
}

// cellSize is what one cell counts as, in bytes.
const cellSize = 2048

// countTable counts the relays of a table.
func countTable(d *control.Directory, t *snapshot.Table) {
	d.Relays = t.Len()
	for i := range t.Len() {
		f := t.At(i).Flags
		if f&snapshot.FlagRunning == 0 {
			continue
		}
		d.Running++
		if f&snapshot.FlagGuard != 0 {
			d.Guards++
		}
		if f&snapshot.FlagExit != 0 {
			d.Exits++
		}
	}
}

// newDirectory begins a Directory with its epochs.
func newDirectory(doc *genesis.Document, epoch, current uint64) control.Directory {
	return control.Directory{Epoch: epoch, EpochTime: doc.EpochStart(epoch).UTC(), CurrentEpoch: current, Notes: []control.Note{}}
}

// utc leaves no time zone in what is shown; the zero time stays.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}
