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
	turn chan struct{} // of room 1: of who reads, which takes its time; mu is not held meanwhile

	mu      sync.Mutex
	began   *config.Config // whose values of keys that need a restart are in force
	now     *config.Config // whose other values are
	foreign []string       // see Without
	changes []change
}

// change is one part of a process that follows the configuration.
type change struct {
	keys    []string // that it follows; one that ends in a dot stands for all below it
	prepare prepare
}

// prepare prepares what a configuration that was read again says. On a fault nothing has
// changed, and nothing was prepared.
type prepare func(now, next *config.Config) (prepared, error)

// prepared is what a change has prepared.
type prepared struct {
	commit func()   // puts it into force; it does not fail. Nil: nothing changes
	drop   func()   // undoes it where something else failed. Nil: there is nothing to undo
	also   []string // keys that say what they said, of something that has changed, such as a file
}

// follows reports whether the change follows a key.
func (c *change) follows(key string) bool {
	return slices.ContainsFunc(c.keys, func(k string) bool {
		return k == key || strings.HasSuffix(k, ".") && strings.HasPrefix(key, k)
	})
}

// NewEffect returns the Effect of a process that starts with cfg. read reads every layer
// again, and says what is wrong with it as a *Fault.
func NewEffect(cfg *config.Config, read func() (*config.Config, error)) *Effect {
	return &Effect{read: read, turn: make(chan struct{}, 1), began: cfg, now: cfg}
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
// time, until there was one. Those of a role that this process does not have are not
// named as applied.
func (e *Effect) Reload() (*control.Reloaded, error) {
	e.turn <- struct{}{}
	defer func() { <-e.turn }()
	next, err := e.read()
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	began, now, changes, foreign := e.began, e.now, slices.Clone(e.changes), change{keys: e.foreign}
	e.mu.Unlock()
	done := &control.Reloaded{}
	changed, _ := config.Diff(now, next)
	_, done.Restart = config.Diff(began, next)
	done.Restart = slices.DeleteFunc(done.Restart, foreign.follows)
	all, err := prepareAll(changes, now, next)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		changed = append(changed, p.also...)
	}
	for _, p := range all {
		if p.commit != nil {
			p.commit()
		}
	}
	e.mu.Lock()
	e.now = next
	e.mu.Unlock()
	for _, key := range changed {
		if slices.ContainsFunc(changes, func(c change) bool { return c.follows(key) }) && !slices.Contains(done.Applied, key) {
			done.Applied = append(done.Applied, key)
		}
	}
	return done, nil
}

// Without says which keys this process does not read, whenever it starts: their change
// needs no restart. One that ends in a dot stands for all below it. It is called before
// anything is read again, and returns e.
func (e *Effect) Without(keys ...string) *Effect {
	e.foreign = keys
	return e
}

// prepareAll has all changes prepared, or none.
func prepareAll(changes []change, now, next *config.Config) (all []prepared, err error) {
	for _, c := range changes {
		p, err := c.prepare(now, next)
		if err != nil {
			for _, p := range slices.Backward(all) {
				if p.drop != nil {
					p.drop()
				}
			}
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// following is how many changes follow the configuration.
func (e *Effect) following() int {
	if e == nil {
		return 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.changes)
}

// forget has those of all changes but the first ones that are of a relay follow no more: it
// could not begin.
func (e *Effect) forget(first int) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	kept := slices.DeleteFunc(slices.Clone(e.changes[first:]), func(c change) bool { return strings.HasPrefix(c.keys[0], "relay.") })
	e.changes = append(e.changes[:first:first], kept...)
}

// catchUp puts into force, for all changes but the first ones, what was read again before
// they followed: what they are of was made from what the process began with.
func (e *Effect) catchUp(first int) error {
	if e == nil {
		return nil
	}
	e.turn <- struct{}{}
	defer func() { <-e.turn }()
	e.mu.Lock()
	began, now, late := e.began, e.now, slices.Clone(e.changes[first:])
	e.mu.Unlock()
	if began == now {
		return nil
	}
	all, err := prepareAll(late, began, now)
	for _, p := range all {
		if p.commit != nil {
			p.commit()
		}
	}
	return err
}

// Drain is how long open circuits are given when the relay of this process ends, as the
// configuration in force says.
func (e *Effect) Drain() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now.Relay.Drain
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

// follow has prepare be asked at each reading, which follows these keys. A nil Effect has
// none.
func (e *Effect) follow(prepare prepare, keys ...string) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.changes = append(e.changes, change{keys, prepare})
}

// logger makes the process's logger, which follows log.level and log.format.
func (e *Effect) logger(l Log, testnet bool) (zerolog.Logger, error) {
	log, turn, err := l.open(testnet)
	if turn == nil {
		return log, err
	}
	e.follow(func(_, next *config.Config) (prepared, error) {
		level, err := Log{Level: next.Log.Level}.level()
		console := next.Log.Format == "console" || next.Log.Format == string(config.Auto) && l.Terminal
		return prepared{commit: func() { turn.Set(level, console) }}, err
	}, "log.")
	return log, err
}

// limits has a relay's allowance follow relay.rate, relay.burst, relay.memory and
// relay.accounting.
func (e *Effect) limits(a *allowance) {
	e.follow(func(now, next *config.Config) (p prepared, err error) {
		limits, err := LimitsOf(next)
		if was, wrong := LimitsOf(now); err != nil || wrong == nil && was == limits {
			return p, err
		}
		if now.Given("relay.rate") != next.Given("relay.rate") {
			p.also = []string{"relay.rate"} // what bounds nothing shows as the default
		}
		p.commit = func() { a.set(limits, time.Now()) }
		return p, nil
	}, "relay.rate", "relay.burst", "relay.memory", "relay.accounting.")
}

// LimitsOf are what a configuration says of how much a relay carries. A rate that nobody
// has said bounds nothing.
func LimitsOf(cfg *config.Config) (l RelayLimits, err error) {
	r := &cfg.Relay
	l.Memory = int64(r.Memory)
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
