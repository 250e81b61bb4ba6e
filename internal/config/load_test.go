// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestLayersWinInTheirOrder: defaults, the files in their order, the environment, options,
// flags (CFG-1); and every value remembers where it is from.
func TestLayersWinInTheirOrder(t *testing.T) {
	all := Sources{
		Files:     []File{{"/etc/chive/chive.toml", true}, {"/u/chive.toml", true}, {"/gone.toml", true}, {"one.toml", false}, {"two.toml", false}},
		Variables: []string{"CHIVE_CLIENT_HOPS=7", "PATH=/bin", "CHIVE_LOG_LEVEL=", "CHIVE_RELAY_DRAIN=4s"},
		Options:   []string{"client.hops=8", "relay.drain=5s", "relay.drain = 6s"},
		Flags:     []Flag{{"relay.drain", "--drain", []string{"7s"}}},
		Read: memory{
			"/etc/chive/chive.toml": {text: "client.hops = 4\nlog.level = \"warn\"\nrelay.contact = \"etc\""},
			"/u/chive.toml":         {text: "# mine\nclient.hops = 5\nlog.level = \"error\""},
			"one.toml":              {text: "client.hops = 6\nrelay.nickname = \"one\""},
			"two.toml":              {text: "[relay]\nnickname = \"two\""},
		}.read,
	}
	c, err := Load(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		key    string
		got    any
		value  any
		origin string
	}{
		{"client.hops", c.Client.Hops, 8, "-o client.hops"},
		{"log.level", c.Log.Level, "error", "/u/chive.toml:3:13"},
		{"relay.contact", c.Relay.Contact, "etc", "/etc/chive/chive.toml:3:17"},
		{"relay.nickname", c.Relay.Nickname, "two", "two.toml:2:12"},
		{"relay.drain", c.Relay.Drain, 7 * time.Second, "--drain"},
		{"log.format", c.Log.Format, "auto", "default"},
	} {
		if want.got != want.value || c.Origin(want.key).String() != want.origin {
			t.Errorf("%s is %v from %s, want %v from %s", want.key, want.got, c.Origin(want.key), want.value, want.origin)
		}
	}
	if got := c.Files(); !slices.Equal(got, []string{"/etc/chive/chive.toml", "/u/chive.toml", "one.toml", "two.toml"}) {
		t.Errorf("read %v", got)
	}
	if c.Given("log.format") || !c.Given("log.level") {
		t.Error("a default counts as given, or the reverse")
	}
}

// TestNoTwoKeysShareAVariable (CFG-1), nor one of what is not the configuration's.
func TestNoTwoKeysShareAVariable(t *testing.T) {
	seen := make(map[string]string)
	for _, k := range keys() {
		v := k.variable()
		if other, twice := seen[v]; twice {
			t.Errorf("%s and %s are both %s", k.name, other, v)
		}
		seen[v] = k.name
		if foreign(v) {
			t.Errorf("%s of %s is passed over", v, k.name)
		}
		if strings.Contains(k.name, ".") && !claimed(v) {
			t.Errorf("a misspelt %s would be passed over", v)
		}
	}
	if seen["CHIVE_CLIENT_CIRCUIT_DIRTINESS"] != "client.circuit_dirtiness" || seen["CHIVE_RELAY_EXIT_POLICY"] == "" || seen["CHIVE_STATE"] == "" {
		t.Error("variables are not CHIVE_SECTION_KEY")
	}
}

