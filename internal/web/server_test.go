// SPDX-License-Identifier: BSD-3-Clause

package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"chive/internal/control"
	"chive/internal/testutil"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served is a page that is served until its test ends.
type served struct {
	addr   string
	tokens Tokens
	asked  atomic.Int32 // requests that reached the API
	client http.Client
	stop   context.CancelFunc
}

// serve serves an API, or one that only counts.
func serve(t *testing.T, api http.Handler) *served {
	t.Helper()
	s := new(served)
	if api == nil {
		api = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
				return
			}
			_, _ = io.WriteString(w, "{}\n")
		})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	s.client.Transport = &http.Transport{}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, l, Config{Tokens: &s.tokens, API: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.asked.Add(1)
			api.ServeHTTP(w, r)
		})})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		s.client.CloseIdleConnections()
	})
	return s
}

// do sends a request with that secret and those header lines.
func (s *served) do(t *testing.T, method, path, secret, body string, head ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if secret != "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	for _, line := range head {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			r.Host = value
		}
		r.Header.Add(name, value)
	}
	got, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	data, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got, string(data)
}

// login trades a new token for a secret.
func (s *served) login(t *testing.T) string {
	t.Helper()
	got, body := s.do(t, "POST", sessionPath, "", tokenBody(s.tokens.Mint()))
	var answer struct{ Schema, Secret string }
	if got.StatusCode != 200 || json.Unmarshal([]byte(body), &answer) != nil || answer.Schema != sessionSchema || len(answer.Secret) < 43 {
		t.Fatalf("session: %d %s", got.StatusCode, body)
	}
	return answer.Secret
}

func tokenBody(token string) string { return fmt.Sprintf(`{"token":%q}`, token) }

func TestFilesAreThere(t *testing.T) {
	s := serve(t, nil)
	for path, kind := range map[string]string{"/": "text/html", "/app.js": "text/javascript", "/style.css": "text/css", "/icon.svg": "image/svg+xml"} {
		got, body := s.do(t, "GET", path, "", "")
		if got.StatusCode != 200 || !strings.HasPrefix(got.Header.Get("Content-Type"), kind) || body == "" {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.Header.Get("Content-Type"))
		}
	}
	if s.asked.Load() != 0 {
		t.Error("files come from the API")
	}
}

// TestFilesNameNoOtherPlace: no asset has the address of anything that would be fetched
// from elsewhere (PAGE-1), and none turns text into markup.
func TestFilesNameNoOtherPlace(t *testing.T) {
	for path, f := range files() {
		text := strings.ReplaceAll(string(f.data), "http://www.w3.org/2000/svg", "") // a name, never fetched
		for _, banned := range []string{"http:", "https:", "//cdn", "@import", "url(", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=", "document.cookie"} {
			if strings.Contains(text, banned) {
				t.Errorf("%s has %q", path, banned)
			}
		}
	}
}

// TestEveryAnswerIsProtected: also a refusal's.
func TestEveryAnswerIsProtected(t *testing.T) {
	s := serve(t, nil)
	secret := s.login(t)
	for _, c := range []struct{ method, path, secret, head string }{
		{"GET", "/", "", "X: y"}, {"GET", "/nothing", "", "X: y"}, {"GET", "/v1/status", "", "X: y"},
		{"GET", "/v1/status", secret, "X: y"}, {"GET", "/", "", "Host: evil.example"}, {"POST", sessionPath, "", "X: y"},
	} {
		got, _ := s.do(t, c.method, c.path, c.secret, "", c.head)
		h := got.Header
		csp := h.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, part) {
				t.Errorf("%s %s: policy %q", c.method, c.path, csp)
			}
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: %v", c.method, c.path, h)
		}
		if h.Get("Set-Cookie") != "" || h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %s gives a cookie or another origin", c.method, c.path)
		}
	}
}

