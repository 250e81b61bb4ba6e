// SPDX-License-Identifier: BSD-3-Clause

package sybil

import (
	"bytes"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"chive/directory/genesis"
	"chive/directory/record"
)

// Spec: ADM-4.
func TestSlotsOfARollingDay(t *testing.T) {
	p := genesis.Public()
	for n, want := range map[int][3]int{
		0: {5, 5, 1}, 7: {5, 5, 1}, 1000: {5, 5, 20}, 1100: {6, 5, 22}, 10000: {50, 50, 200}, 100000: {500, 500, 2000},
	} {
		if got := Slots(p, n, 1); got != want {
			t.Errorf("table of %d: %v", n, got)
		}
	}
	if got := Slots(genesis.Testnet(), 5, 1); got != [3]int{Unlimited, Unlimited, Unlimited} {
		t.Errorf("testnet: %v", got)
	}
	heirs := p // of a predecessor return a seventh a day, for 30 days (DIR-16)
	heirs.Heirs = 1000
	for epoch, want := range map[uint64]int{0: 143, 30*24 - 1: 143, 30 * 24: 2, 1 << 40: 2} {
		if got := Slots(heirs, 100, epoch)[LaneReturning]; got != want {
			t.Errorf("heirs at epoch %d: %d", epoch, got)
		}
	}
	var w Window
	w.Add(p, 10, LaneOpen)
	w.Add(p, 10, LaneOpen)
	w.Add(p, 20, LaneVouched)
	w.Add(p, 33, LaneOpen)
	w.Add(p, 33, 3)
	for epoch, want := range map[uint64][3]int{33: {2, 4, 2}, 34: {4, 4, 2}, 43: {4, 4, 2}, 44: {4, 5, 2}, 57: {5, 5, 2}} {
		if got := w.Left(p, 100, epoch); got != want {
			t.Errorf("epoch %d: %v", epoch, got)
		}
	}
	c := w.Clone()
	for range 9 {
		c.Add(p, 40, LaneOpen)
	}
	if got := c.Left(p, 100, 40); got[LaneOpen] != 0 || got[LaneVouched] != 4 {
		t.Errorf("more than there are: %v", got)
	}
	if got := w.Left(p, 100, 40); got[LaneOpen] != 4 {
		t.Error("a copy shares memory")
	}
	for e := range uint64(1000) {
		w.Add(p, 100+e, LaneOpen)
	}
	if len(w.epochs) > p.Day {
		t.Errorf("%d entries", len(w.epochs))
	}
	if got := w.Left(genesis.Testnet(), 100, 1099); got[LaneOpen] != Unlimited {
		t.Error("unlimited slots were used up")
	}
}

// Spec: ADM-3.
func TestLotteryBeaconAndHold(t *testing.T) {
	p := genesis.Public()
	for epoch, want := range map[uint64]uint64{0: 0, 23: 0, 24: 23, 47: 23, 48: 47, 100: 95} {
		if got := LotteryEpoch(p, epoch); got != want {
			t.Errorf("beacon of epoch %d: %d", epoch, got)
		}
		if got := HeldBefore(p, epoch); got != want {
			t.Errorf("held before, epoch %d: %d", epoch, got)
		}
	}
	p.AdmitHold = 3
	for epoch, want := range map[uint64]uint64{23: 0, 48: 0, 72: 23, 100: 47} {
		if got := HeldBefore(p, epoch); got != want {
			t.Errorf("three days, epoch %d: %d", epoch, got)
		}
	}
	if HeldBefore(genesis.Testnet(), 5) != math.MaxUint64 {
		t.Error("a testnet holds nobody")
	}
	var rids []record.RID
	for n := range 50 {
		rids = append(rids, ridOf(n))
	}
	other := slices.Clone(rids)
	slices.Reverse(other)
	beacon := hashOf("beacon", 9)
	Order(beacon, rids)
	Order(beacon, other)
	if !slices.Equal(rids, other) {
		t.Error("the order depends on the order before")
	}
	for i := 1; i < len(rids); i++ {
		a, b := Ticket(beacon, rids[i-1]), Ticket(beacon, rids[i])
		if bytes.Compare(a[:], b[:]) >= 0 {
			t.Fatal("not by ticket")
		}
	}
	Order(hashOf("beacon", 10), other)
	if slices.Equal(rids, other) {
		t.Error("another beacon, the same order")
	}
}