// TestVariablesOfOthersArePassedOver: of tests, of the program itself and of Kubernetes.
// What may be meant for us is noted.
func TestVariablesOfOthersArePassedOver(t *testing.T) {
	c, err := Load(Sources{Variables: []string{
		"CHIVE_REQUIRE_TOOLS=1", "CHIVE_STARTED_AGAIN=1", "CHIVE_TEST_RELAY=x", "CHIVE_PORT=tcp://10.0.0.1:9250", "CHIVE_CLIENT_PORT=tcp://10.0.0.1:9250",
		"CHIVE_CLIENT_PORT_9250_TCP_ADDR=10.0.0.1", "CHIVE_RELAY_SERVICE_HOST=10.0.0.1", "CHIVE_RELAY_SERVICE_PORT_SOCKS=9250", "CHIVES=1", "OTHER=1",
	}})
	if err != nil || len(c.Notes()) != 0 {
		t.Errorf("%v, %v", err, c.Notes())
	}
	c, err = Load(Sources{Variables: []string{"CHIVE_RELEY_RATE=1", "CHIVE_COLOUR=1"}})
	if err != nil || len(c.Notes()) != 2 || c.Notes()[0].String() != "CHIVE_COLOUR: No key has this variable, so it is passed over." ||
		c.Notes()[1].String() != "CHIVE_RELEY_RATE: No key has this variable, so it is passed over. Did you mean CHIVE_RELAY_RATE?" {
		t.Errorf("%v, %v", err, c)
	}
}