// TestWhoGetsNothing: another Host, Origin, site, token or secret never reaches the API
// (PAGE-2, security A8).
func TestWhoGetsNothing(t *testing.T) {
	s := serve(t, nil)
	secret := s.login(t)
	port := s.addr[strings.LastIndex(s.addr, ":"):]
	for _, c := range []struct {
		name, method, path, secret string
		head                       []string
		want                       int
	}{
		{"the page's script", "GET", "/v1/status", secret, []string{"Sec-Fetch-Site: same-origin"}, 200},
		{"its write", "POST", "/v1/newnym", secret, []string{"Origin: http://" + s.addr, "Sec-Fetch-Site: same-origin"}, 200},
		{"localhost", "GET", "/v1/status", secret, []string{"Host: localhost" + port}, 200},
		{"localhost's own origin", "POST", "/v1/newnym", secret, []string{"Host: localhost" + port, "Origin: http://localhost" + port}, 200},
		{"a link to the page", "GET", "/", "", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, 200},

		{"no secret", "GET", "/v1/status", "", nil, 401},
		{"another secret", "GET", "/v1/status", newSecret(), nil, 401},
		{"no such path without a secret", "GET", "/v1/other", "", nil, 401},
		{"rebound name", "GET", "/v1/status", secret, []string{"Host: evil.example" + port}, 403},
		{"rebound name, files", "GET", "/", "", []string{"Host: evil.example" + port}, 403},
		{"another port", "GET", "/v1/status", secret, []string{"Host: 127.0.0.1:1"}, 403},
		{"no port", "GET", "/v1/status", secret, []string{"Host: localhost"}, 403},
		{"another loopback address", "GET", "/v1/status", secret, []string{"Host: 127.0.0.2" + port}, 403},
		{"other origin", "GET", "/v1/status", secret, []string{"Origin: http://evil.example"}, 403},
		{"no origin", "POST", "/v1/newnym", secret, []string{"Origin: null"}, 403},
		{"another port's origin", "POST", "/v1/newnym", secret, []string{"Origin: http://127.0.0.1:1"}, 403},
		{"other scheme", "POST", "/v1/newnym", secret, []string{"Origin: https://" + s.addr}, 403},
		{"other name of this host", "POST", "/v1/newnym", secret, []string{"Origin: http://localhost" + port}, 403},
		{"two origins", "POST", "/v1/newnym", secret, []string{"Origin: http://" + s.addr, "Origin: http://evil.example"}, 403},
		{"cross-site read", "GET", "/v1/status", secret, []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"same-site read", "GET", "/v1/status", secret, []string{"Sec-Fetch-Site: same-site"}, 403},
		{"cross-site write", "POST", "/v1/newnym", secret, []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"script of another site", "GET", "/app.js", "", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script"}, 403},
		{"frame of another site", "GET", "/", "", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"}, 403},
		{"link to the API", "GET", "/v1/status", secret, []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, 403},
		{"form of another site", "POST", "/", "", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, 403},
		{"write to a file", "POST", "/", "", nil, 405},
		{"no file", "GET", "/assets/app.js", "", nil, 404},
		{"above the files", "GET", "/../server.go", "", nil, 404},
		{"read of the session", "GET", sessionPath, secret, nil, 405},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := s.asked.Load()
			got, body := s.do(t, c.method, c.path, c.secret, "", c.head...)
			if got.StatusCode != c.want {
				t.Fatalf("status %d, want %d: %s", got.StatusCode, c.want, body)
			}
			if reached := s.asked.Load() != before; reached != (c.want == 200 && c.path != "/") {
				t.Errorf("reached the API: %v", reached)
			}
			var f struct{ Schema, Code, Text, Fix string }
			if c.want == 401 && (json.Unmarshal([]byte(body), &f) != nil || !strings.Contains(f.Fix, "--state DIR")) {
				t.Errorf("the fix of %s does not say whom to ask: %s", c.name, f.Fix)
			}
			if c.want != 200 && (json.Unmarshal([]byte(body), &f) != nil || f.Schema != "chive.error/1" || f.Code == "" || f.Text == "" || f.Fix == "") {
				t.Errorf("failure %s", body)
			}
		})
	}
}

