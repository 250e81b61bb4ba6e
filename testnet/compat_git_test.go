// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testGit clones, pushes to and fetches from a repository that git http-backend
// serves.
func (c *compat) testGit(t *testing.T) {
	git := need(t, "git", "git")
	backend := need(t, "git-http-backend", "git")
	c.serveGit(t, git, backend)
	c.row(t, "clone, push, fetch", func(t *testing.T) {
		for _, proxy := range []string{"socks5h://", "http://"} {
			c.gitRound(t, git, proxy)
		}
	})
	c.row(t, "unknown name", func(t *testing.T) {
		r := c.git(t, git, "socks5h://", "", "clone", "-q", "http://"+missingName+"/repo.git", filepath.Join(c.dir, "never"))
		if r.code != 128 || !strings.Contains(r.err, "(4)") {
			t.Errorf("want exit 128 and the reply's number\n%s", r)
		}
	})
}

// serveGit serves an empty repository as http://git.test/repo.git.
func (c *compat) serveGit(t *testing.T, git, backend string) {
	t.Helper()
	root := filepath.Join(c.dir, "git")
	repo := filepath.Join(root, "repo.git")
	for _, args := range [][]string{
		{"init", "-q", "--bare", "-b", "main", repo},
		{"-C", repo, "config", "http.receivepack", "true"},
	} {
		if r := c.git(t, git, "", "", args...); r.code != 0 {
			t.Fatal(r)
		}
	}
	script := &cgi.Handler{
		Path: backend, Stderr: io.Discard, Logger: log.New(io.Discard, "", 0),
		Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "HOME=" + c.dir},
	}
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// git sends a large push in chunks; a script wants to know its length.
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
			script.ServeHTTP(w, r)
		})}
	t.Cleanup(func() { server.Close() })
	ln := c.town.listen(t, gitName, 80)
	go func() { _ = server.Serve(ln) }()
}

// git runs git with its own settings only.
func (c *compat) git(t *testing.T, git, proxy, dir string, args ...string) result {
	t.Helper()
	if proxy != "" {
		args = append([]string{"-c", "http.proxy=" + proxy + c.socks}, args...)
	}
	return c.run(t, program{path: git, dir: dir, args: args, env: []string{
		"GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example",
	}})
}

// gitRound pushes a commit of some megabytes from one clone and fetches it into
// another.
func (c *compat) gitRound(t *testing.T, git, proxy string) {
	t.Helper()
	must := func(dir string, args ...string) string {
		t.Helper()
		r := c.git(t, git, proxy, dir, args...)
		if r.code != 0 {
			t.Fatalf("git %s: %s", strings.Join(args, " "), r)
		}
		return strings.TrimSpace(r.out)
	}
	const url = "http://" + gitName + "/repo.git"
	base := t.TempDir()
	one, two := filepath.Join(base, "one"), filepath.Join(base, "two")
	must("", "clone", "-q", url, one)
	must("", "clone", "-q", url, two)
	data := make([]byte, 3<<20)
	_, _ = stream(proxy[0]).Read(data)
	if err := os.WriteFile(filepath.Join(one, "data-"+proxy[:4]), data, 0o600); err != nil {
		t.Fatal(err)
	}
	must(one, "add", ".")
	must(one, "commit", "-q", "-m", "data")
	must(one, "push", "-q", "origin", "HEAD:main")
	must(two, "fetch", "-q", "origin", "main")
	if a, b := must(one, "rev-parse", "HEAD"), must(two, "rev-parse", "FETCH_HEAD"); a != b || a == "" {
		t.Errorf("pushed %q, fetched %q", a, b)
	}
	must(two, "fsck", "--full", "--strict")
	three := filepath.Join(base, "three")
	must("", "clone", "-q", url, three)
	must(three, "fsck", "--full", "--strict")
}
