// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"chive/client/dns"
	"chive/client/proxy"
	"chive/internal/config"
	"chive/internal/control"
	"chive/internal/testutil"
)

// toEcho is a proxy.Dialer whose streams all end at one server, and who remembers at what
// listener a program asked.
type toEcho struct {
	address, listener string
	asked             func(listener string)
}

func (d toEcho) Dial(ctx context.Context, _ proxy.Isolation, _ proxy.Target, early []byte) (proxy.Conn, error) {
	d.asked(d.listener)
	c, err := new(net.Dialer).DialContext(ctx, "tcp", d.address)
	if err != nil {
		return nil, err
	}
	_, err = c.Write(early)
	return c.(*net.TCPConn), err
}

func (d toEcho) Resolve(context.Context, proxy.Isolation, string) (proxy.Answer, error) {
	return proxy.Answer{Addrs: []netip.Addr{netip.MustParseAddr("5.9.12.34")}, TTL: time.Minute}, nil
}

func (d toEcho) ResolveAddr(context.Context, proxy.Isolation, netip.Addr) ([]string, error) {
	return nil, errors.ErrUnsupported
}

func (d toEcho) OpenUDP(context.Context, proxy.Isolation, proxy.Target) (proxy.PacketConn, error) {
	return nil, errors.ErrUnsupported
}

// served is a front that is served.
type served struct {
	t    *testing.T
	f    *Front
	mu   sync.Mutex
	last string // listener at which a program asked last
	told chan string
}

// frontOf reads what a configuration says of a front.
func frontOf(t *testing.T, text string) FrontOptions {
	t.Helper()
	c, err := config.Load(config.Sources{
		Files: []config.File{{Path: "f", Optional: false}},
		Read:  func(string) ([]byte, fs.FileMode, error) { return []byte(text), 0o600, nil },
	})
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return FrontOf(c, false, control.Answers)
}

// serveFront serves what a configuration says, until the test ends.
func serveFront(t *testing.T, text string) *served {
	t.Helper()
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			tasks.Go(func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			})
		}
	})
	s := &served{t: t, told: make(chan string, 4)}
	if s.f, err = OpenFront(frontOf(t, text)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	note := func(l string) {
		s.mu.Lock()
		s.last = l
		s.mu.Unlock()
	}
	tasks.Go(func() {
		err := s.f.run(ctx, func(l Listener) proxy.Config {
			o := l.Options
			o.Name, o.AllowRemote = l.Name, true
			return proxy.Config{Options: o, Dialer: toEcho{echo.Addr().String(), l.Name, note}}
		}, dns.Config{Name: "dns", Testnet: true, Resolver: toEcho{}, Automap: s.f.automap})
		if err != nil {
			t.Error(err)
		}
	})
	tasks.Go(func() {
		s.f.ServePage(ctx, &Sources{}, func(text string) { s.told <- text })
	})
	t.Cleanup(func() {
		stop()
		_ = echo.Close()
		tasks.Wait()
	})
	return s
}

// change applies what another configuration says.
func (s *served) change(text string) {
	s.t.Helper()
	commit, _, err := s.f.change(frontOf(s.t, text))
	if err != nil {
		s.t.Fatal(err)
	}
	if commit != nil {
		commit()
	}
}

// stream opens a stream through a listener.
func (s *served) stream(at string) net.Conn {
	s.t.Helper()
	c := connectThrough(s.t, at, "example.com:80")
	s.t.Cleanup(func() { _ = c.Close() })
	s.talk(c)
	return c
}

// talk sends something through a stream and wants it back.
func (s *served) talk(c net.Conn) {
	s.t.Helper()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, 4)
	if _, err := c.Write([]byte("ping")); err != nil {
		s.t.Fatal(err)
	}
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "ping" {
		s.t.Fatalf("the stream says %q, %v", got, err)
	}
}

