// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"chive/internal/node"
)

// compat is what the rows of the compatibility table share: a testnet with its
// local port, and a town of real targets behind its exits.
type compat struct {
	net     *Network
	town    *town
	socks   string // host:port
	dir     string
	chive   string   // the binary, for the rows that need it
	lookout *lookout // nil: what leaves this host cannot be counted
}

// programPatience bounds one run of a program. None hangs.
const programPatience = 60 * time.Second

// TestCompat drives real programs through a testnet's local port to real targets.
// Each row also checks that nothing tried to leave the host but through the port.
//
// A missing program skips its row; with CHIVE_REQUIRE_TOOLS=1 it fails.
//
// Spec: product §4.7.
func TestCompat(t *testing.T) {
	if testing.Short() {
		t.Skip("drives many programs")
	}
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		settle(t, before)
		if runtime.NumGoroutine() > before {
			stacks := make([]byte, 1<<20)
			t.Logf("goroutines:\n%s", stacks[:runtime.Stack(stacks, true)])
		}
	})
	c := newCompat(t)
	c.chive = chiveBinary(t)
	t.Run("leaks", c.testLookout)
	t.Run("curl", c.testCurl)
	t.Run("go", c.testGo)
	t.Run("resolve", c.testResolve)
	t.Run("dns", c.testDig)
	t.Run("udp", c.testUDP)
	t.Run("wrappers", c.testWrappers)
	t.Run("fetchers", c.testFetchers)
	t.Run("chive env", c.testEnv)
	t.Run("git", c.testGit)
	t.Run("ssh", c.testSSH)
	t.Run("recipes", c.testRecipes)
	t.Run("chromium", c.testChromium)
	t.Run("bulk", c.testBulk)
	t.Run("load", c.testLoad)
}

// newCompat starts the testnet and its town; they end with the test.
func newCompat(t *testing.T) *compat {
	t.Helper()
	c := &compat{town: newTown(t), dir: t.TempDir(), lookout: newLookout(t)}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	n, err := Start(ctx, Config{Fabric: &townFabric{&Loopback{}, c.town}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	c.net = n
	socks, err := n.ServeSocks(0, node.SocksOptions{Addrs: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	c.socks = socks[0]
	return c
}

// row runs f as a subtest and checks that nothing tried to leave the host.
func (c *compat) row(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	c.rowProbing(t, name, false, f)
}

// rowProbing is row for a program that asks the kernel for routes to IPv6
// addresses, if probing is set, without sending anything there.
func (c *compat) rowProbing(t *testing.T, name string, probing bool, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		if c.lookout == nil {
			f(t)
			return
		}
		attempts, probes := c.lookout.seen(t)
		f(t)
		attemptsAfter, probesAfter := c.lookout.seen(t)
		n := attemptsAfter - attempts
		if !probing {
			n += probesAfter - probes
		}
		if n != 0 {
			t.Errorf("%d attempts to leave the host past the local port", n)
		}
	})
}

// testLookout proves that the other rows would see a leak: curl, told to resolve by
// itself, asks the system's name server and fails.
func (c *compat) testLookout(t *testing.T) {
	if c.lookout == nil {
		skipLoudly(t, "no network namespace can be made here: what leaves the host is not counted")
	}
	curl := need(t, "curl", "curl")
	before, _ := c.lookout.seen(t)
	r := c.run(t, program{path: curl, args: []string{"-sS", "--socks5", c.socks, "http://" + siteName + "/"}})
	if r.code == 0 {
		t.Errorf("curl --socks5 resolved a name that only exits know: %s", r)
	}
	if after, _ := c.lookout.seen(t); after == before {
		t.Error("a look-up past the local port was not seen")
	}
}

// need finds a program, or skips the row and names the package that brings it.
func need(t *testing.T, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/lib/git-core", "/usr/lib/apt"} {
			if path, err = exec.LookPath(filepath.Join(dir, name)); err == nil {
				break
			}
		}
	}
	if err != nil {
		skipLoudly(t, name+" is missing: apt-get install "+pkg)
	}
	return path
}

// skipLoudly skips a row, or fails it where every tool has to be there.
func skipLoudly(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CHIVE_REQUIRE_TOOLS") == "1" {
		t.Fatal(why)
	}
	t.Skip("NOT TESTED: " + why)
}

// chiveBinary builds the command.
func chiveBinary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "chive")
	cmd := exec.Command(need(t, "go", "golang"), "build", "-buildvcs=false", "-o", path, "chive/cmd/chive")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// underEnv is program p as somebody runs it who has typed eval "$(chive env)".
func (c *compat) underEnv(p program) program {
	const script = `settings=$("$0" env --socks "$1") || exit 99; eval "$settings"; shift; exec "$@"`
	p.args = append([]string{"-c", script, c.chive, c.socks, p.path}, p.args...)
	p.path = "/bin/sh"
	return p
}

// program is one run of a program.
type program struct {
	path  string
	args  []string
	env   []string // in addition to what every program gets
	dir   string   // empty: the compat folder
	stdin io.Reader
}

// result is how a program ended.
type result struct {
	out, err string
	code     int
}

func (r result) String() string {
	return "exit " + itoa(r.code) + "\nout: " + clip(r.out) + "\nerr: " + clip(r.err)
}

func clip(s string) string {
	const most = 2000
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// run runs p to its end. A program that does not end in time fails the test.
func (c *compat) run(t *testing.T, p program) result {
	t.Helper()
	r, err := c.start(t.Context(), p)
	if err != nil {
		t.Fatalf("%s: %v: %s", filepath.Base(p.path), err, r)
	}
	return r
}

var errHung = errors.New("it hung")

// start runs p to its end. The error says that it could not run or did not end in
// time; how it ended by itself is in the result.
func (c *compat) start(ctx context.Context, p program) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, programPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.path, p.args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.stdin, &out, &errs
	cmd.Dir = p.dir
	if cmd.Dir == "" {
		cmd.Dir = c.dir
	}
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "TMPDIR=" + c.dir, "LC_ALL=C"}, p.env...)
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	r := result{out: out.String(), err: errs.String()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return r, errHung
	case errors.As(err, &exit):
		r.code = exit.ExitCode()
		return r, nil
	}
	return r, err
}

// must runs p and requires that it ends well and says want.
func (c *compat) must(t *testing.T, p program, want string) {
	t.Helper()
	if r := c.run(t, p); r.code != 0 || r.out != want {
		t.Errorf("%s %s\nwant: %q\n%s", filepath.Base(p.path), strings.Join(p.args, " "), clip(want), r)
	}
}

// socksHost and socksPort are the two halves of the local port's address.
func (c *compat) socksHost() string { host, _, _ := net.SplitHostPort(c.socks); return host }
func (c *compat) socksPort() string { _, port, _ := net.SplitHostPort(c.socks); return port }