func TestTokensAreGoodOnceAndForAMinute(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		var tokens Tokens
		first := tokens.Mint()
		if !tokens.take(first) || tokens.take(first) {
			t.Error("a token is good once")
		}
		if tokens.take("") || tokens.take(newSecret()) {
			t.Error("another token is good")
		}
		late, last := tokens.Mint(), tokens.Mint()
		<-time.After(TokenTime - time.Second)
		if !tokens.take(last) {
			t.Error("a token ended early")
		}
		<-time.After(time.Second)
		if tokens.take(late) {
			t.Error("a token is good for too long")
		}
		oldest := tokens.Mint()
		second := tokens.Mint()
		for range TokenCount - 1 {
			tokens.Mint()
		}
		if tokens.take(oldest) || !tokens.take(second) || len(tokens.live) != TokenCount-1 {
			t.Error("a further token ends the oldest")
		}
	})
}

func TestSessionsAreBoundedAndEnd(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		var s sessions
		defer func() {
			for _, one := range s.live {
				one.end()
			}
		}()
		first, _ := s.begin(t.Context())
		<-time.After(time.Minute)
		for range SessionCount - 1 {
			if _, ok := s.begin(t.Context()); !ok {
				t.Fatal("refused below the bound")
			}
		}
		if _, ok := s.begin(t.Context()); ok {
			t.Fatal("one beyond the bound")
		}
		inside := s.enter(first)
		<-time.After(2 * IdleTime)
		if s.enter(first) != inside {
			t.Fatal("a session ended within a request")
		}
		if len(s.live) != 1 {
			t.Fatalf("%d sessions are left after idling", len(s.live))
		}
		s.leave(inside)
		s.leave(inside)
		<-time.After(IdleTime - 1)
		if s.enter(first) == nil {
			t.Fatal("a session ended early")
		}
		s.leave(inside)
		<-time.After(IdleTime)
		if s.enter(first) != nil || inside.ctx.Err() == nil {
			t.Fatal("an idle session goes on")
		}
	})
}

// TestWrongSecretsAreCounted: who guesses is told to come later, and cannot lock out
// who is right.
func TestWrongSecretsAreCounted(t *testing.T) {
	s := serve(t, nil)
	secret := s.login(t)
	for i := range WrongCount + 5 {
		method, path, body := "POST", sessionPath, tokenBody(newSecret())
		if i%2 == 0 {
			method, path, body = "GET", "/v1/status", ""
		}
		got, _ := s.do(t, method, path, "", body)
		want := 401
		if i >= WrongCount {
			want = 429
		}
		if got.StatusCode != want {
			t.Fatalf("try %d: %d, want %d", i, got.StatusCode, want)
		}
	}
	if got, _ := s.do(t, "GET", "/v1/status", secret, ""); got.StatusCode != 200 {
		t.Errorf("the right secret: %d", got.StatusCode)
	}
	s.login(t)
	testutil.Bubble(t, func(t *testing.T) {
		var s sessions
		for range WrongCount {
			if s.tooWrong() {
				t.Fatal("too early")
			}
		}
		if !s.tooWrong() {
			t.Fatal("not counted")
		}
		<-time.After(time.Minute)
		if s.tooWrong() {
			t.Fatal("counted for longer than a minute")
		}
	})
}

