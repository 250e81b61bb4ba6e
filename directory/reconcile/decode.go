// SPDX-License-Identifier: BSD-3-Clause

package reconcile

import (
	"bytes"
	"encoding/binary"
	"slices"

	"chive/internal/strictcbor"
)

// Decode reads the CBOR array of a frame of type 7 to 10. The message does not share
// memory with body. It is well formed, which does not mean that a session awaits it.
// Error: ErrForm. Spec: protocol (REPAIR-1).
func Decode(body []byte) (Message, error) {
	// An array's head and a type below 24 take a byte each.
	if len(body) < 3 || len(body) > MaxBodySize || body[0]>>5 != 4 {
		return nil, ErrForm
	}
	switch Type(body[1]) {
	case TypeOpen:
		return decodeOpen(body)
	case TypeSymbols:
		return decodeSymbols(body)
	case TypeDone:
		return decodeDone(body)
	case TypeBuckets:
		switch body[2] {
		case kindSums:
			return decodeSums(body)
		case kindNext:
			return decodeNext(body)
		case kindLists:
			return decodeLists(body)
		}
	}
	return nil, ErrForm
}

// unmarshal reports whether body is what w encodes as.
func unmarshal(body []byte, w any) bool {
	_, err := strictcbor.Unmarshal(body, MaxBodySize, w)
	return err == nil
}

func decodeOpen(body []byte) (Message, error) {
	var w wireOpen
	if !unmarshal(body, &w) || len(w.Nonce) != NonceSize || w.Count > MaxItemCount {
		return nil, ErrForm
	}
	return &Open{Answer: w.Answer, Nonce: [NonceSize]byte(w.Nonce), Count: w.Count}, nil
}

func decodeSymbols(body []byte) (Message, error) {
	var w wireSymbols
	if !unmarshal(body, &w) || len(w.Symbols)%SymbolSize != 0 || len(w.Symbols) > BlockCount*SymbolSize ||
		w.From >= MaxSymbolCount {
		return nil, ErrForm
	}
	m := &Symbols{From: w.From, Symbols: make([]Symbol, 0, len(w.Symbols)/SymbolSize)}
	for b := range slices.Chunk(w.Symbols, SymbolSize) {
		m.Symbols = append(m.Symbols, parseSymbol(b))
	}
	return m, nil
}

func decodeDone(body []byte) (Message, error) {
	var w wireDone
	if !unmarshal(body, &w) || w.Code > DoneRefused {
		return nil, ErrForm
	}
	m := &Done{Code: w.Code}
	size := len(w.Wanted) + len(w.Offered)
	switch w.Code {
	case DoneSymbols:
		if size > MaxSymbolCount*ItemSize {
			return nil, ErrForm
		}
		var okW, okO bool
		m.Wanted, okW = parseItems(w.Wanted)
		m.Offered, okO = parseItems(w.Offered)
		if !okW || !okO {
			return nil, ErrForm
		}
	case DoneMore, DoneLists:
		if size > MaxIDCount*ShortIDSize || len(w.Wanted)%ShortIDSize != 0 || len(w.Offered)%ShortIDSize != 0 {
			return nil, ErrForm
		}
		m.WantedIDs, m.OfferedIDs = parseIDs(w.Wanted), parseIDs(w.Offered)
	default:
		if size > 0 {
			return nil, ErrForm
		}
	}
	return m, nil
}

func decodeSums(body []byte) (Message, error) {
	var w wireSums
	if !unmarshal(body, &w) || len(w.Sums) != 8*bucketCount {
		return nil, ErrForm
	}
	m := new(Sums)
	for i := range m.Sums {
		m.Sums[i] = binary.BigEndian.Uint64(w.Sums[8*i:])
	}
	return m, nil
}

func decodeNext(body []byte) (Message, error) {
	var w wireNext
	if !unmarshal(body, &w) {
		return nil, ErrForm
	}
	return &Next{N: w.N}, nil
}

func decodeLists(body []byte) (Message, error) {
	var w wireLists
	if !unmarshal(body, &w) || len(w.Lists) > bucketCount {
		return nil, ErrForm
	}
	m := &Lists{N: w.N, More: w.More}
	ids := 0
	for i, l := range w.Lists {
		ids += len(l.IDs) / ShortIDSize
		if len(l.IDs)%ShortIDSize != 0 || ids > MaxIDCount || i > 0 && w.Lists[i-1].Bucket >= l.Bucket {
			return nil, ErrForm
		}
		list := List{Bucket: l.Bucket, IDs: parseIDs(l.IDs)}
		for j := 1; j < len(list.IDs); j++ {
			if list.IDs[j-1] >= list.IDs[j] {
				return nil, ErrForm
			}
		}
		m.Lists = append(m.Lists, list)
	}
	return m, nil
}

// parseItems reads rising items.
func parseItems(b []byte) ([]Item, bool) {
	if len(b)%ItemSize != 0 {
		return nil, false
	}
	var out []Item
	for c := range slices.Chunk(b, ItemSize) {
		if n := len(out); n > 0 && bytes.Compare(out[n-1][:], c) >= 0 {
			return nil, false
		}
		out = append(out, Item(c))
	}
	return out, true
}

func parseIDs(b []byte) []ShortID {
	var out []ShortID
	for c := range slices.Chunk(b, ShortIDSize) {
		out = append(out, ShortID(binary.BigEndian.Uint64(c)))
	}
	return out
}
