// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"encoding/binary"
	"errors"
	"io"

	"chive/internal/strictcbor"
)

// Sizes in bytes. Spec: directory §8, protocol §7 (SYNC-1).
const (
	MaxFrameSize = 128 << 10 // of the CBOR within a frame
	PadSize      = 4096      // the frame of an answer takes a multiple of it
	headSize     = 4
	// MaxRequestSize bounds a request; only evidence comes near it.
	MaxRequestSize = 4224
	// MaxContentSize bounds what the frames of one answer carry together.
	MaxContentSize = 8 << 20
	// partSize is what each frame of an answer but the last carries: with its head and
	// its length it takes MaxFrameSize on the wire.
	partSize = MaxFrameSize - 16
	maxLeft  = MaxContentSize / partSize // frames after the first
	// MaxAnswerSize is the largest answer on the wire, padding included.
	MaxAnswerSize = (maxLeft + 1) * MaxFrameSize
)

var (
	// ErrFrame means a frame that is too long, empty, out of turn, or padded with
	// something.
	ErrFrame = errors.New("sync: bad frame")
	// ErrRequest means bytes that are not a request of this version.
	ErrRequest = errors.New("sync: bad request")
	// ErrAnswer means bytes that are not an answer, or not to this question.
	ErrAnswer = errors.New("sync: bad answer")
)

// wireFrame is one frame of an answer.
type wireFrame struct {
	_    struct{} `cbor:",toarray"`
	Code Code
	Left uint8 // frames that follow
	Data []byte
}

// Frame returns a request's bytes behind their length, ready to be written.
func Frame(body []byte) []byte {
	out := binary.BigEndian.AppendUint32(make([]byte, 0, headSize+len(body)), uint32(len(body)))
	return append(out, body...)
}

// frames returns an answer's body, its code and its content, as padded frames; nil for
// a content beyond MaxContentSize.
func frames(body []byte) []byte {
	code, content := Code(body[0]), body[1:]
	if len(content) > MaxContentSize {
		return nil
	}
	left := max(0, len(content)-1) / partSize
	out := make([]byte, 0, padded(headSize+16+len(content)+left*16))
	for {
		part := content[:min(partSize, len(content))]
		content = content[len(part):]
		b, err := strictcbor.Marshal(wireFrame{Code: code, Left: uint8(left), Data: part})
		if err != nil || len(b) > MaxFrameSize {
			return nil
		}
		out = binary.BigEndian.AppendUint32(out, uint32(len(b)))
		out = append(out, b...)
		out = append(out, make([]byte, padded(headSize+len(b))-headSize-len(b))...)
		if left == 0 {
			return out
		}
		left--
	}
}

// padded returns the size that a frame takes.
func padded(size int) int { return (size + PadSize - 1) / PadSize * PadSize }

// ReadRequest reads the next request's body from r and blocks until it is there.
// Errors: io.EOF when the stream ends before a frame, ErrFrame, and what r returns.
func ReadRequest(r io.Reader) ([]byte, error) { return readBody(r, MaxRequestSize) }

// ReadAnswer reads the frames of the next answer with their padding from r and blocks
// until they are there. It returns the answer's body for DecodeAnswer: its code and what
// the frames carry together. Memory grows with what has come. Errors: as ReadRequest.
func ReadAnswer(r io.Reader) ([]byte, error) {
	var body []byte
	for left := -1; left != 0; {
		b, err := readBody(r, MaxFrameSize)
		if err == nil {
			err = readPadding(r, len(b))
		}
		if err != nil {
			if body != nil {
				err = cut(err)
			}
			return nil, err
		}
		var w wireFrame
		if _, err := strictcbor.Unmarshal(b, MaxFrameSize, &w); err != nil {
			return nil, ErrFrame
		}
		if body == nil {
			body = []byte{byte(w.Code)}
		} else if int(w.Left) != left-1 || body[0] != byte(w.Code) {
			return nil, ErrFrame
		}
		left = int(w.Left)
		// All frames but the last are full, so that an answer has one form.
		if left > maxLeft || len(w.Data) > partSize || (left > 0 && len(w.Data) != partSize) || (len(body) > 1 && len(w.Data) == 0) {
			return nil, ErrFrame
		}
		if body = append(body, w.Data...); len(body)-1 > MaxContentSize {
			return nil, ErrFrame
		}
	}
	return body, nil
}

func readPadding(r io.Reader, size int) error {
	var pad [PadSize]byte
	rest := pad[:padded(headSize+size)-headSize-size]
	if _, err := io.ReadFull(r, rest); err != nil {
		return cut(err)
	}
	for _, b := range rest {
		if b != 0 {
			return ErrFrame
		}
	}
	return nil
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
