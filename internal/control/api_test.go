// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// able is a source with all abilities.
type able struct {
	*fixed
	hub Hub

	mu      sync.Mutex
	done    []string
	trouble error
}

func (a *able) did(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done = append(a.done, what)
}

func (a *able) Streams() []Stream {
	return []Stream{{ID: "s1", Target: "example.com:443", CircuitID: "c1"}}
}

func (a *able) Explain(id string) (*Stream, bool) {
	if id != "last" && id != "s1" {
		return nil, false
	}
	return &a.Streams()[0], true
}

func (a *able) NewIdentity() { a.did("newnym") }

func (a *able) CloseCircuit(id string) bool { a.did("close " + id); return id == "c1" }

func (a *able) Reload() (*Reloaded, error) {
	if a.trouble != nil {
		return nil, a.trouble
	}
	return &Reloaded{Applied: []string{"log.level"}}, nil
}

func (a *able) Drain(after time.Duration) error { a.did("drain " + after.String()); return a.trouble }

func (a *able) Settings() []Setting { return []Setting{{"log.level", `"info"`, "default"}} }

func (a *able) List() *Relays { return &Relays{Epoch: 7} }

func (a *able) Anchor(context.Context) (*Anchor, error) {
	return &Anchor{Epoch: 9, Data: []byte("file")}, a.trouble
}

func (a *able) Events() *Hub { return &a.hub }

func (a *able) WebAddress() (string, time.Duration, error) {
	return "http://127.0.0.1:1/#token=x", time.Minute, a.trouble
}

func newAble() *able {
	a := &able{fixed: demo()}
	a.s.Client.Circuits = []Circuit{{ID: "c1", Purpose: "general"}}
	a.s.Relays = []Relay{{RID: "aa"}}
	return a
}

func TestEveryPathAnswers(t *testing.T) {
	source := newAble()
	path := serving(t, source)
	ctx := t.Context()
	if b, raw, err := FetchBootstrap(ctx, path); err != nil || !b.Ready || b.Percent != 100 || len(raw) == 0 {
		t.Errorf("bootstrap: %+v %v", b, err)
	}
	if c, _, err := FetchCircuits(ctx, path); err != nil || len(c.Circuits) != 1 || c.Circuits[0].Purpose != "general" || len(c.Guards) != 1 {
		t.Errorf("circuits: %+v %v", c, err)
	}
	if s, raw, err := FetchStreams(ctx, path); err != nil || len(s.Streams) != 1 || !strings.Contains(string(raw), `"tries":[]`) {
		t.Errorf("streams: %s %v", raw, err)
	}
	for _, id := range []string{"last", "s1"} {
		if e, _, err := FetchExplained(ctx, path, id); err != nil || e.Stream.ID != "s1" || e.Circuit == nil || e.Circuit.ID != "c1" {
			t.Errorf("explain %s: %+v %v", id, e, err)
		}
	}
	if r, _, err := FetchRelay(ctx, path); err != nil || len(r.Relays) != 1 {
		t.Errorf("relay: %+v %v", r, err)
	}
	if r, raw, err := FetchRelays(ctx, path); err != nil || r.Epoch != 7 || !strings.Contains(string(raw), `"relays":[]`) {
		t.Errorf("relays: %s %v", raw, err)
	}
	if a, _, err := FetchAnchor(ctx, path); err != nil || a.Epoch != 9 || string(a.Data) != "file" {
		t.Errorf("anchor: %+v %v", a, err)
	}
	if c, _, err := FetchConfig(ctx, path); err != nil || len(c.Settings) != 1 {
		t.Errorf("config: %+v %v", c, err)
	}
	if _, _, err := FetchReady(ctx, path); err != nil {
		t.Errorf("ready: %v", err)
	}
	if _, _, err := FetchAlive(ctx, path); err != nil {
		t.Errorf("health: %v", err)
	}
	if _, _, err := PostNewIdentity(ctx, path); err != nil {
		t.Errorf("newnym: %v", err)
	}
	if c, _, err := PostClose(ctx, path, "c1"); err != nil || c.ID != "c1" {
		t.Errorf("close: %v", err)
	}
	if r, raw, err := PostReload(ctx, path); err != nil || len(r.Applied) != 1 || !strings.Contains(string(raw), `"restart":[]`) {
		t.Errorf("reload: %s %v", raw, err)
	}
	if d, _, err := PostDrain(ctx, path, 90*time.Second); err != nil || d.After != 90 {
		t.Errorf("drain: %+v %v", d, err)
	}
	if w, _, err := PostWeb(ctx, path); err != nil || w.Good != 60 || w.Address == "" {
		t.Errorf("web: %+v %v", w, err)
	}
	if got := strings.Join(source.done, ", "); got != "newnym, close c1, drain 1m30s" {
		t.Errorf("done: %s", got)
	}
}

