// SPDX-License-Identifier: BSD-3-Clause

package snapshot

import (
	"crypto/sha256"
	"math/bits"
)

// emptyRoot is the root of the tree with no leaves.
func emptyRoot() [32]byte { return sha256.Sum256(nil) }

// leafHash is the hash of one leaf's bytes. Spec: RFC 6962, 2.1.
func leafHash(leaf []byte) [32]byte {
	var buf [256]byte // most leaves fit
	return sha256.Sum256(append(buf[:1], leaf...))
}

// LeafHash returns the hash of one leaf's bytes in any tree of the directory.
// Spec: RFC 6962, 2.1.
func LeafHash(leaf []byte) [32]byte { return leafHash(leaf) }

// TreeRoot folds leaf hashes, or the roots of equally large full subtrees of which
// only the last may be smaller, into the root above them. Spec: RFC 6962, 2.1.
func TreeRoot(hashes [][32]byte) [32]byte { return root(hashes) }

// nodeHash is the hash of an inner node. Spec: RFC 6962, 2.1.
func nodeHash(left, right [32]byte) [32]byte {
	var node [65]byte
	node[0] = 1
	copy(node[1:33], left[:])
	copy(node[33:], right[:])
	return sha256.Sum256(node[:])
}

// root folds leaf hashes, or the roots of equally large full subtrees of which
// only the last may be smaller, into the root above them. Spec: RFC 6962, 2.1.
func root(hashes [][32]byte) [32]byte {
	switch len(hashes) {
	case 0:
		return emptyRoot()
	case 1:
		return hashes[0]
	}
	k := 1 << (bits.Len(uint(len(hashes)-1)) - 1)
	return nodeHash(root(hashes[:k]), root(hashes[k:]))
}
