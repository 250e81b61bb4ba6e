// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"cmp"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
)

// MaxBodySize bounds what is sent to the API, in bytes. Spec: security B31.
const MaxBodySize = 64 << 10

// maxDrain bounds how long a drain may take.
const maxDrain = 24 * time.Hour

// route is one path of the API. docs/api.md is made from the table of them.
type route struct {
	method string
	path   string // {id} stands for one segment
	what   string // it does, a sentence
	needs  string // ability, or part of Status; empty: none
	takes  any    // form of the body; nil: none
	gives  any    // form of the answer; nil: bytes that are no object
	local  bool   // over the socket only, never on the page
	serve  func(*api, *request)
}

// needsClient is what paths need that answer 404 in a process without a client.
const needsClient = "a client"

// routes is the table of all paths.
func routes() []route {
	const get, post = http.MethodGet, http.MethodPost
	return []route{
		{get, "/v1/status", "Everything that the daemon says about itself.", "", nil, Status{}, false, (*api).status},
		{get, "/v1/bootstrap", "How far the client is, and what stands in the way.", needsClient, nil, Bootstrap{}, false, (*api).bootstrap},
		{get, "/v1/circuits", "The client's open circuits, with the reason for each relay in them.", needsClient, nil, Circuits{}, false, (*api).circuits},
		{get, "/v1/streams", "The open streams, and the last 200 that failed or were slow.", needsClient, nil, Streams{}, false, (*api).streams},
		{get, "/v1/explain/{id}", "The story of one stream: the one of that id, or last for the one that failed or was slow last.", needsClient, nil, Explained{}, false, (*api).explain},
		{get, "/v1/relay", "The relay part: totals, never circuits or peers.", "a relay", nil, RelayStatus{}, false, (*api).relay},
		{get, "/v1/relays", "The list of relays that this process holds.", "a list of relays", nil, Relays{}, false, (*api).relays},
		{get, "/v1/anchor", "An anchor file of the newest list of relays: what others may begin with whose genesis document is too old.", "a list of relays", nil, Anchor{}, true, (*api).anchor},
		{get, "/v1/config", "The settings in force and where each comes from.", "a configuration", nil, Config{}, false, (*api).config},
		{get, "/v1/events", "Server-sent events, until either side hangs up: that something changed, not how. The data of each is one object.", "events", nil, Event{}, false, (*api).events},
		{post, "/v1/newnym", "Begins a new identity: streams from now on share no circuit with those before; addresses given for names, and explanations, are forgotten.", needsClient, nil, NewIdentityDone{}, false, (*api).newIdentity},
		{post, "/v1/circuits/{id}/close", "Ends a circuit and the streams on it.", needsClient, nil, Closed{}, false, (*api).closeCircuit},
		{post, "/v1/reload", "Reads the configuration again and applies all that can change while running, or nothing.", "a configuration", nil, ReloadDone{}, true, (*api).reload},
		{post, "/v1/drain", "Takes no new circuits; ends when the rest is done, or after that time.", "a daemon that drains", DrainAsked{}, DrainBegun{}, true, (*api).drain},
		{post, "/v1/web", "Makes an address of the local page, good once and for a minute.", "a page", nil, Web{}, true, (*api).web},
		{get, "/v1/testnet", "The nodes of a testnet: processes, epochs, and what the list says of them.", "a testnet", nil, Testnet{}, true, (*api).testnet},
		{post, "/v1/testnet/add", "Makes and starts relays that join the network.", "a testnet of processes", TestnetAdd{}, Testnet{}, true, (*api).testnetAdd},
		{post, "/v1/testnet/start", "Starts a node again, in place, that has ended.", "a testnet of processes", TestnetStart{}, Testnet{}, true, (*api).testnetStart},
		{get, "/debug/pprof/", "The names of the profiles.", needsProfiles, nil, nil, true, (*api).profileNames},
		{get, "/debug/pprof/{id}", "One profile for go tool pprof, or, with ?debug=1, as text; profile is the processor's, and takes ?seconds=30, 120 at most.", needsProfiles, nil, nil, true, (*api).profile},
		{get, "/healthz", "Answers while the daemon runs.", "", nil, Health{}, true, (*api).healthy},
		{get, "/readyz", "Answers 200 when the daemon is ready, and 503 with the reason when it is not.", "", nil, Health{}, true, (*api).ready},
	}
}

// match returns whether path is one of the route's, and what stands at {id}.
func (r *route) match(path string) (id string, ok bool) {
	before, after, has := strings.Cut(r.path, "{id}")
	if !has {
		return "", path == r.path
	}
	id, ok = strings.CutPrefix(path, before)
	if ok {
		id, ok = strings.CutSuffix(id, after)
	}
	return id, ok && id != "" && len(id) <= maxIDSize && !strings.Contains(id, "/")
}

// maxIDSize bounds the name of a stream or circuit, in bytes.
const maxIDSize = 64

func (a *api) status(r *request) {
	s := a.source.Status()
	s.Schema = StatusSchema
	r.answer(s)
}

// workingClient says in which states new streams work.
func workingClient(c *Client) bool { return c.State == "ready" || c.State == "stale" }

