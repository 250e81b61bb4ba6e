// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// profiled is a source that shows profiles, or does not.
type profiled struct {
	fixed
	shows bool
}

func (p *profiled) Profiles() bool { return p.shows }

// deadlines is an answer whose connection has deadlines.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = t; return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = t; return nil }

// TestProfilesAreShownWhereTheyMayBe: over the socket, and only by a source that says so;
// in words elsewhere. Spec: product API-1; security LOG-4.
func TestProfilesAreShownWhereTheyMayBe(t *testing.T) {
	shows := &profiled{shows: true}
	for name, c := range map[string]struct {
		source Source
		local  bool
		path   string
		status int
		want   string // a part of the body
	}{
		"their names":          {shows, true, "/debug/pprof/", 200, "goroutine\n"},
		"as text":              {shows, true, "/debug/pprof/goroutine?debug=1", 200, "goroutine profile: total"},
		"for the tool":         {shows, true, "/debug/pprof/heap", 200, "\x1f\x8b"},
		"none of that name":    {shows, true, "/debug/pprof/cmdline", 404, "no_profile"},
		"no number":            {shows, true, "/debug/pprof/profile?seconds=soon", 400, "seconds"},
		"none":                 {shows, true, "/debug/pprof/profile?seconds=0", 400, "seconds"},
		"too long":             {shows, true, "/debug/pprof/profile?seconds=121", 400, "seconds"},
		"it is not said":       {&profiled{}, true, "/debug/pprof/heap", 404, "no_profiles"},
		"it is not said, list": {&profiled{}, true, "/debug/pprof/", 404, "no_profiles"},
		"it cannot be said":    {&fixed{}, true, "/debug/pprof/profile", 404, "no_profiles"},
		"on the page":          {shows, false, "/debug/pprof/heap", 404, "not_found"},
		"their names on it":    {shows, false, "/debug/pprof/", 404, "not_found"},
	} {
		a := &api{source: c.source, local: c.local, table: routes()}
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest(http.MethodGet, c.path, nil))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: %d %.80q", name, w.Code, w.Body.String())
		}
		var f Failure
		if c.status != 200 && (json.Unmarshal(w.Body.Bytes(), &f) != nil || f.Text == "" || f.Fix == "") {
			t.Errorf("%s: not in words: %q", name, w.Body.String())
		}
	}
}

// TestAProfileOfTheProcessorHasItsTime: more than other answers have, and no more than its
// own; who hangs up ends it, and another may be made.
func TestAProfileOfTheProcessorHasItsTime(t *testing.T) {
	a := &api{source: &profiled{shows: true}, local: true, table: routes()}
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	for range 2 {
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		before := time.Now()
		a.ServeHTTP(w, httptest.NewRequestWithContext(gone, http.MethodGet, "/debug/pprof/profile?seconds=60", nil))
		for _, d := range []time.Time{w.read, w.write} {
			if left := d.Sub(before); left < time.Minute+answerTime || left > time.Minute+2*answerTime {
				t.Errorf("%v for a profile of a minute", left)
			}
		}
		if w.Code != 200 || !strings.HasPrefix(w.Body.String(), "\x1f\x8b") {
			t.Errorf("%d %.80q", w.Code, w.Body.String())
		}
	}
}
