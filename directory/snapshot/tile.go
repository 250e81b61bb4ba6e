// SPDX-License-Identifier: BSD-3-Clause

package snapshot

import "errors"

// MaxTileSize bounds an unpacked tile in bytes.
const MaxTileSize = TileLeafCount * (1 + maxLeafSize)

// ErrTile means bytes that are not a tile, or not the one asked for.
var ErrTile = errors.New("snapshot: not the tile")

// Tile returns tile n: each leaf behind its size in one byte; nil when there is
// no such tile. The result belongs to the caller.
func (t *Table) Tile(n int) []byte {
	if n < 0 || n >= len(t.tiles) {
		return nil
	}
	relays := t.relays[n*TileLeafCount : min((n+1)*TileLeafCount, len(t.relays))]
	out := make([]byte, 0, len(relays)*(1+LeafSize))
	for i := range relays {
		size := LeafSize
		if relays[i].IPv6.IsValid() {
			size = LeafSizeV6
		}
		out = append(out, byte(size))
		out = relays[i].Append(out)
	}
	return out
}

// ParseTile reads a tile and compares it with its root. Leaves are in rid order.
// Error: ErrTile.
func ParseTile(data []byte, want [32]byte) ([]Leaf, error) {
	leaves, hashes, err := parseTile(data)
	if err != nil || root(hashes) != want {
		return nil, ErrTile
	}
	return leaves, nil
}

// ParseTiles reads all tiles of a table whose root is checked afterwards. Whether
// the leaves make a table is for NewTable to say. Error: ErrTile.
func ParseTiles(tiles [][]byte) ([]Leaf, error) {
	if len(tiles) > MaxLeafCount/TileLeafCount {
		return nil, ErrTile
	}
	var all []Leaf
	for n, data := range tiles {
		leaves, _, err := parseTile(data)
		if err != nil || (n < len(tiles)-1 && len(leaves) != TileLeafCount) {
			return nil, ErrTile
		}
		all = append(all, leaves...)
	}
	return all, nil
}

// parseTile reads a tile and hashes its leaves.
func parseTile(data []byte) ([]Leaf, [][32]byte, error) {
	if len(data) > MaxTileSize {
		return nil, nil, ErrTile
	}
	var leaves []Leaf
	var hashes [][32]byte
	for len(data) > 0 {
		size := int(data[0])
		if len(leaves) == TileLeafCount || len(data) < 1+size {
			return nil, nil, ErrTile
		}
		l, err := ParseLeaf(data[1 : 1+size])
		if err != nil {
			return nil, nil, ErrTile
		}
		if n := len(leaves); n > 0 && leaves[n-1].RID.Compare(l.RID) >= 0 {
			return nil, nil, ErrTile
		}
		leaves, hashes = append(leaves, l), append(hashes, leafHash(data[1:1+size]))
		data = data[1+size:]
	}
	if len(leaves) == 0 {
		return nil, nil, ErrTile
	}
	return leaves, hashes, nil
}

// RootOfTiles returns the table's root from the roots of its tiles.
func RootOfTiles(roots [][32]byte) [32]byte { return root(roots) }
