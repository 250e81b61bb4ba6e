// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestTorrent downloads a file from a seeder by BitTorrent through the local port alone:
// the tracker is a name that only exits know, and the peer an address that only they
// reach.
//
// Spec: product §4.7.
func TestTorrent(t *testing.T) {
	path := built(t, "CHIVE_TORRENT", "testnet/compat/torrent")
	c := newCompat(t)
	const (
		trackerName, seederName = "tracker.test", "seeder.test"
		size                    = 16<<20 + 7
	)
	c.row(t, "fetch", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "blob")
		data, err := io.ReadAll(io.LimitReader(stream(8), size))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		meta := filepath.Join(c.dir, "blob.torrent")
		c.town.lead(seederName, 6881, c.seed(t, path, file, meta, "http://"+trackerName+"/announce"))
		var asked atomic.Int64
		peer := c.town.addr(seederName).As4()
		answer := "d8:intervali1800e5:peers6:" + string(append(peer[:], 6881>>8, 6881&0xff)) + "e"
		s := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			_, _ = io.WriteString(w, answer)
		})}
		ln := c.town.listen(t, trackerName, 80)
		go func() { _ = s.Serve(ln) }()
		t.Cleanup(func() { _ = s.Close() })

		dir := filepath.Join(c.dir, "fetched")
		began := time.Now()
		if r := c.run(t, program{path: path, args: []string{"fetch", meta, dir, c.socks}}); r.code != 0 {
			t.Fatal(r)
		}
		logRate(t, size, began)
		want, _, _ := sum(bytes.NewReader(data))
		if got := sumFile(t, filepath.Join(dir, "blob")); got != want {
			t.Error("another hash")
		}
		if asked.Load() == 0 {
			t.Error("nobody asked the tracker")
		}
	})
}

// seed starts a seeder of a file and returns its address on this machine.
func (c *compat) seed(t *testing.T, path, file, meta, tracker string) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", c.serve(t, path, "seed", file, meta, tracker))
}

// serve starts a program that says in a line where it listens, and ends with its input.
func (c *compat) serve(t *testing.T, path string, args ...string) string {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "TMPDIR=" + c.dir}
	cmd.Dir = c.dir
	var errs spoken
	cmd.Stderr = &errs
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(fmt.Errorf("%s ended: %w: %s", filepath.Base(path), err, errs.String()))
	}
	return strings.TrimSpace(line)
}