func addrs(text ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range text {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}

// Spec: ADM-5.
func TestAddressCaps(t *testing.T) {
	x := NewAddresses(genesis.Public()) // 2 an address, 4 a /24, 8 a /48
	one := addrs("192.0.2.1:1")
	x.Add(one)
	if !x.Fits(addrs("192.0.2.1:2")) {
		t.Error("the second of an address")
	}
	x.Add(addrs("192.0.2.1:2", "192.0.2.1:3"))
	if x.Fits(addrs("192.0.2.1:4")) || !x.Fits(addrs("192.0.2.2:1")) {
		t.Error("the third of an address; another address")
	}
	x.Add(addrs("192.0.2.2:1"))
	x.Add(addrs("192.0.2.3:1"))
	if x.Fits(addrs("192.0.2.9:1")) || !x.Fits(addrs("192.0.3.9:1")) {
		t.Error("the fifth of a /24; another /24")
	}
	if !x.FitsInstead(addrs("192.0.2.3:1"), addrs("192.0.2.9:1")) || x.FitsInstead(addrs("192.0.3.3:1"), addrs("192.0.2.9:1")) {
		t.Error("moving within a full /24, and into it")
	}
	if !x.FitsInstead(one, one) {
		t.Error("staying where one is")
	}
	for n := range 8 {
		if !x.Fits(addrs("[2001:db8:7::1]:9")) {
			t.Fatalf("relay %d of a /48", n)
		}
		x.Add(addrs("[2001:db8:7::1]:9", "[2001:db8:7:1::1]:9"))
	}
	if x.Fits(addrs("[2001:db8:7:ffff::2]:9")) || !x.Fits(addrs("[2001:db8:8::1]:9")) {
		t.Error("the ninth of a /48; another /48")
	}
	if x.Fits(addrs("203.0.113.1:1", "[2001:db8:7::5]:9")) {
		t.Error("one address of two over its cap")
	}
	off := NewAddresses(genesis.Testnet())
	for range 100 {
		off.Add(one)
	}
	if !off.Fits(one) || off.Len() != 0 {
		t.Error("caps that are off")
	}
}

func TestAddressIndexForgetsWhatIsRemoved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := NewAddresses(genesis.Public())
		one := rapid.Custom(func(t *rapid.T) []netip.AddrPort {
			var out []netip.AddrPort
			for range rapid.IntRange(1, 3).Draw(t, "count") {
				ip := netip.AddrFrom4([4]byte{10, 0, rapid.Byte().Draw(t, "net") % 2, rapid.Byte().Draw(t, "host") % 3})
				out = append(out, netip.AddrPortFrom(ip, 1))
			}
			return out
		})
		all := rapid.SliceOfN(one, 0, 20).Draw(t, "relays")
		for _, a := range all {
			x.Add(a)
		}
		slices.Reverse(all)
		for _, a := range all {
			x.Remove(a)
		}
		if x.Len() != 0 {
			t.Fatalf("%d left", x.Len())
		}
	})
}

// Spec: ADM-8.
func TestJoinsAreBounded(t *testing.T) {
	p, now := genesis.Public(), time.Unix(1000, 0)
	var j Joins
	source := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{20, 0, byte(n), 1}) }
	for n := range JoinsPerHour / JoinsPerHourNet {
		for range JoinsPerHourNet {
			if !j.Allow(p, now, source(n)) {
				t.Fatalf("source %d", n)
			}
		}
		if n == 0 && j.Allow(p, now, netip.MustParseAddr("::ffff:20.0.0.9")) {
			t.Error("the third of a /24, mapped")
		}
	}
	if j.Allow(p, now, source(99)) || j.Allow(p, now.Add(time.Hour-1), source(99)) {
		t.Error("one more than an hour takes")
	}
	if !j.Allow(p, now.Add(time.Hour), source(0)) || len(j.seen) != 1 {
		t.Error("an hour later")
	}
	var six Joins
	for n := range 3 {
		if got := six.Allow(p, now, netip.AddrFrom16([16]byte{0x20, 1, 6: byte(n)})); got != (n < 2) {
			t.Errorf("IPv6 %d: %v", n, got)
		}
	}
	for n := range 3 {
		if got := six.Allow(p, now, netip.Addr{}); got != (n < 2) {
			t.Errorf("no address %d: %v", n, got)
		}
	}
	for range 100 {
		if !j.Allow(genesis.Testnet(), now, source(0)) {
			t.Fatal("a testnet sets no bounds")
		}
	}
}
