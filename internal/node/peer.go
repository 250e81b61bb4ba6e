// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"

	"chive/client"
	"chive/directory/record"
)

// parsePeers reads the relays that a client asks first, each as RID@IP:PORT. One that
// is named twice has several addresses. Spec: product NET-1.
func parsePeers(texts []string) (peers []client.Peer, err error) {
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
		at := slices.IndexFunc(peers, func(p client.Peer) bool { return p.RID == rid })
		if at < 0 {
			peers, at = append(peers, client.Peer{RID: rid}), len(peers)
		}
		if !slices.Contains(peers[at].Addresses, addr) {
			peers[at].Addresses = append(peers[at].Addresses, addr)
		}
		if len(peers) > client.MaxPeers || len(peers[at].Addresses) > client.MaxPeerAddresses {
			return nil, fault(Usage, "peer", "Name fewer: one that answers is enough.", "--peer names more than %d relays, or one of them with more than %d addresses", client.MaxPeers, client.MaxPeerAddresses)
		}
	}
	return peers, nil
}
