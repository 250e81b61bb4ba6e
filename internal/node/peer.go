// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"

	"chive/client"
	"chive/directory/record"
	"chive/relay"
)

// peer is a relay that the user knows beside those of the network's documents.
type peer struct {
	rid       record.RID
	addresses []netip.AddrPort
}

// Bounds of --peer, for clients and relays alike.
const (
	maxPeers         = min(client.MaxPeers, relay.MaxPeers)
	maxPeerAddresses = min(client.MaxPeerAddresses, relay.MaxPeerAddresses)
)

// parsePeers reads the relays that are to be asked first, each as RID@IP:PORT. One that
// is named twice has several addresses. Spec: product NET-1.
func parsePeers(texts []string) (peers []peer, err error) {
	bad := func(text string) error {
		return fault(Usage, "peer", "Write RID@IP:PORT; chive network show prints the RIDs of founders, a relay's own chive status that of a relay.",
			"--peer %s is no relay's RID and address", text)
	}
	for _, text := range texts {
		name, where, _ := strings.Cut(text, "@")
		raw, err := hex.DecodeString(name)
		if err != nil || len(raw) != len(record.RID{}) {
			return nil, bad(text)
		}
		addr, err := netip.ParseAddrPort(where)
		if err != nil || addr.Port() == 0 || addr.Addr().IsUnspecified() || addr.Addr().IsMulticast() {
			return nil, bad(text)
		}
		rid := record.RID(raw)
		at := slices.IndexFunc(peers, func(p peer) bool { return p.rid == rid })
		if at < 0 {
			peers, at = append(peers, peer{rid: rid}), len(peers)
		}
		if !slices.Contains(peers[at].addresses, addr) {
			peers[at].addresses = append(peers[at].addresses, addr)
		}
		if len(peers) > maxPeers || len(peers[at].addresses) > maxPeerAddresses {
			return nil, fault(Usage, "peer", "Name fewer: one that answers is enough.", "--peer names more than %d relays, or one of them with more than %d addresses", maxPeers, maxPeerAddresses)
		}
	}
	return peers, nil
}

// checkPeers refuses addresses that nobody dials in a network that is no testnet.
func checkPeers(testnet bool, peers []peer) error {
	for _, p := range peers {
		for _, a := range p.addresses {
			if !testnet && !record.Public(a.Addr()) {
				return fault(Usage, "peer", "Name the address at which the public network reaches it, as its operator's chive status shows it.",
					"--peer names the address %s, which is private; this network is no testnet, and relays there have public ones", a)
			}
		}
	}
	return nil
}

func clientPeers(peers []peer) (out []client.Peer) {
	for _, p := range peers {
		out = append(out, client.Peer{RID: p.rid, Addresses: p.addresses})
	}
	return out
}

func relayPeers(peers []peer) (out []relay.Peer) {
	for _, p := range peers {
		out = append(out, relay.Peer{RID: p.rid, Addresses: p.addresses})
	}
	return out
}
