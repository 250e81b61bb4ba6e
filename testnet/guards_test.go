// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"context"
	"slices"
	"testing"
	"time"

	"chive/client"
	"chive/internal/memnet"
)

// TestAClientWhoseGuardsAllDieDrawsOthers takes away the three guards of a client, at
// once or while nobody uses it for so long that it thinks the network is down: what is
// asked for then is carried, by guards that are new.
//
// Spec: DIR-12.
func TestAClientWhoseGuardsAllDieDrawsOthers(t *testing.T) {
	for name, idle := range map[string]int{"at once": 0, "after a while": 3} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, Config{Relays: 12, Exits: 8, Clients: 1}, 20*time.Millisecond, func(t *testing.T, n *Network, _ *memnet.Network, _ *Memory) {
				cl := n.Clients[0]
				mustGet(t, t.Context(), cl, "before")
				before := cl.Guards()
				if len(before) != 3 {
					t.Fatalf("%d guards", len(before))
				}
				others := 2 // gone too: whom the client asks whether there is a network may be one of them
				for _, r := range n.Relays {
					switch {
					case slices.Contains(before, r.RID()):
						r.Stop()
					case others > 0:
						others--
						r.Stop()
					}
				}
				epochs(n, idle)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if body, err := get(ctx, cl, client.Isolation("after"), "/"); err != nil || string(body) != Page {
					t.Errorf("with all guards gone: %v", err)
				}
				if after := cl.Guards(); len(after) <= 3 {
					t.Errorf("still %d guards", len(after))
				}
			})
		})
	}
}
