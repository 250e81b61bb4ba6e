// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"time"

	"chive/internal/control"
)

// While a role runs its status is looked at, and what its operator has to know is
// told.
const (
	lookEvery = 30 * time.Second
	tellAgain = time.Hour // of an alarm or of trouble here that lasts
	tellDaily = 24 * time.Hour
	maxTold   = 64 // sentences remembered; then all may come again
)

// teller makes a nil function one that can be called.
func teller(tell func(string)) func(string) {
	if tell == nil {
		return func(string) {}
	}
	return tell
}

// watchRelay tells what a relay's operator should know, until ctx ends. listed is
// closed when the relay has come onto the list; nil: it was there before.
func watchRelay(ctx context.Context, look func() control.Relay, listed <-chan struct{}, tell func(string)) {
	w := watch{tell: tell, told: map[string]time.Time{}}
	every := time.NewTicker(lookEvery)
	defer every.Stop()
	w.reach(look().Reachable)
	for {
		select {
		case <-ctx.Done():
			return
		case <-listed:
			listed = nil
			tell("This relay is on the network's list now. Clients use it more and more as it grows older; chive status shows how it stands.")
		case <-every.C:
			w.relay(look())
		}
	}
}

// watchClient tells what a client's user should know beside its progress, until ctx
// ends.
func watchClient(ctx context.Context, look func() *control.Client, tell func(string)) {
	w := watch{tell: tell, told: map[string]time.Time{}}
	every := time.NewTicker(lookEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			w.notes(look().Directory.Notes)
		}
	}
}

// storeAgain says that a disk that was full, or failed, is not any more.
const storeAgain = "The relay can keep its directory's memory again: what was wrong with its disk or file is over. chive status says whether it takes part in the committee."

// watch remembers what was told.
type watch struct {
	tell func(string)
	told map[string]time.Time // by code, when
}

func (w *watch) relay(r control.Relay) {
	w.notes(r.Directory.Notes)
	w.reach(r.Reachable)
	if _, told := w.told["store"]; told && r.Store == "" {
		w.tell(storeAgain)
	}
	for _, trouble := range []struct{ code, text, fix string }{{"clock", r.Clock, ""}, {"store", r.Store, r.StoreFix}, {"keys", r.Keys, r.KeysFix}} {
		if trouble.text != "" && trouble.fix != "" {
			trouble.text += ". " + trouble.fix
		}
		w.lasting(trouble.code, trouble.text)
	}
	if r.Joining != "" { // else it asks none of them
		w.lasting("peers", peersText(r.Peers))
	}
	if c := r.Certificates; c != nil {
		w.seldom("certificates", c.Warning)
	}
	for _, report := range r.Reports {
		if last, told := w.told[report.Text]; !told || report.Time.After(last) {
			w.say(report.Text, report.Text, report.Time)
		}
	}
}

// reach tells what others have found who dialled the relay: once that they reach it, and
// now and then that they do not.
func (w *watch) reach(r *control.Reachable) {
	const yes, no = "reached", "unreached"
	switch {
	case r == nil || r.Checked.IsZero():
	case r.State == "no":
		delete(w.told, yes)
		w.lasting(no, r.Text+".")
	default:
		delete(w.told, no)
		if _, told := w.told[yes]; !told {
			w.say(yes, r.Text+".", time.Now())
		}
	}
}

// notes tells alarms now and then, and once what is merely so. What the progress of a
// client says as well is left to it.
func (w *watch) notes(all []control.Note) {
	for _, n := range all {
		switch _, told := w.told[n.Code]; {
		case n.Level == control.LevelInfo, n.Code == noteStale, n.Code == noteRefused:
		case n.Level == control.LevelAlarm:
			w.lasting(n.Code, n.Text)
		case !told:
			w.say(n.Code, n.Text, time.Now())
		}
	}
}

// lasting tells a sentence that was not told lately. An empty one says that all is well
// again.
func (w *watch) lasting(code, text string) {
	last, told := w.told[code]
	switch now := time.Now(); {
	case text == "":
		delete(w.told, code)
	case !told || now.Sub(last) >= tellAgain:
		w.say(code, text, now)
	}
}

// seldom is lasting for what lasts for days: it is told once a day.
func (w *watch) seldom(code, text string) {
	if last, told := w.told[code]; told && text != "" && time.Since(last) < tellDaily {
		return
	}
	w.lasting(code, text)
}

func (w *watch) say(code, text string, when time.Time) {
	if len(w.told) >= maxTold {
		clear(w.told)
	}
	w.told[code] = when
	w.tell(text)
}
