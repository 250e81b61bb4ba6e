// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"os"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"chive/client"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/internal/config"
	"chive/internal/control"
	"chive/internal/limit"
	"chive/relay"
)

// Sources are the roles of a process that the control socket tells of. It is a
// control.Source.
type Sources struct {
	Document *genesis.Document
	Version  string
	Client   *client.Client // nil: none
	Relays   []RelaySource
	// Listeners are where local programs are served.
	Listeners []control.Listener
	Folder    string                    // the state folder; empty: there is none to tell of
	Debug     bool                      // in a testnet: profiles of the process are shown
	places    func() []control.Listener // more of them, which change; nil: none
	beside    func() *besideRelay       // the relay beside the client, which may come later; nil: none
}

// besideRelay is the relay of a process that is a client, too.
type besideRelay struct {
	run    *relayRun
	source RelaySource
	drain  func(after time.Duration) // has it drain and the process end
}

// relays are those that there are now.
func (s *Sources) relays() []RelaySource {
	if s.beside != nil {
		if b := s.beside(); b != nil {
			return append(slices.Clone(s.Relays), b.source)
		}
	}
	return s.Relays
}

// RelaySource is one relay and what only composition knows of it.
type RelaySource struct {
	Relay *relay.Relay
	live  *atomic.Pointer[relay.Relay] // the one that runs now, where that changes; nil: Relay
	quota *allowance                   // nil: none
	said  func() *declared             // who it is, where that changes; nil: Nickname and Exit say
	// forwarded is what a router does for it; nil: none is asked.
	forwarded func() string
	// keysGone says that key files are gone, and what to do; nil: not looked at.
	keysGone func() (what, fix string)
	Name     string // in a testnet
	Nickname string
	Exit     string // off, web, reduced or custom
}

// Status implements control.Source.
func (s *Sources) Status() *control.Status {
	doc, now := s.Document, time.Now()
	nid := doc.NetworkID()
	out := &control.Status{
		Time: now.UTC().Truncate(time.Second), Version: s.Version, Relays: []control.Relay{},
		Network: control.Network{
			Name: doc.Name, ID: hex.EncodeToString(nid[:]), Testnet: doc.Testnet,
			Began: doc.Time.UTC(), EpochSeconds: doc.Params.EpochLen.Seconds(), DaySeconds: daySeconds(doc),
		},
		Listeners: slices.Clone(s.Listeners), Disk: littleRoom(s.Folder),
	}
	if s.places != nil {
		out.Listeners = append(out.Listeners, s.places()...)
	}
	if s.Client != nil {
		out.Client = clientPart(doc, s.Client.Status())
		out.Client.Peers = clientPeersPart(s.Client.Peers())
	}
	for _, r := range s.relays() {
		out.Relays = append(out.Relays, r.part(doc))
	}
	s.named(out)
	return out
}

