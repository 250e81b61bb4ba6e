// SPDX-License-Identifier: BSD-3-Clause

// Package strictcbor reads and writes the one form of CBOR that signed and
// hashed things have in chive: core deterministic encoding (RFC 8949, 4.2.1),
// so that a value has exactly one encoding and every implementation hashes the
// same bytes.
//
// Accepted are unsigned and negative integers, byte strings, UTF-8 text, arrays,
// maps with unsigned integer keys, true and false. Refused are duplicate or
// unsorted keys, tags, floats, null and undefined, indefinite lengths, integers
// and lengths that are not in their shortest form, more than four levels of
// arrays and maps, bytes after the item, and everything whose encoding after
// decoding differs from the input.
//
// Keys below 64 belong to the format's version: an unknown one is refused. Keys
// from 64 on are for additions that older readers may ignore. In canonical order
// they stand at the end of their map, so Unmarshal hands them back as one opaque
// run of encoded pairs (Extra) and Marshal puts that run back: what was ignored is
// kept byte for byte. This holds for the outermost map only. A nested map that
// wants the same tolerance is declared Raw, or carried as a byte string, and
// decoded by a call of its own; elsewhere such keys are refused.
//
// The package is not a general CBOR library and reads no streams. Its functions
// keep no state and may be called by any number of goroutines.
//
// Spec: directory §1 (encoding).
package strictcbor

import (
	"bytes"
	"errors"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// MaxNesting is the deepest nesting of arrays and maps.
const MaxNesting = 4

// FirstExtraKey is the first map key that readers ignore and keep.
const FirstExtraKey = 64

var (
	// ErrSize means that the input is empty or longer than the caller's bound.
	ErrSize = errors.New("strictcbor: size out of bounds")
	// ErrForm means that the input is not CBOR, or not in its one form.
	ErrForm = errors.New("strictcbor: not in canonical form")
	// ErrKey means a map key that this version does not know and must.
	ErrKey = errors.New("strictcbor: unknown key")
	// ErrType means that a value is not of the type its place asks for.
	ErrType = errors.New("strictcbor: value of another type")
)

// Raw is an encoded item kept as it is, for a part that is decoded by itself.
type Raw = cbor.RawMessage

// Extra holds the encoded pairs of a map whose keys are FirstExtraKey or
// larger, in canonical order. The zero value means none.
type Extra struct {
	count int
	pairs []byte
}

// Count returns the number of pairs.
func (e Extra) Count() int { return e.count }

// The modes are made once and never changed.
var (
	encMode = newEncMode()
	decMode = newDecMode()
)

func newEncMode() cbor.EncMode {
	opts := cbor.CoreDetEncOptions()
	opts.NilContainers = cbor.NilContainerAsEmpty
	m, err := opts.EncMode()
	if err != nil {
		panic("strictcbor: encoder options are refused")
	}
	return m
}

func newDecMode() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		MaxNestedLevels:   MaxNesting,
		MaxArrayElements:  1 << 17,
		MaxMapPairs:       1 << 10,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		UTF8:              cbor.UTF8RejectInvalid,
	}.DecMode()
	if err != nil {
		panic("strictcbor: decoder options are refused")
	}
	return m
}

// Marshal encodes v, whose maps are structs with keyasint fields below
// FirstExtraKey. The result belongs to the caller.
func Marshal(v any) ([]byte, error) {
	b, err := encMode.Marshal(v)
	if err != nil {
		return nil, ErrType
	}
	return b, nil
}

// MarshalExtra encodes v, which must encode as a map, and adds extra to its end.
func MarshalExtra(v any, extra Extra) ([]byte, error) {
	b, err := Marshal(v)
	if err != nil || extra.count == 0 {
		return b, err
	}
	h, err := readHead(b)
	if err != nil || h.major != majorMap {
		return nil, ErrType
	}
	out := appendHead(nil, majorMap, h.arg+uint64(extra.count))
	out = append(out, b[h.size:]...)
	return append(out, extra.pairs...), nil
}

// Unmarshal decodes data, at most maxSize bytes, into the value that the non-nil
// pointer v points to, whatever it held before, and returns the pairs that it kept
// and ignored. On an error the value is not to be used.
// Extra does not share memory with data.
// Errors: ErrSize, ErrForm, ErrKey, ErrType.
func Unmarshal(data []byte, maxSize int, v any) (Extra, error) {
	if len(data) == 0 || len(data) > maxSize {
		return Extra{}, ErrSize
	}
	if err := Check(data); err != nil {
		return Extra{}, err
	}
	known, extra := split(data)
	reflect.ValueOf(v).Elem().SetZero()
	if err := decMode.Unmarshal(known, v); err != nil {
		var unknown *cbor.UnknownFieldError
		if errors.As(err, &unknown) {
			return Extra{}, ErrKey
		}
		return Extra{}, ErrType
	}
	again, err := encMode.Marshal(v)
	if err != nil || !bytes.Equal(again, known) {
		return Extra{}, ErrType
	}
	return extra, nil
}

// split takes the pairs from FirstExtraKey on out of an outermost map. data has
// passed Check.
func split(data []byte) ([]byte, Extra) {
	h, err := readHead(data)
	if err != nil || h.major != majorMap {
		return data, Extra{}
	}
	pos, extra := h.size, Extra{}
	for i := range h.arg {
		key, err := readHead(data[pos:])
		if err != nil {
			return data, Extra{}
		}
		if key.major == majorUint && key.arg >= FirstExtraKey {
			extra.count = int(h.arg - i)
			extra.pairs = bytes.Clone(data[pos:])
			known := appendHead(nil, majorMap, i)
			return append(known, data[h.size:pos]...), extra
		}
		pos += key.size
		pos += itemSize(data[pos:])
	}
	return data, Extra{}
}

// Without returns an encoded map without the pairs of the given keys. data must
// pass Check and be a map, else ErrForm. The result belongs to the caller.
func Without(data []byte, keys ...uint64) ([]byte, error) {
	if err := Check(data); err != nil {
		return nil, err
	}
	h, err := readHead(data)
	if err != nil || h.major != majorMap {
		return nil, ErrForm
	}
	var body []byte
	pos, left := h.size, uint64(0)
	for range h.arg {
		key, err := readHead(data[pos:])
		if err != nil {
			return nil, ErrForm
		}
		end := pos + key.size
		end += itemSize(data[end:])
		drop := false
		for _, k := range keys {
			drop = drop || (key.major == majorUint && key.arg == k)
		}
		if !drop {
			body = append(body, data[pos:end]...)
			left++
		}
		pos = end
	}
	return append(appendHead(nil, majorMap, left), body...), nil
}