// open reports whether somebody listens.
func open(at string) bool {
	network, address := "tcp", at
	if path, isUnix := strings.CutPrefix(at, unixPrefix); isUnix {
		network, address = "unix", path
	}
	c, err := net.Dial(network, address)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

func quoted(addresses ...string) string { return `["` + strings.Join(addresses, `", "`) + `"]` }

// TestListenersChangeWhileTheyAreServed (CFG-4): another is open at once, one that went
// is closed, and streams that came in by it go on.
func TestListenersChangeWhileTheyAreServed(t *testing.T) {
	onUnix(t)
	a, b, socket := freePort(t), freePort(t), unixPrefix+filepath.Join(t.TempDir(), "s")
	off := "web.listen = \"off\"\n"
	s := serveFront(t, off+"client.socks = "+quoted(a, socket))
	before := s.stream(a)
	s.change(off + "client.socks = " + quoted(b))
	if open(a) || open(socket) {
		t.Error("what the configuration does not name any more is open")
	}
	s.talk(before)
	s.stream(b)
	if names := s.f.Names(); len(names) != 1 || names[0] != b {
		t.Errorf("the listeners are called %v", names)
	}
	// Back, as if nothing had been.
	s.change(off + "client.socks = " + quoted(b, a, socket))
	s.stream(a)
	s.talk(before)
	if !open(socket) || !open(b) {
		t.Error("what the configuration names again is closed")
	}
	s.change(off + "client.socks = " + quoted(a, b, socket))
	if names := s.f.Names(); len(names) != 3 || names[0] != a {
		t.Errorf("the listeners are called %v", names)
	}
	s.talk(before)
}

// TestOptionsOfAListenerChange (CFG-4) without its port being closed: new connections
// follow them, those that are there stay.
func TestOptionsOfAListenerChange(t *testing.T) {
	a := freePort(t)
	text := func(more string) string {
		return "web.listen = \"off\"\nclient.socks = []\n[[client.listener]]\naddress = \"" + a + "\"\n" + more
	}
	s := serveFront(t, text("name = \"mail\""))
	before := s.stream(a)
	if s.last != "mail="+a {
		t.Errorf("the program asked at %q", s.last)
	}
	// Bare addresses are refused from now on, and the listener is called otherwise.
	s.change(text("name = \"browser\"\nrefuse_ip = true"))
	s.talk(before)
	s.stream(a)
	if s.last != "browser="+a || s.f.Names()[0] != s.last {
		t.Errorf("the program asked at %q of %v", s.last, s.f.Names())
	}
	refused := func() bool {
		c, err := net.Dial("tcp", a)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		answer := make([]byte, 12)
		if _, err := c.Write([]byte("CONNECT 5.9.12.34:80 HTTP/1.1\r\nHost: 5.9.12.34:80\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, answer); err != nil {
			t.Fatal(err)
		}
		return !strings.HasSuffix(string(answer), "200")
	}
	if !refused() {
		t.Error("refuse_ip does not count")
	}
	s.change(text("name = \"browser\"\nrefuse_ip = false"))
	if refused() {
		t.Error("refuse_ip counts still")
	}
	s.talk(before)
	// Both were counted, though another server has the listener since (SOCKS-13).
	if l := s.f.Places()[0]; l.BareAddresses != 2 || !strings.Contains(l.Text, "2 times") || s.f.bare.Load() != 2 {
		t.Errorf("the status has %+v", l)
	}
}

// TestOneTakenPortKeepsEverything (CFG-4): all or nothing, with the address named.
func TestOneTakenPortKeepsEverything(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	no := taken.Addr().String()
	a, b := freePort(t), freePort(t)
	for _, c := range []struct{ what, next, code, names string }{
		{"a listener", "web.listen = \"off\"\nclient.socks = " + quoted(b, no), "port_in_use", no},
		{"the DNS port", "client.dns.listen = \"" + no + "\"\nweb.listen = \"off\"\nclient.socks = " + quoted(b), "port_in_use", no},
		{"the page", "web.listen = \"" + no + "\"\nclient.socks = " + quoted(b), "port_in_use", no},
		{"a folder", "web.listen = \"off\"\nclient.socks = " + quoted(b, unixPrefix+filepath.Join(t.TempDir(), "none", "s")), "listen_folder", "none"},
		{"no listener", "web.listen = \"off\"\nclient.socks = []", "socks_missing", ""},
		{"our own port", "web.listen = \"off\"\nclient.socks = []\n[[client.listener]]\nname = \"lan\"\nallow_remote = true\naddress = \"0.0.0.0:" + a[strings.LastIndexByte(a, ':')+1:] + "\"", "port_in_use", "this process itself"},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := serveFront(t, "web.listen = \"off\"\nclient.socks = "+quoted(a))
			before := s.stream(a)
			commit, _, err := s.f.change(frontOf(t, c.next))
			if f := wantFault(t, err, c.code); !strings.Contains(f.Text, c.names) || commit != nil {
				t.Errorf("%q does not name %q", f.Text, c.names)
			}
			if open(b) {
				t.Error("what was opened before stays open")
			}
			s.talk(before)
			s.stream(a)
		})
	}
}

