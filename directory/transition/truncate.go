// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"bytes"
	"cmp"
	"slices"

	"chive/directory/record"
	"chive/directory/snapshot"
)

// cutKey orders relays where a cap leaves room for some only: by H("cut", beacon,
// rid), lowest first. The beacon is the parent's; nobody chose it. Spec: directory
// §10, protocol §7 (TRN-6).
func cutKey(beacon [32]byte, rid record.RID) [32]byte { return record.Hash("cut", beacon[:], rid[:]) }

// sortByCut sorts items whose relay rid tells by their cut keys.
func sortByCut[T any](beacon [32]byte, items []T, rid func(T) record.RID) {
	type keyed struct {
		key  [32]byte
		item T
	}
	all := make([]keyed, len(items))
	for i, item := range items {
		all[i] = keyed{cutKey(beacon, rid(item)), item}
	}
	slices.SortFunc(all, func(a, b keyed) int { return bytes.Compare(a.key[:], b.key[:]) })
	for i := range all {
		items[i] = all[i].item
	}
}

// Truncate returns as many ops as fit size bytes, in canonical order: those of lower
// numbers first, within a number by their relays' cut keys under the parent's
// beacon, so that all honest members cut alike. The ops are canonical over parent's
// table; the argument is not changed. Spec: directory §10, protocol §7 (TRN-6).
func Truncate(parent *snapshot.Snapshot, ops []Op, size int) []Op {
	if OpsSize(ops) <= size {
		return ops
	}
	ops = slices.Clone(ops)
	slices.SortStableFunc(ops, func(a, b Op) int { return cmp.Compare(a.Code, b.Code) })
	var kept []Op
	for len(ops) > 0 {
		n := 1
		for n < len(ops) && ops[n].Code == ops[0].Code {
			n++
		}
		group, room := ops[:n], max(0, (size-opHeadSize)/opSizes[ops[0].Code])
		if room < n {
			sortByCut(parent.Header().Beacon, group, func(o Op) record.RID { return o.rid(parent.Table()) })
			kept = append(kept, group[:room]...)
			break
		}
		kept = append(kept, group...)
		size -= OpsSize(group)
		ops = ops[n:]
	}
	slices.SortFunc(kept, Op.Compare)
	return kept
}
