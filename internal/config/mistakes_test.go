// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
)

// memory is a file system of configuration files.
type memory map[string]memoryFile

type memoryFile struct {
	text string
	mode fs.FileMode
	err  error
}

func (m memory) read(path string) ([]byte, fs.FileMode, error) {
	f, ok := m[path]
	switch {
	case !ok:
		return nil, 0, fs.ErrNotExist
	case f.err != nil:
		return nil, 0, f.err
	case f.mode == 0:
		f.mode = 0o644
	}
	return []byte(f.text), f.mode, nil
}

// loadText loads one file of that text.
func loadText(text string) (*Config, error) {
	return Load(Sources{Files: []File{{Path: "c.toml"}}, Read: memory{"c.toml": {text: text}}.read})
}

// TestConfigMistakesAreNamed: each mistake is refused in the words that are here, with
// its place, the rule, and what to do about it.
func TestConfigMistakesAreNamed(t *testing.T) {
	const rid = "00112233445566778899aabbccddeeff"
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "[relay]\nraet = \"1 MiB/s\"", `c.toml:2:1: relay.raet is no key. Fix: Did you mean relay.rate?`},
		{"unknown key, far from all", "[relay]\nfrobnicate = 1", `c.toml:2:1: relay.frobnicate is no key. Fix: See what there is: chive config default`},
		{"key without its section", "rate = \"1 MiB/s\"", `c.toml:1:1: rate is no key. Fix: Did you mean relay.rate?`},
		{"key in another section", "[web]\nhops = 4", `c.toml:2:1: web.hops is no key. Fix: Did you mean client.hops?`},
		{"quoted dots are no path", "\"client.hops\" = 4", `c.toml:1:1: "client.hops" is no key. Fix: Did you mean client.hops?`},
		{"no near section", "[foo]\na = 1", `c.toml:1:2: [foo] is no section. Fix: See what there is: chive config default`},
		{"misspelt section", "[clinet]\nhops = 9\nsocks = 1", `c.toml:1:2: [clinet] is no section. Fix: Did you mean [client]?`},
		{"section as a list", "[[relay]]\nrate = 5", `c.toml:1:3: relay is one section, not a list of them. Fix: Write [relay].`},
		{"key as a section", "[client.hops]\nx = 1", `c.toml:1:2: client.hops is a key, not a section. Fix: Write hops = ... in the section client.`},
		{"section as a key", "relay = true", `c.toml:1:1: relay is a section, not a key. Fix: Write [relay] on a line of its own, and its keys below it.`},
		{"section on one line", "relay = { raet = 1 }", `c.toml:1:11: relay.raet is no key. Fix: Did you mean relay.rate?`},

		{"bare number", "[relay]\nrate = 5", `c.toml:2:8: relay.rate = 5 has no unit. Fix: Write rate = "5 MiB/s".`},
		{"bare number in quotes", "[relay]\nrate = \"1.5\"", `c.toml:2:8: relay.rate = "1.5" has no unit. Fix: Write rate = "1.5 MiB/s".`},
		{"bare size", "relay.burst = 1000", `c.toml:1:15: relay.burst = 1000 has no unit. Fix: Write burst = "1000 MiB".`},
		{"bare duration", "relay.drain = 30", `c.toml:1:15: relay.drain = 30 has no unit. Fix: Write drain = "30s".`},
		{"size for a rate", "relay.rate = \"2 MiB\"", `c.toml:1:14: relay.rate = "2 MiB" is a size, not a rate. Fix: Write rate = "2 MiB/s".`},
		{"rate for a size", "relay.burst = \"2 MiB/s\"", `c.toml:1:15: relay.burst = "2 MiB/s" is a rate, not a size. Fix: Write burst = "2 MiB".`},
		{"wrong unit", "relay.rate = \"2 furlongs/s\"", `c.toml:1:14: relay.rate = "2 furlongs/s" is not a rate with a unit. Fix: Write rate = "2 MiB/s".`},
		{"wrong unit of time", "relay.drain = \"3 moons\"", `c.toml:1:15: relay.drain = "3 moons" is not a duration with a unit. Fix: Write drain = "30s".`},
		{"negative duration", "relay.drain = \"-3s\"", `c.toml:1:15: relay.drain = "-3s" is not a duration with a unit. Fix: Write drain = "30s".`},
		{"duration out of range", "relay.drain = \"1h\"", `c.toml:1:15: relay.drain = "1h" is not from 0s to 10m. Fix: Write drain = "30s".`},
		{"tiny rate", "relay.rate = \"1 B/s\"", `c.toml:1:14: relay.rate = "1 B/s" is less than 16 KiB/s. Fix: Write rate = "2 MiB/s".`},
		{"tiny memory", "relay.memory = \"1 MiB\"", `c.toml:1:16: relay.memory = "1 MiB" is not from 64 MiB to 1 TiB. Fix: Write memory = "512 MiB".`},
		{"memory, a word", "relay.memory = \"much\"", `c.toml:1:16: relay.memory = "much" is not a size with a unit, nor auto. Fix: Write memory = "512 MiB".`},
		{"quota, a word", "relay.accounting.max = \"auto\"", `c.toml:1:24: relay.accounting.max = "auto" is not a size with a unit, nor off. Fix: Write max = "200 GiB".`},

		{"number for a word", "log.level = 3", `c.toml:1:13: log.level = 3 is a number, not error, warn, info or debug. Fix: Write level = "error".`},
		{"unknown word", "log.level = \"wran\"", `c.toml:1:13: log.level = "wran" is not error, warn, info or debug. Fix: Write level = "warn".`},
		{"unknown word, far from all", "log.level = \"loud\"", `c.toml:1:13: log.level = "loud" is not error, warn, info or debug. Fix: Use one of them.`},
		{"period unknown", "relay.accounting.period = \"fortnight\"", `c.toml:1:27: relay.accounting.period = "fortnight" is not day, week or month. Fix: Use one of them.`},
		{"text for a bool", "relay.enabled = \"true\"", `c.toml:1:17: relay.enabled = "true" is text, not true or false. Fix: Write enabled = true.`},
		{"number for a bool", "relay.enabled = 1", `c.toml:1:17: relay.enabled = 1 is not true or false. Fix: Write enabled = true.`},
		{"bool for a switch", "relay.nat = false", `c.toml:1:13: relay.nat = false is true or false, not auto or off. Fix: Write nat = "auto".`},
		{"text for a number", "client.hops = \"4\"", `c.toml:1:15: client.hops = "4" is text, not a whole number. Fix: Write hops = 4.`},
		{"list for a number", "client.hops = [4]", `c.toml:1:1: client.hops = [4] is not a whole number. Fix: Write hops = 3.`},
		{"number out of range", "client.hops = 12", `c.toml:1:15: client.hops = 12 is not a whole number from 3 to 8. Fix: Write hops = 3.`},
		{"fraction", "client.hops = 3.5", `c.toml:1:15: client.hops = 3.5 is not a whole number from 3 to 8. Fix: Write hops = 3.`},
		{"date", "relay.accounting.start = 2026-01-01", `c.toml:1:26: relay.accounting.start = 2026-01-01 is a date or time, not text in quotes. Fix: Write start = "...".`},
		{"table for a value", "client.socks = { a = 1 }", `c.toml:1:1: client.socks is a key, not a section. Fix: Write socks = ... in the section client.`},
		{"control character", "relay.contact = \"a\\u0007b\"", `c.toml:1:17: relay.contact = "a\u0007b" holds a character that cannot be shown. Fix: Write contact = "...".`},
		{"odd nickname", "relay.nickname = \"two words\"", `c.toml:1:18: relay.nickname = "two words" is not at most 19 letters, digits, - and _. Fix: Choose another.`},
		{"long contact", "relay.contact = \"" + strings.Repeat("a", 129) + "\"", `c.toml:1:17: relay.contact = "` + strings.Repeat("a", 79) + `... is not one line of at most 128 bytes. Fix: Shorten it to a mail address or a page.`},

		{"duplicate key", "[relay]\nrate = \"1 MiB/s\"\n\nrate = \"2 MiB/s\"", `c.toml:4:1: relay.rate is there twice: line 2 says it as well. Fix: Keep one: put what belongs together at line 2, and remove this.`},
		{"duplicate key in two ways", "client.hops = 4\n[client]\nhops = 5", `c.toml:3:1: client.hops is there twice: line 1 says it as well. Fix: Keep one: put what belongs together at line 1, and remove this.`},
		{"duplicate section", "[relay]\n[web]\n[relay]", `c.toml:3:2: relay is there twice: line 1 says it as well. Fix: Keep one: put what belongs together at line 1, and remove this.`},
		{"syntax", "[relay]\nrate", `c.toml:2:4: This is not TOML: expected '=' after key. Fix: Write lines such as key = "value" below lines such as [section]; chive config default shows all of them.`},
		{"text without quotes", "relay.exit.policy = web", `c.toml:1:21: This is not TOML: unexpected character U+0077 'w' at start of value. Fix: Write lines such as key = "value" below lines such as [section]; chive config default shows all of them.`},
		{"not a text at all", "\x00\x01", `c.toml:1:1: This is not TOML: invalid character at start of key: U+0000. Fix: Write lines such as key = "value" below lines such as [section]; chive config default shows all of them.`},

		{"port out of range", "client.socks = [\"127.0.0.1:70000\"]", `c.toml:1:17: client.socks: "127.0.0.1:70000" has a port that is not from 1 to 65535. Fix: Write socks = ["127.0.0.1:9250"].`},
		{"port alone", "client.socks = 9250", `c.toml:1:16: client.socks: 9250 is a number, not an address. Fix: Write socks = ["127.0.0.1:9250"].`},
		{"port alone, as text", "client.socks = \"9250\"", `c.toml:1:16: client.socks: "9250" is a port without an address. Fix: Write socks = "127.0.0.1:9250".`},
		{"no host", "web.listen = \":9251\"", `c.toml:1:14: web.listen = ":9251" has no address before the port. Fix: Write listen = "127.0.0.1:9251".`},
		{"name of a host", "web.listen = \"example.net:80\"", `c.toml:1:14: web.listen = "example.net:80" is not an IP address with a port. Fix: Write listen = "127.0.0.1:9251".`},
		{"SOCKS for other machines", "client.socks = [\"127.0.0.1:9250\", \"0.0.0.0:9251\"]", `c.toml:1:35: client.socks: "0.0.0.0:9251" would let other machines in. Fix: Use a loopback address such as 127.0.0.1:9250, or unix:/PATH. If other machines shall use this proxy, make it a listener of its own: [[client.listener]] with allow_remote = true.`},
		{"DNS for other machines", "client.dns.listen = \"192.0.2.1:53\"", `c.toml:1:21: client.dns.listen = "192.0.2.1:53" would let other machines in. Fix: Use a loopback address, or reach it from another machine through an SSH tunnel.`},
		{"page for other machines", "web.listen = \"[::]:9251\"", `c.toml:1:14: web.listen = "[::]:9251" would let other machines in. Fix: Use a loopback address, or reach it from another machine through an SSH tunnel.`},
		{"metrics for other machines", "relay.metrics.listen = \"10.0.0.1:9245\"", `c.toml:1:24: relay.metrics.listen = "10.0.0.1:9245" would let other machines in. Fix: Use a loopback address, or reach it from another machine through an SSH tunnel.`},
		{"DNS at a unix socket", "client.dns.listen = \"unix:/run/dns\"", `c.toml:1:21: client.dns.listen = "unix:/run/dns" is a unix socket, which cannot be used here. Fix: Write listen = "127.0.0.1:9253".`},
		{"relative socket", "client.socks = \"unix:s\"", `c.toml:1:16: client.socks: "unix:s" is not unix: and an absolute path of at most 100 bytes. Fix: Write socks = "unix:/run/chive/...".`},
		{"control at a port", "control = \"127.0.0.1:1\"", `c.toml:1:11: control = "127.0.0.1:1" is not auto, off, or unix: and a path. Fix: Write control = "unix:/run/chive/control.sock".`},
		{"twice the same", "client.socks = [\"127.0.0.1:1\", \"localhost:1\"]", `c.toml:1:1: client.socks names 127.0.0.1:1 twice. Fix: Give one of them another port, or another path.`},
		{"two at one port", "web.listen = \"127.0.0.1:9999\"\nrelay.listen = \"0.0.0.0:9999\"", `c.toml:2:16: relay.listen and web.listen are both at 0.0.0.0:9999. Fix: Give one of them another port, or another path.`},
		{"three of one IP version", "relay.addresses = [\"192.0.2.1:1\", \"192.0.2.2:1\", \"192.0.2.3:1\"]", `c.toml:1:1: relay.addresses = ["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"] has more than 2 addresses of one IP version. Fix: Name two IPv4 and two IPv6 addresses at most.`},
		{"published nowhere", "relay.addresses = [\"0.0.0.0:9240\"]", `c.toml:1:20: relay.addresses: "0.0.0.0:9240" is not an IP address with a port that others can reach. Fix: Write addresses = ["203.0.113.5:9240"].`},
		{"peer without its id", "network.peers = [\"192.0.2.1:9240\"]", `c.toml:1:18: network.peers: "192.0.2.1:9240" is not a relay's RID and address. Fix: Write RID@IP:PORT. chive network show prints the RIDs of founders, a relay's own chive status that of a relay.`},
		{"peer twice", "network.peers = [\"" + rid + "@192.0.2.1:1\", \"" + rid + "@192.0.2.1:1\"]", `c.toml:1:66: network.peers: "` + rid + `@192.0.2.1:1" is there twice. Fix: Remove one of them.`},
		{"port of a list", "client.ports = [443, 70000]", `c.toml:1:22: client.ports: 70000 is not a whole number from 1 to 65535. Fix: Write ports = [443].`},
		{"upstream shows no password", "client.upstream = \"https://user:secret@192.0.2.1:1\"", `c.toml:1:19: client.upstream is neither off nor http://HOST:PORT or socks5://HOST:PORT. Fix: Write upstream = "http://192.0.2.1:3128".`},
		{"upstream without a port", "client.upstream = \"http://user:secret@192.0.2.1\"", `c.toml:1:19: client.upstream has no port from 1 to 65535. Fix: Write upstream = "http://192.0.2.1:3128".`},
		{"home folder", "network.genesis = \"~/genesis.chive\"", `c.toml:1:19: network.genesis = "~/genesis.chive" begins with ~, which only a shell understands. Fix: Write the whole path.`},

		{"burst below rate", "[relay]\nrate = \"2 MiB/s\"\nburst = \"1 MiB\"", `c.toml:3:9: relay.burst = 1 MiB is less than what relay.rate moves in a second (2 MiB). Fix: Write burst = "4 MiB".`},
		{"start unparsable", "relay.accounting.start = \"noon\"", `c.toml:1:26: relay.accounting.start = "noon" does not say when a month begins. Fix: Write start = "1 06:00".`},
		{"start of another period", "[relay.accounting]\nstart = \"mon 06:00\"\nperiod = \"day\"", `c.toml:2:9: relay.accounting.start = "mon 06:00" does not say when a day begins. Fix: Write start = "06:00".`},
		{"day that all months lack", "relay.accounting.start = \"32 06:00\"", `c.toml:1:26: relay.accounting.start = "32 06:00" does not say when a month begins. Fix: Write start = "1 06:00".`},

		{"listener in single brackets", "[client.listener]\nname = \"a\"", `c.toml:1:2: A listener is written in double brackets. Fix: Write [[client.listener]] on a line of its own, and name = "..." and address = "..." below it.`},
		{"listener without a name", "[[client.listener]]\naddress = \"127.0.0.1:1\"", `c.toml:1:3: The listener has no name. Fix: Write name = "..." below [[client.listener]], such as name = "browser".`},
		{"listener without an address", "[[client.listener]]\nname = \"a\"", `c.toml:1:3: The listener "a" has no address. Fix: Write address = "127.0.0.1:9260", or another.`},
		{"listener named oddly", "[[client.listener]]\nname = \"A b\"", `c.toml:2:8: client.listener.name = "A b" is not 1 to 32 small letters, digits and -. Fix: Write name = "browser".`},
		{"two listeners of a name", "[[client.listener]]\nname = \"a\"\naddress = \"127.0.0.1:1\"\n[[client.listener]]\nname = \"a\"\naddress = \"127.0.0.1:2\"", `c.toml:5:8: There are two listeners named "a" in this file. Fix: Name one of them otherwise.`},
		{"unknown option", "[[client.listener]]\nname = \"a\"\naddress = \"127.0.0.1:1\"\nrefuse_ips = true", `c.toml:4:1: client.listener.refuse_ips is no key. Fix: Did you mean refuse_ip?`},
		{"listener for other machines", "[[client.listener]]\nname = \"lan\"\naddress = \"192.0.2.1:9250\"", `c.toml:3:11: The listener "lan" at 192.0.2.1:9250 would let other machines in. Fix: Use a loopback address, or a unix socket. If that is what you want, and a firewall keeps strangers out: allow_remote = true.`},
		{"listener at a taken port", "[[client.listener]]\nname = \"a\"\naddress = \"127.0.0.1:9250\"", `c.toml:3:11: client.listener.a.address and client.socks are both at 127.0.0.1:9250. Fix: Give one of them another port, or another path.`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := loadText(c.text)
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// TestConfigFilesThatCannotBeUsed: a file that is named must be there, and no file may
// be one that anybody can change.
func TestConfigFilesThatCannotBeUsed(t *testing.T) {
	for _, c := range []struct {
		name string
		file memoryFile
		want string
	}{
		{"missing", memoryFile{err: fs.ErrNotExist}, `/etc/chive/chive.toml: There is no such file. Fix: Check the path.`},
		{"unreadable", memoryFile{err: fs.ErrPermission}, `/etc/chive/chive.toml: This user may not read the file. Fix: Run chive as the user who owns it: ls -l /etc/chive/chive.toml`},
		{"large", memoryFile{err: ErrTooLarge}, `/etc/chive/chive.toml: The file is larger than 256 KiB. Fix: Name the right file.`},
		{"broken", memoryFile{err: errors.New("a name of the system's")}, `/etc/chive/chive.toml: The file cannot be read. Fix: Check that it is a file, and the disk.`},
		{"everybody's", memoryFile{mode: 0o666}, `/etc/chive/chive.toml: Every user of this machine can change the file. Fix: chmod o-w /etc/chive/chive.toml`},
		{"a group's", memoryFile{mode: 0o664}, ``},
	} {
		for _, optional := range []bool{false, true} {
			_, err := Load(Sources{Files: []File{{"/etc/chive/chive.toml", optional}}, Read: memory{"/etc/chive/chive.toml": c.file}.read})
			got := ""
			if err != nil {
				got = err.Error()
			}
			want := c.want
			if optional && c.name == "missing" {
				want = ""
			}
			if got != want {
				t.Errorf("%s, optional %v:\ngot  %s\nwant %s", c.name, optional, got, want)
			}
		}
	}
}

// TestConfigMistakesOutsideFiles: the variable, the option or the flag is named as it
// was written.
func TestConfigMistakesOutsideFiles(t *testing.T) {
	for _, c := range []struct {
		name   string
		source Sources
		want   string
	}{
		{"variable", Sources{Variables: []string{"CHIVE_RELAY_RATE=5"}}, `CHIVE_RELAY_RATE=5 has no unit. Fix: Write CHIVE_RELAY_RATE="5 MiB/s".`},
		{"unknown variable", Sources{Variables: []string{"CHIVE_RELAY_RAET=5"}}, `CHIVE_RELAY_RAET is no variable of the configuration. Fix: Did you mean CHIVE_RELAY_RATE?`},
		{"option", Sources{Options: []string{"client.hops=2"}}, `-o client.hops=2 is not a whole number from 3 to 8. Fix: Write -o client.hops=3.`},
		{"option without a value", Sources{Options: []string{"client.hops"}}, `-o client.hops has no value. Fix: Write -o section.key=value, such as -o relay.rate=2MiB/s.`},
		{"unknown option", Sources{Options: []string{"hops=4"}}, `-o hops is no key. Fix: Did you mean client.hops?`},
		{"option of no listener", Sources{Options: []string{"client.listener.lan=4"}}, `-o client.listener.lan names no option of a listener. Fix: Write -o client.listener.NAME.OPTION=value, such as -o client.listener.browser.address=127.0.0.1:9260.`},
		{"unknown option of a listener", Sources{Options: []string{"client.listener.lan.adress=4"}}, `client.listener.adress is no key. Fix: Did you mean address?`},
		{"option with a password", Sources{Options: []string{"client.upstream=http://me:secret@192.0.2.1"}}, `-o client.upstream has no port from 1 to 65535. Fix: Write -o client.upstream="http://192.0.2.1:3128".`},
		{"listener of an option", Sources{Options: []string{"client.listener.lan.refuse_ip=true"}}, `The listener "lan" has no address. Fix: Write address = "127.0.0.1:9260", or another.`},
		{"flag", Sources{Flags: []Flag{{"client.socks", "--socks", []string{"9250"}}}}, `--socks 9250 is a port without an address. Fix: Write --socks "127.0.0.1:9250".`},
		{"flag with several", Sources{Flags: []Flag{{"client.socks", "--socks", []string{"127.0.0.1:1", "0.0.0.0:2"}}}}, `--socks 0.0.0.0:2 would let other machines in. Fix: ` + fixSocks},
		{"flag against a file", Sources{
			Files: []File{{Path: "c.toml"}}, Read: memory{"c.toml": {text: "relay.burst = \"1 MiB\""}}.read,
			Flags: []Flag{{"relay.rate", "--rate", []string{"2MiB/s"}}},
		}, `c.toml:1:15: relay.burst = 1 MiB is less than what relay.rate moves in a second (2 MiB). Fix: Write burst = "4 MiB".`},
		{"period against a default", Sources{
			Files: []File{{Path: "c.toml"}}, Read: memory{"c.toml": {text: "relay.accounting.start = \"1 06:00\""}}.read,
			Options: []string{"relay.accounting.period=week"},
		}, `c.toml:1:26: relay.accounting.start = "1 06:00" does not say when a week begins. Fix: Write start = "mon 06:00".`},
		{"too many options", Sources{Options: make([]string, MaxOptions+1)}, `-o is there more than 256 times. Fix: Write a file for -c.`},
		{"too many files", Sources{Files: make([]File, MaxFiles+1)}, `There are more than 16 configuration files. Fix: Join some of them.`},
	} {
		_, err := Load(c.source)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s\ngot  %v\nwant %s", c.name, err, c.want)
		}
	}
}

