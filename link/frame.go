// SPDX-License-Identifier: BSD-3-Clause

package link

import "encoding/binary"

// Kinds and flags of multiplexer frames.
const (
	frameData   = 0
	frameWindow = 1
	framePing   = 2
	frameGoAway = 3

	flagSYN = 1
	flagACK = 2
	flagFIN = 4
	flagRST = 8
)

// frame is a multiplexer frame's header: version 1 | kind 1 | flags 2 | stream
// 4 | length 4.
type frame struct {
	version, kind byte
	flags         uint16
	stream        uint32
	length        uint32
}

// parseFrame reads a header, if b has one.
func parseFrame(b []byte) (frame, bool) {
	if len(b) < frameHeaderSize {
		return frame{}, false
	}
	return frame{
		version: b[0],
		kind:    b[1],
		flags:   binary.BigEndian.Uint16(b[2:]),
		stream:  binary.BigEndian.Uint32(b[4:]),
		length:  binary.BigEndian.Uint32(b[8:]),
	}, true
}

// check returns the frame's whole size.
func (h frame) check() (int, error) {
	if h.version != 0 || h.kind > frameGoAway || h.flags&^(flagSYN|flagACK|flagFIN|flagRST) != 0 {
		return 0, ErrProtocol
	}
	switch {
	case h.kind == frameData && h.length > maxFrameData,
		h.kind == frameWindow && h.length > streamWindow:
		return 0, ErrProtocol
	case h.kind == frameData:
		return frameHeaderSize + int(h.length), nil
	}
	return frameHeaderSize, nil
}

func resetFrame(id uint32) []byte {
	b := make([]byte, frameHeaderSize)
	b[1] = frameWindow
	binary.BigEndian.PutUint16(b[2:], flagRST)
	binary.BigEndian.PutUint32(b[4:], id)
	return b
}
