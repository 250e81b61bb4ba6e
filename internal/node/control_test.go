// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"encoding/hex"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"chive/client"
	"chive/directory/record"
	"chive/internal/control"
	"chive/relay"
)

func TestWhereControlSocketsAre(t *testing.T) {
	long := "/" + strings.Repeat("x", maxSocketPath)
	for _, c := range []struct {
		named, folder string
		want          string // as a ready line shows it
		code, check   string // faults of ControlPath and of Check
	}{
		{"", "/run/user/7/chive", "unix:/run/user/7/chive/control.sock", "", ""},
		{"", "net/relay1", "unix:net/relay1/control.sock", "", ""},
		{"", "", "off", "", "control_unknown"},
		{"", long, "off", "", "control_path"}, // a daemon does without
		{"off", "/run", "off", "", "control_unknown"},
		{"unix:/tmp/c", "/run", "unix:/tmp/c", "", ""},
		{"unix:c", "/run", "unix:c", "", ""},
		{"unix:/" + strings.Repeat("x", maxSocketPath-1), "", "unix:/" + strings.Repeat("x", maxSocketPath-1), "", ""},
		{"unix:" + long, "/run", "", "control_path", ""},
		{"unix:", "/run", "", "control_path", ""},
		{"unix:a\x00b", "/run", "", "control_path", ""},
		{"/tmp/c", "/run", "", "control_path", ""},
		{"127.0.0.1:80", "/run", "", "control_path", ""},
	} {
		s, err := ControlPath(c.named, c.folder)
		if c.code != "" {
			wantFault(t, err, c.code)
			continue
		}
		if err != nil || filepath.ToSlash(s.Name()) != c.want {
			t.Errorf("%q, %q: %q, %v; want %q", c.named, c.folder, s.Name(), err, c.want)
		}
		if err := s.Check(); c.check != "" {
			wantFault(t, err, c.check)
		} else if err != nil {
			t.Errorf("%q, %q: %v", c.named, c.folder, err)
		}
		if note := s.note(); (note != "") != (c.folder == long) {
			t.Errorf("%q, %q: note %q", c.named, c.folder, note)
		}
	}
}

// TestControlSocketsAreTheOwnersAlone (API-1, KEY-4), replace what a killed daemon left,
// and take nothing from a program that answers.
func TestControlSocketsAreTheOwnersAlone(t *testing.T) {
	onUnix(t)
	dir, err := os.MkdirTemp("", "node")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := ControlSocket{Path: filepath.Join(dir, "chive", "control.sock")}
	left, err := OpenControl(socket)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{socket.Path: 0o600, filepath.Dir(socket.Path): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want mode %v", path, info.Mode(), err, want)
		}
	}
	wantFault(t, errOf(OpenControl(socket)), "socket_in_use")
	left.(Listener).Listener.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = left.Close()

	l, err := OpenControl(socket)
	if err != nil {
		t.Fatalf("a socket that was left behind: %v", err)
	}
	w := found(t, 3, nil)
	w.sign(t)
	doc, err := loadGenesis(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- ServeControl(ctx, l, &Sources{Document: doc, Version: "1"}) }()
	s, _, err := control.Fetch(t.Context(), socket.Path)
	if err != nil || s.Network.Name != "demo" || s.Version != "1" || s.Client != nil || len(s.Relays) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(socket.Path); err == nil {
		t.Error("the socket is left behind")
	}

	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantFault(t, errOf(OpenControl(ControlSocket{Path: file, Fixed: true})), "control_path")
	wantFault(t, errOf(OpenControl(ControlSocket{Path: filepath.Join(dir, "none", "s"), Fixed: true})), "listen_folder")
	wantFault(t, errOf(OpenControl(ControlSocket{Path: filepath.Join(file, "s")})), "file_missing")
	if l, err := OpenControl(ControlSocket{}); l != nil || err != nil || ServeControl(t.Context(), nil, nil) != nil {
		t.Errorf("no socket: %v, %v", l, err)
	}
}

// TestAServicesSocketIsForItsGroup (product §3): members may ask, others not; where there is
// no such group it is the owner's alone.
func TestAServicesSocketIsForItsGroup(t *testing.T) {
	onUnix(t)
	mine, err := user.LookupGroupId(strconv.Itoa(os.Getegid()))
	if err != nil {
		t.Skip("this user's group has no name")
	}
	dir, err := os.MkdirTemp("", "node")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for group, want := range map[string]fs.FileMode{mine.Name: 0o660, "no group is called so": 0o600, "": 0o600} {
		s := ControlSocket{Path: filepath.Join(dir, "s"), Group: group}
		l, err := OpenControl(s)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(s.Path); err != nil || info.Mode().Perm() != want {
			t.Errorf("group %q: %v, %v; want %v", group, info.Mode(), err, want)
		}
		_ = l.Close()
	}
}

