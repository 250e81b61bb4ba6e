// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// talk is one conversation up to success: what the program sends and what must
// come back, in turns. The last send is followed by the stream's own bytes.
type talk struct {
	name  string
	turns []turn
	to    Target
	cred  credentials
}

type turn struct{ send, expect []byte }

func talks() []talk {
	ok4, ok5 := []byte{0, 90, 0, 0, 0, 0, 0, 0}, []byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	name5 := cat(5, 1, 0, 3, 11, "Example.com", 1, 0xBB)
	site, bare := Target{"example.com", 443}, Target{"203.0.113.5", 443}
	userPass := cat(1, 4, "user", 4, "pass")
	cred := credentials{user: "user", password: "pass"}
	connected := []byte("HTTP/1.1 200 Connection established\r\n\r\n")
	return []talk{
		{"socks4", []turn{{cat(4, 1, 1, 0xBB, 203, 0, 113, 5, "joe", 0), ok4}}, bare, credentials{user: "joe"}},
		{"socks4a", []turn{{cat(4, 1, 1, 0xBB, 0, 0, 0, 9, 0, "example.com.", 0), ok4}}, site, credentials{}},
		{"socks5", []turn{{[]byte{5, 2, 0, 1}, []byte{5, 0}}, {name5, ok5}}, site, credentials{}},
		{"socks5 address", []turn{{[]byte{5, 1, 0}, []byte{5, 0}}, {cat(5, 1, 0, 1, 203, 0, 113, 5, 1, 0xBB), ok5}}, bare, credentials{}},
		{"socks5 literal in name", []turn{{[]byte{5, 1, 0}, []byte{5, 0}}, {cat(5, 1, 0, 3, 11, "203.0.113.5", 1, 0xBB), ok5}}, bare, credentials{}},
		{"socks5 user", []turn{{[]byte{5, 3, 0, 1, 2}, []byte{5, 2}}, {userPass, []byte{1, 0}}, {name5, ok5}}, site, cred},
		{"socks5 user all at once", []turn{{cat([]byte{5, 1, 2}, userPass, name5), cat([]byte{5, 2, 1, 0}, ok5)}}, site, cred},
		{"socks5 user though none was chosen", []turn{{[]byte{5, 1, 0}, []byte{5, 0}}, {userPass, []byte{1, 0}}, {name5, ok5}}, site, cred},
		{"connect", []turn{{[]byte("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n"), connected}}, site, cred},
	}
}

func checkDial(t *testing.T, f *far, k talk) {
	t.Helper()
	d := f.dialled()
	if len(d) == 0 || d[len(d)-1].t != k.to || d[len(d)-1].iso != isolationKey("main", "127.0.0.1", k.cred) {
		t.Errorf("%s: dialled %+v", k.name, d)
	}
}

// TestEveryProtocolAtOnceAndByteByByte also proves that a stream works behind
// each handshake (SOCKS-1, T34).
func TestEveryProtocolAtOnceAndByteByByte(t *testing.T) {
	f := newFar(t, echo)
	_, addr := start(t, Config{Options: Options{Name: "main"}, Dialer: f})
	for _, k := range talks() {
		for _, single := range []bool{false, true} {
			p := open(t, addr)
			for _, turn := range k.turns {
				if !single {
					p.send(turn.send)
				} else {
					for i := range turn.send {
						p.send(turn.send[i : i+1])
					}
				}
				p.expect(turn.expect)
			}
			p.send([]byte("over and out"))
			p.CloseWrite()
			if got := p.rest(); string(got) != "over and out" {
				t.Errorf("%s: %q", k.name, got)
			}
			checkDial(t, f, k)
		}
	}
}

