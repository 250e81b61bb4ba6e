// SPDX-License-Identifier: BSD-3-Clause

package weight

import (
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
)

var update = flag.Bool("update", false, "write testdata/vectors/*.txt anew")

// today is the day on which the tests look at their tables: late enough for any
// age.
const today = 1000

// relay is what a test says about one relay.
type relay struct {
	flags  snapshot.Flags // running is added
	bucket uint8
	age    int
	group  uint16
}

const (
	guard   = snapshot.FlagGuard
	exit    = snapshot.FlagExit
	founder = snapshot.FlagFounder
)

// table makes a table of relays in this order, all of them running unless bucket
// is 0.
func table(t testing.TB, relays []relay) *snapshot.Table {
	t.Helper()
	leaves := make([]snapshot.Leaf, len(relays))
	dict := &snapshot.Dictionaries{Policies: [][]record.PortRange{{{Protocol: record.TCP, First: 1, Last: 65535}}}}
	for i, r := range relays {
		l := &leaves[i]
		binary.BigEndian.PutUint32(l.RID[:], uint32(i))
		l.IPv4 = netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, 0, 0, 1}), 1)
		l.Flags, l.Bucket, l.BirthDay, l.Group = r.flags|snapshot.FlagRunning, r.bucket, uint16(today-r.age), r.group
		if l.Flags&exit != 0 {
			l.Policy = 1
		}
		for int(r.group) >= len(dict.Groups) {
			dict.Groups = append(dict.Groups, snapshot.Group(fmt.Sprintf("\x04%c%c", len(dict.Groups)/64, len(dict.Groups)%64)))
		}
	}
	out, err := snapshot.NewTable(leaves, dict)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// uncapped are the public parameters without caps, to look at the rest alone.
func uncapped() genesis.Params {
	p := genesis.Public()
	p.CapRelay, p.CapGroup, p.CapCohort, p.NewcomerShare = 0, 0, 0, 0
	return p
}

const kbit = scale

func TestRampsAndAges(t *testing.T) {
	for _, test := range []struct {
		name                string
		r                   relay
		guard, middle, exit uint64 // kbit/s
	}{
		{"new guard", relay{guard, 36, 29, 0}, 0, 512, 0},
		{"ramp begins", relay{guard, 36, 30, 0}, 0, 512, 0},
		{"half of the ramp", relay{guard, 36, 60, 0}, 256, 512, 0},
		{"ramp ends", relay{guard, 36, 90, 0}, 512, 512, 0},
		{"old guard", relay{guard, 36, 900, 0}, 512, 512, 0},
		{"young exit", relay{exit, 36, 13, 0}, 0, 512, 0},
		{"exit", relay{exit, 36, 14, 0}, 0, 512, 512},
		{"both", relay{guard | exit, 36, 90, 0}, 512, 512, 512},
		{"neither", relay{0, 36, 90, 0}, 0, 512, 0},
		{"on probation", relay{guard | exit | snapshot.FlagProbation, 36, 900, 0}, 0, 512, 0},
		{"at rest", relay{guard | exit, 0, 900, 0}, 0, 0, 0},
		{"born tomorrow", relay{guard | exit, 36, -1, 0}, 0, 512, 0},
	} {
		// Enough others that neither guards nor exits are scarce.
		others := slices.Repeat([]relay{{guard | exit, 100, 900, 1}}, 9)
		w := Compute(table(t, append([]relay{test.r}, others...)), uncapped(), today)
		middle := test.middle * kbit
		if w.Guard[0] > 0 {
			middle = scarce(middle, sumWithout(w, test.middle*kbit), sum(w.Guard))
		}
		if w.Exit[0] > 0 {
			middle = scarce(middle, sumWithout(w, test.middle*kbit), sum(w.Exit))
		}
		if w.Guard[0] != test.guard*kbit || w.Exit[0] != test.exit*kbit || w.Middle[0] != middle {
			t.Errorf("%s: %d %d %d, middle wanted %d", test.name, w.Guard[0]/kbit, w.Middle[0], w.Exit[0]/kbit, middle)
		}
	}
}

// sumWithout is the middle weight of the table above before the factors.
func sumWithout(_ *Weights, first uint64) uint64 {
	return first + 9*uint64(snapshot.Rate(100))*kbit
}

func TestStoppedRelayHasNoWeight(t *testing.T) {
	tab := table(t, []relay{{guard | exit, 36, 900, 0}})
	l := tab.At(0).Leaf
	l.Flags &^= snapshot.FlagRunning
	stopped, err := snapshot.NewTable([]snapshot.Leaf{l}, tab.Dictionaries())
	if err != nil {
		t.Fatal(err)
	}
	w := Compute(stopped, uncapped(), today)
	if w.Guard[0] != 0 || w.Middle[0] != 0 || w.Exit[0] != 0 {
		t.Errorf("%+v", w)
	}
}