// TestFailuresSayWhatAndWhatToDo: each with its code, and with none of the text of an
// error that was not made for people.
func TestFailuresSayWhatAndWhatToDo(t *testing.T) {
	bare := demo()
	bare.s.Client, bare.s.Relays = nil, nil
	path := serving(t, bare)
	ctx := t.Context()
	code := func(_ any, _ []byte, err error) string {
		var f *Failure
		if !errors.As(err, &f) {
			return fmt.Sprint(err)
		}
		if f.Text == "" || f.Fix == "" || f.Status < 400 || f.Error() == "" {
			t.Errorf("failure %+v", f)
		}
		return fmt.Sprintf("%s %d", f.Code, f.Status)
	}
	asks := []func(path string) string{
		func(p string) string { return code(FetchBootstrap(ctx, p)) },
		func(p string) string { return code(FetchCircuits(ctx, p)) },
		func(p string) string { return code(FetchStreams(ctx, p)) },
		func(p string) string { return code(FetchExplained(ctx, p, "last")) },
		func(p string) string { return code(FetchRelay(ctx, p)) },
		func(p string) string { return code(FetchRelays(ctx, p)) },
		func(p string) string { return code(FetchConfig(ctx, p)) },
		func(p string) string { return code(PostNewIdentity(ctx, p)) },
		func(p string) string { return code(PostClose(ctx, p, "c1")) },
		func(p string) string { return code(PostReload(ctx, p)) },
		func(p string) string { return code(PostDrain(ctx, p, 0)) },
		func(p string) string { return code(PostWeb(ctx, p)) },
		func(p string) string {
			return code(nil, nil, FetchEvents(ctx, p, func(Event, []byte) error { return nil }))
		},
	}
	for i, ask := range asks {
		if got := ask(path); got != "not_here 404" {
			t.Errorf("ask %d without the part: %s", i, got)
		}
	}
	if got := code(FetchReady(ctx, path)); got != "<nil>" {
		t.Errorf("a relay is ready: %s", got)
	}

	source := newAble()
	source.s.Client.State = "table"
	path = serving(t, source)
	if got := code(FetchReady(ctx, path)); got != "not_ready 503" {
		t.Errorf("starting: %s", got)
	}
	if got := code(FetchExplained(ctx, path, "other")); got != "no_stream 404" {
		t.Errorf("unknown stream: %s", got)
	}
	if got := code(PostClose(ctx, path, "c9")); got != "no_circuit 404" {
		t.Errorf("unknown circuit: %s", got)
	}
	if got := code(FetchExplained(ctx, path, strings.Repeat("x", maxIDSize+1))); got != "not_found 404" {
		t.Errorf("an id beyond the bound: %s", got)
	}
	if got := code(FetchExplained(ctx, path, "a/b")); got != "not_found 404" {
		t.Errorf("an id with a slash: %s", got)
	}
	for _, after := range []time.Duration{-time.Second, maxDrain + time.Second} {
		if got := code(PostDrain(ctx, path, after)); got != "drain_time 400" {
			t.Errorf("drain after %v: %s", after, got)
		}
	}
	source.trouble = errors.New("secret")
	if got := code(PostReload(ctx, path)); got != "failed 500" {
		t.Errorf("an error: %s", got)
	}
	source.trouble = fmt.Errorf("reload: %w", &Failure{Code: "config", Text: "chive.toml:3:1: unknown key", Fix: "Mend it."})
	if got := code(PostReload(ctx, path)); got != "config 409" {
		t.Errorf("a failure: %s", got)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	path := serving(t, newAble())
	for _, c := range []struct {
		name, kind, body, want string
	}{
		{"none", "", "", "200"},
		{"object", "application/json", `{"after_seconds":1}`, "200"},
		{"with a character set", "application/json; charset=utf-8", `{}`, "200"},
		{"form", "text/plain", `{"after_seconds":1}`, "415"},
		{"at the bound", "application/json", `{}` + strings.Repeat(" ", MaxBodySize-2), "200"},
		{"beyond it", "application/json", `{}` + strings.Repeat(" ", MaxBodySize-1), "413"},
		{"unknown field", "application/json", `{"after":1}`, "400"},
		{"two objects", "application/json", `{}{}`, "400"},
		{"other type", "application/json", `{"after_seconds":"1"}`, "400"},
		{"cut", "application/json", `{"after_seconds":`, "400"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = fmt.Fprintf(conn, "POST /v1/drain HTTP/1.1\r\nHost: chive\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", c.kind, len(c.body), c.body)
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil || !strings.Contains(line, " "+c.want+" ") {
				t.Errorf("got %q %v, want %s", line, err, c.want)
			}
		})
	}
}

