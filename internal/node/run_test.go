// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chive/client"
	"chive/directory/transition"
	"chive/relay/exit"
)

// freePort returns a port of 127.0.0.1 that nobody has at the moment, for TCP and UDP. It is
// none of those that systems give to who asks for any, so that it stays free.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(20_000+mathrand.IntN(12_000))).String()
		l, err := net.Listen("tcp", at)
		if err != nil {
			continue
		}
		p, err := net.ListenPacket("udp", at)
		_ = l.Close()
		if err == nil {
			_ = p.Close()
			return at
		}
	}
	t.Fatal("no port is free")
	return ""
}

// TestRelaysAndClientFormANetwork: three relays with state folders of their own
// and a client fetch a page; the guards stay for the next run; a drained relay
// leaves without an error.
func TestRelaysAndClientFormANetwork(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the page") }))
	defer page.Close()
	sink, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	rules := filepath.Join(t.TempDir(), "rules")
	ports := ""
	for _, l := range []net.Listener{page.Listener, sink} {
		ports += fmt.Sprintf("accept tcp *:%d\n", l.Addr().(*net.TCPAddr).Port)
	}
	if err := os.WriteFile(rules, []byte(ports), 0o600); err != nil {
		t.Fatal(err)
	}
	w := found(t, 3, func(i int) FounderOptions {
		o := FounderOptions{Declaring: Declaring{Addresses: []string{freePort(t)}, About: About{Contact: "ops@example.net"}}}
		if i == 2 {
			o.Exit = rules
		}
		return o
	})
	w.sign(t)
	info, err := ShowNetwork(w.doc)
	if err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	for i, s := range w.states {
		o := RelayOptions{State: s.Dir(), Genesis: w.doc, Listen: listenOf(t, s, info)}
		if i == 2 {
			o.Exit = rules
		}
		ready := make(chan RelayReady, 1)
		o.Ready = func(r RelayReady) { ready <- r }
		ended := make(chan error, 1)
		running.Go(func() {
			err := RunRelay(ctx, o)
			if err != nil {
				t.Errorf("relay %d: %v", i, err)
			}
			ended <- err
		})
		select {
		case r := <-ready:
			if r.Published[0] != r.Listen || r.Network != "demo" || !r.Testnet || len(r.Notes) != 0 || (r.Exit == "custom") != (i == 2) {
				t.Errorf("relay %d: %+v", i, r)
			}
		case err := <-ended:
			t.Fatalf("relay %d: %v", i, err)
		}
	}
	wantFault(t, runFor(t, RelayOptions{State: w.states[0].Dir(), Genesis: w.doc, Listen: "127.0.0.1:0"}), "state_locked")

	dir := filepath.Join(w.dir, "client")
	var guards []byte
	for run := range 2 {
		withClient(t, ctx, ClientOptions{State: dir, Genesis: w.doc, Socks: SocksOptions{Addrs: []string{"127.0.0.1:0"}}, Wait: 30 * time.Second}, func(socks string) {
			if run == 0 {
				fetchThrough(t, socks, page.URL)
			} else {
				endsReachTheFarSide(t, socks, sink)
			}
		})
		saved, err := os.ReadFile(filepath.Join(dir, "client", "state"))
		if err != nil || len(saved) == 0 {
			t.Fatalf("no guards are saved: %v", err)
		}
		if guards != nil && !slices.Equal(guards[:16], saved[:16]) {
			t.Error("the second run has other guards")
		}
		guards = saved
	}
}

// listenOf finds the address that a relay was founded with.
func listenOf(t *testing.T, s *State, n *NetworkInfo) string {
	t.Helper()
	keys, err := s.Keys()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range n.Founders {
		if f.Identity == keys[0].Public {
			return f.Addresses[0].String()
		}
	}
	t.Fatal("the relay is not in the network")
	return ""
}

// withClient runs a client, uses it, and stops it.
func withClient(t *testing.T, ctx context.Context, o ClientOptions, use func(socks string)) {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ready := make(chan ClientReady, 1)
	o.Ready = func(r ClientReady) { ready <- r }
	last := 0
	o.Progress = func(p client.Progress) {
		if p.Percent < last && p.Cause == "" {
			t.Errorf("progress falls from %d to %d", last, p.Percent)
		}
		last = max(last, p.Percent)
	}
	ended := make(chan error, 1)
	go func() { ended <- RunClient(ctx, o) }()
	var r ClientReady
	select {
	case r = <-ready:
	case err := <-ended:
		t.Fatalf("the client ended: %v", err)
	}
	use(r.Socks[0])
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the client ended with %v", err)
	}
	if last != 100 {
		t.Errorf("progress ended at %d", last)
	}
}

