// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestStateFolderFollowsTheSystem(t *testing.T) {
	for _, c := range []struct {
		name, system string
		env          map[string]string
		want         string
	}{
		{"service manager", "linux", map[string]string{"STATE_DIRECTORY": "/var/lib/chive", "HOME": "/h"}, "/var/lib/chive"},
		{"first of several", "linux", map[string]string{"STATE_DIRECTORY": "/var/lib/chive:/var/lib/other"}, "/var/lib/chive"},
		{"XDG", "linux", map[string]string{"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/chive"},
		{"relative XDG is ignored", "linux", map[string]string{"XDG_STATE_HOME": "x", "HOME": "/h"}, "/h/.local/state/chive"},
		{"home", "linux", map[string]string{"HOME": "/h"}, "/h/.local/state/chive"},
		{"mac", "darwin", map[string]string{"HOME": "/h"}, "/h/Library/Application Support/chive"},
		{"windows", "windows", map[string]string{"LOCALAPPDATA": "L"}, filepath.Join("L", "chive")},
		{"nothing", "linux", nil, ""},
		{"nothing on windows", "windows", map[string]string{"HOME": "/h"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := readEnvironment(func(k string) string { return c.env[k] }, c.system, "")
			if filepath.ToSlash(got.StateDir) != filepath.ToSlash(c.want) || got.NoColor {
				t.Errorf("got %q, want %q", got.StateDir, c.want)
			}
		})
	}
	if !readEnvironment(func(k string) string { return map[string]string{"NO_COLOR": "1"}[k] }, "linux", "").NoColor {
		t.Error("NO_COLOR is not heard")
	}
}

