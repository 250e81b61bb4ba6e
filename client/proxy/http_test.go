// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"chive/internal/testutil"
)

// origin answers each request of a connection with what answer says, and hands
// the request's head and body over. An empty answer ends the connection.
type origin struct {
	heads  chan string
	answer func(head, body string) string
}

func (o *origin) serve(c *net.TCPConn) {
	r := bufio.NewReader(c)
	for {
		var head strings.Builder
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			head.WriteString(line)
			if line == "\r\n" {
				break
			}
		}
		var body []byte
		for line := range strings.Lines(head.String()) {
			line = strings.ToLower(line)
			if v, ok := strings.CutPrefix(line, "content-length: "); ok {
				n, _ := parseLength(strings.TrimSpace(v))
				body = make([]byte, n)
				if _, err := io.ReadFull(r, body); err != nil {
					o.heads <- "cut short"
					return
				}
			}
			if strings.HasPrefix(line, "transfer-encoding: chunked") {
				for !bytes.HasSuffix(body, []byte("0\r\n\r\n")) {
					b, err := r.ReadByte()
					if err != nil {
						o.heads <- "cut short"
						return
					}
					body = append(body, b)
				}
			}
		}
		if o.heads != nil {
			o.heads <- head.String() + string(body)
		}
		a := o.answer(head.String(), string(body))
		c.Write([]byte(a))
		if a == "" || strings.Contains(a, "Connection: close") {
			c.CloseWrite()
			return
		}
	}
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func startHTTP(t *testing.T, o *origin, cfg Config) (*far, string) {
	f := newFar(t, o.serve)
	cfg.Dialer, cfg.Name = f, "main"
	_, addr := start(t, cfg)
	return f, addr
}

// TestPlainRequestPassesAsAProgramWithoutProxyWouldSendIt: what goes is listed
// in HTTP-1, the rest keeps its place and spelling, nothing comes in.
func TestPlainRequestPassesAsAProgramWithoutProxyWouldSendIt(t *testing.T) {
	o := &origin{heads: make(chan string, 1), answer: func(string, string) string { return okAnswer }}
	f, addr := startHTTP(t, o, Config{})
	for _, c := range []struct{ send, want string }{
		{"GET http://Example.com/a?b=c HTTP/1.1\r\nhOst: other\r\nUser-Agent: x\r\nProxy-Connection: Keep-Alive\r\nProxy-Authorization: Basic dTpw\r\n" +
			"Connection: keep-alive, X-Hop, x-gone\r\nKeep-Alive: 5\r\nX-Hop: 1\r\nX-Gone: 2\r\nTE: trailers\r\nTrailer: z\r\nUpgrade: h2c\r\n" +
			"X-Chive-Isolation: k\r\nX-Tor-Stream-Isolation: k\r\nProxy-Foo: 1\r\nAccept:  */*  \r\nvia: mine\r\n\r\n",
			"GET /a?b=c HTTP/1.1\r\nhOst: Example.com\r\nUser-Agent: x\r\nAccept: */*\r\nvia: mine\r\n\r\n"},
		{"GET http://example.com HTTP/1.1\r\nHost: example.com\r\n\r\n", "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"},
		{"GET http://example.com?q HTTP/1.1\r\nHost: example.com\r\n\r\n", "GET /?q HTTP/1.1\r\nHost: example.com\r\n\r\n"},
		{"OPTIONS http://example.com:8080 HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: example.com:8080\r\n\r\n"},
		{"GET HTTP://example.com/ HTTP/1.0\r\nA: b\r\n\r\n", "GET / HTTP/1.0\r\nHost: example.com\r\nA: b\r\n\r\n"},
		{"POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\n\r\nbody", "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\n\r\nbody"},
		{"POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\nProxy-T: r\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n"},
	} {
		p := open(t, addr)
		p.send([]byte(c.send))
		if got := <-o.heads; got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
		p.CloseWrite()
		if b := string(p.rest()); !strings.HasPrefix(b, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n") || !strings.HasSuffix(b, "\r\n\r\nok") {
			t.Errorf("%q", b)
		}
	}
	for i, d := range f.dialled() {
		if want := (Target{"example.com", 80}); d.t != want && d.t.Port != 8080 {
			t.Errorf("dial %d: %v", i, d.t)
		}
	}
}

