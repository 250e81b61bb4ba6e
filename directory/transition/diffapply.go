// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"encoding/binary"
	"slices"

	"chive/directory/snapshot"
)

// Apply turns a table into another with what Diff wrote, and accepts nothing else.
// Whether the result is the right one its roots tell: compare them with a header
// that is believed, snapshot.New does. What is allocated is bounded by the sizes of
// table and diff. Error: ErrDiff. Spec: directory §8 (diffs), protocol §7 (TRN-11).
func Apply(from *snapshot.Table, diff []byte) (*snapshot.Table, error) {
	if len(diff) == 0 || len(diff) > MaxDiffSize || diff[0] != diffVersion {
		return nil, ErrDiff
	}
	r := &diffReader{data: diff[1:]}
	if r.number(snapshot.MaxLeafCount) != from.Len() || r.failed {
		return nil, ErrDiff
	}
	leaves := make([]snapshot.Leaf, from.Len())
	for i := range leaves {
		leaves[i] = from.At(i).Leaf
	}
	gone := make([]bool, len(leaves))
	for _, i := range r.indices(len(leaves)) {
		gone[i] = true
	}
	added := r.leaves()
	for _, c := range columns() {
		at := r.indices(len(leaves))
		for _, i := range at {
			old := leaves[i]
			n := c.read(&leaves[i], r.data)
			if r.failed || n == 0 || gone[i] || c.same(&old, &leaves[i]) {
				return nil, ErrDiff
			}
			r.data = r.data[n:]
		}
	}
	dict, ok := r.dictionaries(from.Dictionaries())
	if !ok || r.failed || len(r.data) > 0 {
		return nil, ErrDiff
	}
	merged, ok := merge(leaves, gone, added)
	if !ok {
		return nil, ErrDiff
	}
	// Leaves with impossible fields do not survive their own codec.
	var buf []byte
	for i := range merged {
		buf = merged[i].Append(buf[:0])
		if l, err := snapshot.ParseLeaf(buf); err != nil || l != merged[i] {
			return nil, ErrDiff
		}
	}
	t, err := from.Next(merged, dict)
	if err != nil {
		return nil, ErrDiff
	}
	return t, nil
}

// merge puts what is left and what came in rid order. It reports false when a relay
// that came was there.
func merge(leaves []snapshot.Leaf, gone []bool, added []snapshot.Leaf) ([]snapshot.Leaf, bool) {
	out := make([]snapshot.Leaf, 0, len(leaves)+len(added))
	for i := range leaves {
		for len(added) > 0 && added[0].RID.Compare(leaves[i].RID) < 0 {
			out, added = append(out, added[0]), added[1:]
		}
		if len(added) > 0 && added[0].RID == leaves[i].RID {
			return nil, false
		}
		if !gone[i] {
			out = append(out, leaves[i])
		}
	}
	return append(out, added...), true
}

// diffReader reads the parts of a diff. After a failure it gives zeros and nothing.
type diffReader struct {
	data   []byte
	failed bool
}

// number reads a number in its shortest form, at most most.
func (r *diffReader) number(most int) int {
	n, size := binary.Uvarint(r.data)
	if r.failed || size <= 0 || n > uint64(most) || (size > 1 && r.data[size-1] == 0) {
		r.failed = true
		return 0
	}
	r.data = r.data[size:]
	return int(n)
}

// indices reads rising indices below most. Each takes at least one byte, which
// bounds what is allocated.
func (r *diffReader) indices(most int) []int {
	count := r.number(min(most, len(r.data)))
	if r.failed || count > len(r.data) {
		r.failed = true
		return nil
	}
	at := make([]int, 0, count)
	next := 0
	for range count {
		i := next + r.number(snapshot.MaxLeafCount)
		if r.failed || i >= most {
			r.failed = true
			return nil
		}
		at, next = append(at, i), i+1
	}
	return at
}

// leaves reads the leaves that came, in rid order.
func (r *diffReader) leaves() []snapshot.Leaf {
	count := r.number(min(snapshot.MaxLeafCount, len(r.data)/snapshot.LeafSize))
	var out []snapshot.Leaf
	for range count {
		if r.failed || len(r.data) == 0 || len(r.data) < 1+int(r.data[0]) {
			r.failed = true
			return nil
		}
		size := int(r.data[0])
		l, err := snapshot.ParseLeaf(r.data[1 : 1+size])
		if n := len(out); err != nil || (n > 0 && out[n-1].RID.Compare(l.RID) >= 0) {
			r.failed = true
			return nil
		}
		out = append(out, l)
		r.data = r.data[1+size:]
	}
	return out
}

// dictionaries reads what changed in the dictionaries; old itself if nothing did.
func (r *diffReader) dictionaries(old *snapshot.Dictionaries) (*snapshot.Dictionaries, bool) {
	values := valuesOf(old)
	changed := false
	for k, most := range []int{snapshot.MaxGroupCount, snapshot.MaxFamilyCount, snapshot.MaxPolicyCount} {
		count := r.number(most)
		at := r.indices(count)
		// Beyond the old indices the last one at least must be in the diff.
		if r.failed || (count > len(values[k]) && (len(at) == 0 || at[len(at)-1] != count-1)) {
			return nil, false
		}
		changed = changed || count != len(values[k]) || len(at) > 0
		if count <= len(values[k]) {
			values[k] = values[k][:count]
		} else {
			values[k] = slices.Concat(values[k], make([]string, count-len(values[k])))
		}
		for _, i := range at {
			if len(r.data) == 0 || len(r.data) < 1+int(r.data[0]) {
				return nil, false
			}
			v := string(r.data[1 : 1+int(r.data[0])])
			if v == values[k][i] {
				return nil, false
			}
			values[k][i], r.data = v, r.data[1+len(v):]
		}
	}
	if !changed {
		return old, true
	}
	return newDictionaries(values)
}

// newDictionaries reads values through the dictionaries' own codec.
func newDictionaries(values [3][]string) (*snapshot.Dictionaries, bool) {
	var b []byte
	for _, part := range values {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		for _, v := range part {
			b = append(append(b, byte(len(v))), v...)
		}
	}
	d, err := snapshot.DecodeDictionaries(b)
	return d, err == nil
}
