// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"strconv"
	"strings"
)

// key is one row of the table that everything is made from: what is read, the default
// file, what show prints, and the page of documentation.
type key struct {
	name   string
	takes  string // in words
	help   string // sentences
	reload bool   // applies at once when a running node reads its files again (CFG-4)
	secret bool   // its value is not quoted in messages
	at     func(c *Config) field
}

// variable is the key's name in the environment.
func (k key) variable() string { return variableName(k.name) }

func variableName(name string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(name, ".", "_"))
}

// variablePrefix begins every variable that the program reads for its configuration.
const variablePrefix = "CHIVE_"

const (
	fixSocks  = "Use a loopback address such as " + DefaultSocks + `, or unix:/PATH. If other machines shall use this proxy, make it a listener of its own: [[client.listener]] with allow_remote = true.`
	fixLocal  = "Use a loopback address, or reach it from another machine through an SSH tunnel."
	anAddress = "an address: "
)

// keys returns the table, in the order of the default file.
func keys() []key {
	return []key{
		{
			name: "state", takes: "a folder, or auto",
			help: "Where keys, guards and other state are kept. auto: what the service manager gives, else the user's own folder for state.",
			at:   func(c *Config) field { return pathField{to: &c.State, auto: true} },
		},
		{
			name: "control", takes: anAddress + "auto, off or unix:/PATH",
			help: "Where chive status and other commands ask this node. auto: control.sock in the session's folder for sockets, or in the state folder.",
			at: func(c *Config) field {
				return addressField{&c.Control, accepts{usual: "unix:/run/chive/control.sock", noTCP: true, beside: true}}
			},
		},

		{
			name: "debug", takes: "true or false",
			help: "In a testnet alone: the control socket shows what the process does inside, at /debug/pprof/ (docs/api.md). In another network the node does not start with it.",
			at:   func(c *Config) field { return boolField{&c.Debug} },
		},

		{
			name: "client.socks", takes: "a list of addresses, or off", reload: true,
			help: "Where programs find the proxy, which speaks SOCKS5, SOCKS4a and HTTP on one port. auto: " + DefaultSocks + ". Loopback or unix:/PATH only.",
			at: func(c *Config) field {
				return addressesField{&c.Client.Socks, accepts{usual: DefaultSocks, noOff: true, fixRemote: fixSocks}}
			},
		},
		{
			name: "client.upstream", takes: "off, http://HOST:PORT or socks5://HOST:PORT", secret: true,
			help: "A proxy that must be passed to reach the network, as companies have one. A user and a password may stand before HOST, with : and @.",
			at:   func(c *Config) field { return upstreamField{&c.Client.Upstream} },
		},
		{
			name: "client.hops", takes: "a whole number, " + strconv.Itoa(MinHops) + " to " + strconv.Itoa(MaxHops),
			help: "How many relays a circuit has. More is slower, and in most cases no safer.",
			at:   func(c *Config) field { return intField{&c.Client.Hops, MinHops, MaxHops} },
		},
		{
			name: "client.circuit_dirtiness", takes: "a duration, 1m to 1d; in a testnet from 10s",
			help: "How long a circuit takes new streams after its first one.",
			at: func(c *Config) field {
				return durationField{&c.Client.CircuitDirtiness, minDirtiness, maxDirtiness}
			},
		},
		{
			name: "client.ports", takes: "a list of ports",
			help: "Relays are reached at these ports only, for networks that let few pass. Empty: all.",
			at:   func(c *Config) field { return portsField{&c.Client.Ports} },
		},
		{
			name: "client.dns.listen", takes: anAddress + "auto, off or IP:PORT", reload: true,
			help: "Answers DNS questions, over UDP and TCP, through the network. auto: " + DefaultDNS + ". Loopback only.",
			at: func(c *Config) field {
				return addressField{&c.Client.DNS.Listen, accepts{usual: DefaultDNS, noUnix: true, fixRemote: fixLocal}}
			},
		},

		{
			name: "web.listen", takes: anAddress + "auto, off or IP:PORT", reload: true,
			help: "Where the page of this node is. auto: " + DefaultWeb + " for a node that a user started, off for a system service. Loopback only.",
			at: func(c *Config) field {
				return addressField{&c.Web.Listen, accepts{usual: DefaultWeb, noUnix: true, fixRemote: fixLocal}}
			},
		},

		{
			name: "relay.enabled", takes: "true or false",
			help: "chive up carries other people's traffic as well. chive relay run always does.",
			at:   func(c *Config) field { return boolField{&c.Relay.Enabled} },
		},
		{
			name: "relay.listen", takes: anAddress + "auto or IP:PORT",
			help: "Where links from others are accepted. auto: " + DefaultListen + "; [::]:9240 is IPv4 and IPv6.",
			at: func(c *Config) field {
				return addressField{&c.Relay.Listen, accepts{usual: DefaultListen, noOff: true, noUnix: true, remote: true}}
			},
		},
		{
			name: "relay.addresses", takes: "a list of IP:PORT",
			help: "Where others reach the relay, if that is another address than it has: at most two of each IP version. Empty: what chive relay init was told, or what is found out.",
			at: func(c *Config) field {
				return textsField{to: &c.Relay.Addresses, most: MaxAddresses, check: checkPublished, all: checkVersions}
			},
		},
		{
			name: "relay.nickname", takes: "text", reload: true,
			help: "What the relay is called: at most " + strconv.Itoa(MaxNicknameSize) + " letters, digits, - and _. Everybody can read it. Where it is not written: what chive relay init was told; \"\": none.",
			at:   func(c *Config) field { return textField{&c.Relay.Nickname, checkNickname} },
		},
		{
			name: "relay.contact", takes: "text", reload: true,
			help: "Where its operator can be reached: a mail address or a page. Everybody can read it; exits need one. Where it is not written: what chive relay init was told; \"\": none.",
			at:   func(c *Config) field { return textField{&c.Relay.Contact, checkContact} },
		},
		{
			name: "relay.rate", takes: "a rate, such as 2 MiB/s or 20 Mbit/s", reload: true,
			help: "How fast traffic flows, each way, counted at the socket with all overhead. The more, the more clients choose the relay. It is a ceiling where it is written down; where it is not, the relay declares the default and holds nothing back.",
			at:   func(c *Config) field { return rateField{&c.Relay.Rate, minRate} },
		},
		{
			name: "relay.burst", takes: "a size, or auto", reload: true,
			help: "How much may flow at once after a pause; at least what the rate moves in a second. auto: twice that.",
			at: func(c *Config) field {
				return sizeField{&c.Relay.Burst, string(Auto), minBurst, maxMemory, "4 MiB"}
			},
		},
		{
			name: "relay.memory", takes: "a size from " + Size(minMemory).String() + ", or auto", reload: true,
			help: "A ceiling for queues, buffers and the directory. auto: a quarter of the machine's or the container's, 128 MiB to 4 GiB.",
			at: func(c *Config) field {
				return sizeField{&c.Relay.Memory, string(Auto), minMemory, maxMemory, "512 MiB"}
			},
		},
		{
			name: "relay.nat", takes: "auto or off",
			help: "Where nobody has said an address and this machine has no public one, ask the home router to forward the port (NAT-PMP, UPnP). In a testnet only where it is written down.",
			at:   func(c *Config) field { return switchField{&c.Relay.NAT} },
		},
		{
			name: "relay.drain", takes: "a duration, 0s to " + durationText(maxDrain), reload: true,
			help: "How long open circuits are given when the relay is stopped.",
			at:   func(c *Config) field { return durationField{&c.Relay.Drain, 0, maxDrain} },
		},
		{
			name: "relay.family", takes: "a file", reload: true,
			help: "The key of the family, for who runs several relays; it is made if it is not there. Empty: none.",
			at:   func(c *Config) field { return pathField{to: &c.Relay.Family} },
		},

		{
			name: "relay.voucher", takes: "a file",
			help: "A voucher that the operator of a relay of long service gave, with which a newcomer gets on the list sooner. Empty: what chive relay init was told, or none.",
			at:   func(c *Config) field { return pathField{to: &c.Relay.Voucher} },
		},

		{
			name: "relay.accounting.max", takes: "a size, or off", reload: true,
			help: "How much traffic a period may bring. When it is used up, the relay sleeps until the next.",
			at: func(c *Config) field {
				return sizeField{&c.Relay.Accounting.Max, string(Off), 1 << 20, 1 << 60, "200 GiB"}
			},
		},
		{
			name: "relay.accounting.period", takes: "day, week or month", reload: true,
			help: "How long a period is.",
			at: func(c *Config) field {
				return wordField{&c.Relay.Accounting.Period, []string{"day", "week", "month"}}
			},
		},
		{
			name: "relay.accounting.start", takes: "text, or auto", reload: true,
			help: "When a period begins, in UTC: 06:00 for a day, mon 06:00 for a week, 1 06:00 for a month. A day that a month lacks is its last. auto: midnight, of Monday or of the 1st.",
			at: func(c *Config) field {
				return textField{&c.Relay.Accounting.Start, func(string) *refusal { return nil }}
			},
		},
		{
			name: "relay.accounting.count", takes: "sum, out or max", reload: true,
			help: "What is counted: both ways together, what is sent, or the larger of the two.",
			at: func(c *Config) field {
				return wordField{&c.Relay.Accounting.Count, []string{"sum", "out", "max"}}
			},
		},

		{
			name: "relay.exit.policy", takes: "off, web, reduced, or a file of rules", reload: true,
			help: "What destinations clients may reach from here. What they do looks as if this host did it. off: none.",
			at: func(c *Config) field {
				return pathField{to: &c.Relay.Exit.Policy, words: policies}
			},
		},
		{
			name: "relay.metrics.listen", takes: anAddress + "auto, off, IP:PORT or unix:/PATH", reload: true,
			help: "Numbers for Prometheus. auto: " + DefaultMetrics + ". Loopback or unix:/PATH only.",
			at: func(c *Config) field {
				return addressField{&c.Relay.Metrics.Listen, accepts{usual: DefaultMetrics, fixRemote: fixLocal}}
			},
		},

		{
			name: "network.genesis", takes: "a file",
			help: "The genesis document of the network. Empty: the network that is built in, if there is one.",
			at:   func(c *Config) field { return pathField{to: &c.Network.Genesis} },
		},
		{
			name: "network.anchor", takes: "a file",
			help: "A list's signed header, not older than the network's limit (90 days), for who starts with an old genesis document: chive network anchor makes it. Who gives it is believed. Empty: none.",
			at:   func(c *Config) field { return pathField{to: &c.Network.Anchor} },
		},
		{
			name: "network.peers", takes: "a list of RID@IP:PORT",
			help: "Relays to ask first.",
			at:   func(c *Config) field { return textsField{to: &c.Network.Peers, most: MaxPeers, check: checkPeer} },
		},

		{
			name: "log.level", takes: "error, warn, info or debug", reload: true,
			help: "What is logged, from that on. debug exists in testnets only.",
			at: func(c *Config) field {
				return wordField{&c.Log.Level, []string{"error", "warn", "info", "debug"}}
			},
		},
		{
			name: "log.format", takes: "auto, console or json", reload: true,
			help: "auto is console on a terminal, else json.",
			at: func(c *Config) field {
				return wordField{&c.Log.Format, []string{string(Auto), "console", "json"}}
			},
		},
	}
}

