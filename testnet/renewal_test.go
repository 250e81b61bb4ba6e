// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"context"
	"fmt"
	"testing"
	"time"

	"chive/client"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/internal/memnet"
)

// epochs passes so many epochs of virtual time.
func epochs(n *Network, count int) {
	time.Sleep(time.Duration(count) * n.Genesis.Params.EpochLen) // virtual
}

// agreed returns the table that all of the relays hold: for a moment those of an
// epoch may differ, while the newest snapshot spreads.
func agreed(t *testing.T, n *Network, relays []*Relay) snapshot.View {
	t.Helper()
	var views []snapshot.View
	for range 40 {
		views = views[:0]
		same := true
		for _, r := range relays {
			views = append(views, r.View())
			same = same && views[len(views)-1].Header().Digest() == views[0].Header().Digest()
		}
		if same {
			return views[0]
		}
		time.Sleep(n.Genesis.Params.EpochLen / 10) // virtual
	}
	for i, v := range views {
		d := v.Header().Digest()
		t.Logf("relay %d: epoch %d, %x", relays[i].at, v.Epoch(), d[:4])
	}
	t.Fatal("the relays do not agree")
	return nil
}

// running reports what the table says of a relay.
func running(v snapshot.View, rid record.RID) (listed, up bool) {
	r, ok := v.Table().Relay(rid)
	return ok, ok && r.Flags&snapshot.FlagRunning != 0
}

// TestANetworkRenewsItself is what happens to every network: of twenty relays six go
// and four come, while clients work. The table marks those that went and lists those
// that came, it is the same everywhere, and relays that are restarted one after another
// lose nothing.
func TestANetworkRenewsItself(t *testing.T) {
	if testing.Short() {
		t.Skip("twenty relays for minutes of virtual time")
	}
	inMemory(t, Config{Relays: 20, Exits: 6, Clients: 2}, 20*time.Millisecond, func(t *testing.T, n *Network, _ *memnet.Network, _ *Memory) {
		ctx := t.Context()
		works := func(when string) {
			t.Helper()
			for i, cl := range n.Clients {
				key := client.Isolation(fmt.Sprint(when, i))
				bounded, cancel := context.WithTimeout(ctx, 2*time.Minute)
				body, err := get(bounded, cl, key, "/")
				cancel()
				if err != nil || string(body) != Page {
					t.Errorf("%s: client %d: %v", when, i, err)
				}
			}
		}
		works("at first")
		epochs(n, 3)
		if v := agreed(t, n, n.Relays); v.Epoch() == 0 || v.Table().Len() != 20 {
			t.Fatalf("after three epochs: epoch %d, %d relays", v.Epoch(), v.Table().Len())
		}

		gone, stay := append([]*Relay(nil), n.Relays[2:6]...), append([]*Relay(nil), n.Relays[:2]...)
		gone = append(gone, n.Relays[14:16]...) // two of the exits
		stay = append(stay, n.Relays[6:14]...)
		stay = append(stay, n.Relays[16:]...)
		for _, r := range gone {
			r.Stop()
		}
		works("six relays gone")
		var came []*Relay
		for i := range 4 {
			r, err := n.Join(ctx, i == 0)
			if err != nil {
				t.Fatal(err)
			}
			came = append(came, r)
		}
		for range 12 {
			epochs(n, 1)
			works("while the table changes")
		}
		all := append(append([]*Relay(nil), stay...), came...)
		v := agreed(t, n, all)
		for _, r := range gone {
			if listed, up := running(v, r.RID()); !listed || up {
				t.Errorf("relay %d went: listed %v, running %v", r.at, listed, up)
			}
		}
		for _, r := range all {
			if listed, up := running(v, r.RID()); !listed || !up {
				t.Errorf("relay %d is here: listed %v, running %v; %+v", r.at, listed, up, r.Status().Directory)
			}
		}

		for _, r := range all[:6] {
			before := r.View().Epoch()
			r.Stop()
			if err := n.Restart(ctx, r); err != nil {
				t.Fatal(err)
			}
			if got := r.View().Epoch(); got != before {
				t.Errorf("relay %d was at epoch %d and comes back at %d", r.at, before, got)
			}
			epochs(n, 1)
		}
		epochs(n, 2)
		works("at last")
		v = agreed(t, n, all)
		if now := n.Genesis.EpochAt(time.Now()); v.Epoch()+2 < now {
			t.Errorf("the newest table is of epoch %d, now is %d", v.Epoch(), now)
		}
		for _, r := range all {
			if listed, up := running(v, r.RID()); !listed || !up {
				t.Errorf("relay %d after the restarts: listed %v, running %v", r.at, listed, up)
			}
			if s := r.Status().Directory; len(s.Reports) > 0 || s.Forked || s.Stalled {
				t.Errorf("relay %d reports %+v", r.at, s)
			}
		}
	})
}

// TestAClientJoinsARunningNetwork starts clients minutes after the network: they take
// the newest table, ask relays apart for it before they are ready, and work. One whose
// network goes silent says so, and what it may still be used for.
func TestAClientJoinsARunningNetwork(t *testing.T) {
	inMemory(t, Config{Relays: 7, Exits: 3}, 20*time.Millisecond, func(t *testing.T, n *Network, _ *memnet.Network, _ *Memory) {
		epochs(n, 12)
		began := time.Now()
		cl, err := n.JoinClient(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		s := cl.Status()
		if s.Epoch+3 < s.Current || s.State != client.StateReady {
			t.Errorf("ready with %+v", s)
		}
		if s.Checked.IsZero() {
			t.Error("ready before relays apart were asked")
		}
		if took > 3*time.Second {
			t.Errorf("joining took %v", took)
		}
		mustGet(t, t.Context(), cl, "first")
		epochs(n, 3)
		if later := cl.Status(); later.Epoch <= s.Epoch {
			t.Errorf("the table is still of epoch %d", later.Epoch)
		}
	})
}

// TestOnionKeysRotateUnderClients goes through two lives of onion keys with a client
// that works all the time.
func TestOnionKeysRotateUnderClients(t *testing.T) {
	if !soak {
		t.Skip("an hour of virtual time; -tags soak")
	}
	inMemory(t, Config{Relays: 5, Exits: 2}, 5*time.Millisecond, func(t *testing.T, n *Network, _ *memnet.Network, _ *Memory) {
		first := n.Relays[0].View().Table().At(0).Onion
		changed := false
		for i := range 75 {
			time.Sleep(time.Minute) // virtual
			mustGet(t, t.Context(), n.Clients[0], client.Isolation(fmt.Sprint(i)))
			changed = changed || n.Relays[0].View().Table().At(0).Onion != first
		}
		if !changed {
			t.Error("no onion key was replaced")
		}
	})
}
