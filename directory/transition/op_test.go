// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"chive/directory/record"
	"chive/directory/snapshot"
)

// some has every code, and of some codes several.
func some() []Op {
	return []Op{
		{Code: Drop, Index: 3, Reason: DropExpired}, {Code: Drop, Index: 7, Reason: DropRevoked}, {Code: Drop, Index: 8, Reason: DropEvidence},
		{Code: Update, Index: 0, Body: [16]byte{1, 15: 2}}, {Code: Update, Index: 99, Body: [16]byte{3}},
		{Code: Add, RID: record.RID{1}, Body: [16]byte{4}, Lane: LaneOpen},
		{Code: Add, RID: record.RID{2}, Body: [16]byte{5}, Lane: LaneVouched, Sponsor: 99},
		{Code: Add, RID: record.RID{2, 15: 1}, Body: [16]byte{6}, Lane: LaneReturning},
		{Code: Down, Index: 5}, {Code: Up, Index: 5},
		{Code: Penalty, Index: 1, Reason: PenaltySeat, Evidence: [16]byte{7}}, {Code: Penalty, Index: 2, Reason: PenaltyProbation, Evidence: [16]byte{8}},
	}
}

// Spec: TRN-3.
func TestOpsRoundTrip(t *testing.T) {
	want := some()
	b := AppendOps(nil, want)
	if len(b) != OpsSize(want) || len(b) != 6*5+3*5+2*20+3*37+4+4+2*21 {
		t.Errorf("%d bytes", len(b))
	}
	got, err := ParseOps(b, 100)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("%v: %v", got, err)
	}
	shuffled := slices.Clone(want)
	slices.Reverse(shuffled)
	if !bytes.Equal(AppendOps(nil, shuffled), b) || shuffled[0] != want[len(want)-1] {
		t.Error("the order of ops made a difference, or the argument was changed")
	}
	if none, err := ParseOps(nil, 100); err != nil || none != nil {
		t.Errorf("no ops: %v", err)
	}
	// A cut is refused unless it falls between two codes.
	whole := map[int]bool{0: true}
	for i := range want {
		if i+1 < len(want) && want[i].Code != want[i+1].Code {
			whole[OpsSize(want[:i+1])] = true
		}
	}
	for n := range b {
		if _, err := ParseOps(b[:n], 100); (err == nil) != whole[n] || (err != nil && !errors.Is(err, ErrOps)) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := ParseOps(append(b, 0), 100); !errors.Is(err, ErrOps) {
		t.Errorf("trailing byte: %v", err)
	}
}

