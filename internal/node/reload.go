// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"chive/internal/config"
	"chive/internal/control"
)

// Effect is the configuration that a process runs with: it shows what is in force, and
// reads it again while the process runs. Then all that can change does, or nothing; keys
// that need a restart keep the value that they had at the start. A nil Effect shows and
// reads nothing. Safe for concurrent use.
//
// Spec: product CFG-4.
type Effect struct {
	read func() (*config.Config, error)

	mu      sync.Mutex
	began   *config.Config // whose values of keys that need a restart are in force
	now     *config.Config // whose other values are
	changes []change
}

// change prepares what a configuration that was read again says, and returns what puts
// it into force. It may be asked for something and then not be committed: drop undoes
// what was prepared; nil: nothing. Neither fails.
type change func(now, next *config.Config) (commit, drop func(), err error)

// NewEffect returns the Effect of a process that starts with cfg. read reads every layer
// again, and says what is wrong with it as a *Fault.
func NewEffect(cfg *config.Config, read func() (*config.Config, error)) *Effect {
	return &Effect{read: read, began: cfg, now: cfg}
}

// Settings returns the values in force. Passwords are not among them.
func (e *Effect) Settings() []control.Setting {
	if e == nil {
		return nil
	}
	e.mu.Lock()
	began, now := e.began, e.now
	e.mu.Unlock()
	applies := config.Reloads()
	pick := func(c *config.Config, reloads bool) map[string]control.Setting {
		out := make(map[string]control.Setting)
		for _, s := range c.Settings() {
			if applies(s.Key) == reloads {
				out[s.Key] = control.Setting{Key: s.Key, Value: s.Text, Origin: s.Origin.String()}
			}
		}
		return out
	}
	kept, changed := pick(began, false), pick(now, true)
	var out []control.Setting
	seen := make(map[string]bool)
	for _, s := range slices.Concat(now.Settings(), began.Settings()) {
		of := kept
		if applies(s.Key) {
			of = changed
		}
		if shown, there := of[s.Key]; there && !seen[s.Key] {
			seen[s.Key] = true
			out = append(out, shown)
		}
	}
	return out
}

// Reload reads the configuration again. A *Fault says what is wrong with it, or what
// could not be done; then nothing has changed. Keys that need a restart are named each
// time, until there was one.
func (e *Effect) Reload() (*control.Reloaded, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	next, err := e.read()
	if err != nil {
		return nil, err
	}
	applied, _ := config.Diff(e.now, next)
	_, restart := config.Diff(e.began, next)
	var commits, drops []func()
	for _, prepare := range e.changes {
		commit, drop, err := prepare(e.now, next)
		if err != nil {
			for _, drop := range drops {
				drop()
			}
			return nil, err
		}
		commits = append(commits, commit)
		if drop != nil {
			drops = append(drops, drop)
		}
	}
	for _, commit := range commits {
		commit()
	}
	e.now = next
	return &control.Reloaded{Applied: applied, Restart: restart}, nil
}

// reloaded is Reload for the control socket.
func (e *Effect) reloaded() (*control.Reloaded, error) {
	if e == nil {
		return nil, &control.Failure{Status: http.StatusNotFound, Code: "not_here", Text: "This process has no configuration that could be read again", Fix: "Start it again."}
	}
	done, err := e.Reload()
	var f *Fault
	if errors.As(err, &f) {
		return nil, &control.Failure{Code: f.Code, Text: f.Text + ". Nothing was changed", Fix: f.Fix}
	}
	return done, err
}

// follow has prepare be asked at each reading. A nil Effect has none.
func (e *Effect) follow(prepare change) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.changes = append(e.changes, prepare)
}

// logger makes the process's logger, which follows log.level and log.format.
func (e *Effect) logger(l Log, testnet bool) (zerolog.Logger, error) {
	log, turn, err := l.open(testnet)
	if turn == nil {
		return log, err
	}
	e.follow(func(_, next *config.Config) (commit, drop func(), err error) {
		level, err := Log{Level: next.Log.Level}.level()
		console := next.Log.Format == "console" || next.Log.Format == string(config.Auto) && l.Terminal
		return func() { turn.Set(level, console) }, nil, err
	})
	return log, err
}

// limits has a relay's allowance follow relay.rate, relay.burst and relay.accounting.
func (e *Effect) limits(a *allowance) {
	e.follow(func(now, next *config.Config) (commit, drop func(), err error) {
		if applied, _ := config.Diff(now, next); !slices.ContainsFunc(applied, isLimit) {
			return func() {}, nil, nil
		}
		limits, err := LimitsOf(next)
		return func() { a.set(limits, time.Now()) }, nil, err
	})
}

// isLimit reports whether a key says how much a relay carries.
func isLimit(key string) bool {
	return key == "relay.rate" || key == "relay.burst" || strings.HasPrefix(key, "relay.accounting.")
}

// LimitsOf are what a configuration says of how much a relay carries. A rate that nobody
// has said bounds nothing.
func LimitsOf(cfg *config.Config) (l RelayLimits, err error) {
	r := &cfg.Relay
	if cfg.Given("relay.rate") {
		l.Rate, l.Burst = int64(r.Rate), int64(r.BurstSize())
	}
	err = l.SetQuota(int64(r.Accounting.Max), r.Accounting.Period, r.Accounting.StartText(), r.Accounting.Count)
	return l, err
}

// ReloadText says what reading a configuration again has done, in sentences.
func ReloadText(done *control.Reloaded) string {
	var out []string
	if len(done.Applied) > 0 {
		out = append(out, "In force now: "+strings.Join(done.Applied, ", ")+".")
	}
	if len(done.Restart) > 0 {
		out = append(out, "Needs a restart: "+strings.Join(done.Restart, ", ")+".")
	}
	if len(out) == 0 {
		out = []string{"It says what it said."}
	}
	return "The configuration was read again. " + strings.Join(out, " ")
}
