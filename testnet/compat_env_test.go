// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// testEnv drives what takes its proxy from what chive env prints, in a shell that
// evaluates it.
//
// Spec: product §4.7, CLI-10.
func (c *compat) testEnv(t *testing.T) {
	plain, secure := "http://"+siteName, "https://"+siteName
	c.row(t, "wget", func(t *testing.T) {
		wget := need(t, "wget", "wget")
		for url, added := range map[string]string{plain: "", secure: "Proxy-Connection"} { // by wget itself, inside TLS
			c.must(t, c.underEnv(program{path: wget, args: []string{"--no-config", "-q", "-t", "1", "-T", curlPatience,
				"--ca-certificate=" + c.town.site.cert, "-O", "-", "--post-data=form", url + "/echo"}}), "POST "+url+"/echo form"+added)
		}
		r := c.run(t, c.underEnv(program{path: wget, args: []string{"--no-config", "-q", "-t", "1", "-O", "-", "http://" + missingName + "/"}}))
		if r.code != 8 {
			t.Errorf("unknown name: want exit 8, as for an answer that says error\n%s", r)
		}
	})
	c.row(t, "apt", func(t *testing.T) {
		helper := need(t, "apt-helper", "apt")
		file := filepath.Join(c.dir, "apt-got")
		args := []string{"-o", "APT::Sandbox::User=", "-o", "Acquire::Retries=0", "download-file", plain + "/blob", file}
		for name, p := range map[string]program{
			"chive env":       c.underEnv(program{path: helper, args: args}),
			"its own setting": {path: helper, args: append([]string{"-o", "Acquire::http::Proxy=socks5h://" + c.socks}, args...)},
		} {
			r := c.run(t, p)
			if r.code != 0 {
				t.Errorf("%s: %s", name, r)
				continue
			}
			want, _, _ := sum(bytes.NewReader(c.town.site.blob))
			if got := sumFile(t, file); got != want {
				t.Errorf("%s: another hash", name)
			}
			_ = os.Remove(file)
		}
	})
	c.row(t, "python", func(t *testing.T) {
		python := need(t, "python3", "python3")
		const script = "import sys, urllib.request as u; sys.stdout.write(u.urlopen(sys.argv[1], timeout=20).read().decode())"
		for _, url := range []string{plain, secure} {
			c.must(t, c.underEnv(program{path: python, env: []string{"SSL_CERT_FILE=" + c.town.site.cert}, args: []string{"-c", script, url + "/echo"}}),
				"GET "+url+"/echo ")
		}
	})
	// curl takes each variable alone, and says whom it connected to.
	c.row(t, "each variable", func(t *testing.T) {
		curl, env := need(t, "curl", "curl"), need(t, "env", "coreutils")
		here := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here ") }))
		defer here.Close()
		const who = "%{remote_ip}:%{remote_port}"
		all := []string{"ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "http_proxy"}
		for _, r := range []struct{ keep, url, page, peer string }{
			{"ALL_PROXY", plain, "GET " + plain + "/echo ", c.socks}, {"all_proxy", plain, "GET " + plain + "/echo ", c.socks},
			{"HTTPS_PROXY", secure, "GET " + secure + "/echo ", c.socks}, {"https_proxy", secure, "GET " + secure + "/echo ", c.socks},
			{"http_proxy", plain, "GET " + plain + "/echo ", c.socks},
			{"ALL_PROXY", here.URL, "here ", here.Listener.Addr().String()}, // NO_PROXY
			{"http_proxy", here.URL, "here ", here.Listener.Addr().String()},
		} {
			var args []string
			for _, name := range all {
				if name != r.keep {
					args = append(args, "-u", name)
				}
			}
			args = append(args, curl, "-sS", "--max-time", curlPatience, "--cacert", c.town.site.cert, "-w", who, r.url+"/echo")
			c.must(t, c.underEnv(program{path: env, args: args}), r.page+r.peer)
		}
	})
}
