// SPDX-License-Identifier: BSD-3-Clause

package draws

import (
	"cmp"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"

	"chive/directory/record"
)

// class is a class of relays with the quantiles of its capacity.
type class struct {
	share    int // of a thousand relays
	exit     bool
	capacity [len(points)]float64 // KiB/s
}

// points are where the quantiles stand, in percent.
var points = [...]float64{0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100}

// tor2019 are the relays of January 2019. Spec: testnet §4.
var tor2019 = [...]class{
	{70, true, [...]float64{3489, 3887, 5198, 6281, 9712, 14442, 29422, 41456, 53336, 71010, 71243}},
	{62, true, [...]float64{109, 120, 263, 609, 1313, 4491, 11787, 19532, 28137, 47124, 49098}},
	{318, false, [...]float64{1946, 2185, 2885, 3690, 6279, 10891, 15784, 25737, 33848, 52681, 75794}},
	{550, false, [...]float64{13, 61, 117, 142, 501, 1222, 2535, 6849, 11440, 29322, 53144}},
}

// quantile interpolates on a log scale, u in [0, 1].
func (c *class) quantile(u float64) float64 {
	at := 100 * u
	for i := 1; i < len(points); i++ {
		if at <= points[i] {
			part := (at - points[i-1]) / (points[i] - points[i-1])
			low, high := math.Log(c.capacity[i-1]), math.Log(c.capacity[i])
			return math.Exp(low + float64(part*(high-low)))
		}
	}
	return c.capacity[len(points)-1]
}

// place is what one relay is, apart from its name.
type place struct {
	rate  uint32 // what it declares, kbit/s
	exit  bool
	group int // Pitman-Yor group, from 0
	nth   int // of its group, from 0
}

// granule is what rates are rounded to, kbit/s: the last bit of a logarithm must not
// decide anything.
const granule = 10

// population draws n relays: classes and quantiles in fixed parts, their order and
// their groups from rng. The rates are scaled so that a thousand relays hold total
// kbit/s; 0: as they are.
func population(rng *rand.Rand, n int, total float64) []place {
	var out []place
	var rates []float64
	for i := range tor2019 {
		c := &tor2019[i]
		count := n * c.share / 1000
		if i == len(tor2019)-1 {
			count = n - len(out)
		}
		for j := range count {
			rates = append(rates, 8*1.024*c.quantile((float64(j)+0.5)/float64(count)))
			out = append(out, place{exit: c.exit})
		}
	}
	scale := 1.0
	if total > 0 {
		var sum float64
		for _, r := range rates {
			sum += r
		}
		scale = total * float64(n) / 1000 / sum
	}
	for i := range out {
		out[i].rate = uint32(math.Round(float64(rates[i]*scale)/granule)) * granule
	}
	rng.Shuffle(n, func(i, j int) { out[i], out[j] = out[j], out[i] })
	for i, g := range groups(rng, n) {
		out[i].group, out[i].nth = g[0], g[1]
	}
	return out
}

// groups puts relays into networks: relay i opens a new one with probability
// (250 + 0.6 k) / (250 + i), k networks so far, or joins one in proportion to its size
// less 0.6. Each comes with its number within the network. Spec: testnet §4.
func groups(rng *rand.Rand, n int) [][2]int {
	out := make([][2]int, 0, n)
	var sizes []int
	for i := range n {
		k := len(sizes)
		x := rng.IntN(2500 + 10*i) // in tenths
		g := k
		if x -= 2500 + 6*k; x >= 0 {
			for g = 0; x >= 10*sizes[g]-6; g++ {
				x -= 10*sizes[g] - 6
			}
		}
		if g == k {
			sizes = append(sizes, 0)
		}
		out = append(out, [2]int{g, sizes[g]})
		sizes[g]++
	}
	return out
}

// address returns an address in a network, one to a /16: the first 16 of a network
// are in as many /20, the first 256 in as many /24.
func address(group, nth int) netip.AddrPort {
	ip := [4]byte{byte(20 + group/250), byte(group % 250), byte(nth%16*16 + nth/16%16), byte(5 + nth/256)}
	return netip.AddrPortFrom(netip.AddrFrom4(ip), 9240)
}

// web is the policy of every exit.
var web = []record.PortRange{{Protocol: record.TCP, First: 80, Last: 80}, {Protocol: record.TCP, First: 443, Last: 443}}

// largest returns the size of the largest network and how many there are.
func largest(places []place) (most, count int) {
	sizes := map[int]int{}
	for _, p := range places {
		sizes[p.group]++
	}
	for _, n := range sizes {
		most = max(most, n)
	}
	return most, len(sizes)
}

// gini is that of the rates.
func gini(places []place) float64 {
	sorted := slices.SortedFunc(slices.Values(places), func(a, b place) int { return cmp.Compare(a.rate, b.rate) })
	var sum, ranked float64
	for i, p := range sorted {
		sum += float64(p.rate)
		ranked += float64(2*i+1-len(sorted)) * float64(p.rate)
	}
	return ranked / (float64(len(sorted)) * sum)
}

func addresses(p place) []netip.AddrPort { return []netip.AddrPort{address(p.group, p.nth)} }
