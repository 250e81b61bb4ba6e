// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"bytes"
	"net/http"
	"runtime/pprof"
	"strconv"
	"time"
)

// Profiler is the ability to show what the process does inside, to who improves it. True
// only in a testnet whose user said so: a profile tells of those whose traffic is carried.
// Spec: product API-1; security LOG-4.
type Profiler interface{ Profiles() bool }

// needsProfiles is what the paths of profiles need.
const needsProfiles = "a testnet's node with debug = true"

// How long the processor is watched, in seconds.
const (
	usualProfile = 30
	mostProfile  = 120
)

// processorProfile is the one profile that takes time.
const processorProfile = "profile"

// profiles reports whether profiles are shown here, or refuses.
func (a *api) profiles(r *request) bool {
	if s, can := a.source.(Profiler); can && s.Profiles() {
		return true
	}
	r.refuse(http.StatusNotFound, "no_profiles", "This process shows no profiles of itself: debug = true is not said, or not in force",
		"In a testnet write debug = true into the configuration, and start again. In another network there are none, since they tell of other people's traffic.")
	return false
}

// profileNames lists the profiles.
func (a *api) profileNames(r *request) {
	if !a.profiles(r) {
		return
	}
	var out bytes.Buffer
	out.WriteString(processorProfile + "\n")
	for _, p := range pprof.Profiles() {
		out.WriteString(p.Name() + "\n")
	}
	r.data("text/plain; charset=utf-8", out.Bytes())
}

// profile answers with one profile.
func (a *api) profile(r *request) {
	if !a.profiles(r) {
		return
	}
	if r.id == processorProfile {
		r.watch()
		return
	}
	p := pprof.Lookup(r.id)
	if p == nil {
		r.refuse(http.StatusNotFound, "no_profile", "There is no profile of this name", "See those that are: GET /debug/pprof/.")
		return
	}
	level, kind := 0, "application/octet-stream"
	if text := r.r.URL.Query().Get("debug"); text == "1" || text == "2" {
		level, kind = int(text[0]-'0'), "text/plain; charset=utf-8"
	}
	var out bytes.Buffer
	if p.WriteTo(&out, level) != nil {
		r.refuse(http.StatusInternalServerError, "failed", "The profile could not be made", "Ask again.")
		return
	}
	r.data(kind, out.Bytes())
}

// watch answers with what the processor did in the seconds that are asked for. It ends
// sooner when who asks hangs up, or the server ends.
func (r *request) watch() {
	seconds := usualProfile
	if text := r.r.URL.Query().Get("seconds"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > mostProfile {
			r.refuse(http.StatusBadRequest, "seconds", "seconds is a whole number from 1 to "+strconv.Itoa(mostProfile), "Write /debug/pprof/profile?seconds=30.")
			return
		}
		seconds = n
	}
	length := time.Duration(seconds) * time.Second
	c := http.NewResponseController(r.w) // the usual times are shorter
	_ = c.SetReadDeadline(time.Now().Add(length + answerTime))
	_ = c.SetWriteDeadline(time.Now().Add(length + answerTime))
	var out bytes.Buffer
	if pprof.StartCPUProfile(&out) != nil {
		r.refuse(http.StatusConflict, "profile_taken", "Another profile of the processor is being made", "Ask again when that is done.")
		return
	}
	t := time.NewTimer(length)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.r.Context().Done():
	}
	pprof.StopCPUProfile()
	r.data("application/octet-stream", out.Bytes())
}

// data answers with bytes that are no object.
func (r *request) data(kind string, data []byte) {
	r.w.Header().Set("Content-Type", kind)
	_, _ = r.w.Write(data) // who asked may be gone
}
