// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"strings"
	"testing"
)

// TestPlainRequestToThePortItself (HTTP-3, A8): 501, a page, and nothing behind it is looked
// at, whatever a web page makes a browser send.
func TestPlainRequestToThePortItself(t *testing.T) {
	f, addr := startHTTP(t, &origin{answer: func(string, string) string { return okAnswer }}, Config{})
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: 127.0.0.1:9250\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: rebound.test\r\nContent-Length: 60\r\n\r\nGET http://victim.test/ HTTP/1.1\r\nHost: victim.test\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		p := open(t, addr)
		p.send([]byte(request))
		b := string(p.rest())
		if !strings.HasPrefix(b, "HTTP/1.1 501 Not Implemented\r\n") || !strings.Contains(b, "Connection: close\r\n") ||
			strings.Contains(b, "proxy port") == strings.HasPrefix(request, "HEAD") || strings.Contains(b, "SOCKS4,") == strings.HasPrefix(request, "HEAD") || strings.Contains(b, "Access-Control") {
			t.Errorf("%q", b)
		}
	}
	if len(f.dialled()) != 0 {
		t.Error("dialled")
	}
}

// TestSmuggledRequestsAreRefused: whatever two readers could frame differently.
func TestSmuggledRequestsAreRefused(t *testing.T) {
	f, addr := startHTTP(t, &origin{answer: func(string, string) string { return okAnswer }}, Config{})
	for _, c := range []struct{ status, request string }{
		{"400", "POST http://a.test/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"400", "POST http://a.test/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"},
		{"400", "POST http://a.test/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"},
		{"400", "POST http://a.test/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc"},
		{"400", "POST http://a.test/ HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc"},
		{"400", "POST http://a.test/ HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nabc"},
		{"400", "POST http://a.test/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999999999\r\n\r\nabc"},
		{"400", "POST http://a.test/ HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\nabc"},
		{"501", "POST http://a.test/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
		{"501", "POST http://a.test/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"},
		{"501", "POST http://a.test/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"},
		{"400", "POST http://a.test/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"},
		{"400", "POST http://a.test/ HTTP/1.1\r\nHost: x\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"400", "POST http://a.test/ HTTP/1.1\r\nHost: x\r\nX: y\r\n\tfolded\r\n\r\n"},
		{"400", "POST http://a.test/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"400", "POST http://a.test/ HTTP/1.1\r\nHost: x\r\nConnection: content-length\r\nContent-Length: 3\r\n\r\nabc"},
		{"400", "POST http://a.test/ HTTP/1.1\r\nHost: x\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"400", "GET http://a.test/ HTTP/1.1\r\nHost: x\r\nConnection: host\r\n\r\n"},
		{"400", "GET http://a.test/ HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"},
		{"400", "GET http://a.test/ HTTP/1.1\nHost: x\n\n"},
		{"400", "GET http://a.test/ HTTP/1.1\r\nHost: x\nA: b\r\n\r\n"},
		{"400", "GET http://a.test/ HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n"},
		{"400", "GET http://a.test/ HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n"},
		{"400", "GET http://a.test/ HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n"},
		{"400", "GET http://a.test/ HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n"},
		{"400", "GET http://a.test/ \r\n\r\n"},
		{"400", "GET  http://a.test/ HTTP/1.1\r\n\r\n"},
		{"400", "GET http://a.test/ x HTTP/1.1\r\n\r\n"},
		{"400", "GET http://a.test/#f HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"400", "GET http://u:p@a.test/ HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"400", "GET http://a.test:0/ HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"400", "GET http://a.test:65536/ HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"400", "GET http://a.test:8x/ HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"400", "GET http:/// HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"400", "GET http://::1/ HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"400", "GET a.test HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"501", "GET https://a.test/ HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"501", "GET ftp://a.test/ HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"505", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
		{"505", "GET http://a.test/ HTTP/0.9\r\n\r\n"},
		{"400", "CONNECT a.test HTTP/1.1\r\n\r\n"},
		{"400", "CONNECT a.test: HTTP/1.1\r\n\r\n"},
		{"400", "CONNECT http://a.test:80/ HTTP/1.1\r\n\r\n"},
		{"400", "CONNECT a.test:443 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"},
		{"400", "CONNECT a.test:443 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"502", "CONNECT intranet:80 HTTP/1.1\r\n\r\n"},
		{"502", "CONNECT printer.local:80 HTTP/1.1\r\n\r\n"},
		{"403", "GET http://127.0.0.1:9250/ HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"403", "CONNECT [::ffff:192.168.0.1]:80 HTTP/1.1\r\n\r\n"},
		{"502", "GET http://a..b/ HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"431", "GET http://a.test/ HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("x", 65536) + "\r\n\r\n"},
		{"431", "GET http://a.test/" + strings.Repeat("x", 70_000)},
		{"400", "GET http://a.test/ HTTP/1.1\r\n" + strings.Repeat("a:b\r\n", maxFields+1) + "\r\n"},
	} {
		p := open(t, addr)
		p.send([]byte(c.request))
		if b := string(p.rest()); !strings.HasPrefix(b, "HTTP/1.1 "+c.status+" ") || strings.Count(b, "HTTP/1.1 ") != 1 || !strings.Contains(b, "X-Chive-Error: ") {
			t.Errorf("%.120q: %.60q", c.request, b)
		}
	}
	if n := len(f.dialled()); n != 0 {
		t.Errorf("%d dials", n)
	}
}

// TestHeadAtItsBound: 64 KiB pass, one more byte does not.
func TestHeadAtItsBound(t *testing.T) {
	_, addr := startHTTP(t, &origin{answer: func(string, string) string { return okAnswer }}, Config{})
	frame := len("GET http://a.test/ HTTP/1.1\r\nHost: x\r\nA: \r\n\r\n")
	for size, status := range map[int]string{DefaultHeaderSize: "200", DefaultHeaderSize + 1: "431"} {
		p := open(t, addr)
		p.send([]byte("GET http://a.test/ HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("x", size-frame) + "\r\n\r\n"))
		p.CloseWrite()
		if b := string(p.rest()); !strings.HasPrefix(b, "HTTP/1.1 "+status) {
			t.Errorf("%d: %.60q", size, b)
		}
	}
}
