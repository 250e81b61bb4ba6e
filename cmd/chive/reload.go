// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"

	"chive/internal/config"
	"chive/internal/control"
	"chive/internal/node"
)

// effect is the configuration in force of a daemon, which reads every layer again: the
// files, and what the variables, options and flags of its start say above them.
// Spec: product CFG-4.
func (a *app) effect(c *cobra.Command, cfg *config.Config) *node.Effect {
	sources := a.sources(c, a.namedFiles())
	return node.NewEffect(cfg, func() (*config.Config, error) {
		cfg, err := config.Load(sources)
		return cfg, configFault(err)
	})
}

// heed answers the signals with which a daemon is asked to read its configuration again,
// and to say how it stands, until deaf. serving takes what tells how it stands.
// Spec: product CFG-4.
func (a *app) heed(e *node.Effect) (serving func(control.Source), deaf func()) {
	var source atomic.Value // of asked
	type asked struct{ control.Source }
	signals := make(chan os.Signal, 2)
	listenReload(signals)
	done := make(chan struct{})
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for {
			select {
			case <-done:
				return
			case s := <-signals:
				if isReload(s) {
					a.reload(e)
					continue
				}
				if from, there := source.Load().(asked); there {
					a.say(statusForLog(from.Status()))
				} else {
					a.say("It is starting: there is no status yet.")
				}
			}
		}
	})
	return func(s control.Source) { source.Store(asked{s}) }, func() {
		signal.Stop(signals)
		close(done)
		tasks.Wait()
	}
}

// reload reads the configuration again and says what came of it.
func (a *app) reload(e *node.Effect) {
	done, err := e.Reload()
	var f *node.Fault
	switch {
	case err == nil:
		a.say(node.ReloadText(done))
	case errors.As(err, &f):
		a.say("The configuration was read again, and nothing was changed. " + f.Text + ". Fix: " + f.Fix)
	default:
		a.say("The configuration could not be read again. Nothing was changed.")
	}
}

// statusForLog is the status as it may stand in a log, which others read and keep: no
// guards, circuits or listeners of a user.
func statusForLog(s *control.Status) string {
	c := s.Client
	s.Client, s.Listeners = nil, nil
	var text strings.Builder
	printStatus(&text, s)
	if c != nil {
		printClientState(&text, s, c, map[string]bool{})
	}
	return "How it stands:\n" + strings.TrimSuffix(text.String(), "\n")
}

// say answers a signal: whoever sent it wants to know, in spite of --quiet.
func (a *app) say(text string) {
	if a.global.json {
		printObject(a.err, noteObject{"chive.note/1", text})
		return
	}
	fmt.Fprintln(a.err, text)
}
