// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"errors"
	"strings"
	"testing"
)

// TestAKeyIsSaidAnew: whatever the file looks like, and nothing else in it changes.
func TestAKeyIsSaidAnew(t *testing.T) {
	for _, c := range []struct{ name, text, key, value, want string }{
		{"empty", "", "relay.enabled", "true", "[relay]\nenabled = true\n"},
		{"no newline at the end", "# x", "relay.enabled", "true", "# x\n\n[relay]\nenabled = true\n"},
		{"without a section", "", "state", "/s", "state = \"/s\"\n"},
		{"without a section, before one", "# x\n[web]\nlisten = \"off\"\n", "control", "off", "# x\ncontrol = \"off\"\n[web]\nlisten = \"off\"\n"},
		{"in its section", "[relay] # mine\n#rate = 1\n[web]\n", "relay.rate", "2 MiB/s", "[relay] # mine\nrate = \"2 MiB/s\"\n#rate = 1\n[web]\n"},
		{"section at the end", "[relay]", "relay.enabled", "false", "[relay]\nenabled = false\n"},
		{"instead", "[relay]\nrate = \"1 MiB/s\" # slow\nenabled = false\n", "relay.rate", "2MiB/s", "[relay]\nrate = \"2 MiB/s\" # slow\nenabled = false\n"},
		{"instead of a bool", "relay.enabled = false # no\r\n", "relay.enabled", "true", "relay.enabled = true # no\r\n"},
		{"instead, in an inline table", "relay = { enabled = false }\n", "relay.enabled", "true", "relay = { enabled = true }\n"},
		{"dotted", "relay.rate = \"1 MiB/s\"\n[web]\n", "relay.enabled", "true", "relay.rate = \"1 MiB/s\"\nrelay.enabled = true\n[web]\n"},
		{"below a section that is there", "[relay]\n", "relay.accounting.max", "200 GiB", "[relay]\n\n[relay.accounting]\nmax = \"200 GiB\"\n"},
		{"byte order mark", "\xef\xbb\xbf[relay]\n", "relay.enabled", "true", "\xef\xbb\xbf[relay]\nenabled = true\n"},
		{"behind a listener", "[[client.listener]]\nname = \"a\"\naddress = \"127.0.0.1:1\"\n", "relay.enabled", "true",
			"[[client.listener]]\nname = \"a\"\naddress = \"127.0.0.1:1\"\n\n[relay]\nenabled = true\n"},
	} {
		got, err := Say([]byte(c.text), c.key, c.value)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %v\ngot  %q\nwant %q", c.name, err, got, c.want)
		}
	}
	for _, c := range []struct{ name, text, key, value string }{
		{"mistake in the file", "=", "relay.enabled", "true"},
		{"unknown key", "", "relay.enable", "true"},
		{"bad value", "", "relay.enabled", "perhaps"},
		{"a list", "client.ports = [1]", "client.ports", "2"},
		{"another inline table", "relay = { rate = \"1 MiB/s\" }", "relay.enabled", "true"},
	} {
		if got, err := Say([]byte(c.text), c.key, c.value); !errors.Is(err, ErrEdit) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

// TestTheFirstAnswerIsKeptInTheDefaultFile: who begins with what config default prints
// can still be asked (CLI-3).
func TestTheFirstAnswerIsKeptInTheDefaultFile(t *testing.T) {
	data := []byte(DefaultFile())
	for _, said := range [][2]string{{"relay.enabled", "true"}, {"relay.rate", "2 MiB/s"}, {"relay.accounting.max", "200 GiB"}, {"relay.accounting.period", "week"}} {
		var err error
		if data, err = Say(data, said[0], said[1]); err != nil {
			t.Fatal(said, err)
		}
	}
	c, err := loadText(string(data))
	if err != nil || !c.Relay.Enabled || c.Relay.Rate != 2<<20 || c.Relay.Accounting.Max != 200<<30 || c.Relay.Accounting.Period != "week" {
		t.Errorf("%v, %+v", err, c)
	}
	if n := len(strings.Split(string(data), "\n")) - len(strings.Split(DefaultFile(), "\n")); n != 4 {
		t.Errorf("%d lines more", n)
	}
}
