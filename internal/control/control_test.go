// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fixed struct {
	asked atomic.Int32
	s     Status
}

func (f *fixed) Status() *Status { f.asked.Add(1); s := f.s; return &s }

// serving serves a status at a socket until the test ends.
func serving(t *testing.T, source Source) (path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "control") // short: a socket's path is bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, source) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return path
}

func demo() *fixed {
	return &fixed{s: Status{
		Time: time.Date(2026, 11, 24, 19, 0, 0, 0, time.UTC), Network: Network{Name: "demo", Testnet: true},
		Client: &Client{State: "ready", Percent: 100, Guards: []Guard{{RID: "aa", Why: "because"}}, Circuits: []Circuit{}},
		Relays: []Relay{},
	}}
}

func TestStatusArrivesAsItIs(t *testing.T) {
	source := demo()
	path := serving(t, source)
	for range 3 * ConnectionCount { // places are given back
		s, raw, err := Fetch(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		var again Status
		if json.Unmarshal(raw, &again) != nil || again.Schema != StatusSchema || s.Schema != StatusSchema {
			t.Fatalf("raw %s", raw)
		}
		if s.Client == nil || s.Client.Guards[0].Why != "because" || !s.Time.Equal(source.s.Time) || s.Network.Name != "demo" {
			t.Fatalf("got %+v", s)
		}
	}
}

func errOf(_ *Status, _ []byte, err error) error { return err }

// TestWhatIsRefused: other methods, hosts, origins, paths and bodies never reach the
// source (API-1, security A8).
func TestWhatIsRefused(t *testing.T) {
	source := demo()
	path := serving(t, source)
	for _, c := range []struct {
		name, head, body string
		want             int
	}{
		{"localhost", "GET /v1/status HTTP/1.1\r\nHost: localhost\r\n", "", 200},
		{"chive", "GET /v1/status HTTP/1.1\r\nHost: chive\r\n", "", 200},
		{"rebound name", "GET /v1/status HTTP/1.1\r\nHost: evil.example\r\n", "", 403},
		{"host with a port", "GET /v1/status HTTP/1.1\r\nHost: localhost:80\r\n", "", 403},
		{"absolute form of another host", "GET http://evil.example/v1/status HTTP/1.1\r\nHost: localhost\r\n", "", 403},
		{"a page's request", "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n", "", 403},
		{"post", "POST /v1/status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n", "", 405},
		{"head", "HEAD /v1/status HTTP/1.1\r\nHost: localhost\r\n", "", 405},
		{"other path", "GET /v1/other HTTP/1.1\r\nHost: localhost\r\n", "", 404},
		{"path with more", "GET /v1/status/ HTTP/1.1\r\nHost: localhost\r\n", "", 404},
		{"body", "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n", "x", 413},
		{"chunked body", "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", 413},
		{"endless header", "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 2*headerSize) + "\r\n", "", 431},
		{"no HTTP", "hello\r\n", "", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := source.asked.Load()
			conn, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.WriteString(conn, c.head+"\r\n"+c.body); err != nil {
				t.Fatal(err)
			}
			r, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodGet})
			if err != nil {
				t.Fatal(err)
			}
			if r.StatusCode != c.want {
				t.Fatalf("status %d, want %d", r.StatusCode, c.want)
			}
			if asked := source.asked.Load() != before; asked != (c.want == 200) {
				t.Errorf("the source was asked: %v", asked)
			}
			if c.want == 400 || c.want == 431 || c.name == "head" {
				return // the standard library's own answer
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			var object struct{ Schema, Code, Text, Fix string }
			if json.Unmarshal(body, &object) != nil || r.Header.Get("Cache-Control") != "no-store" {
				t.Fatalf("answer %s", body)
			}
			if c.want != 200 && (object.Schema != "chive.error/1" || object.Code == "" || object.Text == "" || object.Fix == "") {
				t.Errorf("failure %s", body)
			}
		})
	}
}

// TestConnectionsAreBounded: one beyond the bound waits until another ends.
func TestConnectionsAreBounded(t *testing.T) {
	path := serving(t, demo())
	idle := make([]net.Conn, ConnectionCount)
	for i := range idle {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET /v1/status HTTP/1.1\r\nHost: chive\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(c).ReadString('\n'); err != nil { // it is served, and stays open
			t.Fatal(err)
		}
		idle[i] = c
	}
	got := make(chan error, 1)
	go func() { got <- errOf(Fetch(context.Background(), path)) }()
	select {
	case err := <-got:
		t.Fatalf("connection %d was served: %v", ConnectionCount+1, err)
	case <-time.After(100 * time.Millisecond):
	}
	_ = idle[0].Close()
	if err := <-got; err != nil {
		t.Error(err)
	}
}

func TestWhoIsNotADaemon(t *testing.T) {
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	missing := filepath.Join(dir, "none")
	if err := errOf(Fetch(t.Context(), missing)); !errors.Is(err, ErrNobody) {
		t.Errorf("no socket: %v", err)
	}

	left := filepath.Join(dir, "left")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: left, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if !Answers(left) {
		t.Error("a program that accepts does not answer")
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	if err := errOf(Fetch(t.Context(), left)); !errors.Is(err, ErrNobody) {
		t.Errorf("a socket that was left behind: %v", err)
	}
	if Answers(left) {
		t.Error("a socket that was left behind answers")
	}
	if err := errOf(Fetch(t.Context(), filepath.Join(dir, strings.Repeat("x", 200)))); !errors.Is(err, ErrNobody) {
		t.Errorf("a path beyond what a socket may have: %v", err)
	}

	for i, reply := range []string{
		"SSH-2.0-OpenSSH\r\n",
		"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{\"schema\":\"chive.other/1\"}\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
		"HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat(" ", MaxAnswerSize+1),
	} {
		path := filepath.Join(dir, fmt.Sprint(i))
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = bufio.NewReader(c).ReadString('\n')
			_, _ = io.WriteString(c, reply)
			_ = c.Close()
		}()
		if err := errOf(Fetch(t.Context(), path)); !errors.Is(err, ErrAnswer) {
			t.Errorf("reply %d: %v", i, err)
		}
		_ = l.Close()
		<-done
	}

	silent := filepath.Join(dir, "silent")
	l2, err := net.Listen("unix", silent)
	if err != nil {
		t.Fatal(err)
	}
	defer l2.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := errOf(Fetch(ctx, silent)); !errors.Is(err, ErrAnswer) {
		t.Errorf("silence: %v", err)
	}
}

// TestServeSaysWhenItsSocketBreaks: only the end of ctx is an end in order.
func TestServeSaysWhenItsSocketBreaks(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- Serve(t.Context(), l, demo()) }()
	_ = l.Close()
	if err := <-ended; !errors.Is(err, ErrServe) {
		t.Errorf("got %v", err)
	}
}
