// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package nat

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// insideEnv makes this binary a host behind the router, and says which method is meant.
const insideEnv = "CHIVE_TEST_BEHIND_ROUTER"

const miniupnpdConf = `ext_ifname=wan
listening_ip=lan
enable_natpmp=%s
enable_upnp=%s
secure_mode=yes
port=5000
uuid=11111111-2222-3333-4444-555555555555
allow 1024-65535 192.168.77.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`

// miniupnpdChains are those that the daemon fills.
const miniupnpdChains = `table inet filter {
	chain miniupnpd { }
	chain prerouting_miniupnpd { }
	chain postrouting_miniupnpd { }
	chain forward { type filter hook forward priority 0; jump miniupnpd; }
	chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
	chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd; }
}
`

// TestMiniupnpd maps, renews and releases at a real router's daemon, in network
// namespaces of its own that lead nowhere.
func TestMiniupnpd(t *testing.T) {
	if how := os.Getenv(insideEnv); how != "" {
		behindRouter(t, Method(how))
		return
	}
	daemon := "/usr/sbin/miniupnpd"
	if _, err := os.Stat(daemon); err != nil {
		t.Skip("SKIPPED: miniupnpd is missing")
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("SKIPPED: nft is missing")
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: namespaces need root")
	}
	router, host := fmt.Sprintf("chive-r%d", os.Getpid()), fmt.Sprintf("chive-h%d", os.Getpid())
	if !makeNetwork(t, router, host) {
		t.Skip("SKIPPED: no network namespaces here")
	}
	rules := exec.Command("ip", "netns", "exec", router, "nft", "-f", "-")
	rules.Stdin = strings.NewReader(miniupnpdChains)
	if out, err := rules.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: this kernel has no nftables: %s", out)
	}
	for _, c := range []struct {
		method   Method
		pmp, igd string
	}{{NATPMP, "yes", "no"}, {UPnP, "no", "yes"}} {
		conf, pid := filepath.Join(t.TempDir(), "conf"), filepath.Join(t.TempDir(), "pid")
		if err := os.WriteFile(conf, fmt.Appendf(nil, miniupnpdConf, c.pmp, c.igd), 0o600); err != nil {
			t.Fatal(err)
		}
		run := exec.Command("ip", "netns", "exec", router, daemon, "-d", "-f", conf, "-P", pid)
		run.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		said, err := run.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := run.Start(); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			_, _ = io.Copy(&log, said)
		}()
		test := exec.Command("ip", "netns", "exec", host, os.Args[0], "-test.run=^TestMiniupnpd$", "-test.timeout=20s")
		test.Env = append(os.Environ(), insideEnv+"="+string(c.method))
		out, err := test.CombinedOutput()
		_ = run.Process.Kill()
		<-drained
		_ = run.Wait()
		switch {
		case err == nil && strings.Contains(string(out), "PASS"):
		default:
			t.Errorf("%s: %v\n%s\n%s", c.method, err, out, log.String())
		}
	}
}

// makeNetwork joins a host and a router by a cable, and gives the router another one that
// leads nowhere. The daemon refuses documentation addresses, so it has one that looks
// public; nothing is sent there.
func makeNetwork(t *testing.T, router, host string) bool {
	t.Helper()
	t.Cleanup(func() {
		for _, name := range []string{router, host} {
			_ = exec.Command("ip", "netns", "del", name).Run()
		}
	})
	for _, line := range []string{
		"netns add " + router, "netns add " + host,
		"link add lan netns " + router + " type veth peer name eth0 netns " + host,
		"link add wan netns " + router + " type veth peer name isp netns " + router,
		"-n " + router + " addr add 11.22.33.44/24 dev wan", "-n " + router + " link set wan up", "-n " + router + " link set isp up",
		"-n " + router + " addr add 192.168.77.1/24 dev lan", "-n " + router + " link set lan up", "-n " + router + " link set lo up",
		"-n " + host + " addr add 192.168.77.2/24 dev eth0", "-n " + host + " link set eth0 up", "-n " + host + " link set lo up",
		"-n " + host + " route add default via 192.168.77.1",
	} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Logf("ip %s: %s", line, out)
			return false
		}
	}
	return true
}

// behindRouter is what a relay at home does. The daemon may still be starting.
func behindRouter(t *testing.T, how Method) {
	var m *Mapper
	var err error
	for until := time.Now().Add(10 * time.Second); m == nil && time.Now().Before(until); {
		m, err = Map(t.Context(), Config{Port: 9240, Timeout: time.Second})
	}
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			t.Fatal(e.Text())
		}
		t.Fatal(err)
	}
	got := m.Mapping()
	if got.Method != how || got.External != netip.MustParseAddrPort("11.22.33.44:9240") || got.Lease <= 0 {
		t.Errorf("%+v", got)
	}
	if err := m.Renew(t.Context()); err != nil {
		t.Errorf("renewal: %v", err)
	}
	m.Release(t.Context())
	// Another one may have the port now, so it was released.
	other, err := Map(t.Context(), Config{Port: 9241, External: 9240, Timeout: time.Second})
	if err != nil || other.Mapping().External.Port() != 9240 {
		t.Fatalf("after the release: %v", err)
	}
	other.Release(t.Context())
}
