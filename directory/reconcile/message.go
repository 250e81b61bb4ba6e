// SPDX-License-Identifier: BSD-3-Clause

package reconcile

import (
	"encoding/binary"
	"errors"

	"chive/internal/strictcbor"
)

// Type is the first element of a frame.
type Type uint8

// Spec: directory §4 (stream type 2).
const (
	TypeOpen    Type = 7
	TypeSymbols Type = 8
	TypeDone    Type = 9
	TypeBuckets Type = 10
)

// Limits of the messages. Spec: protocol (REPAIR-1, REPAIR-3, REPAIR-5).
const (
	FirstBlockCount = 32   // symbols in the first block
	BlockCount      = 64   // and in every further one but the last
	MaxSymbolCount  = 2048 // symbols of a session, and differences they may reveal
	MaxIDCount      = 4096 // short ids in one frame
	ShortIDSize     = 8
	// MaxBodySize bounds a message's bytes; all of a frame but its length.
	MaxBodySize = 36 << 10
)

// ErrForm means bytes that are not a message of this version.
var ErrForm = errors.New("reconcile: bad message")

// ShortID names a digest on one link: its SipHash under the link's key for short
// ids, the same as in announcements.
type ShortID uint64

// Message is one of Open, Symbols, Done, Sums, Next and Lists.
type Message interface {
	// Type tells the frame's type.
	Type() Type
	// Encode returns the frame's CBOR array, which belongs to the caller. A message
	// that Step returned always encodes. Error: ErrForm.
	Encode() ([]byte, error)
}

// Open begins a session, and answers that.
type Open struct {
	Answer bool // the responder's
	Nonce  [NonceSize]byte
	Count  uint32 // items in the sender's set
}

// Symbols is a block of the responder's symbols, or with none the opener's request
// for it.
type Symbols struct {
	From    uint32 // index of the first
	Symbols []Symbol
}

// DoneCode says how a session ends.
type DoneCode uint8

// Spec: protocol (REPAIR-4, REPAIR-5).
const (
	DoneSymbols   DoneCode = 0 // the differences, as items
	DoneMore      DoneCode = 1 // differences, as short ids; more follow
	DoneLists     DoneCode = 2 // the last differences, as short ids
	DoneAbandoned DoneCode = 3 // the sender goes no further
	DoneRefused   DoneCode = 4 // the responder does not begin, or not the fallback
)

// Done carries what the opener found, or ends the session without it.
type Done struct {
	Code    DoneCode
	Wanted  []Item // only the responder has them: rising
	Offered []Item // only the opener has them: rising
	// With DoneMore and DoneLists, in place of the items.
	WantedIDs  []ShortID // in the order of the lists
	OfferedIDs []ShortID // by bucket, rising within
}

// Sums are the opener's keyed sums of its 256 buckets.
type Sums struct{ Sums [bucketCount]uint64 }

// Next asks for list frame N.
type Next struct{ N uint32 }

// List holds short ids of one bucket, rising.
type List struct {
	Bucket uint8
	IDs    []ShortID
}

// Lists is list frame N: the responder's ids in the buckets whose sums differ, by
// rising bucket. A bucket that does not fit goes on in the next frame.
type Lists struct {
	N     uint32
	More  bool // another frame follows
	Lists []List
}

// Kinds of BUCKETS.
const (
	kindSums  = 0
	kindNext  = 1
	kindLists = 2
)

type wireOpen struct {
	_      struct{} `cbor:",toarray"`
	Type   Type
	Answer bool
	Nonce  []byte
	Count  uint32
}

type wireSymbols struct {
	_       struct{} `cbor:",toarray"`
	Type    Type
	From    uint32
	Symbols []byte
}

type wireDone struct {
	_       struct{} `cbor:",toarray"`
	Type    Type
	Code    DoneCode
	Wanted  []byte
	Offered []byte
}

type wireSums struct {
	_    struct{} `cbor:",toarray"`
	Type Type
	Kind uint8
	Sums []byte
}

type wireNext struct {
	_    struct{} `cbor:",toarray"`
	Type Type
	Kind uint8
	N    uint32
}

