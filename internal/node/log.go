// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"io"

	"github.com/rs/zerolog"

	"chive/internal/redact"
)

// Log says how a process logs.
type Log struct {
	Writer  io.Writer // nil: silent
	Level   string    // error, warn, info or debug; debug is info in a network that is no testnet
	Console bool      // for a person instead of JSON
	Color   bool      // only with Console
	// Terminal says that Writer is one: then a configuration that is read again and says
	// auto means Console.
	Terminal bool
}

// level reads the level's name.
func (l Log) level() (zerolog.Level, error) {
	switch l.Level {
	case "error":
		return zerolog.ErrorLevel, nil
	case "warn":
		return zerolog.WarnLevel, nil
	case "info", "":
		return zerolog.InfoLevel, nil
	case "debug":
		return zerolog.DebugLevel, nil
	}
	return 0, fault(Usage, "log_level", "Use error, warn, info or debug.", "--log-level %s is not a level", l.Level)
}

// Logger makes the process's logger. testnet comes from the genesis document.
// Spec: security LOG-4.
func (l Log) Logger(testnet bool) (zerolog.Logger, error) {
	log, _, err := l.open(testnet)
	return log, err
}

// open makes the process's logger, and what changes it later.
func (l Log) open(testnet bool) (zerolog.Logger, *redact.Switch, error) {
	level, err := l.level()
	if err != nil {
		return zerolog.Logger{}, nil, err
	}
	if l.Writer == nil {
		return zerolog.Logger{}, nil, nil
	}
	turn := redact.NewSwitch(l.Writer, l.Color)
	turn.Set(level, l.Console)
	log := redact.NewLogger(redact.Options{Writer: turn, Testnet: testnet})
	switch {
	case level == zerolog.DebugLevel && testnet:
		log.Warn().EmbedObject(redact.RoleNode).Msg("debug logging is on: this is a testnet")
	case level == zerolog.DebugLevel:
		log.Warn().EmbedObject(redact.RoleNode).Msg("debug logging exists in testnets only: info is used")
	}
	return log, turn, nil
}
