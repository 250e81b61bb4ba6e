// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"encoding/binary"
	"errors"
	"io"
	"math"

	"chive/directory/reconcile"
	"chive/directory/record"
	"chive/internal/strictcbor"
)

// Limits of frames. Spec: directory §4, protocol §7 (GOS-1).
const (
	MaxFrameSize     = 64 << 10 // of the CBOR, without its length
	MaxInvCount      = 512      // short ids in one INV
	MaxGetCount      = 32       // short ids in one GET or NONE
	MaxStatePartSize = 60 << 10 // bytes of one STATE PART
	shortIDSize      = 8
	headSize         = 4
)

// Version is the version of the frames.
const Version = 1

// Types of frames. Spec: directory §4.
const (
	typeHello         = 1
	typeInv           = 2
	typeGet           = 3
	typeItem          = 4
	typeNone          = 5
	typePush          = 6
	typeRepairFirst   = 7
	typeRepairLast    = 10
	typeJoin          = 11
	typeJoined        = 12
	typeState         = 13
	typeStatePart     = 14
	maxSmallFrameSize = 256
)

var (
	// ErrFrame means bytes that are not a frame of this version.
	ErrFrame = errors.New("gossip: bad frame")
	// ErrFrameSize means a frame that is empty or longer than MaxFrameSize.
	ErrFrameSize = errors.New("gossip: frame size out of bounds")
)

// Digest names a record.
type Digest = reconcile.Digest

// ShortID names a record on one link.
type ShortID = reconcile.ShortID

// Frame is one of Hello, IDs, Item, Join, Joined, State, StatePart and Repair.
type Frame interface {
	// Encode returns the frame's CBOR array, which belongs to the caller.
	// Error: ErrFrame when a field is out of its bounds.
	Encode() ([]byte, error)
}

// Hello is the first frame of each side.
type Hello struct {
	Version   uint64
	NetworkID [record.NetworkIDSize]byte
	Time      uint64 // Unix milliseconds
	Epoch     uint64 // of the newest final snapshot
	Head      Digest // of its header
	Counts    [classCount]uint64
}

// IDs is an INV, a GET or a NONE.
type IDs struct {
	Type  byte // 2, 3, 5
	Class byte
	IDs   []ShortID
}

// Item is an ITEM or a PUSH.
type Item struct {
	Pushed bool
	Class  byte
	Data   []byte
}

// Repair is a frame of package reconcile.
type Repair struct{ Message reconcile.Message }

// Join asks an entry relay to introduce the sender.
type Join struct{ Data []byte }

// JoinCode is an entry relay's answer.
type JoinCode uint8

// Answers to JOIN. Spec: protocol §7 (GOS-10).
const (
	JoinTaken       JoinCode = 0 // dialled back, and introduced
	JoinBusy        JoinCode = 1 // ask again in an hour, or another relay
	JoinNotEntry    JoinCode = 2 // this relay is too young to introduce
	JoinRefused     JoinCode = 3 // the candidate does not hold
	JoinUnreachable JoinCode = 4 // an address could not be reached, or proved another identity
	JoinKnown       JoinCode = 5 // on the list, or waiting already
	JoinVoucherOld  JoinCode = 6 // the voucher is over, or not its sponsor's
	JoinSponsor     JoinCode = 7 // the voucher's sponsor may not vouch
	JoinSpent       JoinCode = 8 // the sponsor has vouched for somebody else
)

// Joined answers a Join.
type Joined struct{ Code JoinCode }

// State asks for a part of the relay-only table behind a header.
type State struct {
	Header Digest
	Part   uint32
}

// StatePart answers a State; Count 0: not held.
type StatePart struct {
	Header Digest
	Part   uint32
	Count  uint32
	Data   []byte
}

type wireHello struct {
	_             struct{} `cbor:",toarray"`
	Type, Version uint64
	NetworkID     []byte
	Time, Epoch   uint64
	Head          []byte
	Counts        []uint64
}

type wireClassed struct {
	_     struct{} `cbor:",toarray"`
	Type  uint64
	Class uint8
	Data  []byte
}

type wireJoin struct {
	_    struct{} `cbor:",toarray"`
	Type uint64
	Data []byte
}

