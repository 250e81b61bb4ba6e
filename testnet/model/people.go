// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/vrf"
)

// began is when every simulated network begins: a multiple of every epoch length.
var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// person is what a relay is, whatever runs: its keys, its place and its offer, all from
// the seed.
type person struct {
	seed     uint64
	n        int
	identity ed25519.PrivateKey
	vrf      *vrf.SecretKey
	vrfKey   [32]byte
	address  netip.AddrPort
	rate     uint32 // kbit/s
	roles    record.Roles
	policy   []record.PortRange
	onion    int // how often it was renewed
}

func key(seed uint64, n int, purpose string) ed25519.PrivateKey {
	s := seedOf(seed, n, purpose)
	return ed25519.NewKeyFromSeed(s[:])
}

func (p *person) committeeKey(term uint64) ed25519.PrivateKey {
	return key(p.seed, p.n, fmt.Sprint("committee ", term))
}

func public(k ed25519.PrivateKey) [32]byte { return [32]byte(k.Public().(ed25519.PublicKey)) }

// onionKey is the public onion key of a version.
func (p *person) onionKey(version int) [32]byte {
	s := seedOf(p.seed, p.n, fmt.Sprint("onion ", version))
	k, err := ecdh.X25519().NewPrivateKey(s[:])
	must(err)
	return [32]byte(k.PublicKey().Bytes())
}

// rates are quantiles of what relays offer, in KiB/s: guards, then others (testnet §4,
// tor2019).
var rates = [2][11]uint32{
	{1946, 2185, 2885, 3690, 6279, 10891, 15784, 25737, 33848, 52681, 75794},
	{13, 61, 117, 142, 501, 1222, 2535, 6849, 11440, 29322, 53144},
}

// people makes so many relays with made-up public addresses. Networks (/16) are of very
// different sizes: relay i opens a new one with probability (250 + .6 k) / (250 + i)
// while there are k, else it joins one in proportion to its size - .6 (testnet §4).
func people(seed uint64, count int) []*person {
	r := stream(seed, -1, "people")
	var sizes []int
	joined := 0 // sum of 10 x size - 6
	out := make([]*person, count)
	for i := range out {
		network := len(sizes)
		if at := below(r, 10*(250+i)); at >= 2500+6*len(sizes) && joined > 0 {
			at = below(r, joined)
			for network = 0; at >= 10*sizes[network]-6; network++ {
				at -= 10*sizes[network] - 6
			}
			sizes[network]++
			joined += 10
		} else {
			sizes = append(sizes, 1)
			joined += 4
		}
		out[i] = newPerson(seed, i, network, sizes[network]-1, below(r, 1000), below(r, 10))
	}
	return out
}

// newPerson makes relay n, the place'th of its network.
func newPerson(seed uint64, n, network, place, class, quantile int) *person {
	s := seedOf(seed, n, "vrf")
	p := &person{seed: seed, n: n, identity: key(seed, n, "identity"), vrf: vrf.NewSecretKey(&s)}
	p.vrfKey = p.vrf.Public()
	p.address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(20 + network/256), byte(network), byte(place), byte(5 + place/256)}), 9240)
	p.roles = record.RoleGuard
	kind := 1
	switch { // shares of testnet §4
	case class < 70:
		kind, p.roles = 0, record.RoleGuard|record.RoleExit
	case class < 132:
		p.roles = record.RoleExit
	case class < 450:
		kind = 0
	}
	if p.roles&record.RoleExit != 0 {
		p.policy = []record.PortRange{{Protocol: 6, First: 80, Last: 80}, {Protocol: 6, First: 443, Last: 443}}
	}
	p.rate = (rates[kind][quantile] + rates[kind][quantile+1]) / 2 * 8
	return p
}

// document is the network that the first relays found at a time, under these parameters. It calls
// itself a testnet, since nobody signs for so many founders; the parameters decide.
func document(all []*person, p genesis.Params, at time.Time) (*genesis.Document, error) {
	var founders []*record.Founder
	for _, f := range all {
		identity := public(f.identity)
		founders = append(founders, &record.Founder{
			Identity: identity[:], Onion: f.onionKey(0), VRF: f.vrfKey,
			Committee: [2][32]byte{public(f.committeeKey(0)), public(f.committeeKey(1))},
			Addresses: []netip.AddrPort{f.address}, DeclaredRate: f.rate, Roles: f.roles, Policy: f.policy,
		})
	}
	return genesis.Plan{Name: "model", Testnet: true, Params: &p, Founders: founders, Time: at}.Document()
}

// descriptor is what a relay says about itself, signed.
func (p *person) descriptor(nid [32]byte, seq uint64, published, expires time.Time, terms []uint64) []byte {
	identity := public(p.identity)
	d := &record.Descriptor{
		Identity: identity[:], Seq: seq, Published: published, Expires: expires,
		Onion: p.onionKey(p.onion), NextOnion: p.onionKey(p.onion + 1), VRF: p.vrfKey,
		Addresses: []netip.AddrPort{p.address}, DeclaredRate: p.rate, Roles: p.roles, Policy: p.policy,
		Software: "chive model", Nickname: fmt.Sprint("model", p.n),
	}
	for _, term := range terms {
		k := public(p.committeeKey(term))
		d.Committee = append(d.Committee, record.CommitteeKey{Term: term, Key: k[:]})
	}
	data, err := record.SealDescriptor(d, nid, p.identity, nil)
	must(err)
	return data
}

// must panics when what we have made ourselves does not hold. No input can do that.
func must(err error) {
	if err != nil {
		panic("model: a relay of our own making does not hold")
	}
}
