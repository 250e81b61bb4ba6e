// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"net/netip"
	"testing"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/sybil"
)

// vouched is an ADD with a sponsor.
func (n *net) vouched(d *record.Descriptor, sponsor int) Op {
	o := n.add(d, LaneVouched)
	o.Sponsor = n.at(sponsor)
	return o
}

func (n *net) count(relays ...int) (in int) {
	for _, r := range relays {
		if n.has(r) {
			in++
		}
	}
	return in
}

func TestNewcomerBeginsAsOne(t *testing.T) {
	n := newNet(t, document(t, 8, rules(nil)))
	n.skip(50)
	d := withKeys(descriptor(29, 1), 29, 0, 1, 2)
	n.step(n.add(d, LaneOpen))
	l, a := n.leaf(29), n.aux(29)
	if l.Flags != snapshot.FlagGuard|snapshot.FlagRunning || int(l.BirthDay) != n.now.snap.Day() || l.Bucket != 36 ||
		a.Target != 57 || a.Uptime != maxUptime || a.Admitted != 51 || a.Lane != LaneOpen || len(a.Committee) != 3 || a.DayRunning != 1 {
		t.Errorf("%+v %+v", l, a)
	}
	slow := descriptor(30, 1)
	slow.DeclaredRate = 100
	n.step(n.add(slow, LaneOpen))
	if got := n.leaf(30).Bucket; got != snapshot.BucketOf(100) {
		t.Errorf("bucket %d", got)
	}
}

// Spec: ADM-4.
func TestAdmissionQuotaOfRollingDay(t *testing.T) {
	n := newNet(t, document(t, 8, rules(nil)))
	// 10 slots: 5 open, 5 vouched.
	var ops []Op
	for i := range 7 {
		ops = append(ops, n.add(descriptor(20+i, 1), LaneOpen))
	}
	for i := range 8 {
		ops = append(ops, n.vouched(descriptor(40+i, 1), i))
	}
	n.step(ops...)
	if open, vouched := n.count(20, 21, 22, 23, 24, 25, 26), n.count(40, 41, 42, 43, 44, 45, 46, 47); open != 5 || vouched != 5 {
		t.Fatalf("%d open, %d vouched", open, vouched)
	}
	again := func() (ops []Op) {
		for i := range 7 {
			if !n.has(20 + i) {
				ops = append(ops, n.add(descriptor(20+i, 1), LaneOpen))
			}
		}
		return ops
	}
	n.step(again()...)
	n.skip(21)
	n.step(again()...) // epoch 24: less than a day after
	if n.count(25, 26, 20, 21, 22, 23, 24) != 5 {
		t.Fatal("a lane took more than its slots in a day")
	}
	if slots := n.now.Slots(n.doc.Params, n.next); slots[LaneOpen] != 5 || slots[LaneVouched] != 5 || slots[LaneReturning] != 1 {
		t.Errorf("a day later: %v", slots)
	}
	n.step(again()...)
	if n.count(25, 26, 20, 21, 22, 23, 24) != 7 {
		t.Error("a day later slots are not free again")
	}
	if slots := newNet(t, document(t, 5, genesis.Testnet())).now.Slots(genesis.Testnet(), 1); slots[LaneOpen] != sybil.Unlimited {
		t.Error("a testnet has a quota")
	}
}

// Which of too many come in does not depend on names that somebody could make.
func TestAdmissionBeyondTheQuotaFollowsTheBeacon(t *testing.T) {
	n := newNet(t, document(t, 8, rules(nil)))
	var ops []Op
	for i := range 30 {
		ops = append(ops, n.add(descriptor(20+i, 1), LaneOpen))
	}
	sortByCut(n.now.snap.Header().Beacon, ops, func(o Op) record.RID { return o.RID })
	n.step(ops...)
	for i, o := range ops {
		if _, found := n.now.snap.Table().Index(o.RID); found != (i < 5) {
			t.Errorf("place %d: in %v", i, found)
		}
	}
}