type wireJoined struct {
	_    struct{} `cbor:",toarray"`
	Type uint64
	Code uint8
}

type wireState struct {
	_      struct{} `cbor:",toarray"`
	Type   uint64
	Header []byte
	Part   uint32
}

type wireStatePart struct {
	_           struct{} `cbor:",toarray"`
	Type        uint64
	Header      []byte
	Part, Count uint32
	Data        []byte
}

// maxCount bounds HELLO's numbers, so that arithmetic on them cannot overflow.
const maxCount = math.MaxInt64

func (h *Hello) bounded() bool {
	for _, n := range h.Counts {
		if n > maxCount {
			return false
		}
	}
	return h.Time <= maxCount && h.Epoch <= maxCount
}

// Encode implements Frame.
func (h *Hello) Encode() ([]byte, error) {
	if !h.bounded() {
		return nil, ErrFrame
	}
	return marshal(wireHello{Type: typeHello, Version: h.Version, NetworkID: h.NetworkID[:], Time: h.Time,
		Epoch: h.Epoch, Head: h.Head[:], Counts: h.Counts[:]})
}

func mostIDs(frameType byte) int {
	switch frameType {
	case typeInv:
		return MaxInvCount
	case typeGet, typeNone:
		return MaxGetCount
	}
	return 0
}

// Encode implements Frame.
func (f *IDs) Encode() ([]byte, error) {
	if len(f.IDs) == 0 || len(f.IDs) > mostIDs(f.Type) || at(f.Class) < 0 {
		return nil, ErrFrame
	}
	b := make([]byte, 0, shortIDSize*len(f.IDs))
	for _, id := range f.IDs {
		b = binary.BigEndian.AppendUint64(b, uint64(id))
	}
	return marshal(wireClassed{Type: uint64(f.Type), Class: f.Class, Data: b})
}

func (f *Item) bounded() bool {
	return len(f.Data) > 0 && len(f.Data) <= MaxItemSize(f.Class) && (!f.Pushed || pushed(f.Class))
}

// Encode implements Frame.
func (f *Item) Encode() ([]byte, error) {
	if !f.bounded() {
		return nil, ErrFrame
	}
	w := wireClassed{Type: typeItem, Class: f.Class, Data: f.Data}
	if f.Pushed {
		w.Type = typePush
	}
	return marshal(w)
}

// Encode implements Frame.
func (f *Repair) Encode() ([]byte, error) { return f.Message.Encode() }

// Encode implements Frame.
func (f *Join) Encode() ([]byte, error) {
	if len(f.Data) == 0 || len(f.Data) > record.MaxCandidateSize {
		return nil, ErrFrame
	}
	return marshal(wireJoin{Type: typeJoin, Data: f.Data})
}

// Encode implements Frame.
func (f *Joined) Encode() ([]byte, error) {
	return marshal(wireJoined{Type: typeJoined, Code: uint8(f.Code)})
}

// Encode implements Frame.
func (f *State) Encode() ([]byte, error) {
	return marshal(wireState{Type: typeState, Header: f.Header[:], Part: f.Part})
}

func (f *StatePart) bounded() bool {
	if f.Count == 0 {
		return len(f.Data) == 0
	}
	return f.Part < f.Count && len(f.Data) > 0 && len(f.Data) <= MaxStatePartSize
}

// Encode implements Frame.
func (f *StatePart) Encode() ([]byte, error) {
	if !f.bounded() {
		return nil, ErrFrame
	}
	return marshal(wireStatePart{Type: typeStatePart, Header: f.Header[:], Part: f.Part, Count: f.Count, Data: f.Data})
}

func marshal(v any) ([]byte, error) {
	b, err := strictcbor.Marshal(v)
	if err != nil || len(b) > MaxFrameSize {
		return nil, ErrFrame
	}
	return b, nil
}