// TestPageLacksWhatIsLocal: neither tokens nor the ends of a daemon are to be had
// through the page, and a read changes nothing (PAGE-2).
func TestPageLacksWhatIsLocal(t *testing.T) {
	source := newAble()
	h := Handler(source, nil)
	for path, want := range map[string]int{
		"POST /v1/web": 404, "POST /v1/drain": 404, "POST /v1/reload": 404, "GET /healthz": 404, "GET /readyz": 404,
		"GET /v1/newnym": 405, "GET /v1/circuits/c1/close": 405, "HEAD /v1/status": 405, "GET /v1/events": 404,
		"GET /v1/status": 200, "POST /v1/newnym": 200, "POST /v1/circuits/c1/close": 200,
	} {
		method, target, _ := strings.Cut(path, " ")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	for _, r := range routes() {
		if (r.method == http.MethodGet) != (r.takes == nil && !slices.Contains([]string{"newnym", "close", "reload", "drain", "web"}, r.path[strings.LastIndex(r.path, "/")+1:])) {
			t.Errorf("%s %s: what changes something is asked with POST", r.method, r.path)
		}
	}
}

// TestReadyIsThatWorkIsPossible (CLI-6): of a relay alone, and of one beside a client. It
// is alive in any case.
func TestReadyIsThatWorkIsPossible(t *testing.T) {
	good := Relay{Published: []string{"1.2.3.4:9240"}, Reachable: &Reachable{State: "yes", Addresses: []ReachableAddress{{State: "yes"}}}}
	change := func(f func(*Relay)) Relay {
		r := good
		f(&r)
		return r
	}
	full := &Quota{UsedUp: true, Ends: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}
	for name, c := range map[string]struct {
		relay        Relay
		alone, aside string // what the reason has in it; empty: ready
	}{
		"works":          {good, "", ""},
		"joins":          {change(func(r *Relay) { r.Joining, r.Listed = "waits", false }), "", ""},
		"drains":         {change(func(r *Relay) { r.Drains = true }), "drains", "drains"},
		"rests":          {change(func(r *Relay) { r.Drains, r.Quota = true, full }), "until 2026-12-01 00:00:00 UTC", ""},
		"publishes none": {change(func(r *Relay) { r.Published = nil }), "publishes no address", ""},
		"not reached": {change(func(r *Relay) {
			r.Reachable = &Reachable{State: "no", Text: "Nobody there.", Addresses: []ReachableAddress{{State: "no"}}}
		}), "Nobody there", ""},
		"one of two": {change(func(r *Relay) {
			r.Reachable = &Reachable{State: "no", Addresses: []ReachableAddress{{State: "no"}, {State: "yes"}}}
		}), "", ""},
		"nobody to be asked": {change(func(r *Relay) { r.Reachable = &Reachable{State: "no", Addresses: []ReachableAddress{}} }), "", ""},
	} {
		for _, beside := range []bool{false, true} {
			source := newAble()
			source.s.Relays = []Relay{c.relay}
			want := c.aside
			if !beside {
				source.s.Client, want = nil, c.alone
			}
			path := serving(t, source)
			_, _, err := FetchReady(t.Context(), path)
			var f *Failure
			errors.As(err, &f)
			if (err == nil) != (want == "") || f != nil && (f.Code != "not_ready" || f.Status != 503 || !strings.Contains(f.Text, want) || f.Fix == "") {
				t.Errorf("%s, beside a client %v: %v", name, beside, err)
			}
			if _, _, err := FetchAlive(t.Context(), path); err != nil {
				t.Errorf("%s: not alive: %v", name, err)
			}
		}
	}
}

func TestEventsArrive(t *testing.T) {
	source := newAble()
	path := serving(t, source)
	got := make(chan Event, 2)
	over := errors.New("over")
	ended := make(chan error, 1)
	go func() {
		ended <- FetchEvents(context.Background(), path, func(e Event, raw []byte) error {
			got <- e
			if e.Kind == EventWarning {
				return over
			}
			return nil
		})
	}()
	for { // until it has subscribed
		source.hub.Publish(Event{Kind: EventCircuit, ID: "c1", State: "open"})
		select {
		case e := <-got:
			if e.Kind != EventCircuit || e.ID != "c1" || e.State != "open" || e.Schema != EventSchema {
				t.Fatalf("got %+v", e)
			}
		case <-time.After(time.Millisecond):
			continue
		}
		break
	}
	source.hub.Publish(Event{Kind: EventWarning})
	for {
		select {
		case <-got:
			continue
		case err := <-ended:
			if err != over {
				t.Errorf("ended with %v", err)
			}
		}
		break
	}
}

// TestEventsEndWithTheServer: a follower keeps neither the daemon nor the follower.
func TestEventsEndWithTheServer(t *testing.T) {
	source := newAble()
	ctx, stop := context.WithCancel(t.Context())
	l, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, source) }()
	ended := make(chan error, 1)
	heard := make(chan struct{}, 1)
	go func() {
		ended <- FetchEvents(t.Context(), l.Addr().String(), func(Event, []byte) error {
			select {
			case heard <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	for waits := true; waits; {
		source.hub.Publish(Event{Kind: EventRelay})
		select {
		case <-heard:
			waits = false
		case <-time.After(time.Millisecond):
		}
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, ErrNobody) {
		t.Errorf("the follower ended with %v", err)
	}
	if len(source.hub.subs) != 0 {
		t.Error("a subscription is left")
	}
}

// TestFollowersAreBounded: one beyond the bound is told so, and others still get
// answers.
func TestFollowersAreBounded(t *testing.T) {
	source := newAble()
	path := serving(t, source)
	for range SubscriberCount {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, "GET /v1/events HTTP/1.1\r\nHost: chive\r\n\r\n")
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, " 200 ") {
			t.Fatalf("%q %v", line, err)
		}
	}
	err := FetchEvents(t.Context(), path, func(Event, []byte) error { return nil })
	var f *Failure
	if !errors.As(err, &f) || f.Code != "subscribers" {
		t.Errorf("got %v", err)
	}
	if _, _, err := Fetch(t.Context(), path); err != nil {
		t.Error(err)
	}
}

// TestAbilitiesNeedTheirPart: who could tell of streams but has no client tells nothing.
func TestAbilitiesNeedTheirPart(t *testing.T) {
	source := newAble()
	source.s.Client = nil
	path := serving(t, source)
	for _, r := range routes() {
		if r.needs != needsClient {
			continue
		}
		_, _, err := ask[Health](t.Context(), path, r.method, strings.ReplaceAll(r.path, "{id}", "c1"), HealthSchema, nil)
		var f *Failure
		if !errors.As(err, &f) || f.Code != "not_here" {
			t.Errorf("%s %s: %v", r.method, r.path, err)
		}
	}
	if len(source.done) > 0 {
		t.Errorf("done without a client: %v", source.done)
	}
}

// TestHealthSaysToSetAClock (CLI-6): waiting does not mend one that is wrong.
func TestHealthSaysToSetAClock(t *testing.T) {
	source := newAble()
	source.s.Relays = nil
	source.s.Client.State, source.s.Client.Clock = "cold", "this clock is 2 h slow. Set the clock."
	source.s.Client.Text = source.s.Client.Clock
	_, _, err := FetchReady(t.Context(), serving(t, source))
	var f *Failure
	if !errors.As(err, &f) || f.Code != "not_ready" || f.Text != "this clock is 2 h slow" || f.Fix != setClock {
		t.Errorf("%+v", f)
	}
}

// TestHealthSaysThatAListGrowsOld (CLI-6): a relay that hears of no list takes circuits, so it is
// ready, but is not well; a clock that is off says why.
func TestHealthSaysThatAListGrowsOld(t *testing.T) {
	source := newAble()
	source.s.Relays = []Relay{
		{Directory: Directory{Stalled: true, Freshness: "The newest list is 309 epochs old: clients refuse it."}, Joining: "it asks others"},
		{Directory: Directory{Stalled: true, Freshness: "?"}, Clock: "This clock is 2 h slow"},
		{Directory: Directory{Freshness: "The newest list is of this epoch or the one before: fresh."}},
	}
	h, _, err := FetchReady(t.Context(), serving(t, source))
	want := []Trouble{{"list", "The newest list is 309 epochs old: clients refuse it.", FixStalled}, {"clock", "This clock is 2 h slow.", setClock}}
	if err != nil || !h.OK || !slices.Equal(h.Troubles, want) {
		t.Errorf("%+v %v", h, err)
	}
}

// TestHealthSaysWhatIsWrongWithKeys (CLI-6): what ends soon, and what was removed, each with what
// to do about that.
func TestHealthSaysWhatIsWrongWithKeys(t *testing.T) {
	source := newAble()
	source.s.Relays = []Relay{{
		Keys: "key files were removed: vrf.key", KeysFix: "Put them back",
		Twin: true, Abstains: "another process runs with this relay's keys",
		Certificates: &Certificates{Warning: "It ends tomorrow. Ask the identity to sign anew.", Fix: "Ask the identity to sign anew"},
	}, {Certificates: &Certificates{Text: "It ends in a month."}}}
	h, _, err := FetchReady(t.Context(), serving(t, source))
	want := []Trouble{{"keys", "Key files were removed: vrf.key.", "Put them back."}, {"certificates", "It ends tomorrow.", "Ask the identity to sign anew."}, {"twin", "Another process runs with this relay's keys.", FixTwin}}
	if err != nil || !h.OK || !slices.Equal(h.Troubles, want) {
		t.Errorf("%+v %v", h, err)
	}
}

// TestHealthSaysThatADiskIsFull (CLI-6): with what to do, of the client and of each relay. Work is
// possible meanwhile, so it is ready (decision 0012).
func TestHealthSaysThatADiskIsFull(t *testing.T) {
	source := newAble()
	path := serving(t, source)
	if h, raw, err := FetchReady(t.Context(), path); err != nil || !h.OK || len(h.Troubles) > 0 || strings.Contains(string(raw), "troubles") {
		t.Errorf("all is well: %s %v", raw, err)
	}
	source.s.Disk = "The disk of the state folder has 3 MiB left"
	if h, _, err := FetchReady(t.Context(), path); err != nil || !slices.Equal(h.Troubles, []Trouble{{"disk_low", source.s.Disk + ".", FixDisk}}) {
		t.Errorf("little room: %+v %v", h, err)
	}
	source.s.Disk = ""
	source.s.Client.Cause, source.s.Client.Text, source.s.Client.Fix = "disk", "the state folder cannot be written.", "make room"
	source.s.Relays = []Relay{
		{Store: "the disk is full", StoreFix: "Make room there."},
		{Store: "the disk is full", StoreFix: "Make room there."}, // of one machine
		{Keys: "a key cannot be written"},
	}
	h, _, err := FetchReady(t.Context(), path)
	if err != nil || !h.OK || len(h.Troubles) != 3 {
		t.Fatalf("%+v %v", h, err)
	}
	if h.Troubles[0] != (Trouble{"disk", "The state folder cannot be written.", "Make room."}) || h.Troubles[1] != (Trouble{"store", "The disk is full.", "Make room there."}) {
		t.Errorf("%+v", h.Troubles)
	}
	if k := h.Troubles[2]; k.Code != "keys" || k.Text != "A key cannot be written." || !strings.Contains(k.Fix, "Make room") {
		t.Errorf("%+v", k)
	}
	source.s.Client.State = "table"
	var f *Failure
	if _, _, err := FetchReady(t.Context(), path); !errors.As(err, &f) || f.Fix != "Make room." {
		t.Errorf("a client that starts on a full disk: %v", err)
	}
	if h, _, err := FetchAlive(t.Context(), path); err != nil || len(h.Troubles) > 0 {
		t.Errorf("alive: %+v %v", h, err)
	}
}
