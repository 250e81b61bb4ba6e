// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"errors"

	"chive/directory/snapshot"
)

// MaxAuxTileSize bounds an unpacked tile of what only relays hold, in bytes.
const MaxAuxTileSize = snapshot.TileLeafCount * maxAuxSize

// ErrTile means bytes that are not the tile asked for.
var ErrTile = errors.New("transition: not the tile")

// Under aux_root lie tiles, in this order: of 1,024 aux records each, in the order
// of the table, then of 1,024 dormant relays each, by rid, then one with the
// counters alone. A tile's root is that of the RFC 6962 tree over its records;
// aux_root is the root over the tiles' roots. Spec: protocol §7 (TRN-5).

// hashAux returns the roots of the tiles.
func (s *State) hashAux() [][32]byte {
	var roots [][32]byte
	hashes := make([][32]byte, 0, snapshot.TileLeafCount)
	buf := make([]byte, 0, maxAuxSize)
	flush := func() {
		if len(hashes) > 0 {
			roots = append(roots, snapshot.TreeRoot(hashes))
			hashes = hashes[:0]
		}
	}
	add := func(record []byte) {
		hashes = append(hashes, snapshot.LeafHash(record))
		if len(hashes) == snapshot.TileLeafCount {
			flush()
		}
	}
	for i := range s.aux {
		buf = s.aux[i].append(buf[:0])
		add(buf)
	}
	flush()
	for i := range s.dormant {
		buf = s.dormant[i].append(buf[:0])
		add(buf)
	}
	flush()
	add(s.counters.append(buf[:0]))
	flush()
	return roots
}

// AuxTileRoots returns the root of each tile under aux_root. The slice must not be
// changed.
func (s *State) AuxTileRoots() [][32]byte { return s.auxTiles }

// AuxTile returns tile n: its records one after another; nil when there is no such
// tile. The result belongs to the caller. Spec: directory §4 (STATE).
func (s *State) AuxTile(n int) []byte {
	const size = snapshot.TileLeafCount
	if n < 0 || n >= len(s.auxTiles) {
		return nil
	}
	if tiles := (len(s.aux) + size - 1) / size; n >= tiles {
		n -= tiles
	} else {
		var out []byte
		for i := n * size; i < min((n+1)*size, len(s.aux)); i++ {
			out = s.aux[i].append(out)
		}
		return out
	}
	if tiles := (len(s.dormant) + size - 1) / size; n >= tiles {
		return s.counters.append(nil)
	}
	var out []byte
	for i := n * size; i < min((n+1)*size, len(s.dormant)); i++ {
		out = s.dormant[i].append(out)
	}
	return out
}

// CheckAuxTile compares a tile with its root. Error: ErrTile.
func CheckAuxTile(data []byte, root [32]byte) error {
	t, err := parseAuxTile(data)
	if err != nil || t.root() != root {
		return ErrTile
	}
	return nil
}

// auxTile is a parsed tile: records of one kind.
type auxTile struct {
	aux      []Aux
	dormant  []Dormant
	counters *counters
	hashes   [][32]byte
}

func (t *auxTile) root() [32]byte { return snapshot.TreeRoot(t.hashes) }

func parseAuxTile(data []byte) (*auxTile, error) {
	if len(data) == 0 || len(data) > MaxAuxTileSize {
		return nil, ErrTile
	}
	t := &auxTile{}
	kind := data[0]
	for len(data) > 0 {
		if len(t.hashes) == snapshot.TileLeafCount || data[0] != kind {
			return nil, ErrTile
		}
		size, err := t.parse(kind, data)
		if err != nil {
			return nil, ErrTile
		}
		t.hashes = append(t.hashes, snapshot.LeafHash(data[:size]))
		data = data[size:]
	}
	return t, nil
}

// parse reads one record from the start of data and returns its size.
func (t *auxTile) parse(kind byte, data []byte) (int, error) {
	switch kind {
	case kindAux:
		a, size, err := parseAux(data)
		t.aux = append(t.aux, a)
		return size, err
	case kindDormant:
		d, size, err := parseDormant(data)
		if n := len(t.dormant); err == nil && n > 0 && t.dormant[n-1].RID.Compare(d.RID) >= 0 {
			return 0, ErrTile
		}
		t.dormant = append(t.dormant, d)
		return size, err
	}
	c, err := parseCounters(data)
	t.counters = &c
	return len(data), err
}