// clientPart shows a client.
func clientPart(doc *genesis.Document, s client.Status) *control.Client {
	c := &control.Client{
		State: string(s.State), Percent: s.Bootstrap.Percent, Tag: s.Bootstrap.Tag, Cause: s.Bootstrap.Cause,
		Text: s.Text, Fix: s.Bootstrap.Fix, Clock: s.Clock, Guards: []control.Guard{}, Circuits: []control.Circuit{},
		Traffic: &control.ClientTraffic{Up: s.Traffic.Up, Down: s.Traffic.Down, Streams: s.Traffic.Streams},
	}
	d := newDirectory(doc, s.Epoch, s.Current)
	d.DirRoot = hex.EncodeToString(s.DirRoot[:])
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
	if d.Stalled && s.Clock == "" { // the client's own sentence may call it fresh still
		d.Freshness = newestText(doc, &d)
	}
	told := d
	told.Stalled = d.Stalled && s.Clock == ""
	d.Notes = directoryNotes(doc, &told, false)
	if d.Stalled && s.Clock != "" { // what relays say of the clock must not hide it
		d.Notes = append(d.Notes, control.Note{Level: control.LevelWarning, Code: noteStalled, Text: "No relay asked has a newer list of relays, and the one in use is " + behind(&d) +
			" old by this machine's clock. Relays in different places say that the clock is wrong. If it is right, no new list was agreed."})
	}
	switch s.State {
	case client.StateStale, client.StateRefused:
		if s.Clock != "" {
			d.Notes = append(d.Notes, control.Note{Level: control.LevelWarning, Code: noteClock, Text: "Until this machine's clock is right, lists of relays may look older or newer than they are."})
			break
		}
		if s.State == client.StateRefused {
			d.Notes = append(d.Notes, control.Note{Level: control.LevelAlarm, Code: noteRefused, Text: refusedText(doc, &d)})
			break
		}
		d.Notes = append(d.Notes, control.Note{Level: control.LevelWarning, Code: noteStale, Text: staleText(doc, &d)})
	}
	if s.NoExit != "" {
		d.Notes = append(d.Notes, control.Note{Level: control.LevelWarning, Code: noteNoExit, Text: s.NoExit})
	}
	c.Directory = d
	for _, g := range s.Guards {
		c.Guards = append(c.Guards, control.Guard{RID: hex.EncodeToString(g.RID[:]), Until: utc(g.Until), State: g.State, Share: g.Share, Why: g.Why})
	}
	for _, q := range s.Circuits {
		shown := control.Circuit{ID: q.ID, Purpose: q.Purpose, Took: seconds(q.Took), Opened: utc(q.Opened).Truncate(time.Second), InUse: q.InUse, Streams: q.Streams, Epoch: q.Epoch, Hops: []control.Hop{}}
		for _, h := range q.Hops {
			shown.Hops = append(shown.Hops, control.Hop{RID: hex.EncodeToString(h.RID[:]), Position: h.Position, Share: h.Share, Why: h.Why})
		}
		c.Circuits = append(c.Circuits, shown)
	}
	return c
}

// now returns the relay that runs.
func (r *RelaySource) now() *relay.Relay {
	if r.live != nil {
		return r.live.Load()
	}
	return r.Relay
}

// words are what its operator calls it, and what it is as an exit.
func (r *RelaySource) words() (nickname, exit string) {
	if r.said != nil {
		d := r.said()
		return d.Nickname, d.Exit
	}
	return r.Nickname, r.Exit
}

