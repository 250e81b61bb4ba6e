// SPDX-License-Identifier: BSD-3-Clause

// Package config reads what the surroundings say to a process: its environment,
// values with units, and the layers of its configuration. It knows no role and applies
// nothing; it is the only reader of the environment.
//
// Everything comes from one table of keys (table.go): what is read, the commented
// default file, what is shown, and docs/configuration.md. A new key is a row there, a
// field of [Config], and a default.
//
// Functions are safe for concurrent use; a [Config] is not changed after [Load].
//
// Spec: product §3 (CFG-1..5).
package config

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
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
	// Files are the configuration files of this system and of this user, which need not
	// be there; a system service has none of a user.
	Files []File
	// UserFile is the user's own of these; empty: there is none.
	UserFile string
	// System says that a service manager runs the process for the whole system.
	System bool
	// RunSocks is the proxy that chive run gives to what it starts, which is the only one
	// within; empty: this process is in none.
	RunSocks string
	// RunControl is the control socket, unix:PATH, of the client whose proxy that is; empty:
	// the run did not know it.
	RunControl string
	// Variables are those that begin as the configuration's do, each NAME=VALUE.
	Variables []string
}

// ReadEnvironment reads the process's environment.
func ReadEnvironment() Environment {
	e := readEnvironment(os.Getenv, runtime.GOOS, filepath.Join("/run/user", strconv.Itoa(os.Getuid())))
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, variablePrefix) {
			e.Variables = append(e.Variables, v)
		}
	}
	return e
}

func readEnvironment(get func(string) string, system, session string) Environment {
	e := Environment{StateDir: stateDir(get, system), RuntimeDir: runtimeDir(get, system, session), NoColor: get("NO_COLOR") != ""}
	e.System = system != "windows" && (strings.HasPrefix(get("STATE_DIRECTORY"), "/var/") || strings.HasPrefix(get("CONFIGURATION_DIRECTORY"), "/etc/"))
	e.RunSocks, e.RunControl = get(RunSocksVariable), get(RunControlVariable)
	e.Files = configFiles(get, system, e.System)
	if len(e.Files) > 0 && (system == "windows" || len(e.Files) > 1) {
		e.UserFile = e.Files[len(e.Files)-1].Path
	}
	return e
}

// Variables of the environment in which chive run starts a command, for chive itself; none
// is a key's. See [Environment].
const (
	RunSocksVariable   = "CHIVE_RUN_SOCKS"
	RunControlVariable = "CHIVE_RUN_CONTROL"
)

// fileName is what a configuration file is called in its folder.
const fileName = "chive.toml"

// configFiles lists the files that are read unless they are not there. Spec: product
// CFG-1.
func configFiles(get func(string) string, system string, service bool) []File {
	if system == "windows" {
		if roaming := get("APPDATA"); roaming != "" {
			return []File{{filepath.Join(roaming, "chive", fileName), true}}
		}
		return nil
	}
	files := []File{{"/etc/chive/" + fileName, true}}
	switch home := get("HOME"); {
	case service:
	case filepath.IsAbs(get("XDG_CONFIG_HOME")):
		files = append(files, File{filepath.Join(get("XDG_CONFIG_HOME"), "chive", fileName), true})
	case !filepath.IsAbs(home):
	case system == "darwin":
		files = append(files, File{filepath.Join(home, "Library", "Application Support", "chive", fileName), true})
	default:
		files = append(files, File{filepath.Join(home, ".config", "chive", fileName), true})
	}
	return files
}

// runtimeDir finds the place of sockets: what the service manager gives, else the
// session's. What runs without the session's environment, as from su or cron, finds its
// folder where Linux has it, so that it asks the daemons of the session. Spec: product §3.
func runtimeDir(get func(string) string, system, session string) string {
	given, _, _ := strings.Cut(get("RUNTIME_DIRECTORY"), ":")
	switch {
	case system == "windows":
		return ""
	case given != "":
		return given
	case filepath.IsAbs(get("XDG_RUNTIME_DIR")):
		return filepath.Join(get("XDG_RUNTIME_DIR"), "chive")
	case system == "linux" && get("STATE_DIRECTORY") == "":
		if i, err := os.Lstat(session); err == nil && i.IsDir() && i.Mode().Perm() == 0o700 {
			return filepath.Join(session, "chive")
		}
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
