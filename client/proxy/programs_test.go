// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"testing"
)

// site is a real web server, reached whatever the name, for real programs.
type site struct {
	far
	clear, secure *httptest.Server
}

func newSite(t *testing.T) *site {
	s := &site{}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for name := range r.Header {
			if strings.HasPrefix(name, "Proxy-") {
				t.Errorf("%s reached the site", name)
			}
		}
		io.WriteString(w, r.Method+" "+r.Host+r.URL.Path+" "+string(body))
	})
	s.clear, s.secure = httptest.NewServer(handler), httptest.NewTLSServer(handler)
	t.Cleanup(s.clear.Close)
	t.Cleanup(s.secure.Close)
	s.t = t
	return s
}

func (s *site) Dial(ctx context.Context, iso Isolation, t Target, early []byte) (Conn, error) {
	if t.Host == "refused.test" {
		return nil, refusal(reasonRefusedByTarget)
	}
	l := s.clear.Listener
	if t.Port == 443 {
		l = s.secure.Listener
	}
	return s.dial(ctx, l, iso, t, early)
}

// TestGoNetHTTP is the row of product 4.7.
func TestGoNetHTTP(t *testing.T) {
	s := newSite(t)
	_, addr := start(t, Config{Options: Options{Name: "main"}, Dialer: s})
	for _, c := range []struct {
		proxy string
		cred  credentials
	}{
		{"socks5://", credentials{}}, {"socks5://u:p@", credentials{user: "u", password: "p"}},
		{"http://", credentials{}}, {"http://u:p@", credentials{user: "u", password: "p"}},
	} {
		proxy, err := url.Parse(c.proxy + addr)
		if err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		client := &http.Client{Transport: transport, Timeout: patience}
		for range 2 { // the second time over the kept connection
			for _, to := range []string{"http://site.test/a", "https://site.test/a"} {
				resp, err := client.Post(to, "text/plain", strings.NewReader("body"))
				if err != nil {
					t.Fatalf("%s %s: %v", c.proxy, to, err)
				}
				b, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(b) != "POST site.test/a body" {
					t.Errorf("%s %s: %q %v", c.proxy, to, b, err)
				}
			}
		}
		if _, err := client.Get("https://refused.test/"); err == nil {
			t.Error("a refused target answered")
		}
		transport.CloseIdleConnections()
		d := s.dialled()
		if want := isolationKey("main", "127.0.0.1", c.cred); d[len(d)-1].iso != want {
			t.Errorf("%s: another isolation key", c.proxy)
		}
	}
}

// TestCurl is the row of product 4.7, over loopback.
func TestCurl(t *testing.T) {
	t.Parallel()
	curl := needTool(t, "curl", exec.LookPath)
	s := newSite(t)
	_, addr := start(t, Config{Options: Options{Name: "main"}, Dialer: s})
	pair := isolationKey("main", "127.0.0.1", credentials{user: "user", password: "pass"})
	none := isolationKey("main", "127.0.0.1", credentials{})
	run := func(args ...string) (string, int) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), curl, append([]string{"--silent", "--max-time", "10", "--insecure"}, args...)...)
		cmd.Env = []string{"NO_PROXY="}
		out, err := cmd.Output()
		if exit, ok := err.(*exec.ExitError); ok {
			return string(out), exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		return string(out), 0
	}
	for _, c := range []struct {
		args []string
		iso  Isolation
	}{
		{[]string{"--proxy", "socks5h://" + addr}, none},
		{[]string{"--socks5-hostname", addr}, none},
		{[]string{"--proxy", "socks5h://user:pass@" + addr}, pair},
		{[]string{"--socks4a", addr}, none},
		{[]string{"--proxy", "socks4a://joe@" + addr}, isolationKey("main", "127.0.0.1", credentials{user: "joe"})},
		{[]string{"--proxy", "http://" + addr}, none},
		{[]string{"--proxy", "http://user:pass@" + addr}, pair},
		{[]string{"--proxy", "http://user:pass@" + addr, "--proxytunnel"}, pair},
	} {
		for _, to := range []string{"http://site.test/a", "https://site.test/a"} {
			out, code := run(append(c.args, "--data", "body", to)...)
			if code != 0 || out != "POST site.test/a body" {
				t.Errorf("%v %s: %q, exit %d", c.args, to, out, code)
			}
			d := s.dialled()
			if len(d) == 0 || d[len(d)-1].iso != c.iso {
				t.Errorf("%v: another isolation key", c.args)
			}
		}
	}
	// A failing target ends with curl's code for it, at once.
	if _, code := run("--proxy", "socks5h://"+addr, "http://refused.test/"); code != 97 {
		t.Errorf("socks5: exit %d", code)
	}
	if _, code := run("--socks4a", addr, "http://refused.test/"); code != 97 {
		t.Errorf("socks4a: exit %d", code)
	}
	if out, _ := run("--proxy", "http://"+addr, "--include", "http://refused.test/"); !strings.Contains(out, "X-Chive-Error: refused_by_target") {
		t.Errorf("http: %q", out)
	}
	if _, code := run("--proxy", "http://"+addr, "https://refused.test/"); code != 56 {
		t.Errorf("CONNECT: exit %d", code)
	}
	// Resolved outside, then a bare local address: refused.
	if _, code := run("--socks5", addr, "http://127.0.0.1:1/"); code != 97 {
		t.Errorf("bare address: exit %d", code)
	}
	// Ranges over the plain path, twice on one connection.
	if out, code := run("--proxy", "http://"+addr, "http://site.test/1", "http://site.test/2"); code != 0 || out != "GET site.test/1 GET site.test/2 " {
		t.Errorf("%q, exit %d", out, code)
	}
	if out, code := run("http://" + addr + "/"); code != 0 || !strings.Contains(out, "proxy port") {
		t.Errorf("the port itself: %q, exit %d", out, code)
	}
}
