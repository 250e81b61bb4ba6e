// SPDX-License-Identifier: BSD-3-Clause

package testutil

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// RouterAddress is the outer address of the router of BehindRouter. The daemon refuses
// documentation addresses, so it is one that looks public; nothing is sent there.
const RouterAddress = "11.22.33.44"

// behindEnv makes a test binary a host behind the router, and says by which method the
// router is asked.
const behindEnv = "CHIVE_TEST_BEHIND_ROUTER"

const routerDaemon = "/usr/sbin/miniupnpd"

const routerConf = `ext_ifname=wan
listening_ip=lan
enable_natpmp=%s
enable_upnp=%s
secure_mode=yes
port=5000
uuid=11111111-2222-3333-4444-555555555555
allow 1024-65535 192.168.77.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`

// routerChains are those that the daemon fills.
const routerChains = `table inet filter {
	chain miniupnpd { }
	chain prerouting_miniupnpd { }
	chain postrouting_miniupnpd { }
	chain forward { type filter hook forward priority 0; jump miniupnpd; }
	chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
	chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd; }
}
`

// BehindRouter calls inside once for each way to ask a router for a port, "NAT-PMP" and
// "UPnP", on a host behind a real router's daemon, miniupnpd: in network namespaces that
// lead nowhere, and in another process of this test's binary, which is killed after timeout.
// The daemon may still be starting. Without the daemon, nft, root or namespaces the test is
// skipped. It is the whole of its test, which has no subtests.
func BehindRouter(t *testing.T, timeout time.Duration, inside func(method string)) {
	t.Helper()
	if method := os.Getenv(behindEnv); method != "" {
		inside(method)
		return
	}
	if _, err := os.Stat(routerDaemon); err != nil {
		t.Skip("SKIPPED: miniupnpd is missing")
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("SKIPPED: nft is missing")
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: namespaces need root")
	}
	router, host := fmt.Sprintf("chive-r%d", os.Getpid()), fmt.Sprintf("chive-h%d", os.Getpid())
	if !makeHome(t, router, host) {
		t.Skip("SKIPPED: no network namespaces here")
	}
	rules := exec.Command("ip", "netns", "exec", router, "nft", "-f", "-")
	rules.Stdin = strings.NewReader(routerChains)
	if out, err := rules.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: this kernel has no nftables: %s", out)
	}
	for _, c := range []struct{ method, pmp, igd string }{{"NAT-PMP", "yes", "no"}, {"UPnP", "no", "yes"}} {
		conf, pid := filepath.Join(t.TempDir(), "conf"), filepath.Join(t.TempDir(), "pid")
		if err := os.WriteFile(conf, fmt.Appendf(nil, routerConf, c.pmp, c.igd), 0o600); err != nil {
			t.Fatal(err)
		}
		run := exec.Command("ip", "netns", "exec", router, routerDaemon, "-d", "-f", conf, "-P", pid)
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
		test := exec.Command("ip", "netns", "exec", host, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout="+timeout.String())
		test.Env = append(os.Environ(), behindEnv+"="+c.method)
		out, err := test.CombinedOutput()
		_ = run.Process.Kill()
		<-drained
		_ = run.Wait()
		if err != nil || !strings.Contains(string(out), "PASS") {
			t.Errorf("%s: %v\n%s\n%s", c.method, err, out, log.String())
		}
	}
}

// makeHome joins a host and a router by a cable, and gives the router another one that
// leads nowhere.
func makeHome(t *testing.T, router, host string) bool {
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
		"-n " + router + " addr add " + RouterAddress + "/24 dev wan", "-n " + router + " link set wan up", "-n " + router + " link set isp up",
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
