// SPDX-License-Identifier: BSD-3-Clause

package committee

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chive/directory/genesis"
	"chive/directory/record"
)

var update = flag.Bool("update", false, "write testdata/vectors/*.txt anew")

func golden(t *testing.T, file, head string, lines [][2]string) {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(head) {
		b.WriteString("# " + line)
	}
	for _, l := range lines {
		fmt.Fprintf(&b, "%s = %s\n", l[0], l[1])
	}
	path := filepath.Join("testdata", "vectors", file)
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != b.String() {
		t.Errorf("%s: the bytes changed, and with them the protocol", file)
	}
}

// candidate returns candidate n: groups of 8, families of 4 for half of them, a /20
// for each 3, one in five without IPv4.
func candidate(n int) Candidate {
	h := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("candidate"), uint64(n)))
	c := Candidate{RID: record.RID(h[:16]), Weight: 1000 + uint64(h[16])*100, Group: uint16(n / 8)}
	if n%8 < 4 {
		c.Family = uint16(n/4) + 1
	}
	if n%5 != 0 {
		block := n / 3
		c.IPv4 = netip.AddrFrom4([4]byte{20, byte(block >> 4), byte(block<<4) | byte(n%3), byte(n)})
	}
	return c
}

func candidates(count int) []Candidate {
	out := make([]Candidate, count)
	for n := range out {
		out[n] = candidate(n)
	}
	return out
}

func lottery(n int) Lottery {
	return Lottery{
		NetworkID: sha256.Sum256([]byte("network")), Committee: A, Term: uint64(n),
		Beacon: sha256.Sum256(binary.BigEndian.AppendUint64([]byte("beacon"), uint64(n))),
	}
}

func mustDraw(t testing.TB, l Lottery, cs []Candidate, caps Caps) []int {
	t.Helper()
	seats, err := Draw(l, cs, caps)
	if err != nil {
		t.Fatal(err)
	}
	return seats
}

// The table of the design (COM-3).
func TestNumbersOfVotesAndSignatures(t *testing.T) {
	for _, v := range []struct{ k, m, q, offline, traitors int }{
		{1, 1, 1, 0, 1}, {2, 2, 2, 0, 2}, {3, 2, 3, 0, 3}, {4, 3, 3, 1, 2}, {5, 3, 4, 1, 3}, {7, 4, 5, 2, 3},
		{9, 5, 7, 2, 5}, {13, 7, 9, 4, 5}, {21, 11, 15, 6, 9}, {48, 25, 33, 15, 18}, {96, 49, 65, 31, 34},
	} {
		if m, q := Matching(v.k), Quorum(v.k); m != v.m || q != v.q || v.k-q != v.offline || 2*q-v.k != v.traitors {
			t.Errorf("K = %d: M %d, Q %d", v.k, m, q)
		}
	}
	for k := 1; k <= 96; k++ {
		m, q := Matching(k), Quorum(k)
		if 2*m <= k || 3*q <= 2*k || m > k || q > k {
			t.Errorf("K = %d: M %d, Q %d", k, m, q)
		}
	}
	for _, v := range [][3]int{{0, 96, 0}, {1, 96, 1}, {95, 96, 95}, {96, 96, 96}, {97, 96, 96}, {1000, 24, 24}, {-1, 96, 0}} {
		if got := Size(v[0], v[1]); got != v[2] {
			t.Errorf("%d eligible, at most %d: %d", v[0], v[1], got)
		}
	}
}

func TestCapsComeFromTheGenesisDocument(t *testing.T) {
	if got, want := CapsOf(genesis.Public()), (Caps{Most: 96, PerGroup: 2, PerFamily: 1, PerNet: 1}); got != want {
		t.Errorf("public: %+v", got)
	}
	if got, want := CapsOf(genesis.Testnet()), (Caps{Most: 96}); got != want {
		t.Errorf("testnet: %+v", got)
	}
}