// TestWhatWasPreparedIsUndone: another part of the process could not follow.
func TestWhatWasPreparedIsUndone(t *testing.T) {
	a, b := freePort(t), freePort(t)
	s := serveFront(t, "web.listen = \"off\"\nclient.socks = "+quoted(a))
	_, drop, err := s.f.change(frontOf(t, "client.dns.listen = \""+freePort(t)+"\"\nweb.listen = \""+freePort(t)+"\"\nclient.socks = "+quoted(b)))
	if err != nil {
		t.Fatal(err)
	}
	drop()
	if open(b) || !open(a) || s.f.DNSName() != "off" || s.f.PageName() != "off" {
		t.Error("it is not as it was")
	}
	s.stream(a)
}

// TestDNSAndPageMove (CFG-4): they begin, move and end while all else goes on.
func TestDNSAndPageMove(t *testing.T) {
	a := freePort(t)
	s := serveFront(t, "web.listen = \"off\"\nclient.socks = "+quoted(a))
	question := []byte("\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01")
	ask := func(at string) {
		t.Helper()
		c, err := net.Dial("udp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		answer := make([]byte, 512)
		if _, err := c.Write(question); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(answer); err != nil || !bytes.Contains(answer[:n], []byte{5, 9, 12, 34}) {
			t.Errorf("the DNS port at %s says %x, %v", at, answer[:n], err)
		}
	}
	look := func(at string) {
		t.Helper()
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		answer, err := client.Get("http://" + at + "/")
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("the page at %s: %s", at, answer.Status)
		}
	}
	var was []string
	for range 2 {
		dnsAt, page := freePort(t), freePort(t)
		s.change("client.dns.listen = \"" + dnsAt + "\"\nweb.listen = \"" + page + "\"\nclient.socks = " + quoted(a))
		ask(dnsAt)
		look(page)
		if address, _, err := s.f.pageAddress(); err != nil || !strings.HasPrefix(address, "http://"+page+"/#") {
			t.Errorf("the page's address is %q, %v", address, err)
		}
		for _, old := range was {
			if open(old) {
				t.Errorf("%s is open still", old)
			}
		}
		was = []string{dnsAt, page}
		if places := s.f.Places(); len(places) != 3 || places[1].Address != dnsAt || places[2].Address != "http://"+page+"/" {
			t.Errorf("the status shows %+v", places)
		}
	}
	s.change("web.listen = \"off\"\nclient.socks = " + quoted(a))
	if open(was[0]) || open(was[1]) || s.f.DNSName() != "off" || s.f.PageName() != "off" {
		t.Error("what is off is open")
	}
	s.stream(a)
}

// TestAMappedAddressFollowsTheListeners (DNS-2): names of services get an address at the
// listeners that there are now.
func TestAMappedAddressFollowsTheListeners(t *testing.T) {
	a, d := freePort(t), freePort(t)
	text := func(automap string) string {
		return "web.listen = \"off\"\nclient.socks = []\nclient.dns.listen = \"" + d + "\"\n[[client.listener]]\nname = \"l\"\nautomap = " + automap + "\naddress = \"" + a + "\""
	}
	s := serveFront(t, text("true"))
	id, _, _ := strings.Cut(testutil.ServiceName('s'), ".")
	code := func() byte {
		c, err := net.Dial("udp", d)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		answer := make([]byte, 512)
		_, err = c.Write([]byte("\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x38" + id + "\x05chive\x03alt\x00\x00\x01\x00\x01"))
		if err == nil {
			_, err = c.Read(answer)
		}
		if err != nil {
			t.Fatal(err)
		}
		return answer[3] & 15
	}
	with := code()
	s.change(text("false"))
	if without := code(); without != 3 || with == 3 {
		t.Errorf("with automap the answer is %d, without %d", with, without)
	}
}