type wireList struct {
	_      struct{} `cbor:",toarray"`
	Bucket uint8
	IDs    []byte
}

type wireLists struct {
	_     struct{} `cbor:",toarray"`
	Type  Type
	Kind  uint8
	N     uint32
	More  bool
	Lists []wireList
}

// Type implements Message.
func (*Open) Type() Type { return TypeOpen }

// Type implements Message.
func (*Symbols) Type() Type { return TypeSymbols }

// Type implements Message.
func (*Done) Type() Type { return TypeDone }

// Type implements Message.
func (*Sums) Type() Type { return TypeBuckets }

// Type implements Message.
func (*Next) Type() Type { return TypeBuckets }

// Type implements Message.
func (*Lists) Type() Type { return TypeBuckets }

// Encode implements Message.
func (m *Open) Encode() ([]byte, error) {
	if m.Count > MaxItemCount {
		return nil, ErrForm
	}
	return marshal(wireOpen{Type: TypeOpen, Answer: m.Answer, Nonce: m.Nonce[:], Count: m.Count})
}

// Encode implements Message.
func (m *Symbols) Encode() ([]byte, error) {
	if len(m.Symbols) > BlockCount || m.From >= MaxSymbolCount {
		return nil, ErrForm
	}
	b := make([]byte, 0, SymbolSize*len(m.Symbols))
	for i := range m.Symbols {
		b = m.Symbols[i].Append(b)
	}
	return marshal(wireSymbols{Type: TypeSymbols, From: m.From, Symbols: b})
}

// Encode implements Message.
func (m *Done) Encode() ([]byte, error) {
	w := wireDone{Type: TypeDone, Code: m.Code}
	items, ids := len(m.Wanted)+len(m.Offered), len(m.WantedIDs)+len(m.OfferedIDs)
	if items > maxItems(m.Code) || ids > maxIDs(m.Code) || m.Code > DoneRefused {
		return nil, ErrForm
	}
	if ids > 0 {
		w.Wanted, w.Offered = appendIDs(nil, m.WantedIDs), appendIDs(nil, m.OfferedIDs)
	} else {
		w.Wanted, w.Offered = appendItems(nil, m.Wanted), appendItems(nil, m.Offered)
	}
	return marshal(w)
}

// Encode implements Message.
func (m *Sums) Encode() ([]byte, error) {
	b := make([]byte, 0, 8*bucketCount)
	for _, s := range m.Sums {
		b = binary.BigEndian.AppendUint64(b, s)
	}
	return marshal(wireSums{Type: TypeBuckets, Kind: kindSums, Sums: b})
}

// Encode implements Message.
func (m *Next) Encode() ([]byte, error) {
	return marshal(wireNext{Type: TypeBuckets, Kind: kindNext, N: m.N})
}

// Encode implements Message.
func (m *Lists) Encode() ([]byte, error) {
	w := wireLists{Type: TypeBuckets, Kind: kindLists, N: m.N, More: m.More}
	ids := 0
	for _, l := range m.Lists {
		w.Lists = append(w.Lists, wireList{Bucket: l.Bucket, IDs: appendIDs(nil, l.IDs)})
		ids += len(l.IDs)
	}
	if ids > MaxIDCount || len(m.Lists) > bucketCount {
		return nil, ErrForm
	}
	return marshal(w)
}

func marshal(v any) ([]byte, error) {
	b, err := strictcbor.Marshal(v)
	if err != nil || len(b) > MaxBodySize {
		return nil, ErrForm
	}
	return b, nil
}

// maxItems and maxIDs bound what a DONE carries, by its code.
func maxItems(c DoneCode) int {
	if c == DoneSymbols {
		return MaxSymbolCount
	}
	return 0
}

func maxIDs(c DoneCode) int {
	if c == DoneMore || c == DoneLists {
		return MaxIDCount
	}
	return 0
}

func appendItems(out []byte, items []Item) []byte {
	for i := range items {
		out = append(out, items[i][:]...)
	}
	return out
}

func appendIDs(out []byte, ids []ShortID) []byte {
	for _, id := range ids {
		out = binary.BigEndian.AppendUint64(out, uint64(id))
	}
	return out
}
