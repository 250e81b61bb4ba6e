// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"chive/directory/snapshot"
	"chive/internal/strictcbor"
)

// Caps of an answer.
const (
	maxTiles           = snapshot.MaxLeafCount / snapshot.TileLeafCount
	maxTileSize        = 1 + snapshot.MaxTileSize
	MaxCertificateSize = 8 << 10
	MaxStepCount       = 64
)

// tileRaw names the compression of a tile: none. 1 is reserved for zstd.
const tileRaw = 0

// Refusal says why a request got no answer.
type Refusal uint8

// Refusals.
const (
	RefusedUnknown Refusal = 0 // no such request, or not understood
	RefusedBusy    Refusal = 1 // ask again later, or another relay
	RefusedAbsent  Refusal = 2 // this relay does not hold it
	refusals       Refusal = 3
)

// Answer is one answer. Which fields count depends on Code.
type Answer struct {
	Code    Code
	Refusal Refusal // with CodeRefused
	// SYNC and HEADER: an encoded header; empty in HEADER: the epoch was skipped.
	Header []byte
	// SYNC.
	Certificate []byte     // empty for snapshot 0
	Steps       [][]byte   // hand-over steps, oldest first
	TileRoots   [][32]byte // empty: the client holds the table
	Tiles       [][]byte   // the first of them
	// TILE.
	N    uint32
	Tile []byte
}

type wireRefused struct {
	_       struct{} `cbor:",toarray"`
	Code    Code
	Refusal Refusal
}

type wireSyncAnswer struct {
	_           struct{} `cbor:",toarray"`
	Code        Code
	Header      []byte
	Certificate []byte
	Steps       [][]byte
	Roots       []byte // 32 bytes each
	Tiles       [][]byte
}

type wireTileAnswer struct {
	_    struct{} `cbor:",toarray"`
	Code Code
	N    uint32
	Tile []byte
}

type wireHeaderAnswer struct {
	_      struct{} `cbor:",toarray"`
	Code   Code
	Header []byte
}

// Encode returns the answer's body. Error: ErrAnswer for an answer beyond its caps.
func (a *Answer) Encode() ([]byte, error) {
	if !a.inBounds() {
		return nil, ErrAnswer
	}
	var v any
	switch a.Code {
	case CodeRefused:
		v = wireRefused{Code: a.Code, Refusal: a.Refusal}
	case CodeSync:
		w := wireSyncAnswer{Code: a.Code, Header: a.Header, Certificate: a.Certificate, Steps: a.Steps, Tiles: a.Tiles}
		for i := range a.TileRoots {
			w.Roots = append(w.Roots, a.TileRoots[i][:]...)
		}
		v = w
	case CodeTile:
		v = wireTileAnswer{Code: a.Code, N: a.N, Tile: a.Tile}
	case CodeHeader:
		v = wireHeaderAnswer{Code: a.Code, Header: a.Header}
	}
	b, err := strictcbor.Marshal(v)
	if err != nil || len(b) > MaxFrameSize {
		return nil, ErrAnswer
	}
	return b, nil
}

func (a *Answer) inBounds() bool {
	switch a.Code {
	case CodeRefused:
		return a.Refusal < refusals
	case CodeSync:
		if len(a.Header) == 0 || len(a.Header) > snapshot.MaxHeaderSize || len(a.Certificate) > MaxCertificateSize ||
			len(a.Steps) > MaxStepCount || len(a.TileRoots) > maxTiles || len(a.Tiles) > len(a.TileRoots) {
			return false
		}
		for _, s := range a.Steps {
			if len(s) == 0 || len(s) > MaxCertificateSize {
				return false
			}
		}
		for _, t := range a.Tiles {
			if len(t) < 2 || len(t) > maxTileSize {
				return false
			}
		}
		return true
	case CodeTile:
		return a.N < maxTiles && len(a.Tile) >= 2 && len(a.Tile) <= maxTileSize
	case CodeHeader:
		return len(a.Header) <= snapshot.MaxHeaderSize
	}
	return false
}

// DecodeAnswer reads an answer's body and refuses one to another question, apart
// from a refusal. What it carries is not verified: Check, OpenTile and OpenTable
// do. Error: ErrAnswer.
func DecodeAnswer(body []byte, asked *Request) (*Answer, error) {
	code, err := codeOf(body, MaxFrameSize)
	if err != nil || (code != CodeRefused && code != asked.Code) {
		return nil, ErrAnswer
	}
	a := &Answer{Code: code}
	switch code {
	case CodeRefused:
		var w wireRefused
		_, err = strictcbor.Unmarshal(body, MaxFrameSize, &w)
		a.Refusal = w.Refusal
	case CodeSync:
		var w wireSyncAnswer
		_, err = strictcbor.Unmarshal(body, MaxFrameSize, &w)
		if len(w.Roots)%32 != 0 || len(w.Roots)/32 > maxTiles {
			return nil, ErrAnswer
		}
		a.Header, a.Certificate, a.Steps, a.Tiles = w.Header, w.Certificate, w.Steps, w.Tiles
		for r := w.Roots; len(r) > 0; r = r[32:] {
			a.TileRoots = append(a.TileRoots, [32]byte(r))
		}
	case CodeTile:
		var w wireTileAnswer
		_, err = strictcbor.Unmarshal(body, MaxFrameSize, &w)
		if w.N != asked.N {
			return nil, ErrAnswer
		}
		a.N, a.Tile = w.N, w.Tile
	case CodeHeader:
		var w wireHeaderAnswer
		_, err = strictcbor.Unmarshal(body, MaxFrameSize, &w)
		a.Header = w.Header
	}
	if err != nil || !a.inBounds() {
		return nil, ErrAnswer
	}
	return a, nil
}
