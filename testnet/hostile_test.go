// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"crypto/rand"
	"testing"
	"time"

	"chive/circuit"
	"chive/circuit/cell"
	"chive/internal/memnet"
	"chive/link"
)

// stranger is a client that speaks cells by hand.
type stranger struct {
	t    *testing.T
	link *link.Link
}

// meet links to relay i as a client does.
func meet(t *testing.T, n *Network, m *memnet.Network, fab *Memory, i int) *stranger {
	t.Helper()
	l, err := link.Dial(t.Context(), m.Host(fab.ClientAddr(99)), n.Relays[i].Addr(),
		link.Config{NetworkID: n.Genesis.NetworkID(), Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &stranger{t, l}
}

// say opens a circuit stream, sends one cell and returns the first one that comes
// back.
func (s *stranger) say(c []byte) (*link.Stream, []byte) {
	s.t.Helper()
	st, err := s.link.Open(link.StreamCircuit)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := st.WriteCells(c); err != nil {
		s.t.Fatal(err)
	}
	return st, s.hear(st)
}

func (s *stranger) hear(st *link.Stream) []byte {
	s.t.Helper()
	_ = st.SetReadDeadline(time.Now().Add(30 * time.Second))
	got, err := st.ReadCells(make([]byte, cell.Size))
	if err != nil {
		s.t.Fatalf("no answer: %v", err)
	}
	return got
}

func wantDestroy(t *testing.T, c []byte, want circuit.Reason) {
	t.Helper()
	if cell.Command(c[0]) != cell.Destroy || circuit.Reason(c[1]) != want {
		t.Errorf("command %d, reason %v; want DESTROY, %v", c[0], circuit.Reason(c[1]), want)
	}
}

// target is relay i as the next hop of a circuit.
func (n *Network) hop(i int) circuit.Target {
	r := n.Relays[i]
	return circuit.Target{RID: r.RID(), Onion: r.Founder.Onion, Addrs: r.Founder.Addresses}
}

// origin is a client's machine that has queued its first cell.
func origin(t *testing.T, first circuit.Target) (*circuit.Origin, []byte) {
	t.Helper()
	o, err := circuit.NewOrigin(circuit.DefaultParams(), new(circuit.Buffers), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Extend(first); err != nil {
		t.Fatal(err)
	}
	return o, append([]byte(nil), o.Take(time.Now()).Cells()...)
}

// TestAStreamMustBeginWithCreate: anything else ends it with a reason and nothing
// more. Spec: protocol §2 (CELL-1).
func TestAStreamMustBeginWithCreate(t *testing.T) {
	inMemory(t, oneExit, time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		s := meet(t, n, m, fab, 0)
		for _, cmd := range []cell.Command{0, cell.Created, cell.Relay, cell.RelayEarly, cell.Destroy, cell.Padding, 7, 255} {
			c := make([]byte, cell.Size)
			c[0] = byte(cmd)
			_, got := s.say(c)
			wantDestroy(t, got, circuit.ReasonProtocol)
		}
		c := make([]byte, cell.Size) // a CREATE of zeros
		c[0] = byte(cell.Create)
		_, got := s.say(c)
		wantDestroy(t, got, circuit.ReasonProtocol)
	})
}

// TestAReplayedCreateIsRefused sends the same CREATE twice, and a garbled one
// first, which must not count. Spec: protocol §4 (HS-3).
func TestAReplayedCreateIsRefused(t *testing.T) {
	inMemory(t, oneExit, time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		s := meet(t, n, m, fab, 0)
		_, create := origin(t, n.hop(0))
		garbled := append([]byte(nil), create...)
		garbled[1+1370] ^= 1
		_, got := s.say(garbled)
		wantDestroy(t, got, circuit.ReasonProtocol)
		if _, got = s.say(create); cell.Command(got[0]) != cell.Created {
			t.Fatalf("command %d, want CREATED", got[0])
		}
		_, got = s.say(create)
		wantDestroy(t, got, circuit.ReasonProtocol)
		if n.Relays[0].Status().Replayed != 1 {
			t.Errorf("%d replays counted, want 1", n.Relays[0].Status().Replayed)
		}
	})
}

// TestExtendGoesToRelaysOfTheTableOnly extends to the relay itself, to
// a name that the table does not hold, and to a relay that is gone. An address
// in EXTEND that leads elsewhere steers nothing.
// Spec: protocol §5 (EXT-2).
func TestExtendGoesToRelaysOfTheTableOnly(t *testing.T) {
	inMemory(t, oneExit, time.Millisecond, func(t *testing.T, n *Network, m *memnet.Network, fab *Memory) {
		s := meet(t, n, m, fab, 0)
		other := n.hop(1)
		other.RID[3] ^= 1
		astray := n.hop(1)
		astray.Addrs = n.hop(2).Addrs
		nobody := n.hop(3)
		m.Kill(fab.RelayAddr(3))
		for _, c := range []struct {
			name string
			to   circuit.Target
			want circuit.Reason
		}{
			{"itself", n.hop(0), circuit.ReasonRefused},
			{"a name not in the table", other, circuit.ReasonUnreachable},
			{"nobody", nobody, circuit.ReasonUnreachable},
		} {
			o, create := origin(t, n.hop(0))
			st, got := s.say(create)
			if err := o.Receive(time.Now(), got); err != nil {
				t.Fatal(err)
			}
			_ = o.Events()
			if err := o.Extend(c.to); err != nil {
				t.Fatal(err)
			}
			if err := st.WriteCells(o.Take(time.Now()).Cells()); err != nil {
				t.Fatal(err)
			}
			if err := o.Receive(time.Now(), s.hear(st)); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			ev := o.Events()
			if len(ev) != 1 || ev[0].Kind != circuit.EventTruncated || ev[0].Reason != c.want {
				t.Errorf("%s: %+v, want TRUNCATED with %v", c.name, ev, c.want)
			}
			st.Close()
		}
		o, create := origin(t, n.hop(0))
		st, got := s.say(create)
		if err := o.Receive(time.Now(), got); err != nil {
			t.Fatal(err)
		}
		_ = o.Events()
		if err := o.Extend(astray); err != nil {
			t.Fatal(err)
		}
		if err := st.WriteCells(o.Take(time.Now()).Cells()); err != nil {
			t.Fatal(err)
		}
		if err := o.Receive(time.Now(), s.hear(st)); err != nil {
			t.Fatal(err)
		}
		if ev := o.Events(); len(ev) != 1 || ev[0].Kind != circuit.EventExtended {
			t.Errorf("with a wrong address: %+v, want the relay of that name", ev)
		}
	})
}
