// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"encoding/binary"
	"errors"
	"io"
)

// Sizes in bytes. Spec: directory §8.
const (
	MaxFrameSize = 128 << 10 // of the CBOR within a frame
	PadSize      = 4096      // an answer takes a multiple of it
	headSize     = 4
	// MaxRequestSize bounds a request; requests are small.
	MaxRequestSize = 512
	// MaxAnswerSize is the largest answer on the wire, padding included.
	MaxAnswerSize = (headSize + MaxFrameSize + PadSize - 1) / PadSize * PadSize
)

var (
	// ErrFrame means a frame that is too long, empty, or padded with something.
	ErrFrame = errors.New("sync: bad frame")
	// ErrRequest means bytes that are not a request of this version.
	ErrRequest = errors.New("sync: bad request")
	// ErrAnswer means bytes that are not an answer, or not to this question.
	ErrAnswer = errors.New("sync: bad answer")
)

// Frame returns a request's bytes behind their length, ready to be written.
func Frame(body []byte) []byte {
	out := binary.BigEndian.AppendUint32(make([]byte, 0, headSize+len(body)), uint32(len(body)))
	return append(out, body...)
}

// padded returns an answer's frame with its padding.
func padded(body []byte) []byte {
	size := headSize + len(body)
	out := make([]byte, (size+PadSize-1)/PadSize*PadSize)
	binary.BigEndian.PutUint32(out, uint32(len(body)))
	copy(out[headSize:], body)
	return out
}

// ReadRequest reads the next request's body from r and blocks until it is there.
// Errors: io.EOF when the stream ends before a frame, ErrFrame, and what r returns.
func ReadRequest(r io.Reader) ([]byte, error) { return readBody(r, MaxRequestSize) }

// ReadAnswer reads the next answer's body and its padding from r and blocks until
// they are there. Errors: as ReadRequest.
func ReadAnswer(r io.Reader) ([]byte, error) {
	body, err := readBody(r, MaxFrameSize)
	if err != nil {
		return nil, err
	}
	var pad [PadSize]byte
	rest := pad[:(PadSize-(headSize+len(body))%PadSize)%PadSize]
	if _, err := io.ReadFull(r, rest); err != nil {
		return nil, cut(err)
	}
	for _, b := range rest {
		if b != 0 {
			return nil, ErrFrame
		}
	}
	return body, nil
}

func readBody(r io.Reader, most uint32) ([]byte, error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size == 0 || size > most {
		return nil, ErrFrame
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, cut(err)
	}
	return body, nil
}

// cut turns the end of a stream within a frame into the error that it is.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
