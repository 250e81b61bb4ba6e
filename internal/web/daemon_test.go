// SPDX-License-Identifier: BSD-3-Clause

package web

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestPageOfADaemon looks at the page of a process that runs: a testnet, through whose
// client pages are fetched, one of them in vain. Spec: PAGE-2, PAGE-3.
func TestPageOfADaemon(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts a network")
	}
	b := browser(t)
	d := startDaemon(t)
	if code, page := d.fetch(t, "http://hello.test/"); code != http.StatusOK || !strings.Contains(page, "Hello") {
		t.Fatalf("%d: %s", code, page)
	}
	if code, page := d.fetch(t, "http://missing.test/"); code != http.StatusBadGateway {
		t.Fatalf("%d: %s", code, page)
	}
	address, err := url.Parse(strings.TrimSpace(d.says(t, "status", "--web", "--control", d.Control)))
	if err != nil {
		t.Fatal(err)
	}
	token, _ := strings.CutPrefix(address.Fragment, "token=")
	p := openAt(t, b, address.Host, token)

	p.sees("[data-name=state]", "Ready")
	p.sees("main", d.Socks)
	p.sees("main", "This is a testnet")
	p.holds(`/[1-9]\d* B down, [1-9]\d* B up/.test(document.querySelector("main").innerText)`)
	p.shot("daemon-status")

	p.visit("circuits", "Circuits")
	p.holds("document.querySelectorAll('.circuit').length >= 1")
	p.sees(".circuit details", "among the exits that permit")
	p.sees(".circuit details", " of 3, ")
	p.run(chromedp.Evaluate[chromedp.Void]("document.querySelectorAll('.circuit details').forEach((d) => { d.open = true; })"))
	p.shot("daemon-circuits")

	p.visit("streams", "Streams")
	p.run(click(`[data-do="show"][data-id="bad"]`))
	p.holds("document.querySelectorAll('.stream').length === 1")
	p.run(click(".stream summary"))
	for _, text := range []string{"missing.test:80", "name_not_found", "What to do", "heck the spelling"} {
		p.sees(".stream[open]", text)
	}
	p.shot("daemon-streams")
	// What fails while one looks comes by itself.
	if code, page := d.fetch(t, "http://lost.test/"); code != http.StatusBadGateway {
		t.Fatalf("%d: %s", code, page)
	}
	p.sees(".stream", "lost.test:80")
	// So does what no relay was asked for, with who refused it.
	if code, page := d.fetch(t, "http://printer.local/"); code != http.StatusBadGateway {
		t.Fatalf("%d: %s", code, page)
	}
	p.sees(".stream", "printer.local:80")
	p.run(click(".stream:not([open]) summary")) // the newest is first
	p.sees("main", "This client")
	p.sees("main", "no relay was asked")

	p.visit("network", "Network")
	p.holds("document.querySelectorAll('tbody tr').length === 10")
	p.sees("main", "10 are running")
	p.holds("!document.querySelector('.note.warning')") // nothing is wrong with it
	p.shot("daemon-network")

	// What it really says is read as well at night, and on a telephone.
	p.run(likes("dark"), chromedp.EmulateViewport(360, 740))
	for view, title := range map[string]string{"status": "Status", "circuits": "Circuits", "streams": "Streams", "network": "Network", "settings": "Settings"} {
		p.visit(view, title)
		p.run(chromedp.Evaluate[chromedp.Void]("document.querySelectorAll('details').forEach((d) => { d.open = true; })"))
		if bad := value[[]string](p, lowContrast); len(bad) > 0 {
			t.Errorf("%s: contrast below 4.5: %v", view, bad)
		}
		if p.is("document.documentElement.scrollWidth > innerWidth") {
			t.Errorf("%s is wider than the screen", view)
		}
		p.shot("daemon-dark-" + view)
	}
	p.run(likes("light"), chromedp.EmulateViewport(1180, 900))

	p.visit("circuits", "Circuits")
	before := d.circuits(t)
	p.run(click(`[data-do="new identity"]`))
	p.run(click(`[data-do="agree"]`))
	p.sees(".note.good", "A new identity has begun.")
	if after := d.circuits(t); slices.ContainsFunc(after, func(id string) bool { return slices.Contains(before, id) }) {
		t.Errorf("of the circuits %v some are left: %v", before, after)
	}
	p.visit("settings", "Settings")
	p.shot("daemon-settings")
	p.ownRequestsOnly()

	// Its end shows.
	d.stop()
	p.visit("status", "Status")
	p.sees("[data-name=state]", "Not known")
}

// daemonPatience bounds what is asked of the process.
const daemonPatience = 30 * time.Second

// daemon is a testnet in a process of its own.
type daemon struct {
	Socks, Web, Control string

	path  string
	env   []string
	proxy *http.Client
	stop  func() // ends it, and waits
}

// startDaemon builds the program and starts a testnet, which ends with the test.
func startDaemon(t *testing.T) *daemon {
	t.Helper()
	home := t.TempDir()
	d := &daemon{path: filepath.Join(home, "chive"), env: []string{"HOME=" + home, "TMPDIR=" + home, "PATH=" + os.Getenv("PATH")}}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", d.path, "chive/cmd/chive")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(d.path, "testnet", "up", "--json", "--socks", "127.0.0.1:0", "--web", "127.0.0.1:0")
	cmd.Env, cmd.Stderr = d.env, io.Discard
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	d.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-ended
	})
	t.Cleanup(d.stop)
	ready := make(chan daemon, 1)
	go func() {
		defer close(ended)
		for lines := json.NewDecoder(out); ; {
			var line struct {
				Event string
				daemon
			}
			if lines.Decode(&line) != nil {
				break
			}
			if line.Event == "ready" {
				ready <- line.daemon
			}
		}
		_ = cmd.Wait()
	}()
	select {
	case r := <-ready:
		d.Socks, d.Web, d.Control = r.Socks, r.Web, r.Control
	case <-ended:
		t.Fatal("the testnet ended")
	case <-time.After(daemonPatience):
		t.Fatal("the testnet does not start")
	}
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: d.Socks}), DisableKeepAlives: true}
	d.proxy = &http.Client{Transport: transport, Timeout: daemonPatience}
	return d
}

// fetch gets a page through the local port.
func (d *daemon) fetch(t *testing.T, address string) (code int, page string) {
	t.Helper()
	r, err := d.proxy.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

// says runs a command and returns what it prints.
func (d *daemon) says(t *testing.T, args ...string) string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), daemonPatience)
	defer stop()
	cmd := exec.CommandContext(ctx, d.path, args...)
	cmd.Env = d.env
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("chive %v: %v", args, err)
	}
	return string(out)
}

// circuits returns what the daemon calls its circuits.
func (d *daemon) circuits(t *testing.T) (ids []string) {
	t.Helper()
	var status struct {
		Client struct{ Circuits []struct{ ID string } }
	}
	if err := json.Unmarshal([]byte(d.says(t, "status", "--json", "--control", d.Control)), &status); err != nil {
		t.Fatal(err)
	}
	for _, c := range status.Client.Circuits {
		ids = append(ids, c.ID)
	}
	return ids
}
