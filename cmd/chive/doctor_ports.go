// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"chive/internal/config"
	"chive/internal/control"
	"chive/internal/node"
)

// portTime bounds one question to a port of this machine.
const portTime = 3 * time.Second

// portWords are what a kind of listener is called.
var portWords = map[string]string{
	"socks": "proxy", "dns": "DNS port", "web": "local page", "metrics": "metrics port", "relay": "relay's port",
}

// checkPorts asks the daemon's listeners, each in its own language; without a daemon it
// looks whether the ports of the configuration are free.
func (d *doctor) checkPorts(ctx context.Context) {
	const check = "ports"
	if d.withinRun() {
		d.checkRunPorts(ctx)
		return
	}
	if d.status == nil {
		d.checkFree(ctx)
		return
	}
	places := d.status.Listeners
	for i := range d.status.Relays {
		if r := d.status.Relays[i]; r.Listen != "" && len(d.status.Relays) <= fewRelays && !rests(&r) {
			places = append(places, control.Listener{Kind: "relay", Address: r.Listen})
		}
	}
	seen := map[string]bool{}
	for _, l := range places {
		name := portWords[l.Kind]
		if name == "" {
			name = l.Kind
		}
		if seen[l.Address] {
			continue
		}
		seen[l.Address] = true
		switch {
		case !answersAs(ctx, l.Kind, l.Address):
			d.fault(check, l.Kind+"_silent", "The "+name+" does not answer at "+l.Address+".",
				"A firewall of this machine may be in the way: let loopback through. Else start the daemon again.")
		default:
			d.found = append(d.found, judgeListener(name, l))
		}
	}
	if d.status.Client != nil && len(listenersOf(d.status, "socks")) == 0 {
		d.fault(check, "no_proxy", "The client has no proxy that programs could use.", "Give it one: --socks "+node.DefaultSocks)
	}
}

// judgeListener says what is to be known of a listener that answers.
func judgeListener(name string, l control.Listener) finding {
	const check = "ports"
	text := sentence("The " + name + " answers at " + l.Address + ". " + l.Text)
	if l.BareAddresses > 0 {
		return finding{check, levelWarning, l.Kind + "_note", text,
			"Find the program that asks for addresses: give it the proxy as socks5h://, which has chive look names up, or start it with chive run -- COMMAND."}
	}
	return finding{check, levelOK, l.Kind, text, ""}
}

// runDNS is where the name server is within chive run.
const runDNS = "127.0.0.1:53"

// withinRun reports whether this is within chive run, where the daemon's ports are not reached:
// the proxy and the name server are the run's.
func (d *doctor) withinRun() bool { return d.app.env.RunSocks != "" }

// checkRunPorts asks what a chive run has in place of the daemon's listeners.
func (d *doctor) checkRunPorts(ctx context.Context) {
	for _, l := range []control.Listener{{Kind: "socks", Address: d.app.env.RunSocks}, {Kind: "dns", Address: runDNS}} {
		if answersAs(ctx, l.Kind, l.Address) {
			d.ok("ports", l.Kind, "The "+portWords[l.Kind]+" of this chive run answers at "+l.Address+".")
			continue
		}
		d.fault("ports", l.Kind+"_silent", "The "+portWords[l.Kind]+" of this chive run does not answer at "+l.Address+".",
			"It has ended, or this program has left its network: leave it, and start another: chive run -- COMMAND")
	}
}