// TestPlainHeadTravelsEarlyUnlessItMustNotRepeat: GET in the dial, POST behind.
func TestPlainHeadTravelsEarlyUnlessItMustNotRepeat(t *testing.T) {
	o := &origin{heads: make(chan string, 1), answer: func(string, string) string { return okAnswer }}
	f, addr := startHTTP(t, o, Config{})
	long := "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nX: " + strings.Repeat("x", 3000) + "\r\n\r\n"
	for i, c := range []struct {
		send  string
		early int
	}{
		{"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", len("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")},
		{long, MaxEarly},
		{"POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\nx", 0},
	} {
		p := open(t, addr)
		p.send([]byte(c.send))
		p.CloseWrite()
		if got := <-o.heads; len(got) != len(c.send)-len("http://a.test") {
			t.Errorf("%d: %q", i, got)
		}
		p.rest()
		if got := len(f.dialled()[i].early); got != c.early {
			t.Errorf("%d: %d bytes early", i, got)
		}
	}
}

// readAnswer reads one answer with Content-Length.
func readAnswer(t *testing.T, r *bufio.Reader) (head, body string) {
	t.Helper()
	n := int64(0)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("after %q: %v", head, err)
		}
		head += line
		if v, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			n, _ = parseLength(strings.TrimSpace(v))
		}
		if line == "\r\n" {
			break
		}
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatal(err)
	}
	return head, string(b)
}

// TestUpstreamsAreKeptButNeverShared: kept for the same target and key, dropped
// for another of either; two connections never share (HTTP-2, ISO-1).
func TestUpstreamsAreKeptButNeverShared(t *testing.T) {
	o := &origin{answer: func(string, string) string { return okAnswer }}
	f, addr := startHTTP(t, o, Config{})
	p := open(t, addr)
	r := bufio.NewReader(p)
	get := func(host, extra string) {
		t.Helper()
		p.send([]byte("GET http://" + host + "/ HTTP/1.1\r\nHost: x\r\n" + extra + "\r\n"))
		if head, body := readAnswer(t, r); body != "ok" || strings.Contains(head, "close") {
			t.Errorf("%q %q", head, body)
		}
	}
	dials := func(want int, what string) {
		t.Helper()
		if n := len(f.dialled()); n != want {
			t.Errorf("%s: %d dials, want %d", what, n, want)
		}
	}
	get("a.test", "")
	get("A.test", "")
	dials(1, "same target")
	get("a.test", "Proxy-Authorization: Basic dTpw\r\n")
	dials(2, "user")
	get("a.test", "Proxy-Authorization: Basic dTpw\r\n")
	dials(2, "same user")
	get("a.test", "Proxy-Authorization: Basic dTpwMg==\r\n")
	dials(3, "another password")
	get("a.test", "X-Chive-Isolation: one\r\n")
	dials(4, "isolation")
	get("a.test", "X-Tor-Stream-Isolation: one\r\n")
	dials(4, "the same isolation by its other name")
	get("a.test", "X-Chive-Isolation: two\r\n")
	dials(5, "another isolation")
	get("b.test", "X-Chive-Isolation: two\r\n")
	dials(6, "another host")
	get("b.test:81", "X-Chive-Isolation: two\r\n")
	dials(7, "another port")
	p.send([]byte("POST http://b.test:81/ HTTP/1.1\r\nHost: x\r\nX-Chive-Isolation: two\r\nContent-Length: 1\r\n\r\nx"))
	readAnswer(t, r)
	dials(8, "a request that must not repeat has its own")
	seen := map[Isolation]bool{}
	for _, d := range f.dialled() {
		seen[d.iso] = true
	}
	if len(seen) != 5 || !seen[isolationKey("main", "127.0.0.1", credentials{user: "u", password: "p"})] {
		t.Errorf("%d keys", len(seen))
	}
	q := open(t, addr)
	q.send([]byte("GET http://b.test:81/ HTTP/1.1\r\nHost: x\r\nX-Chive-Isolation: two\r\n\r\n"))
	readAnswer(t, bufio.NewReader(q))
	dials(9, "another connection")
}

