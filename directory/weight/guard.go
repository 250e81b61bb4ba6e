// SPDX-License-Identifier: BSD-3-Clause

package weight

import (
	"chive/directory/genesis"
	"chive/directory/snapshot"
)

// Guards returns the guard weights alone, by table index, as Compute has them; with
// all set, those that the relays would have if each had the guard role, as the draw
// of a committee weighs them. The slice belongs to the caller. Spec: directory §6,
// §9.
func Guards(t *snapshot.Table, p genesis.Params, day int, all bool) []uint64 {
	weights := make([]uint64, t.Len())
	for i := range weights {
		r := t.At(i)
		if r.Flags&snapshot.FlagRunning == 0 || r.Flags&snapshot.FlagProbation != 0 || (!all && r.Flags&snapshot.FlagGuard == 0) {
			continue
		}
		if r.Bucket > 0 {
			weights[i] = ramp(uint64(snapshot.Rate(r.Bucket))*scale, day-int(r.BirthDay), p.GuardFrom, p.GuardFull)
		}
	}
	newClipper(t, p).clip(weights, true)
	return weights
}
