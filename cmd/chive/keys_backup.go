// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"chive/internal/node"
)

const backupHelp = `Writes the relay's keys, and what it declares, into FILE, encrypted under a passphrase; the
relay may run meanwhile. The tool age opens the file, too: age -d FILE | tar x. Without the
passphrase nobody does, you included. Make a new backup every few weeks, as keys change,
and destroy the older one: it holds keys that the relay has erased since.

The directory's store is left out, and must stay out: see "chive keys restore --help". The
key of a family is a file of its own; keep a copy of it, too.`

const restoreHelp = `Puts a relay's keys, and what it declares, out of FILE into the state folder, which must hold
no relay. Nothing is overwritten.

Never run two relays with one key. What they sign contradicts itself: to everybody else that
is the proof of an attack, and it costs the relay its part in the committee. Make sure that
the old one is gone for good before the restored one is started.

What the relay has signed since the backup is not known any more. A restored relay therefore
takes no seat in the committee until the terms that run then are over, a week at most;
everything else goes on. Never put an old directory.db beside restored keys.`

type backupObject struct {
	Schema   string `json:"schema"`
	File     string `json:"file"`
	State    string `json:"state"`
	Identity string `json:"identity"`
	Keys     int    `json:"keys"`
	Made     string `json:"made"`
}

func (a *app) keysBackup() *cobra.Command {
	var from string
	c := &cobra.Command{
		Use: "backup FILE", Short: "write a relay's keys into a file under a passphrase", Long: backupHelp, Args: exactly("FILE"),
		Example: "  chive keys backup maple.age --state relay1",
		RunE: func(c *cobra.Command, args []string) error {
			return a.withState(c, func(s *node.State) error {
				if there, err := s.NewRelay(); err == nil && there {
					_, err = s.Keys() // says that there are none
					return err
				}
				passphrase, err := a.passphrase(from, true)
				if err != nil {
					return err
				}
				defer clear(passphrase)
				b, err := s.WriteBackup(args[0], passphrase, time.Now())
				if err != nil {
					return err
				}
				a.answerBackup("chive.keys.backup/1", "backup", s, b)
				return nil
			})
		},
	}
	c.Flags().StringVar(&from, "passphrase-file", "", "the passphrase is the first line of `FILE`, which only you may read; unless given, it is asked for")
	return c
}

func (a *app) keysRestore() *cobra.Command {
	var from string
	c := &cobra.Command{
		Use: "restore FILE", Short: "put a relay back out of a backup", Long: restoreHelp, Args: exactly("FILE"),
		Example: "  chive keys restore maple.age --state relay1",
		RunE: func(c *cobra.Command, args []string) error {
			return a.withState(c, func(s *node.State) error {
				passphrase, err := a.passphrase(from, false)
				if err != nil {
					return err
				}
				defer clear(passphrase)
				b, err := s.ReadBackup(args[0], passphrase, time.Now())
				if err != nil {
					return err
				}
				a.tell("Never run two relays with these keys at once: make sure that the old one is gone for good.")
				if b.Ran {
					a.tell("This relay takes no seat in the committee until the terms that run now are over: what it signed before is not known any more.")
				}
				a.answerBackup("chive.keys.restore/1", "restored", s, b)
				return nil
			})
		},
	}
	c.Flags().StringVar(&from, "passphrase-file", "", "the passphrase is the first line of `FILE`, which only you may read; unless given, it is asked for")
	return c
}

func (a *app) answerBackup(schema, word string, s *node.State, b *node.Backup) {
	made := b.Made.Format(time.RFC3339)
	a.answer(backupObject{schema, b.File, s.Dir(), b.Identity, b.Keys, made}, func(w io.Writer) {
		fmt.Fprintf(w, "%s %s\nidentity %s\nkeys %d\nmade %s\n", word, b.File, b.Identity, b.Keys, made)
	})
}

// withState opens the state folder for a command that looks at it or changes it.
func (a *app) withState(c *cobra.Command, do func(*node.State) error) error {
	state, err := a.openState(c)
	if err != nil {
		return err
	}
	defer state.Close()
	return do(state)
}

// passphrase reads a passphrase: out of a file, or from the terminal, where a new one is
// asked for twice. It is never an argument or a variable (KEY-4). The caller wipes it.
func (a *app) passphrase(file string, fresh bool) ([]byte, error) {
	if file != "" {
		return node.ReadPassphrase(file)
	}
	if !a.canAsk() {
		return nil, &node.Fault{Kind: node.Usage, Code: "passphrase_missing", Text: "There is nobody to ask for the passphrase", Fix: "Name a file that holds it: --passphrase-file FILE."}
	}
	return askPassphrase(func(question string) ([]byte, error) {
		fmt.Fprint(a.err, question)
		defer fmt.Fprintln(a.err)
		return readHidden(int(os.Stdin.Fd()))
	}, a.note, fresh)
}

// readHidden reads a line that the terminal does not show. An interrupt meanwhile gives
// the terminal its echo back and ends the process.
func readHidden(fd int) ([]byte, error) {
	if before, err := term.GetState(fd); err == nil {
		interrupted, done := make(chan os.Signal, 1), make(chan struct{})
		signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
		defer func() {
			signal.Stop(interrupted)
			close(done)
		}()
		go func() {
			select {
			case <-interrupted:
				_ = term.Restore(fd, before)
				os.Exit(interruptedCode)
			case <-done:
			}
		}()
	}
	return term.ReadPassword(fd)
}

// interruptedCode is what shells give a command that an interrupt ended.
const interruptedCode = 130

// askPassphrase asks for a passphrase, a new one twice and three times at most.
func askPassphrase(read func(question string) ([]byte, error), say func(string, ...any), fresh bool) ([]byte, error) {
	failed := &node.Fault{Kind: node.Failed, Code: "input", Text: "The passphrase could not be read", Fix: "Name a file that holds it: --passphrase-file FILE."}
	if !fresh {
		p, err := read("Passphrase of the backup: ")
		if err != nil {
			return nil, failed
		}
		return p, nil
	}
	for range 3 {
		first, err := read("A passphrase for the backup, several words: ")
		if err != nil {
			return nil, failed
		}
		if err := node.CheckPassphrase(first); err != nil {
			say("At least %d characters.", node.MinPassphraseSize)
			continue
		}
		second, err := read("The same again: ")
		if err != nil {
			return nil, failed
		}
		if bytes.Equal(first, second) {
			clear(second)
			return first, nil
		}
		say("They differ.")
	}
	return nil, &node.Fault{Kind: node.Usage, Code: "passphrase_missing", Text: "No passphrase was given", Fix: "Call it again."}
}