func TestSocketsGoWhereTheSystemSays(t *testing.T) {
	for _, c := range []struct {
		name, system string
		env          map[string]string
		want         string
	}{
		{"service manager", "linux", map[string]string{"RUNTIME_DIRECTORY": "/run/chive:/run/other", "XDG_RUNTIME_DIR": "/run/user/7"}, "/run/chive"},
		{"session", "linux", map[string]string{"XDG_RUNTIME_DIR": "/run/user/7"}, "/run/user/7/chive"},
		{"relative is ignored", "linux", map[string]string{"XDG_RUNTIME_DIR": "run"}, ""},
		{"nothing", "darwin", map[string]string{"HOME": "/h"}, ""},
		{"windows", "windows", map[string]string{"RUNTIME_DIRECTORY": "/run/chive"}, ""},
	} {
		got := readEnvironment(func(k string) string { return c.env[k] }, c.system, "").RuntimeDir
		if filepath.ToSlash(got) != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestRatesNeedAUnit(t *testing.T) {
	for _, c := range []struct {
		text string
		want uint64
	}{
		{"1 MiB/s", 8 << 20}, {"1MiB/s", 8 << 20}, {" 1.5 MB/s ", 12_000_000}, {"500 KiB/s", 500 * 8 << 10},
		{"20 Mbit/s", 20_000_000}, {"1 gbit/s", 1_000_000_000}, {"0 B/s", 0},
	} {
		if got, err := ParseRate(c.text); err != nil || got != c.want {
			t.Errorf("%q: %d, %v; want %d", c.text, got, err, c.want)
		}
	}
	for _, text := range []string{"", "1", "1000", "MiB/s", "1 MiB", "1 MiB/h", "-1 MiB/s", "1e400 B/s", "NaN B/s", "9999999999 GiB/s", "1 furlong/s", "2 mb/s", "2 Mib/s"} {
		if got, err := ParseRate(text); !errors.Is(err, ErrRate) {
			t.Errorf("%q: %d, %v; want ErrRate", text, got, err)
		}
	}
}

// TestConfigurationFilesFollowTheSystem: a system service has none of a user (CFG-1).
func TestConfigurationFilesFollowTheSystem(t *testing.T) {
	for _, c := range []struct {
		name, system string
		env          map[string]string
		want         string
	}{
		{"XDG", "linux", map[string]string{"XDG_CONFIG_HOME": "/x", "HOME": "/h"}, "/etc/chive/chive.toml /x/chive/chive.toml"},
		{"home", "linux", map[string]string{"XDG_CONFIG_HOME": "x", "HOME": "/h"}, "/etc/chive/chive.toml /h/.config/chive/chive.toml"},
		{"no home", "linux", nil, "/etc/chive/chive.toml"},
		{"mac", "darwin", map[string]string{"HOME": "/h"}, "/etc/chive/chive.toml /h/Library/Application Support/chive/chive.toml"},
		{"windows", "windows", map[string]string{"APPDATA": "R", "HOME": "/h"}, "R/chive/chive.toml"},
		{"windows without a home", "windows", nil, ""},
		{"system service", "linux", map[string]string{"STATE_DIRECTORY": "/var/lib/chive", "XDG_CONFIG_HOME": "/x", "HOME": "/h"}, "/etc/chive/chive.toml"},
		{"system service without state", "linux", map[string]string{"CONFIGURATION_DIRECTORY": "/etc/chive", "HOME": "/h"}, "/etc/chive/chive.toml"},
		{"user's service", "linux", map[string]string{"STATE_DIRECTORY": "/h/.local/state/chive", "HOME": "/h"}, "/etc/chive/chive.toml /h/.config/chive/chive.toml"},
	} {
		var got []string
		e := readEnvironment(func(k string) string { return c.env[k] }, c.system, "")
		user := strings.TrimPrefix(strings.TrimPrefix(c.want, "/etc/chive/chive.toml"), " ")
		if filepath.ToSlash(e.UserFile) != user {
			t.Errorf("%s: the user's own is %q, want %q", c.name, e.UserFile, user)
		}
		for _, f := range e.Files {
			if !f.Optional {
				t.Errorf("%s: %s must be there", c.name, f.Path)
			}
			got = append(got, filepath.ToSlash(f.Path))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
	}
	t.Setenv("CHIVE_CLIENT_HOPS", "4")
	t.Setenv("OTHER_CLIENT_HOPS", "5")
	if got := ReadEnvironment().Variables; !slices.Contains(got, "CHIVE_CLIENT_HOPS=4") || slices.Contains(got, "OTHER_CLIENT_HOPS=5") {
		t.Errorf("variables %v", got)
	}
}

// TestConfigurationFilesAreBounded, and their mode is seen.
func TestConfigurationFilesAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chive.toml")
	for size, want := range map[int]error{MaxFileSize: nil, MaxFileSize + 1: ErrTooLarge} {
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if data, mode, err := ReadFile(path); err != want || err == nil && (len(data) != size || mode.Perm()&0o077 != 0) {
			t.Errorf("%d bytes: %d, %v, %v", size, len(data), mode, err)
		}
	}
	if _, _, err := ReadFile(t.TempDir()); err == nil {
		t.Error("a folder was read")
	}
	if _, _, err := ReadFile(path + ".gone"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestSizesForPeople(t *testing.T) {
	for want, n := range map[string]Size{
		"0 B": 0, "125 B": 125, "1023 B": 1023, "1 KiB": 1024, "1.5 KiB": 1536, "12.2 KiB": 12500, "495 KiB": 507000,
		"1023 KiB": 1023 << 10, "1 MiB": Size(Kbit(8388)), "2 MiB": Size(Kbit(16777)), "1.91 MiB": Size(Kbit(16000)), "200 GiB": 200 << 30,
		"99.9 KiB": 102348, "100 KiB": 102349, "1023 KiB ": 1048063, "1 MiB ": 1048064, "1 MiB  ": 1048500, "1 GiB": 1<<30 - 1<<19, "1023 MiB": 1<<30 - 1<<19 - 1,
		"99.9 MiB": 104752742, "100 MiB": 104857599, "16 EiB": math.MaxUint64,
	} {
		if got := n.About(); got != strings.TrimSpace(want) {
			t.Errorf("%d: %s, want %s", uint64(n), got, want)
		}
	}
	if got := Kbit(16777).About(); got != "2 MiB/s" {
		t.Error(got)
	}
}

// TestTheSessionsFolderIsFoundWithoutItsVariable: from su or cron the daemons of the session
// are asked, at the folder that is this user's alone.
func TestTheSessionsFolderIsFoundWithoutItsVariable(t *testing.T) {
	session := t.TempDir()
	open := t.TempDir()
	if os.Chmod(session, 0o700) != nil || os.Chmod(open, 0o755) != nil {
		t.Fatal("no folders")
	}
	for name, c := range map[string]struct {
		system, session string
		env             map[string]string
		want            string
	}{
		"no variable":   {"linux", session, nil, filepath.Join(session, "chive")},
		"a variable":    {"linux", session, map[string]string{"XDG_RUNTIME_DIR": "/run/x"}, "/run/x/chive"},
		"a service":     {"linux", session, map[string]string{"STATE_DIRECTORY": "/var/lib/chive"}, ""},
		"everybody's":   {"linux", open, nil, ""},
		"none there":    {"linux", filepath.Join(session, "none"), nil, ""},
		"another place": {"darwin", session, nil, ""},
	} {
		if got := readEnvironment(func(k string) string { return c.env[k] }, c.system, c.session).RuntimeDir; got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