// TestEachReplyIsOneWrite: a program that reads once has the whole reply (SOCKS-6).
func TestEachReplyIsOneWrite(t *testing.T) {
	f := newFar(t, echo)
	f.resolve = func(string) (Answer, error) {
		return Answer{Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.7")}}, nil
	}
	s, err := New(Config{Options: Options{Name: "main"}, Dialer: f})
	if err != nil {
		t.Fatal(err)
	}
	v := vectors(t)
	all := append(talks(),
		talk{name: "resolve", turns: []turn{{[]byte{5, 1, 0}, []byte{5, 0}}, {v["socks5_resolve"], []byte{5, 0, 0, 1, 192, 0, 2, 7, 0, 0}}}},
		talk{name: "resolve 4a", turns: []turn{{v["socks4a_resolve"], v["socks4_resolved"]}}},
		talk{name: "refused", turns: []turn{{[]byte{5, 1, 0}, []byte{5, 0}}, {cat(5, 1, 0, 1, 127, 0, 0, 1, 0, 80), []byte{5, 2, 0, 1, 0, 0, 0, 0, 0, 0}}}})
	for _, k := range all {
		ours, theirs := tcpPair(t)
		w := &writeLog{TCPConn: theirs, writes: make(chan []byte, 16)}
		c := newSession(t.Context(), s, w)
		done := make(chan struct{})
		go func() { defer close(done); defer c.end(false); s.sniff(c) }()
		for i, turn := range k.turns {
			if i == 0 && strings.HasSuffix(k.name, "at once") {
				break // its three replies are three writes, as in the row above
			}
			ours.Write(turn.send)
			if got := <-w.writes; !bytes.Equal(got, turn.expect) {
				t.Errorf("%s turn %d: first write % x, want % x", k.name, i, got, turn.expect)
			}
		}
		ours.Close()
		<-done
		c.children.Wait()
	}
}

type writeLog struct {
	*net.TCPConn
	writes chan []byte
}

func (w *writeLog) Write(b []byte) (int, error) {
	select {
	case w.writes <- bytes.Clone(b):
	default:
	}
	return w.TCPConn.Write(b)
}

func tcpPair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	x, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	y, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close(); y.Close() })
	return x.(*net.TCPConn), y.(*net.TCPConn)
}

// TestHandshakeCutAtEveryByteEndsQuietly: no dial, no hang, nothing left over (T34).
func TestHandshakeCutAtEveryByteEndsQuietly(t *testing.T) {
	f := newFar(t, echo)
	s, addr := start(t, Config{Options: Options{Name: "main"}, Dialer: f})
	cuts := uint64(0)
	for _, k := range talks() {
		whole := 0
		for _, turn := range k.turns {
			whole += len(turn.send)
		}
		for cut := range whole {
			p := open(t, addr)
			left := cut
			for _, turn := range k.turns {
				if left < len(turn.send) {
					p.send(turn.send[:left])
					break
				}
				p.send(turn.send)
				p.expect(turn.expect)
				left -= len(turn.send)
			}
			p.CloseWrite()
			if b := p.rest(); len(b) > 4 || len(b) > 0 && !strings.HasSuffix(k.name, "at once") {
				t.Errorf("%s cut at %d: answered % x", k.name, cut, b)
			}
			p.Close()
			cuts++
		}
	}
	if d := f.dialled(); len(d) != 0 {
		t.Errorf("%d dials for cut handshakes", len(d))
	}
	if got := s.Counts().Refused; got != cuts {
		t.Errorf("%d refused of %d", got, cuts)
	}
}

// TestEarlyDataArrivesWholeAndInOrder: bytes in the same segment as the request
// and behind it, around every bound; and those that come later (SOCKS-10, T34).
func TestEarlyDataArrivesWholeAndInOrder(t *testing.T) {
	got := make(chan []byte, 1)
	for _, plain := range []bool{false, true} {
		f := newFar(t, collect(got))
		f.plain = plain
		_, addr := start(t, Config{Options: Options{Name: "main"}, Dialer: f})
		for _, k := range talks() {
			for _, size := range []int{0, 1, 100, MaxEarly - 1, MaxEarly, MaxEarly + 1, 5000, 200_000} {
				p := open(t, addr)
				last := len(k.turns) - 1
				for _, turn := range k.turns[:last] {
					p.send(turn.send)
					p.expect(turn.expect)
				}
				want := pattern(size)
				p.send(append(bytes.Clone(k.turns[last].send), want...))
				p.CloseWrite()
				p.expect(k.turns[last].expect)
				if b := <-got; !bytes.Equal(b, want) {
					t.Fatalf("%s: %d of %d bytes arrived whole", k.name, len(b), size)
				}
				p.rest()
				d := f.dialled()
				early := d[len(d)-1].early
				if !bytes.HasPrefix(want, early) || size > 0 && len(early) == 0 || size <= 1500 && len(early) != size {
					t.Errorf("%s: %d of %d bytes travelled early", k.name, len(early), size)
				}
			}
		}
	}
}

