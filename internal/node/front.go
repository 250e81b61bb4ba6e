// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"chive/client"
	"chive/client/dns"
	"chive/client/proxy"
	"chive/internal/control"
	"chive/internal/redact"
	"chive/internal/web"
)

// FrontOptions say where a client serves this machine's programs and its user.
type FrontOptions struct {
	Socks SocksOptions
	DNS   string // IP:PORT of loopback; empty: none
	Web   string // IP:PORT of loopback; empty: none
	// WebUsual says that nobody has named the page's port: when it is taken, the page is
	// at another one if WebMoves says so, or else there is none.
	WebUsual bool
	WebMoves bool // of a testnet: see WebUsual
}

// Front is what a client offers to the programs and the user of this machine: proxy
// listeners, a port for DNS queries, and the local page. It is opened before the client
// runs, so that mistakes are told at once.
type Front struct {
	socks   []Listener
	queries net.PacketConn // DNS by UDP; nil: none
	lookups net.Listener   // DNS by TCP
	page    net.Listener   // nil: none
	note    string         // what became of the page; empty: it is as it was asked for
	tokens  web.Tokens     // of the page
	hub     control.Hub    // what the client says that changes

	known   proxy.Lookups   // addresses that were looked up through chive
	automap *proxy.Automap  // addresses that stand for names
	servers []*proxy.Server // set by Serve, before the client is asked
	mu      sync.Mutex      // of servers
}

// OpenFront opens every listener, or none. Spec: product SOCKS-2, DNS-3, PAGE-1.
func OpenFront(o FrontOptions) (f *Front, err error) {
	f = &Front{automap: proxy.NewAutomap(nil)}
	defer func() {
		if err != nil {
			f.Close()
			f = nil
		}
	}()
	if f.socks, err = ListenSocks(o.Socks); err != nil {
		return f, err
	}
	if o.DNS != "" {
		if err := f.listenDNS(o.DNS); err != nil {
			return f, err
		}
	}
	if o.Web != "" {
		if f.page, err = listenLocal("--web", o.Web, o.WebUsual && o.WebMoves); err != nil {
			var taken *Fault
			if !o.WebUsual || !errors.As(err, &taken) || taken.Code != "port_in_use" {
				return f, err
			}
			f.page, f.note = nil, "There is no local page: another program has the port of "+o.Web+". Name another: --web 127.0.0.1:PORT."
		}
	}
	return f, nil
}

// listenDNS opens the same port for UDP and TCP.
func (f *Front) listenDNS(text string) error {
	l, err := listenLocal("--dns", text, false)
	if err != nil {
		return err
	}
	f.lookups = l
	if f.queries, err = net.ListenPacket("udp", l.Addr().String()); err != nil {
		return listenFault("--dns", text, err)
	}
	return nil
}

// listenLocal opens a port that only this machine reaches.
func listenLocal(flag, text string, moves bool) (net.Listener, error) {
	addr, err := parseListen(flag, text)
	if err != nil {
		return nil, err
	}
	if !addr.Addr().Unmap().IsLoopback() {
		return nil, fault(Usage, "listen_remote", "Use a loopback address such as 127.0.0.1:"+strings.TrimPrefix(text[strings.LastIndexByte(text, ':'):], ":")+".",
			"%s %s would let other machines in", flag, text)
	}
	l, err := net.Listen("tcp", addr.String())
	if moves && redact.Classify(err) == redact.AddressInUse {
		l, err = net.Listen("tcp", net.JoinHostPort(addr.Addr().String(), "0"))
	}
	if err != nil {
		return nil, listenFault(flag, text, err)
	}
	return l, nil
}

// Close closes what is open; Serve does so too.
func (f *Front) Close() {
	closeAll(f.socks)
	for _, l := range []net.Listener{f.lookups, f.page} {
		if l != nil {
			_ = l.Close()
		}
	}
	if f.queries != nil {
		_ = f.queries.Close()
	}
}

// Names returns the proxy's listeners as ready lines show them.
func (f *Front) Names() (names []string) {
	for _, l := range f.socks {
		names = append(names, l.Name)
	}
	return names
}

// DNSName returns where DNS queries are answered: host:port, or off.
func (f *Front) DNSName() string {
	if f.lookups == nil {
		return "off"
	}
	return f.lookups.Addr().String()
}

// PageName returns where the page is, without a token: its address, or off.
func (f *Front) PageName() string {
	if f.page == nil {
		return "off"
	}
	return "http://" + f.page.Addr().String() + "/"
}