// plainDraw is the draw of the design, word for word, with no regard to speed.
func plainDraw(l Lottery, cs []Candidate, caps Caps) []record.RID {
	s := slices.Clone(cs)
	slices.SortFunc(s, func(a, b Candidate) int { return a.RID.Compare(b.RID) })
	var seats []Candidate
	count := func(same func(Candidate) bool) (n int) {
		for _, c := range seats {
			if same(c) {
				n++
			}
		}
		return n
	}
	prefix := func(a netip.Addr) netip.Prefix {
		p, _ := a.Prefix(20)
		return p
	}
	for i := 0; len(seats) < caps.Most && len(s) > 0; i++ {
		var sum uint64
		for _, c := range s {
			sum += max(1, c.Weight)
		}
		h := record.Hash("draw", l.NetworkID[:], []byte{byte(l.Committee)}, binary.BigEndian.AppendUint64(nil, l.Term),
			l.Beacon[:], binary.BigEndian.AppendUint32(nil, uint32(i)))
		// r = x * sum / 2^64, from 32-bit halves.
		x := binary.BigEndian.Uint64(h[:])
		low := (x & 0xffffffff) * (sum & 0xffffffff) >> 32
		mid1, mid2 := (x>>32)*(sum&0xffffffff), (x&0xffffffff)*(sum>>32)
		carry := (low + mid1&0xffffffff + mid2&0xffffffff) >> 32
		r := (x>>32)*(sum>>32) + mid1>>32 + mid2>>32 + carry
		var running uint64
		at := slices.IndexFunc(s, func(c Candidate) bool {
			running += max(1, c.Weight)
			return running > r
		})
		seats = append(seats, s[at])
		s = slices.Delete(s, at, at+1)
		s = slices.DeleteFunc(s, func(c Candidate) bool {
			return caps.PerGroup > 0 && count(func(o Candidate) bool { return o.Group == c.Group }) >= caps.PerGroup ||
				caps.PerFamily > 0 && c.Family != 0 && count(func(o Candidate) bool { return o.Family == c.Family }) >= caps.PerFamily ||
				caps.PerNet > 0 && c.IPv4.Is4() && count(func(o Candidate) bool { return o.IPv4.Is4() && prefix(o.IPv4) == prefix(c.IPv4) }) >= caps.PerNet
		})
	}
	var out []record.RID
	for _, c := range seats {
		out = append(out, c.RID)
	}
	return out
}

func rids(cs []Candidate, seats []int) []record.RID {
	var out []record.RID
	for _, i := range seats {
		out = append(out, cs[i].RID)
	}
	return out
}

// The draw agrees with the words of the specification (COM-2), in every
// combination of caps, whatever order the candidates stand in.
func TestDrawFollowsTheWordsInAnyOrder(t *testing.T) {
	rand := rand.New(rand.NewPCG(1, 2))
	for n, caps := range []Caps{
		{Most: 96}, {Most: 96, PerGroup: 2, PerFamily: 1, PerNet: 1}, {Most: 24, PerGroup: 1}, {Most: 10, PerFamily: 2},
		{Most: 300, PerNet: 1}, {Most: 1, PerGroup: 4, PerFamily: 4, PerNet: 4}, {Most: 40, PerFamily: 1, PerNet: 2}, {},
	} {
		for _, size := range []int{0, 1, 2, 7, 150} {
			l, cs := lottery(n), candidates(size)
			if n%2 == 1 {
				l.Committee = B
			}
			want := plainDraw(l, cs, caps)
			for range 3 {
				if got := rids(cs, mustDraw(t, l, cs, caps)); !slices.Equal(got, want) {
					t.Fatalf("%+v of %d: other seats", caps, size)
				}
				rand.Shuffle(len(cs), func(i, j int) { cs[i], cs[j] = cs[j], cs[i] })
			}
		}
	}
}

func TestDrawChangesNoArgument(t *testing.T) {
	cs := candidates(50)
	before := slices.Clone(cs)
	mustDraw(t, lottery(1), cs, Caps{Most: 10, PerGroup: 1})
	if !slices.Equal(cs, before) {
		t.Error("candidates were moved or changed")
	}
}

