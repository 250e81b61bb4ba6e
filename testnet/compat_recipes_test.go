// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// testRecipes runs the commands of docs/recipes.md as they stand, but for the port and
// the hosts, which are the town's. Blocks marked "avoid" must fail.
//
// Spec: product §4.7.
func (c *compat) testRecipes(t *testing.T) {
	page, err := os.ReadFile("../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "\nbtcd --proxy=127.0.0.1:9250 "+strings.Join(btcdIsolation, " ")+"\n") {
		t.Errorf("the page shows other flags of btcd than %v", btcdIsolation)
	}
	r := c.newRecipes(t)
	blocks := regexp.MustCompile("(?ms)^## ([^\n]*)$|^```sh( avoid)?\n(.*?)^```$").FindAllStringSubmatch(string(page), -1)
	section, good, bad := "", 0, 0
	for _, b := range blocks {
		switch {
		case b[1] != "":
			section = b[1]
		case b[2] == "":
			good++
			// Chromium asks the kernel for routes, as in its own row.
			c.rowProbing(t, fmt.Sprintf("%s %d", section, good), section == "Browsers", func(t *testing.T) {
				for _, name := range r.programs {
					if regexp.MustCompile(`(^|[\s|])` + name[0] + " ").MatchString(b[3]) {
						need(t, name[0], name[1])
					}
				}
				before := c.town.asked.Load()
				if got := r.run(t, c, b[3]); got.code != 0 {
					t.Errorf("%s\n%s", b[3], got)
				}
				if c.town.asked.Load() == before {
					t.Errorf("nothing went through the proxy:\n%s", b[3])
				}
			})
		default:
			bad++
			t.Run(fmt.Sprintf("%s: a mistake", section), func(t *testing.T) {
				before := c.town.asked.Load()
				if got := r.run(t, c, b[3]); got.code == 0 {
					t.Errorf("this does not fail:\n%s\n%s", b[3], got)
				}
				if c.town.asked.Load() != before {
					t.Errorf("this reached the proxy:\n%s", b[3])
				}
			})
		}
	}
	if good < 15 || bad < 3 {
		t.Errorf("the page has %d blocks to run and %d mistakes", good, bad)
	}
}

// recipes is where the page's commands are run.
type recipes struct {
	bin, dir string
	change   *strings.Replacer
	env      []string
	programs [][2]string // name and package of those that the page needs
}

// newRecipes makes a folder of programs that take the town for the world: each passes
// its arguments on, after what a test needs and a user does not.
func (c *compat) newRecipes(t *testing.T) *recipes {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &shell{compat: c, dir: t.TempDir(), name: "recipe." + shellName}
	s.sshd, s.ssh, s.scp = need(t, "sshd", "openssh-server"), need(t, "ssh", "openssh-client"), need(t, "scp", "openssh-client")
	s.serve(t)
	s.write(t, "ssh_config", "IdentityFile "+s.file("user")+"\nIdentitiesOnly yes\nBatchMode yes\nUserKnownHostsFile "+s.file("known")+
		"\nGlobalKnownHostsFile /dev/null\nStrictHostKeyChecking yes\n")
	r := &recipes{bin: t.TempDir(), dir: t.TempDir()}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	place := func(name, line string) {
		if err := os.WriteFile(filepath.Join(r.bin, name), []byte("#!/bin/sh\n"+line+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	place("ssh", "exec "+s.ssh+" -F "+s.file("ssh_config")+` "$@"`)
	place("scp", "exec "+s.scp+" -F "+s.file("ssh_config")+` "$@"`)
	place("nc", "exec "+need(t, "nc.openbsd", "netcat-openbsd")+` "$@"`)
	place("chive", `command=$1; shift; exec '`+c.chive+`' "$command" --socks `+c.socks+` "$@"`)
	place("program", fetchKey+"=https://"+siteName+"/echo exec '"+self+"'")
	place("apt-helper", "exec "+need(t, "apt-helper", "apt")+` -o APT::Sandbox::User= -o Acquire::Retries=0 "$@"`)
	place("aria2c", "exec "+need(t, "aria2c", "aria2")+` --no-conf --file-allocation=none --allow-overwrite=true "$@"`)
	place("chromium", "exec "+need(t, "chromium", "chromium")+" --headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage"+
		" --no-first-run --disable-background-networking --disable-component-update --disable-sync --disable-default-apps"+
		" --ignore-certificate-errors '--proxy-bypass-list=<-loopback>' --user-data-dir="+filepath.Join(r.dir, "chromium")+` --dump-dom "$@"`)
	// Exits remember answers; this name was never asked for.
	const fresh = "recipe.test"
	c.town.lead(fresh, 9, freePort(t))
	c.serveGit(t, need(t, "git", "git"), need(t, "git-http-backend", "git"))
	r.change = strings.NewReplacer("127.0.0.1:9250", c.socks, "-P 9250", "-P "+c.socksPort(), "127.0.0.1 9250", "127.0.0.1 "+c.socksPort(),
		"https://example.com/project.git", "http://"+gitName+"/repo.git", "http://example.com/file.iso", "http://"+siteName+"/blob",
		"user@example.com:", me.Username+"@"+s.name+":"+filepath.Join(s.dir, "copied"), "user@example.com", me.Username+"@"+s.name,
		"https://example.com/", "https://"+siteName+"/page", "http://example.com/", "http://"+siteName+"/page",
		"resolve example.com", "resolve "+fresh, "example.com", siteName, "./program", filepath.Join(r.bin, "program"))
	cert := c.town.site.cert
	r.env = []string{"PATH=" + r.bin + ":" + os.Getenv("PATH") + ":/usr/lib/apt", "CURL_CA_BUNDLE=" + cert, "SSL_CERT_FILE=" + cert}
	if err := os.WriteFile(filepath.Join(c.dir, ".wgetrc"), []byte("ca_certificate = "+cert+"\ntries = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.programs = [][2]string{{"curl", "curl"}, {"wget", "wget"}, {"python3", "python3"}, {"git", "git"}, {"torsocks", "torsocks"},
		{"tor-resolve", "tor"}, {"proxychains4", "proxychains4"}}
	return r
}

// run runs a block in a shell.
func (r *recipes) run(t *testing.T, c *compat, block string) result {
	t.Helper()
	bash := need(t, "bash", "bash")
	return c.run(t, program{path: bash, dir: r.dir, env: r.env, args: []string{"-eu", "-o", "pipefail", "-c", r.change.Replace(block)}})
}
