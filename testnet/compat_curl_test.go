// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// curlPatience is more than any curl needs here: longer is a hang.
const curlPatience = "20"

func (c *compat) testCurl(t *testing.T) {
	curl := need(t, "curl", "curl")
	site := "http://" + siteName
	// What the site answers to a form posted to /echo: nothing was added.
	echoed := func(url string) string { return "POST " + url + " form" }
	fetch := func(args ...string) program {
		return program{path: curl, args: append([]string{"-sS", "--max-time", curlPatience}, args...)}
	}
	for _, r := range []struct {
		name  string
		proxy []string
	}{
		{"socks5h", []string{"-x", "socks5h://" + c.socks}},
		{"socks5-hostname", []string{"--socks5-hostname", c.socks}},
		{"socks5h with user and password", []string{"-x", "socks5h://user:pass@" + c.socks}},
		{"socks4a", []string{"--socks4a", c.socks}},
		{"http, absolute and CONNECT", []string{"-x", "http://" + c.socks}},
		{"http with user and password", []string{"-x", "http://user:pass@" + c.socks}},
		{"http, CONNECT for both", []string{"-x", "http://" + c.socks, "--proxytunnel"}},
	} {
		c.row(t, r.name, func(t *testing.T) {
			for _, url := range []string{site + "/echo", "https://" + siteName + "/echo"} {
				c.must(t, fetch(append(r.proxy, "-k", "-d", "form", url)...), echoed(url))
			}
			// The certificate is the site's own: nobody sits in between.
			c.must(t, fetch(append(r.proxy, "--cacert", c.town.site.cert, "-d", "form", "https://"+siteName+"/echo")...),
				echoed("https://"+siteName+"/echo"))
			c.must(t, fetch(append(r.proxy, "http://"+TargetName+"/")...), Page)
		})
	}
	c.row(t, "socks5 and socks4 with an address", func(t *testing.T) {
		host := c.town.addr(siteName).String()
		for _, flag := range []string{"--socks5", "--socks4"} {
			c.must(t, fetch(flag, c.socks, "-d", "form", "http://"+host+"/echo"), echoed("http://"+host+"/echo"))
		}
	})
	c.row(t, "the port itself", func(t *testing.T) {
		r := c.run(t, fetch("-i", "http://"+c.socks+"/"))
		if r.code != 0 || !strings.HasPrefix(r.out, "HTTP/1.1 501 ") || !strings.Contains(r.out, "proxy port") {
			t.Error(r)
		}
	})
	c.row(t, "two requests on one connection", func(t *testing.T) {
		for _, proxy := range []string{"socks5h://", "http://"} {
			c.must(t, fetch("-x", proxy+c.socks, "-d", "form", site+"/echo", site+"/echo"), echoed(site+"/echo")+echoed(site+"/echo"))
		}
	})
	c.testCurlFailures(t, curl)
	for _, r := range []struct{ name, banner, reason string }{
		{"a target that resets", "", "refused_by_target"},
		{"a banner, and no end", "SSH-2.0-x\r\n", "bad_answer"},
	} {
		c.row(t, "failure: "+r.name, func(t *testing.T) { c.testNoHTTP(t, curl, r.banner, r.reason) })
	}
	c.row(t, "failure: silent host", func(t *testing.T) { c.testSilence(t, curl) })
	c.testCurlIsolation(t, curl)
}

// testCurlFailures wants curl's own code for each target that fails, the number of
// the reason where curl shows it, and no hang.
func (c *compat) testCurlFailures(t *testing.T, curl string) {
	closed := freePort(t)
	link := c.net.Relays[0].Addr().String()
	for _, r := range []struct {
		name, host  string
		socks, http string // number of the reply; reason in X-Chive-Error
		status      string
	}{
		{"closed port", siteName + ":81", "(5)", "refused_by_target", " 502 "},
		{"closed port of this host", closed, "(5)", "refused_by_target", " 502 "},
		{"unknown name", missingName, "(4)", "name_not_found", " 502 "},
		{"name of Tor", "x.onion", "(4)", "name_not_found", " 502 "},
		{"a relay's own port", link, "(2)", "exit_policy", " 403 "},
	} {
		c.row(t, "failure: "+r.name, func(t *testing.T) {
			began := time.Now()
			base := []string{"-sS", "--max-time", curlPatience}
			got := c.run(t, program{path: curl, args: append(base, "-x", "socks5h://"+c.socks, "http://"+r.host+"/")})
			if got.code != 97 || !strings.Contains(got.err, r.socks) {
				t.Errorf("socks5h: want exit 97 with %s\n%s", r.socks, got)
			}
			if r.name != "name of Tor" { // curl itself refuses it
				got = c.run(t, program{path: curl, args: append(base, "--socks4a", c.socks, "http://"+r.host+"/")})
				if got.code != 97 || !strings.Contains(got.err, "91") {
					t.Errorf("socks4a: want exit 97 with 91\n%s", got)
				}
			}
			got = c.run(t, program{path: curl, args: append(base, "-i", "-x", "http://"+c.socks, "http://"+r.host+"/")})
			if got.code != 0 || !strings.Contains(got.out, r.status) || !strings.Contains(got.out, "X-Chive-Error: "+r.http) {
				t.Errorf("http: want %s and %s\n%s", r.status, r.http, got)
			}
			if r.host == link && !strings.Contains(got.out, "of this testnet do not connect to this port of their machine: a relay listens there") {
				t.Errorf("http: it does not say why\n%s", got)
			}
			got = c.run(t, program{path: curl, args: append(base, "-x", "http://"+c.socks, "https://"+r.host+"/")})
			if got.code != 56 || !strings.Contains(got.err, strings.TrimSpace(r.status)) {
				t.Errorf("CONNECT: want exit 56 with %s\n%s", r.status, got)
			}
			if d := time.Since(began); d > 10*time.Second {
				t.Errorf("four failures took %v", d)
			}
		})
	}
}