// TestStaleUpstreamIsReplacedUnseen: a kept connection that had ended.
func TestStaleUpstreamIsReplacedUnseen(t *testing.T) {
	for _, reset := range []bool{false, true} {
		closed := make(chan struct{})
		f := newFar(t, func(c *net.TCPConn) {
			io.ReadAtLeast(c, make([]byte, 4096), 10)
			c.Write([]byte(okAnswer))
			if reset {
				io.ReadAtLeast(c, make([]byte, 4096), 10) // takes the second request, answers nothing
				c.SetLinger(0)
			}
			c.Close()
			closed <- struct{}{}
		})
		_, addr := start(t, Config{Dialer: f})
		p := open(t, addr)
		r := bufio.NewReader(p)
		p.send([]byte("GET http://a.test/1 HTTP/1.1\r\nHost: x\r\n\r\n"))
		readAnswer(t, r)
		if !reset {
			<-closed
		}
		p.send([]byte("GET http://a.test/2 HTTP/1.1\r\nHost: x\r\n\r\n"))
		if _, body := readAnswer(t, r); body != "ok" || len(f.dialled()) != 2 {
			t.Errorf("%q, %d dials", body, len(f.dialled()))
		}
		go func() { // the rest of the far sides
			for range closed {
			}
		}()
		p.Close()
		f.l.Close()
		f.wg.Wait()
		close(closed)
	}
}

