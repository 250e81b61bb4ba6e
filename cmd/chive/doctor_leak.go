// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"chive/internal/config"
	"chive/internal/control"
	"chive/internal/node"
	"chive/internal/socks"
)

// leakTime bounds a look-up or a fetch through the proxy.
const leakTime = 30 * time.Second

// Names that are looked up and fetched: one that every testnet has, and one that is
// reserved for examples.
const (
	testnetName = "hello.test"
	publicName  = "example.com"
	leakPort    = 80
)

// checkLeak uses the proxy, and looks where the daemon's connections lead meanwhile.
// Spec: product CLI-11.
func (d *doctor) checkLeak(ctx context.Context) {
	const check = "leak"
	if d.status == nil || d.status.Client == nil {
		d.warn(check, "not_tried", "No client answers, so nothing was tried through it.", "Start one: chive client --genesis FILE")
		return
	}
	p, err := proxyOf(d.socket, d.status) // of the client that is judged, and of no other
	if err == nil && d.withinRun() && p.network == "tcp" {
		p, err = d.app.withinRun(p, d.status)
	}
	if err != nil {
		d.untested("nothing could be looked up or fetched", err)
		d.checkSockets(ctx)
		return
	}
	name := publicName
	if d.status.Network.Testnet {
		name = testnetName
	}
	ctx, cancel := context.WithTimeout(ctx, leakTime)
	defer cancel()
	d.tryLeak(ctx, p, name)
	d.checkSockets(ctx)
}

// tryLeak looks a name up and fetches a page through the proxy. That either fails is no
// leak: the exits may not permit it, or there may be no such name in this network.
func (d *doctor) tryLeak(ctx context.Context, p proxyPlace, name string) {
	const check = "leak"
	cred := socks.Credentials{User: "doctor " + rand.Text()}
	if err := d.tryResolve(ctx, p, cred, name); err != nil {
		d.untested("the name "+name+" could not be looked up through the proxy", err)
	} else {
		d.ok(check, "resolves", "A name was looked up through the proxy, at an exit.")
	}
	if err := d.tryFetch(ctx, p, cred, name); err != nil {
		d.untested(fmt.Sprintf("no page could be fetched from %s, port %d, through the proxy", name, leakPort), err)
	} else {
		d.ok(check, "fetches", "A page was fetched through the proxy.")
	}
}

// untested says that something was not tested, and why: nothing is known to be wrong. What
// was tried is the doctor's own.
func (d *doctor) untested(what string, err error) {
	text, fix := "Not tested, because "+what, "Nothing has leaked by that. Ask for a name and port that this network's exits do permit, with chive resolve and chive nc."
	var f *node.Fault
	if errors.As(err, &f) {
		text += ": " + lowerFirst(f.Text)
		switch f.Code {
		case "no_proxy", "not_a_proxy", "proxy_broke", "starting", "network_down":
			fix = f.Fix
		}
	}
	d.warn("leak", "not_tested", sentence(text), fix)
}

// lowerFirst goes on with a text within a sentence.
func lowerFirst(text string) string {
	if len(text) < 2 || strings.ToUpper(text[1:2]) == text[1:2] && text[1] != ' ' {
		return text // "TCP ..."
	}
	return strings.ToLower(text[:1]) + text[1:]
}

func (d *doctor) tryResolve(ctx context.Context, p proxyPlace, cred socks.Credentials, name string) error {
	conn, err := p.dial(ctx)
	if err != nil {
		return p.noProxy()
	}
	defer conn.Close()
	if _, err := socks.Resolve(ctx, conn, cred, name); err != nil {
		return d.app.socksFault(ctx, p, err)
	}
	return nil
}

func (d *doctor) tryFetch(ctx context.Context, p proxyPlace, cred socks.Credentials, name string) error {
	conn, err := p.dial(ctx)
	if err != nil {
		return p.noProxy()
	}
	defer conn.Close()
	if err := socks.Connect(ctx, conn, cred, name, leakPort, nil); err != nil {
		return d.app.socksFault(ctx, p, err)
	}
	_ = conn.SetDeadline(time.Now().Add(leakTime))
	_, err = io.WriteString(conn, "GET / HTTP/1.0\r\nHost: "+name+"\r\n\r\n")
	head := make([]byte, 5)
	if err == nil {
		_, err = io.ReadFull(bufio.NewReader(conn), head)
	}
	if err != nil || string(head) != "HTTP/" {
		return d.app.socksFault(ctx, p, io.ErrUnexpectedEOF)
	}
	return nil
}

// kernelSocket is one that a process has open.
type kernelSocket struct {
	udp           bool
	local, remote netip.AddrPort
	inode         string
}

var errNoSight = errors.New("sockets of that process cannot be seen")

