// SPDX-License-Identifier: BSD-3-Clause

package layering

import "testing"

func TestNetworkWithoutTheRightIsFound(t *testing.T) {
	for _, test := range []struct {
		name, path, source string
		wants              []string
	}{
		{"client dials", "client/a.go", `package client; import "net"
			func f(d *net.Dialer) { net.Dial("", ""); net.DialTimeout("", "", 0) }`,
			[]string{"client may not dial: net.Dialer", "net.Dial", "net.DialTimeout"}},
		{"client resolves", "client/proxy/a.go", `package proxy; import n "net"
			var r n.Resolver
			func f() { n.LookupHost(""); n.LookupNetIP(""); n.ResolveUDPAddr("", ""); n.DefaultResolver.PreferGo = true }`,
			[]string{"resolve: net.Resolver", "net.LookupHost", "net.LookupNetIP", "net.ResolveUDPAddr", "net.DefaultResolver"}},
		{"front door listens", "client/proxy/a.go", `package proxy; import "net"; func f() { net.ListenUDP("", nil) }`,
			[]string{"client/proxy may not listen: net.ListenUDP"}},
		{"relay dials beside the link", "relay/a.go", `package relay; import ("crypto/tls"; "net/http")
			func f() { tls.Dial("", "", nil); http.Get(""); http.ListenAndServe("", nil) }`,
			[]string{"crypto/tls.Dial", "net/http.Get", "relay may not listen: net/http.ListenAndServe"}},
		{"default dialler of net/http", "client/proxy/a.go", `package proxy; import "net/http"
			var a = http.Client{}
			var b = &http.Transport{ForceAttemptHTTP2: false}`,
			[]string{"http.Client without Transport", "http.Transport without DialContext"}},
		{"composition only listens", "internal/node/a.go", `package node; import "net"
			func f() { net.Listen("", ""); net.Dial("", "") }`, []string{"internal/node may not dial: net.Dial"}},
		{"link does not resolve", "link/a.go", `package link; import "net"; func f() { net.LookupHost("") }`,
			[]string{"link may not resolve"}},
		{"raw sockets", "client/a.go", `package client; import ("syscall"; "golang.org/x/sys/unix")
			func f() { syscall.Connect(0, nil); unix.Socket(0, 0, 0) }`, []string{"syscall.Connect", "unix.Socket"}},
		{"packages that dial", "client/a.go", `package client; import ("net/smtp"; "golang.org/x/net/proxy")`,
			[]string{"net/smtp", "golang.org/x/net/proxy"}},
		{"dot import", "link/a.go", `package link; import . "net"`, []string{"with a dot"}},
		{"types and values are free", "client/a.go", `package client; import ("net"; "net/http")
			func f(c net.Conn, l net.Listener, a *net.TCPAddr) net.IP { return net.ParseIP("") }
			var t = &http.Transport{DialContext: nil}
			var c = http.Client{Transport: t}`, nil},
		{"link dials", "link/a.go", `package link; import "net"; func f() { net.Dial("", ""); net.Listen("", "") }`, nil},
		{"exit resolves", "relay/exit/a.go", `package exit; import "net"; func f(r net.Resolver) { net.ListenUDP("", nil) }`, nil},
		{"a row holds for packages below", "testnet/workload/a.go", `package workload; import "net"; func f() { net.Dial("", "") }`, nil},
		{"a row holds for no longer name", "linker/a.go", `package linker; import "net"; func f() { net.Dial("", "") }`,
			[]string{"linker may not dial"}},
		{"tests are free", "client/a_test.go", `package client; import "net"; func f() { net.Dial("", "") }`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			expect(t, checkNetwork(sources(t, map[string]string{test.path: test.source}), networkRows), test.wants...)
		})
	}
}

func TestTheClientHasNoRightToTheNetwork(t *testing.T) {
	for _, pkg := range []string{"client", "client/proxy", "client/dns", "client/messenger", "service", "circuit/carrier"} {
		if may := rightsOf(pkg, networkRows); may != 0 {
			t.Errorf("%s has network rights %b", pkg, may)
		}
	}
	for _, row := range networkRows {
		if row.why == "" {
			t.Errorf("%s: no reason", row.path)
		}
	}
}
