// SPDX-License-Identifier: BSD-3-Clause

package store

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"io"
)

// What the library's file looks like, in the machine's order of bytes. A page begins with
// its number (8 bytes), its kind (2), how many elements it has (2) and how many pages
// follow that belong to it (4). An element of a leaf is flags, position, size of the key
// and of the value (4 each), that of a branch position, size of the key (4 each) and the
// page below (8); a position counts from the element.
const (
	pageHead    = 16
	elementSize = 16
	kindBranch  = 0x01
	kindLeaf    = 0x02
	kindFree    = 0x10
	isBucket    = 0x01
	bucketHead  = 16     // the page of its root, or 0: it follows; and a number
	freeBeyond  = 0xffff // the first entry of a list of free pages is its length
	metaMagic   = 0xed0cdaed
	metaVersion = 2
	metaSize    = 64
	// maxDepth is of the tree, which doubles with each step at least.
	maxDepth = 48
	// smallestPage and largestPage are those that the library looks for.
	smallestPage, largestPage = 1 << 10, 16 << 20
)

// pages is a walk over all pages of a file, by plain reads. The library trusts what it
// reads: a page that says of itself that a billion more belong to it, or one that leads
// to itself, has it fill the memory, which no process survives; and what leads out of the
// file ends the process where a goroutine of the library meets it. None of that is met
// after this walk.
type pages struct {
	file io.ReaderAt
	size uint64   // of a page
	end  uint64   // the first page that was never used
	seen []uint64 // a bit for each page
	left uint64   // pages not seen
	buf  []byte
	todo []todo
}

// todo is a page that was seen but not read.
type todo struct {
	page   uint64
	bucket bool // below the root of a bucket, not of the whole
	depth  int
}

// walk walks over a file. Errors: errDamaged, and the system's where it cannot be read: that
// is no reason to put it away.
func walk(file io.ReaderAt, length int64) error {
	r := &noting{ReaderAt: file}
	switch {
	case soundPages(r, length):
		return nil
	case r.err != nil:
		return r.err
	}
	return errDamaged
}

// noting keeps the first error of the system that a read meets.
type noting struct {
	io.ReaderAt
	err error
}

// ReadAt reads as the file does.
func (n *noting) ReadAt(p []byte, at int64) (int, error) {
	k, err := n.ReaderAt.ReadAt(p, at)
	if err != nil && err != io.EOF && n.err == nil {
		n.err = err
	}
	return k, err
}

// soundPages reports whether each page of a file, all of which is there, is part of its
// tree or free, once, and all that its pages say of places lies within them. It needs a
// bit of memory for each page and a megabyte.
func soundPages(file io.ReaderAt, length int64) bool {
	w := &pages{file: file}
	root, free, ok := w.begin(uint64(length))
	if !ok || !w.take(0, 2) || !w.free(free) || !w.push(todo{page: root}) {
		return false
	}
	for len(w.todo) > 0 {
		next := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		if !w.read(next) {
			return false
		}
	}
	return w.left == 0
}

// begin reads what the file says of its latest transaction, as the library does.
func (w *pages) begin(length uint64) (root, free uint64, ok bool) {
	first := w.meta(0)
	if first != nil {
		w.size = uint64(binary.NativeEndian.Uint32(first[8:]))
	}
	for size := uint64(smallestPage); w.size == 0 && size <= largestPage; size *= 2 {
		if m := w.meta(size); m != nil {
			w.size = uint64(binary.NativeEndian.Uint32(m[8:]))
		}
	}
	if w.size < smallestPage || w.size > largestPage {
		return 0, 0, false
	}
	meta, number := first, func(m []byte) uint64 { return binary.NativeEndian.Uint64(m[48:]) }
	if second := w.meta(w.size); meta == nil || second != nil && number(second) > number(meta) {
		meta = second
	}
	if meta == nil {
		return 0, 0, false
	}
	root, free, w.end = binary.NativeEndian.Uint64(meta[16:]), binary.NativeEndian.Uint64(meta[32:]), binary.NativeEndian.Uint64(meta[40:])
	if w.end > length/w.size {
		return 0, 0, false
	}
	w.seen, w.left = make([]uint64, w.end/64+1), w.end
	return root, free, true
}

// meta returns what the page at an offset says of a transaction; nil: nothing.
func (w *pages) meta(at uint64) []byte {
	m := make([]byte, metaSize)
	if _, err := w.file.ReadAt(m, int64(at+pageHead)); err != nil {
		return nil
	}
	sum := fnv.New64a()
	_, _ = sum.Write(m[:metaSize-8])
	if binary.NativeEndian.Uint32(m) != metaMagic || binary.NativeEndian.Uint32(m[4:]) != metaVersion ||
		binary.NativeEndian.Uint64(m[metaSize-8:]) != sum.Sum64() {
		return nil
	}
	return m
}

// take sees n pages. false: one is not there, or was seen before.
func (w *pages) take(page, n uint64) bool {
	if page >= w.end || n > w.end-page {
		return false
	}
	for ; n > 0; n, page = n-1, page+1 {
		if w.seen[page/64]&(1<<(page%64)) != 0 {
			return false
		}
		w.seen[page/64] |= 1 << (page % 64)
		w.left--
	}
	return true
}

