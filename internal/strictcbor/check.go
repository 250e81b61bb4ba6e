// SPDX-License-Identifier: BSD-3-Clause

package strictcbor

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// Major types of RFC 8949, 3.1.
const (
	majorUint   = 0
	majorNegInt = 1
	majorBytes  = 2
	majorText   = 3
	majorArray  = 4
	majorMap    = 5
	majorSimple = 7
)

const (
	simpleFalse = 20
	simpleTrue  = 21
)

// head is the first byte of an item with its argument.
type head struct {
	major byte
	arg   uint64
	size  int // bytes of the head itself, 1-9
}

// readHead reads one head in its shortest form.
func readHead(data []byte) (head, error) {
	if len(data) == 0 {
		return head{}, ErrForm
	}
	h := head{major: data[0] >> 5, size: 1}
	info := data[0] & 31
	var least uint64
	switch {
	case info < 24:
		h.arg = uint64(info)
		return h, nil
	case info == 24 && len(data) >= 2:
		h.arg, h.size, least = uint64(data[1]), 2, 24
	case info == 25 && len(data) >= 3:
		h.arg, h.size, least = uint64(binary.BigEndian.Uint16(data[1:])), 3, 1<<8
	case info == 26 && len(data) >= 5:
		h.arg, h.size, least = uint64(binary.BigEndian.Uint32(data[1:])), 5, 1<<16
	case info == 27 && len(data) >= 9:
		h.arg, h.size, least = binary.BigEndian.Uint64(data[1:]), 9, 1<<32
	default:
		return head{}, ErrForm
	}
	if h.arg < least {
		return head{}, ErrForm
	}
	return h, nil
}

func appendHead(out []byte, major byte, arg uint64) []byte {
	m := major << 5
	switch {
	case arg < 24:
		return append(out, m|byte(arg))
	case arg < 1<<8:
		return append(out, m|24, byte(arg))
	case arg < 1<<16:
		return binary.BigEndian.AppendUint16(append(out, m|25), uint16(arg))
	case arg < 1<<32:
		return binary.BigEndian.AppendUint32(append(out, m|26), uint32(arg))
	}
	return binary.BigEndian.AppendUint64(append(out, m|27), arg)
}

// Check reports whether data is exactly one item in canonical form, whatever it
// means. It allocates nothing. Error: ErrForm.
func Check(data []byte) error {
	n, err := walk(data, 0)
	if err != nil {
		return err
	}
	if n != len(data) {
		return ErrForm
	}
	return nil
}

// walk checks one item that lies inside depth arrays and maps and returns its
// size.
func walk(data []byte, depth int) (int, error) {
	h, err := readHead(data)
	if err != nil {
		return 0, err
	}
	pos, left := h.size, uint64(len(data)-h.size)
	switch h.major {
	case majorUint, majorNegInt:
		return pos, nil
	case majorBytes, majorText:
		if h.arg > left {
			return 0, ErrForm
		}
		end := pos + int(h.arg)
		if h.major == majorText && !utf8.Valid(data[pos:end]) {
			return 0, ErrForm
		}
		return end, nil
	case majorArray:
		if depth == MaxNesting || h.arg > left {
			return 0, ErrForm
		}
		for range h.arg {
			n, err := walk(data[pos:], depth+1)
			if err != nil {
				return 0, err
			}
			pos += n
		}
		return pos, nil
	case majorMap:
		if depth == MaxNesting || h.arg > left/2 {
			return 0, ErrForm
		}
		return walkMap(data, pos, h.arg, depth)
	case majorSimple:
		if h.size == 1 && (h.arg == simpleFalse || h.arg == simpleTrue) {
			return pos, nil
		}
	}
	return 0, ErrForm
}

// walkMap checks the pairs of a map from pos on.
func walkMap(data []byte, pos int, pairs uint64, depth int) (int, error) {
	var last []byte
	for range pairs {
		key, err := readHead(data[pos:])
		if err != nil || key.major != majorUint {
			return 0, ErrForm
		}
		k := data[pos : pos+key.size]
		if last != nil && bytes.Compare(last, k) >= 0 {
			return 0, ErrForm
		}
		last = k
		pos += key.size
		n, err := walk(data[pos:], depth+1)
		if err != nil {
			return 0, err
		}
		pos += n
	}
	return pos, nil
}

// itemSize returns the size of the first item of data, which has passed Check.
func itemSize(data []byte) int {
	n, err := walk(data, 0)
	if err != nil {
		panic("strictcbor: item was checked before")
	}
	return n
}