// TestConfigNamesEveryMistake: not only the first one.
func TestConfigNamesEveryMistake(t *testing.T) {
	_, err := Load(Sources{
		Files:     []File{{Path: "a.toml"}, {Path: "b.toml"}, {Path: "c.toml"}},
		Read:      memory{"a.toml": {text: "client.hops = 2\nrelay.raet = 1"}, "b.toml": {text: "="}}.read,
		Variables: []string{"CHIVE_LOG_LEVEL=loud"},
		Options:   []string{"relay.drain=4"},
		Named:     Named{Genesis: func(string) (bool, error) { return false, &Unfit{"x", "It is odd", "Look."} }},
		Flags:     []Flag{{"network.genesis", "--genesis", []string{"g"}}},
	})
	want := []string{"a.toml:1:15: ", "a.toml:2:1: ", "b.toml:1:1: ", "c.toml: ", "CHIVE_LOG_LEVEL=loud ", "-o relay.drain=4 ", "--genesis: It is odd. Fix: Look."}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d problems, want %d:\n%v", len(lines), len(want), err)
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("line %d is %q, want %q...", i, lines[i], want[i])
		}
	}
}

// TestConfigProblemsAreBounded: a file that is no configuration does not fill the
// terminal.
func TestConfigProblemsAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 20_000 {
		b.WriteString("k" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + " = 1\n")
	}
	_, err := loadText(b.String())
	var p Problems
	if !errors.As(err, &p) || len(p) != maxProblems {
		t.Errorf("%d problems", len(p))
	}
}

