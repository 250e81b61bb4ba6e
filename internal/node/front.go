// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"chive/client"
	"chive/client/dns"
	"chive/client/proxy"
	"chive/internal/config"
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

// FrontOf returns what a configuration says of it. The service manager of the system runs
// the process, or somebody else. answers is [SocksOptions.Answers].
func FrontOf(cfg *config.Config, system bool, answers func(path string) bool) FrontOptions {
	o := FrontOptions{Socks: SocksOptions{Named: cfg.Client.Listeners(), Answers: answers}}
	if at := cfg.Client.DNS.Listen; !at.IsOff() {
		o.DNS = at.Or(config.DefaultDNS)
	}
	if at := cfg.Web.At(system); !at.IsOff() {
		o.Web, o.WebUsual = string(at), cfg.Web.Listen == config.Auto
	}
	return o
}

// Front is what a client offers to the programs and the user of this machine: proxy
// listeners, a port for DNS queries, and the local page. It is opened before the client
// runs, so that mistakes are told at once; what it offers can change while it is served.
type Front struct {
	tokens  web.Tokens     // of the page
	hub     control.Hub    // what the client says that changes
	known   proxy.Lookups  // addresses that were looked up through chive
	automap *proxy.Automap // addresses that stand for names
	bare    atomic.Uint64  // addresses asked for that were not looked up through chive, at any listener there was

	mu    sync.Mutex
	socks []*door
	dns   *dnsDoor // nil: none
	page  *door    // nil: none
	note  string   // what became of the page; empty: it is as it was asked for
	asked FrontOptions
	serve *service     // nil: not yet
	pages *pageService // nil: not yet, or not any more
	ended bool         // Serve has
}

// service is what servers of a Front are made and run with.
type service struct {
	ctx   context.Context
	end   context.CancelCauseFunc
	tasks sync.WaitGroup
	of    func(Listener) proxy.Config
	names dns.Config // without listeners
}

// pageService is what serves the page.
type pageService struct {
	ctx   context.Context
	tasks sync.WaitGroup
	cfg   web.Config
	broke func(d *door) // the page at a door is no longer served
}

// dnsDoor is the DNS port.
type dnsDoor struct {
	packets net.PacketConn
	streams net.Listener
	server  *dns.Server        // nil: nobody serves it yet
	end     context.CancelFunc // likewise
}

func (d *dnsDoor) close() {
	_ = d.packets.Close()
	_ = d.streams.Close()
}

// OpenFront opens every listener, or none. Spec: product SOCKS-2, DNS-3, PAGE-1.
func OpenFront(o FrontOptions) (f *Front, err error) {
	f = &Front{automap: proxy.NewAutomap(nil), asked: o}
	defer func() {
		if err != nil {
			f.Close()
			f = nil
		}
	}()
	if err := o.Socks.Check(); err != nil {
		return f, err
	}
	for _, w := range o.Socks.wanted() {
		l, err := w.open()
		if err != nil {
			return f, err
		}
		f.socks = append(f.socks, newDoor(l, w.place))
	}
	if o.DNS != "" {
		if f.dns, err = listenDNS(o.DNS); err != nil {
			return f, err
		}
	}
	if o.Web != "" {
		l, err := listenLocal("--web", o.Web, o.WebUsual && o.WebMoves)
		switch {
		case err == nil:
			f.page = newDoor(Listener{Listener: l}, o.Web)
		case o.WebUsual && isTaken(err):
			f.note = "There is no local page: another program has the port of " + o.Web + ". Name another: --web 127.0.0.1:PORT."
		default:
			return f, err
		}
	}
	return f, nil
}

// isTaken reports a fault that another program has the port.
func isTaken(err error) bool {
	var f *Fault
	return errors.As(err, &f) && f.Code == "port_in_use"
}

// listenDNS opens the same port for UDP and TCP.
func listenDNS(text string) (*dnsDoor, error) {
	l, err := listenLocal("--dns", text, false)
	if err != nil {
		return nil, err
	}
	p, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		_ = l.Close()
		return nil, listenFault("--dns", text, err)
	}
	return &dnsDoor{packets: p, streams: l}, nil
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