func TestDrawDependsOnAllItsInputs(t *testing.T) {
	cs := candidates(200)
	base := lottery(1)
	want := mustDraw(t, base, cs, Caps{Most: 96})
	for name, change := range map[string]func(l *Lottery){
		"network":   func(l *Lottery) { l.NetworkID[31] ^= 1 },
		"committee": func(l *Lottery) { l.Committee = B },
		"term":      func(l *Lottery) { l.Term++ },
		"beacon":    func(l *Lottery) { l.Beacon[0] ^= 1 },
	} {
		l := base
		change(&l)
		if slices.Equal(mustDraw(t, l, cs, Caps{Most: 96}), want) {
			t.Errorf("%s: makes no difference", name)
		}
	}
	if !slices.Equal(mustDraw(t, base, cs, Caps{Most: 40}), want[:40]) {
		t.Error("fewer seats are not the first of more")
	}
}

func TestCapsHold(t *testing.T) {
	caps := Caps{Most: 96, PerGroup: 2, PerFamily: 1, PerNet: 1}
	for n := range 20 {
		cs := candidates(400)
		seats := mustDraw(t, lottery(n), cs, caps)
		groups, families, nets, seen := map[uint16]int{}, map[uint16]int{}, map[netip.Prefix]int{}, map[int]bool{}
		for _, i := range seats {
			c := cs[i]
			groups[c.Group]++
			if c.Family != 0 {
				families[c.Family]++
			}
			if c.IPv4.Is4() {
				p, err := c.IPv4.Prefix(20)
				if err != nil {
					t.Fatal(err)
				}
				nets[p]++
			}
			if seen[i] {
				t.Fatal("a relay sits twice")
			}
			seen[i] = true
		}
		for g, count := range groups {
			if count > caps.PerGroup {
				t.Errorf("group %d has %d seats", g, count)
			}
		}
		for f, count := range families {
			if count > caps.PerFamily {
				t.Errorf("family %d has %d seats", f, count)
			}
		}
		for p, count := range nets {
			if count > caps.PerNet {
				t.Errorf("%v has %d seats", p, count)
			}
		}
		if len(seats) != 96 && len(seats) != 0 {
			// 400 candidates stand in 50 groups of two seats each: caps can leave
			// fewer, but then nobody is left.
			for i := range cs {
				c := &cs[i]
				p, _ := c.IPv4.Prefix(20)
				if !seen[i] && groups[c.Group] < 2 && (c.Family == 0 || families[c.Family] < 1) && (!c.IPv4.Is4() || nets[p] < 1) {
					t.Errorf("%d seats, and a relay was left over", len(seats))
				}
			}
		}
	}
}

func TestNoFamilyAndNoAddressAreNotShared(t *testing.T) {
	var cs []Candidate
	for n := range 20 {
		c := candidate(n)
		c.Group, c.Family, c.IPv4 = uint16(n), 0, netip.Addr{}
		if n%2 == 0 {
			c.IPv4 = netip.MustParseAddr("2001:db8::1")
		}
		cs = append(cs, c)
	}
	if got := mustDraw(t, lottery(1), cs, Caps{Most: 96, PerGroup: 1, PerFamily: 1, PerNet: 1}); len(got) != 20 {
		t.Errorf("%d seats", len(got))
	}
}

func TestZeroWeightIsOne(t *testing.T) {
	cs := candidates(30)
	for i := range cs {
		cs[i].Weight = 0
	}
	ones := slices.Clone(cs)
	for i := range ones {
		ones[i].Weight = 1
	}
	got := mustDraw(t, lottery(1), cs, Caps{Most: 96})
	if !slices.Equal(got, mustDraw(t, lottery(1), ones, Caps{Most: 96})) || len(got) != 30 {
		t.Error("weight 0 is not drawn as weight 1")
	}
}

