// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestQUIC fetches a file by HTTP/3 through the local port's UDP ASSOCIATE, from a name
// that only exits know. QUIC's own first datagrams have 1,200 bytes and more, and it
// looks for larger ones by itself.
//
// Spec: product §4.3 (UDP-2), §4.7.
func TestQUIC(t *testing.T) {
	path := built(t, "CHIVE_QUIC", "testnet/compat/quic")
	c := newCompat(t)
	const size = 4<<20 + 7
	c.row(t, "HTTP/3", func(t *testing.T) {
		data, err := io.ReadAll(io.LimitReader(stream(9), size))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "blob")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		port, digest, _ := strings.Cut(c.serve(t, path, "serve", file), " ")
		asked := c.town.asked.Load()
		began := time.Now()
		r := c.run(t, program{path: path, args: []string{"fetch", c.socks, localName, port, digest}})
		if r.code != 0 {
			t.Fatal(r)
		}
		logRate(t, size, began)
		want, _, _ := sum(bytes.NewReader(data))
		if got, _, _ := sum(strings.NewReader(r.out)); got != want {
			t.Error("another hash")
		}
		if c.town.asked.Load() == asked {
			t.Error("no exit looked the name up")
		}
		// What was fetched came from that server: another certificate is refused.
		if r := c.run(t, program{path: path, args: []string{"fetch", c.socks, localName, port, strings.Repeat("0", len(digest))}}); r.code == 0 {
			t.Error("any certificate will do")
		}
	})
}