// listenerSection holds listeners, each in double brackets.
const listenerSection = "client.listener"

// listenerKey is a row for the options of a listener.
type listenerKey struct {
	name, takes, help string
	at                func(l *Listener) field
}

// listenerName is the option that names a listener.
const listenerName = "name"

// listenerKeys returns the options of a listener, the name left out.
func listenerKeys() []listenerKey {
	return []listenerKey{
		{
			"address", anAddress + "off, IP:PORT or unix:/PATH",
			"Required. off removes a listener that an earlier file made.",
			func(l *Listener) field {
				return addressField{&l.Address, accepts{usual: "127.0.0.1:9260", noAuto: true, remote: true}}
			},
		},
		{
			"allow_remote", "true or false",
			"The address may be one that other machines reach. Whoever reaches it uses this proxy; chive warns at every start.",
			func(l *Listener) field { return boolField{&l.AllowRemote} },
		},
		{
			"isolate_destination", "true or false", "Streams to different hosts never share a circuit.",
			func(l *Listener) field { return boolField{&l.IsolateDestination} },
		},
		{
			"isolate_port", "true or false", "Streams to different ports never share a circuit.",
			func(l *Listener) field { return boolField{&l.IsolatePort} },
		},
		{
			"extended_errors", "true or false", "SOCKS5 answers say more than programs know: codes F0 to F7.",
			func(l *Listener) field { return boolField{&l.ExtendedErrors} },
		},
		{
			"prefer_no_auth", "true or false", "Choose no authentication even from programs that offer a password.",
			func(l *Listener) field { return boolField{&l.PreferNoAuth} },
		},
		{
			"refuse_ip", "true or false", "Refuse bare addresses that were not looked up through chive: they hint at a leak of names.",
			func(l *Listener) field { return boolField{&l.RefuseIP} },
		},
		{
			"automap", "true or false", "Answer look-ups of .chive.alt names with an address of 198.18.0.0/15 (unless it is said: true). Browsers never need it.",
			func(l *Listener) field { return boolField{&l.Automap} },
		},
	}
}

// sections returns the names of all sections, in the order of their keys.
func sections() []string {
	var out []string
	seen := make(map[string]bool)
	for _, k := range keys() {
		for i, r := range k.name {
			if s := k.name[:i]; r == '.' && !seen[s] {
				seen[s] = true
				out = append(out, s)
			}
		}
	}
	return append(out, listenerSection)
}