// part shows a relay: totals, never circuits or peers (API-1).
func (r *RelaySource) part(doc *genesis.Document) control.Relay {
	role := r.now()
	s := role.Status()
	rid := role.RID()
	f := s.Directory
	nickname, exit := r.words()
	out := control.Relay{
		Name: r.Name, RID: hex.EncodeToString(rid[:]), Nickname: nickname, Listen: role.Addr().String(),
		Published: []string{}, Exit: exit, Listed: f.Listed, Running: f.Running, AgeDays: f.Age,
		Seat: f.Committee.Seat, Neighbours: f.Neighbours,
		Joining: f.Joining, Clock: f.Clock, Store: f.Store, StoreFix: f.StoreFix, Keys: f.Keys, Reports: []control.Note{},
		Traffic: control.Traffic{
			Circuits: s.OpenCircuits, Created: s.CircuitsCreated, Refused: s.Refused,
			Forwarded: (s.CellsForwarded*cellSize + s.Carried) >> 20 << 20,
		},
	}
	if r.keysGone != nil { // says more than that one cannot be written
		if what, fix := r.keysGone(); what != "" {
			out.Keys, out.KeysFix = what, fix
		}
	}
	if c := s.Certified; c != nil {
		out.Certificates = certificatesPart(c, time.Now())
	}
	out.SeatIn, out.Penalty, out.Twin = f.Committee.In, utc(f.Committee.Penalty), f.Committee.Other
	if out.Seat || out.Twin || !out.Penalty.IsZero() {
		out.Abstains = f.Committee.Reason
	}
	for _, a := range role.Published() {
		out.Published = append(out.Published, a.String())
	}
	d := newDirectory(doc, f.Head, f.Current)
	table := role.View().Table()
	countTable(&d, table)
	d.DirRoot = hex.EncodeToString(f.DirRoot[:])
	d.Committee = committeePart(f.Committee, f.Groups, table)
	d.Young, d.Unmeasured, d.Stalled, d.Forked = f.Young, f.Unmeasured, f.Stalled, f.Forked
	d.Freshness = newestText(doc, &d)
	told := d
	if f.Clock != "" {
		told.Stalled = false // what this clock calls old need not be
		if d.CurrentEpoch < d.Epoch || d.CurrentEpoch > d.Epoch+uint64(doc.Params.Fresh) {
			d.Freshness = "How old the newest list is cannot be told: this machine's clock is off."
		}
	}
	if f.Joining != "" && !f.Listed {
		told.Stalled = false // a newcomer has had no list yet; Joining says how far it is
	}
	d.Notes = directoryNotes(doc, &told, true)
	if f.NoRoomForExit {
		d.Notes = append(d.Notes, control.Note{Level: control.LevelWarning, Code: "no_room", Text: "The list has no room for your exit policy, " +
			"so it does not show this relay as an exit. Choose a preset (relay.exit.policy: web or reduced), which others have too."})
	}
	out.Directory = d
	out.Drains = role.Draining()
	out.Peers = relayPeersPart(role.Peers())
	v := f.Vouching
	out.Vouching = &control.Vouching{May: v.Why == "", Text: v.Why, Day: v.Day, FromDay: v.From, GapDays: v.Gap, Places: v.Places}
	if v.Why == "" && v.Gap > 0 {
		out.Vouching.Left = 1
	}
	if v.From > 0 {
		out.Vouching.FromTime = utc(doc.EpochStart(uint64(v.From * doc.Params.Day)))
	}
	out.Reachable = reachable(role.Reach(), &out)
	out.Weight = weightPart(table, rid)
	for _, p := range f.Reports {
		text := p.What
		if p.Count > 1 {
			text += " (" + times(p.Count) + ")"
		}
		out.Reports = append(out.Reports, control.Note{Level: control.LevelWarning, Code: "report", Text: text, RID: about(p.Relay), Time: utc(p.Last)})
	}
	out.Memory, out.Overload = memoryPart(&s.Memory)
	if out.Memory != nil {
		out.Memory.Process = processMemory()
	}
	if r.said != nil {
		if d := r.said(); d.isExit() {
			out.Permits = describePolicy(d.policy.Summary())
		}
	}
	if r.said != nil {
		out.Family = familyText(table, rid, r.said().Family)
	}
	if r.forwarded != nil {
		out.Forwarded = r.forwarded()
	}
	out.Declared = uint64(config.Kbit(role.Rate()))
	if r.quota != nil {
		out.Rate, out.RateUse = r.quota.rate(), r.quota.ceiling(time.Now())
		out.Quota = r.quota.part(time.Now())
		quotaOfMember(&out)
		restOf(&out, doc.EpochAt(time.Now()))
	}
	return out
}

// restOf takes out of a resting relay's status what is not so while it rests: it asks nobody,
// its port is closed, and its list gets old by itself, of which the role, which has ended,
// knows nothing.
func restOf(r *control.Relay, current uint64) {
	if r.Quota == nil || !r.Quota.UsedUp {
		return
	}
	r.Joining, r.Reachable, r.Directory.Stalled = "", nil, false
	r.Directory.CurrentEpoch, r.Directory.Freshness = current, "The relay rests, and asks for no new list."
	r.Directory.Notes = slices.DeleteFunc(r.Directory.Notes, func(n control.Note) bool { return n.Code == noteStalled })
}

// familyText says which family a relay is in, and whether the list shows it: only then does no
// path hold two of its relays. Empty: it is in none. Spec: directory §9 (paths).
func familyText(table *snapshot.Table, rid record.RID, f *familyWord) string {
	if f == nil {
		return ""
	}
	name := hex.EncodeToString(f.Key[:min(len(f.Key), 8)]) + "..."
	self, listed := table.Relay(rid)
	switch {
	case !listed:
		return name + "; it counts once the relay is on the list"
	case self.Family == 0 || !bytes.Equal(table.Dictionaries().Families[self.Family-1], f.Key):
		return name + "; the list does not show it yet: it comes with the relay's newest descriptor"
	}
	others := 0
	for i := range table.Len() {
		if o := table.At(i); o.RID != rid && o.Family == self.Family {
			others++
		}
	}
	return name + "; the list shows it, with " + count(others, "other relay") + ": no circuit has two of them"
}