// Close closes what is open; Serve does so too, but for the page.
func (f *Front) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range f.socks {
		d.close()
	}
	if f.dns != nil {
		f.dns.close()
	}
	if f.page != nil {
		f.page.close()
	}
}

// Names returns the proxy's listeners as ready lines show them.
func (f *Front) Names() (names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range f.socks {
		names = append(names, d.Name)
	}
	return names
}

// DNSName returns where DNS queries are answered: host:port, or off.
func (f *Front) DNSName() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dns == nil {
		return "off"
	}
	return f.dns.streams.Addr().String()
}

// PageName returns where the page is, without a token: its address, or off.
func (f *Front) PageName() string {
	at := f.pageAt()
	if at == nil {
		return "off"
	}
	return "http://" + at.String() + "/"
}

// pageNote says what became of the page; empty: it is as it was asked for.
func (f *Front) pageNote() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.note
}

// pageAt returns where the page is; nil: there is none.
func (f *Front) pageAt() net.Addr {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.page == nil {
		return nil
	}
	return f.page.Addr()
}

// Event passes on what the client says: client.Config.Events.
func (f *Front) Event(e client.Event) {
	f.hub.Publish(control.Event{Kind: e.Kind, ID: e.ID, State: e.State})
}

// leak passes on that a program at a listener connects to bare addresses: its look-ups may
// leak. Spec: product API-2, SOCKS-13.
func (f *Front) leak(listener string) {
	f.hub.Publish(control.Event{Kind: control.EventWarning, ID: listener, State: "bare_address"})
}

// Serve carries what programs ask for through c until ctx ends, and closes the proxy's
// listeners and the DNS port. testnet comes from the genesis document.
func (f *Front) Serve(ctx context.Context, c *client.Client, testnet bool, log zerolog.Logger) error {
	gate := proxy.NewGate(proxy.DefaultHandshakes, proxy.DefaultStreams)
	return f.run(ctx, func(l Listener) proxy.Config {
		return proxy.Config{
			Options: l.options(testnet, log), Dialer: dialer{c, l.Name}, ListenPacket: listenPacket,
			Gate: gate, Lookups: &f.known, Automap: f.automap, Leak: f.leak, Refused: dialer{c, l.Name}.refused,
		}
	}, dns.Config{Name: "dns", Testnet: testnet, Resolver: dialer{c, "dns"}, Refused: dialer{c, "dns"}.refusedAside, Automap: f.automap, Lookups: &f.known, Log: log})
}

// run is Serve with servers that are made so.
func (f *Front) run(ctx context.Context, of func(Listener) proxy.Config, names dns.Config) error {
	s := &service{of: of, names: names}
	s.ctx, s.end = context.WithCancelCause(ctx)
	defer s.end(nil)
	f.mu.Lock()
	f.serve = s
	for _, d := range f.socks {
		f.startProxyLocked(d)
	}
	if f.dns != nil {
		f.startDNSLocked(f.dns)
	}
	f.mu.Unlock()
	<-s.ctx.Done()
	f.mu.Lock()
	f.ended = true // from now on nothing is begun
	f.mu.Unlock()
	s.tasks.Wait()
	return stopped(s.ctx)
}

// startProxyLocked has another server serve a door, with the options that the door has.
func (f *Front) startProxyLocked(d *door) {
	s := f.serve
	cfg := s.of(d.Listener)
	cfg.Bare = func() {
		d.bare.Add(1)
		f.bare.Add(1)
	}
	server, err := proxy.New(cfg)
	if err != nil {
		s.end(fault(Failed, "proxy_failed", "Report this as a fault of chive.", "The proxy cannot be set up"))
		d.close()
		return
	}
	l, name := d.turn(false), d.Name
	s.tasks.Go(func() {
		if err := server.Serve(s.ctx, l); err != nil {
			s.end(fault(Failed, "proxy_failed", "Start chive again.", "The proxy at %s stopped", name))
		}
	})
}