func TestLargestWeights(t *testing.T) {
	cs := candidates(2)
	cs[0].Weight, cs[1].Weight = math.MaxUint64-1, 0 // sums to 2^64 - 1
	if got := mustDraw(t, lottery(1), cs, Caps{Most: 2}); len(got) != 2 || got[0] != 0 {
		t.Errorf("%v", got)
	}
	cs[1].Weight = 2
	if _, err := Draw(lottery(1), cs, Caps{Most: 2}); !errors.Is(err, ErrCandidates) {
		t.Errorf("a sum of 2^64: %v", err)
	}
}

func TestBadDrawsRefused(t *testing.T) {
	cs := candidates(5)
	if _, err := Draw(lottery(1), append(cs, cs[2]), Caps{Most: 3}); !errors.Is(err, ErrCandidates) {
		t.Errorf("one relay twice: %v", err)
	}
	l := lottery(1)
	for _, name := range []Name{0, 'C', 'a'} {
		l.Committee = name
		if _, err := Draw(l, cs, Caps{Most: 3}); !errors.Is(err, ErrName) {
			t.Errorf("committee %d: %v", name, err)
		}
	}
	if _, err := Draw(lottery(1), make([]Candidate, MaxCandidateCount+1), Caps{Most: 1}); !errors.Is(err, ErrCandidates) {
		t.Errorf("one candidate too many: %v", err)
	}
}

// The share of first seats follows the weights, and so does the share of all seats
// while seats are few: chi-squared over fixed beacons.
func TestSharesFollowWeights(t *testing.T) {
	const draws = 20000
	weights := []uint64{1, 2, 3, 4, 10, 20, 60}
	var sum uint64
	cs := candidates(len(weights))
	for i, w := range weights {
		cs[i].Weight = w * 1_000_000_007
		sum += w
	}
	first := make([]int, len(cs))
	for n := range draws {
		first[mustDraw(t, lottery(n), cs, Caps{Most: 1})[0]]++
	}
	chi := 0.0
	for i, w := range weights {
		want := float64(draws) * float64(w) / float64(sum)
		chi += (float64(first[i]) - want) * (float64(first[i]) - want) / want
	}
	if chi > 22.46 { // 6 degrees of freedom, one in a thousand
		t.Errorf("chi-squared %.1f: %v", chi, first)
	}

	// Half of the weight in 100 heavy relays, half in 1,000 light ones.
	cs = candidates(1100)
	for i := range cs {
		cs[i].Weight = 100
		if i < 100 {
			cs[i].Weight = 1000
		}
	}
	heavy, all := 0, 0
	for n := range 200 {
		for _, i := range mustDraw(t, lottery(n), cs, Caps{Most: 10}) {
			all++
			if i < 100 {
				heavy++
			}
		}
	}
	if share := float64(heavy) / float64(all); share < 0.46 || share > 0.52 {
		t.Errorf("half of the weight has %.3f of the seats", share)
	}
}

func seatsOf(count int) []Seat {
	out := make([]Seat, count)
	for n := range out {
		h := func(what string) [32]byte { return sha256.Sum256(fmt.Append(nil, what, n)) }
		rid := h("rid")
		out[n] = Seat{RID: record.RID(rid[:16]), VRF: h("vrf"), Key: h("key")}
	}
	return out
}

