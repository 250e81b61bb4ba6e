// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"chive/client"
	"chive/internal/memnet"
)

// TestARelayThatHangsCostsSeconds has the exit of a client's circuit fall silent, as a
// stopped process does: its connections stay, and nothing comes. The next request says
// within seconds that it waits, and goes on by another circuit.
//
// Spec: product §4.6.
func TestARelayThatHangsCostsSeconds(t *testing.T) {
	inMemory(t, Config{Relays: 9, Exits: 4, Clients: 1}, 20*time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		cl, key := n.Clients[0], client.Isolation("k")
		if _, err := get(t.Context(), cl, key, "/"); err != nil {
			t.Fatal(err)
		}
		silence(n, m, fab, exitOf(t, n, cl))
		began := time.Now()
		said := storyAt(cl, 3*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		body, err := get(ctx, cl, key, "/")
		if err != nil || string(body) != Page {
			t.Fatalf("%v", err)
		}
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("it took %v", took)
		}
		if got := <-said; !strings.Contains(got, "no answer so far; whether the circuit still carries anything is being asked (waiting)") {
			t.Errorf("while it waited its story was: %s", got)
		}
	})
}

// TestARelayThatHangsLaterCostsSeconds has it fall silent while a request waits for a destination
// that is slow, after the circuit was asked and has answered: it is asked again.
func TestARelayThatHangsLaterCostsSeconds(t *testing.T) {
	inMemory(t, Config{Relays: 9, Exits: 4, Clients: 1}, 20*time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		cl, key := n.Clients[0], client.Isolation("k")
		if _, err := get(t.Context(), cl, key, "/"); err != nil {
			t.Fatal(err)
		}
		exit := exitOf(t, n, cl)
		for i := range n.Relays {
			m.Cut(fab.RelayAddr(i), targetHost)
		}
		time.AfterFunc(5*time.Second, func() { // it was asked twice
			silence(n, m, fab, exit)
			for i := range n.Relays {
				m.Heal(fab.RelayAddr(i), targetHost)
			}
			m.Cut(fab.RelayAddr(exit), targetHost)
		})
		began := time.Now()
		early, late := storyAt(cl, 4900*time.Millisecond), storyAt(cl, 12600*time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		body, err := get(ctx, cl, key, "/")
		took := time.Since(began)
		if err != nil || string(body) != Page {
			t.Fatalf("after %v: %v", took, err)
		}
		if took > 14*time.Second {
			t.Errorf("it took %v", took)
		}
		if got := <-early; !strings.Contains(got, "the circuit is alive") || strings.Contains(got, "is tried") {
			t.Errorf("before: %s", got)
		}
		if got := <-late; !strings.Contains(got, "a relay of it has stopped; another circuit is tried") {
			t.Errorf("then: %s", got)
		}
	})
}