func TestATestnetsSocketHasAFolderOfItsOwn(t *testing.T) {
	onUnix(t)
	runtime := filepath.Join(t.TempDir(), "run")
	for _, parent := range []string{runtime, runtime, ""} {
		folder, err := TestnetFolder(parent)
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(folder)
		if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 || parent != "" && filepath.Dir(folder) != parent {
			t.Errorf("%q: %v, %v", folder, info, err)
		}
	}
	if err := os.WriteFile(filepath.Join(runtime, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantFault(t, errOf(TestnetFolder(filepath.Join(runtime, "file", "below"))), "file_missing")
}

func TestPeersByNameAndAddress(t *testing.T) {
	rid := strings.Repeat("ab", len(record.RID{}))
	other := strings.Repeat("cd", len(record.RID{}))
	got, err := parsePeers([]string{rid + "@192.0.2.1:9240", other + "@[2001:db8::1]:1", rid + "@192.0.2.2:9240", rid + "@192.0.2.1:9240"})
	if err != nil || len(got) != 2 || hex.EncodeToString(got[0].rid[:]) != rid || len(got[0].addresses) != 2 || len(got[1].addresses) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "@", rid, rid + "@", rid + "@192.0.2.1", rid[1:] + "@192.0.2.1:1", rid + "00@192.0.2.1:1", "zz" + rid[2:] + "@192.0.2.1:1", rid + "@192.0.2.1:0", rid + "@0.0.0.0:1", rid + "@example.net:1"} {
		wantFault(t, errOf(parsePeers([]string{bad})), "peer")
	}
	var many []string
	for i := range maxPeerAddresses + 1 {
		many = append(many, rid+"@192.0.2.1:"+string(rune('1'+i)))
	}
	wantFault(t, errOf(parsePeers(many)), "peer")
	if _, err := parsePeers(many[1:]); err != nil {
		t.Error(err)
	}
	many = nil
	for i := range maxPeers + 1 {
		many = append(many, rid[:28]+hex.EncodeToString([]byte{byte(i >> 8), byte(i)})+"@192.0.2.1:1")
	}
	wantFault(t, errOf(parsePeers(many)), "peer")
	if _, err := parsePeers(many[1:]); err != nil {
		t.Error(err)
	}
}

// TestPrivatePeersAreForTestnets: nobody dials one in a public network, so naming it is a
// mistake that is told.
func TestPrivatePeersAreForTestnets(t *testing.T) {
	rid := strings.Repeat("ab", len(record.RID{}))
	for addr, private := range map[string]bool{"127.0.0.1:9240": true, "[fd00::1]:9240": true, "5.9.12.34:9240": false} {
		peers, err := parsePeers([]string{rid + "@" + addr})
		if err != nil {
			t.Fatal(err)
		}
		if err := checkPeers(true, peers); err != nil {
			t.Errorf("%s in a testnet: %v", addr, err)
		}
		err = checkPeers(false, peers)
		if (err != nil) != private {
			t.Errorf("%s: %v", addr, err)
		}
		if private {
			wantFault(t, err, "peer")
		}
		if got := relayPeers(peers); len(got) != 1 || got[0].Addresses[0].String() != addr || got[0].RID != peers[0].rid {
			t.Errorf("%+v", got)
		}
	}
}

// TestNobodyThereIsNoGuardsFault: before a first list the fix names --peer, and nobody is
// called a guard; a wrong clock keeps its own words.
func TestNobodyThereIsNoGuardsFault(t *testing.T) {
	refused := &client.Progress{Cause: "refused", Text: "the guard does not accept connections. Another one is tried."}
	cold := client.Status{Relays: client.RelayCounts{Listed: 7}}
	for _, last := range []*client.Progress{refused, {Cause: "no_peers", Text: "no guard can be used"}, nil} {
		f := notReady(time.Minute, last, cold, nil, false)
		if strings.Contains(f.Text+f.Fix, "guard") || !strings.Contains(f.Text, "none of the 7 relays that this client knows") || !strings.Contains(f.Fix, "--peer RID@IP:PORT") {
			t.Errorf("%q %q", f.Text, f.Fix)
		}
	}
	if f := notReady(time.Minute, &client.Progress{Cause: "clock_skew", Text: "this clock is 2 h slow"}, cold, nil, false); !strings.HasSuffix(f.Text, ": this clock is 2 h slow") {
		t.Errorf("%q", f.Text)
	}
	warm := client.Status{Fetched: testStart}
	if f := notReady(time.Minute, refused, warm, nil, false); !strings.Contains(f.Text, "the guard") || strings.Contains(f.Fix, "--peer") {
		t.Errorf("%q %q", f.Text, f.Fix)
	}
}

// TestAPeerThatDoesNotWorkIsSaid, and why: counted where a log may hold it, and with its
// name in the status; not by a cause that no peer has to do with.
func TestAPeerThatDoesNotWorkIsSaid(t *testing.T) {
	at := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:9240")}
	all := clientPeersPart([]client.PeerStatus{
		{Peer: client.Peer{RID: record.RID{1}, Addresses: at}, State: client.PeerReached, Tried: testStart},
		{Peer: client.Peer{RID: record.RID{2}, Addresses: at}, State: client.PeerOther, Tried: testStart},
		{Peer: client.Peer{RID: record.RID{3}, Addresses: at}, State: client.PeerUntried},
	})
	if all[0].Text != "" || all[2].Text != "" || all[1].Addresses[0] != "127.0.0.1:9240" || all[1].State != "other_relay" || !all[1].Tried.Equal(testStart) {
		t.Errorf("%+v", all)
	}
	text := peersText(all)
	if want := "Relay 2 of the 3 that --peer names answers, but is another relay than the RID says."; !strings.HasPrefix(text, want) || strings.Contains(text, "127.0.0.1") {
		t.Errorf("%q", text)
	}
	if text := peersText(all[1:2]); !strings.HasPrefix(text, "The relay that --peer names answers") {
		t.Errorf("%q", text)
	}
	if text := peersText([]control.Peer{all[1], all[1], all[1], all[1], all[1]}); !strings.HasSuffix(text, "2 more of them fail; chive status names each.") {
		t.Errorf("%q", text)
	}
	refused := &client.Progress{Cause: "refused", Text: "the guard does not accept connections."}
	f := notReady(time.Minute, refused, client.Status{Relays: client.RelayCounts{Listed: 7}}, all, false)
	for _, want := range []string{"none of the 7 relays that this client knows, nor of the 3 that --peer names, has given", "Relay 2 of the 3 that --peer names answers, but is another relay"} {
		if !strings.Contains(f.Text, want) {
			t.Errorf("%q lacks %q", f.Text, want)
		}
	}
	for _, s := range []relay.PeerState{
		relay.PeerUntried, relay.PeerReached, relay.PeerRefused, relay.PeerNoRoute, relay.PeerTimeout, relay.PeerOther, relay.PeerStranger, relay.PeerClock,
		relay.PeerForged, relay.PeerSelf, relay.PeerUnspecified,
	} {
		shown := relayPeersPart([]relay.PeerStatus{{State: s}})
		if _, known := peerWords[client.PeerState(s)]; !known || (shown[0].Text == "") != (s == relay.PeerUntried || s == relay.PeerReached) {
			t.Errorf("%s: %+v", s, shown)
		}
	}
}

// TestPeersAreTriedOneByOne: refused, and another relay than its RID says.
func TestPeersAreTriedOneByOne(t *testing.T) {
	w := found(t, 1, func(int) FounderOptions {
		return FounderOptions{Declaring: Declaring{Addresses: []string{freePort(t)}}}
	})
	w.sign(t)
	info, err := ShowNetwork(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended, ready := make(chan error, 1), make(chan RelayReady, 1)
	listen := listenOf(t, w.states[0], info)
	go func() {
		ended <- RunRelay(ctx, RelayOptions{State: w.states[0].Dir(), Genesis: w.doc, Listen: listen, Drain: -1, Ready: func(r RelayReady) { ready <- r }})
	}()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	var rid string
	select {
	case r := <-ready:
		rid = r.RID
	case err := <-ended:
		t.Fatal(err)
	}
	wrong := strings.Repeat("ab", 16)
	tried, err := TryPeers(t.Context(), w.doc, []string{rid + "@" + listen, wrong + "@" + listen, rid + "@" + freePort(t)}, 10*time.Second)
	if err != nil || len(tried) != 3 {
		t.Fatal(tried, err)
	}
	for i, want := range []string{"", "is another relay than the RID says", "does not accept connections"} {
		if got := tried[i].Text; (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q", tried[i].Peer, got)
		}
	}
	_, err = TryPeers(t.Context(), w.doc, []string{"no peer"}, time.Second)
	wantFault(t, err, "peer")
}

// TestPeersAreTriedAllOrNone: one that is malformed is said before any other is tried, and
// nothing goes on behind the fault.
func TestPeersAreTriedAllOrNone(t *testing.T) {
	w := found(t, 3, nil)
	w.sign(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	_, err := TryPeers(t.Context(), w.doc, []string{strings.Repeat("ab", 16) + "@" + freePort(t), "no peer"}, time.Second)
	wantFault(t, err, "peer")
}