// TestNamedFilesAreLookedInto: each at the place that names it.
func TestNamedFilesAreLookedInto(t *testing.T) {
	named := Named{
		Genesis: func(path string) (bool, error) {
			if path != "/c/net.chive" {
				return false, &Unfit{"genesis_damaged", path + " is not a genesis document", "Get it again."}
			}
			return false, nil
		},
		Policy: func(path string) ([]string, error) {
			if path != "/c/rules" {
				return nil, errors.New("no text for users")
			}
			return []string{`line 3, "accept 1.2.3.4:80": too narrow`, "b: too wide"}, nil
		},
		Family: func(path string) error {
			return &Unfit{"key_exposed", path + " can be read by others", "chmod 600 " + path}
		},
	}
	load := func(text string) (*Config, error) {
		return Load(Sources{Files: []File{{Path: "/c/c.toml"}}, Read: memory{"/c/c.toml": {text: text}}.read, Named: named})
	}
	for _, c := range []struct{ text, want string }{
		{`network.genesis = "other"`, `/c/c.toml:1:19: network.genesis: /c/other is not a genesis document. Fix: Get it again.`},
		{`relay.exit.policy = "missing"`, `/c/c.toml:1:21: relay.exit.policy: The file that relay.exit.policy names cannot be used. Fix: Check the path.`},
		{`relay.family = "/f/key"`, `/c/c.toml:1:16: relay.family: /f/key can be read by others. Fix: chmod 600 /f/key`},
		{"network.genesis = \"net.chive\"\nclient.circuit_dirtiness = \"50s\"", `/c/c.toml:2:28: client.circuit_dirtiness = "50s" is for testnets, and the network is none. Fix: Write circuit_dirtiness = "10m".`},
		{"network.genesis = \"net.chive\"\nrelay.addresses = \"10.0.0.1:9240\"", `/c/c.toml:2:19: relay.addresses: strangers cannot reach a relay at 10.0.0.1:9240, and the network is no testnet. Fix: Name the address that others reach this relay at; a router must forward that port to this machine.`},
	} {
		if _, err := load(c.text); err == nil || err.Error() != c.want {
			t.Errorf("%s\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
	c, err := load("network.genesis = \"net.chive\"\nrelay.exit.policy = \"rules\"\nrelay.contact = \"me\"")
	if err != nil || len(c.Notes()) != 1 || c.Notes()[0].String() != `/c/c.toml:2:21: Clients will not see all of the exit policy: line 3, "accept 1.2.3.4:80": too narrow; b: too wide.` {
		t.Errorf("%v, %v", err, c)
	}
}
