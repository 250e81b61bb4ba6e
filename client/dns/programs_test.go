// SPDX-License-Identifier: BSD-3-Clause

package dns

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"chive/client/proxy"
	"chive/internal/testutil"
)

// TestDig drives the real program: both families, reverse, EDNS with a cookie,
// TCP, a truncated answer, a service, and refusals (product §4.7).
func TestDig(t *testing.T) {
	dig, err := exec.LookPath("dig")
	if err != nil {
		if os.Getenv("CHIVE_REQUIRE_TOOLS") == "1" {
			t.Fatal("dig is not installed and CHIVE_REQUIRE_TOOLS=1")
		}
		t.Skip("SKIPPED: dig is not installed; the DNS port was not checked with a real program")
	}
	s := start(t, Config{Resolver: &resolver{}, Automap: proxy.NewAutomap(nil), Listeners: []string{"main"}})
	_, udp, _ := net.SplitHostPort(s.udp.RemoteAddr().String())
	_, tcp, _ := net.SplitHostPort(s.tcp)
	for _, c := range []struct {
		port string
		args []string
		want string
	}{
		{udp, []string{"+short", "both.test", "A"}, "203.0.113.5\n203.0.113.6\n"},
		{udp, []string{"+short", "+noedns", "both.test", "AAAA"}, "2001:db8::1\n"},
		{udp, []string{"+short", "-x", "203.0.113.5"}, "host.example.com.\nalso.example.com.\n"},
		{udp, []string{"+short", testutil.ServiceName('x')}, "198.1"},
		{udp, []string{"+noedns", "+ignore", "many.test"}, "flags: qr tc rd ra"},
		{tcp, []string{"+tcp", "+noall", "+comments", "many.test"}, "ANSWER: 40"},
		{udp, []string{"+noall", "+comments", "x.onion"}, "status: NXDOMAIN"},
		{udp, []string{"+noall", "+comments", "both.test", "MX"}, "status: NOTIMP"},
		{udp, []string{"+noall", "+comments", "down.test"}, "status: SERVFAIL"},
	} {
		out, err := exec.CommandContext(t.Context(), dig, append([]string{"@127.0.0.1", "-p", c.port, "-r", "+tries=1", "+time=5"}, c.args...)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%v: %v\n%s", c.args, err, out)
		}
	}
}