// answersAs reports whether what is at an address speaks as that kind of listener does.
func answersAs(ctx context.Context, kind, address string) bool {
	address = strings.TrimSuffix(strings.TrimPrefix(address, "http://"), "/") // as the page's is said
	p := at(local(address))
	network := p.network
	if kind == "dns" {
		network = "udp"
	}
	ctx, cancel := context.WithTimeout(ctx, portTime)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, network, p.address)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(portTime))
	ask := func(question string, want string) bool {
		if _, err := io.WriteString(c, question); err != nil {
			return false
		}
		got := make([]byte, 512)
		n, err := io.ReadAtLeast(c, got, len(want))
		return err == nil && bytes.HasPrefix(got[:n], []byte(want))
	}
	switch kind {
	case "socks":
		return ask("\x05\x01\x00", "\x05\x00")
	case "dns": // localhost, which it answers by itself
		const id = "\x2a\x2a"
		return ask(id+"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x09localhost\x00\x00\x01\x00\x01", id)
	case "web", "metrics":
		return ask("GET / HTTP/1.1\r\nHost: "+address+"\r\nConnection: close\r\n\r\n", "HTTP/1.")
	}
	return true
}

// local is an address at which this machine reaches a listener of its own.
func local(address string) string {
	host, port, err := net.SplitHostPort(address)
	switch {
	case err != nil || strings.HasPrefix(address, "unix:"):
		return address
	case host == "0.0.0.0" || host == "":
		return net.JoinHostPort("127.0.0.1", port)
	case host == "::":
		return net.JoinHostPort("::1", port)
	}
	return address
}

// checkFree looks whether a daemon could open its ports.
func (d *doctor) checkFree(ctx context.Context) {
	const check = "ports"
	if d.unread {
		d.warn(check, "not_judged", "Not judged: the configuration that names the ports is not right.", "Mend the configuration, and ask again.")
		return
	}
	var wanted []control.Listener
	want := func(kind string, a config.Address, usual string) {
		if !a.IsOff() {
			wanted = append(wanted, control.Listener{Kind: kind, Address: a.Or(usual)})
		}
	}
	if !d.relayOnly {
		for _, l := range d.cfg.Client.Listeners() {
			want("socks", l.Address, config.DefaultSocks)
		}
		want("dns", d.cfg.Client.DNS.Listen, config.DefaultDNS)
		if d.cfg.Web.Listen != config.Auto { // else it moves
			want("web", d.cfg.Web.Listen, config.DefaultWeb)
		}
	}
	if d.cfg.Relay.Enabled || d.relayOnly {
		want("relay", d.cfg.Relay.Listen, config.DefaultListen)
	}
	taken := false
	for _, l := range wanted {
		if strings.HasPrefix(l.Address, "unix:") || free(l.Kind, l.Address) {
			continue
		}
		taken = true
		what := "another program"
		if l.Kind == "socks" && answersAs(ctx, "socks", l.Address) {
			what = "another proxy, perhaps a chive that runs with another state folder,"
		}
		if at := d.app.testnetSocket(); at != "" && l.Kind == "socks" && hasSocks(ctx, at, l.Address) {
			d.warn(check, "port_of_testnet", "The "+portWords[l.Kind]+" cannot be at "+l.Address+" while your testnet runs: its client has the port.",
				"Ask that client: chive doctor --control "+shellWord(at)+". For a client beside it choose another port: --socks ADDR")
			continue
		}
		d.fault(check, "port_taken", "The "+portWords[l.Kind]+" cannot be at "+l.Address+": "+what+" is there, or this user may not open it.",
			"End that program, or choose another port: chive config show names the key.")
	}
	if !taken {
		d.ok(check, "free", "The ports that a daemon would open are free.")
	}
}

// hasSocks reports whether the client at a control socket has its proxy at an address.
func hasSocks(ctx context.Context, socket, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	s, _, err := control.Fetch(ctx, strings.TrimPrefix(socket, "unix:"))
	return err == nil && slices.Contains(listenersOf(s, "socks"), address)
}

// testnetWords say how a network on this machine is had: the one that runs, or a new one.
func (d *doctor) testnetWords() string {
	if at := d.app.testnetClient(); at != "" {
		return "ask the client of your testnet, which runs: chive doctor --control " + at
	}
	return "start one here: chive testnet up"
}

// free reports whether a port can be opened here.
func free(kind, address string) bool {
	if kind == "dns" {
		c, err := net.ListenPacket("udp", address)
		if err != nil {
			return false
		}
		_ = c.Close()
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}
