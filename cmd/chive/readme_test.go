// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"chive/internal/config"
	"chive/internal/node"
	"chive/testnet"
)

const readmeMark = "<!-- A test runs the blocks from here to the end of this section. -->"

func readme(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var fenced = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// blocks returns the fenced blocks of a language.
func blocks(text, language string) (out []string) {
	for _, m := range fenced.FindAllStringSubmatch(text, -1) {
		if m[1] == language {
			out = append(out, m[2])
		}
	}
	return out
}

// TestReadmeNetworkByHand runs the README's commands for a network of five relays
// and a client as they stand, but for the ports, which may be taken here.
func TestReadmeNetworkByHand(t *testing.T) {
	if testing.Short() || raceOn {
		t.Skip("the README's network by hand is not started with -short or -race; testdata/script/byhand.txtar is like it")
	}
	for _, program := range []string{"bash", "curl", "python3"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CHIVE_REQUIRE_TOOLS") == "1" {
				t.Fatalf("%s is missing", program)
			}
			t.Skipf("%s is missing: the README's network by hand is not run", program)
		}
	}
	_, section, ok := strings.Cut(readme(t), readmeMark)
	if !ok {
		t.Fatal("README.md has lost the mark of the network by hand")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	parts := blocks(section, "sh")
	if len(parts) != 3 {
		t.Fatalf("%d blocks, want 3: make, start, fetch", len(parts))
	}
	script := strings.Join(parts, "\n")
	ports := []string{"924", fivePorts(t), "9350", onePort(t), "8000", onePort(t)}
	for i := 0; i < len(ports); i += 2 {
		if !strings.Contains(script, ports[i]) {
			t.Fatalf("the blocks no longer use port %s", ports[i])
		}
	}
	script = strings.NewReplacer(ports...).Replace(script)

	dir := t.TempDir()
	chive, err := exec.LookPath(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if chive, err = filepath.Abs(chive); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(chive, filepath.Join(dir, "chive")); err != nil { // the name makes it the command
		t.Skip("no symbolic links here")
	}
	cmd := exec.Command("bash", "-c", "set -eu\ntrap 'kill $(jobs -p); wait' EXIT\n"+script)
	cmd.Dir = dir
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s\n%s", err, script, out.String(), errs.String())
	}
	page, err := os.ReadFile(filepath.Join(dir, "net", "www", "index.html"))
	if err != nil || !strings.Contains(out.String(), string(page)) {
		t.Errorf("the page was not fetched: %v\n%s", err, out.String())
	}
	served, err := os.ReadDir(filepath.Join(dir, "net", "www"))
	if err != nil || len(served) != 1 || strings.Count(script, "--directory net/www ") != 1 {
		t.Errorf("more than the page is served: %v, %v", served, err)
	}
	for _, line := range []string{"ready client ", "good: network demo "} {
		if strings.Count(out.String(), line) != 1 {
			t.Errorf("%q is not there once\n%s", line, out.String())
		}
	}
	if strings.Count(out.String(), "ready relay ") != 5 {
		t.Errorf("not five relays are ready\n%s", out.String())
	}
}

// TestLocalPagesAreFetchedThroughTheProxy runs the lines for pages of this machine in a shell
// with the variables of chive env, while nobody is at the proxy: the page must not be had.
func TestLocalPagesAreFetchedThroughTheProxy(t *testing.T) {
	for _, program := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is missing: the lines are not run", program)
		}
	}
	var asked atomic.Int32
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { asked.Add(1) }))
	defer page.Close()
	at, proxy := page.Listener.Addr().String(), "127.0.0.1:"+onePort(t)
	_, section, _ := strings.Cut(readme(t), readmeMark)
	section, _, _ = strings.Cut(section, "\n## ")
	parts := blocks(section, "sh")
	fetch := strings.NewReplacer("127.0.0.1:9350", proxy, "127.0.0.1:8000", at, "--retry 9 --retry-all-errors", "").Replace(parts[len(parts)-1])
	for _, line := range []string{fetch, curlLine(proxy, at)} {
		if !strings.Contains(line, proxy) || !strings.Contains(line, at) {
			t.Fatalf("no line for a page of this machine: %s", line)
		}
		cmd := exec.Command("bash", "-c", line)
		cmd.Env = os.Environ()
		for _, v := range proxyVariables(proxy) {
			cmd.Env = append(cmd.Env, v.name+"="+v.value)
		}
		out, err := cmd.CombinedOutput()
		if came := asked.Swap(0) > 0; err == nil || came {
			t.Errorf("the page came without the proxy: %s\n%s", line, out)
		}
	}
}

func onePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// fivePorts returns P so that the ports P1 to P5 are free.
func fivePorts(t *testing.T) string {
	t.Helper()
	for prefix := 1300; prefix < 3200; prefix++ {
		free := true
		for n := 1; n <= 5 && free; n++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d%d", prefix+os.Getpid()%1000, n))
			if free = err == nil; free {
				l.Close()
			}
		}
		if free {
			return strconv.Itoa(prefix + os.Getpid()%1000)
		}
	}
	t.Fatal("no five ports in a row are free")
	return ""
}

// TestReadmeShowsWhatTestnetPrints: the lines to expect and to paste.
func TestReadmeShowsWhatTestnetPrints(t *testing.T) {
	text := readme(t)
	for _, want := range []string{
		"```sh\ngo run ./cmd/chive testnet up\n```",
		"```sh\ngo test ./...\n```",
		"\n" + curlLine(node.DefaultSocks, testnet.TargetName) + "\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("README.md lacks %q", want)
		}
	}
	ready := regexp.MustCompile(`(?m)^ready testnet relays=10 clients=1 services=0 socks=127\.0\.0\.1:9250 web=http://127\.0\.0\.1:9251/ control=unix:/[0-9a-z/-]+/control\.sock took=[0-9.]+s$`)
	if !ready.MatchString(text) {
		t.Error("README.md shows another ready line than testnet up")
	}
}

// TestReadmeCommandsExist: every chive command line in the README, and in what it names
// for operators, is one that the binary takes.
func TestReadmeCommandsExist(t *testing.T) {
	operating, err := os.ReadFile(filepath.Join("..", "..", "docs", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	if n := commandsExist(t, readme(t)); n < 10 {
		t.Errorf("only %d commands were found in README.md", n)
	}
	if n := commandsExist(t, string(operating)); n < 12 {
		t.Errorf("only %d commands were found in docs/operating.md", n)
	}
}

// TestReadmeBuildsBeforeItUses: whoever follows the README from its top has a command
// when it is first written as one.
func TestReadmeBuildsBeforeItUses(t *testing.T) {
	before, _, ok := strings.Cut(readme(t), "\n## Build it\n")
	if !ok || len(blocks(before, "sh")) != 2 {
		t.Fatal("README.md does not say how to build the command after its first two")
	}
	code := strings.Join(append(blocks(before, "sh"), blocks(before, "")...), "")
	for _, m := range regexp.MustCompile("`([^`\n]+(\n[^`\n]+)?)`").FindAllStringSubmatch(fenced.ReplaceAllString(before, ""), -1) {
		code += m[1] + "\n"
	}
	if found := regexp.MustCompile(`(?m)^(\./)?chive .*`).FindAllString(code, -1); len(found) > 0 {
		t.Errorf("nothing is built yet where these stand: %q", found)
	}
}

// commandsExist checks the chive command lines of a document, and counts them.
func commandsExist(t *testing.T, text string) (seen int) {
	t.Helper()
	for _, block := range blocks(strings.ReplaceAll(text, "\\\n", " "), "sh") {
		for line := range strings.Lines(block) {
			words := strings.Fields(strings.TrimSuffix(strings.TrimSpace(line), "&"))
			var args []string
			switch {
			case len(words) > 0 && (words[0] == "./chive" || words[0] == "chive"):
				args = words[1:]
			case len(words) > 2 && strings.Join(words[:3], " ") == "go run ./cmd/chive":
				args = words[3:]
			default:
				continue
			}
			seen++
			a := &app{out: io.Discard, err: io.Discard, env: config.Environment{}}
			c, rest, err := a.root().Find(args)
			if err == nil {
				err = c.ParseFlags(rest)
			}
			if err == nil {
				err = c.ValidateArgs(c.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: %v", strings.TrimSpace(line), err)
			}
		}
	}
	return seen
}