// breaking is a listener that fails when it is told to.
type breaking struct {
	net.Listener
	now chan struct{}
}

func (b breaking) Accept() (net.Conn, error) {
	<-b.now
	return nil, errors.New("broken")
}

// TestAPageThatBrokeComesBackAtAReload (CFG-4): it is told, it is not listed any more, and
// its port is not left open with nobody behind it, at its old place or at a new one.
func TestAPageThatBrokeComesBackAtAReload(t *testing.T) {
	a, page, other := freePort(t), freePort(t), freePort(t)
	text := func(at string) string { return "web.listen = \"" + at + "\"\nclient.socks = " + quoted(a) }
	for _, next := range []string{page, other} {
		f, err := OpenFront(frontOf(t, text(page)))
		if err != nil {
			t.Fatal(err)
		}
		now := make(chan struct{})
		f.page.Listener.Listener = breaking{f.page.Listener.Listener, now}
		told := make(chan string, 4)
		ctx, stop := context.WithCancel(t.Context())
		var tasks sync.WaitGroup
		tasks.Go(func() { f.ServePage(ctx, &Sources{}, func(text string) { told <- text }) })
		kept, _, err := f.change(frontOf(t, text(page)+"\nclient.dns.listen = \""+freePort(t)+"\"")) // prepared before it breaks
		if err != nil {
			t.Fatal(err)
		}
		close(now)
		if said := <-told; !strings.Contains(said, "broke") {
			t.Errorf("told %q", said)
		}
		kept()
		if f.PageName() != "off" || open(page) {
			t.Error("a page that broke is shown, or its port is open")
		}
		commit, _, err := f.change(frontOf(t, text(next)))
		if err != nil || commit == nil {
			t.Fatalf("at %s: %v", next, err)
		}
		commit()
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		answer, err := client.Get("http://" + next + "/")
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		stop()
		tasks.Wait()
		f.Close()
	}
}

// TestAReloadKeepsTheNoteOfThePage: nobody has named the page's port, and another program
// has it; when that has ended the page is there.
func TestAReloadKeepsTheNoteOfThePage(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	a, b := freePort(t), freePort(t)
	of := func(socks, at string) FrontOptions {
		o := frontOf(t, "web.listen = \"off\"\nclient.socks = "+quoted(socks))
		o.Web, o.WebUsual = at, true
		return o
	}
	usual := taken.Addr().String()
	f, err := OpenFront(of(a, usual))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	note := f.pageNote()
	if note == "" {
		t.Fatal("no note")
	}
	change := func(o FrontOptions) {
		t.Helper()
		commit, _, err := f.change(o)
		if err != nil || commit == nil {
			t.Fatal(err)
		}
		commit()
	}
	if change(of(b, usual)); f.pageNote() != note || f.PageName() != "off" {
		t.Errorf("after a reload: %q", f.pageNote())
	}
	if change(of(b, "")); f.pageNote() != "" {
		t.Errorf("without a page: %q", f.pageNote())
	}
	_, _, err = f.change(of(b, usual)) // it is asked for now: this is no note, but a fault
	wantFault(t, err, "port_in_use")
	_ = taken.Close()
	if change(of(b, usual)); f.pageNote() != "" || f.PageName() != "http://"+usual+"/" {
		t.Errorf("once the port is free: %q, %s", f.pageNote(), f.PageName())
	}
}

// TestNoPageNamesNoTakenPort (product PAGE-2): who asks for the page's address is not sent
// to a port that another program has.
func TestNoPageNamesNoTakenPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	at := taken.Addr().String()
	for _, o := range []FrontOptions{{Web: at, WebUsual: true}, {}} {
		o.Socks = SocksOptions{Addrs: []string{"127.0.0.1:0"}}
		f, err := OpenFront(o)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = f.pageAddress()
		f.Close()
		var said *control.Failure
		if !errors.As(err, &said) || said.Code != "no_page" || !strings.Contains(said.Fix, "127.0.0.1:PORT") || strings.Contains(said.Text, at) != (o.Web != "") {
			t.Errorf("%+v: %v, %+v", o, err, said)
		}
	}
}
