// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const sampleRequest = "GET http://example.com:8080/path?q HTTP/1.1\r\nHost: example.com:8080\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n" +
	"Proxy-Authorization: Basic dXNlcjpwYXNz\r\nX-Chive-Isolation: a, b\r\nAccept: */*\r\n\r\n"

// TestHeadCutAtEveryByteIsNotAHead, and read a byte at a time it is whole.
func TestHeadCutAtEveryByteIsNotAHead(t *testing.T) {
	for cut := range sampleRequest {
		f := feed{src: strings.NewReader(sampleRequest[:cut])}
		want := io.ErrUnexpectedEOF
		if cut == 0 {
			want = io.EOF
		}
		if _, err := f.readHead(1 << 10); err != want {
			t.Errorf("cut at %d: %v", cut, err)
		}
		if _, err := parseRequest(sampleRequest[:cut]); err == nil {
			t.Errorf("cut at %d was parsed", cut)
		}
		if _, err := parseResponse(okAnswer[:min(cut, len(okAnswer)-3)]); err == nil {
			t.Errorf("answer cut at %d was parsed", cut)
		}
	}
	f := feed{src: iotest.OneByteReader(strings.NewReader(sampleRequest + "behind"))}
	head, err := f.readHead(len(sampleRequest))
	rest, _ := io.ReadAll(&f)
	if err != nil || head != sampleRequest || string(rest) != "behind" {
		t.Errorf("%q %q %v", head, rest, err)
	}
	f = feed{src: strings.NewReader(sampleRequest)}
	if _, err := f.readHead(len(sampleRequest) - 1); err != errFull {
		t.Error(err)
	}
	if _, err := parseRequest(sampleRequest + "x"); err != errHead {
		t.Error("bytes behind the empty line were taken")
	}
}

func TestRequestIsReadAsItStands(t *testing.T) {
	r, err := parseRequest(sampleRequest)
	if err != nil || r.method != "GET" || r.form != formAbsolute || r.to != (address{name: "example.com", port: 8080}) ||
		r.target != "/path?q" || r.host != "example.com:8080" || r.minor != 1 || !r.keepAlive() || !r.replayable() ||
		r.cred != (credentials{user: "user", password: "pass", extra: "\n\na, b"}) {
		t.Errorf("%+v %v", r, err)
	}
}

// TestCredentialsOfHTTP: Basic is SOCKS5's pair; all else is opaque, and no two
// ways of saying it run into each other.
func TestCredentialsOfHTTP(t *testing.T) {
	basic := field{"proxy-authorization", "basic dXNlcjpwYXNz"}
	if c := parseCredentials([]field{basic}); c != (credentials{user: "user", password: "pass"}) {
		t.Error("Basic")
	}
	seen := map[credentials]int{}
	for i, fields := range [][]field{
		{}, {basic}, {basic, basic}, {{"Proxy-Authorization", "Bearer x"}}, {{"Proxy-Authorization", "Basic !"}}, {{"Proxy-Authorization", "Basic dXNlcg=="}},
		{{"X-Chive-Isolation", "x"}}, {{"X-Chive-Isolation", "Bearer x"}}, {{"X-Chive-Isolation", "x"}, {"X-Chive-Isolation", "x"}}, {basic, {"X-Chive-Isolation", "x"}},
		{{"Proxy-Authorization", "a"}, {"Proxy-Authorization", "b"}}, {{"Proxy-Authorization", "a"}, {"X-Chive-Isolation", "b"}},
		{{"X-Chive-Isolation", ""}}, {{"Proxy-Authorization", ""}},
	} {
		c := parseCredentials(fields)
		if j, ok := seen[c]; ok && i != 13 {
			t.Errorf("%d and %d are one identity", i, j)
		}
		seen[c] = i
	}
	a := parseCredentials([]field{{"X-Chive-Isolation", "x"}})
	if a != parseCredentials([]field{{"x-tor-stream-isolation", "x"}}) {
		t.Error("the two names differ")
	}
}

