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
	if len(data) > MaxTileSize {
		return nil, ErrTile
	}
	var leaves []Leaf
	var hashes [][32]byte
	for len(data) > 0 {
		size := int(data[0])
		if len(leaves) == TileLeafCount || len(data) < 1+size {
			return nil, ErrTile
		}
		l, err := ParseLeaf(data[1 : 1+size])
		if err != nil {
			return nil, ErrTile
		}
		if n := len(leaves); n > 0 && leaves[n-1].RID.Compare(l.RID) >= 0 {
			return nil, ErrTile
		}
		leaves, hashes = append(leaves, l), append(hashes, leafHash(data[1:1+size]))
		data = data[1+size:]
	}
	if len(leaves) == 0 || root(hashes) != want {
		return nil, ErrTile
	}
	return leaves, nil
}

// RootOfTiles returns the table's root from the roots of its tiles.
func RootOfTiles(roots [][32]byte) [32]byte { return root(roots) }
