// SPDX-License-Identifier: BSD-3-Clause

package cgo

// Sizes in bytes. Spec: protocol §3.
const (
	SeedSize = 4*productionKeySize + TagSize // KB | KU | K | B | N
	TagSize  = 16                            // tag of a cell

	headerSize            = 1 + TagSize // command and tag
	productionKeySize     = 32          // each of KB, KU, K, B
	productionPayloadSize = 2032        // what follows the tag
)

// CellLimit is the number of cells that may travel in one direction of one
// circuit. The circuit has to end before; the machines only count.
// Spec: protocol §3.
const CellLimit = 1 << 32

// params is the seam between the construction and its numbers: production's
// below, those of the published vectors in the tests. Implementations have no
// state.
type params interface {
	// keySize is the size in bytes of each of the four keys: 16, 24 or 32.
	keySize() int
	// payloadSize is the size in bytes of a cell behind its tag.
	payloadSize() int
	// firstCounter makes the last byte of the key stream's first counter block
	// for PRF(T, t) from the last byte of UH(B, T).
	firstCounter(last, t byte) byte
	// newKeys returns keys that are still to be expanded.
	newKeys() expanded
}

// production is what version 1 speaks.
type production struct{}

func (production) keySize() int      { return productionKeySize }
func (production) payloadSize() int  { return productionPayloadSize }
func (production) newKeys() expanded { return selected.empty() }

// firstCounter ignores the hash's last byte: the payload takes 127 blocks and
// UPDATE the 9 behind them, so one byte counts them all without a carry.
func (production) firstCounter(_, t byte) byte { return 127 * t }