func TestChunkLines(t *testing.T) {
	for line, want := range map[string]int64{
		"0\r\n": 0, "a\r\n": 10, "0A;x=\"y\"\r\n": 10, "ff \t;x\r\n": 255, "0000000000000001\r\n": 1, "3fffffffffffffff\r\n": 1<<62 - 1,
		"\r\n": -1, "g\r\n": -1, "-1\r\n": -1, "0x1\r\n": -1, "1\n": -1, "1 1\r\n": -1, "1\r;\r\n": -1, "00000000000000001\r\n": -1,
		"7fffffffffffffff\r\n": -1, ";\r\n": -1, " 1\r\n": -1,
	} {
		size, n, err := parseChunkLine([]byte(line))
		if want < 0 && err != errHead || want >= 0 && (err != nil || size != want || n != len(line)) {
			t.Errorf("%q: %d %v", line, size, err)
		}
	}
}

// FuzzHTTPHead: a request that is taken goes out in a form that any reader takes
// the same way, without what must not pass, and that is its own normal form.
func FuzzHTTPHead(f *testing.F) {
	for _, s := range []string{
		sampleRequest, okAnswer, "CONNECT [2001:db8::1]:443 HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET http://a/ws HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		"POST http://a? HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n", "PUT http://a HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
		"OPTIONS http://a:1 HTTP/1.1\r\nProxy-Authorization: Basic dTpw\r\nTE: trailers\r\nKeep-Alive: 1",
		"GET http://a/ HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\nConnection: host, close",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: x, close\r\nX: y\r\nProxy-Z: q\r\nX-Chive-Error: r",
		"HTTP/1.0 200\nA : b\n c\nContent-Length: 1\nContent-Length: 1\n\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = append(bytes.Clone(b), "\r\n\r\n"...) // so that most inputs have an end
		in := feed{src: bytes.NewReader(b)}
		head, err := in.readHead(DefaultHeaderSize)
		if err != nil {
			return
		}
		if !bytes.HasPrefix(b, []byte(head)) || len(head) > DefaultHeaderSize {
			t.Fatal("head")
		}
		if r, err := parseRequest(head); err == nil && r.form == formAbsolute {
			checkOutgoing(t, &r)
		} else if err == nil && r.form == formConnect && r.to.port == 0 {
			t.Fatal("port 0")
		}
		if r, err := parseResponse(head); err == nil {
			out := string(appendResponse(nil, &r, r.body.chunked, false, false))
			again, err := parseResponse(out)
			if err != nil || again.status != r.status || again.body != r.body || strings.Count(out, "\r\n\r\n") != 1 || strings.Contains(strings.ToLower(out), "\r\nproxy-") {
				if r.status >= 200 && r.status != 204 {
					t.Fatalf("%q became %q: %v", head, out, err)
				}
			}
		}
	})
}

func checkOutgoing(t *testing.T, r *request) {
	t.Helper()
	out := string(appendRequest(nil, r))
	line, fields, _ := strings.Cut(out, "\r\n")
	if strings.Count(line, " ") != 2 || !strings.HasSuffix(out, "\r\n\r\n") || strings.Count(out, "\r\n\r\n") != 1 {
		t.Fatalf("%q", out)
	}
	parsed, err := parseFields(fields, false)
	if err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	body, err := parseFraming(parsed, false)
	if err != nil || body != r.body {
		t.Fatalf("framing of %q: %v", out, err)
	}
	hosts := 0
	for _, f := range parsed {
		lower := strings.ToLower(f.name)
		if strings.HasPrefix(lower, "proxy-") || lower == "x-chive-isolation" || lower == "x-tor-stream-isolation" || lower == "te" || lower == "keep-alive" ||
			!r.upgrade && (lower == "connection" || lower == "upgrade") {
			t.Fatalf("%s passed", f.name)
		}
		if lower == "host" {
			hosts++
			if f.value != r.host {
				t.Fatal("host")
			}
		}
	}
	if hosts != 1 {
		t.Fatalf("%d hosts", hosts)
	}
	// Sent through another proxy of the kind, it would come out the same.
	twice, err := parseRequest(strings.Replace(out, " ", " http://"+r.host, 1))
	if r.target == "*" {
		return
	}
	if err != nil || string(appendRequest(nil, &twice)) != out {
		t.Fatalf("%q is not its own normal form: %v", out, err)
	}
}
