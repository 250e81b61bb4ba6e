// SPDX-License-Identifier: BSD-3-Clause

//go:build !purego

package cgo

import (
	"bytes"
	"syscall"
	"testing"
	"unsafe"
)

// fenced returns memory between two pages that cannot be touched.
func fenced(t *testing.T, pages int) []byte {
	t.Helper()
	page := syscall.Getpagesize()
	all, err := syscall.Mmap(-1, 0, (pages+2)*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Skipf("NOT TESTED: no memory to fence: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(all) })
	for _, fence := range [][]byte{all[:page], all[(pages+1)*page:]} {
		if err := syscall.Mprotect(fence, syscall.PROT_NONE); err != nil {
			t.Skipf("NOT TESTED: no fence: %v", err)
		}
	}
	return all[page : (pages+1)*page]
}

// TestKernelsStayInBounds puts everything that the assembly reads and writes to
// the very start and the very end of fenced memory: a byte too far is a fault.
func TestKernelsStayInBounds(t *testing.T) {
	const pages = 2
	cells, small := fenced(t, pages), fenced(t, 1)
	place := func(memory []byte, size int, atEnd bool) []byte {
		if atEnd {
			return memory[len(memory)-size:]
		}
		return memory[:size:size]
	}
	const kernelSize = int(unsafe.Sizeof(kernel{}))
	for _, i := range assembly() {
		use(t, i)
		for _, atEnd := range []bool{false, true} {
			// Expanded keys, keys, tag and running tag.
			k := (*kernel)(unsafe.Pointer(unsafe.SliceData(place(small, kernelSize, atEnd))))
			*k = *i.empty().(*kernel)
			var free []byte
			if atEnd {
				free = small[:len(small)-kernelSize]
			} else {
				free = small[kernelSize:]
			}
			copy(free, testBytes(128, "bounds"))
			k.expand(free[:128])
			keys := place(small, 128, !atEnd)
			copy(keys, testBytes(128, "bounds"))
			k.expand(keys)
			chain := (*block)(place(small, TagSize, !atEnd))
			want := standard.empty()
			want.expand(testBytes(128, "bounds"))
			if k.start(chain[:]) != want.start(chain[:]) {
				t.Fatalf("%s: start", i.name)
			}

			for size := smallestPayload; size <= productionPayloadSize+3*TagSize; size++ {
				c := place(cells, headerSize+size, atEnd)
				copy(c, testBytes(len(c), "bounds"))
				reference := bytes.Clone(c)
				k.encryptTag(chain, c)
				k.decryptTag(chain, c)
				k.encryptTag(chain, c)
				want.encryptTag(chain, reference)
				if !bytes.Equal(c, reference) {
					t.Fatalf("%s: tag of a cell of %d bytes, at the end %v", i.name, len(c), atEnd)
				}
			}
			for size := range 1100 {
				c := place(cells, size, atEnd)
				copy(c, testBytes(len(c), "bounds"))
				reference := bytes.Clone(c)
				k.xorKeyStream(c, counter{1, 2})
				want.xorKeyStream(reference, counter{1, 2})
				if !bytes.Equal(c, reference) {
					t.Fatalf("%s: key stream of %d bytes, at the end %v", i.name, size, atEnd)
				}
			}
		}
		// Whole cells at every offset from a cache line, ending at the fence at last.
		const cellSize = headerSize + productionPayloadSize
		got, want := newLayer(production{}, testSeed("offset")[:]), newLayer(using{implementation: standard}, testSeed("offset")[:])
		for offset := range 65 {
			c := cells[len(cells)-cellSize-offset : len(cells)-offset]
			copy(c, testCell(3, "offset"))
			reference := testCell(3, "offset")
			got.encrypt(c)
			want.encrypt(reference)
			if !bytes.Equal(c, reference) {
				t.Fatalf("%s: encrypt at offset %d", i.name, offset)
			}
			got.decrypt(c)
			want.decrypt(reference)
			if !bytes.Equal(c, reference) {
				t.Fatalf("%s: decrypt at offset %d", i.name, offset)
			}
		}
	}
}