func fetchThrough(t *testing.T, socks, page string) {
	t.Helper()
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: socks})}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Get(page)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "the page" {
		t.Errorf("fetched %q, %v", body, err)
	}
}

// endsReachTheFarSide: what a program does with its end of a stream is what the
// far side sees: half-close as an end, a reset as a reset (SOCKS-12).
func endsReachTheFarSide(t *testing.T, socks string, sink net.Listener) {
	t.Helper()
	for _, reset := range []bool{false, true} {
		near := connectThrough(t, socks, sink.Addr().String())
		far, err := sink.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = near.SetDeadline(time.Now().Add(20 * time.Second))
		_ = far.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(near, "half"); err != nil {
			t.Fatal(err)
		}
		var got [4]byte
		if _, err := io.ReadFull(far, got[:]); err != nil || string(got[:]) != "half" {
			t.Fatalf("got %q, %v", got, err)
		}
		if reset {
			_ = near.SetLinger(0)
			_ = near.Close()
			if _, err := io.ReadAll(far); err == nil {
				t.Error("a reset arrives as an end in order")
			}
		} else {
			_ = near.CloseWrite()
			if rest, err := io.ReadAll(far); err != nil || len(rest) != 0 {
				t.Errorf("half-close: %q, %v", rest, err)
			}
			_, _ = io.WriteString(far, "answer")
			_ = far.Close()
			if rest, err := io.ReadAll(near); err != nil || string(rest) != "answer" {
				t.Errorf("after half-close: %q, %v", rest, err)
			}
		}
		_ = near.Close()
		_ = far.Close()
	}
}

// connectThrough opens a connection to target with HTTP CONNECT.
func connectThrough(t *testing.T, socks, target string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", socks)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target); err != nil {
		t.Fatal(err)
	}
	var head []byte
	for one := make([]byte, 1); !strings.HasSuffix(string(head), "\r\n\r\n"); head = append(head, one[0]) {
		if _, err := c.Read(one); err != nil {
			t.Fatalf("%v after %q", err, head)
		}
	}
	if !strings.Contains(string(head), " 200 ") {
		t.Fatalf("answer %q", head)
	}
	return c.(*net.TCPConn)
}

// runFor runs a relay that is expected to refuse.
func runFor(t *testing.T, o RelayOptions) error {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	return RunRelay(ctx, o)
}