// TestAGuardThatHangsCostsSeconds: all circuits that begin there are silent together, so that the
// next one begins at another guard; requests that come later wait for nothing. When something comes
// from it, it is the first again, and streams that were open there go on.
func TestAGuardThatHangsCostsSeconds(t *testing.T) {
	inMemory(t, Config{Relays: 9, Exits: 4, Clients: 1}, 20*time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		cl := n.Clients[0]
		inUse := func() int { // the guard at which new circuits begin
			for _, g := range cl.Status().Guards {
				if g.State == "in use" {
					return slices.IndexFunc(n.Relays, func(r *Relay) bool { return r.RID() == g.RID })
				}
			}
			return -1
		}
		guard, key := inUse(), client.Isolation("k")
		var long *client.Conn
		for long == nil { // a circuit that ends at that guard begins at another one
			conn, err := cl.Dial(t.Context(), key, TargetName, 80, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for _, q := range cl.Circuits() {
				if q.Streams > 0 && q.Path[0] == n.Relays[guard].RID() {
					long = conn
				}
			}
			if long == nil {
				key += "k"
			}
		}
		silence(n, m, fab, guard)
		for i, most := range []time.Duration{8 * time.Second, time.Second} {
			began := time.Now()
			said := storyAt(cl, 6100*time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			body, err := get(ctx, cl, key, "/")
			if took := time.Since(began); err != nil || string(body) != Page || took > most {
				t.Errorf("request %d: %v after %v", i, err, took)
			}
			cancel()
			if got := <-said; i == 0 && !strings.Contains(got, "nothing comes from the guard of this circuit any more") {
				t.Errorf("its story: %s", got)
			}
		}
		if now := inUse(); now == guard {
			t.Error("new circuits begin at the guard that hangs")
		}
		for i := range n.Relays {
			m.Heal(fab.RelayAddr(guard), fab.RelayAddr(i))
		}
		m.Heal(fab.RelayAddr(guard), fab.ClientAddr(0))
		if _, err := io.WriteString(long, "GET / HTTP/1.0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(long); err != nil || !strings.HasSuffix(string(text), Page) {
			t.Errorf("the stream that was open: %q, %v", text, err)
		}
		if now := inUse(); now != guard {
			t.Errorf("new circuits begin at %d when the guard %d goes on", now, guard)
		}
	})
}

// TestACircuitThatHangsIsLeftByRequestsOfOneTry: what went with the request may have arrived,
// so that it is not tried again, but the next one has another circuit at once.
func TestACircuitThatHangsIsLeftByRequestsOfOneTry(t *testing.T) {
	inMemory(t, Config{Relays: 9, Exits: 4, Clients: 1}, 20*time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		cl, key := n.Clients[0], client.Isolation("k")
		if _, err := get(t.Context(), cl, key, "/"); err != nil {
			t.Fatal(err)
		}
		before := exitOf(t, n, cl)
		silence(n, m, fab, before)
		began := time.Now()
		conn, err := cl.Dial(t.Context(), key, TargetName, 80, []byte("GET / HTTP/1.0\r\n\r\n"))
		if err == nil {
			_ = conn.Close()
			t.Fatal("it was answered")
		}
		var f *client.Failure
		if !errors.As(err, &f) || !f.MaybeArrived() || f.Reason() != "circuit_failed" || !strings.Contains(f.Error(), "may have arrived") || !strings.Contains(f.Fix(), "twice") {
			t.Errorf("it says %v: %+v", err, f)
		}
		if e, _ := cl.Stream(client.LastStream); f != nil && e.Text != f.Error() {
			t.Errorf("its story says %q", e.Text)
		}
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("it took %v", took)
		}
		for range 3 { // another circuit may lead through that relay, too
			if _, err = get(t.Context(), cl, key, "/"); err == nil {
				break
			}
		}
		if err != nil || exitOf(t, n, cl) == before {
			t.Errorf("the next: %v", err)
		}
	})
}

// TestASlowDestinationKeepsItsCircuit has a destination that takes some seconds to take
// a connection: the circuit is asked, answers, and is kept.
func TestASlowDestinationKeepsItsCircuit(t *testing.T) {
	inMemory(t, Config{Relays: 9, Exits: 4, Clients: 1}, 20*time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		cl, key := n.Clients[0], client.Isolation("k")
		if _, err := get(t.Context(), cl, key, "/"); err != nil {
			t.Fatal(err)
		}
		before := exitOf(t, n, cl)
		for i := range n.Relays {
			m.Cut(fab.RelayAddr(i), targetHost)
		}
		said := storyAt(cl, 3*time.Second)
		time.AfterFunc(9*time.Second, func() {
			for i := range n.Relays {
				m.Heal(fab.RelayAddr(i), targetHost)
			}
		})
		began := time.Now()
		if _, err := get(t.Context(), cl, key, "/"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 9*time.Second || took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		if got := <-said; !strings.Contains(got, "the circuit is alive: the relay has not reached the destination so far (waiting)") {
			t.Errorf("while it waited its story was: %s", got)
		}
		if after := exitOf(t, n, cl); after != before {
			t.Errorf("it went on at exit %d instead of %d", after, before)
		}
	})
}

// storyAt returns, later, what the stories of a client's requests say after so long.
func storyAt(cl *Client, d time.Duration) <-chan string {
	out := make(chan string, 1)
	time.AfterFunc(d, func() {
		var said []string
		for _, s := range cl.Streams() {
			for _, try := range s.Tries {
				said = append(said, try.Text+" ("+try.Reason+")")
			}
		}
		out <- strings.Join(said, "; ")
	})
	return out
}

// exitOf returns the number of the relay that a client's circuit ends at.
func exitOf(t *testing.T, n *Network, cl *Client) int {
	t.Helper()
	for _, q := range cl.Circuits() {
		if !q.InUse {
			continue
		}
		return slices.IndexFunc(n.Relays, func(r *Relay) bool { return r.RID() == q.Path[len(q.Path)-1] })
	}
	t.Fatal("no circuit carries anything")
	return -1
}

// silence has nothing pass between a relay and anybody else; nobody is told.
func silence(n *Network, m *memnet.Network, fab *Memory, relay int) {
	for i := range n.Relays {
		if i != relay {
			m.Cut(fab.RelayAddr(relay), fab.RelayAddr(i))
		}
	}
	for i := range n.Clients {
		m.Cut(fab.RelayAddr(relay), fab.ClientAddr(i))
	}
}