// DecodeFrame reads one frame's CBOR array. The result does not share memory with
// body. Errors: ErrFrame, ErrFrameSize.
func DecodeFrame(body []byte) (Frame, error) {
	if len(body) == 0 || len(body) > MaxFrameSize {
		return nil, ErrFrameSize
	}
	if len(body) < 2 {
		return nil, ErrFrame
	}
	// An array of a few elements, then its type as one byte: strictcbor has the rest.
	switch t := body[1]; {
	case t >= typeRepairFirst && t <= typeRepairLast:
		m, err := reconcile.Decode(body)
		if err != nil {
			return nil, ErrFrame
		}
		return &Repair{m}, nil
	case t == typeInv || t == typeGet || t == typeItem || t == typeNone || t == typePush:
		return decodeClassed(body)
	case t == typeHello:
		return decodeHello(body)
	case t == typeJoin || t == typeJoined:
		return decodeJoin(body, t)
	case t == typeState || t == typeStatePart:
		return decodeState(body, t)
	}
	return nil, ErrFrame
}

func decodeClassed(body []byte) (Frame, error) {
	var w wireClassed
	if _, err := strictcbor.Unmarshal(body, MaxFrameSize, &w); err != nil {
		return nil, ErrFrame
	}
	if w.Type == typeItem || w.Type == typePush {
		f := &Item{Pushed: w.Type == typePush, Class: w.Class, Data: w.Data}
		if !f.bounded() {
			return nil, ErrFrame
		}
		return f, nil
	}
	n := len(w.Data) / shortIDSize
	if len(w.Data)%shortIDSize != 0 || n == 0 || n > mostIDs(byte(w.Type)) || at(w.Class) < 0 {
		return nil, ErrFrame
	}
	f := &IDs{Type: byte(w.Type), Class: w.Class, IDs: make([]ShortID, n)}
	for i := range f.IDs {
		f.IDs[i] = ShortID(binary.BigEndian.Uint64(w.Data[shortIDSize*i:]))
	}
	return f, nil
}

func decodeHello(body []byte) (Frame, error) {
	var w wireHello
	if _, err := strictcbor.Unmarshal(body, maxSmallFrameSize, &w); err != nil ||
		len(w.NetworkID) != record.NetworkIDSize || len(w.Head) != reconcile.DigestSize || len(w.Counts) != classCount {
		return nil, ErrFrame
	}
	h := &Hello{Version: w.Version, NetworkID: [record.NetworkIDSize]byte(w.NetworkID), Time: w.Time, Epoch: w.Epoch,
		Head: Digest(w.Head), Counts: [classCount]uint64(w.Counts)}
	if !h.bounded() {
		return nil, ErrFrame
	}
	return h, nil
}

func decodeJoin(body []byte, t byte) (Frame, error) {
	if t == typeJoined {
		var w wireJoined
		if _, err := strictcbor.Unmarshal(body, maxSmallFrameSize, &w); err != nil {
			return nil, ErrFrame
		}
		return &Joined{JoinCode(w.Code)}, nil
	}
	var w wireJoin
	if _, err := strictcbor.Unmarshal(body, MaxFrameSize, &w); err != nil || len(w.Data) == 0 || len(w.Data) > record.MaxCandidateSize {
		return nil, ErrFrame
	}
	return &Join{w.Data}, nil
}

func decodeState(body []byte, t byte) (Frame, error) {
	if t == typeState {
		var w wireState
		if _, err := strictcbor.Unmarshal(body, maxSmallFrameSize, &w); err != nil || len(w.Header) != reconcile.DigestSize {
			return nil, ErrFrame
		}
		return &State{Digest(w.Header), w.Part}, nil
	}
	var w wireStatePart
	if _, err := strictcbor.Unmarshal(body, MaxFrameSize, &w); err != nil || len(w.Header) != reconcile.DigestSize {
		return nil, ErrFrame
	}
	f := &StatePart{Digest(w.Header), w.Part, w.Count, w.Data}
	if !f.bounded() {
		return nil, ErrFrame
	}
	return f, nil
}

// AppendFrame appends a frame's bytes behind their length, as they are written.
func AppendFrame(out, body []byte) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(len(body)))
	return append(out, body...)
}

// ReadFrame reads the next frame's CBOR array from r and blocks until it is there.
// Errors: io.EOF when the stream ends before a frame, ErrFrameSize, what r returns.
func ReadFrame(r io.Reader) ([]byte, error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size == 0 || size > MaxFrameSize {
		return nil, ErrFrameSize
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return body, nil
}
