// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"chive/internal/node"
	"chive/internal/testutil"
)

// testDig asks the client's DNS port with dig, which speaks no proxy protocol: names are
// looked up at exits, and what must not leave this machine does not.
//
// Spec: product §4.4 (DNS-1 to DNS-4), §4.7.
func (c *compat) testDig(t *testing.T) {
	f, err := node.OpenFront(node.FrontOptions{Socks: node.SocksOptions{Addrs: []string{"127.0.0.1:0"}}, DNS: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Serve(ctx, c.net.Clients[0].Client, true, c.net.cfg.Log) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	host, port, _ := net.SplitHostPort(f.DNSName())
	addr := c.town.addr(siteName).String()
	c.row(t, "dig", func(t *testing.T) {
		dig := need(t, "dig", "dnsutils")
		ask := func(args ...string) program {
			return program{path: dig, args: append([]string{"@" + host, "-p", port, "-r", "+tries=1", "+time=20"}, args...)}
		}
		c.must(t, ask("+short", siteName), addr+"\n")
		c.must(t, ask("+short", "+tcp", siteName), addr+"\n")
		c.must(t, ask("+short", "-x", addr), siteName+".\n")
		c.must(t, ask("+short", TargetName), targetAddr.String()+"\n")
		for _, q := range []struct{ want, name, kind string }{
			{"NOERROR", siteName, "AAAA"}, {"NXDOMAIN", missingName, "A"}, {"NXDOMAIN", "x.onion", "A"}, {"NXDOMAIN", "x.alt", "A"},
			{"NXDOMAIN", "printer.local", "A"}, {"NOTIMP", siteName, "MX"},
		} {
			if r := c.run(t, ask("+noall", "+comments", q.name, q.kind)); r.code != 0 || !strings.Contains(r.out, "status: "+q.want) {
				t.Errorf("%s %s, want %s: %s", q.name, q.kind, q.want, r)
			}
		}
		if r := c.run(t, ask("+noall", "+answer", siteName)); !strings.Contains(r.out, "\t60\tIN\tA\t"+addr) {
			t.Errorf("the time to live is not 60: %s", r)
		}
		r := c.run(t, ask("+short", testutil.ServiceName('x')))
		mapped, err := netip.ParseAddr(strings.TrimSpace(r.out))
		if err != nil || !netip.MustParsePrefix("198.18.0.0/15").Contains(mapped) {
			t.Errorf("a service is not mapped: %s", r)
		}
	})
	c.row(t, "curl connects to what dig was told", func(t *testing.T) {
		curl := need(t, "curl", "curl")
		c.must(t, program{path: curl, args: []string{"-sS", "--max-time", curlPatience, "--proxy", "socks5://" + f.Names()[0],
			"-H", "Host: " + siteName, "http://" + addr + "/echo"}}, "GET http://"+siteName+"/echo ")
	})
}
