// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chive/circuit/cell"
	"chive/circuit/handshake"
)

var update = flag.Bool("update", false, "write testdata/vectors/*.txt anew")

const recordedHops = 3

// A recorded circuit is what three relays answered a client with fixed
// randomness. Relays encapsulate with randomness of the standard library's own,
// so an answer cannot be made again, only taken. The carrier's tests build their
// circuits from it.
type recordedHop struct {
	target  Target
	created []byte
	keys    handshake.Keys
}

func recordPath() string { return filepath.Join("testdata", "vectors", "circuit.txt") }

// record builds a circuit with real handshakes and writes down the answers.
func record(t *testing.T) {
	w := emptyPath(t, DefaultParams())
	var b strings.Builder
	b.WriteString("# Three hops: what relays answered a client whose randomness is ChaCha8 of math/rand/v2\n")
	b.WriteString("# with the seed e8 03 00 ... (1000, little-endian, 32 bytes). Spec: protocol §4.\n")
	put := func(i int, name string, value []byte) {
		fmt.Fprintf(&b, "hop%d_%s = %s\n", i, name, hex.EncodeToString(value))
	}
	for i := range recordedHops {
		_, target := onion(i)
		if err := w.o.Extend(target); err != nil {
			t.Fatal(err)
		}
		var create []byte
		if i == 0 {
			create = w.create()[1 : 1+handshake.CreateSize]
		} else {
			w.ok()
			create = w.event(EventExtend).Extend.Handshake
		}
		keys, created := answer(t, i, create)
		put(i, "rid", target.RID[:])
		put(i, "onion", target.Onion[:])
		put(i, "created", created)
		put(i, "forward", keys.Forward[:])
		put(i, "backward", keys.Backward[:])
		w.take(i, created, keys)
	}
	if err := os.WriteFile(recordPath(), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// take gives the client a relay's answer.
func (w *path) take(i int, created []byte, keys *handshake.Keys) {
	w.t.Helper()
	w.addHop(keys)
	if i == 0 {
		c := make([]byte, cell.Size)
		if err := cell.PutHandshake(c, cell.Created, created); err != nil {
			w.t.Fatal(err)
		}
		if err := w.o.Receive(w.now, c); err != nil {
			w.t.Fatal(err)
		}
		w.oEvents = append(w.oEvents, w.o.Events()...)
	} else {
		if err := w.hops[i-1].Extended(created); err != nil {
			w.t.Fatal(err)
		}
		w.ok()
	}
}

// recorded reads the file back.
func recorded(t *testing.T) []recordedHop {
	text, err := os.ReadFile(recordPath())
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string][]byte)
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " = "); ok {
			if values[name], err = hex.DecodeString(value); err != nil {
				t.Fatal(err)
			}
		}
	}
	out := make([]recordedHop, recordedHops)
	for i := range out {
		v := func(name string) []byte { return values[fmt.Sprintf("hop%d_%s", i, name)] }
		h := &out[i]
		copy(h.target.RID[:], v("rid"))
		copy(h.target.Onion[:], v("onion"))
		h.target.Addrs = linkAddrs
		h.created = v("created")
		copy(h.keys.Forward[:], v("forward"))
		copy(h.keys.Backward[:], v("backward"))
	}
	return out
}

func TestARecordedCircuitIsStillBuilt(t *testing.T) {
	if *update {
		record(t)
	}
	w := emptyPath(t, DefaultParams())
	for i, h := range recorded(t) {
		if err := w.o.Extend(h.target); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			w.create()
		} else {
			w.ok()
			w.event(EventExtend)
		}
		w.take(i, h.created, &h.keys)
		if w.o.Hops() != i+1 || len(w.oEvents) != i+1 {
			t.Fatalf("hop %d: %+v", i, w.oEvents)
		}
	}
	c, r := w.stream()
	data := pattern(10000, 1)
	if string(w.put(c, r, data)) != string(data) || string(w.put(r, c, data)) != string(data) {
		t.Fatal("other bytes")
	}
}
