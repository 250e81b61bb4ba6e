// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"chive/internal/config"
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
	if runtime.GOOS == "linux" && !strings.HasSuffix(f.Text, "is one that this process itself listens at") {
		t.Errorf("%q does not say that it is this very process", f.Text)
	}
	if !strings.Contains(f.Fix, "--socks ") || !strings.Contains(f.Fix, "client.socks") || !strings.Contains(f.Text, taken.Addr().String()) || f.Kind != Usage {
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

// TestSocketThatNobodyAnswersIsReplaced: what a killed run left, and nothing else.
func TestSocketThatNobodyAnswersIsReplaced(t *testing.T) {
	onUnix(t)
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as after a kill
	l.Close()
	o := SocksOptions{Addrs: []string{"unix:" + path}}
	wantFault(t, errOf(ListenSocks(o)), "socket_in_use")
	answers := true
	o.Answers = func(asked string) bool { return answers && asked == path }
	wantFault(t, errOf(ListenSocks(o)), "socket_in_use")
	answers = false
	ls, err := ListenSocks(o)
	if err != nil {
		t.Fatal(err)
	}
	closeAll(ls)

	for _, make := range []func() error{
		func() error { return os.WriteFile(path, []byte("mine"), 0o600) },
		func() error { return os.Mkdir(path, 0o700) },
		func() error { return os.Symlink(path+"/target", path) },
	} {
		if err := make(); err != nil {
			t.Fatal(err)
		}
		if f := wantFault(t, errOf(ListenSocks(o)), "socks_path"); !strings.Contains(f.Text, "not a socket") || !strings.Contains(f.Fix, "another path") {
			t.Errorf("%+v", f)
		}
		if err := os.Remove(path); err != nil {
			t.Errorf("what was there is gone: %v", err)
		}
	}
}

// TestAListenerWithANameIsNamed: not --socks nor client.socks, which say nothing of it.
func TestAListenerWithANameIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = ListenSocks(SocksOptions{Named: []config.Listener{{Name: "more", Address: config.Address(taken.Addr().String())}}})
	f := wantFault(t, err, "port_in_use")
	if !strings.Contains(f.Fix, "client.listener.more.address = 127.0.0.1:") || strings.Contains(f.Fix, "socks") {
		t.Errorf("fix %q", f.Fix)
	}
}
