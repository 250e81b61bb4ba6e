// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"chive/circuit"
	"chive/directory/record"
	"chive/internal/memnet"
	"chive/internal/testutil"
	"chive/relay"
)

// destroy is the command of a DESTROY cell.
const destroy = 5

// witness records what one relay sees.
type witness struct {
	mu                sync.Mutex
	cells             map[record.RID]int // by neighbour, arriving and leaving
	begun             []string           // hosts of BEGIN
	leaked            bool               // a planted text was in a cell
	destroys, reasons int                // DESTROY away from the client; those that give a reason
	plant             [][]byte
}

func (w *witness) Link(record.RID) {}

func (w *witness) Cell(peer record.RID, arriving, towardsClient bool, cell []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cells == nil {
		w.cells = make(map[record.RID]int)
	}
	w.cells[peer]++
	if cell[0] == destroy && arriving && !towardsClient {
		w.destroys++
		if cell[1] != 0 {
			w.reasons++
		}
	}
	for _, p := range w.plant {
		w.leaked = w.leaked || bytes.Contains(cell, p)
	}
}

func (w *witness) Message(e circuit.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Kind == circuit.EventBegin {
		w.begun = append(w.begun, e.Begin.Host)
	}
}

// neighbours returns with whom the relay exchanged more than a handful of cells.
func (w *witness) neighbours() map[record.RID]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make(map[record.RID]bool)
	for rid, n := range w.cells {
		if n > 100 {
			out[rid] = true
		}
	}
	return out
}

// TestEachHopLearnsItsNeighboursOnly downloads and uploads over one circuit and
// looks at every link and into every relay: the guard knows client and middle, the
// middle guard and exit, the exit middle and destination, everybody else nothing.
// (CGO-2, A1 and A2 of the threat model.)
func TestEachHopLearnsItsNeighboursOnly(t *testing.T) {
	const secret = "planted-secret-text-of-the-request"
	plant := [][]byte{[]byte(secret), []byte(TargetName), pattern(64)}
	testutil.Bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		leaky := map[string]bool{}                    // wires that carried planted text
		talks := map[netip.Addr]map[netip.Addr]bool{} // who sent bytes to whom
		m := memnet.New(memnet.Config{
			Seed: 1,
			Path: func(_, _ netip.Addr) memnet.Path { return memnet.Path{Latency: 5 * time.Millisecond} },
			Tap: func(from, to netip.AddrPort, b []byte) {
				mu.Lock()
				defer mu.Unlock()
				if talks[from.Addr()] == nil {
					talks[from.Addr()] = map[netip.Addr]bool{}
				}
				talks[from.Addr()][to.Addr()] = true
				for _, p := range plant {
					if bytes.Contains(b, p) {
						leaky[fmt.Sprint(from.Addr(), to.Addr())] = true
					}
				}
			},
		})
		fab := NewMemory(m)
		witnesses := make([]*witness, 10)
		n, err := Start(t.Context(), Config{Relays: 10, Exits: 3, Fabric: fab, Observe: func(i int) relay.Observer {
			witnesses[i] = &witness{plant: plant}
			return witnesses[i]
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		cl := n.Clients[0]
		path := transfer(t, cl, secret)
		time.Sleep(time.Minute) // virtual: the circuits of the client's own questions end
		cl.Stop()

		index := make(map[record.RID]int)
		for i, r := range n.Relays {
			index[r.RID()] = i
		}
		guard, middle, last := path[0], path[1], path[2]
		want := map[record.RID]map[record.RID]bool{
			guard:  {record.RID{}: true, middle: true},
			middle: {guard: true, last: true},
			last:   {middle: true},
		}
		for rid, i := range index {
			w := witnesses[i]
			got := w.neighbours()
			if fmt.Sprint(got) != fmt.Sprint(want[rid]) && len(got)+len(want[rid]) > 0 {
				t.Errorf("relay %d at position %d talked with %d neighbours, want %d", i, position(path, rid), len(got), len(want[rid]))
			}
			if w.leaked {
				t.Errorf("relay %d at position %d saw plaintext in a cell", i, position(path, rid))
			}
			if begun := len(w.begun) > 0; begun != (rid == last) {
				t.Errorf("relay %d at position %d saw %d destinations", i, position(path, rid), len(w.begun))
			}
		}
		destroys, reasons := 0, 0
		for _, w := range witnesses {
			destroys, reasons = destroys+w.destroys, reasons+w.reasons
		}
		if destroys == 0 || reasons > 0 { // (CELL-3)
			t.Errorf("of %d DESTROY cells away from the client %d give a reason", destroys, reasons)
		}
		exitAddr := fab.RelayAddr(index[last])
		mu.Lock()
		defer mu.Unlock()
		for wire := range leaky {
			if wire != fmt.Sprint(exitAddr, targetHost) && wire != fmt.Sprint(targetHost, exitAddr) {
				t.Errorf("plaintext on another wire than the exit's to the destination: %s", wire)
			}
		}
		if len(leaky) == 0 {
			t.Error("the planted text was not seen even between exit and destination: the tap is blind")
		}
		if talks[exitAddr][fab.ClientAddr(0)] && !slices.Contains(cl.Guards(), last) {
			t.Error("the exit exchanged bytes with the client directly")
		}
		if talks[targetHost][fab.ClientAddr(0)] || talks[fab.ClientAddr(0)][targetHost] {
			t.Error("client and destination exchanged bytes directly")
		}
	})
}

// transfer moves 1 MB each way over one circuit and returns its path.
func transfer(t *testing.T, cl *Client, secret string) []record.RID {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	body, err := get(ctx, cl, "observed", "/bytes/1000000?"+secret)
	if err != nil || len(body) != 1000000 {
		t.Fatalf("download: %d bytes, %v", len(body), err)
	}
	conn, err := cl.Dial(ctx, "observed", TargetName, 80, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "POST /count HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000000\r\nX: %s\r\n\r\n", secret)
	_, _ = conn.Write(pattern(1000000))
	answer, err := io.ReadAll(conn)
	if err != nil || !bytes.Contains(answer, []byte("\n1000000\n")) {
		t.Fatalf("upload: %v", err)
	}
	var path []record.RID
	for _, q := range cl.Circuits() {
		if q.InUse && q.Streams > 0 {
			if path != nil {
				t.Fatal("two circuits carry streams of one isolation key")
			}
			path = q.Path
		}
	}
	if len(path) != 3 {
		t.Fatal("no circuit carries the stream")
	}
	return path
}

func position(path []record.RID, rid record.RID) int {
	for i, r := range path {
		if r == rid {
			return i
		}
	}
	return -1
}
