// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, programs())
}

// TestScripts runs testdata/script: the binary as a person calls it.
//
//	exits N COMMAND ARG...   the command ends with code N
//	start NAME COMMAND ...   runs in the background until end or the script's end
//	await NAME REGEXP        waits until a line of its standard output matches
//	end NAME [SIGNAL]        INT unless named; it must end with 0 in time ("stop" is
//	                         testscript's own, and ends the script)
//	hears NAME REGEXP        as await, of its standard error
//	signal NAME SIGNAL       sends HUP, USR1 or another
//	killnodes SOCKET NAME... kills nodes of the testnet of processes that is asked there
//	hung SOCKET CLIENT HOP T pasted, while the relay at HOP (0: the guard) of a circuit
//	                         that the client asked at CLIENT uses is stopped
//	pasted TEXT              gets TEXT as the curl line of the testnet called net does
//	silent SOCKET            waits until nobody answers there
//	gone NAME                waits until it has ended by itself
//	outputs NAME             makes its output so far stdout and stderr
//	port VAR                 a port of 127.0.0.1 that is free
//	expand FILE FROM         writes FROM with its $VARIABLES replaced
//	serve VAR TEXT           a web server that answers TEXT; its port
//	passing VAR              a SOCKS5 proxy that connects to loopback; its port
//	fetch PROXY URL TEXT     gets TEXT through a proxy: http or socks5h
//
// publicHere reports whether an interface of this machine may have a public address.
func publicHere() (bool, error) {
	own, err := net.InterfaceAddrs()
	for _, a := range own {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && !n.IP.IsPrivate() {
			return true, err
		}
	}
	return false, err
}

// Conditions beside testscript's own: root, race, public (this machine has a public address), namespaces.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("XDG_STATE_HOME", filepath.Join(e.WorkDir, "state-home"))
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "config-home"))
			e.Setenv("CHIVE_WEB_LISTEN", "off") // its usual port is one of the machine's
			e.Setenv("XDG_RUNTIME_DIR", filepath.Join(e.WorkDir, "run"))
			d := &daemons{running: make(map[string]*daemon)}
			e.Values[daemonsKey{}] = d
			e.Defer(d.kill)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": scriptExits, "start": scriptStart, "terminal": scriptTerminal, "typed": scriptTyped, "end": scriptEnd, "signal": scriptSignal, "passing": scriptPassing,
			"await": awaits("await", func(p *daemon) *watched { return &p.out }), "hears": awaits("hears", func(p *daemon) *watched { return &p.err }),
			"killnodes": scriptKillNodes, "pasted": scriptPasted, "hung": scriptHung, "silent": scriptSilent, "gone": scriptGone, "outputs": scriptOutputs, "port": scriptPort, "expand": scriptExpand, "serve": scriptServe, "fetch": scriptFetch,
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Getuid() == 0, nil
			case "race":
				return raceOn, nil
			case "public":
				return publicHere()
			case "namespaces":
				return namespacesHere()
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
	})
}

// stopTime bounds how long a daemon may take to end, and awaitTime to say something.
const (
	stopTime  = 15 * time.Second
	awaitTime = 30 * time.Second
)

type daemonsKey struct{}

type daemons struct{ running map[string]*daemon }

func (d *daemons) kill() {
	for _, p := range d.running {
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

type daemon struct {
	cmd   *exec.Cmd
	out   watched
	err   watched
	ended chan struct{} // closed after err is set
	fault error
}

// watched collects output and wakes those who wait for a line of it.
type watched struct {
	mu     sync.Mutex
	data   bytes.Buffer
	change chan struct{}
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.change != nil {
		close(w.change)
		w.change = nil
	}
	return w.data.Write(p)
}

// read returns what there is, and a channel that is closed when there is more.
func (w *watched) read() (string, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.change == nil {
		w.change = make(chan struct{})
	}
	return w.data.String(), w.change
}

func (w *watched) text() string { s, _ := w.read(); return s }

func need(ts *testscript.TestScript, ok bool, how string) {
	if !ok {
		ts.Fatalf("usage: %s", how)
	}
}

func named(ts *testscript.TestScript, name string) *daemon {
	p := ts.Value(daemonsKey{}).(*daemons).running[name]
	if p == nil {
		ts.Fatalf("%s was not started", name)
	}
	return p
}

func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) >= 2, "exits N COMMAND ARG...")
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func scriptStart(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) >= 2, "start NAME COMMAND ARG...")
	startDaemon(ts, args, func(*daemon) {})
}

// startDaemon starts a command that goes on; before may change how.
func startDaemon(ts *testscript.TestScript, args []string, before func(*daemon)) {
	all := ts.Value(daemonsKey{}).(*daemons).running
	path := filepath.Join(binFolder(ts), args[1])
	p := &daemon{cmd: exec.Command(path, args[2:]...), ended: make(chan struct{})}
	p.cmd.Dir = ts.MkAbs(".")
	p.cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+ts.Getenv("XDG_STATE_HOME"), "XDG_RUNTIME_DIR="+ts.Getenv("XDG_RUNTIME_DIR"), "HOME="+ts.Getenv("HOME"),
		"XDG_CONFIG_HOME="+ts.Getenv("XDG_CONFIG_HOME"), "CHIVE_WEB_LISTEN="+ts.Getenv("CHIVE_WEB_LISTEN"))
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	before(p)
	ts.Check(p.cmd.Start())
	go func() {
		p.fault = p.cmd.Wait()
		close(p.ended)
	}()
	all[args[0]] = p
}