// TestLateBytesFollowWhileDialling: what comes while the far side is not yet
// connected is neither lost nor reordered, and success is not said before (SOCKS-10,
// SOCKS-11: a Dial may wait).
func TestLateBytesFollowWhileDialling(t *testing.T) {
	got := make(chan []byte, 1)
	f := newFar(t, collect(got))
	f.hold = make(chan struct{})
	_, addr := start(t, Config{Dialer: f})
	p := open(t, addr)
	p.send(cat(4, 1, 1, 0xBB, 0, 0, 0, 9, 0, "example.com", 0, "one "))
	for begun := false; !begun; begun = len(f.dialled()) > 0 {
		p.send([]byte("two ")) // before or after the dial began: all the same
	}
	p.send([]byte("three"))
	p.CloseWrite()
	p.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := p.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error("success was reported before the far side connected")
	}
	p.SetReadDeadline(time.Now().Add(patience))
	close(f.hold)
	p.expect([]byte{0, 90, 0, 0, 0, 0, 0, 0})
	b := string(<-got)
	if !strings.HasPrefix(b, "one two ") || !strings.HasSuffix(b, "two three") || strings.Trim(b[4:len(b)-5], "two ") != "" {
		t.Errorf("%q", b)
	}
	p.rest()
}

// TestFailuresHaveTheirCode: every protocol and reason, extended codes on and
// off, whole and single reply, then an orderly end (product §4.6).
func TestFailuresHaveTheirCode(t *testing.T) {
	for _, extended := range []bool{false, true} {
		f := newFar(t, echo)
		var reason string
		f.fail = func(Target) error { return refusal(reason) }
		_, addr := start(t, Config{Options: Options{ExtendedErrors: extended}, Dialer: f})
		for _, row := range reasonTable {
			reason = row.reason
			code := row.socks5
			if extended {
				code = row.extended
			}
			p := open(t, addr)
			p.send(cat(5, 1, 0, 5, 1, 0, 3, 6, "a.test", 0, 80, "early data"))
			p.expect(cat(5, 0, 5, code, 0, 1, 0, 0, 0, 0, 0, 0))
			if b := p.rest(); len(b) > 0 {
				t.Errorf("% x behind the reply", b)
			}
			p = open(t, addr)
			p.send(cat(4, 1, 0, 80, 0, 0, 0, 1, 0, "a.test", 0))
			if b := p.rest(); !bytes.Equal(b, []byte{0, 91, 0, 0, 0, 0, 0, 0}) {
				t.Errorf("%s: socks4 % x", reason, b)
			}
			for _, request := range []string{"CONNECT a.test:80 HTTP/1.1\r\n\r\n", "GET http://a.test/ HTTP/1.1\r\nHost: a\r\n\r\n"} {
				p = open(t, addr)
				p.send([]byte(request))
				b := string(p.rest())
				status := string(cat("HTTP/1.1 ", row.http/100+'0', row.http/10%10+'0', row.http%10+'0', " "))
				_, body, _ := strings.Cut(b, "\r\n\r\n")
				if !strings.HasPrefix(b, status) || !strings.Contains(b, "\r\nX-Chive-Error: "+reason+"\r\n") || body != outcomeOf(reason).sentence+"\n" {
					t.Errorf("%s: %q", reason, b)
				}
			}
		}
	}
}