func TestScarceExitsAndGuardsStayOutOfTheMiddle(t *testing.T) {
	for _, test := range []struct {
		name   string
		relays []relay
		want   []uint64 // thousandths of the rate
	}{
		// T = 4, E = 1, G = 1: 1 - 4/3 < 0, both out.
		{"scarce", []relay{{exit, 36, 90, 0}, {guard, 36, 90, 0}, {0, 36, 90, 0}, {0, 36, 90, 0}}, []uint64{0, 0, 1000, 1000}},
		// T = 4, E = 2: 1 - 4/6 = 1/3.
		{"half are exits", []relay{{exit, 36, 90, 0}, {exit, 36, 90, 0}, {0, 36, 90, 0}, {0, 36, 90, 0}}, []uint64{333, 333, 1000, 1000}},
		// T = E = G: 2/3 each, 4/9 for both.
		{"all are both", []relay{{guard | exit, 36, 90, 0}, {guard | exit, 36, 90, 0}}, []uint64{444, 444}},
		// T = 2, E = G = 1: 1/3 each.
		{"one of each", []relay{{exit, 36, 90, 0}, {guard, 36, 90, 0}}, []uint64{333, 333}},
		// A guard too young to be chosen is no guard here.
		{"young guard", []relay{{exit, 36, 90, 0}, {guard, 36, 29, 0}}, []uint64{333, 1000}},
	} {
		w := Compute(table(t, test.relays), uncapped(), today)
		for i, want := range test.want {
			if got := w.Middle[i] * 1000 / (512 * kbit); got != want {
				t.Errorf("%s: relay %d has %d/1000, want %d", test.name, i, got, want)
			}
		}
	}
	// A third of what there is stays, whatever the factors leave of it.
	for name, c := range map[string]struct{ w, want Weights }{
		"nothing": { // T/3E = 1 for every relay
			Weights{Guard: []uint64{0, 0, 0}, Middle: []uint64{9, 9, 9}, Exit: []uint64{3, 3, 3}},
			Weights{Middle: []uint64{3, 3, 3}},
		},
		"one of many": { // guards that caps made scarce
			Weights{Guard: []uint64{1, 1, 1, 0}, Middle: []uint64{200, 200, 200, 100}, Exit: []uint64{0, 0, 0, 0}},
			Weights{Middle: []uint64{44, 44, 44, 100}},
		},
	} {
		spare(&c.w, make([]bool, len(c.w.Middle)))
		if !slices.Equal(c.w.Middle, c.want.Middle) {
			t.Errorf("%s is left: %v", name, c.w.Middle)
		}
	}
}

// TestNewcomersHaveTheirShareWhereGuardsAreScarce: what is spared of the others is no room for
// them, and one that came today is not the middle of every path.
func TestNewcomersHaveTheirShareWhereGuardsAreScarce(t *testing.T) {
	of := func(count int, r relay) (out []relay) {
		for n := range count {
			one := r
			one.group += uint16(n)
			out = append(out, one)
		}
		return out
	}
	young := of(400, relay{0, 36, 2, 300})
	for name, relays := range map[string][]relay{
		"guards":                      of(100, relay{guard, 57, 200, 0}),
		"guards and exits":            of(100, relay{guard | exit, 57, 200, 0}),
		"a third exits too":           append(of(66, relay{guard, 57, 200, 0}), of(33, relay{guard | exit, 57, 200, 100})...),
		"founders and guards of 35 d": append(of(13, relay{guard | exit | founder, 57, 130, 0}), of(40, relay{guard, 45, 35, 20})...),
		"founders, guards of a month": append(of(100, relay{guard | founder, 57, 700, 0}), of(200, relay{guard, 40, 40, 100})...),
		"nobody but young ones":       nil,
	} {
		for _, count := range []int{1, len(young)} {
			w := Compute(table(t, append(slices.Clip(relays), young[:count]...)), genesis.Public(), today)
			share := sum(w.Middle[len(relays):]) * 10000 / sum(w.Middle)
			if share > 500 && len(relays) > 0 {
				t.Errorf("%s: %d newcomers have %d/10000 of the middles", name, count, share)
			}
			if share == 0 {
				t.Errorf("%s: %d newcomers have nothing", name, count)
			}
		}
	}
}

// TestTheLargestShareFits: every share that a document may have, and the largest table.
func TestTheLargestShareFits(t *testing.T) {
	weights, newcomer := []uint64{1 << 61, 1 << 61, 1 << 40}, []bool{false, true, true}
	limitNewcomers(weights, newcomer, 999)
	if !slices.Equal(weights, []uint64{1 << 61, 1 << 61, 1 << 40}) {
		t.Errorf("%v", weights)
	}
	limitNewcomers(weights, newcomer, 1)
	if young := weights[1] + weights[2]; young > 1<<61/999 || young < 1<<61/999-2 {
		t.Errorf("%d", young)
	}
}

func TestNewcomersTogetherStayBelowTheirShare(t *testing.T) {
	p := uncapped()
	p.NewcomerShare = 50
	relays := slices.Repeat([]relay{{0, 36, 6, 0}}, 90)
	relays = append(relays, slices.Repeat([]relay{{0, 36, 7, 0}}, 10)...)
	w := Compute(table(t, relays), p, today)
	young := sum(w.Middle[:90])
	if share := young * 10000 / sum(w.Middle); share < 499 || share > 500 {
		t.Errorf("newcomers have %d/10000", share)
	}
	if w.Middle[95] != 512*kbit {
		t.Error("an old relay lost weight")
	}
	w = Compute(table(t, relays[:90]), p, today)
	if sum(w.Middle) != 90*512*kbit {
		t.Error("a table of newcomers lost weight")
	}
}

