// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// bulkSize is how much each way of bulk carries, in bytes: a little of what
// CHIVE_FULL=1 and the build tag soak ask for.
func bulkSize() int64 {
	if full() {
		return 1 << 30
	}
	return 64 << 20
}

// full asks for what takes too long for every day.
func full() bool { return soak || os.Getenv("CHIVE_FULL") == "1" }

// testBulk carries much in one stream each way, nothing of it on disk.
func (c *compat) testBulk(t *testing.T) {
	size := bulkSize()
	for _, proxy := range []string{"socks5://", "http://"} {
		c.row(t, "download by "+proxy, func(t *testing.T) {
			want, _, _ := sum(io.LimitReader(stream(3), size))
			began := time.Now()
			resp, err := c.browser(t, proxy).Get(fmt.Sprintf("http://%s/stream/3/%d", siteName, size))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, n, err := sum(resp.Body)
			if err != nil || n != size || got != want {
				t.Errorf("%d bytes of %d, %v, equal %v", n, size, err, got == want)
			}
			logRate(t, n, began)
		})
		c.row(t, "upload by "+proxy, func(t *testing.T) {
			want, _, _ := sum(io.LimitReader(stream(4), size))
			began := time.Now()
			request, err := http.NewRequest(http.MethodPost, "http://"+siteName+"/digest", io.LimitReader(stream(4), size))
			if err != nil {
				t.Fatal(err)
			}
			request.ContentLength = size
			resp, err := c.browser(t, proxy).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if got, err := io.ReadAll(resp.Body); err != nil || string(got) != fmt.Sprintf("%s %d %v", want, size, nil) {
				t.Errorf("%s, %v", got, err)
			}
			logRate(t, size, began)
		})
	}
}

func logRate(t *testing.T, n int64, began time.Time) {
	d := time.Since(began)
	t.Logf("%d MiB in %v, %.1f MB/s", n>>20, d.Round(time.Millisecond), float64(n)/1e6/d.Seconds())
}

// testLoad asks for much at once, then for nothing that makes sense.
func (c *compat) testLoad(t *testing.T) {
	for _, host := range []string{siteName, farName} {
		c.row(t, "200 fetches at once by curl from "+host, func(t *testing.T) { c.testMany(t, host) })
	}
	c.row(t, "ten thousand connections", c.testGarbage)
}

// testMany fetches 200 files at once, each over a connection of its own.
func (c *compat) testMany(t *testing.T, host string) {
	curl := need(t, "curl", "curl")
	const fetches = 200
	dir := t.TempDir()
	began := time.Now()
	r := c.run(t, program{path: curl, dir: dir, args: []string{"-sS", "--max-time", "60", "-x", "socks5h://" + c.socks,
		"--parallel", "--parallel-immediate", "--parallel-max", itoa(fetches), "-o", "#1",
		fmt.Sprintf("http://%s/stream/5/[20001-%d]", host, 20000+fetches)}})
	t.Logf("%v", time.Since(began).Round(time.Millisecond))
	if r.code != 0 {
		t.Error(r)
	}
	lost := 0
	for i := range fetches {
		size := 20001 + i
		want, _, _ := sum(io.LimitReader(stream(5), int64(size)))
		got, err := os.Open(filepath.Join(dir, itoa(size)))
		if err != nil {
			lost++
			continue
		}
		if digest, _, err := sum(got); err != nil || digest != want {
			t.Errorf("%d bytes: another hash, %v", size, err)
		}
		_ = got.Close()
	}
	if lost > 0 {
		t.Errorf("%d of %d fetches were lost", lost, fetches)
	}
}

// testGarbage opens ten thousand connections that send nothing, noise, or half a
// request; then a fetch works and nothing stays behind.
func (c *compat) testGarbage(t *testing.T) {
	fetch := func() {
		t.Helper()
		resp, err := c.browser(t, "socks5://").Get("http://" + TargetName + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got, err := io.ReadAll(resp.Body); err != nil || string(got) != Page {
			t.Errorf("%q, %v", got, err)
		}
	}
	fetch()
	before := runtime.NumGoroutine()
	noise := make([]byte, 1<<16)
	_, _ = stream(6).Read(noise)
	began := time.Now()
	abuse(t, c.socks, 10_000, 100, func(i int, conn net.Conn) {
		kind := i % 6
		if i%50 == 0 {
			kind = 6 + i/50%2
		}
		switch kind {
		case 0: // says nothing
		case 1: // noise, cut anywhere
			_, _ = conn.Write(noise[i : i+1+i*7%4000])
		case 2: // a greeting, then noise
			_, _ = conn.Write(append([]byte{5, 2, 0, 2}, noise[i:i+300]...))
			_, _ = conn.Read(make([]byte, 64))
		case 3: // half a request
			_, _ = conn.Write([]byte{5, 1, 0, 5, 1, 0, 3, 200, 'x'})
		case 4: // a head that never ends
			_, _ = conn.Write([]byte("GET http://" + siteName + "/ HTTP/1.1\r\nX: "))
			_, _ = conn.Write(noise)
		case 5: // SOCKS4 without end
			_, _ = conn.Write(append([]byte{4, 1, 0, 80, 0, 0, 0, 1}, noise[i:i+2000]...))
		case 6: // an honest request that nobody waits for
			_, _ = conn.Write(append([]byte{5, 1, 0, 5, 1, 0}, socksAddress(siteName, 80)...))
		case 7: // and one that is answered
			_, _ = conn.Write(append([]byte{5, 1, 0, 5, 1, 0}, socksAddress(siteName, 81)...))
			_, _ = io.Copy(io.Discard, conn)
		}
	})
	t.Logf("%v", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	fetch()
	t.Logf("the fetch after them: %v", time.Since(began).Round(time.Millisecond))
	settle(t, before+50)
}