func TestOpsThatMakeAVoteVoid(t *testing.T) {
	for name, ops := range map[string][]Op{
		"two of one number":         {{Code: Update, Index: 1, Body: [16]byte{1}}, {Code: Update, Index: 1, Body: [16]byte{2}}},
		"one twice":                 {{Code: Down, Index: 1}, {Code: Down, Index: 1}},
		"two ADD of one relay":      {{Code: Add, Body: [16]byte{1}}, {Code: Add, Body: [16]byte{2}}},
		"index beyond the table":    {{Code: Up, Index: 100}},
		"largest index":             {{Code: Up, Index: 1<<32 - 1}},
		"sponsor beyond the table":  {{Code: Add, Lane: LaneVouched, Sponsor: 100}},
		"sponsor in the open lane":  {{Code: Add, Lane: LaneOpen, Sponsor: 1}},
		"lane of founders":          {{Code: Add, Lane: laneFounder}},
		"DROP without a reason":     {{Code: Drop}},
		"DROP for a reason unknown": {{Code: Drop, Reason: DropEvidence + 1}},
		"PEN without a reason":      {{Code: Penalty}},
		"PEN for a reason unknown":  {{Code: Penalty, Reason: PenaltyProbation + 1}},
	} {
		if _, err := ParseOps(AppendOps(nil, ops), 100); !errors.Is(err, ErrOps) {
			t.Errorf("%s: %v", name, err)
		}
		if canonical(ops, 100) {
			t.Errorf("%s: canonical", name)
		}
	}
	for name, o := range map[string]Op{
		"no code": {}, "RATE": {Code: 7}, "body of DOWN": {Code: Down, Body: [16]byte{1}}, "rid of UPD": {Code: Update, RID: record.RID{1}},
		"evidence of DROP": {Code: Drop, Reason: 1, Evidence: [16]byte{1}}, "index of ADD": {Code: Add, Index: 1},
		"lane of UP": {Code: Up, Lane: 1}, "reason of UPD": {Code: Update, Reason: 1},
	} {
		if o.valid(100) {
			t.Errorf("%s: valid", name)
		}
	}
	for name, b := range map[string][]byte{
		"RATE":             {7, 0, 0, 0, 1, 0, 0, 0, 0, 0},
		"code 0":           {0, 0, 0, 0, 1, 0, 0, 0, 0},
		"none of a code":   {4, 0, 0, 0, 0},
		"falling codes":    {5, 0, 0, 0, 1, 0, 0, 0, 1, 4, 0, 0, 0, 1, 0, 0, 0, 1},
		"a code twice":     {4, 0, 0, 0, 1, 0, 0, 0, 1, 4, 0, 0, 0, 1, 0, 0, 0, 2},
		"falling indices":  {4, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 1},
		"count beyond all": {4, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1},
	} {
		if _, err := ParseOps(b, 100); !errors.Is(err, ErrOps) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpsAreBounded(t *testing.T) {
	if MaxOpsSize(0) != 4096 || MaxOpsSize(1000) != 5096 || MaxOpsSize(1<<20) != 60<<10 {
		t.Error("other bounds")
	}
	const leaves = 2000
	var ops []Op
	for i := range (MaxOpsSize(leaves) - opHeadSize) / 4 {
		ops = append(ops, Op{Code: Down, Index: uint32(i)})
	}
	if _, err := ParseOps(AppendOps(nil, ops), leaves); err != nil {
		t.Errorf("%d bytes: %v", OpsSize(ops), err)
	}
	ops = append(ops, Op{Code: Down, Index: leaves - 1})
	if _, err := ParseOps(AppendOps(nil, ops), leaves); !errors.Is(err, ErrOps) {
		t.Errorf("%d bytes: %v", OpsSize(ops), err)
	}
}

// Spec: TRN-6.
func TestTruncationKeepsLowNumbersThenCutOrder(t *testing.T) {
	doc := document(t, 30, rules(nil))
	parent := Genesis(doc).Snapshot()
	var ops []Op
	for i := range uint32(30) {
		ops = append(ops, Op{Code: Drop, Index: i, Reason: DropExpired}, Op{Code: Down, Index: i})
	}
	slices.SortFunc(ops, Op.Compare)
	full := OpsSize(ops)
	last := ops
	for size := full; size >= 0; size-- {
		got := Truncate(parent, ops, size)
		if OpsSize(got) > size || !canonical(got, 30) {
			t.Fatalf("%d bytes: %d, or out of order", size, OpsSize(got))
		}
		if len(got) < len(last)-1 || len(got) > len(last) {
			t.Fatalf("%d bytes: from %d ops to %d", size, len(last), len(got))
		}
		// What is kept of more is what is kept of less, and one op.
		for _, o := range got {
			if !slices.Contains(last, o) {
				t.Fatalf("%d bytes: an op came back", size)
			}
		}
		if len(got) > 0 && got[len(got)-1].Code == Down && len(slices.DeleteFunc(slices.Clone(got), func(o Op) bool { return o.Code != Drop })) != 30 {
			t.Fatalf("%d bytes: DOWN before DROP", size)
		}
		last = got
	}
	if len(last) != 0 {
		t.Error("something fits nothing")
	}
	// With room for one, it is the relay of the lowest key.
	one := Truncate(parent, ops, opHeadSize+opSizes[Drop])[0]
	for i := range 30 {
		mine, theirs := cutKey(parent.Header().Beacon, parent.Table().At(int(one.Index)).RID), cutKey(parent.Header().Beacon, parent.Table().At(i).RID)
		if bytes.Compare(theirs[:], mine[:]) < 0 {
			t.Fatal("another relay has a lower key")
		}
	}
	if got := Truncate(parent, ops, full); !slices.Equal(got, ops) {
		t.Error("what fits was cut")
	}
}

// Vectors of TRN-3.
func TestOpVectors(t *testing.T) {
	var lines [][2]string
	for _, o := range some() {
		name := map[OpCode]string{Drop: "drop", Update: "update", Add: "add", Down: "down", Up: "up", Penalty: "penalty"}[o.Code]
		if o.Code == Add {
			name += []string{"_open", "_vouched", "_returning"}[o.Lane]
		} else if o.Code == Drop || o.Code == Penalty {
			name += []string{"", "_1", "_2", "_3"}[o.Reason]
		} else if o.Index == 99 {
			continue
		}
		lines = append(lines, [2]string{name, hex.EncodeToString(AppendOps(nil, []Op{o}))})
	}
	lines = append(lines, [2]string{"all", hex.EncodeToString(AppendOps(nil, some()))})
	golden(t, "ops.txt", "Ops of votes over a table of 100 relays, one by one and together.\nA changed line is a change of the protocol. Spec: directory §5.\n", lines)
}

func FuzzOps(f *testing.F) {
	f.Add(AppendOps(nil, some()), 100)
	for _, o := range some() {
		f.Add(AppendOps(nil, []Op{o}), 100)
	}
	f.Fuzz(func(t *testing.T, data []byte, leaves int) {
		leaves = min(max(leaves, 0), snapshot.MaxLeafCount)
		ops, err := ParseOps(data, leaves)
		if err != nil {
			return
		}
		if again := AppendOps(nil, ops); !bytes.Equal(again, data) || len(data) != OpsSize(ops) {
			t.Fatalf("%x became %x", data, again)
		}
	})
}