func TestTestnetHasNoCaps(t *testing.T) {
	relays := []relay{{guard, 36, 0, 0}, {guard | exit, 60, 0, 0}, {exit, 40, 0, 0}}
	w := Compute(table(t, relays), genesis.Testnet(), today)
	if !slices.Equal(w.Guard, []uint64{512 * kbit, 32768 * kbit, 0}) || !slices.Equal(w.Exit, []uint64{0, 32768 * kbit, 1024 * kbit}) {
		t.Errorf("%v %v", w.Guard, w.Exit)
	}
}

// skewed makes a table like a young network: a few large relays, groups and
// cohorts of very different size.
func skewed(t testing.TB, count int) *snapshot.Table {
	relays := make([]relay, count)
	for i := range relays {
		h := sha256.Sum256(binary.BigEndian.AppendUint32(nil, uint32(i)))
		r := relay{flags: guard, bucket: 30 + h[0]%30, age: 30 + int(h[1])*3, group: uint16(h[2]) * uint16(h[3]) / 256}
		if h[4]%3 == 0 {
			r.flags |= exit
		}
		if h[5]%10 == 0 {
			r.flags |= founder
		}
		if h[6]%4 == 0 {
			r.age = int(h[7]) % 30
		}
		if i < 5 {
			r.bucket = 80
		}
		relays[i] = r
	}
	return table(t, relays)
}

func TestNobodyHoldsMoreThanItsCap(t *testing.T) {
	for _, count := range []int{20, 200, 1000} {
		tab, p := skewed(t, count), genesis.Public()
		w := Compute(tab, p, today)
		c := newClipper(tab, p)
		for _, test := range []struct {
			name    string
			weights []uint64
			holder  func(i int) int
			cap     uint64
		}{
			{"guard, relay", w.Guard, func(i int) int { return i }, uint64(p.CapRelay)},
			{"guard, group", w.Guard, func(i int) int { return c.groups[i] }, uint64(p.CapGroup)},
			{"guard, cohort", w.Guard, func(i int) int { return c.cohorts[i] }, uint64(p.CapCohort)},
			{"middle, relay", w.Middle, func(i int) int { return i }, uint64(p.CapRelay)},
			{"middle, group", w.Middle, func(i int) int { return c.groups[i] }, uint64(p.CapGroup)},
			{"exit, relay", w.Exit, func(i int) int { return i }, uint64(p.CapRelay)},
			{"exit, group", w.Exit, func(i int) int { return c.groups[i] }, uint64(p.CapGroup)},
		} {
			sums, largest := map[int]uint64{}, uint64(0)
			for i, v := range test.weights {
				if v > 0 {
					sums[test.holder(i)] += v
				}
			}
			for _, s := range sums {
				largest = max(largest, s)
			}
			limit := max(test.cap, 2000/uint64(len(sums)))
			// Rounds approach the caps; a tenth above is what 16 of them leave.
			if got := largest * 1000 / sum(test.weights); got > limit*11/10+1 {
				t.Errorf("%d relays, %s: %d/1000, cap %d", count, test.name, got, limit)
			}
		}
	}
}

// Spec: DIR-10.
func TestVectors(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Weights of a made-up table of 60 relays under the public parameters, day 1000:\n" +
		"# leaf bucket, birth day, group, flags = guard middle exit.\n# A changed line is a change of the protocol. Spec: directory §9.\n")
	tab := skewed(t, 60)
	w := Compute(tab, genesis.Public(), today)
	for i := range tab.Len() {
		r := tab.At(i)
		fmt.Fprintf(&b, "relay_%d_%d_%d_%d_%04x = %016x%016x%016x\n", i, r.Bucket, r.BirthDay, r.Group, uint16(r.Flags), w.Guard[i], w.Middle[i], w.Exit[i])
	}
	h := sha256.New()
	w = Compute(skewed(t, 1000), genesis.Public(), today)
	for _, s := range [][]uint64{w.Guard, w.Middle, w.Exit} {
		for _, v := range s {
			h.Write(binary.BigEndian.AppendUint64(nil, v))
		}
	}
	fmt.Fprintf(&b, "sha256_of_1000 = %x\n", h.Sum(nil))
	path := filepath.Join("testdata", "vectors", "weights.txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != b.String() {
		t.Error("the weights changed, and with them the protocol")
	}
}

func TestSumsStayBelowTheirBound(t *testing.T) {
	most := uint64(snapshot.Rate(snapshot.MaxBucket)) * scale
	if most > (1<<62)/snapshot.MaxLeafCount {
		t.Errorf("the largest table would reach %d times 2^62", most*snapshot.MaxLeafCount>>62)
	}
}

func BenchmarkCompute1000(b *testing.B) {
	tab := skewed(b, 1000)
	for b.Loop() {
		Compute(tab, genesis.Public(), today)
	}
}