func (a *api) bootstrap(r *request) {
	c := a.source.Status().Client
	r.answer(Bootstrap{
		Schema: BootstrapSchema, State: c.State, Percent: c.Percent, Tag: c.Tag, Cause: c.Cause, Text: c.Text, Fix: c.Fix, Clock: c.Clock,
		Ready: workingClient(c),
	})
}

func (a *api) circuits(r *request) {
	s := a.source.Status()
	r.answer(Circuits{CircuitsSchema, s.Time, orEmpty(s.Client.Guards), orEmpty(s.Client.Circuits)})
}

// orEmpty is what a list is when there is none: an empty one.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (a *api) streams(r *request) {
	s, can := a.source.(Streamer)
	if !can {
		r.absent("no client in this process that tells of streams")
		return
	}
	list := orEmpty(s.Streams())
	for i := range list {
		list[i].Tries = orEmpty(list[i].Tries)
	}
	r.answer(Streams{StreamsSchema, time.Now().UTC().Truncate(time.Millisecond), list})
}

func (a *api) explain(r *request) {
	s, can := a.source.(Streamer)
	if !can {
		r.absent("no client in this process that tells of streams")
		return
	}
	found, ok := s.Explain(r.id)
	if !ok {
		text, fix := "No stream of this id is remembered", "See those that are: chive status --streams. What ended well is not kept, and a new identity forgets all."
		if r.id == "last" {
			text, fix = "No stream has failed or been slow", "See those that are open: chive status --streams"
		}
		r.refuse(http.StatusNotFound, "no_stream", text, fix)
		return
	}
	found.Tries = orEmpty(found.Tries)
	out := Explained{Schema: ExplainSchema, Time: time.Now().UTC().Truncate(time.Millisecond), Stream: *found}
	if c := a.source.Status().Client; c != nil && found.CircuitID != "" {
		for i := range c.Circuits {
			if c.Circuits[i].ID == found.CircuitID {
				out.Circuit = &c.Circuits[i]
			}
		}
	}
	r.answer(out)
}

func (a *api) relay(r *request) {
	s := a.source.Status()
	if len(s.Relays) == 0 {
		r.absent("no relay in this process")
		return
	}
	r.answer(RelayStatus{RelaySchema, s.Time, s.Relays})
}

func (a *api) config(r *request) {
	var settings []Setting
	if s, can := a.source.(Configured); can {
		settings = s.Settings()
	}
	if settings == nil {
		r.absent("no configuration to show")
		return
	}
	r.answer(Config{ConfigSchema, settings})
}

func (a *api) newIdentity(r *request) {
	s, can := a.source.(Renewer)
	if !can {
		r.absent("no client in this process")
		return
	}
	s.NewIdentity()
	r.answer(NewIdentityDone{NewIdentitySchema})
}

func (a *api) closeCircuit(r *request) {
	s, can := a.source.(Closer)
	switch {
	case !can:
		r.absent("no client in this process")
	case !s.CloseCircuit(r.id):
		r.refuse(http.StatusNotFound, "no_circuit", "There is no circuit of this id", "It may have ended by itself. See those that are: GET /v1/circuits.")
	default:
		r.answer(Closed{ClosedSchema, r.id})
	}
}

func (a *api) reload(r *request) {
	s, can := a.source.(Reloader)
	if !can {
		r.absent("no configuration that could be read again")
		return
	}
	done, err := s.Reload()
	if err != nil {
		r.fail(err)
		return
	}
	r.answer(ReloadDone{ReloadSchema, Reloaded{orEmpty(done.Applied), orEmpty(done.Restart)}})
}

func (a *api) drain(r *request) {
	s, can := a.source.(Drainer)
	if !can {
		r.absent("nothing in this process that drains")
		return
	}
	var asked DrainAsked
	if !r.read(&asked) {
		return
	}
	if !(asked.After >= 0 && asked.After <= maxDrain.Seconds()) {
		r.refuse(http.StatusBadRequest, "drain_time", "after_seconds is between 0 and 86400", "Give a time of a day at most.")
		return
	}
	if err := s.Drain(time.Duration(math.Round(asked.After * float64(time.Second)))); err != nil {
		r.fail(err)
		return
	}
	r.answer(DrainBegun{DrainSchema, asked.After})
}

func (a *api) web(r *request) {
	s, can := a.source.(Pager)
	if !can {
		r.refuse(http.StatusNotFound, "not_here", "There is no page of this process", "Ask the daemon of chive up, which has one; chive status shows what this one is.")
		return
	}
	address, good, err := s.WebAddress()
	if err != nil {
		r.fail(err)
		return
	}
	r.answer(Web{WebSchema, address, good.Seconds()})
}

func (a *api) healthy(r *request) { r.answer(Health{Schema: HealthSchema, OK: true}) }

func (a *api) ready(r *request) {
	if why, fix := a.notReady(); why != "" {
		r.refuse(http.StatusServiceUnavailable, "not_ready", why, fix)
		return
	}
	r.answer(Health{HealthSchema, true, a.source.Status().Troubles()})
}