// TestEveryKindOfValueIsRead: as a file, a variable and an option write it.
func TestEveryKindOfValueIsRead(t *testing.T) {
	c, err := loadText("\xef\xbb\xbf" + `
state = "/var/lib/chive"
control = "off"
[client]
socks = ["auto", "localhost:9252", "[::1]:9250", "unix:/run/chive/socks"]
upstream = "socks5://user:pa%3Ass@192.0.2.1:1080"
hops = 4
circuit_dirtiness = "1h30m"
ports = [443, 80]
dns.listen = "auto"
[web]
listen = "127.0.0.1:0"
[relay]
enabled = true
listen = "[::]:9240"
addresses = ["203.0.113.5:9240", "[2001:db8::5]:9240"]
nickname = "maple"
contact = "ops@example.net"
rate = "20 Mbit/s"
burst = "10 MB"
memory = "1.5 GiB"
nat = "off"
drain = "0s"
family = "family.key"
voucher = "maple.voucher"
accounting = { max = "200 GiB", period = "week", start = "tue 04:30", count = "out" }
[relay.exit]
policy = "rules"
[relay.metrics]
listen = "unix:/run/chive/metrics"
[network]
genesis = "../genesis.chive"
anchor = "latest.anchor"
peers = ["00112233445566778899aabbccddeeff@192.0.2.1:9240"]
[log]
level = "debug"
format = "json"
[[client.listener]]
name = "browser"
address = "127.0.0.1:9260"
automap = false
refuse_ip = true
isolate_destination = true
isolate_port = true
extended_errors = true
prefer_no_auth = true
[[client.listener]]
name = "lan"
address = "0.0.0.0:9261"
allow_remote = true
`)
	if err != nil {
		t.Fatal(err)
	}
	r := c.Relay
	for what, ok := range map[string]bool{
		"top":      c.State == "/var/lib/chive" && c.Control.IsOff(),
		"client":   c.Client.Upstream == "socks5://user:pa%3Ass@192.0.2.1:1080" && c.Client.Hops == 4 && c.Client.CircuitDirtiness == 90*time.Minute && slices.Equal(c.Client.Ports, []int{443, 80}),
		"socks":    slices.Equal(c.Client.Socks, []Address{"auto", "127.0.0.1:9252", "[::1]:9250", "unix:/run/chive/socks"}),
		"dns, web": c.Client.DNS.Listen.Or(DefaultDNS) == "127.0.0.1:9253" && c.Web.Listen == "127.0.0.1:0",
		"relay":    r.Enabled && r.Listen == "[::]:9240" && len(r.Addresses) == 2 && r.Nickname == "maple" && r.Contact == "ops@example.net" && !r.NAT && r.Drain == 0,
		"units":    r.Rate == 2_500_000 && r.Burst == 10_000_000 && r.BurstSize() == 10_000_000 && r.Memory == 1536<<20,
		"quota":    r.Accounting == Accounting{200 << 30, "week", "tue 04:30", "out"} && r.Accounting.StartText() == "tue 04:30",
		"files":    r.Family == "family.key" && r.Voucher == "maple.voucher" && r.Exit.Policy == "rules" && r.Exit.IsFile() && c.Network.Genesis == "../genesis.chive" && c.Network.Anchor == "latest.anchor",
		"metrics":  r.Metrics.Listen == "unix:/run/chive/metrics",
		"log":      c.Log == Log{"debug", "json"},
		"peers":    len(c.Network.Peers) == 1,
		"listeners": slices.Equal(c.Client.Listener, []Listener{
			{"browser", "127.0.0.1:9260", false, true, true, true, true, true, false}, {"lan", "0.0.0.0:9261", true, false, false, false, false, false, true},
		}),
		"notes": len(c.Notes()) == 1 && strings.HasPrefix(c.Notes()[0].Text, `Everybody who reaches the listener "lan" at 0.0.0.0:9261`),
	} {
		if !ok {
			t.Errorf("%s: %+v", what, c)
		}
	}
	names := ""
	for _, l := range c.Client.Listeners() {
		names += l.Name + " "
	}
	if names != "127.0.0.1:9250 127.0.0.1:9252 [::1]:9250 unix:/run/chive/socks browser lan " {
		t.Errorf("listeners %s", names)
	}
	for _, s := range c.Settings() {
		if strings.Contains(s.Text, "pa%3Ass") {
			t.Errorf("%s shows a password", s.Key)
		}
	}

	// What settings say is a file that says the same.
	text := strings.ReplaceAll(Show(c.Settings()), "user:***@", "user:pa%3Ass@")
	again, err := loadText(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if applied, restart := Diff(c, again); len(applied)+len(restart) > 0 {
		t.Errorf("what is shown differs in %v %v\n%s", applied, restart, text)
	}
}

// TestBareTextIsRead: of variables, options and flags, which need no quotes.
func TestBareTextIsRead(t *testing.T) {
	c, err := Load(Sources{
		Variables: []string{
			"CHIVE_CLIENT_SOCKS=127.0.0.1:1, unix:/run/s", "CHIVE_RELAY_ENABLED=true", "CHIVE_CLIENT_PORTS=443,80", "CHIVE_RELAY_RATE=2MiB/s",
			`CHIVE_RELAY_BURST="4 MiB"`, `CHIVE_NETWORK_PEERS=["00112233445566778899aabbccddeeff@192.0.2.1:9240"]`, "CHIVE_NETWORK_GENESIS=g.chive",
		},
		Options: []string{
			"client.listener.lan.address=127.0.0.1:9261", "client.listener.lan.refuse_ip=true", `relay.contact="a, b"`, "web.listen=off",
			"client.dns.listen=auto",
		},
		Flags: []Flag{{"relay.enabled", "--no-relay", []string{"false"}}, {"relay.addresses", "--address", []string{"192.0.2.1:1", "192.0.2.2:1"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.Client.Socks, []Address{"127.0.0.1:1", "unix:/run/s"}) || c.Relay.Enabled || !slices.Equal(c.Client.Ports, []int{443, 80}) ||
		c.Relay.Rate != 2<<20 || c.Relay.Burst != 4<<20 || len(c.Network.Peers) != 1 || c.Network.Genesis != "g.chive" || c.Relay.Contact != "a, b" ||
		!c.Web.Listen.IsOff() || len(c.Relay.Addresses) != 2 || len(c.Client.Listener) != 1 || !c.Client.Listener[0].RefuseIP {
		t.Errorf("%+v", c)
	}
	if c, err = Load(Sources{Options: []string{"client.socks=off"}}); err != nil || len(c.Client.Listeners()) != 0 {
		t.Errorf("%v, %+v", err, c)
	}
}

// TestListenersOfSeveralFilesAreJoinedByName: a later file changes what it says, and can
// switch one off.
func TestListenersOfSeveralFilesAreJoinedByName(t *testing.T) {
	c, err := Load(Sources{
		Files: []File{{"a", false}, {"b", false}},
		Read: memory{
			"a": {text: "[[client.listener]]\nname = \"name\"\naddress = \"127.0.0.1:1\"\nrefuse_ip = true\n[[client.listener]]\nname = \"y\"\naddress = \"127.0.0.1:2\""},
			"b": {text: "[[client.listener]]\naddress = \"127.0.0.1:3\"\nname = \"name\"\n[[client.listener]]\nname = \"y\"\naddress = \"off\""},
		}.read,
	})
	if err != nil {
		t.Fatal(err)
	}
	on := c.Client.Listeners()
	if len(on) != 2 || on[1].Name != "name" || on[1].Address != "127.0.0.1:3" || !on[1].RefuseIP {
		t.Errorf("%+v", on)
	}
	if got := c.Origin("client.listener.name.refuse_ip").String(); got != "a:4:13" {
		t.Errorf("refuse_ip is from %s", got)
	}
}

// TestRelativePathsBeginAtTheirFile, and those of variables, options and flags where
// the program runs.
func TestRelativePathsBeginAtTheirFile(t *testing.T) {
	read := memory{"/etc/chive/chive.toml": {text: "network.genesis = \"net/g\"\nrelay.exit.policy = \"web\"\nrelay.family = \"/abs\"\ncontrol = \"unix:c\""}}.read
	c, err := Load(Sources{Files: []File{{"/etc/chive/chive.toml", false}}, Read: read})
	if err != nil || c.Network.Genesis != "/etc/chive/net/g" || c.Relay.Exit.IsFile() || c.Relay.Family != "/abs" || c.Control != "unix:/etc/chive/c" {
		t.Errorf("%v, %+v", err, c)
	}
	c, err = Load(Sources{Options: []string{"network.genesis=net/g", "relay.exit.policy=./web", "control=unix:c"}})
	if err != nil || c.Control != "unix:c" || c.Network.Genesis != "net/g" || !c.Relay.Exit.IsFile() {
		t.Errorf("%v, %+v", err, c)
	}
}

// TestChangesAreAppliedOrNeedARestart (CFG-4).
func TestChangesAreAppliedOrNeedARestart(t *testing.T) {
	load := func(text string) *Config {
		c, err := loadText(text)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const lan = "[[client.listener]]\nname = \"lan\"\naddress = \"127.0.0.1:1\"\n"
	for _, c := range []struct{ old, new, applied, restart string }{
		{"", "", "", ""},
		{"relay.rate = \"1 MiB/s\"", "", "", ""},
		{"relay.rate = \"8 Mbit/s\"", "relay.rate = \"1 MB/s\"", "", ""},
		{"", "log.level = \"warn\"\nrelay.rate = \"2 MiB/s\"\nrelay.accounting.max = \"1 GiB\"\nrelay.exit.policy = \"web\"\nrelay.contact = \"me\"\nclient.socks = []",
			"client.socks relay.contact relay.rate relay.accounting.max relay.exit.policy log.level", ""},
		{"", "relay.listen = \"0.0.0.0:9\"\nclient.hops = 4\nnetwork.genesis = \"g\"\nrelay.memory = \"1 GiB\"\nrelay.enabled = true", "relay.memory", "client.hops relay.enabled relay.listen network.genesis"},
		{"state = \"/a\"", "state = \"/b\"\nlog.format = \"json\"", "log.format", "state"},
		{"client.upstream = \"http://u:one@192.0.2.1:1\"", "client.upstream = \"http://u:two@192.0.2.1:1\"", "", "client.upstream"},
		{"", lan, "client.listener.lan", ""},
		{lan, lan, "", ""},
		{lan, "", "client.listener.lan", ""},
		{lan, lan + "refuse_ip = true", "client.listener.lan", ""},
		{"", "[[client.listener]]\nname = \"x\"\naddress = \"off\"", "", ""},
	} {
		applied, restart := Diff(load(c.old), load(c.new))
		if strings.Join(applied, " ") != c.applied || strings.Join(restart, " ") != c.restart {
			t.Errorf("%q to %q: applied %v, restart %v", c.old, c.new, applied, restart)
		}
	}
}

// TestStartsOfPeriods: as internal/limit reads them.
func TestStartsOfPeriods(t *testing.T) {
	for _, c := range []struct {
		period, text string
		want         bool
	}{
		{"day", "auto", true}, {"day", "06:00", true}, {"day", "6:00", true}, {"day", "mon 06:00", false}, {"day", "24:00", false}, {"day", "", false},
		{"week", "mon 06:00", true}, {"week", "Sun 23:59", true}, {"week", "mon", true}, {"week", "06:00", true}, {"week", "1 06:00", false}, {"week", "mon tue", false},
		{"month", "1 06:00", true}, {"month", "31", true}, {"month", "06:00", true}, {"month", "32 06:00", false}, {"month", "0", false}, {"month", "-1", false},
		{"month", "1 06:00 x", false}, {"month", "1 6", false},
	} {
		if got := isStart(c.period, c.text); got != c.want {
			t.Errorf("%s %q: %v", c.period, c.text, got)
		}
	}
	if (Accounting{Start: "auto"}).StartText() != "" {
		t.Error("auto is not the usual start")
	}
}

// TestThePageIsOffForASystemService unless it is said (PAGE-1).
func TestThePageIsOffForASystemService(t *testing.T) {
	if (Web{Auto}).At(true) != Off || (Web{Auto}).At(false) != DefaultWeb || (Web{Off}).At(false) != Off || (Web{"127.0.0.1:1"}).At(true) != "127.0.0.1:1" {
		t.Error("the page is elsewhere")
	}
}

func TestShortTimersAndPrivateAddressesAreForTestnets(t *testing.T) {
	c, err := loadText("debug = true\nclient.circuit_dirtiness = \"12s\"\nrelay.addresses = [\"127.0.0.1:9240\", \"203.0.113.5:9240\"]")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ForNetwork(true); err != nil {
		t.Error(err)
	}
	err = c.ForNetwork(false)
	if err == nil || strings.Count(err.Error(), "\n") != 2 || !strings.Contains(err.Error(), "debug = true is for testnets") {
		t.Errorf("%v", err)
	}
	if err := Default().ForNetwork(false); err != nil {
		t.Error(err)
	}
}

// FuzzConfig: no file makes Load fail otherwise than in words, and what is shown of one
// that is taken says the same again.
func FuzzConfig(f *testing.F) {
	f.Add(DefaultFile())
	f.Add("[[client.listener]]\nname = \"a\"\naddress = \"127.0.0.1:1\"\n[relay]\nrate = 5\nx.y = [1, {a=2}]\n")
	f.Add("client = { socks = [\"\\\\\"], hops = 0x4 }\nrelay.contact = '''a'''")
	f.Add("relay.contact = \"\\\"\\\\ é\"\nclient.upstream = \"http://a:b@[::1]:1\"")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := loadText(text)
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' && r != '\n' }) {
				t.Errorf("a message with control characters: %q", err)
			}
			return
		}
		shown := Show(c.Settings())
		again, err := loadText(shown)
		if err != nil {
			t.Fatalf("%q is shown as %q: %v", text, shown, err)
		}
		if edited, err := Say([]byte(text), "relay.enabled", "true"); err == nil {
			if e, err := loadText(string(edited)); err != nil || !e.Relay.Enabled {
				t.Errorf("%q is changed to %q: %v", text, edited, err)
			}
		}
		if strings.Contains(shown, "***") {
			return
		}
		if applied, restart := Diff(c, again); len(applied)+len(restart) > 0 {
			t.Errorf("%q is shown as %q: %v %v", text, shown, applied, restart)
		}
	})
}
