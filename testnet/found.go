// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"crypto/ed25519"
	"io"
	"net/netip"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/link"
	"chive/relay"
	"chive/relay/exit"
)

// planned is a relay that is to run: what lasts over restarts.
type planned struct {
	founder   *record.Founder // what it declares, whether it founds the network or not
	identity  ed25519.PrivateKey
	seeds     relay.KeySeeds
	keys      *relay.MemoryKeyring
	store     *relay.MemoryStore
	transport link.Transport
	listen    netip.AddrPort
}

func (p *planned) exit() bool { return len(p.founder.Policy) > 0 }

// everything is the policy of a testnet's exits. The address rules bound what they may
// connect to: loopback beside what is public, and nothing else of this host or its
// networks. So what its users send through the proxy leaves this machine if they name
// something outside.
var everything = []record.PortRange{
	{Protocol: record.TCP, First: 1, Last: 65535},
	{Protocol: record.UDP, First: 1, Last: 65535},
}

// plan makes the keys of all relays and reserves their places. The last ones are
// the exits.
func plan(c *Config) ([]*planned, error) {
	out := make([]*planned, c.Relays)
	for i := range out {
		p, err := newPlanned(c, i, i >= c.Relays-c.Exits)
		if err != nil {
			return nil, err
		}
		out[i] = p
	}
	return out, nil
}

// newPlanned makes the keys of relay i and reserves its place.
func newPlanned(c *Config, i int, isExit bool) (*planned, error) {
	transport, listen, err := c.Fabric.Relay(i)
	if err != nil {
		return nil, err
	}
	var seeds [5][32]byte
	for i := range seeds {
		if _, err := io.ReadFull(c.Rand, seeds[i][:]); err != nil {
			return nil, err
		}
	}
	p := &planned{
		identity: ed25519.NewKeyFromSeed(seeds[0][:]),
		seeds:    relay.KeySeeds{Onion: seeds[1], VRF: seeds[2], Committee: [2][32]byte{seeds[3], seeds[4]}},
		store:    relay.NewMemoryStore(), transport: transport, listen: listen,
	}
	params := genesis.Testnet()
	if p.keys, err = relay.MemoryKeyringFrom(p.seeds, c.Rand, params.OnionLife, params.OnionOverlap, time.Now()); err != nil {
		return nil, err
	}
	p.founder = &record.Founder{
		Identity: p.identity.Public().(ed25519.PublicKey),
		Onion:    p.keys.OnionPublic(), VRF: p.keys.VRFPublic(),
		Committee:    [2][32]byte{public(seeds[3]), public(seeds[4])},
		Addresses:    []netip.AddrPort{listen},
		DeclaredRate: 100_000,
		Roles:        record.RoleGuard,
	}
	if isExit {
		p.founder.Roles |= record.RoleExit
		p.founder.Policy = everything
	}
	return p, nil
}

// about is what the relay's descriptor says.
func (p *planned) about() relay.About {
	return relay.About{
		Addresses: p.founder.Addresses, Rate: p.founder.DeclaredRate, Roles: p.founder.Roles, Policy: p.founder.Policy,
		Contact: "testnet",
	}
}

func public(seed [32]byte) [32]byte {
	return [32]byte(ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey))
}

// Sizes up to which a testnet in one process has the preset's parameters. Members of a
// committee ask in each epoch whether relays that they have no link to can be reached,
// which takes some 4 ms of a core each: more of them need more time, or fewer members.
const (
	presetSeats  = 20 // relays: all of them sit on the committee
	presetEpochs = 40 // relays, for each 10 s of an epoch
	fewSeats     = 13 // members of the committee of a larger network
)

// Params returns the parameters of a testnet of so many relays in one process: the
// preset's, but for a smaller committee and longer epochs where there are many.
func Params(relays int) genesis.Params {
	p := genesis.Testnet()
	if relays > presetSeats {
		p.CommitteeMax = fewSeats
	}
	p.EpochLen *= time.Duration(max(1, (relays+presetEpochs-1)/presetEpochs))
	return p
}

// found makes the network's genesis document, signed by all.
func found(plans []*planned) (*genesis.Document, error) {
	founders := make([]*record.Founder, len(plans))
	for i, p := range plans {
		founders[i] = p.founder
	}
	params := Params(len(founders))
	doc, err := genesis.Plan{Name: "testnet", Testnet: true, Time: time.Now(), Params: &params, Founders: founders}.Document()
	if err != nil {
		return nil, err
	}
	for _, p := range plans {
		if err := doc.Sign(p.identity); err != nil {
			return nil, err
		}
	}
	return doc, doc.Verify()
}

// exitConfig is a testnet exit's: it permits every port and, as a testnet may,
// loopback, but no relay's link.
func exitConfig(network exit.Network, links func(netip.AddrPort) bool) (exit.Config, error) {
	policy, err := exit.ParsePolicy("accept any *:*")
	if err != nil {
		return exit.Config{}, err
	}
	return exit.Config{
		Network: network, Policy: policy, Testnet: true,
		Own:       func() ([]netip.Addr, error) { return nil, nil },
		Forbidden: links,
	}, nil
}
