// SPDX-License-Identifier: BSD-3-Clause

package weight

import (
	"slices"
	"testing"

	"chive/directory/genesis"
	"chive/directory/snapshot"
)

func TestGuardsAloneAreThoseOfCompute(t *testing.T) {
	p := genesis.Public()
	var relays, asGuards []relay
	for n := range 300 {
		r := relay{bucket: uint8(20 + n%40), age: n % 150, group: uint16(n % 9)}
		if n%2 == 0 {
			r.flags |= snapshot.FlagGuard
		}
		if n%7 == 0 {
			r.flags |= snapshot.FlagProbation
		}
		if n%11 == 0 {
			r.bucket = 0
		}
		relays = append(relays, r)
		r.flags |= snapshot.FlagGuard
		asGuards = append(asGuards, r)
	}
	all := table(t, relays)
	if !slices.Equal(Guards(all, p, today, false), Compute(all, p, today).Guard) {
		t.Error("other weights")
	}
	if !slices.Equal(Guards(all, p, today, true), Compute(table(t, asGuards), p, today).Guard) {
		t.Error("as if all were guards: other weights")
	}
}
