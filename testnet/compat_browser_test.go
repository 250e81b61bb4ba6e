// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"path/filepath"
	"strings"
	"testing"
)

// testChromium loads a page of many parts from several hosts in a browser.
func (c *compat) testChromium(t *testing.T) {
	chromium := need(t, "chromium", "chromium")
	for _, r := range []struct{ name, proxy, url string }{
		{"socks5 http", "socks5://", "http://" + siteName + "/page"},
		{"socks5 https", "socks5://", "https://" + siteName + "/page"},
		{"http absolute", "http://", "http://" + siteName + "/page"},
		{"http CONNECT", "http://", "https://" + siteName + "/page"},
	} {
		// Chromium asks the kernel now and then whether there is a route to a
		// public IPv6 address, with a UDP socket that it then sends nothing on.
		c.rowProbing(t, r.name, true, func(t *testing.T) {
			before := c.town.site.scripts.Load()
			got := c.run(t, program{path: chromium, args: []string{
				"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
				"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
				"--ignore-certificate-errors", "--proxy-bypass-list=<-loopback>", "--user-data-dir=" + filepath.Join(c.dir, "chromium "+r.name),
				"--proxy-server=" + r.proxy + c.socks, "--dump-dom", r.url,
			}})
			if got.code != 0 || !strings.Contains(got.out, "parts: "+itoa(scriptCount)) {
				t.Error(got)
			}
			if n := c.town.site.scripts.Load() - before; n != scriptCount {
				t.Errorf("%d parts were fetched, want %d", n, scriptCount)
			}
		})
	}
}