// Spec: TRN-7.
func TestSponsors(t *testing.T) {
	n := newNet(t, document(t, 8, rules(func(p *genesis.Params) { off(p); p.AdmitFloor = 100 })))
	refused := func(name string, o Op, relay int) {
		t.Helper()
		if n.step(o); n.has(relay) {
			t.Errorf("%s: admitted", name)
		}
	}
	n.step(n.vouched(descriptor(20, 1), 0))
	if !n.has(20) || n.aux(0).VoucherDay != uint16(n.now.snap.Day())+1 {
		t.Fatal("a sponsor's voucher did not count")
	}
	refused("second voucher", n.vouched(descriptor(21, 1), 0), 21)
	refused("sponsor is a newcomer", n.vouched(descriptor(21, 1), 20), 21)
	n.step(Op{Code: Penalty, Index: n.at(1), Reason: PenaltySeat})
	refused("sponsor has a penalty", n.vouched(descriptor(21, 1), 1), 21)
	// Two vouchers of one sponsor in one vote.
	n.step(n.vouched(descriptor(22, 1), 2), n.vouched(descriptor(23, 1), 2))
	if n.count(22, 23) != 1 {
		t.Errorf("%d came in by one voucher", n.count(22, 23))
	}
	// A sponsor that leaves in the same snapshot.
	n.step(n.vouched(descriptor(24, 1), 3), Op{Code: Drop, Index: n.at(3), Reason: DropExpired})
	if n.has(24) {
		t.Error("sponsor left: admitted")
	}
	n.skip(30*24 - 1 - int(n.next)) // day 29 after the first
	refused("a day before the gap is over", n.vouched(descriptor(25, 1), 0), 25)
	n.step(n.vouched(descriptor(25, 1), 0))
	if !n.has(25) {
		t.Error("after the gap: refused")
	}
}

// Spec: TRN-7.
func TestReturningKeepsAgeLessTheAbsence(t *testing.T) {
	n := newNet(t, document(t, 8, rules(func(p *genesis.Params) { off(p); p.Day = 6 })))
	n.step(n.add(descriptor(20, 1), LaneOpen), n.add(descriptor(21, 1), LaneOpen))
	for n.now.snap.Day() < 90+20 {
		n.step()
	}
	age := n.now.snap.Day() - int(n.leaf(20).BirthDay)
	if age != 20-1 && age != 20 {
		t.Fatalf("age %d", age)
	}
	n.step(Op{Code: Drop, Index: n.at(20), Reason: DropExpired}, Op{Code: Drop, Index: n.at(21), Reason: DropExpired})
	for n.now.snap.Day() < 90+25 {
		n.step()
	}
	if o := n.add(descriptor(20, 2), LaneOpen); true {
		if n.step(o); n.has(20) {
			t.Error("a dormant relay came as a newcomer")
		}
	}
	if o := n.add(descriptor(22, 2), LaneReturning); true {
		if n.step(o); n.has(22) {
			t.Error("a stranger returned")
		}
	}
	n.step(n.add(descriptor(20, 2), LaneReturning), n.add(descriptor(21, 2), LaneReturning))
	if n.count(20, 21) != 1 { // 2 % of 8, at least one
		t.Fatalf("%d returned on one day", n.count(20, 21))
	}
	back := 20
	if n.has(21) {
		back = 21
	}
	if got := n.now.snap.Day() - int(n.leaf(back).BirthDay); got != age-5 {
		t.Errorf("age %d, was %d", got, age)
	}
	// It ran until it left, and has been away for five days of six snapshots.
	if got, want := n.aux(back).Uptime, tickUptime(uptimeAfter(maxUptime, 5*6), true); got != want || want > 62000 {
		t.Errorf("uptime %d, want %d", got, want)
	}
	if _, found := n.now.Dormant(rid(n.doc, back)); found || n.leaf(back).Bucket > 36 {
		t.Error("it is dormant still, or kept its bandwidth")
	}
	// The other is forgotten after 90 days.
	for n.now.snap.Day() < 90+20+90 {
		n.step()
	}
	if len(n.now.Dormants()) != 1 {
		t.Fatal("forgotten early")
	}
	for n.now.snap.Day() < 90+20+91 {
		n.step()
	}
	if len(n.now.Dormants()) != 0 {
		t.Error("remembered for more than 90 days")
	}
}

