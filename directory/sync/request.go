// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"chive/internal/strictcbor"
)

// Code tells requests apart; an answer repeats it.
type Code uint8

// Spec: directory §8 (requests). 3, 4, 6, 7 and 8 are not built yet.
const (
	CodeRefused Code = 0 // answers only
	CodeSync    Code = 1
	CodeTile    Code = 2
	CodeHeader  Code = 5
)

// MaxListCount bounds the committee lists that a client names.
const MaxListCount = 4

// MaxEpoch bounds the epochs that can be asked for.
const MaxEpoch = 1<<48 - 1

// Request is one question. Which fields count depends on Code.
type Request struct {
	Code Code
	// SYNC: what the client holds; nil: nothing.
	HeaderDigest *[32]byte
	TableRoot    *[32]byte
	Lists        [][32]byte // at most MaxListCount
	// TILE: tile N of the table with this root (TableRoot, not nil).
	N uint32
	// HEADER.
	Epoch uint64
}

type wireSync struct {
	_      struct{} `cbor:",toarray"`
	Code   Code
	Header []byte
	Table  []byte
	Lists  [][]byte
}

type wireTile struct {
	_     struct{} `cbor:",toarray"`
	Code  Code
	Table []byte
	N     uint32
}

type wireHeader struct {
	_     struct{} `cbor:",toarray"`
	Code  Code
	Epoch uint64
}

// Encode returns the request's body. Error: ErrRequest for a request that no
// server would answer.
func (q *Request) Encode() ([]byte, error) {
	var v any
	switch q.Code {
	case CodeSync:
		if len(q.Lists) > MaxListCount {
			return nil, ErrRequest
		}
		w := wireSync{Code: q.Code, Header: bytesOf(q.HeaderDigest), Table: bytesOf(q.TableRoot)}
		for i := range q.Lists {
			w.Lists = append(w.Lists, q.Lists[i][:])
		}
		v = w
	case CodeTile:
		if q.TableRoot == nil || q.N >= maxTiles {
			return nil, ErrRequest
		}
		v = wireTile{Code: q.Code, Table: q.TableRoot[:], N: q.N}
	case CodeHeader:
		if q.Epoch > MaxEpoch {
			return nil, ErrRequest
		}
		v = wireHeader{Code: q.Code, Epoch: q.Epoch}
	default:
		return nil, ErrRequest
	}
	return strictcbor.Marshal(v)
}

// DecodeRequest reads a request's body. Error: ErrRequest.
func DecodeRequest(body []byte) (*Request, error) {
	code, err := codeOf(body, MaxRequestSize)
	if err != nil {
		return nil, ErrRequest
	}
	q := &Request{Code: code}
	switch code {
	case CodeSync:
		var w wireSync
		if _, err := strictcbor.Unmarshal(body, MaxRequestSize, &w); err != nil || len(w.Lists) > MaxListCount {
			return nil, ErrRequest
		}
		var okH, okT bool
		q.HeaderDigest, okH = optional(w.Header)
		q.TableRoot, okT = optional(w.Table)
		if !okH || !okT {
			return nil, ErrRequest
		}
		for _, l := range w.Lists {
			if len(l) != 32 {
				return nil, ErrRequest
			}
			q.Lists = append(q.Lists, [32]byte(l))
		}
	case CodeTile:
		var w wireTile
		if _, err := strictcbor.Unmarshal(body, MaxRequestSize, &w); err != nil || len(w.Table) != 32 || w.N >= maxTiles {
			return nil, ErrRequest
		}
		q.TableRoot, q.N = (*[32]byte)(w.Table), w.N
	case CodeHeader:
		var w wireHeader
		if _, err := strictcbor.Unmarshal(body, MaxRequestSize, &w); err != nil || w.Epoch > MaxEpoch {
			return nil, ErrRequest
		}
		q.Epoch = w.Epoch
	default:
		return nil, ErrRequest
	}
	return q, nil
}

// codeOf reads the first element of an array.
func codeOf(body []byte, most int) (Code, error) {
	var parts []strictcbor.Raw
	if _, err := strictcbor.Unmarshal(body, most, &parts); err != nil {
		return 0, err
	}
	if len(parts) == 0 {
		return 0, strictcbor.ErrType
	}
	var code Code
	_, err := strictcbor.Unmarshal(parts[0], most, &code)
	return code, err
}

func bytesOf(h *[32]byte) []byte {
	if h == nil {
		return nil
	}
	return h[:]
}

// optional reads a hash or nothing.
func optional(b []byte) (*[32]byte, bool) {
	switch len(b) {
	case 0:
		return nil, true
	case 32:
		return (*[32]byte)(b), true
	}
	return nil, false
}