func TestRelayMistakes(t *testing.T) {
	w := found(t, 3, func(i int) FounderOptions {
		o := FounderOptions{Declaring: Declaring{About: About{Contact: "ops@example.net"}}}
		if i == 0 {
			o.Exit = "web"
		}
		return o
	})
	elsewhere := found(t, 3, nil)
	unsigned := filepath.Join(w.dir, "unsigned")
	copyFile(t, w.doc, unsigned)
	w.sign(t)
	elsewhere.sign(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()

	silent, spoilt, bound := stateOf(t, w.dir+"/silent"), stateOf(t, w.dir+"/spoilt"), stateOf(t, w.dir+"/bound")
	for _, s := range []*State{silent, spoilt} {
		if err := s.createKeys(rand.Reader, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(spoilt.path(aboutFile), []byte("spoilt"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bound.Init(InitOptions{Declaring: declaring("127.0.0.1:9240"), Genesis: elsewhere.doc}, rand.Reader, time.Now()); err != nil {
		t.Fatal(err)
	}
	bound.Close()

	good := RelayOptions{State: w.states[1].Dir(), Genesis: w.doc, Listen: "127.0.0.1:0"}
	for _, c := range []struct {
		name, code string
		change     func(o *RelayOptions)
	}{
		{"bad address", "listen_address", func(o *RelayOptions) { o.Listen = "9240" }},
		{"a peer without a name", "peer", func(o *RelayOptions) { o.Peers = []string{"127.0.0.1:9240"} }},
		{"unknown exit", "exit_unknown", func(o *RelayOptions) { o.Exit = "all" }},
		{"no genesis", "no_network", func(o *RelayOptions) { o.Genesis = "" }},
		{"missing genesis", "file_missing", func(o *RelayOptions) { o.Genesis = w.dir + "/none" }},
		{"unsigned genesis", "genesis_unsigned", func(o *RelayOptions) { o.Genesis = unsigned }},
		{"genesis of another network", "other_network", func(o *RelayOptions) { o.State = bound.Dir() }},
		{"no keys", "keys_missing", func(o *RelayOptions) { o.State = w.dir + "/empty" }},
		{"no address", "address_missing", func(o *RelayOptions) { o.State = silent.Dir() }},
		{"damaged declaration", "about_damaged", func(o *RelayOptions) { o.State = spoilt.Dir() }},
		{"bad control path", "control_path", func(o *RelayOptions) { o.Control = ControlSocket{Path: w.doc, Fixed: true} }},
		{"bad level", "log_level", func(o *RelayOptions) { o.Log.Level = "loud" }},
		{"bad nickname", "nickname", func(o *RelayOptions) { o.About.Nickname = "a b" }},
		{"port in use", "port_in_use", func(o *RelayOptions) { o.Listen = taken.Addr().String() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := good
			c.change(&o)
			f := wantFault(t, runFor(t, o), c.code)
			if c.code == "port_in_use" && !strings.Contains(f.Fix, "--listen ") {
				t.Errorf("%q does not name the flag", f.Fix)
			}
		})
	}

	// A founder of a version that kept no declaration: the record says what it needs but
	// for the rules of an exit.
	if err := os.Remove(w.states[0].path(aboutFile)); err != nil {
		t.Fatal(err)
	}
	o := good
	o.State = w.states[0].Dir()
	wantFault(t, runFor(t, o), "exit_missing")
	o.Exit = "web"
	wantFault(t, runFor(t, o), "contact_missing")

	for name, code := range map[string]string{vrfFile: "vrf_mismatch", onionName(1): "onion_mismatch"} {
		path := filepath.Join(w.states[1].path(keysFolder), name)
		old, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		k := &secretKey{use: useOnion, created: testStart, active: testStart}
		if name == vrfFile {
			k = &secretKey{use: useVRF, created: testStart}
		}
		if err := writeKey(path, k, rand.Reader); err != nil {
			t.Fatal(err)
		}
		wantFault(t, runFor(t, good), code)
		if err := os.WriteFile(path, old, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestClientMistakes(t *testing.T) {
	w := found(t, 3, func(int) FounderOptions { // nobody listens there
		return FounderOptions{Declaring: declaring(freePort(t))}
	})
	unsigned := filepath.Join(w.dir, "unsigned")
	copyFile(t, w.doc, unsigned)
	w.sign(t)
	elsewhere := found(t, 4, nil)
	elsewhere.sign(t)
	used := filepath.Join(w.dir, "used")
	s := stateOf(t, used)
	doc, err := loadGenesis(elsewhere.doc)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.bindNetwork(doc); err != nil {
		t.Fatal(err)
	}
	if err := s.checkNetwork(doc); err != nil {
		t.Fatal(err)
	}
	exposed, strange := filepath.Join(w.dir, "exposed"), filepath.Join(w.dir, "strange")
	for _, dir := range []string{exposed, strange} {
		if _, err := stateOf(t, dir).folder(clientFolder); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(exposed, "client", "state"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(exposed, "client", "state"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(strange, "client", "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	spoilt := filepath.Join(w.dir, "spoilt")
	if _, err := stateOf(t, spoilt).folder(clientFolder); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(spoilt, "client", "state"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	locked := stateOf(t, filepath.Join(w.dir, "locked"))
	if err := locked.Lock(); err != nil {
		t.Fatal(err)
	}

	good := ClientOptions{State: w.dir + "/client", Genesis: w.doc, Socks: SocksOptions{Addrs: []string{"127.0.0.1:0"}}, Wait: 300 * time.Millisecond}
	for _, c := range []struct {
		name, code string
		kind       Kind
		change     func(o *ClientOptions)
	}{
		{"no genesis", "no_network", Unreachable, func(o *ClientOptions) { o.Genesis = "" }},
		{"missing genesis", "file_missing", Usage, func(o *ClientOptions) { o.Genesis = w.dir + "/none" }},
		{"unsigned genesis", "genesis_unsigned", Usage, func(o *ClientOptions) { o.Genesis = unsigned }},
		{"too few hops", "hops", Usage, func(o *ClientOptions) { o.Hops = client.MinHops - 1 }},
		{"too many hops", "hops", Usage, func(o *ClientOptions) { o.Hops = client.MaxHops + 1 }},
		{"more hops than relays", "not_ready", Unreachable, func(o *ClientOptions) { o.Hops = 4 }},
		{"a peer without a name", "peer", Usage, func(o *ClientOptions) { o.Peers = []string{"127.0.0.1:9240"} }},
		{"control socket at a file", "control_path", Usage, func(o *ClientOptions) { o.Control = ControlSocket{Path: w.doc, Fixed: true} }},
		{"bad level", "log_level", Usage, func(o *ClientOptions) { o.Log.Level = "loud" }},
		{"no state", "state_unknown", Usage, func(o *ClientOptions) { o.State = "" }},
		{"state in use", "state_locked", Usage, func(o *ClientOptions) { o.State = locked.Dir() }},
		{"state of another network", "other_network", Usage, func(o *ClientOptions) { o.State = used }},
		{"damaged guards", "guards_damaged", Usage, func(o *ClientOptions) { o.State = spoilt }},
		{"guards that others can read", "permissions", Usage, func(o *ClientOptions) { o.State = exposed }},
		{"guards that are a folder", "file_is_folder", Usage, func(o *ClientOptions) { o.State = strange }},
		{"remote proxy", "socks_remote", Usage, func(o *ClientOptions) { o.Socks.Addrs = []string{"0.0.0.0:0"} }},
		{"nobody answers", "not_ready", Unreachable, func(*ClientOptions) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := good
			c.change(&o)
			if f := wantFault(t, RunClient(t.Context(), o), c.code); f.Kind != c.kind {
				t.Errorf("kind %d, want %d", f.Kind, c.kind)
			}
		})
	}
}

// TestStoppedClientIsNoFault: an interrupt while starting is no error.
func TestStoppedClientIsNoFault(t *testing.T) {
	w := found(t, 3, nil)
	w.sign(t)
	ctx, stop := context.WithCancel(t.Context())
	o := ClientOptions{State: w.dir + "/client", Genesis: w.doc, Socks: SocksOptions{Addrs: []string{"127.0.0.1:0"}}}
	o.Progress = func(client.Progress) { stop() }
	if err := RunClient(ctx, o); err != nil {
		t.Error(err)
	}
}

func TestListenersThatDoNotFitAreNoted(t *testing.T) {
	for _, c := range []struct {
		listen, published string
		notes             []string // what each holds
	}{
		{"0.0.0.0:9240", "192.0.2.1:9240", nil},
		{"127.0.0.1:9240", "127.0.0.1:9240", nil},
		{"0.0.0.0:9241", "192.0.2.1:9240", []string{"at 192.0.2.1:9240, but it listens at 0.0.0.0:9241: unless a router"}},
		{"127.0.0.1:9240", "192.0.2.1:9240", []string{"which only this machine reaches. Use --listen 0.0.0.0:9240."}},
		{"127.0.0.1:9241", "192.0.2.1:9240", []string{"only this machine", "router"}},
	} {
		published := []netip.AddrPort{netip.MustParseAddrPort(c.published)}
		got := listenNotes(netip.MustParseAddrPort(c.listen), published, true)
		for _, unlisted := range listenNotes(netip.MustParseAddrPort(c.listen), published, false) {
			if strings.Contains(unlisted, "network knows") || !strings.HasPrefix(unlisted, "This relay declares that others reach it at "+c.published+", but") {
				t.Errorf("never published: %q", unlisted)
			}
		}
		if len(got) != len(c.notes) {
			t.Errorf("%+v: %q", c, got)
			continue
		}
		for i, want := range c.notes {
			if !strings.Contains(got[i], want) || !strings.HasPrefix(got[i], "The network knows this relay at ") || strings.Contains(got[i], "listens at port") {
				t.Errorf("%+v: %q", c, got[i])
			}
		}
	}
}

// TestExitKeepsClientsOffRelays: the policy permits everything, and still no
// client reaches a relay's link through an exit (REL-3).
func TestExitKeepsClientsOffRelays(t *testing.T) {
	w := found(t, 3, nil)
	w.sign(t)
	doc, err := loadGenesis(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := exit.ParsePolicy("accept any *:*")
	if err != nil {
		t.Fatal(err)
	}
	table := transition.Genesis(doc).Snapshot().Table()
	x, err := newExit(exit.System{}, policy, doc.Testnet, func() []netip.AddrPort { return table.At(0).Addresses }, func(a netip.AddrPort) bool {
		for i := range table.Len() {
			if slices.Contains(table.At(i).Addresses, a) {
				return true
			}
		}
		return false
	})
	if err != nil {
		t.Fatal(err)
	}
	c := x.NewCircuit()
	defer c.Close()
	for i := range table.Len() {
		a := table.At(i).Addresses[0]
		_, err := c.Dial(t.Context(), a.Addr().String(), a.Port(), false)
		if exit.ReasonOf(err) != exit.ReasonPolicy {
			t.Errorf("relay %d: %v, want refused by policy", i, err)
		}
	}
	free := netip.MustParseAddrPort(freePort(t))
	if _, err := c.Dial(t.Context(), free.Addr().String(), free.Port(), false); exit.ReasonOf(err) != exit.ReasonRefused {
		t.Errorf("another port: %v, want refused by the target", err)
	}
}
