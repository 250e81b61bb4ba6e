// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"errors"
	"io"
)

var (
	errShort = errors.New("proxy: more bytes needed")
	errFull  = errors.New("proxy: message exceeds its bound")
)

const feedStart = 2 << 10

// feed reads ahead of a byte stream and loses nothing of what was read too
// much. One goroutine at a time.
type feed struct {
	src  io.Reader
	buf  []byte
	r, w int
	scan int // bytes after r already searched for the end of a head
}

// buffered returns what was read and not yet taken; valid until the next call.
func (f *feed) buffered() []byte { return f.buf[f.r:f.w] }

// advance takes n buffered bytes away.
func (f *feed) advance(n int) {
	f.r += n
	f.scan = 0
	if f.r == f.w {
		f.r, f.w = 0, 0
	}
}

// room returns the free space behind the buffered bytes, growing the buffer up
// to limit bytes; errFull when limit bytes are buffered already.
func (f *feed) room(limit int) ([]byte, error) {
	if f.w-f.r >= limit {
		return nil, errFull
	}
	if f.w == len(f.buf) {
		if f.r > 0 && f.w-f.r <= len(f.buf)/2 {
			f.w = copy(f.buf, f.buf[f.r:f.w])
		} else {
			grown := make([]byte, min(max(2*len(f.buf), feedStart), max(limit, feedStart)))
			f.w = copy(grown, f.buf[f.r:f.w])
			f.buf = grown
		}
		f.r = 0
	}
	return f.buf[f.w:], nil
}

// fill reads once from the source. errFull: limit bytes are waiting already.
func (f *feed) fill(limit int) error {
	p, err := f.room(limit)
	if err != nil {
		return err
	}
	n, err := f.src.Read(p)
	f.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// release drops the buffer once it is empty.
func (f *feed) release() {
	if f.w == f.r {
		f.buf, f.r, f.w = nil, 0, 0
	}
}

// Read returns buffered bytes first.
func (f *feed) Read(p []byte) (int, error) {
	if f.w > f.r {
		n := copy(p, f.buffered())
		f.advance(n)
		return n, nil
	}
	return f.src.Read(p)
}

// decode fills the feed until parse has a whole message of at most limit bytes,
// and takes it away. io.ErrUnexpectedEOF: the stream ended within the message.
func decode[T any](f *feed, limit int, parse func([]byte) (T, int, error)) (T, error) {
	for {
		b := f.buffered()
		v, n, err := parse(b[:min(len(b), limit)])
		if err == nil {
			f.advance(n)
			return v, nil
		}
		if err != errShort {
			return v, err
		}
		if err := f.fill(limit); err != nil {
			if err == io.EOF && f.w > f.r {
				err = io.ErrUnexpectedEOF
			}
			return v, err
		}
	}
}