// TestAnswersPassInEveryFraming also proves where the connection goes on.
func TestAnswersPassInEveryFraming(t *testing.T) {
	for _, c := range []struct {
		name, method, answer, want string
		keeps                      bool
	}{
		{"length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: y\r\n\r\nabc", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: y\r\n\r\nabc", true},
		{"chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;e\r\nabc\r\n0\r\nT: r\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", true},
		{"to the end", "GET", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc", false},
		{"old server", "GET", "HTTP/1.0 200\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc", true},
		{"head", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true},
		{"not modified", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", true},
		{"no content", "GET", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", true},
		{"interim", "GET", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},
		{"hop fields and a forged reason", "GET", "HTTP/1.1 200 OK\r\nConnection: keep-alive, x-hop\r\nKeep-Alive: 9\r\nX-Hop: 1\r\nProxy-Authenticate: Basic\r\n" +
			"Upgrade: h2\r\nx-chive-error: timeout\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},
		{"sloppy lines", "GET", "HTTP/1.1 200 OK\nA : b\n folded\nContent-Length: 1\nContent-Length: 1\n\nx",
			"HTTP/1.1 200 OK\r\nA: b  folded\r\nContent-Length: 1\r\n\r\nx", true},
		{"chunks and a length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", true},
	} {
		o := &origin{answer: func(string, string) string { return c.answer }}
		f, addr := startHTTP(t, o, Config{})
		p := open(t, addr)
		request := []byte(c.method + " http://a.test/ HTTP/1.1\r\nHost: x\r\n\r\n")
		p.send(request)
		p.expect([]byte(c.want))
		if c.keeps {
			p.send(request)
			p.expect([]byte(c.want))
			p.CloseWrite()
		}
		if b := p.rest(); len(b) != 0 {
			t.Errorf("%s: %q behind the answer", c.name, b)
		}
		_ = f
	}
}

// TestOldProgramsGetNoChunks: HTTP/1.0.
func TestOldProgramsGetNoChunks(t *testing.T) {
	o := &origin{answer: func(string, string) string {
		return "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
	}}
	_, addr := startHTTP(t, o, Config{})
	p := open(t, addr)
	p.send([]byte("GET http://a.test/ HTTP/1.0\r\n\r\n"))
	if b := string(p.rest()); b != "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde" {
		t.Errorf("%q", b)
	}
}

// TestAnswersCutShortAreNeverWhole: the program sees a reset.
func TestAnswersCutShortAreNeverWhole(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX: Connection: close\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: Connection: close\r\n\r\n3\r\nab",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: Connection: close\r\n\r\n3\r\nabc\r\n0\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: Connection: close\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: Connection: close\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
	} {
		o := &origin{answer: func(string, string) string { return answer }}
		_, addr := startHTTP(t, o, Config{})
		p := open(t, addr)
		p.send([]byte("GET http://a.test/ HTTP/1.1\r\nHost: x\r\n\r\n"))
		if b, err := io.ReadAll(p); !isReset(err) {
			t.Errorf("%q ended with %v", b, err)
		}
	}
	// A circuit that breaks within an answer to the end.
	f := newFar(t, func(c *net.TCPConn) {
		io.ReadAtLeast(c, make([]byte, 4096), 10)
		c.Write([]byte("HTTP/1.1 200 OK\r\n\r\nabc"))
		io.ReadAtLeast(c, make([]byte, 1), 1)
	})
	_, addr := start(t, Config{Dialer: f, Limits: Limits{AnswerIdle: 50 * time.Millisecond}})
	p := open(t, addr)
	p.send([]byte("GET http://a.test/ HTTP/1.1\r\nHost: x\r\n\r\n"))
	if b, err := io.ReadAll(p); !isReset(err) {
		t.Errorf("%q ended with %v", b, err)
	}
}

// TestBadAnswersAre502: and never a 407 (HTTP-2, HTTP-3).
func TestBadAnswersAre502(t *testing.T) {
	for answer, reason := range map[string]string{
		"":                                   reasonRefusedByTarget,
		"HTTP/1.1 200 Connection: close\r\n": reasonRefusedByTarget, // no head, then the end
		"SSH-2.0-x Connection: close\r\n":    reasonBadAnswer,
		"HTTP/2 200 OK\r\n\r\n":              reasonBadAnswer,
		"HTTP/1.1 99 OK\r\n\r\n":             reasonBadAnswer,
		"HTTP/1.1 200 OK\r\nA\r\n\r\n":       reasonBadAnswer,
		"HTTP/1.1 407 Pay\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n": reasonBadAnswer,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n":             reasonBadAnswer,
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx":         reasonBadAnswer,
		"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx":                             reasonBadAnswer,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n":                reasonBadAnswer,
		"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n":                                         reasonBadAnswer,
		"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 70_000) + "\r\n\r\n":          reasonBadAnswer,
		strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", maxInterim+1):                reasonBadAnswer,
	} {
		o := &origin{answer: func(string, string) string { return answer }}
		_, addr := startHTTP(t, o, Config{})
		p := open(t, addr)
		p.send([]byte("GET http://a.test/ HTTP/1.1\r\nHost: x\r\n\r\n"))
		b := string(p.rest())
		b = strings.ReplaceAll(b, "HTTP/1.1 100 Continue\r\n\r\n", "")
		if !strings.HasPrefix(b, "HTTP/1.1 502 Bad Gateway\r\nX-Chive-Error: "+reason+"\r\n") {
			t.Errorf("%.40q: %q", answer, b)
		}
	}
}

// TestABannerIsABadAnswerAtOnce: what speaks first and is no HTTP is known by its first bytes; the
// target may then wait for ever, so that nobody waits for the rest of a head (HTTP-3).
func TestABannerIsABadAnswerAtOnce(t *testing.T) {
	for _, banner := range []string{"SSH-2.0-x\r\n", "S", "HTTP/2", "http/1.1 200 OK\r\n", "HTTP/1\r\n", "\r\nHTTP/1.1 200 OK\r\n"} {
		testutil.Bubble(t, func(t *testing.T) {
			near, target := net.Pipe()
			defer target.Close()
			go target.Write([]byte(banner))
			x := &exchanger{c: &session{s: &Server{}}, up: &upstream{conn: plainConn{Conn: near}}}
			x.c.s.limits.HeaderSize = 1 << 16
			x.up.in.src = idleReader{x.up.conn, time.Hour}
			began := time.Now()
			_, err := x.answer(&request{})
			near.Close()
			if took := time.Since(began); err != refusal(reasonBadAnswer) || took != 0 {
				t.Errorf("%q: %v after %v", banner, err, took)
			}
		})
	}
}

// TestAnswersThatDoNotServeAreTold (product §4.6): the stream hears what the program got
// instead of its answer, before it is closed; of one that the program spoiled it does not.
func TestAnswersThatDoNotServeAreTold(t *testing.T) {
	for _, c := range []struct{ answer, request, reason string }{
		{"HTTP/2 200 OK\r\n\r\n", "GET http://a.test/ HTTP/1.1\r\nHost: x\r\n\r\n", reasonBadAnswer},
		{"", "GET http://a.test/ HTTP/1.1\r\nHost: x\r\n\r\n", reasonRefusedByTarget},
		{okAnswer, "GET http://a.test/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", ""},
	} {
		told := make(chan Refused, 8)
		f := newFar(t, (&origin{answer: func(string, string) string { return c.answer }}).serve)
		f.failed = func(r Refused) { told <- r }
		_, addr := start(t, Config{Dialer: f})
		p := open(t, addr)
		p.send([]byte(c.request))
		p.rest()
		if want := min(len(c.reason), 1); len(told) != want {
			t.Errorf("%q: %d are told", c.answer, len(told))
		} else if want == 1 {
			if r := <-told; r.Kind != RefusedConnect || r.Target != "a.test:80" || r.Reason != c.reason || r.Text == "" || r.Fix == "" {
				t.Errorf("%q: %+v", c.answer, r)
			}
		}
	}
}

// TestPipelinedRequestsAreServedInOrder: and a line end behind a body is skipped.
func TestPipelinedRequestsAreServedInOrder(t *testing.T) {
	o := &origin{answer: func(head, body string) string {
		path := strings.Fields(head)[1]
		return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Body: " + body + "\r\n\r\n" + path
	}}
	_, addr := startHTTP(t, o, Config{})
	p := open(t, addr)
	p.send([]byte("GET http://a.test/1 HTTP/1.1\r\nHost: x\r\n\r\n" +
		"POST http://a.test/2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc\r\n" +
		"GET http://a.test/3 HTTP/1.1\r\nHost: x\r\n\r\n" +
		"GET http://a.test/4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" +
		"GET http://a.test/5 HTTP/1.1\r\nHost: x\r\n\r\n"))
	r := bufio.NewReader(p)
	for _, want := range []string{"/1", "/2", "/3", "/4"} {
		head, body := readAnswer(t, r)
		if body != want || strings.Contains(head, "X-Body: abc") != (want == "/2") || strings.Contains(head, "Connection: close") != (want == "/4") {
			t.Errorf("%q %q, want %q", head, body, want)
		}
	}
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("behind the last: %v", err)
	}
}

// TestByteByByteRequest with a body.
func TestByteByByteRequest(t *testing.T) {
	o := &origin{answer: func(_, body string) string {
		body = strings.ReplaceAll(body, "\r\n", "|")
		return "HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	}}
	_, addr := startHTTP(t, o, Config{})
	p := open(t, addr)
	for _, b := range []byte("POST http://a.test/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n") {
		p.send([]byte{b})
	}
	// Chunks follow the reads: at least the bytes are whole.
	_, body := readAnswer(t, bufio.NewReader(p))
	if strings.NewReplacer("1|", "", "2|", "", "3|", "", "|", "", "0", "").Replace(body) != "abc" {
		t.Errorf("%q", body)
	}
}

// TestContinueIsCarried: Expect: 100-continue end to end.
func TestContinueIsCarried(t *testing.T) {
	f := newFar(t, func(c *net.TCPConn) {
		io.ReadAtLeast(c, make([]byte, 4096), 10)
		c.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
		io.ReadFull(c, make([]byte, 4))
		c.Write([]byte(okAnswer))
	})
	_, addr := start(t, Config{Dialer: f})
	p := open(t, addr)
	p.send([]byte("PUT http://a.test/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"))
	p.expect([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	p.send([]byte("body"))
	p.expect([]byte(okAnswer))
}

// TestAnswerBeforeTheBodyEnds: the answer arrives whole, then the connection ends.
func TestAnswerBeforeTheBodyEnds(t *testing.T) {
	t.Parallel()
	f := newFar(t, func(c *net.TCPConn) {
		io.ReadAtLeast(c, make([]byte, 4096), 10)
		c.Write([]byte("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"))
		io.Copy(io.Discard, c)
	})
	_, addr := start(t, Config{Dialer: f})
	p := open(t, addr)
	p.send([]byte("POST http://a.test/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nonly this"))
	p.expect([]byte("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"))
	if b := p.rest(); len(b) != 0 {
		t.Errorf("%q", b)
	}
}

// TestBrokenBodyNeverLooksWhole: the origin server sees a reset, and the program
// its own fault.
func TestBrokenBodyNeverLooksWhole(t *testing.T) {
	saw := make(chan error, 1)
	f := newFar(t, func(c *net.TCPConn) {
		_, err := io.Copy(io.Discard, c)
		saw <- err
	})
	_, addr := start(t, Config{Dialer: f})
	for name, c := range map[string]struct{ body, want string }{
		"size":      {"zz\r\nabc\r\n0\r\n\r\n", "HTTP/1.1 400"},
		"no CRLF":   {"3\r\nabcX\r\n0\r\n\r\n", "HTTP/1.1 400"},
		"bare LF":   {"3\nabc\n0\n\n", "HTTP/1.1 400"},
		"too large": {"fffffffffffffffff\r\n", "HTTP/1.1 400"},
		"long line": {"1;" + strings.Repeat("x", maxChunkLine) + "\r\n", "HTTP/1.1 400"},
		"trailers":  {"0\r\n" + strings.Repeat("a: "+strings.Repeat("x", 1000)+"\r\n", 70), "HTTP/1.1 400"},
		"cut":       {"3\r\nab", ""},
	} {
		p := open(t, addr)
		p.send([]byte("POST http://a.test/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + c.body))
		p.CloseWrite()
		b, err := io.ReadAll(p)
		if !strings.HasPrefix(string(b), c.want) || c.want == "" && !isReset(err) || c.want != "" && err != nil {
			t.Errorf("%s: %q %v", name, b, err)
		}
		if err := <-saw; !isReset(err) {
			t.Errorf("%s: origin saw %v", name, err)
		}
	}
}

// TestWebsocketPasses: the upgrade, bytes behind it on both sides, half-close;
// other protocols are not asked for.
func TestWebsocketPasses(t *testing.T) {
	t.Parallel()
	heads := make(chan string, 1)
	f := newFar(t, func(c *net.TCPConn) {
		r := bufio.NewReader(c)
		head := ""
		for !strings.HasSuffix(head, "\r\n\r\n") {
			b, err := r.ReadByte()
			if err != nil {
				return
			}
			head += string(b)
		}
		heads <- head
		c.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nhello "))
		io.Copy(c, r)
		c.CloseWrite()
	})
	_, addr := start(t, Config{Dialer: f, Limits: Limits{AnswerIdle: 60 * time.Millisecond}})
	p := open(t, addr)
	p.send([]byte("GET http://a.test/ws HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic dTpw\r\nConnection: Upgrade, keep-alive\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: k\r\n\r\nframe "))
	if got := <-heads; got != "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n" {
		t.Errorf("%q", got)
	}
	p.expect([]byte("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello frame "))
	<-time.After(100 * time.Millisecond) // the answer's deadline is not the tunnel's
	p.send([]byte("end"))
	p.CloseWrite()
	if b := p.rest(); string(b) != "end" {
		t.Errorf("%q", b)
	}
}

func TestSilentOriginTimesOut(t *testing.T) {
	f := newFar(t, func(c *net.TCPConn) { io.Copy(io.Discard, c) })
	_, addr := start(t, Config{Dialer: f, Limits: Limits{AnswerIdle: 30 * time.Millisecond}})
	p := open(t, addr)
	p.send([]byte("GET http://a.test/ HTTP/1.1\r\nHost: x\r\n\r\n"))
	if b := string(p.rest()); !strings.HasPrefix(b, "HTTP/1.1 504 Gateway Timeout\r\nX-Chive-Error: timeout\r\n") {
		t.Errorf("%q", b)
	}
}

func TestIdleConnectionEndsBetweenRequests(t *testing.T) {
	_, addr := startHTTP(t, &origin{answer: func(string, string) string { return okAnswer }}, Config{Limits: Limits{KeepAlive: 30 * time.Millisecond}})
	p := open(t, addr)
	p.send([]byte("GET http://a.test/ HTTP/1.1\r\nHost: x\r\n\r\n"))
	p.expect([]byte(okAnswer))
	if b := p.rest(); len(b) != 0 {
		t.Errorf("%q", b)
	}
}

// TestBrokenCircuitBeforeTheAnswer has the Dialer's reason.
func TestBrokenCircuitBeforeTheAnswer(t *testing.T) {
	f := newFar(t, func(c *net.TCPConn) {
		io.ReadAtLeast(c, make([]byte, 4096), 10)
		c.SetLinger(0)
	})
	_, addr := start(t, Config{Dialer: f})
	p := open(t, addr)
	p.send([]byte("GET http://a.test/ HTTP/1.1\r\nHost: x\r\n\r\n"))
	if b := string(p.rest()); !strings.HasPrefix(b, "HTTP/1.1 502 Bad Gateway\r\nX-Chive-Error: circuit_failed\r\n") {
		t.Errorf("%q", b)
	}
	if answerError(refusal(reasonNetworkDown)) != refusal(reasonNetworkDown) || answerError(errors.New("x")) != refusal(reasonCircuitFailed) {
		t.Error("reason lost")
	}
}