func TestRequestsAreBounded(t *testing.T) {
	s := serve(t, nil)
	secret := s.login(t)
	if got, _ := s.do(t, "POST", "/v1/x", secret, strings.Repeat("x", MaxBodySize)); got.StatusCode != 200 {
		t.Errorf("a body at the bound: %d", got.StatusCode)
	}
	if got, _ := s.do(t, "POST", "/v1/x", secret, strings.Repeat("x", MaxBodySize+1)); got.StatusCode != 413 {
		t.Errorf("a body beyond it: %d", got.StatusCode)
	}
	if got, _ := s.do(t, "POST", sessionPath, "", strings.Repeat(" ", MaxBodySize+1)); got.StatusCode != 413 {
		t.Errorf("a token beyond it: %d", got.StatusCode)
	}
	idle := make([]net.Conn, 0, ConnectionCount)
	s.client.CloseIdleConnections()
	open := func(head string) net.Conn {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_, _ = io.WriteString(c, "GET /icon.svg HTTP/1.1\r\nHost: "+s.addr+"\r\n"+head+"\r\n")
		return c
	}
	endless := open("X: " + strings.Repeat("x", 2*headerSize) + "\r\n")
	if line, _ := bufio.NewReader(endless).ReadString('\n'); !strings.Contains(line, " 431 ") {
		t.Errorf("an endless header: %s", line)
	}
	_ = endless.Close()
	for range ConnectionCount {
		c := open("")
		if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	further := open("")
	got := make(chan error, 1)
	go func() {
		_, err := bufio.NewReader(further).ReadString('\n')
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatalf("one beyond the bound was served: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	_ = idle[0].Close()
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// TestSignedOutIsOver: also for the stream of events that is open.
func TestSignedOutIsOver(t *testing.T) {
	began := make(chan struct{}, 1)
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		began <- struct{}{}
		<-r.Context().Done()
	}))
	secret := s.login(t)
	over := make(chan struct{})
	go func() {
		defer close(over)
		r, err := http.NewRequest("GET", "http://"+s.addr+"/v1/events", nil)
		if err != nil {
			t.Error(err)
			return
		}
		r.Header.Set("Authorization", "Bearer "+secret)
		got, err := s.client.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		defer got.Body.Close()
		_, _ = io.Copy(io.Discard, got.Body)
	}()
	<-began
	if got, _ := s.do(t, "DELETE", sessionPath, secret, ""); got.StatusCode != 204 {
		t.Errorf("end of the session: %d", got.StatusCode)
	}
	<-over
	if got, _ := s.do(t, "GET", "/v1/status", secret, ""); got.StatusCode != 401 {
		t.Errorf("after it: %d", got.StatusCode)
	}
}

// TestServeRefusesOtherMachines: a page on an address that others reach is none.
// TestWhatIsAbsentIsEmptyForThePage: the page's own questions for what a daemon lacks
// meet no 404, which a browser would write to its console. Others do.
func TestWhatIsAbsentIsEmptyForThePage(t *testing.T) {
	s := serve(t, control.Handler(newTestnetWithout(), nil))
	secret := s.login(t)
	for _, path := range []string{"/v1/config", "/v1/events"} {
		if got, body := s.do(t, "GET", path, secret, "", absentHeader+": empty"); got.StatusCode != 204 || body != "" {
			t.Errorf("%s for the page: %d %q", path, got.StatusCode, body)
		}
		if got, body := s.do(t, "GET", path, secret, ""); got.StatusCode != 404 || !strings.Contains(body, "not_here") {
			t.Errorf("%s for others: %d %q", path, got.StatusCode, body)
		}
	}
	if got, body := s.do(t, "GET", "/v1/status", secret, "", absentHeader+": empty"); got.StatusCode != 200 || !strings.Contains(body, "chive.status/1") {
		t.Errorf("what is there: %d %q", got.StatusCode, body)
	}
	if got, _ := s.do(t, "POST", "/v1/circuits/none/close", secret, "", absentHeader+": empty"); got.StatusCode != 404 {
		t.Errorf("what does something: %d", got.StatusCode)
	}
	if got, _ := s.do(t, "GET", "/v1/config", "", "", absentHeader+": empty"); got.StatusCode != 401 {
		t.Errorf("without a session: %d", got.StatusCode)
	}
}

func TestServeRefusesOtherMachines(t *testing.T) {
	l := &otherListener{addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}}
	if err := Serve(t.Context(), l, Config{}); !errors.Is(err, ErrNotLoopback) || !l.closed {
		t.Errorf("got %v", err)
	}
	broken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = broken.Close()
	if err := Serve(t.Context(), broken, Config{}); !errors.Is(err, ErrServe) {
		t.Errorf("a listener that broke: %v", err)
	}
}

type otherListener struct {
	net.Listener
	addr   net.Addr
	closed bool
}

func (l *otherListener) Addr() net.Addr { return l.addr }
func (l *otherListener) Close() error   { l.closed = true; return nil }

func TestAddressesHideTheTokenFromServers(t *testing.T) {
	a := Address(&net.TCPAddr{IP: net.IPv6loopback, Port: 9251}, "x")
	if a != "http://[::1]:9251/#token=x" {
		t.Error(a)
	}
	if !bytes.Contains(files()["/app.js"].data, []byte("history.replaceState")) {
		t.Error("the token stays in the address")
	}
}