// Event passes on what the client says: client.Config.Events.
func (f *Front) Event(e client.Event) {
	f.hub.Publish(control.Event{Kind: e.Kind, ID: e.ID, State: e.State})
}

// Serve carries what programs ask for through c until ctx ends, and closes the proxy's
// listeners and the DNS port. testnet comes from the genesis document.
func (f *Front) Serve(ctx context.Context, c *client.Client, testnet bool, log zerolog.Logger) error {
	gate := proxy.NewGate(proxy.DefaultHandshakes, proxy.DefaultStreams)
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	var tasks sync.WaitGroup
	var mapping []string
	for _, l := range f.socks {
		s, err := proxy.New(proxy.Config{
			Options: l.options(testnet, log), Dialer: dialer{c, l.Name}, ListenPacket: listenPacket,
			Gate: gate, Lookups: &f.known, Automap: f.automap,
		})
		if err != nil {
			end(fault(Failed, "proxy_failed", "Report this as a fault of chive.", "The proxy cannot be set up"))
			_ = l.Close()
			continue
		}
		if !l.Options.NoAutomap {
			mapping = append(mapping, l.Name)
		}
		f.mu.Lock()
		f.servers = append(f.servers, s)
		f.mu.Unlock()
		tasks.Go(func() {
			if err := s.Serve(ctx, l); err != nil {
				end(fault(Failed, "proxy_failed", "Start chive again.", "The proxy at %s stopped", l.Name))
			}
		})
	}
	if f.queries != nil {
		s, err := dns.New(dns.Config{
			Name: "dns", Testnet: testnet, Listeners: mapping, Resolver: dialer{c, "dns"},
			Automap: f.automap, Lookups: &f.known, Log: log,
		})
		if err != nil {
			end(fault(Failed, "dns_failed", "Report this as a fault of chive.", "The DNS port cannot be set up"))
		} else {
			tasks.Go(func() {
				if err := s.Serve(ctx, f.queries, f.lookups); err != nil {
					end(fault(Failed, "dns_failed", "Start chive again.", "The DNS port %s stopped", f.DNSName()))
				}
			})
		}
	}
	<-ctx.Done()
	tasks.Wait()
	return stopped(ctx)
}

// ServePage serves the page until ctx ends, and closes its listener. Without a page it
// returns at once.
func (f *Front) ServePage(ctx context.Context, source control.Source) error {
	if f.page == nil {
		return nil
	}
	if web.Serve(ctx, f.page, web.Config{API: control.Handler(source, &f.hub), Tokens: &f.tokens}) != nil {
		return fault(Failed, "web_failed", "Start chive again to have it back; all else goes on.", "The local page broke")
	}
	return nil
}

// pageTime is how long an address of the page is good.
const pageTime = web.TokenTime

// pageAddress makes an address of the page, with a token.
func (f *Front) pageAddress() (string, time.Duration, error) {
	if f.page == nil {
		return "", 0, &control.Failure{Code: "no_page", Text: "This process serves no page", Fix: "Start it with --web 127.0.0.1:9251."}
	}
	return web.Address(f.page.Addr(), f.tokens.Mint()), pageTime, nil
}

// PageAddress makes an address of the page with a token, for a terminal to show; empty:
// there is no page.
func (f *Front) PageAddress() string {
	address, _, _ := f.pageAddress()
	return address
}

// forget drops what would tie what comes to what was.
func (f *Front) forget() {
	f.automap.Forget()
	f.known.Forget()
}

// options are those of the listener, in a network that is a testnet or none.
func (l Listener) options(testnet bool, log zerolog.Logger) proxy.Options {
	o := l.Options
	o.Name, o.Testnet, o.Log = l.Name, testnet, log
	o.AllowRemote = true // ListenSocks has judged the address
	return o
}

// Places are the listeners as the status shows them.
func (f *Front) Places() (out []control.Listener) {
	for _, l := range f.socks {
		place := control.Listener{Kind: "socks", Address: l.Addr().String()} // which programs dial
		if l.Addr().Network() == "unix" {
			place.Address = unixPrefix + place.Address
		}
		if l.Name != place.Address {
			place.Text = "Listener " + strings.TrimSuffix(l.Name, "="+place.Address) + "."
		}
		out = append(out, place)
	}
	if f.lookups != nil {
		out = append(out, control.Listener{Kind: "dns", Address: f.DNSName()})
	}
	if f.page != nil {
		out = append(out, control.Listener{Kind: "web", Address: f.PageName()})
	}
	return out
}
