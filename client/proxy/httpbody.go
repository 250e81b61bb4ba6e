// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"bytes"
	"errors"
	"io"
	"strconv"
)

const (
	maxChunkLine = 1 << 10 // a chunk's size with its extensions, which are dropped
	chunkRoom    = 18      // 16 hexadecimal digits and CRLF
)

var errWrite = errors.New("proxy: the receiving side failed")

// writeAll gives a failed write one error, whatever its cause.
func writeAll(w io.Writer, b []byte) error {
	if _, err := w.Write(b); err != nil {
		return errWrite
	}
	return nil
}

// copyBody moves one body from f to w: exactly what the framing says, in fresh
// chunks when chunked, to the end of f when it is neither chunked nor has a
// length. io.ErrUnexpectedEOF: f ended before the body. errHead: the chunks are
// malformed. errWrite: w failed. Trailers are dropped, which RFC 9110 §6.5.1
// allows.
func (s *Server) copyBody(w io.Writer, f *feed, body framing, chunked bool) error {
	buf := s.large.get()
	defer s.large.put(buf)
	switch {
	case body.chunked:
		for {
			size, err := decode(f, maxChunkLine, parseChunkLine)
			if err != nil {
				return unexpected(err)
			}
			if size == 0 {
				break
			}
			if err := copyPart(w, f, *buf, size, chunked); err != nil {
				return err
			}
			if _, err := decode(f, 2, parseCRLF); err != nil {
				return unexpected(err)
			}
		}
		if err := s.skipTrailers(f); err != nil {
			return err
		}
		if chunked {
			return writeAll(w, []byte("0\r\n\r\n"))
		}
		return nil
	case body.length >= 0:
		return copyPart(w, f, *buf, body.length, false)
	}
	for {
		n, err := f.Read(*buf)
		if n > 0 {
			if err := writeAll(w, (*buf)[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// copyPart moves size bytes, each read in a chunk of its own when chunked.
func copyPart(w io.Writer, f *feed, buf []byte, size int64, chunked bool) error {
	space := buf[chunkRoom : len(buf)-2]
	for size > 0 {
		n, err := f.Read(space[:min(int64(len(space)), size)])
		if n > 0 {
			out := buf[chunkRoom : chunkRoom+n]
			if chunked {
				out = frameChunk(buf, n)
			}
			if err := writeAll(w, out); err != nil {
				return err
			}
			size -= int64(n)
		} else if err != nil {
			return unexpected(err)
		}
	}
	return nil
}

// frameChunk puts a chunk's size before, and its line end behind, n bytes at
// chunkRoom.
func frameChunk(buf []byte, n int) []byte {
	var digits [chunkRoom]byte
	line := append(strconv.AppendInt(digits[:0], int64(n), 16), '\r', '\n')
	start := chunkRoom - len(line)
	copy(buf[start:], line)
	buf[chunkRoom+n], buf[chunkRoom+n+1] = '\r', '\n'
	return buf[start : chunkRoom+n+2]
}

// parseChunkLine decodes a chunk's size.
//
//	1 to 16 hexadecimal digits | optional space, ';' and extensions | CRLF
func parseChunkLine(b []byte) (size int64, n int, err error) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		return 0, 0, errShort
	}
	line, ok := bytes.CutSuffix(b[:end], []byte("\r"))
	if !ok || bytes.IndexByte(line, '\r') >= 0 {
		return 0, 0, errHead
	}
	digits, rest := line, []byte(nil)
	if i := bytes.IndexAny(line, "; \t"); i >= 0 {
		digits, rest = line[:i], bytes.TrimLeft(line[i:], " \t")
	}
	if len(rest) > 0 && rest[0] != ';' || len(digits) == 0 || len(digits) > 16 {
		return 0, 0, errHead
	}
	for _, c := range digits {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, 0, errHead
		}
		if size >= 1<<58 {
			return 0, 0, errHead
		}
		size = size<<4 | int64(c)
	}
	return size, end + 1, nil
}

func parseCRLF(b []byte) (none struct{}, n int, err error) {
	switch {
	case len(b) > 0 && b[0] != '\r', len(b) > 1 && b[1] != '\n':
		return none, 0, errHead
	case len(b) < 2:
		return none, 0, errShort
	}
	return none, 2, nil
}

// skipTrailers takes the fields behind the last chunk away.
func (s *Server) skipTrailers(f *feed) error {
	for size := 0; ; {
		n, err := decode(f, maxChunkLine, parseTrailerLine)
		if err != nil {
			return unexpected(err)
		}
		if n == 2 {
			return nil
		}
		if size += n; size > s.limits.HeaderSize {
			return errHead
		}
	}
}

func parseTrailerLine(b []byte) (size, n int, err error) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		return 0, 0, errShort
	}
	if end == 0 || b[end-1] != '\r' {
		return 0, 0, errHead
	}
	return end + 1, end + 1, nil
}

// unexpected makes an end of stream within a body an error.
func unexpected(err error) error {
	switch err {
	case io.EOF:
		return io.ErrUnexpectedEOF
	case errFull:
		return errHead
	}
	return err
}
