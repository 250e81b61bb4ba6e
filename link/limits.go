// SPDX-License-Identifier: BSD-3-Clause

package link

import "time"

// Sizes of the specification, in bytes.
const (
	RecordSize = 2112 // every record on the wire
	RecordData = 2092 // data in a full record

	recordPlain   = RecordData + 4    // data, length, flags
	rekeyInterval = 1 << 16           // records of a direction under one key
	HelloSize     = 2                 // suite, version
	Message1Size  = 32 + 1184 + tag   // e, payload
	Message2Size  = 32 + 48 + p2 + 16 // e, s, payload
	Message3Size  = 48 + p3 + 16      // s, payload
	p2            = 1088 + p3
	p3            = 2 + MaxCertificateSize
	tag           = 16

	// MaxCertificateSize bounds an encoded certificate. With it message 2 stays
	// within 1.2 times what the responder received (security B4).
	MaxCertificateSize = 256

	// MaxCertificateLife bounds how far a certificate's end lies ahead.
	MaxCertificateLife = 48 * time.Hour

	frameHeaderSize = 12
	maxFrameData    = 64 << 10  // data of one multiplexer frame
	streamWindow    = 256 << 10 // of a stream and direction
)

// Limits of this implementation. Spec: security §3.
const (
	// HandshakeTimeout bounds a whole handshake (B2).
	HandshakeTimeout = 10 * time.Second
	// WriteTimeout is how long a write may make no progress (B7).
	WriteTimeout = 10 * time.Second
	// MaxClientStreams and MaxRelayStreams bound the streams a peer may have
	// open on a link; a further one is reset (B5).
	MaxClientStreams = 512
	MaxRelayStreams  = 8192
	// MaxOpenStreams bounds the streams we have open on a link.
	MaxOpenStreams = 8192
	// MaxWaitingStreams bounds streams that the peer opened and nobody
	// accepted, and streams that we opened and the peer did not accept (B5).
	MaxWaitingStreams = 256
	// MaxResetsPerMinute is how many streams we refuse before the link goes (B5).
	MaxResetsPerMinute = 1000
	// ControlFramesPerSecond, ControlFrameBytes and ControlFrameBurst bound
	// multiplexer frames without data: so many a second and one more for each
	// ControlFrameBytes of data in either direction (B6).
	ControlFramesPerSecond = 200
	ControlFrameBytes      = 4096
	ControlFrameBurst      = 20000
	// MaxOutstandingWrites bounds writes inside the multiplexer (B14).
	MaxOutstandingWrites = 8
	// CellsPerWrite bounds the cells that a stream writes at once while others
	// wait for their turn, MaxCellsPerWrite those it writes while nobody does.
	CellsPerWrite    = 4
	MaxCellsPerWrite = 16

	// muxWriteTimeout is the multiplexer's own safety valve. It is longer than
	// WriteTimeout because it counts from when a write was queued: behind a
	// full queue on a slow link that moves, 10 s may pass. If it strikes, the
	// link closes: a frame may be lost and the peer would wait for ever.
	muxWriteTimeout = 30 * time.Second
	// lingerTime is how long a stream that we closed may wait for the peer's
	// end before it is reset.
	lingerTime = 30 * time.Second

	// DefaultKeepAlive and DefaultSilence: see Config. Three keep-alives fit
	// into a minute, in which silence must be noticed.
	DefaultKeepAlive = 20 * time.Second
	DefaultSilence   = 55 * time.Second
	// DefaultHalfLife is long against a page and short against a download, so
	// that whoever sent little lately goes first.
	DefaultHalfLife = 10 * time.Second
	// DefaultClockSkew is the error that a clock may have.
	DefaultClockSkew = time.Hour

	// fewRecords to manyRecords wait for the writer, at most: what is queued can
	// no longer be scheduled, but large writes are cheap. The bound follows how
	// long a write takes: longSend and more makes it smaller.
	fewRecords  = 8
	manyRecords = 32
	longSend    = 2 * time.Millisecond
	// maxPadding bounds padding records that wait; more are not made.
	maxPadding = 1024
	// smallBuffer is the read buffer of an idle link, which one record does not
	// fill; largeBuffer is that of a busy one, and holds the largest frame.
	smallBuffer = RecordSize + RecordSize/8
	largeBuffer = 96 << 10
	// discardSize is how much of what nobody reads is dropped at once.
	discardSize = 16 << 10
	// maxRipe is how many entries Link.ripe keeps the memory of.
	maxRipe = 64
	// closeFlush is how long Close may take to send what is queued.
	closeFlush = time.Second
)
