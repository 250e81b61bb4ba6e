// SPDX-License-Identifier: BSD-3-Clause

package redact

import (
	"io"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Options say how a process logs.
type Options struct {
	// Writer takes the lines; nil makes a silent logger.
	Writer io.Writer
	// Level is the least level printed; the zero value is debug, which a
	// network that is no testnet raises to info.
	Level zerolog.Level
	// Console prints for a person instead of JSON; Color only counts there.
	Console, Color bool
	// Testnet keeps whole times, every line, and debug. It must come from the
	// genesis document. Spec: security LOG-3, LOG-4.
	Testnet bool
	// Now returns the time of a line; nil is time.Now.
	Now func() time.Time
}

// NewLogger returns a logger that prints times cut to the minute, and one line
// per level and message a minute at most: the next line that gets through says
// how many were left out. In a testnet it prints everything, with milliseconds.
func NewLogger(o Options) zerolog.Logger {
	if o.Writer == nil {
		return zerolog.Logger{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	w := o.Writer
	if o.Console {
		w = zerolog.ConsoleWriter{Out: o.Writer, NoColor: !o.Color, TimeFormat: time.RFC3339}
	}
	if !o.Testnet {
		o.Level = max(o.Level, zerolog.InfoLevel)
	}
	return zerolog.New(w).Level(o.Level).Hook(&lines{now: o.Now, all: o.Testnet})
}

// maxKinds bounds the kinds of lines remembered. Messages are constants, so a
// process has fewer; beyond, lines pass unlimited.
const maxKinds = 1024

type kind struct {
	level   zerolog.Level
	message string
}

type printed struct {
	minute  time.Time
	leftOut uint64
}

// lines is the hook that dates lines and limits their number.
type lines struct {
	now func() time.Time
	all bool

	mu   sync.Mutex
	seen map[kind]printed
}

// Run is called for each line before it is written.
func (l *lines) Run(e *zerolog.Event, level zerolog.Level, message string) {
	now := l.now().UTC()
	if l.all {
		e.Str(zerolog.TimestampFieldName, now.Format("2006-01-02T15:04:05.000Z07:00"))
		return
	}
	minute := now.Truncate(time.Minute)
	leftOut, ok := l.admit(kind{level, message}, minute)
	if !ok {
		e.Discard()
		return
	}
	e.Str(zerolog.TimestampFieldName, minute.Format(time.RFC3339))
	if leftOut > 0 {
		e.Uint64("left_out", Round(leftOut))
	}
}

// admit reports whether a line of that kind may be printed in this minute, and
// how many were left out since the last one.
func (l *lines) admit(k kind, minute time.Time) (leftOut uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, known := l.seen[k]
	if known && last.minute.Equal(minute) {
		last.leftOut++
		l.seen[k] = last
		return 0, false
	}
	if l.seen == nil {
		l.seen = make(map[kind]printed)
	}
	if known || len(l.seen) < maxKinds {
		l.seen[k] = printed{minute: minute}
	}
	return last.leftOut, true
}
