// SPDX-License-Identifier: BSD-3-Clause

package node

import "runtime/debug"

// gcPercent lets the heap grow to five times what is live before it is collected.
// A node's live heap is a few megabytes, while every cell that an end of a circuit
// seals or opens expands fresh keys: with the default of 100 a sixth of the
// processor's time went into collecting them.
const gcPercent = 400

// softMemory is where the heap is collected as often as need be, in bytes.
const softMemory = 512 << 20

// TuneMemory trades memory for speed as a long-running node should. It is called
// once, by the process that runs roles.
func TuneMemory() {
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(softMemory)
}
