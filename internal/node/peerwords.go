// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"chive/client"
	"chive/directory/record"
	"chive/internal/control"
	"chive/link"
	"chive/relay"
)

// peerWords say how it went with a relay that --peer names, behind its name, and what to
// do; empty: nothing is wrong. The roles' states have the same names.
var peerWords = map[client.PeerState]string{
	client.PeerUntried: "", client.PeerReached: "",
	client.PeerRefused:     "does not accept connections: nobody listens at its address, or a firewall says no. Ask its operator whether it runs, and at what address",
	client.PeerNoRoute:     "cannot be reached: there is no way from this machine to its address. Check the address and this machine's connection",
	client.PeerTimeout:     "does not answer: it is gone, its address is wrong, or a firewall drops the connection. Compare the address with its operator",
	client.PeerOther:       "answers, but is another relay than the RID says. Compare the RID with its operator's chive status",
	client.PeerStranger:    "answers, but not as a relay of this network: it belongs to another network or is no relay, or something in between interferes. Compare the genesis document with its operator",
	client.PeerClock:       "answers with a certificate of another time: this machine's clock is wrong, or that relay's. Set the clock",
	client.PeerPorts:       "is at a port that client.ports leaves out: no connection to it is tried. Add the port, or name another relay",
	client.PeerDenied:      "is not connected to by the proxy that client.upstream names. Where that permits some ports only, say which: client.ports",
	client.PeerProxyFails:  "is not connected to by the proxy that client.upstream names, which answers with an error: it lets no connections through, or this relay is gone. Ask who runs the proxy first",
	client.PeerProxySilent: "gives no answer through the proxy that client.upstream names: the proxy is silent, or this relay is gone. Check the proxy first",
	client.PeerForged:      "sends a list of relays that does not verify. Compare the genesis document with its operator, or name another relay",
	client.PeerUnspecified: "cannot be asked: the connection to it fails. Ask its operator whether it runs",

	client.PeerState(relay.PeerSelf): "is this relay itself. Name another one",
}

// peerPart shows a relay that --peer names to whoever has named it.
func peerPart(rid record.RID, p peer, state client.PeerState, tried time.Time) control.Peer {
	out := control.Peer{RID: hex.EncodeToString(rid[:]), Addresses: []string{}, State: string(state), Text: peerWords[state], Tried: utc(tried).Truncate(time.Second)}
	for _, a := range p.addresses {
		out.Addresses = append(out.Addresses, a.String())
	}
	return out
}

func clientPeersPart(all []client.PeerStatus) (out []control.Peer) {
	for _, p := range all {
		out = append(out, peerPart(p.RID, peer{addresses: p.Addresses}, p.State, p.Tried))
	}
	return out
}

func relayPeersPart(all []relay.PeerStatus) (out []control.Peer) {
	for _, p := range all {
		out = append(out, peerPart(p.RID, peer{addresses: p.Addresses}, client.PeerState(p.State), p.Tried))
	}
	return out
}

// fewPeers is how many peers that do not work are told of at once.
const fewPeers = 3

// peersText says what is wrong with relays that --peer names, for where names must not
// stand, such as a log: they are counted in the order in which they were given; empty:
// nothing is known to be wrong.
func peersText(all []control.Peer) string {
	var parts []string
	for i := range all {
		if all[i].Text == "" {
			continue
		}
		who := "The relay that --peer names "
		if len(all) > 1 {
			who = fmt.Sprintf("Relay %d of the %d that --peer names ", i+1, len(all))
		}
		parts = append(parts, who+all[i].Text+".")
	}
	if more := len(parts) - fewPeers; more > 0 {
		parts = append(parts[:fewPeers], fmt.Sprintf("%d more of them fail; chive status names each.", more))
	}
	return strings.Join(parts, " ")
}

// peerCauses are causes of a standstill to which relays that --peer names may have led.
var peerCauses = []string{"refused", "no_route", "filtered", "no_peers"}

// withPeers says, too, what is wrong with the relays that the user has named.
func (r *clientRun) withPeers(p client.Progress) client.Progress {
	if r.role == nil || !slices.Contains(peerCauses, p.Cause) {
		return p
	}
	if text := peersText(clientPeersPart(r.role.Peers())); text != "" {
		p.Text = strings.TrimSuffix(p.Text, ".") + ". " + text
	}
	return p
}

// PeerTried is how a try went to reach a relay that --peer or network.peers names.
type PeerTried struct {
	Peer string // RID@IP:PORT, as it was given
	Text string // what is wrong, without a full stop; empty: nothing

	State client.PeerState
}

// maxPeersTried bounds TryPeers.
const maxPeersTried = 16

// TryPeers makes a link to each of the relays that --peer or network.peers names, 16 at
// most, from this machine without a proxy, and ends it: nothing is asked. It waits for each
// as long as within.
func TryPeers(ctx context.Context, genesisFile string, texts []string, within time.Duration) ([]PeerTried, error) {
	doc, err := loadGenesis(genesisFile)
	if err != nil {
		return nil, err
	}
	peers := make([]client.Peer, min(len(texts), maxPeersTried))
	for i := range peers { // all, before the first is tried
		one, err := parsePeers(texts[i : i+1])
		if err == nil {
			err = checkPeers(doc.Testnet, one)
		}
		if err != nil {
			return nil, err
		}
		peers[i] = clientPeers(one)[0]
	}
	out := make([]PeerTried, len(peers))
	var tries sync.WaitGroup
	for i := range out {
		tries.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, within)
			defer cancel()
			s := client.TryPeer(ctx, link.TCP{}, doc, rand.Reader, peers[i])
			out[i] = PeerTried{texts[i], peerWords[s.State], s.State}
		})
	}
	tries.Wait()
	return out, nil
}