// quotaOfMember says what a quota means for a seat in the committee: who rests signs nothing.
func quotaOfMember(r *control.Relay) {
	q := r.Quota
	switch {
	case q == nil || !r.Seat && len(r.SeatIn) == 0:
	case !q.UsedUp:
		q.Text = strings.TrimSpace(q.Text + " It has a seat in the committee: when the quota is used up it is away there, too.")
	default:
		q.Text += " It has a seat in the committee, where the others count it as away until then."
		if r.Seat {
			r.Abstains = cmp.Or(r.Abstains, "its quota is used up, so it rests, and the others count it as away")
		}
	}
}

// memoryPart shows a relay's account of memory, and says when it binds. A relay without a
// ceiling has none. Spec: product REL-5.
func memoryPart(m *relay.MemoryStatus) (part *control.Memory, overload string) {
	if m.Most <= 0 {
		return nil, ""
	}
	used := uint64(max(0, m.Used)) >> memoryStep << memoryStep
	part = &control.Memory{Used: used, Max: uint64(m.Most), Refused: m.Refused, Killed: m.Killed}
	if m.Refused+m.Killed > 0 {
		were := "circuits were"
		if m.Refused == 1 {
			were = "circuit was"
		}
		last := ""
		if !m.Last.IsZero() {
			last = ", the last at " + m.Last.UTC().Format(time.DateTime) + " UTC"
		}
		part.Text = fmt.Sprintf("Since the start %d %s refused and %d closed for want of it%s.", m.Refused, were, m.Killed, last)
	}
	if m.Level == limit.Roomy {
		return part, ""
	}
	part.Since = utc(m.Since)
	does := "takes no new circuits until less than " + config.Size(m.Tight).About() + " are"
	if m.Level == limit.Critical {
		does = "takes no new circuits, and closes those whose cells have waited longest"
	}
	since := ""
	if !m.Since.IsZero() {
		since = " since " + m.Since.UTC().Format(time.DateTime) + " UTC"
	}
	return part, fmt.Sprintf("Memory is short%s: %s of %s are in use. The relay %s; raise relay.memory if the machine has more.", since, config.Size(used).About(), config.Size(part.Max).About(), does)
}

// memoryStep rounds what is shown of the account: bits below it are left out.
const memoryStep = 14

// processMemory is what this process has of the machine's memory, in whole MiB: what is
// resident, or where the system does not say what the runtime has taken and not given back.
func processMemory() uint64 {
	n := uint64(0)
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		if f := strings.Fields(string(text)); len(f) > 1 {
			pages, _ := strconv.ParseUint(f[1], 10, 40)
			n = pages * uint64(os.Getpagesize())
		}
	}
	if n == 0 {
		taken := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		metrics.Read(taken)
		n = taken[0].Value.Uint64() - taken[1].Value.Uint64()
	}
	return n >> 20 << 20
}

// about names the relay that a report is about; empty: none.
func about(rid record.RID) string {
	if rid == (record.RID{}) {
		return ""
	}
	return hex.EncodeToString(rid[:])
}

// committeePart shows a committee as a relay sees it.
func committeePart(c relay.CommitteeStatus, groups int, table *snapshot.Table) control.Committee {
	out := control.Committee{
		Name: c.Name, Members: c.K, Majority: c.M, Quorum: c.Q, Networks: groups,
		Signed: c.Signed, Signers: c.Seats, SignedBy: c.SignedBy, SignersNeeded: c.Needed,
	}
	for _, m := range c.Members {
		known, _ := table.Relay(m.RID)
		out.Seats = append(out.Seats, control.Seat{
			RID: hex.EncodeToString(m.RID[:]), Self: m.Self, Stream: m.Stream,
			Signer: m.Signer, Signed: m.Signed, Running: known != nil && known.Flags&snapshot.FlagRunning != 0,
			Penalty: utc(m.Penalty),
		})
		if m.Self || m.Stream {
			out.Reached++
		}
	}
	return out
}

// seconds is a duration in milliseconds' resolution.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

// daySeconds is how long a day of the network is: ages are told in them.
func daySeconds(doc *genesis.Document) float64 {
	return (time.Duration(doc.Params.Day) * doc.Params.EpochLen).Seconds()
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
