// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"
)

// maxTargetSize bounds what the built-in server sends for one request, in bytes.
const maxTargetSize = 4 << 30

// Page is what the built-in server answers at "/".
const Page = "Hello from the far side of three relays.\n"

// newTarget returns the built-in web server. It serves
//
//	/            Page
//	/bytes/N     N bytes of a fixed pattern, at most 4 GiB
//	/count       POST: answers with the number of bytes it was sent
func newTarget() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(Page))
	})
	mux.HandleFunc("GET /bytes/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
		if err != nil || n < 0 || n > maxTargetSize {
			http.Error(w, "The size is a number of bytes, at most 4 GiB.", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		pattern := Pattern()
		for ; n > 0; n -= int64(len(pattern)) {
			if _, err := w.Write(pattern[:min(n, int64(len(pattern)))]); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("POST /count", func(w http.ResponseWriter, r *http.Request) {
		var total int64
		buf := make([]byte, 64<<10)
		for {
			n, err := r.Body.Read(buf)
			total += int64(n)
			if err != nil {
				break
			}
		}
		_, _ = fmt.Fprintln(w, total)
	})
	return &http.Server{
		Handler: mux, ErrorLog: log.New(io.Discard, "", 0), // it would print addresses
		ReadHeaderTimeout: 30 * time.Second, MaxHeaderBytes: 64 << 10,
	}
}

// Pattern returns the 64 KiB that /bytes/N repeats. The caller owns it.
func Pattern() []byte {
	p := make([]byte, 64<<10)
	x := uint32(2463534242)
	for i := range p {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		p[i] = byte(x)
	}
	return p
}

// serveTarget runs the server until its listener closes.
func serveTarget(s *http.Server, ln net.Listener) { _ = s.Serve(ln) }
