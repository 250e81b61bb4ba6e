// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"encoding/binary"

	"github.com/klauspost/compress/zstd"
)

// Limits of zstd. Spec: directory §1 (encoding), protocol §7 (SYNC-2).
const (
	maxWindow = 1 << 20
	maxMemory = 16 << 20
)

// How bytes are packed.
const (
	packedRaw  = 0
	packedZstd = 1
)

// A packed block: 0 | bytes, or 1 | size 4 | one zstd frame of that many bytes.
const packedHead = 1 + 4

// packer makes zstd frames. It belongs to one goroutine.
type packer struct{ zip *zstd.Encoder }

func newPacker() packer {
	zip, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(maxWindow),
		zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true), zstd.WithEncoderLevel(zstd.SpeedDefault))
	invariant(err == nil) // the options above are in range
	return packer{zip}
}

// frame returns one zstd frame. The library leaves out sizes below 256.
func (z packer) frame(b []byte) []byte { return z.zip.EncodeAll(b, nil) }

// pack returns a packed block.
func (z packer) pack(b []byte) []byte {
	if len(b) > 0 {
		if f := z.frame(b); packedHead+len(f) < 1+len(b) {
			out := binary.BigEndian.AppendUint32([]byte{packedZstd}, uint32(len(b)))
			return append(out, f...)
		}
	}
	return append([]byte{packedRaw}, b...)
}

// unpacker reads zstd frames. It belongs to one goroutine.
type unpacker struct{ zip *zstd.Decoder }

func newUnpacker() unpacker {
	zip, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxMemory), zstd.WithDecodeAllCapLimit(true))
	invariant(err == nil) // the options above are in range
	return unpacker{zip}
}

// frame unpacks one zstd frame that must hold exactly size bytes. That is what is
// allocated, whatever the frame claims. Error: ErrAnswer.
func (z unpacker) frame(b []byte, size int) ([]byte, error) {
	if !oneFrame(b, size) {
		return nil, ErrAnswer
	}
	out, err := z.zip.DecodeAll(b, make([]byte, 0, size))
	if err != nil || len(out) != size {
		return nil, ErrAnswer
	}
	return out, nil
}

// unpack reads a packed block of at most so many bytes. Error: ErrAnswer.
func (z unpacker) unpack(p []byte, most int) ([]byte, error) {
	switch {
	case len(p) == 0:
		return nil, ErrAnswer
	case p[0] == packedRaw && len(p)-1 <= most:
		return p[1:], nil
	case p[0] != packedZstd || len(p) < packedHead:
		return nil, ErrAnswer
	}
	size := binary.BigEndian.Uint32(p[1:])
	if uint64(size) > uint64(most) {
		return nil, ErrAnswer
	}
	return z.frame(p[packedHead:], int(size))
}

// oneFrame reports whether b is a zstd frame, and nothing after it, that announces no
// other size and asks for no more than the limits.
func oneFrame(b []byte, size int) bool {
	var h zstd.Header
	if h.Decode(b) != nil || h.Skippable || h.DictionaryID != 0 || (h.HasFCS && h.FrameContentSize != uint64(size)) ||
		(!h.SingleSegment && h.WindowSize > maxWindow) || h.HeaderSize > len(b) {
		return false
	}
	b = b[h.HeaderSize:]
	for last := false; !last; {
		if len(b) < 3 {
			return false
		}
		head := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		last = head&1 == 1
		n := int(head >> 3)
		if head>>1&3 == 1 { // one byte, repeated
			n = 1
		}
		if len(b)-3 < n {
			return false
		}
		b = b[3+n:]
	}
	rest := 0
	if h.HasCheckSum {
		rest = 4
	}
	return len(b) == rest
}