// startDNSLocked has the DNS port served.
func (f *Front) startDNSLocked(d *dnsDoor) {
	s := f.serve
	cfg := s.names
	cfg.Listeners = f.mappingLocked()
	server, err := dns.New(cfg)
	if err != nil {
		s.end(fault(Failed, "dns_failed", "Report this as a fault of chive.", "The DNS port cannot be set up"))
		d.close()
		return
	}
	ctx, end := context.WithCancel(s.ctx)
	d.server, d.end = server, end
	s.tasks.Go(func() {
		defer end()
		if err := server.Serve(ctx, d.packets, d.streams); err != nil {
			s.end(fault(Failed, "dns_failed", "Start chive again.", "The DNS port %s stopped", d.streams.Addr()))
		}
	})
}

// mappingLocked returns the listeners at which mapped addresses work.
func (f *Front) mappingLocked() (names []string) {
	for _, d := range f.socks {
		if !d.Options.NoAutomap {
			names = append(names, d.Name)
		}
	}
	return names
}

// ServePage serves the page until ctx ends, and closes its listener. Without a page it
// waits: there may be one later, also after one that broke, which is told.
func (f *Front) ServePage(ctx context.Context, source control.Source, tell func(text string)) {
	p := &pageService{cfg: web.Config{API: control.Handler(source, &f.hub), Tokens: &f.tokens}, ctx: ctx}
	p.broke = func(d *door) {
		d.close()
		f.mu.Lock()
		was := f.page == d
		if was {
			f.page = nil
		}
		f.mu.Unlock()
		if was {
			tell("The local page broke. To have it back, start chive again or have it read its configuration again; all else goes on.")
		}
	}
	f.mu.Lock()
	f.pages = p
	if f.page != nil {
		p.start(f.page)
	}
	f.mu.Unlock()
	<-p.ctx.Done()
	f.mu.Lock()
	f.pages = nil
	f.mu.Unlock()
	p.tasks.Wait()
}

// start serves the page at a door.
func (p *pageService) start(d *door) {
	l := d.turn(true)
	ctx, end := context.WithCancel(p.ctx)
	d.end = func() { time.AfterFunc(pageGrace, end) }
	p.tasks.Go(func() {
		defer end()
		if web.Serve(ctx, l, p.cfg) != nil {
			p.broke(d)
		}
	})
}

// pageGrace is how long requests go on of a page that has moved: one of them may have
// moved it.
const pageGrace = time.Second

// pageTime is how long an address of the page is good.
const pageTime = web.TokenTime

// pageAddress makes an address of the page, with a token.
func (f *Front) pageAddress() (string, time.Duration, error) {
	at := f.pageAt()
	if at == nil {
		none := &control.Failure{Code: "no_page", Text: "This process serves no page", Fix: "Start it with a page at a port that is free: --web 127.0.0.1:PORT."}
		if note := f.pageNote(); note != "" { // which names the port that is taken
			none.Text, none.Fix = note, "Start it with another port: --web 127.0.0.1:PORT."
		}
		return "", 0, none
	}
	return web.Address(at, f.tokens.Mint()), pageTime, nil
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

// bareText says what bare addresses at a listener hint at. Spec: product SOCKS-13.
func bareText(n uint64) string {
	times := "once"
	if n > 1 {
		times = strconv.FormatUint(n, 10) + " times"
	}
	return "A program asked here for a bare address that was not looked up through chive (" + times + " since the start): its look-ups may leak. Let chive resolve names: socks5h://, socks4a or http://."
}

// Places are the listeners as the status shows them.
func (f *Front) Places() (out []control.Listener) {
	dns, page := f.DNSName(), f.PageName()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.socks {
		place := control.Listener{Kind: "socks", Address: l.Addr().String()} // which programs dial
		if l.Addr().Network() == "unix" {
			place.Address = unixPrefix + place.Address
		}
		if l.Name != place.Address {
			place.Text = "Listener " + strings.TrimSuffix(l.Name, "="+place.Address) + "."
		}
		if place.BareAddresses = l.bare.Load(); place.BareAddresses > 0 {
			place.Text = strings.TrimSpace(place.Text + " " + bareText(place.BareAddresses))
		}
		out = append(out, place)
	}
	if f.dns != nil {
		out = append(out, control.Listener{Kind: "dns", Address: dns})
	}
	if f.page != nil {
		out = append(out, control.Listener{Kind: "web", Address: page})
	}
	return out
}
