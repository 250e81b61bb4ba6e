// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"chive/client"
	"chive/internal/memnet"
)

// TestAClientWhoseExitsAreGoneSaysSo: the guards work and every exit was stopped. First the list has
// them still, and circuits to them fail; then a newer one has none that runs. Either is said in the
// status, by what fails, and by its story, with no word of ports; and no more once an exit is back.
//
// Spec: product §4.6, CLI-6.
func TestAClientWhoseExitsAreGoneSaysSo(t *testing.T) {
	inMemory(t, Config{Relays: 12, Exits: 2, Clients: 1}, 20*time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		cl := n.Clients[0]
		ask := func() *client.Failure {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			_, err := get(ctx, cl, "k", "/")
			var f *client.Failure
			if err != nil && !errors.As(err, &f) {
				t.Fatalf("%v", err)
			}
			return f
		}
		if f := ask(); f != nil || cl.Status().NoExit != "" {
			t.Fatalf("with exits: %v, %q", f, cl.Status().NoExit)
		}
		for _, r := range n.Relays {
			if r.Exit {
				r.Stop()
			}
		}
		check := func(when, fails, status string) {
			t.Helper()
			f := ask()
			if f == nil || f.Reason() != "circuit_failed" || !strings.Contains(f.Error(), fails) || strings.Contains(f.Error()+f.Fix(), "port") || !strings.Contains(f.Fix(), "chive status") {
				t.Errorf("%s: %v: %+v", when, f, f)
				return
			}
			if s := cl.Status(); s.State != client.StateReady || !strings.Contains(s.NoExit, status) {
				t.Errorf("%s: %s, %q", when, s.State, s.NoExit)
			}
			e, ok := cl.Stream(client.LastStream)
			if !ok || e.Text != f.Error() || len(e.Tries) == 0 {
				t.Errorf("%s: %+v", when, e)
			}
		}
		// Who starts now is ready for what needs no exit, and says the same.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		late, err := n.JoinClient(ctx)
		cancel()
		if err != nil {
			t.Fatalf("a client that starts without exits: %v", err)
		}
		if s := late.Status(); s.State != client.StateReady || s.NoExit == "" {
			t.Errorf("a client that starts without exits: %s, %q", s.State, s.NoExit)
		}
		late.Stop()
		time.Sleep(5 * time.Second) // virtual
		check("still on the list", "none of the exits that were tried lately could be reached", "None of the 2 exits that were tried lately could be reached")
		for range 120 {
			if cl.Status().Relays.Exits == 0 {
				break
			}
			time.Sleep(5 * time.Second) // virtual
		}
		check("off the list", "the list of relays has no exit that runs", "has no exit that runs")
		if e, _ := cl.Stream(client.LastStream); !strings.Contains(e.Tries[len(e.Tries)-1].Text, "has no exit that runs") {
			t.Errorf("its story: %+v", e)
		}
		for _, r := range n.Relays {
			if r.Exit {
				if err := n.Restart(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 240 {
			if cl.Status().NoExit == "" {
				break
			}
			time.Sleep(5 * time.Second) // virtual
		}
		if s := cl.Status(); s.NoExit != "" {
			t.Errorf("with exits again: %q", s.NoExit)
		}
		if f := ask(); f != nil {
			t.Errorf("with exits again: %v", f)
		}
	})
}
