// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"sync"

	"chive/directory/snapshot"
	"chive/directory/transition"
)

// Bounds of what a server keeps. Beyond them the oldest goes, and who asks for it is
// refused as absent.
const (
	maxFinals       = 6        // the newest tables, whose tiles are served
	maxTables       = 26       // tables that diffs begin from, those included
	maxTablesSize   = 64 << 20 // bytes of them
	maxCertificates = 2160     // final headers with certificates: 90 days of hours
	maxSteps        = 1024     // hand-over steps
)

// file is one table as it is served. What it is made of never changes; what is made of
// it is kept once it was asked for.
type file struct {
	roots Roots
	table *snapshot.Table        // nil: thinned
	raw   [][]byte               // tiles, of a thinned one
	dict  *snapshot.Dictionaries // same
	size  int                    // of all tiles, raw

	mu     sync.Mutex // held while something is made; nobody waits within
	packed *packedFile
	diffs  map[Roots][]byte // packed, by the table they begin from; nil: no gain
}

// packedFile is a table as it travels.
type packedFile struct {
	tiles [][]byte
	dict  []byte
	size  int // of both
}

func rootsOf(t *snapshot.Table) Roots { return Roots{t.DirRoot(), t.DictRoot()} }

func newFile(t *snapshot.Table) *file {
	f := &file{roots: rootsOf(t), table: t}
	for i := range t.Len() {
		f.size += 1 + snapshot.LeafSize
		if t.At(i).IPv6.IsValid() {
			f.size += snapshot.LeafSizeV6 - snapshot.LeafSize
		}
	}
	return f
}

// thin returns the file as what only diffs begin from: a third of the memory.
func (f *file) thin() *file {
	if f.table == nil {
		return f
	}
	out := &file{roots: f.roots, dict: f.table.Dictionaries(), size: f.size}
	for n := range f.table.TileRoots() {
		out.raw = append(out.raw, f.table.Tile(n))
	}
	return out
}

// whole returns the table; near is one that shares with it. nil is not possible: the
// parts were a table.
func (f *file) whole(near *snapshot.Table) *snapshot.Table {
	if f.table != nil {
		return f.table
	}
	leaves, err := snapshot.ParseTiles(f.raw)
	invariant(err == nil) // they came from a table
	t, err := near.Next(leaves, f.dict)
	invariant(err == nil)
	return t
}

// travel returns the table as it travels.
func (f *file) travel() *packedFile {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.travelLocked()
}

func (f *file) travelLocked() *packedFile {
	if f.packed == nil {
		z := newPacker()
		p := &packedFile{dict: z.pack(f.table.Dictionaries().Encode())}
		p.size = len(p.dict)
		for n := range f.table.TileRoots() {
			p.tiles = append(p.tiles, packTile(z, f.table, n))
			p.size += 32 + len(p.tiles[n])
		}
		f.packed = p
	}
	return f.packed
}

// diff returns the packed diff from another table, or nil where the whole table is
// smaller. At most as many are kept as a server has tables.
func (f *file) diff(from *file) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d, known := f.diffs[from.roots]; known {
		return d
	}
	var out []byte
	if d, err := transition.Diff(from.whole(f.table), f.table); err == nil {
		if p := newPacker().pack(d); len(p) < f.travelLocked().size && len(p) <= MaxContentSize {
			out = p
		}
	}
	if f.diffs == nil || len(f.diffs) >= 2*maxTables {
		f.diffs = map[Roots][]byte{}
	}
	f.diffs[from.roots] = out
	return out
}
