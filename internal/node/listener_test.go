// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestProxyListensOnThisMachineOnly (SOCKS-2).
func TestProxyListensOnThisMachineOnly(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[2001:db8::1]:0"} {
		ls, err := ListenSocks(SocksOptions{Addrs: []string{"127.0.0.1:0", addr}})
		wantFault(t, err, "socks_remote")
		if ls != nil {
			t.Errorf("%s: listeners stay open", addr)
		}
	}
	ls, err := ListenSocks(SocksOptions{Addrs: []string{"0.0.0.0:0"}, AllowRemote: true})
	if err != nil {
		t.Fatal(err)
	}
	closeAll(ls)
	for _, addr := range []string{"127.0.0.1:0", "localhost:0", "127.9.9.9:0"} {
		ls, err := ListenSocks(SocksOptions{Addrs: []string{addr}})
		if err != nil {
			t.Errorf("%s: %v", addr, err)
		}
		closeAll(ls)
	}
}

func TestListenMistakes(t *testing.T) {
	wantFault(t, errOf(ListenSocks(SocksOptions{})), "socks_missing")
	for _, addr := range []string{"", "9250", "127.0.0.1", "example.net:9250", "127.0.0.1:99999", "unix"} {
		wantFault(t, errOf(ListenSocks(SocksOptions{Addrs: []string{addr}})), "listen_address")
	}
	long := "unix:/" + strings.Repeat("x", maxSocketPath)
	for _, addr := range []string{"unix:", "unix:relative", long} {
		wantFault(t, errOf(ListenSocks(SocksOptions{Addrs: []string{addr}})), "socks_path")
	}
	wantFault(t, errOf(ListenSocks(SocksOptions{Addrs: []string{"192.0.2.1:0"}, AllowRemote: true})), "listen_address")
	wantFault(t, errOf(ListenSocks(SocksOptions{Addrs: []string{"unix:" + t.TempDir() + "/none/s"}})), "listen_folder")

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	f := wantFault(t, errOf(ListenSocks(SocksOptions{Addrs: []string{taken.Addr().String()}})), "port_in_use")
	if !strings.Contains(f.Fix, "--socks ") || !strings.Contains(f.Text, taken.Addr().String()) || f.Kind != Usage {
		t.Errorf("%+v does not name flag and port", f)
	}
	ls, err := ListenSocks(SocksOptions{Addrs: []string{taken.Addr().String()}, MoveToFree: true})
	if err != nil || ls[0].Name == taken.Addr().String() {
		t.Errorf("a testnet does not move to a free port: %v", err)
	}
	closeAll(ls)
}

func TestUnixSocketIsTheOwnersAlone(t *testing.T) {
	onUnix(t)
	path := filepath.Join(t.TempDir(), "s")
	ls, err := ListenSocks(SocksOptions{Addrs: []string{"unix:" + path}})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || ls[0].Name != "unix:"+path {
		t.Errorf("mode %v, %v, name %s", info.Mode(), err, ls[0].Name)
	}
	wantFault(t, errOf(ListenSocks(SocksOptions{Addrs: []string{"unix:" + path}})), "socket_in_use")
	closeAll(ls)
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Error("the socket stays behind")
	}
}

// TestSocketOfAKilledRunIsReplaced: only one that a run with this very state
// folder made.
func TestSocketOfAKilledRunIsReplaced(t *testing.T) {
	onUnix(t)
	dir := t.TempDir()
	s := stateOf(t, dir+"/state")
	if _, err := s.folder(clientFolder); err != nil {
		t.Fatal(err)
	}
	ours, others := []string{"unix:" + dir + "/ours", "127.0.0.1:0"}, "unix:"+dir+"/others"
	for _, addr := range []string{ours[0], others} {
		l, err := net.Listen("unix", strings.TrimPrefix(addr, "unix:"))
		if err != nil {
			t.Fatal(err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false) // as after a kill
		l.Close()
	}
	if err := s.dropSockets(ours); err != nil {
		t.Fatal(err)
	}
	wantFault(t, errOf(ListenSocks(SocksOptions{Addrs: ours})), "socket_in_use")
	if err := s.keepSockets(ours); err != nil {
		t.Fatal(err)
	}
	if err := s.dropSockets(append(ours, others)); err != nil {
		t.Fatal(err)
	}
	ls, err := ListenSocks(SocksOptions{Addrs: ours})
	if err != nil {
		t.Fatal(err)
	}
	closeAll(ls)
	wantFault(t, errOf(ListenSocks(SocksOptions{Addrs: []string{others}})), "socket_in_use")
	if err := s.keepSockets(ours[1:]); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.path(socketsFile)); !os.IsNotExist(err) {
		t.Error("a list without sockets is kept")
	}
}
