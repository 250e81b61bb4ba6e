// SPDX-License-Identifier: BSD-3-Clause

package load

import (
	"bufio"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// Bounds of the target.
const (
	// MaxSize is the largest download or upload, in bytes.
	MaxSize = 64 << 30
	// chunkSize is written and read at once.
	chunkSize = 256 << 10
	// echoIdle ends an echo that nobody uses.
	echoIdle = 5 * time.Minute
)

// Target is the destination: a web server on loopback, in this process.
//
//	GET  /bytes/N   N bytes
//	POST /sink      how many bytes came, as text
//	GET  /echo      101, then every byte comes back
type Target struct {
	server *http.Server
	addr   netip.AddrPort
	tasks  sync.WaitGroup
}

// Serve starts a target on a free port of loopback.
func Serve() (*Target, error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /bytes/{size}", giveBytes)
	mux.HandleFunc("POST /sink", takeBytes)
	mux.HandleFunc("GET /echo", echo)
	t := &Target{
		server: &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)},
		addr:   ln.Addr().(*net.TCPAddr).AddrPort(),
	}
	t.tasks.Go(func() { _ = t.server.Serve(ln) })
	return t, nil
}

// Addr is where the target listens.
func (t *Target) Addr() netip.AddrPort { return t.addr }

// Close ends the target. Echoes end when their clients do.
func (t *Target) Close() {
	_ = t.server.Close()
	t.tasks.Wait()
}

func giveBytes(w http.ResponseWriter, r *http.Request) {
	size, err := strconv.ParseInt(r.PathValue("size"), 10, 64)
	if err != nil || size < 0 || size > MaxSize {
		http.Error(w, "size", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	_, _ = io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(zeros{}, size), make([]byte, min(size+1, chunkSize)))
}

func takeBytes(w http.ResponseWriter, r *http.Request) {
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(r.Body, MaxSize), make([]byte, chunkSize))
	if err != nil {
		return
	}
	_, _ = io.WriteString(w, strconv.FormatInt(n, 10))
}

func echo(w http.ResponseWriter, _ *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"); err != nil {
		return
	}
	echoAll(conn, rw.Reader)
}

// echoAll sends everything back until the other side ends.
func echoAll(conn net.Conn, r *bufio.Reader) {
	buf := make([]byte, 4<<10)
	for {
		if conn.SetDeadline(time.Now().Add(echoIdle)) != nil {
			return
		}
		n, err := r.Read(buf)
		if n > 0 {
			if _, err := conn.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// zeros is an endless source. Nothing on the way compresses.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

var (
	// ErrAnswer says that the target answered something else than was asked.
	ErrAnswer = errors.New("load: the target did not answer as asked")
	// ErrShort says that bytes were lost on the way.
	ErrShort = errors.New("load: bytes are missing")
)
