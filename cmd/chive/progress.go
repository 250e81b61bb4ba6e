// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"sync"
	"time"

	"chive/client"
)

// patience is the pause between two lines about the same cause of a standstill; a step
// forward begins anew. Spec: product CLI-7.
const patience = 5 * time.Minute

// progress prints how a client's bootstrap goes.
type progress struct {
	a   *app
	now func() time.Time

	mu      sync.Mutex
	shown   bool
	percent int
	tag     string
	told    map[trouble]time.Time // when each cause was last shown; a closed list
}

// trouble is a cause, and whether it has become a standstill.
type trouble struct {
	cause string
	stuck bool
}

// progressObject is a step for programs; it goes to standard error.
type progressObject struct {
	Schema  string `json:"schema"`
	Event   string `json:"event"`
	Percent int    `json:"percent"`
	Tag     string `json:"tag"`
	Cause   string `json:"cause,omitempty"`
	Text    string `json:"text"`
}

func (a *app) newProgress() *progress {
	return &progress{a: a, now: time.Now, told: make(map[trouble]time.Time)}
}

// step takes one step; the percentage shown only rises.
func (p *progress) step(s client.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if s.Cause != "" {
		of := trouble{s.Cause, s.Stuck}
		if last, ok := p.told[of]; ok && now.Sub(last) < patience {
			return
		}
		p.told[of] = now
		switch {
		case p.percent == 100: // it has worked, and may go on working
			p.print("trouble", s.Cause, fmt.Sprintf("Trouble (%s): %s", s.Cause, s.Text), s.Text)
		case !s.Stuck: // the next try may do
			p.print("trouble", s.Cause, fmt.Sprintf("Trouble at %d%% (%s): %s", p.percent, p.tag, s.Text), s.Text)
		default:
			p.print("stuck", s.Cause, fmt.Sprintf("Stuck at %d%% (%s): %s", p.percent, p.tag, s.Text), s.Text)
		}
		return
	}
	if p.shown && s.Percent <= p.percent {
		return
	}
	p.shown, p.percent, p.tag = true, s.Percent, s.Tag
	clear(p.told)
	text := s.Text
	if text == "" {
		text = stepText(s.Tag)
	}
	p.print("bootstrap", "", fmt.Sprintf("Bootstrapped %d%% (%s): %s", s.Percent, s.Tag, text), text)
}

func (p *progress) print(event, cause, line, text string) {
	line, text = p.a.addressed(line), p.a.addressed(text)
	switch {
	case p.a.global.quiet:
	case p.a.global.json:
		printObject(p.a.err, progressObject{"chive.progress/1", event, p.percent, p.tag, cause, text})
	default:
		fmt.Fprintln(p.a.err, line)
	}
}

// stepText describes a step that says nothing itself.
func stepText(tag string) string {
	switch tag {
	case "starting":
		return "reading what was saved"
	case "connecting":
		return "connecting to a relay"
	case "handshake":
		return "agreeing on keys with the relay"
	case "loading_checkpoint":
		return "asking for the newest list of relays"
	case "loading_directory":
		return "fetching the list of relays"
	case "choosing_guards":
		return "choosing guards"
	case "building_circuit":
		return "building the first circuit"
	case "done":
		return "connected"
	}
	return tag
}
