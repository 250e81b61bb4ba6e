// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Config is what a node is told. [Load] makes one; it is not changed afterwards.
// Units: sizes are bytes, rates bytes per second. Spec: product §3 (CFG-5).
type Config struct {
	State   string  // folder; empty: the platform's own
	Control Address // auto, off, or a unix socket
	Client  Client
	Web     Web
	Relay   Relay
	Network Network
	Log     Log
	Debug   bool // in testnets: the node shows profiles of itself

	origins map[string]Origin // by key, as Setting.Key
	notes   []Note
	files   []string // that were read
}

// Client is the section client.
type Client struct {
	Socks            []Address // listeners without options of their own; empty: none
	Upstream         string    // "off", http://HOST:PORT or socks5://HOST:PORT; may hold a password
	Hops             int       // relays of a circuit
	CircuitDirtiness time.Duration
	Ports            []int // of relays that may be dialled; empty: all
	DNS              DNS
	Listener         []Listener // in the order of their first mention; some may be off
}

// DNS is the section client.dns.
type DNS struct {
	Listen Address // auto is DefaultDNS
}

// Listener is one [[client.listener]]: a proxy port with options. Spec: product §4.1.
type Listener struct {
	Name               string
	Address            Address
	AllowRemote        bool // other machines may use it
	IsolateDestination bool
	IsolatePort        bool
	ExtendedErrors     bool
	PreferNoAuth       bool
	RefuseIP           bool
	Automap            bool
}

// Web is the section web.
type Web struct {
	Listen Address // auto: DefaultWeb for a user's own node, off for a system service
}

// At returns where the page is, Off if nowhere: auto depends on who runs the node.
// Spec: product §5 (PAGE-1).
func (w Web) At(systemService bool) Address {
	switch {
	case w.Listen != Auto:
		return w.Listen
	case systemService:
		return Off
	}
	return DefaultWeb
}

// Relay is the section relay.
type Relay struct {
	Enabled    bool
	Listen     Address // auto is DefaultListen
	Addresses  []string
	Nickname   string
	Contact    string
	Rate       Rate
	Burst      Size // 0: twice what Rate moves in a second
	Memory     Size // 0: a quarter of the machine's, within bounds
	NAT        bool // ask the router for a port
	Drain      time.Duration
	Family     string // file; empty: none
	Voucher    string // file; empty: none is named
	Accounting Accounting
	Exit       Exit
	Metrics    Metrics
}

// Accounting is the section relay.accounting. Spec: product REL-4.
type Accounting struct {
	Max    Size   // 0: no quota
	Period string // day, week or month
	Start  string // "auto", or a day and a time in UTC: see StartText
	Count  string // sum, out or max
}

// Exit is the section relay.exit. Spec: product REL-2.
type Exit struct {
	Policy string // off, web, reduced, or the path of a file of rules
}

// IsFile reports whether the policy is a file of rules.
func (e Exit) IsFile() bool { return !slices.Contains(policies, e.Policy) }

// Metrics is the section relay.metrics. Spec: product REL-10.
type Metrics struct {
	Listen Address // auto is DefaultMetrics
}

// Network is the section network.
type Network struct {
	Genesis string   // file; empty: none is named
	Anchor  string   // file; empty: none is named
	Peers   []string // RID@IP:PORT
}

// Log is the section log.
type Log struct {
	Level  string // error, warn, info or debug
	Format string // auto, console or json
}

// The addresses that "auto" stands for, and what else is usual.
const (
	DefaultSocks   = "127.0.0.1:9250"
	DefaultWeb     = "127.0.0.1:9251"
	DefaultDNS     = "127.0.0.1:9253"
	DefaultMetrics = "127.0.0.1:9245"
	DefaultListen  = "0.0.0.0:9240"
)

// Bounds of what a configuration may say.
const (
	MinHops          = 3
	MaxHops          = 8
	MaxListeners     = 16
	MaxPeers         = 256
	MaxAddresses     = 4 // of a relay
	MaxNicknameSize  = 19
	MaxContactSize   = 128
	MaxTextSize      = 4096 // bytes of any one value
	MaxSocketPath    = 100  // bytes: what every system takes
	MaxListenerName  = 32
	MaxPorts         = 64
	minMemory        = 64 << 20
	maxMemory        = 1 << 40
	minBurst         = 64 << 10
	minRate          = 16 << 10 // bytes per second
	maxDrain         = 10 * time.Minute
	minDirtiness     = 10 * time.Second // in a testnet
	minOwnDirtiness  = time.Minute      // in any other network
	maxDirtiness     = 24 * time.Hour
	defaultDirtiness = 10 * time.Minute
)

// Presets of an exit policy.
var policies = []string{"off", "web", "reduced"}

// Default returns a configuration that says nothing.
func Default() *Config {
	return &Config{
		Control: Auto,
		Client: Client{
			Socks: []Address{DefaultSocks}, Upstream: "off", Hops: MinHops, CircuitDirtiness: defaultDirtiness,
			DNS: DNS{Listen: Off},
		},
		Web: Web{Listen: Auto},
		Relay: Relay{
			Listen: Auto, Rate: 1 << 20, NAT: true, Drain: 30 * time.Second,
			Accounting: Accounting{Period: "month", Start: string(Auto), Count: "sum"},
			Exit:       Exit{Policy: "off"}, Metrics: Metrics{Listen: Off},
		},
		Log:     Log{Level: "info", Format: "auto"},
		origins: make(map[string]Origin),
	}
}

func newListener(name string) Listener { return Listener{Name: name, Automap: true} }

// Listeners returns every listener of the proxy: those of client.socks, named by
// their addresses, then those with options that are not off.
func (c *Client) Listeners() []Listener {
	var out []Listener
	for _, a := range c.Socks {
		l := newListener(a.Or(DefaultSocks))
		l.Address = Address(l.Name)
		out = append(out, l)
	}
	for _, l := range c.Listener {
		if !l.Address.IsOff() {
			out = append(out, l)
		}
	}
	return out
}

// listener returns the listener of that name, which it adds if it is not there.
func (c *Client) listener(name string) *Listener {
	at := slices.IndexFunc(c.Listener, func(l Listener) bool { return l.Name == name })
	if at < 0 {
		at = len(c.Listener)
		c.Listener = append(c.Listener, newListener(name))
	}
	return &c.Listener[at]
}

// BurstSize returns what may pass at once, in bytes: relay.burst, or twice what the
// rate moves in a second.
func (r *Relay) BurstSize() Size {
	return cmp.Or(r.Burst, 2*Size(r.Rate))
}

// Address is where something listens: Auto, Off, an IP address with a port, or unix:
// and the path of a socket.
type Address string

// Addresses that are words.
const (
	Auto Address = "auto"
	Off  Address = "off"
)

// unixPrefix begins the address of a unix socket.
const unixPrefix = "unix:"

// Or returns the address, or what auto stands for.
func (a Address) Or(auto string) string {
	if a == Auto {
		return auto
	}
	return string(a)
}

// IsOff reports whether nothing listens.
func (a Address) IsOff() bool { return a == Off }

// Unix returns the path of a unix socket.
func (a Address) Unix() (path string, ok bool) { return strings.CutPrefix(string(a), unixPrefix) }

// TCP returns an IP address with its port.
func (a Address) TCP() (netip.AddrPort, bool) {
	addr, err := netip.ParseAddrPort(string(a))
	return addr, err == nil
}

// remote reports whether other machines reach the address.
func (a Address) remote() bool {
	addr, ok := a.TCP()
	return ok && !addr.Addr().Unmap().IsLoopback()
}
