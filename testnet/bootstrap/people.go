// SPDX-License-Identifier: BSD-3-Clause

package bootstrap

import (
	"crypto/ed25519"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"net/netip"

	"chive/directory/record"
)

// Relays come and go as those of Tor did in January 2019: some are there for good, some
// mostly resting, some away for weeks, some stay a week. Times are in hours.
// Spec: testnet §4 (tor2019 churn).
type habit struct {
	share           float64 // of the relays that are present
	present, absent float64 // mean; 0: always present
	life            float64
}

var habits = [...]habit{{.908, 0, 0, 8000}, {.034, 3, 6.3, 8000}, {.015, 380, 295, 8000}, {.043, 0, 0, 170}}

// population is the share of a habit's relays among all, those absent included.
func (h habit) population() float64 {
	if h.present == 0 {
		return h.share
	}
	return h.share * (h.present + h.absent) / h.present
}

// classes are what relays offer and how fast they are, KiB/s. Spec: testnet §4 (tor2019).
var classes = [...]struct {
	share       float64
	guard, exit bool
	speed       quantiles
}{
	{.070, true, true, quantiles{3489, 3887, 5198, 6281, 9712, 14442, 29422, 41456, 53336, 71010, 71243}},
	{.062, false, true, quantiles{109, 120, 263, 609, 1313, 4491, 11787, 19532, 28137, 47124, 49098}},
	{.318, true, false, quantiles{1946, 2185, 2885, 3690, 6279, 10891, 15784, 25737, 33848, 52681, 75794}},
	{.550, false, false, quantiles{13, 61, 117, 142, 501, 1222, 2535, 6849, 11440, 29322, 53144}},
}

// Our own choices, where no source says how it is.
const (
	sixShare    = 1. / 3 // of the relays have IPv6 too
	familyShare = .25    // of the relays have a family
	familyNew   = .4     // of these have founded it
	policyCount = 12     // exit policies in use
	usualPort   = 9240
)

// person is one relay of the population.
type person struct {
	number   int
	identity ed25519.PublicKey
	rid      record.RID
	habit    int

	present bool
	changes float64 // hour
	ends    float64 // hour; gone for good then

	addresses []netip.AddrPort
	rate      uint32 // kbit/s
	roles     record.Roles
	policy    []record.PortRange
	family    ed25519.PublicKey

	onion   uint64 // its number
	turned  int64  // epoch of its present onion key; before genesis for some
	publish uint64 // epoch; when it publishes next
	term    uint64 // of the first committee key published
	keyed   bool   // keys of three terms are published
	changed bool   // what it last published is not in the table yet
}

// people is the population.
type people struct {
	seed   uint64
	rand   *rand.Rand
	all    []*person
	byRID  map[record.RID]*person
	groups []int // relays of each /16
	names  map[uint16]bool
	prefix []uint16 // of each group
	family []ed25519.PublicKey
	nid    [32]byte // set once the document is there
}

func newPeople(seed uint64) *people {
	return &people{seed: seed, rand: stream(seed, "people"), byRID: map[record.RID]*person{}, names: map[uint16]bool{}}
}

// draw returns an index by shares.
func draw(r *rand.Rand, share func(i int) float64, n int) int {
	sum := 0.
	for i := range n {
		sum += share(i)
	}
	x := r.Float64() * sum
	for i := range n {
		if x -= share(i); x < 0 {
			return i
		}
	}
	return n - 1
}

// born makes a relay that is present from an hour on. A newcomer's habit is drawn by how
// often the relays of each are replaced.
func (p *people) born(hour float64, newcomer bool) *person {
	n := &person{number: len(p.all), present: true}
	p.all = append(p.all, n)
	r := p.rand
	seed := named(p.seed, "identity", uint64(n.number))
	n.identity = ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
	n.habit = draw(r, func(i int) float64 {
		if newcomer {
			return habits[i].population() / habits[i].life
		}
		return habits[i].population()
	}, len(habits))
	h := habits[n.habit]
	n.ends, n.changes = hour+after(r, h.life), math.Inf(1)
	if h.present > 0 {
		n.changes = hour + after(r, h.present)
	}
	p.offer(n)
	p.place(n)
	return n
}