// checkSockets looks at where the daemon's sockets lead: to relays, and nowhere else.
func (d *doctor) checkSockets(ctx context.Context) {
	const check = "leak"
	all, err := daemonSockets(ctx, d.socket.Path)
	if err != nil {
		d.warn(check, "sockets_unseen", "Where the daemon's connections lead could not be seen.", "On Linux, ask as the daemon's user or as root.")
		return
	}
	list, _, err := control.FetchRelays(ctx, d.socket.Path)
	if err != nil {
		d.warn(check, "sockets_unjudged", "The daemon has no list of relays yet, so its connections cannot be told from others.", "Ask again when it is connected.")
		return
	}
	upstream := d.cfg.Client.Upstream
	if upstream == string(config.Off) {
		upstream = ""
	}
	known := map[netip.AddrPort]bool{}
	if upstream == "" || len(d.status.Relays) > 0 { // a client behind a proxy has no business with relays themselves
		for _, r := range list.Relays {
			for _, a := range r.Addresses {
				if p, err := netip.ParseAddrPort(a); err == nil {
					known[p] = true
				}
			}
		}
	}
	addProxy(known, upstream, all)
	var listens []uint16
	exit := false
	for i := range d.status.Relays {
		if p, err := netip.ParseAddrPort(d.status.Relays[i].Listen); err == nil {
			listens = append(listens, p.Port())
		}
		exit = exit || d.status.Relays[i].Exit != "off"
	}
	if exit {
		d.warn(check, "sockets_unjudged", "Not judged: this daemon is an exit, whose connections lead elsewhere by design and cannot be told from its client's.",
			"To judge a client, run it in a process of its own: chive client, with a state folder of its own.")
		return
	}
	links, strange := judgeSockets(all, known, listens)
	switch {
	case strange > 0 && upstream != "":
		d.fault(check, "strange_sockets", fmt.Sprintf("The daemon has %s outside this machine that lead past the proxy of client.upstream.", number(strange, "connection")),
			"If client.upstream was changed since the daemon began, start it again. Otherwise stop it, and report this as a fault of chive.")
		return
	case strange > 0:
		d.fault(check, "strange_sockets", fmt.Sprintf("The daemon has %s outside this machine that lead to no relay of the list.", number(strange, "connection")),
			"If a relay has just left the list, ask again. Otherwise stop the daemon, and report this as a fault of chive.")
		return
	}
	d.sayLinks(links, upstream != "")
}

// sayLinks says that so many connections out of this machine lead where they may.
func (d *doctor) sayLinks(links int, proxied bool) {
	const check = "leak"
	if links == 0 {
		d.warn(check, "no_links", "Nothing is proven: the daemon has no connection out of this machine now.",
			"Ask again when it is connected. Relays or a proxy on this machine itself, such as a testnet's, cannot be judged so.")
		return
	}
	if proxied {
		d.ok(check, "links_only", fmt.Sprintf("All of the daemon's outside connections, %d, lead to the proxy of client.upstream or are links of its relay.", links))
		return
	}
	d.ok(check, "links_only", fmt.Sprintf("All of the daemon's outside connections, %d, are links to relays.", links))
}

// addProxy adds the proxy that links pass to the places that are known. One that is named
// is known by its port: nothing is looked up here.
func addProxy(known map[netip.AddrPort]bool, upstream string, all []kernelSocket) {
	u, err := url.Parse(upstream)
	if err != nil || upstream == "" {
		return
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		return
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		known[netip.AddrPortFrom(a.Unmap(), uint16(port))] = true
		return
	}
	for _, s := range all {
		if !s.udp && s.remote.Port() == uint16(port) {
			known[s.remote] = true
		}
	}
}

// judgeSockets counts the sockets that lead out of this machine: links of relays of the
// list or to a port of our own, and others.
func judgeSockets(all []kernelSocket, known map[netip.AddrPort]bool, listens []uint16) (links, strange int) {
	for _, s := range all {
		switch a := s.remote.Addr(); {
		case !a.IsValid() || a.IsUnspecified() || s.remote.Port() == 0: // it listens
		case !s.udp && (known[s.remote] || slices.Contains(listens, s.local.Port())):
			if !a.IsLoopback() {
				links++
			}
		case a.IsLoopback():
		case len(listens) > 0 && a.IsPrivate(): // a relay asks the router for its port
		default:
			strange++
		}
	}
	return links, strange
}

// parseSockets reads a table of /proc/net: tcp, tcp6, udp or udp6.
func parseSockets(table string, udp bool) (out []kernelSocket) {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 10 {
			continue
		}
		local, ok1 := parseEnd(f[1])
		remote, ok2 := parseEnd(f[2])
		if ok1 && ok2 {
			out = append(out, kernelSocket{udp, local, remote, f[9]})
		}
	}
	return out
}

// parseEnd reads an address as the kernel prints it: words in this machine's order, in
// hexadecimal, and a port.
func parseEnd(text string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(host)
	n, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i+4 <= len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), ok
}