// testNoHTTP wants the reason, at once, of a target that speaks no HTTP: it sends a banner and
// waits, or without one resets the connection.
func (c *compat) testNoHTTP(t *testing.T, curl, banner, reason string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				if banner == "" {
					_ = conn.(*net.TCPConn).SetLinger(0)
				} else {
					_, _ = io.WriteString(conn, banner)
					_, _ = io.Copy(io.Discard, conn)
				}
				_ = conn.Close()
			}()
		}
	}()
	for _, body := range []string{"", "form"} {
		args := []string{"-sS", "-i", "--max-time", "10", "-x", "http://" + c.socks, "http://" + l.Addr().String() + "/"}
		if body != "" {
			args = append(args, "-d", body)
		}
		got := c.run(t, program{path: curl, args: args})
		if got.code != 0 || !strings.Contains(got.out, " 502 ") || !strings.Contains(got.out, "X-Chive-Error: "+reason+"\r\n") {
			t.Errorf("body %q: want 502 and %s\n%s", body, reason, got)
		}
	}
}

// testSilence wants the code of a timeout, within a time that a person would wait,
// for a host that does not answer at any exit.
func (c *compat) testSilence(t *testing.T, curl string) {
	if !full() && os.Getenv("CHIVE_REQUIRE_TOOLS") != "1" {
		t.Skip("waits for a host that does not answer: bash .ci/phases/e2e.sh, CHIVE_FULL=1 or the tag soak")
	}
	began := time.Now()
	got := c.run(t, program{path: curl, args: []string{"-sS", "--max-time", "50", "-x", "socks5h://" + c.socks, "http://" + silentName + "/"}})
	if got.code != 97 || !strings.Contains(got.err, "(6)") {
		t.Errorf("want exit 97 with (6)\n%s", got)
	}
	t.Logf("%v", time.Since(began).Round(time.Millisecond))
}

// freePort returns an address of this host that nothing listens at.
func freePort(t *testing.T) string {
	t.Helper()
	at, err := FreePort() // none that the system gives to a connection meanwhile
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// testCurlIsolation holds two requests open at a time and looks at the circuits
// that carry them.
func (c *compat) testCurlIsolation(t *testing.T, curl string) {
	for _, r := range []struct {
		name, one, two string
		circuits       int
	}{
		{"same credentials, same circuit", "socks5h://ann:1@", "socks5h://ann:1@", 1},
		{"other user, other circuit", "socks5h://ann:1@", "socks5h://bob:1@", 2},
		{"other password, other circuit", "socks5h://ann:1@", "socks5h://ann:2@", 2},
		{"none and some, other circuit", "socks5h://", "socks5h://ann:1@", 2},
		{"socks5 and http Basic agree", "socks5h://ann:1@", "http://ann:1@", 1},
		{"http Basic isolates", "http://ann:1@", "http://ann:2@", 2},
		{"socks4 users isolate", "socks4a://ann@", "socks4a://bob@", 2},
	} {
		c.row(t, "isolation: "+r.name, func(t *testing.T) {
			var both [2]program
			for i, proxy := range []string{r.one, r.two} {
				both[i] = program{path: curl, args: []string{"-sS", "--max-time", curlPatience, "-x", proxy + c.socks, holdURL}}
			}
			if circuits := c.hold(t, both); circuits != r.circuits {
				t.Errorf("two requests on %d circuits, want %d", circuits, r.circuits)
			}
		})
	}
}

// holdURL is answered when hold says so.
const holdURL = "http://" + siteName + "/hold"

// hold runs two programs at once that each fetch holdURL, and returns how many
// circuits carried them.
func (c *compat) hold(t *testing.T, both [2]program) int {
	t.Helper()
	idle := time.Now().Add(5 * time.Second)
	for _, open := c.carrying(); open > 0; _, open = c.carrying() {
		if time.Now().After(idle) {
			t.Fatalf("%d streams of earlier programs are still open", open)
		}
		<-time.After(5 * time.Millisecond)
	}
	done := make(chan result, len(both))
	for _, p := range both {
		go func() {
			r, err := c.start(t.Context(), p)
			if err != nil {
				t.Errorf("%v: %s", err, r)
			}
			done <- r
		}()
	}
	timeout := time.After(20 * time.Second)
	for range both {
		select {
		case <-c.town.site.held:
		case <-timeout:
			t.Fatal("the requests did not arrive")
		}
	}
	circuits, streams := c.carrying()
	if streams != len(both) {
		t.Errorf("%d streams are open, want %d", streams, len(both))
	}
	for range both {
		c.town.site.release <- struct{}{}
	}
	for range both {
		if got := <-done; got.code != 0 || got.out != "held" {
			t.Error(got)
		}
	}
	return circuits
}

// carrying returns how many circuits have open streams, and how many streams.
func (c *compat) carrying() (circuits, streams int) {
	for _, q := range c.net.Clients[0].Circuits() {
		if q.Streams > 0 {
			circuits++
			streams += q.Streams
		}
	}
	return circuits, streams
}