// name names a relay once the network has an id.
func (p *people) name(n *person) {
	n.rid = record.NewRID(p.nid, n.identity)
	p.byRID[n.rid] = n
}

// offer draws what a relay does and for whom.
func (p *people) offer(n *person) {
	r := p.rand
	k := &classes[draw(r, func(i int) float64 { return classes[i].share }, len(classes))]
	n.rate = uint32(k.speed.at(r.Float64()) * 8192 / 1000)
	if k.guard {
		n.roles |= record.RoleGuard
	}
	if k.exit {
		n.roles |= record.RoleExit
		at := draw(r, func(i int) float64 { return 1 / float64(i+1) }, policyCount)
		n.policy = []record.PortRange{{Protocol: 6, First: 80, Last: 80}, {Protocol: 6, First: 443, Last: 443}, {Protocol: 6, First: 8000, Last: 8000 + uint16(at)}}
	}
	for _, role := range []record.Roles{record.RoleHSDir, record.RoleRendezvous} {
		if r.Float64() < .9 {
			n.roles |= role
		}
	}
	if r.Float64() < .5 {
		n.roles |= record.RoleMailbox
	}
	if r.Float64() >= familyShare {
		return
	}
	if len(p.family) == 0 || r.Float64() < familyNew {
		seed := named(p.seed, "family", uint64(len(p.family)))
		p.family = append(p.family, ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey))
		n.family = p.family[len(p.family)-1]
		return
	}
	n.family = p.family[r.IntN(len(p.family))]
}

// place draws a relay's addresses: in a network of its own, or in one of those that have
// relays, the large ones more likely. Spec: testnet §4 (groups).
func (p *people) place(n *person) {
	r, i, k := p.rand, float64(n.number), float64(len(p.groups))
	group := len(p.groups)
	if r.Float64() < (250+.6*k)/(250+i) {
		for {
			name := uint16(20+r.IntN(80))<<8 | uint16(r.IntN(256))
			if !p.names[name] {
				p.names[name] = true
				p.groups, p.prefix = append(p.groups, 0), append(p.prefix, name)
				break
			}
		}
	} else {
		x := r.Float64() * (i - .6*k)
		for group = 0; group < len(p.groups)-1; group++ {
			if x -= float64(p.groups[group]) - .6; x < 0 {
				break
			}
		}
	}
	size := p.groups[group]
	p.groups[group]++
	name := p.prefix[group]
	port := uint16(usualPort)
	switch x := r.Float64(); {
	case x < .25:
		port = 443
	case x < .4:
		port = uint16(1024 + r.IntN(60000))
	}
	// A /24 of its own, as long as there are some.
	four := [4]byte{byte(name >> 8), byte(name), byte(size * 37), byte(1 + r.IntN(254))}
	n.addresses = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4(four), port)}
	if r.Float64() >= sixShare {
		return
	}
	six := [16]byte{0x2a, 0x02, byte(name >> 8), byte(name), byte(r.IntN(256)), byte(r.IntN(256)), 15: byte(1 + r.IntN(4))}
	if r.Float64() < .4 {
		binary.BigEndian.PutUint64(six[8:], r.Uint64())
	}
	n.addresses = append(n.addresses, netip.AddrPortFrom(netip.AddrFrom16(six), port))
}

// move brings a relay to an hour.
func (p *people) move(n *person, hour float64) {
	h := habits[n.habit]
	for n.changes < hour {
		n.present = !n.present
		mean := h.present
		if !n.present {
			mean = h.absent
		}
		n.changes += after(p.rand, mean)
	}
	if n.ends < hour {
		n.present, n.changes = false, math.Inf(1)
	}
}

// gone reports whether a relay has left for good.
func (n *person) gone(hour float64) bool { return n.ends < hour }

// arrivals returns how many newcomers an hour brings to so many relays: as many as leave
// for good.
func (p *people) arrivals(relays int, hours float64) int {
	rate, sum := 0., 0.
	for _, h := range habits {
		rate, sum = rate+h.population()/h.life, sum+h.population()
	}
	return poisson(p.rand, rate/sum*hours*float64(relays))
}

// onionKey is the key of a relay that has had so many. Nothing here uses it.
func (p *people) onionKey(n *person, number uint64) [32]byte {
	k := named(p.seed, "onion", uint64(n.number), number)
	k[31] &= 0x7f
	return k
}