func (w *pages) push(t todo) bool {
	if t.depth > maxDepth || !w.take(t.page, 1) {
		return false
	}
	w.todo = append(w.todo, t)
	return true
}

// head reads a page that was seen with the elements that it has, and sees those that
// belong to it. It returns their bytes in all.
func (w *pages) head(page uint64, element int) (kind uint16, count int, span uint64, ok bool) {
	if !w.fill(page, int(w.size)) {
		return 0, 0, 0, false
	}
	kind, count = binary.NativeEndian.Uint16(w.buf[8:]), int(binary.NativeEndian.Uint16(w.buf[10:]))
	more := uint64(binary.NativeEndian.Uint32(w.buf[12:]))
	if binary.NativeEndian.Uint64(w.buf) != page || more > 0 && !w.take(page+1, more) {
		return 0, 0, 0, false
	}
	span = (more + 1) * w.size
	used := pageHead + count*element
	return kind, count, span, uint64(used) <= span && (used <= len(w.buf) || w.fill(page, used))
}

func (w *pages) fill(page uint64, n int) bool {
	if cap(w.buf) < n {
		w.buf = make([]byte, n)
	}
	w.buf = w.buf[:n]
	_, err := w.file.ReadAt(w.buf, int64(page*w.size))
	return err == nil
}

// free reads the list of free pages.
func (w *pages) free(page uint64) bool {
	if !w.take(page, 1) {
		return false
	}
	kind, count, span, ok := w.head(page, 0)
	if !ok || kind != kindFree {
		return false
	}
	at, n := uint64(pageHead), uint64(count)
	if count == freeBeyond {
		n = binary.NativeEndian.Uint64(w.buf[at:])
		at += 8
	}
	if n > (span-at)/8 {
		return false
	}
	r := io.NewSectionReader(w.file, int64(page*w.size+at), int64(n*8))
	piece := make([]byte, 32<<10)
	for n > 0 {
		ids := piece[:min(n*8, uint64(len(piece)))]
		if _, err := io.ReadFull(r, ids); err != nil {
			return false
		}
		for ; len(ids) > 0; ids, n = ids[8:], n-1 {
			if !w.take(binary.NativeEndian.Uint64(ids), 1) {
				return false
			}
		}
	}
	return true
}

// read reads one page of the tree.
func (w *pages) read(t todo) bool {
	kind, count, span, ok := w.head(t.page, elementSize)
	switch {
	case !ok:
		return false
	case kind == kindBranch:
		return count > 0 && w.branch(t, count, span)
	case kind == kindLeaf:
		return w.leaf(t, count, span)
	}
	return false
}

func (w *pages) branch(t todo, count int, span uint64) bool {
	end := uint64(pageHead + count*elementSize)
	for i := range count {
		at := pageHead + i*elementSize
		e := w.buf[at:]
		if uint64(at)+number(e) != end {
			return false
		}
		if end += number(e[4:]); end > span || !w.push(todo{binary.NativeEndian.Uint64(e[8:]), t.bucket, t.depth + 1}) {
			return false
		}
	}
	return true
}

// leaf reads a leaf: of the whole, which has buckets alone, or of a bucket, which has none.
func (w *pages) leaf(t todo, count int, span uint64) bool {
	if count == 0 { // where one was is its element
		return bytes.Equal(w.buf[pageHead:pageHead+elementSize], make([]byte, elementSize))
	}
	end := uint64(pageHead + count*elementSize)
	for i := range count {
		from, after, bucket, ok := leafElement(w.buf, i, end)
		if !ok || after > span || bucket == t.bucket || bucket && !w.bucket(t.page*w.size+from, after-from, t.depth) {
			return false
		}
		end = after
	}
	return true
}

// leafElement returns where in its page the value of an element begins, and what is
// after it. Keys and values follow each other, so that one that is missing is noticed.
func leafElement(page []byte, i int, begin uint64) (from, after uint64, bucket, ok bool) {
	at := pageHead + i*elementSize
	e := page[at:]
	from = begin + number(e[8:])
	return from, from + number(e[12:]), number(e)&isBucket != 0, uint64(at)+number(e[4:]) == begin
}

func number(b []byte) uint64 { return uint64(binary.NativeEndian.Uint32(b)) }

// bucket reads what a leaf holds of a bucket: where its root is, or one leaf.
func (w *pages) bucket(at, n uint64, depth int) bool {
	if n < bucketHead || n > w.size {
		return false
	}
	b := make([]byte, n)
	if _, err := w.file.ReadAt(b, int64(at)); err != nil {
		return false
	}
	if root := binary.NativeEndian.Uint64(b); root != 0 {
		return n == bucketHead && w.push(todo{root, true, depth + 1})
	}
	page := b[bucketHead:]
	if len(page) < pageHead || binary.NativeEndian.Uint16(page[8:]) != kindLeaf {
		return false
	}
	count := int(binary.NativeEndian.Uint16(page[10:]))
	end := uint64(pageHead + count*elementSize)
	if end > uint64(len(page)) {
		return false
	}
	for i := range count {
		_, after, bucket, ok := leafElement(page, i, end)
		if !ok || bucket {
			return false
		}
		end = after
	}
	return end == uint64(len(page))
}