func root(t testing.TB, c Name, term uint64, seats []Seat) [32]byte {
	t.Helper()
	l, err := NewList(c, term, seats)
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Root()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestListRootCoversEverything(t *testing.T) {
	seats := seatsOf(5)
	seen := map[[32]byte]string{root(t, A, 1, seats): "unchanged"}
	add := func(name string, r [32]byte) {
		if was, ok := seen[r]; ok {
			t.Errorf("%s: same root as %s", name, was)
		}
		seen[r] = name
	}
	add("B", root(t, B, 1, seats))
	add("term", root(t, A, 2, seats))
	add("fewer", root(t, A, 1, seats[:4]))
	for i := range seats {
		for name, change := range map[string]func(s *Seat){
			"rid": func(s *Seat) { s.RID[0] ^= 1 }, "vrf": func(s *Seat) { s.VRF[31] ^= 1 }, "key": func(s *Seat) { s.Key[5] ^= 1 },
		} {
			other := slices.Clone(seats)
			change(&other[i])
			add(fmt.Sprint(name, i), root(t, A, 1, other))
		}
	}
	slices.Reverse(seats)
	add("other seat order", root(t, A, 1, seats))
}

func TestBadListsRefused(t *testing.T) {
	if _, err := NewList(A, 1, nil); !errors.Is(err, ErrList) {
		t.Errorf("no seats: %v", err)
	}
	if _, err := NewList('C', 1, seatsOf(1)); !errors.Is(err, ErrName) {
		t.Errorf("no such committee: %v", err)
	}
	if _, err := NewList(A, 1, make([]Seat, maxSeatCount)); err != nil {
		t.Errorf("as many as K says: %v", err)
	}
	if _, err := NewList(A, 1, make([]Seat, maxSeatCount+1)); !errors.Is(err, ErrList) {
		t.Errorf("more than K says: %v", err)
	}
}

// Vectors of COM-2 and COM-3.
func TestVectors(t *testing.T) {
	var lines [][2]string
	l := lottery(1)
	for i := range uint32(4) {
		lines = append(lines, [2]string{fmt.Sprintf("number_%d", i), fmt.Sprintf("%016x", l.number(i))})
	}
	for _, v := range []struct {
		name string
		size int
		caps Caps
	}{
		{"draw_5_free", 5, Caps{Most: 96}},
		{"draw_60_of_400_free", 400, Caps{Most: 60}},
		{"draw_60_of_400_capped", 400, Caps{Most: 60, PerGroup: 2, PerFamily: 1, PerNet: 1}},
	} {
		var text []byte
		cs := candidates(v.size)
		for _, i := range mustDraw(t, l, cs, v.caps) {
			text = append(text, cs[i].RID[:]...)
		}
		lines = append(lines, [2]string{v.name, hex.EncodeToString(text)})
	}
	for _, k := range []int{1, 5, 96} {
		r, h := root(t, B, 7, seatsOf(k)), RelaysHash(seatsOf(k))
		lines = append(lines, [2]string{fmt.Sprintf("relays_%d", k), hex.EncodeToString(h[:])},
			[2]string{fmt.Sprintf("root_%d", k), hex.EncodeToString(r[:])})
	}
	golden(t, "committee.txt", "Numbers, draws (rids in seat order) and roots, of the made-up relays of committee_test.go.\nA changed line is a change of the protocol. Spec: directory §6.\n", lines)
}

// FuzzDraw holds the draw to the words for candidates of any shape.
func FuzzDraw(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"), uint8(3), uint8(1), uint8(1), uint8(1))
	f.Add([]byte{}, uint8(0), uint8(0), uint8(0), uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, most, group, family, net uint8) {
		var cs []Candidate
		for len(data) >= 8 && len(cs) < 64 {
			c := Candidate{RID: record.RID{0: data[0], 1: data[1]}, Weight: uint64(data[2]) << (data[3] % 50), Group: uint16(data[4] % 8), Family: uint16(data[5] % 8)}
			if data[6] != 0 {
				c.IPv4 = netip.AddrFrom4([4]byte{10, 0, data[6], data[7]})
			}
			cs, data = append(cs, c), data[8:]
		}
		caps := Caps{Most: int(most), PerGroup: int(group % 4), PerFamily: int(family % 4), PerNet: int(net % 4)}
		l := lottery(int(most))
		seats, err := Draw(l, cs, caps)
		if err != nil {
			return
		}
		if !slices.Equal(rids(cs, seats), plainDraw(l, cs, caps)) {
			t.Fatal("other seats than the words say")
		}
	})
}

func BenchmarkDraw(b *testing.B) {
	for _, size := range []int{100, 1000, 10000, 100000} {
		cs := candidates(size)
		for i := range cs { // as many groups as a table can name, not more
			cs[i].Group, cs[i].Family = uint16(i%4000), uint16(i%9000)
		}
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			for b.Loop() {
				mustDraw(b, lottery(1), cs, CapsOf(genesis.Public()))
			}
		})
	}
}