// Troubles are what is wrong around a daemon that works all the same: what it has to keep cannot be
// written, a relay's clock is off, or a relay's list grows old. None of it makes it unready.
// Spec: product CLI-6, decision 0012.
func (s *Status) Troubles() (out []Trouble) {
	add := func(code, text, fix string) {
		if text != "" && !slices.ContainsFunc(out, func(t Trouble) bool { return t.Code == code && t.Text == sentence(text) }) {
			out = append(out, Trouble{code, sentence(text), sentence(fix)})
		}
	}
	add("disk_low", s.Disk, FixDisk)
	if c := s.Client; c != nil && c.Cause == causeDisk {
		add(causeDisk, c.Text, c.Fix)
	}
	for i := range s.Relays {
		r := &s.Relays[i]
		add("store", r.Store, r.StoreFix)
		add("keys", r.Keys, cmp.Or(r.KeysFix, "Make room on the disk of the state folder, let the relay's user write there, and put back what was removed. It is tried again by itself."))
		if c := r.Certificates; c != nil {
			add("certificates", strings.TrimSuffix(c.Warning, " "+sentence(c.Fix)), c.Fix)
		}
		if r.Twin {
			add("twin", r.Abstains, FixTwin)
		}
		switch {
		case r.Clock != "":
			add("clock", r.Clock, setClock)
		case r.Directory.Stalled:
			add("list", r.Directory.Freshness, FixStalled)
		}
	}
	return out
}

// FixDisk is what to do about a disk that has little room left.
const FixDisk = "Make room on it: without, lists of relays and keys cannot be kept."

// FixTwin is what to do about two processes with one relay's keys.
const FixTwin = "Stop one of the two for good: a relay's keys belong to one process, in one state folder. Whoever moves a relay stops it first and moves the folder, not a copy."

// FixStalled is what an operator does about a relay whose list of relays grows old.
const FixStalled = "Right after a start, wait a little. Else check this machine's connection and clock, and name a relay that runs: --peer RID@IP:PORT."

// causeDisk is the cause of a client that can keep nothing.
const causeDisk = "disk"

// sentence makes a text one that stands by itself.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".") + "."
}

// patience is what to do about a daemon that is not ready yet.
const patience = "Wait, and see chive status if it stays so."

// setClock is what to do about a clock that is wrong.
const setClock = "Set the clock, and let the system keep it: timedatectl set-ntp true."

// notReady says why the daemon cannot do its work now, and what to do; empty: it can.
func (a *api) notReady() (why, fix string) {
	if s, can := a.source.(Readier); can {
		if ready, why := s.Ready(); !ready {
			return why, patience
		}
		return "", ""
	}
	s := a.source.Status()
	for i := range s.Relays {
		// Beside a client, a relay that others do not reach takes nothing from its user.
		if why, fix = s.Relays[i].notReady(s.Client != nil); why != "" {
			return why, fix
		}
	}
	switch c := s.Client; {
	case c == nil || workingClient(c):
		return "", ""
	case c.Clock != "": // waiting does not mend it
		return strings.TrimSuffix(c.Clock, ". Set the clock."), setClock
	case (c.State == "down" || c.Cause == causeDisk) && c.Fix != "":
		return c.Text, strings.ToUpper(c.Fix[:1]) + c.Fix[1:] + "."
	case c.Text != "":
		return c.Text, patience
	}
	return "The client is starting", patience
}

// notReady says why a relay can take no circuits, and what to do; empty: it can. One that
// waits for its place on the list does all that is its own to do. Of one that is beside a
// client nothing counts but that both end. Spec: product CLI-6, CLI-8, decision 0012.
func (r *Relay) notReady(beside bool) (why, fix string) {
	refuted := func(a ReachableAddress) bool { return a.State == "no" }
	switch {
	case r.Quota != nil && r.Quota.UsedUp && !beside:
		return "The relay rests until " + r.Quota.Ends.UTC().Format(time.DateTime) + " UTC: its quota is used up", "It goes on by itself then, or when you raise relay.accounting.max."
	case r.Quota != nil && r.Quota.UsedUp:
		return "", ""
	case r.Drains:
		return "The relay drains: it takes no new circuits, and ends", "Start it again when it has ended, if it is to go on."
	case beside:
		return "", ""
	case r.Reachable != nil && len(r.Reachable.Addresses) > 0 && !slices.ContainsFunc(r.Reachable.Addresses, func(a ReachableAddress) bool { return !refuted(a) }):
		return strings.TrimSuffix(r.Reachable.Text, "."), "It tests its addresses again every 5 minutes; a restart does not help. See chive relay status."
	case len(r.Published) == 0:
		return "The relay publishes no address yet: it is still being tested, or others do not reach it", patience
	}
	return "", ""
}

// fail answers with the failure that err is, or with none of its text.
func (r *request) fail(err error) {
	var f *Failure
	if !errors.As(err, &f) {
		r.refuse(http.StatusInternalServerError, "failed", "It did not work", "See the daemon's log.")
		return
	}
	status := f.Status
	if status < 400 || status > 599 {
		status = http.StatusConflict
	}
	r.refuse(status, f.Code, f.Text, f.Fix)
}