// TestBadHandshakesHaveTheirAnswer: wrong versions, reserved and over-long
// fields, commands and address types that are not carried (SOCKS-3, -4, -5, -7, -8,
// -14, T34).
func TestBadHandshakesHaveTheirAnswer(t *testing.T) {
	f := newFar(t, echo)
	_, addr := start(t, Config{Dialer: f})
	fail5 := func(code int) []byte { return cat(5, 0, 5, code, 0, 1, 0, 0, 0, 0, 0, 0) }
	no4 := []byte{0, 91, 0, 0, 0, 0, 0, 0}
	greet := []byte{5, 1, 0}
	for _, c := range []struct {
		name       string
		send, want []byte
	}{
		{"nothing", nil, nil},
		{"TLS", []byte{0x16, 3, 1}, nil},
		{"version 3", []byte{3, 1, 0}, nil},
		{"small letter", []byte("get http://a/ HTTP/1.1\r\n\r\n"), nil},
		{"no methods", []byte{5, 0}, []byte{5, 0xFF}},
		{"GSSAPI only", []byte{5, 1, 1}, []byte{5, 0xFF}},
		{"authentication of another version", cat(5, 1, 2, 5, 1, "a", 1, "b"), []byte{5, 2, 1, 1}},
		{"reserved user", cat(5, 1, 2, 1, 7, "chive:x", 1, "b"), []byte{5, 2, 1, 1}},
		{"request of version 4", cat(greet, 4, 1, 0, 1, 203, 0, 113, 5, 0, 80), fail5(1)},
		{"BIND", cat(greet, 5, 2, 0, 1, 203, 0, 113, 5, 0, 80), fail5(7)},
		{"unknown command", cat(greet, 5, 9, 0, 1, 203, 0, 113, 5, 0, 80), fail5(7)},
		{"unknown address type", cat(greet, 5, 1, 0, 2, 203, 0, 113, 5, 0, 80), fail5(8)},
		{"empty name", cat(greet, 5, 1, 0, 3, 0, 0, 80), fail5(4)},
		{"name with NUL", cat(greet, 5, 1, 0, 3, 3, "a", 0, "b", 0, 80), fail5(4)},
		{"name of 254", cat(greet, 5, 1, 0, 3, 254, strings.Repeat("a.", 127), 0, 80), nil},
		{"name of 255", cat(greet, 5, 1, 0, 3, 255, strings.Repeat("a.", 127), "a", 0, 80), fail5(4)},
		{"port 0", cat(greet, 5, 1, 0, 3, 1, "a", 0, 0), fail5(4)},
		{"private address", cat(greet, 5, 1, 0, 1, 10, 0, 0, 1, 0, 80), fail5(2)},
		{"mapped loopback", cat(greet, 5, 1, 0, 4, make([]byte, 10), 255, 255, 127, 0, 0, 1, 0, 80), fail5(2)},
		{"onion", cat(greet, 5, 1, 0, 3, 7, "a.onion", 0, 80), fail5(4)},
		{"UDP ASSOCIATE without sockets", cat(greet, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0), fail5(7)},
		{"RESOLVE_PTR of a name", cat(greet, 5, 0xF1, 0, 3, 1, "a", 0, 0), fail5(8)},
		{"RESOLVE_PTR of a private address", cat(greet, 5, 0xF1, 0, 1, 10, 0, 0, 1, 0, 0), fail5(2)},
		{"RESOLVE onion", cat(greet, 5, 0xF0, 0, 3, 7, "a.onion", 0, 0), fail5(4)},
		{"socks4 BIND", cat(4, 2, 0, 80, 203, 0, 113, 5, 0), no4},
		{"socks4 RESOLVE_PTR", cat(4, 0xF1, 0, 80, 203, 0, 113, 5, 0), no4},
		{"socks4 reserved user", cat(4, 1, 0, 80, 203, 0, 113, 5, "chive:a", 0), no4},
		{"socks4 long user", cat(4, 1, 0, 80, 203, 0, 113, 5, strings.Repeat("u", 300)), no4},
		{"socks4a long name", cat(4, 1, 0, 80, 0, 0, 0, 1, 0, strings.Repeat("n", 300)), no4},
		{"socks4 private", cat(4, 1, 0, 80, 127, 0, 0, 1, 0), no4},
		{"socks4 address zero", cat(4, 1, 0, 80, 0, 0, 0, 0, 0), no4},
		{"socks4a onion", cat(4, 1, 0, 80, 0, 0, 0, 1, 0, "a.onion", 0), no4},
	} {
		p := open(t, addr)
		p.send(c.send)
		p.CloseWrite()
		if c.name == "name of 254" { // 253 and a trailing dot: legal
			p.expect(cat(5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0))
			p.rest()
			continue
		}
		got, err := io.ReadAll(p)
		if !bytes.Equal(got, c.want) || err != nil && !isReset(err) {
			t.Errorf("%s: % x (%v), want % x", c.name, got, err, c.want)
		}
	}
	if d := f.dialled(); len(d) != 1 {
		t.Errorf("%d dials", len(d))
	}
}

