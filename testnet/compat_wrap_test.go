// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testWrappers drives what puts programs behind a proxy from outside.
func (c *compat) testWrappers(t *testing.T) {
	url := "http://" + siteName + "/echo"
	secure := "https://" + siteName + "/echo"
	c.row(t, "torsocks", func(t *testing.T) {
		torsocks, curl := need(t, "torsocks", "torsocks"), need(t, "curl", "curl")
		for _, opts := range [][]string{nil, {"-i"}, {"-u", "ann", "-p", "1"}} {
			args := append([]string{"-a", c.socksHost(), "-P", c.socksPort()}, opts...)
			args = append(args, curl, "-sS", "--max-time", curlPatience)
			c.must(t, program{path: torsocks, args: append(args, url)}, "GET "+url+" ")
			c.must(t, program{path: torsocks, args: append(args, "-k", secure)}, "GET "+secure+" ")
			c.must(t, program{path: torsocks, args: append(args, "http://"+TargetName+"/")}, Page)
		}
	})
	c.row(t, "torsocks -i isolates", func(t *testing.T) {
		torsocks, curl := need(t, "torsocks", "torsocks"), need(t, "curl", "curl")
		one := program{path: torsocks, args: []string{"-i", "-a", c.socksHost(), "-P", c.socksPort(),
			curl, "-sS", "--max-time", curlPatience, holdURL}}
		if circuits := c.hold(t, [2]program{one, one}); circuits != 2 {
			t.Errorf("two processes on %d circuits", circuits)
		}
	})
	for _, r := range []struct {
		name           string
		user, password string
		circuits       int
	}{{"same credentials", "ann", "1", 1}, {"other user", "bob", "1", 2}, {"other password", "ann", "2", 2}} {
		c.row(t, "torsocks -u -p: "+r.name, func(t *testing.T) {
			torsocks, curl := need(t, "torsocks", "torsocks"), need(t, "curl", "curl")
			as := func(user, password string) program {
				return program{path: torsocks, args: []string{"-u", user, "-p", password, "-a", c.socksHost(), "-P", c.socksPort(),
					curl, "-sS", "--max-time", curlPatience, holdURL}}
			}
			if circuits := c.hold(t, [2]program{as("ann", "1"), as(r.user, r.password)}); circuits != r.circuits {
				t.Errorf("two processes on %d circuits, want %d", circuits, r.circuits)
			}
		})
	}
	c.row(t, "torsocks nc", func(t *testing.T) {
		torsocks, nc := need(t, "torsocks", "torsocks"), need(t, "nc.openbsd", "netcat-openbsd")
		for _, host := range []string{TargetName, siteName} {
			r := c.run(t, program{path: torsocks, args: []string{"-a", c.socksHost(), "-P", c.socksPort(), nc, "-N", host, "80"},
				stdin: strings.NewReader("GET / HTTP/1.0\r\n\r\n")})
			if r.code != 0 || !strings.HasPrefix(r.out, "HTTP/1.") || host == TargetName && !strings.HasSuffix(r.out, "\r\n\r\n"+Page) {
				t.Errorf("%s: %s", host, r)
			}
		}
	})
	c.row(t, "proxychains4", func(t *testing.T) {
		chains, curl := need(t, "proxychains4", "proxychains4"), need(t, "curl", "curl")
		for _, kind := range []string{"socks4", "socks5", "http"} {
			file := filepath.Join(c.dir, "proxychains-"+kind+".conf")
			// The stock file, with this port.
			conf := "strict_chain\nproxy_dns\nremote_dns_subnet 224\ntcp_read_time_out 15000\ntcp_connect_time_out 8000\n" +
				fmt.Sprintf("[ProxyList]\n%s %s %s\n", kind, c.socksHost(), c.socksPort())
			if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{"-q", "-f", file, curl, "-sS", "--max-time", curlPatience}
			c.must(t, program{path: chains, args: append(args, url)}, "GET "+url+" ")
			c.must(t, program{path: chains, args: append(args, "-k", secure)}, "GET "+secure+" ")
		}
	})
	c.row(t, "nc", func(t *testing.T) {
		nc := need(t, "nc.openbsd", "netcat-openbsd")
		for _, args := range [][]string{{"-X", "5"}, {"-X", "connect"}, {"-N", "-X", "5"}, {"-N", "-X", "connect"}} {
			args = append(args, "-x", c.socks, TargetName, "80")
			r := c.run(t, program{path: nc, args: args, stdin: strings.NewReader("GET / HTTP/1.0\r\n\r\n")})
			if r.code != 0 || !strings.HasSuffix(r.out, "\r\n\r\n"+Page) {
				t.Errorf("%v: %s", args, r)
			}
		}
	})
}

// testFetchers drives what takes a proxy from its settings or environment.
func (c *compat) testFetchers(t *testing.T) {
	plain, secure := "http://"+siteName, "https://"+siteName
	c.row(t, "aria2", func(t *testing.T) {
		aria2 := need(t, "aria2c", "aria2")
		want, _, _ := sum(bytes.NewReader(c.town.site.blob))
		for i, url := range []string{plain, secure} {
			name := fmt.Sprintf("aria2-%d", i)
			r := c.run(t, program{path: aria2, args: []string{"--no-conf", "--all-proxy=http://" + c.socks, "--check-certificate=false",
				"-q", "-x", "4", "-s", "4", "-k", "1M", "--file-allocation=none", "-d", c.dir, "-o", name, url + "/blob"}})
			if r.code != 0 {
				t.Error(r)
				continue
			}
			if got := sumFile(t, filepath.Join(c.dir, name)); got != want {
				t.Errorf("%s: another hash", url)
			}
		}
	})
	c.row(t, "torsocks aria2", func(t *testing.T) {
		torsocks, aria2 := need(t, "torsocks", "torsocks"), need(t, "aria2c", "aria2")
		want, _, _ := sum(bytes.NewReader(c.town.site.blob))
		r := c.run(t, program{path: torsocks, args: []string{"-a", c.socksHost(), "-P", c.socksPort(), aria2, "--no-conf", "--async-dns=false",
			"-q", "-x", "4", "-s", "4", "-k", "1M", "--file-allocation=none", "-d", c.dir, "-o", "aria2-torsocks", plain + "/blob"}})
		if r.code != 0 {
			t.Fatal(r)
		}
		if got := sumFile(t, filepath.Join(c.dir, "aria2-torsocks")); got != want {
			t.Error("another hash")
		}
	})
}

// sumFile returns the SHA-256 of a file.
func sumFile(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	digest, _, err := sum(f)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}
