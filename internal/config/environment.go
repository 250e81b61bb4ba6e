// SPDX-License-Identifier: BSD-3-Clause

// Package config reads what the surroundings say to a process: its environment,
// and values with units. It knows no role and applies nothing; layers of files
// belong here too.
//
// Functions are safe for concurrent use.
//
// Spec: product §3 (CFG-1, CFG-2).
package config

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Environment is what the environment's variables say.
type Environment struct {
	// StateDir is where state is kept unless a flag says otherwise; empty if
	// nothing tells.
	StateDir string
	// RuntimeDir is where sockets of this user's daemons are; empty if there is no
	// such place. It may not be there yet.
	RuntimeDir string
	// NoColor asks for output without colours.
	NoColor bool
}

// ReadEnvironment reads the process's environment.
func ReadEnvironment() Environment { return readEnvironment(os.Getenv, runtime.GOOS) }

func readEnvironment(get func(string) string, system string) Environment {
	return Environment{StateDir: stateDir(get, system), RuntimeDir: runtimeDir(get, system), NoColor: get("NO_COLOR") != ""}
}

// runtimeDir finds the place of sockets: what the service manager gives, else the
// session's. Spec: product §3.
func runtimeDir(get func(string) string, system string) string {
	given, _, _ := strings.Cut(get("RUNTIME_DIRECTORY"), ":")
	switch {
	case system == "windows":
		return ""
	case given != "":
		return given
	case filepath.IsAbs(get("XDG_RUNTIME_DIR")):
		return filepath.Join(get("XDG_RUNTIME_DIR"), "chive")
	}
	return ""
}

// stateDir finds the state folder: what the service manager gives, else the
// user's own place.
func stateDir(get func(string) string, system string) string {
	if given, _, _ := strings.Cut(get("STATE_DIRECTORY"), ":"); given != "" && system != "windows" {
		return given
	}
	home := get("HOME")
	switch {
	case system == "windows" && get("LOCALAPPDATA") != "":
		return filepath.Join(get("LOCALAPPDATA"), "chive")
	case system == "windows":
		return ""
	case filepath.IsAbs(get("XDG_STATE_HOME")):
		return filepath.Join(get("XDG_STATE_HOME"), "chive")
	case home == "":
		return ""
	case system == "darwin":
		return filepath.Join(home, "Library", "Application Support", "chive")
	}
	return filepath.Join(home, ".local", "state", "chive")
}