// Spec: ADM-5.
func TestAddressCapsAtTheirBounds(t *testing.T) {
	at := func(n int, address string) *record.Descriptor {
		d := descriptor(n, 1)
		d.Addresses = []netip.AddrPort{netip.MustParseAddrPort(address)}
		return d
	}
	n := newNet(t, document(t, 8, rules(func(p *genesis.Params) { off(p); p.AdmitFloor = 100 })))
	n.step(n.add(at(20, "90.0.0.1:1"), LaneOpen), n.add(at(21, "90.0.0.1:2"), LaneOpen), n.add(at(22, "90.0.0.1:3"), LaneOpen))
	if got := n.count(20, 21, 22); got != 2 {
		t.Errorf("%d relays at one IPv4 address", got)
	}
	n.step(n.add(at(23, "90.0.0.2:1"), LaneOpen), n.add(at(24, "90.0.0.3:1"), LaneOpen), n.add(at(25, "90.0.0.4:1"), LaneOpen))
	if got := n.count(23, 24, 25); got != 2 {
		t.Errorf("%d more relays in one /24", got)
	}
	var ops []Op
	var all []int
	for i := range 10 {
		d := at(30+i, "91.0.0.1:1")
		d.Addresses = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x26, 6, 7: byte(i), 15: 1}), 9)}
		ops, all = append(ops, n.add(d, LaneOpen)), append(all, 30+i)
	}
	n.step(ops...)
	if got := n.count(all...); got != 8 {
		t.Errorf("%d relays in one /48", got)
	}
	// UPD to a full address keeps the whole old leaf; within its own /24 it moves.
	before, body := *n.leaf(5), n.aux(5).Body
	n.step(n.update(5, at(5, "90.0.0.77:1")))
	if *n.leaf(5) != before || n.aux(5).Body != body {
		t.Error("a relay moved to a full network")
	}
	inside := 20
	if !n.has(20) {
		inside = 21
	}
	n.step(n.update(inside, at(inside, "90.0.0.99:1")))
	if n.leaf(inside).IPv4.Addr() != netip.MustParseAddr("90.0.0.99") {
		t.Error("a relay could not move within its network")
	}
	// Who leaves makes room in the same snapshot.
	n.step(Op{Code: Drop, Index: n.at(inside), Reason: DropRevoked}, n.update(5, at(5, "90.0.0.77:1")))
	if n.leaf(5).IPv4.Addr() != netip.MustParseAddr("90.0.0.77") {
		t.Error("a place that became free was not taken")
	}
}

func TestPublicNetworkTakesPublicAddressesOnly(t *testing.T) {
	private := descriptor(20, 1)
	private.Addresses = []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:1")}
	doc := document(t, 8, rules(nil))
	if !reachable(doc, private) {
		t.Error("a testnet refuses a private address")
	}
	public := *doc
	public.Testnet = false
	if reachable(&public, private) || !reachable(&public, descriptor(20, 1)) {
		t.Error("a public network judges otherwise")
	}
}

func TestRelayInTheTableIsNotAddedAgain(t *testing.T) {
	n := newNet(t, document(t, 8, rules(off)))
	before := *n.leaf(3)
	n.step(n.add(descriptor(3, 1), LaneOpen))
	if *n.leaf(3) != before || n.now.snap.Table().Len() != 8 {
		t.Error("ADD changed a relay of the table")
	}
	// Nor in the snapshot that drops it.
	n.step(n.add(descriptor(3, 1), LaneOpen), Op{Code: Drop, Index: n.at(3), Reason: DropRevoked})
	if n.has(3) {
		t.Error("dropped and added at once")
	}
}
