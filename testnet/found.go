// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"crypto/ed25519"
	"io"
	"net/netip"
	"time"

	"chive/circuit/handshake"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/link"
	"chive/relay/exit"
)

// planned is a relay that is to be founded.
type planned struct {
	founder   *record.Founder
	identity  ed25519.PrivateKey
	onion     *handshake.OnionKey
	transport link.Transport
	listen    netip.AddrPort
}

func (p *planned) exit() bool { return len(p.founder.Policy) > 0 }

// everything is the policy of a testnet's exits: what they may connect to is
// bounded by the address rules, which leave loopback only.
var everything = []record.PortRange{
	{Protocol: record.TCP, First: 1, Last: 65535},
	{Protocol: record.UDP, First: 1, Last: 65535},
}

// plan makes the keys of all relays and reserves their places. The last ones are
// the exits.
func plan(c *Config) ([]*planned, error) {
	out := make([]*planned, c.Relays)
	for i := range out {
		transport, listen, err := c.Fabric.Relay(i)
		if err != nil {
			return nil, err
		}
		p, err := newPlanned(c.Rand, i >= c.Relays-c.Exits)
		if err != nil {
			return nil, err
		}
		p.transport, p.listen = transport, listen
		p.founder.Addresses = []netip.AddrPort{listen}
		out[i] = p
	}
	return out, nil
}

func newPlanned(rand io.Reader, isExit bool) (*planned, error) {
	var seeds [5][32]byte
	for i := range seeds {
		if _, err := io.ReadFull(rand, seeds[i][:]); err != nil {
			return nil, err
		}
	}
	identity := ed25519.NewKeyFromSeed(seeds[0][:])
	onion := handshake.NewOnionKey(&seeds[1])
	f := &record.Founder{
		Identity: identity.Public().(ed25519.PublicKey),
		Onion:    onion.Public(), VRF: public(seeds[2]),
		Committee:    [2][32]byte{public(seeds[3]), public(seeds[4])},
		DeclaredRate: 100_000,
		Roles:        record.RoleGuard,
	}
	if isExit {
		f.Roles |= record.RoleExit
		f.Policy = everything
	}
	return &planned{founder: f, identity: identity, onion: onion}, nil
}

func public(seed [32]byte) [32]byte {
	return [32]byte(ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey))
}

// found makes the network's genesis document, signed by all.
func found(plans []*planned) (*genesis.Document, error) {
	founders := make([]*record.Founder, len(plans))
	for i, p := range plans {
		founders[i] = p.founder
	}
	doc, err := genesis.New("testnet", founders, true, time.Now())
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
func exitConfig(network exit.Network, doc *genesis.Document) (exit.Config, error) {
	policy, err := exit.ParsePolicy("accept any *:*")
	if err != nil {
		return exit.Config{}, err
	}
	links := make(map[netip.AddrPort]bool)
	for _, f := range doc.Founders {
		for _, a := range f.Addresses {
			links[a] = true
		}
	}
	return exit.Config{
		Network: network, Policy: policy, Testnet: true,
		Own:       func() ([]netip.Addr, error) { return nil, nil },
		Forbidden: func(a netip.AddrPort) bool { return links[a] },
	}, nil
}
