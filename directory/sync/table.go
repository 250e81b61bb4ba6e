// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"io"

	"chive/directory/snapshot"
	"chive/directory/transition"
)

// maxAhead is how many requests for tiles are under way at once.
const maxAhead = 2

// parts are what is verified of a table that is not whole yet: tiles by root, no more
// than the table has, and dictionaries.
type parts struct {
	tiles map[[32]byte][]snapshot.Leaf
	dict  *snapshot.Dictionaries
	root  [32]byte // of dict
	came  int      // tiles of these that a source has sent
	other int      // of the table's that we do not hold already
}

// CheckRoots reports whether a list of tile roots is that of a header's table.
func CheckRoots(h *snapshot.Header, roots [][32]byte) bool {
	tiles := (h.LeafCount + snapshot.TileLeafCount - 1) / snapshot.TileLeafCount
	return uint64(len(roots)) == tiles && snapshot.RootOfTiles(roots) == h.DirRoot
}

// fetchTable gets the table of a header: the one we hold, that with a diff, or tiles and
// dictionaries, of which what is there is not fetched again. Errors: ErrForged, ErrBusy,
// ErrAbsent, and rw's.
func (f *Follower) fetchTable(rw io.ReadWriter, a *Answer, h *snapshot.Header, progress func(done, total int)) (*snapshot.Table, error) {
	ours, roots := f.table(), a.TileRoots
	for _, t := range []*snapshot.Table{ours, f.snap.Table()} { // of the one that we named nothing is sent
		if rootsOf(t) == (Roots{h.DirRoot, h.DictRoot}) {
			return t, nil
		}
		if t.DirRoot() == h.DirRoot && len(roots) == 0 {
			roots = t.TileRoots()
		}
	}
	if len(a.Diff) > 0 {
		diff, err := f.zip.unpack(a.Diff, transition.MaxDiffSize)
		if err != nil {
			return nil, ErrForged
		}
		t, err := transition.Apply(f.snap.Table(), diff) // the one that we named
		if err != nil || rootsOf(t) != (Roots{h.DirRoot, h.DictRoot}) {
			return nil, ErrForged
		}
		return t, nil
	}
	if !CheckRoots(h, roots) {
		return nil, ErrForged
	}
	d := &download{f: f, rw: rw, h: h, roots: roots, progress: progress}
	if err := d.run(a); err != nil {
		return nil, err
	}
	leaves := make([]snapshot.Leaf, 0, h.LeafCount)
	for _, root := range roots {
		leaves = append(leaves, f.part.tiles[root]...)
	}
	t, err := ours.Next(leaves, f.part.dict)
	if err != nil {
		f.part = parts{}
		return nil, ErrForged
	}
	return t, nil
}

// download gathers the parts of one table.
type download struct {
	f        *Follower
	rw       io.ReadWriter
	h        *snapshot.Header
	roots    [][32]byte
	done     int
	progress func(done, total int)
}

func (d *download) run(a *Answer) error {
	p := &d.f.part
	d.begin()
	if len(a.Dict) > 0 {
		if err := d.dictionaries(a.Dict); err != nil {
			return err
		}
	}
	for n, tile := range a.Tiles {
		if p.tiles[d.roots[n]] == nil {
			if err := d.tile(n, tile); err != nil {
				return err
			}
		}
	}
	if p.dict == nil {
		a, err := ask(d.rw, &Request{Code: CodeDictionaries, Dict: d.h.DictRoot})
		if err != nil {
			return err
		}
		if err := d.dictionaries(a.Dict); err != nil {
			return err
		}
	}
	return d.fetch()
}

// begin keeps of what is there what belongs to this table.
func (d *download) begin() {
	p := &d.f.part
	if p.root != d.h.DictRoot {
		p.dict = nil
	}
	type place struct {
		table *snapshot.Table
		n     int
	}
	old := map[[32]byte]place{}
	for _, ours := range []*snapshot.Table{d.f.table(), d.f.snap.Table()} {
		for n, root := range ours.TileRoots() {
			old[root] = place{ours, n}
		}
		if p.dict == nil && ours.DictRoot() == d.h.DictRoot {
			p.dict, p.root = ours.Dictionaries(), d.h.DictRoot
		}
	}
	tiles := make(map[[32]byte][]snapshot.Leaf, len(d.roots))
	p.came, p.other = 0, 0
	for _, root := range d.roots {
		if tiles[root] != nil {
			continue
		}
		if at, same := old[root]; same {
			tiles[root] = leavesOf(at.table, at.n)
			continue
		}
		p.other++
		if leaves := p.tiles[root]; leaves != nil {
			tiles[root], p.came = leaves, p.came+1
		}
	}
	p.tiles = tiles
	d.done = len(tiles)
	if p.dict != nil {
		d.done++
	}
	d.tell(0)
}

func leavesOf(t *snapshot.Table, n int) []snapshot.Leaf {
	var out []snapshot.Leaf
	for i := n * snapshot.TileLeafCount; i < min((n+1)*snapshot.TileLeafCount, t.Len()); i++ {
		out = append(out, t.At(i).Leaf)
	}
	return out
}

// tell counts what has come.
func (d *download) tell(more int) {
	d.done += more
	if d.progress != nil {
		d.progress(d.done, len(d.roots)+1)
	}
}

func (d *download) dictionaries(packed []byte) error {
	p := &d.f.part
	data, err := d.f.zip.unpack(packed, snapshot.MaxDictionariesSize)
	if err != nil {
		return ErrForged
	}
	dict, err := snapshot.DecodeDictionaries(data)
	if err != nil || dict.Root() != d.h.DictRoot {
		return ErrForged
	}
	if p.dict == nil {
		p.dict, p.root = dict, d.h.DictRoot
		d.tell(1)
	}
	return nil
}

func (d *download) tile(n int, tile []byte) error {
	leaves, err := openTile(d.f.zip, tile, d.roots[n])
	if err != nil {
		return ErrForged
	}
	d.f.part.tiles[d.roots[n]] = leaves
	d.f.part.came++
	d.tell(1)
	return nil
}

// fetch asks for the tiles that are missing, some ahead of the answers. A source that
// gives fewer than asked for is asked again as long as it gives some.
func (d *download) fetch() error {
	for {
		missing := d.missing()
		if len(missing) == 0 {
			return nil
		}
		sent := 0
		for i, q := range missing {
			for ; sent < len(missing) && sent < i+maxAhead; sent++ {
				if err := send(d.rw, missing[sent]); err != nil {
					return err
				}
			}
			a, err := receive(d.rw, q)
			if err != nil {
				return err
			}
			for k, tile := range a.Tiles {
				if err := d.tile(int(q.N)+k, tile); err != nil {
					return err
				}
			}
		}
	}
}

// missing returns requests for all tiles that are missing.
func (d *download) missing() (out []*Request) {
	var q *Request
	for n, root := range d.roots {
		switch {
		case d.f.part.tiles[root] != nil:
			q = nil
		case q != nil && q.Count < MaxTileCount:
			q.Count++
		default:
			q = &Request{Code: CodeTile, Dir: d.h.DirRoot, N: uint32(n), Count: 1}
			out = append(out, q)
		}
	}
	return out
}
