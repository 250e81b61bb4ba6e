// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package node

import (
	"context"
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

	"chive/internal/nat"
)

// behindEnv makes this binary a relay behind the router: it says by which method.
const behindEnv = "CHIVE_TEST_RELAY_BEHIND_ROUTER"

// A real router's daemon, with the chains that it fills.
const (
	miniupnpdConf = `ext_ifname=wan
listening_ip=lan
enable_natpmp=%s
enable_upnp=%s
secure_mode=yes
port=5000
uuid=11111111-2222-3333-4444-666666666666
allow 1024-65535 192.168.78.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`
	miniupnpdChains = `table inet filter {
	chain miniupnpd { }
	chain prerouting_miniupnpd { }
	chain postrouting_miniupnpd { }
	chain forward { type filter hook forward priority 0; jump miniupnpd; }
	chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
	chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd; }
}
`
)

// TestARelayBehindMiniupnpd starts a relay behind a real router's daemon, in network
// namespaces of its own that lead nowhere. Spec: REL-8.
func TestARelayBehindMiniupnpd(t *testing.T) {
	if how := os.Getenv(behindEnv); how != "" {
		relayBehindRouter(t, how)
		return
	}
	const daemon = "/usr/sbin/miniupnpd"
	if _, err := os.Stat(daemon); err != nil {
		t.Skip("SKIPPED: miniupnpd is missing")
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("SKIPPED: nft is missing")
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: namespaces need root")
	}
	gate, host := fmt.Sprintf("chive-nr%d", os.Getpid()), fmt.Sprintf("chive-nh%d", os.Getpid())
	if !makeHome(t, gate, host) {
		t.Skip("SKIPPED: no network namespaces here")
	}
	rules := exec.Command("ip", "netns", "exec", gate, "nft", "-f", "-")
	rules.Stdin = strings.NewReader(miniupnpdChains)
	if out, err := rules.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: this kernel has no nftables: %s", out)
	}
	for _, c := range []struct{ how, pmp, igd string }{{"NAT-PMP", "yes", "no"}, {"UPnP", "no", "yes"}} {
		conf, pid := filepath.Join(t.TempDir(), "conf"), filepath.Join(t.TempDir(), "pid")
		if err := os.WriteFile(conf, fmt.Appendf(nil, miniupnpdConf, c.pmp, c.igd), 0o600); err != nil {
			t.Fatal(err)
		}
		run := exec.Command("ip", "netns", "exec", gate, daemon, "-d", "-f", conf, "-P", pid)
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
		test := exec.Command("ip", "netns", "exec", host, os.Args[0], "-test.run=^TestARelayBehindMiniupnpd$", "-test.timeout=40s")
		test.Env = append(os.Environ(), behindEnv+"="+c.how)
		out, err := test.CombinedOutput()
		_ = run.Process.Kill()
		<-drained
		_ = run.Wait()
		if err != nil || !strings.Contains(string(out), "PASS") {
			t.Errorf("%s: %v\n%s\n%s", c.how, err, out, log.String())
		}
	}
}

// makeHome joins a host and a router by a cable, and gives the router another one that
// leads nowhere. The daemon refuses documentation addresses, so it has one that looks
// public; nothing is sent there.
func makeHome(t *testing.T, gate, host string) bool {
	t.Helper()
	t.Cleanup(func() {
		for _, name := range []string{gate, host} {
			_ = exec.Command("ip", "netns", "del", name).Run()
		}
	})
	for _, line := range []string{
		"netns add " + gate, "netns add " + host,
		"link add lan netns " + gate + " type veth peer name eth0 netns " + host,
		"link add wan netns " + gate + " type veth peer name isp netns " + gate,
		"-n " + gate + " addr add 11.22.33.44/24 dev wan", "-n " + gate + " link set wan up", "-n " + gate + " link set isp up",
		"-n " + gate + " addr add 192.168.78.1/24 dev lan", "-n " + gate + " link set lan up", "-n " + gate + " link set lo up",
		"-n " + host + " addr add 192.168.78.2/24 dev eth0", "-n " + host + " link set eth0 up", "-n " + host + " link set lo up",
		"-n " + host + " route add default via 192.168.78.1",
	} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Logf("ip %s: %s", line, out)
			return false
		}
	}
	return true
}

// relayBehindRouter starts a relay and ends it. The daemon may still be starting.
func relayBehindRouter(t *testing.T, how string) {
	dir, doc := homeless(t)
	until := time.Now().Add(15 * time.Second)
	for {
		ctx, stop := context.WithCancel(t.Context())
		ready, told := make(chan RelayReady, 1), make(chan string, 64)
		ended := make(chan error, 1)
		o := RelayOptions{
			State: dir, Genesis: doc, Listen: "0.0.0.0:9240", Drain: -1, NAT: &NATOptions{nat.Config{Timeout: time.Second}, true},
			Ready: func(r RelayReady) { ready <- r }, Tell: func(text string) { told <- text },
		}
		go func() { ended <- RunRelay(ctx, o) }()
		select {
		case r := <-ready:
			if len(r.Published) != 1 || r.Published[0] != netip.MustParseAddrPort("11.22.33.44:9240") {
				t.Errorf("%+v", r)
			}
			<-told // that the router is asked
			if text := <-told; text != "The router forwards 11.22.33.44:9240 to this machine ("+how+")." {
				t.Error(text)
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			// Another one may have the port now, so it was released.
			other, err := nat.Map(t.Context(), nat.Config{Port: 9241, External: 9240, Timeout: time.Second})
			if err != nil || other.Mapping().External.Port() != 9240 {
				t.Fatalf("after the release: %v", err)
			}
			other.Release(t.Context())
			return
		case err := <-ended:
			stop()
			if time.Now().After(until) {
				t.Fatal(err)
			}
		}
	}
}
