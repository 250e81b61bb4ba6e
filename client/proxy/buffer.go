// SPDX-License-Identifier: BSD-3-Clause

package proxy

import "sync"

// A stream that waits holds a small buffer; one that moves bulk, a large one.
const (
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10
)

// bufferPool lends buffers of one size.
type bufferPool struct {
	size int
	pool sync.Pool
}

func (p *bufferPool) get() *[]byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, p.size)
	return &b
}

func (p *bufferPool) put(b *[]byte) { p.pool.Put(b) }
