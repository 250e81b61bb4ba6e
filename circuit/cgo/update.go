// SPDX-License-Identifier: BSD-3-Clause

package cgo

// update is UPDATE: keys and nonce become PRF(N, 1). The old ones cannot be
// computed from the new ones. Spec: protocol §3.
func (l *layer) update() {
	l.expand()
	stream := l.prf(l.nonce(), 1)
	next := l.seed[:4*l.p.keySize()+TagSize]
	clear(next)
	stream.XORKeyStream(next, next)
	l.shrink()
}