// TestPreferNoAuthChoosesNone: on and off (SOCKS-4).
func TestPreferNoAuthChoosesNone(t *testing.T) {
	for prefer, method := range map[bool]int{false: 2, true: 0} {
		_, addr := start(t, Config{Options: Options{PreferNoAuth: prefer}, Dialer: newFar(t, echo)})
		p := open(t, addr)
		p.send([]byte{5, 2, 0, 2})
		p.expect(cat(5, method))
	}
}

// TestResolveAnswers is SOCKS-8.
func TestResolveAnswers(t *testing.T) {
	f := newFar(t, echo)
	f.resolve = func(name string) (Answer, error) {
		switch name {
		case "both.test":
			return Answer{Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.7")}}, nil
		case "six.test":
			return Answer{Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::1")}}, nil
		case "mixed.test":
			return Answer{Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.8")}}, nil
		case "private.test":
			return Answer{Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("::1")}}, nil
		}
		return Answer{}, refusal(reasonNameNotFound)
	}
	f.resolveAddr = func(addr netip.Addr) ([]string, error) {
		if addr == netip.MustParseAddr("203.0.113.5") {
			return []string{"bad name\x00", "Host.Example.com."}, nil
		}
		return []string{"..."}, nil
	}
	_, addr := start(t, Config{Dialer: f})
	six := cat(0x20, 1, 0xd, 0xb8, make([]byte, 11), 1)
	name := func(s string) []byte { return cat(5, 1, 0, 5, 0xF0, 0, 3, len(s), s, 0, 0) }
	no := cat(5, 0, 5, 4, 0, 1, 0, 0, 0, 0, 0, 0)
	for _, c := range []struct {
		name       string
		send, want []byte
	}{
		{"IPv4 when there is one", name("BOTH.test"), cat(5, 0, 5, 0, 0, 1, 192, 0, 2, 7, 0, 0)},
		{"IPv6 else", name("six.test"), cat(5, 0, 5, 0, 0, 4, six, 0, 0)},
		{"never private", name("mixed.test"), cat(5, 0, 5, 0, 0, 1, 192, 0, 2, 8, 0, 0)},
		{"only private", name("private.test"), no},
		{"none", name("none.test"), no},
		{"literal", name("203.0.113.9"), cat(5, 0, 5, 0, 0, 1, 203, 0, 113, 9, 0, 0)},
		{"4a", cat(4, 0xF0, 0, 0, 0, 0, 0, 1, 0, "both.test", 0), cat(0, 90, 0, 0, 192, 0, 2, 7)},
		{"4a has no IPv6", cat(4, 0xF0, 0, 0, 0, 0, 0, 1, 0, "six.test", 0), cat(0, 91, 0, 0, 0, 0, 0, 0)},
		{"PTR", cat(5, 1, 0, 5, 0xF1, 0, 1, 203, 0, 113, 5, 0, 0), cat(5, 0, 5, 0, 0, 3, 16, "host.example.com", 0, 0)},
		{"PTR by text", cat(5, 1, 0, 5, 0xF1, 0, 3, 11, "203.0.113.5", 0, 0), cat(5, 0, 5, 0, 0, 3, 16, "host.example.com", 0, 0)},
		{"PTR without a name", cat(5, 1, 0, 5, 0xF1, 0, 1, 203, 0, 113, 6, 0, 0), no},
	} {
		p := open(t, addr)
		p.send(c.send)
		if got := p.rest(); !bytes.Equal(got, c.want) {
			t.Errorf("%s: % x, want % x", c.name, got, c.want)
		}
	}
}
