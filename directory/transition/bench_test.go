// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"fmt"
	"testing"

	"chive/directory/genesis"
	"chive/directory/record"
)

// large returns a network of so many relays, a day old, and an hour's votes: 1 % of
// the relays DOWN or UP, 1.4 % new descriptors (a republication every three days),
// and a day's share of newcomers.
func large(b *testing.B, relays int) (*net, Input) {
	b.Helper()
	n := newNet(b, document(b, relays, rules(func(p *genesis.Params) { p.AddrPerIPv4Net = 64 })))
	var ops []Op
	for i := range relays / 100 {
		ops = append(ops, Op{Code: Down, Index: uint32(i * 100)})
	}
	for i := range relays * 14 / 1000 {
		who := i*71 + 3
		d := withKeys(descriptor(who, 1), who, 0, 1, 2)
		d.Onion = onion("new onion", who)
		ops = append(ops, n.update(who, d))
	}
	for i := range max(1, relays/2400) {
		ops = append(ops, n.add(descriptor(relays+i, 1), LaneOpen))
	}
	for range 3 {
		n.step()
	}
	return n, n.input(sorted(ops))
}

func BenchmarkNext(b *testing.B) {
	for _, relays := range []int{1000, 10000} {
		b.Run(fmt.Sprint(relays), func(b *testing.B) {
			n, in := large(b, relays)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Next(n.doc, n.now, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReturns is a day on which as many relays return as may, out of as many dormant
// ones as are remembered.
func BenchmarkReturns(b *testing.B) {
	const returns = 200 // of 10,000
	n := newNet(b, document(b, 5, rules(nil)))
	w := work{doc: n.doc, p: n.doc.Params, nid: n.doc.NetworkID(), parent: n.now, in: &Input{Epoch: n.next}, returned: map[record.RID]bool{}}
	all := make([]Dormant, maxDormantCount)
	for i := range all {
		all[i].RID = record.RID{byte(i >> 16), byte(i >> 8), byte(i)}
	}
	for i := range returns {
		w.returned[all[i*5000].RID] = true
	}
	for b.Loop() {
		b.StopTimer()
		w.dormant = append(w.dormant[:0:0], all...)
		b.StartTimer()
		w.settleReturned()
	}
	if len(w.dormant) != maxDormantCount-returns {
		b.Fatal(len(w.dormant))
	}
}

func BenchmarkDiff(b *testing.B) {
	for _, relays := range []int{1000, 10000} {
		n, in := large(b, relays)
		child, err := Next(n.doc, n.now, in)
		if err != nil {
			b.Fatal(err)
		}
		from, to := n.now.snap.Table(), child.snap.Table()
		diff, err := Diff(from, to)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint("make/", relays), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Diff(from, to); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(diff)), "B/diff")
		})
		b.Run(fmt.Sprint("apply/", relays), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Apply(from, diff); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, relays := range []int{1000, 10000} {
		b.Run(fmt.Sprint(relays), func(b *testing.B) {
			n, in := large(b, relays)
			child, err := Next(n.doc, n.now, in)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if err := Check(n.doc, n.now.snap, child.snap); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
