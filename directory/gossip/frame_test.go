// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chive/directory/reconcile"
	"chive/directory/record"
	"chive/internal/strictcbor"
)

var update = flag.Bool("update", false, "write testdata/vectors/*.txt anew")

func golden(t *testing.T, file, head string, lines [][2]string) {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(head) {
		b.WriteString("# " + line)
	}
	for _, l := range lines {
		fmt.Fprintf(&b, "%s = %s\n", l[0], l[1])
	}
	path := filepath.Join("testdata", "vectors", file)
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != b.String() {
		t.Errorf("%s: the bytes changed, and with them the protocol", file)
	}
}

func digestOf(text string) Digest { return sha256.Sum256([]byte(text)) }

func idsOf(count int) []ShortID {
	out := make([]ShortID, count)
	for i := range out {
		d := digestOf(fmt.Sprint("id", i))
		out[i] = (&peer{}).id(&d)
	}
	return out
}

func hello() *Hello {
	return &Hello{Version: Version, NetworkID: nid(), Time: 1_800_000_000_123, Epoch: 1000, Head: digestOf("head"),
		Counts: [classCount]uint64{1000, 20, 3, 0, 96, 3, 96, 2160}}
}

func frames() map[string]Frame {
	return map[string]Frame{
		"hello":        hello(),
		"inv":          &IDs{Type: typeInv, Class: record.ClassDescriptor, IDs: idsOf(3)},
		"inv_full":     &IDs{Type: typeInv, Class: record.ClassSignature, IDs: idsOf(MaxInvCount)},
		"get":          &IDs{Type: typeGet, Class: record.ClassVote, IDs: idsOf(MaxGetCount)},
		"none":         &IDs{Type: typeNone, Class: record.ClassProposal, IDs: idsOf(1)},
		"item":         &Item{Class: record.ClassDescriptor, Data: []byte{1, 2, 3}},
		"item_largest": &Item{Class: record.ClassVote, Data: make([]byte, MaxItemSize(record.ClassVote))},
		"push":         &Item{Pushed: true, Class: record.ClassCertificate, Data: []byte{4}},
		"repair":       &Repair{&reconcile.Open{Nonce: [16]byte{7}, Count: 5}},
		"join":         &Join{[]byte{9, 9}},
		"joined":       &Joined{JoinUnreachable},
		"state":        &State{digestOf("head"), 7},
		"state_part":   &StatePart{digestOf("head"), 7, 8, []byte{5}},
		"state_none":   &StatePart{Header: digestOf("head"), Part: 7},
	}
}

