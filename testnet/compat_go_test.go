// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"
)

// fetchKey makes this test binary a program that fetches an address and prints what
// it got, with net/http as it is.
const fetchKey = "CHIVE_TEST_FETCH"

// fetchAsProgram returns the program's exit code.
func fetchAsProgram(address string) int {
	resp, err := http.Get(address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer resp.Body.Close()
	if _, err := io.Copy(os.Stdout, resp.Body); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// testGo drives programs made with net/http, configured by their environment.
func (c *compat) testGo(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, proxy := range []string{"socks5://", "socks5://u:p@", "socks5h://u:p@", "http://", "http://u:p@"} {
		c.row(t, proxy, func(t *testing.T) {
			for _, address := range []string{"http://" + siteName + "/echo", "https://" + siteName + "/echo"} {
				c.must(t, program{path: self, env: []string{
					fetchKey + "=" + address, "HTTP_PROXY=" + proxy + c.socks, "HTTPS_PROXY=" + proxy + c.socks,
					"SSL_CERT_FILE=" + c.town.site.cert,
				}}, "GET "+address+" ")
			}
		})
	}
}

// browser returns an HTTP client that goes through the local port. Its connections
// end with the test.
func (c *compat) browser(t *testing.T, proxy string) *http.Client {
	t.Helper()
	u, err := url.Parse(proxy + c.socks)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{
		Proxy: http.ProxyURL(u), TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Minute}
}
