// SPDX-License-Identifier: BSD-3-Clause

package cgo

// update is UPDATE: keys and nonce become PRF(N, 1). The old ones cannot be
// computed from the new ones, which take their place at once, also among the
// expanded keys. Spec: protocol §3.
func (l *layer) update() {
	l.expand()
	n := 4 * l.p.keySize()
	next := l.seed[:n+TagSize]
	first := l.counter(l.nonce(), 1)
	clear(next)
	l.keys.xorKeyStream(next, first)
	l.keys.expand(next[:n])
}
