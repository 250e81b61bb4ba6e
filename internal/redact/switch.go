// SPDX-License-Identifier: BSD-3-Clause

package redact

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// Switch is a writer of log lines whose least level and form change while the process
// runs. Make it the Writer of [Options], and leave Level and Console there as they are:
// what a network that is no testnet keeps out stays out, whatever is set here. It is
// safe for concurrent use as far as the writer below it is.
type Switch struct {
	plain, console io.Writer
	now            atomic.Pointer[form]
}

// form is what a Switch is set to.
type form struct {
	level zerolog.Level
	to    io.Writer
}

// NewSwitch returns a Switch that prints every line as JSON to w; color counts once it
// prints for a person.
func NewSwitch(w io.Writer, color bool) *Switch {
	s := &Switch{plain: w, console: zerolog.ConsoleWriter{Out: w, NoColor: !color, TimeFormat: time.RFC3339}}
	s.Set(zerolog.DebugLevel, false)
	return s
}

// Set has lines from that level on be printed, for a person instead of as JSON.
func (s *Switch) Set(least zerolog.Level, console bool) {
	f := &form{least, s.plain}
	if console {
		f.to = s.console
	}
	s.now.Store(f)
}

// WriteLevel implements zerolog.LevelWriter. A line below the level is taken, and goes
// nowhere.
func (s *Switch) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	f := s.now.Load()
	if level < f.level {
		return len(line), nil
	}
	return f.to.Write(line)
}

// Write implements io.Writer for lines without a level.
func (s *Switch) Write(line []byte) (int, error) { return s.now.Load().to.Write(line) }
