// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"errors"
	"testing"
	"time"

	"chive/directory/path"
	"chive/directory/record"
)

// TestTheLastRelayRevokesItself: the table of a network of one becomes empty, its list of
// members does not, and the machine goes on, from its store too.
func TestTheLastRelayRevokesItself(t *testing.T) {
	s := newSim(t, 1, 41)
	s.startAll()
	n := s.nodes[0]
	s.until(25 * time.Second)
	identity := signingKey("identity", 0)
	id := public(identity)
	data, err := record.SealTombstone(&record.Tombstone{Identity: id[:], Until: s.now.Add(time.Hour).Truncate(time.Second)}, s.doc.NetworkID(), identity)
	if err != nil {
		t.Fatal(err)
	}
	n.step(Revocation{Data: data})
	s.until(75 * time.Second)
	if got := n.m.table().Len(); got != 0 {
		t.Fatalf("%d relays at epoch %d", got, n.epoch())
	}
	// Whoever chooses from it is told that there is nobody.
	var none *path.RuleError
	selector := path.NewSelector(n.m.Newest(), s.doc.Params)
	if _, err := selector.Choose(zeros{}, path.Request{Hops: path.MinHops, FreshGuard: true}); !errors.As(err, &none) {
		t.Errorf("a path of nobody: %v", err)
	}
	if selector.Permits(record.TCP, 443) {
		t.Error("nobody permits a port")
	}
	n.step(Seen{Snapshot: n.m.Newest()})
	n.step(Join{})
	s.until(400 * time.Second) // across a draw of a list
	n.stop()
	n.start()
	s.until(900 * time.Second)
	if n.epoch() == 0 || n.m.table().Len() != 0 || n.m.Status().Seats != 1 {
		t.Errorf("at epoch %d with %d relays: %+v", n.epoch(), n.m.table().Len(), n.m.Status())
	}
}
