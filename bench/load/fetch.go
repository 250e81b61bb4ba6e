// SPDX-License-Identifier: BSD-3-Clause

package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// small bounds everything that moves few bytes.
const small = 60 * time.Second

// do sends one request over a stream of its own and returns the answer, whose body
// the caller reads from the stream; closing the stream ends all.
func (c *Client) do(ctx context.Context, key, method, path string, body int64, patience time.Duration) (net.Conn, *http.Response, error) {
	conn, err := c.dial(ctx, key, time.Now().Add(patience))
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	r, err := c.exchange(conn, method, path, body)
	if !stop() || err != nil {
		conn.Close()
		if err == nil {
			err = ctx.Err()
		}
		return nil, nil, err
	}
	return conn, r, nil
}

func (c *Client) exchange(conn net.Conn, method, path string, body int64) (*http.Response, error) {
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", method, path, c.Target)
	if method == http.MethodPost {
		head += fmt.Sprintf("Content-Type: application/octet-stream\r\nContent-Length: %d\r\n", body)
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		return nil, err
	}
	if body > 0 {
		if _, err := io.CopyBuffer(struct{ io.Writer }{conn}, io.LimitReader(zeros{}, body), make([]byte, chunkSize)); err != nil {
			return nil, err
		}
	}
	// A small buffer: the bulk is read past it, in large pieces.
	return http.ReadResponse(bufio.NewReaderSize(conn, 4<<10), &http.Request{Method: method})
}

// FirstByte opens a stream, asks for a small object and returns the time from
// before the connection to the proxy until the answer begins. The object is then
// read to its end.
func (c *Client) FirstByte(ctx context.Context, key string) (time.Duration, error) {
	return c.Fetch(ctx, key, 1)
}

// Fetch gets an object of size bytes over a stream of its own and returns the time
// until its first byte.
func (c *Client) Fetch(ctx context.Context, key string, size int64) (time.Duration, error) {
	began := time.Now()
	conn, r, err := c.do(ctx, key, http.MethodGet, "/bytes/"+strconv.FormatInt(size, 10), 0, small)
	if err != nil {
		return 0, err
	}
	took := time.Since(began)
	defer conn.Close()
	return took, drain(r, size)
}

// Download gets size bytes over one stream and returns the time from the request
// for the stream to the last byte.
func (c *Client) Download(ctx context.Context, key string, size int64, patience time.Duration) (time.Duration, error) {
	began := time.Now()
	conn, r, err := c.do(ctx, key, http.MethodGet, "/bytes/"+strconv.FormatInt(size, 10), 0, patience)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	err = drain(r, size)
	return time.Since(began), err
}

// Upload sends size bytes over one stream and returns the time from the request
// for the stream until the target says that it has all.
func (c *Client) Upload(ctx context.Context, key string, size int64, patience time.Duration) (time.Duration, error) {
	began := time.Now()
	conn, r, err := c.do(ctx, key, http.MethodPost, "/sink", size, patience)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	text, err := io.ReadAll(io.LimitReader(r.Body, 32))
	if err != nil {
		return 0, err
	}
	if r.StatusCode != http.StatusOK || string(text) != strconv.FormatInt(size, 10) {
		return 0, ErrShort
	}
	return time.Since(began), nil
}

// drain reads an answer of size bytes.
func drain(r *http.Response, size int64) error {
	if r.StatusCode != http.StatusOK || r.ContentLength != size {
		return ErrAnswer
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, make([]byte, min(size+1, chunkSize)))
	if err == nil && n != size {
		err = ErrShort
	}
	return err
}