// binFolder is where testscript put the commands of TestMain.
func binFolder(ts *testscript.TestScript) string {
	return filepath.SplitList(ts.Getenv("PATH"))[0]
}

// awaits waits for a line of what a daemon writes.
func awaits(name string, of func(*daemon) *watched) func(ts *testscript.TestScript, neg bool, args []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		need(ts, !neg && len(args) == 2, name+" NAME REGEXP")
		p := named(ts, args[0])
		want, err := regexp.Compile("(?m)" + args[1])
		ts.Check(err)
		patience := time.NewTimer(awaitTime)
		defer patience.Stop()
		for {
			text, more := of(p).read()
			if want.MatchString(text) {
				return
			}
			select {
			case <-more:
			case <-p.ended:
				if !want.MatchString(of(p).text()) {
					ts.Fatalf("%s ended (%v) without %q\nstdout:\n%sstderr:\n%s", args[0], p.fault, args[1], p.out.text(), p.err.text())
				}
			case <-patience.C:
				ts.Fatalf("%s did not say %q\nstdout:\n%sstderr:\n%s", args[0], args[1], p.out.text(), p.err.text())
			}
		}
	}
}

func scriptSignal(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "signal NAME SIGNAL")
	sig, ok := signals[args[1]]
	need(ts, ok, "signal NAME INT|TERM|KILL, or on Unix HUP|USR1")
	ts.Check(named(ts, args[0]).cmd.Process.Signal(sig))
}

func scriptEnd(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && (len(args) == 1 || len(args) == 2), "end NAME [SIGNAL]")
	p := named(ts, args[0])
	sig := os.Interrupt
	if len(args) == 2 {
		s, ok := signals[args[1]]
		need(ts, ok, "end NAME INT|TERM|KILL")
		sig = s
	}
	ts.Check(p.cmd.Process.Signal(sig))
	select {
	case <-p.ended:
	case <-time.After(stopTime):
		ts.Fatalf("%s did not end\nstderr:\n%s", args[0], p.err.text())
	}
	if p.fault != nil && sig != os.Kill {
		ts.Fatalf("%s ended with %v\nstderr:\n%s", args[0], p.fault, p.err.text())
	}
}

func scriptOutputs(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "outputs NAME")
	p := named(ts, args[0])
	_, _ = io.WriteString(ts.Stdout(), p.out.text())
	_, _ = io.WriteString(ts.Stderr(), p.err.text())
}

// nextPort begins anywhere, as other test binaries draw ports too.
var nextPort atomic.Uint32

func scriptPort(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "port VAR")
	nextPort.CompareAndSwap(0, 1+rand.Uint32N(12_000))
	for range 100 {
		// None of those that systems give to who asks for any, so that it stays free; and
		// none that another script was given, which may open it later.
		port := strconv.Itoa(20_000 + int(nextPort.Add(1)%12_000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err == nil {
			ts.Check(l.Close())
			ts.Setenv(args[0], port)
			return
		}
	}
	ts.Fatalf("no port is free")
}

func scriptExpand(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "expand FILE FROM")
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(os.Expand(ts.ReadFile(args[1]), ts.Getenv)), 0o600))
}

func scriptServe(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "serve VAR TEXT")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, args[1])
	})}
	go func() { _ = s.Serve(l) }()
	ts.Defer(func() { _ = s.Close() })
	ts.Setenv(args[0], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
}

// scriptPassing is somebody else's proxy: SOCKS5 without a password, IPv4 only.
func scriptPassing(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "passing VAR")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go pass(c)
		}
	}()
	ts.Setenv(args[0], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
}

func pass(c net.Conn) {
	defer c.Close()
	b := make([]byte, 10)
	if _, err := io.ReadFull(c, b[:3]); err != nil || string(b[:3]) != "\x05\x01\x00" {
		return
	}
	_, _ = c.Write([]byte{5, 0})
	if _, err := io.ReadFull(c, b); err != nil || string(b[:4]) != "\x05\x01\x00\x01" {
		return
	}
	to, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.IP(b[4:8]), Port: int(b[8])<<8 | int(b[9])})
	if err != nil {
		_, _ = c.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	defer to.Close()
	_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	go func() {
		_, _ = io.Copy(to, c)
		_ = to.CloseWrite()
	}()
	_, _ = io.Copy(c, to)
}

func scriptFetch(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, len(args) == 3, "fetch PROXY URL TEXT")
	proxy, err := url.Parse(args[0])
	ts.Check(err)
	transport := &http.Transport{Proxy: http.ProxyURL(proxy)}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), awaitTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, args[1], nil)
	ts.Check(err)
	got := ""
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err == nil {
		body, readErr := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		got, err = string(body), readErr
	}
	switch {
	case neg && err == nil && strings.Contains(got, args[2]):
		ts.Fatalf("%s was fetched", args[1])
	case !neg && err != nil:
		ts.Fatalf("%s: %v", args[1], err)
	case !neg && strings.TrimSpace(got) != args[2]:
		ts.Fatalf("%s: got %q, want %q", args[1], got, args[2])
	}
}
