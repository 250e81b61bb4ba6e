// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"encoding/binary"
	"errors"

	"chive/directory/genesis"
	"chive/directory/snapshot"
)

// ErrState means parts that do not make the state of their header.
var ErrState = errors.New("transition: not the state of the header")

// maxTileCount is how many tiles of one kind a state can have.
const maxTileCount = snapshot.MaxLeafCount / snapshot.TileLeafCount

// Parts are a state in pieces, as relays fetch it (STATE, tiles, DICT) and store
// it. Everything is checked against the header, and the header against nothing: it
// needs a certificate. Spec: directory §4 (STATE), §10.
type Parts struct {
	Header       []byte
	Tiles        [][]byte  // of the table
	Dictionaries []byte    //
	Aux          [][]byte  // tiles under aux_root
	History      []byte    // tree over the ancestors
	Lists        [4][]byte // A, next A, B, next B; empty: none
}

// Parts returns the state in pieces. They belong to the caller.
func (s *State) Parts() *Parts {
	t := s.snap.Table()
	p := &Parts{
		Header: s.snap.Header().Encode(), Dictionaries: t.Dictionaries().Encode(), History: s.history.Encode(),
	}
	for i, l := range s.Lists() {
		p.Lists[i] = l.Encode()
	}
	for n := range t.TileRoots() {
		p.Tiles = append(p.Tiles, t.Tile(n))
	}
	for n := range s.auxTiles {
		p.Aux = append(p.Aux, s.AuxTile(n))
	}
	return p
}

// Assemble puts a state together and compares all of it with its header. It accepts
// what Parts returns and nothing else of the same header. Errors: ErrState, and
// those of the decoders.
func Assemble(doc *genesis.Document, parts *Parts) (*State, error) {
	h, err := snapshot.DecodeHeader(parts.Header)
	if err != nil {
		return nil, err
	}
	if err := checkDocument(doc, h); err != nil {
		return nil, err
	}
	table, err := parts.table()
	if err != nil {
		return nil, err
	}
	var s State
	if s.history, err = snapshot.DecodeHistory(parts.History); err != nil {
		return nil, err
	}
	for i, data := range parts.Lists {
		l, err := DecodeList(data)
		if err != nil {
			return nil, err
		}
		if l != nil && indexOf(l.Name) != i/2 {
			return nil, ErrList
		}
		if i%2 == 0 {
			s.lists.now[i/2] = l
		} else {
			s.lists.next[i/2] = l
		}
	}
	if err := s.parseAux(parts.Aux, table.Len()); err != nil {
		return nil, err
	}
	made := *h
	out := newState(doc.Params, &made, table, s)
	if out.digest != h.Digest() {
		return nil, ErrState
	}
	return out, nil
}

func (parts *Parts) table() (*snapshot.Table, error) {
	leaves, err := snapshot.ParseTiles(parts.Tiles)
	if err != nil {
		return nil, err
	}
	dict, err := snapshot.DecodeDictionaries(parts.Dictionaries)
	if err != nil {
		return nil, err
	}
	return snapshot.NewTable(leaves, dict)
}

// parseAux reads the tiles under aux_root of a table with so many leaves.
func (s *State) parseAux(tiles [][]byte, leaves int) error {
	if len(tiles) > 2*maxTileCount+1 {
		return ErrState
	}
	last := -1 // rank of the tile before
	for i, data := range tiles {
		t, err := parseAuxTile(data)
		if err != nil {
			return err
		}
		if int(data[0]) < last || (t.counters != nil) != (i == len(tiles)-1) {
			return ErrState
		}
		last = int(data[0])
		s.aux, s.dormant = append(s.aux, t.aux...), append(s.dormant, t.dormant...)
		if t.counters != nil {
			s.counters = *t.counters
		}
	}
	if len(s.aux) != leaves || len(tiles) == 0 || int(s.counters.dormants) != len(s.dormant) {
		return ErrState
	}
	for i := 1; i < len(s.dormant); i++ {
		if s.dormant[i-1].RID.Compare(s.dormant[i].RID) >= 0 {
			return ErrState
		}
	}
	return nil
}

// MaxEncodedSize bounds what Encode writes, in bytes.
const MaxEncodedSize = 1 << 30

// Encode returns the parts as one block for storage: each field of Parts in order,
// a list of pieces behind its count in 4 bytes, each piece behind its size in 4.
func (s *State) Encode() []byte {
	p := s.Parts()
	piece := func(out, data []byte) []byte {
		return append(binary.BigEndian.AppendUint32(out, uint32(len(data))), data...)
	}
	list := func(out []byte, pieces [][]byte) []byte {
		out = binary.BigEndian.AppendUint32(out, uint32(len(pieces)))
		for _, d := range pieces {
			out = piece(out, d)
		}
		return out
	}
	out := list(piece(nil, p.Header), p.Tiles)
	out = list(piece(out, p.Dictionaries), p.Aux)
	out = piece(out, p.History)
	for _, l := range p.Lists {
		out = piece(out, l)
	}
	return out
}

// Decode reads what Encode wrote, for the network of doc. Errors: ErrState, and
// Assemble's.
func Decode(doc *genesis.Document, data []byte) (*State, error) {
	if len(data) > MaxEncodedSize {
		return nil, ErrState
	}
	r := reader{data: data}
	p := &Parts{Header: r.piece(snapshot.MaxHeaderSize)}
	p.Tiles = r.list(maxTileCount, snapshot.MaxTileSize)
	p.Dictionaries = r.piece(snapshot.MaxDictionariesSize)
	p.Aux = r.list(2*maxTileCount+1, MaxAuxTileSize)
	p.History = r.piece(1 << 12)
	for i := range p.Lists {
		p.Lists[i] = r.piece(11 + maxSeatCount*seatSize)
	}
	if r.failed || len(r.data) > 0 {
		return nil, ErrState
	}
	return Assemble(doc, p)
}

// reader reads sizes and pieces. After a failure it gives empty ones.
type reader struct {
	data   []byte
	failed bool
}

func (r *reader) number(most int) int {
	if r.failed || len(r.data) < 4 {
		r.failed = true
		return 0
	}
	n := binary.BigEndian.Uint32(r.data)
	r.data = r.data[4:]
	if int64(n) > int64(most) {
		r.failed = true
		return 0
	}
	return int(n)
}

func (r *reader) piece(most int) []byte {
	n := r.number(most)
	if r.failed || n > len(r.data) {
		r.failed = true
		return nil
	}
	b := r.data[:n:n]
	r.data = r.data[n:]
	return b
}

func (r *reader) list(count, most int) [][]byte {
	var out [][]byte
	for range r.number(count) {
		if b := r.piece(most); !r.failed {
			out = append(out, b)
		}
	}
	return out
}

// checkDocument compares a header with the network's document.
func checkDocument(doc *genesis.Document, h *snapshot.Header) error {
	var asmap [32]byte
	if doc.AsmapDigest != nil {
		asmap = *doc.AsmapDigest
	}
	if h.NetworkID != doc.NetworkID() || h.ParamsDigest != doc.ParamsDigest() || h.AsmapDigest != asmap || h.IdxRoot != [32]byte{} {
		return ErrHeader
	}
	return nil
}