func encoded(t testing.TB, f Frame) []byte {
	t.Helper()
	b, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Spec: GOS-1.
func TestFrameRoundTripAndTruncation(t *testing.T) {
	for name, f := range frames() {
		b := encoded(t, f)
		if len(b) > MaxFrameSize {
			t.Errorf("%s: %d bytes", name, len(b))
		}
		got, err := DecodeFrame(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if fmt.Sprintf("%T", got) != fmt.Sprintf("%T", f) || !bytes.Equal(encoded(t, got), b) {
			t.Errorf("%s became %T", name, got)
		}
		step := max(1, len(b)/500)
		for n := 0; n < len(b); n += step {
			if _, err := DecodeFrame(b[:n]); err == nil {
				t.Fatalf("%s cut to %d bytes: accepted", name, n)
			}
		}
		if _, err := DecodeFrame(append(bytes.Clone(b), 0)); err == nil {
			t.Errorf("%s with a trailing byte: accepted", name)
		}
	}
}

// Spec: GOS-1.
func TestFrameBounds(t *testing.T) {
	for name, f := range map[string]Frame{
		"INV of none":          &IDs{Type: typeInv, Class: 'D'},
		"INV of too many":      &IDs{Type: typeInv, Class: 'D', IDs: make([]ShortID, MaxInvCount+1)},
		"INV of no class":      &IDs{Type: typeInv, Class: 'W', IDs: make([]ShortID, 1)},
		"GET of too many":      &IDs{Type: typeGet, Class: 'D', IDs: make([]ShortID, MaxGetCount+1)},
		"NONE of too many":     &IDs{Type: typeNone, Class: 'D', IDs: make([]ShortID, MaxGetCount+1)},
		"empty item":           &Item{Class: 'D'},
		"item of no class":     &Item{Class: 'W', Data: []byte{1}},
		"push of a descriptor": &Item{Pushed: true, Class: 'D', Data: []byte{1}},
		"empty join":           &Join{},
		"large join":           &Join{make([]byte, record.MaxCandidateSize+1)},
		"part beyond count":    &StatePart{Part: 3, Count: 3, Data: []byte{1}},
		"part without data":    &StatePart{Part: 2, Count: 3},
		"data of no part":      &StatePart{Data: []byte{1}},
		"large part":           &StatePart{Count: 1, Data: make([]byte, MaxStatePartSize+1)},
		"time beyond 2^63":     &Hello{Time: 1 << 63},
		"count beyond 2^63":    &Hello{Counts: [classCount]uint64{7: 1 << 63}},
	} {
		if _, err := f.Encode(); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range classCount {
		class := classes[i]
		for size := MaxItemSize(class); size <= MaxItemSize(class)+1; size++ {
			b, err := strictcbor.Marshal(wireClassed{Type: typeItem, Class: class, Data: make([]byte, size)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := DecodeFrame(b); (err == nil) != (size == MaxItemSize(class)) {
				t.Errorf("class %c, %d bytes: %v", class, size, err)
			}
		}
	}
	for _, w := range []any{
		wireClassed{Type: typeInv, Class: 'D', Data: make([]byte, 8*(MaxInvCount+1))},
		wireClassed{Type: typeInv, Class: 'D', Data: make([]byte, 7)},
		wireClassed{Type: typeInv, Class: 'D'},
		wireClassed{Type: typeGet, Class: 'D', Data: make([]byte, 8*(MaxGetCount+1))},
		wireClassed{Type: typePush, Class: 'D', Data: []byte{1}},
		wireJoin{Type: typeJoin, Data: make([]byte, record.MaxCandidateSize+1)},
		wireJoined{Type: 0}, wireJoined{Type: 15}, wireJoined{Type: 24},
		wireState{Type: typeState, Header: make([]byte, 31)},
		wireStatePart{Type: typeStatePart, Header: make([]byte, 32), Count: 1, Data: make([]byte, MaxStatePartSize+1)},
		wireHello{Type: typeHello, NetworkID: make([]byte, 32), Head: make([]byte, 32), Counts: make([]uint64, 7)},
		wireHello{Type: typeHello, NetworkID: make([]byte, 31), Head: make([]byte, 32), Counts: make([]uint64, 8)},
		[]int{}, []int{1}, 5, "text",
	} {
		b, err := strictcbor.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeFrame(b); err == nil {
			t.Errorf("%T: accepted", w)
		}
	}
	for _, b := range [][]byte{nil, {0x81}, make([]byte, MaxFrameSize+1)} {
		if _, err := DecodeFrame(b); err == nil {
			t.Errorf("%d bytes: accepted", len(b))
		}
	}
}

func TestReadFrame(t *testing.T) {
	b := encoded(t, hello())
	stream := AppendFrame(AppendFrame(nil, b), b)
	r := bytes.NewReader(stream)
	for range 2 {
		if got, err := ReadFrame(r); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%v", err)
		}
	}
	if _, err := ReadFrame(r); !errors.Is(err, io.EOF) {
		t.Errorf("end: %v", err)
	}
	for n := 1; n < len(b)+headSize; n++ {
		if _, err := ReadFrame(bytes.NewReader(stream[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	for _, head := range []string{"00000000", "00010001", "ffffffff"} {
		h, err := hex.DecodeString(head)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadFrame(bytes.NewReader(append(h, b...))); !errors.Is(err, ErrFrameSize) {
			t.Errorf("length %s: %v", head, err)
		}
	}
	largest := AppendFrame(nil, make([]byte, MaxFrameSize))
	if got, err := ReadFrame(bytes.NewReader(largest)); err != nil || len(got) != MaxFrameSize {
		t.Errorf("the largest: %v", err)
	}
}

// Spec: GOS-1, GOS-3, GOS-4.
func TestFrameVectors(t *testing.T) {
	var lines [][2]string
	all := frames()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if b := encoded(t, all[name]); len(b) < 600 {
			lines = append(lines, [2]string{name, hex.EncodeToString(b)})
		}
	}
	var p peer
	p.setSession(digestOf("session"))
	d := digestOf("record")
	e := edge(beacon(1), ridOf(1), ridOf(2))
	var assigned []byte
	for _, rid := range Assigned(beacon(1), ridOf(1), listOf(40)) {
		assigned = append(assigned, rid[:]...)
	}
	lines = append(lines,
		[2]string{"session", fmt.Sprintf("%x", p.session)}, [2]string{"short_key", fmt.Sprintf("%x", p.key)},
		[2]string{"digest", fmt.Sprintf("%x", d)}, [2]string{"short_id", fmt.Sprintf("%016x", uint64(p.id(&d)))},
		[2]string{"edge", fmt.Sprintf("%x", e)}, [2]string{"assigned", hex.EncodeToString(assigned)})
	golden(t, "frames.txt", "Frames without their length, a short id, an edge and six of forty neighbours.\nA changed line is a change of the protocol. Spec: directory §4.\n", lines)
	if got := reconcile.ShortIDOf(p.key, d); got != p.id(&d) {
		t.Error("repair names records otherwise")
	}
}

func FuzzFrame(f *testing.F) {
	for _, x := range frames() {
		if b := encoded(f, x); len(b) < 6000 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := DecodeFrame(data)
		if err != nil {
			return
		}
		if again, err := x.Encode(); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%T: %x became %x: %v", x, data, again, err)
		}
	})
}
